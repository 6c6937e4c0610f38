"""The disk fills up under a running relay: 503 at once and in words, and on it goes when there is room again."""

from __future__ import annotations

import errno
import resource
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest
import requests

from tests.faults import audit
from tests.paper_server import PaperServer
from tests.relay_process import DEADLINE_S, RelayProcess

pytestmark = pytest.mark.slow

TOO_LATE_S = 2
"""The promise: the sender has its 503 before that."""


class Disk(Protocol):
    """Where the journal is; `fill` leaves no room on it for the relay, `free` gives it back."""

    folder: Path

    def fill(self, relay: RelayProcess) -> None: ...

    def free(self, relay: RelayProcess) -> None: ...


class SmallDisk:
    """A file system of its own, which is really full. It has room for SQLite's write-ahead log, of 4 MB as a rule."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self, relay: RelayProcess) -> None:
        with self._ballast.open("wb", buffering=0) as file, pytest.raises(OSError) as reported:
            while True:
                file.write(b"\0" * 4096)
        assert reported.value.errno == errno.ENOSPC

    def free(self, relay: RelayProcess) -> None:
        self._ballast.unlink()


class LimitedDisk:
    """Where nothing can be mounted: the kernel refuses whatever the relay's processes write to a file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self, relay: RelayProcess) -> None:
        self._limit(relay, 0)

    def free(self, relay: RelayProcess) -> None:
        self._limit(relay, resource.RLIM_INFINITY)

    def _limit(self, relay: RelayProcess, size: int) -> None:
        for pid in relay.pids():
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


@pytest.fixture(params=["a small file system", "a limit on file sizes"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    if request.param == "a limit on file sizes":
        yield LimitedDisk(folder)
        return
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "none", folder], capture_output=True, check=False)
    if made.returncode:
        pytest.skip("only root can mount a file system; the same is tried with a limit on file sizes")
    yield SmallDisk(folder)
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture
def relay(disk: Disk, paper: PaperServer, tmp_path: Path) -> Iterator[RelayProcess]:
    environment = {"DATABASE_URL": f"sqlite:///{disk.folder}/relay.db", "SIGNAL_MAX_AGE": "600"}
    process = RelayProcess(tmp_path, paper.url, environment=environment)
    process.start()
    yield process
    process.kill()


class Sender:
    """Sends one alert after the other and notes how each was answered."""

    def __init__(self, relay: RelayProcess) -> None:
        self._relay = relay
        self.accepted: dict[str, str] = {}
        self.refused: set[str] = set()

    def send(self) -> requests.Response:
        comment = f"alert {len(self.accepted) + len(self.refused)}"
        alert = {"action": "buy", "ticker": "BTCUSDT.P", "qty": "0.001", "comment": comment}
        answer = self._relay.post(alert)
        assert answer.elapsed.total_seconds() < TOO_LATE_S
        if answer.status_code == 202:
            self.accepted[comment] = answer.json()["signal_id"]
        else:
            assert answer.status_code == 503, answer.text
            assert answer.json()["error"]["code"] == "JOURNAL_UNAVAILABLE"
            self.refused.add(comment)
        return answer

    def send_until(self, status: int) -> requests.Response:
        until = time.monotonic() + DEADLINE_S
        while time.monotonic() < until:
            answer = self.send()
            if answer.status_code == status:
                return answer
        raise AssertionError(f"never answered {status}: {self._relay.tail()}")


@pytest.mark.timeout(120)
def test_a_disk_that_fills_up_is_reported_at_once_and_nothing_accepted_is_lost(
    disk: Disk, paper: PaperServer, relay: RelayProcess
) -> None:
    sender = Sender(relay)
    for _ in range(5):
        assert sender.send().status_code == 202
    # The last one is at the exchange while the disk fills up: its outcome cannot be written down before there is room.
    paper.control.fault("/v5/order/create", "delay_after", ms=500)
    assert sender.send().status_code == 202
    disk.fill(relay)
    reported = sender.send_until(503).json()["error"]["message"]
    assert "disk" in reported and "relay.db" in reported, reported
    for _ in range(5):
        assert sender.send().status_code == 503
    ready = requests.get(f"{relay.url}/readyz", timeout=DEADLINE_S)
    assert ready.status_code == 503 and "disk" in ready.text
    pid = relay.process.pid

    disk.free(relay)
    sender.send_until(202)
    relay.wait_until_ready()
    for _ in range(5):
        assert sender.send().status_code == 202
    assert relay.process.pid == pid and relay.process.poll() is None
    check(sender, relay, paper)
    relay.kill()
    relay.start()
    check(sender, relay, paper)


def check(sender: Sender, relay: RelayProcess, paper: PaperServer) -> None:
    """What was answered 202 was executed, what was answered 503 was not, and both sides have the same orders."""
    for signal_id in sender.accepted.values():
        assert relay.wait_for(signal_id)["status"] == "done"
    signals = relay.all_signals()
    assert {each["alert"]["comment"]: each["id"] for each in signals} == sender.accepted
    assert sender.refused
    taken = audit.at_exchange(paper)
    assert audit.differences(taken, signals) == []
    assert len(taken) == len(sender.accepted)
