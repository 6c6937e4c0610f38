"""The relay as real processes, for tests that kill them, cut their connections, or run what a user runs."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import requests

from tests import migrated, warm
from tests.paper_server import KEY, SECRET
from tests.ports import free_port

ROOT = Path(__file__).resolve().parents[1]
WEBHOOK_SECRET = "a-secret-of-the-tests-0123"
ADMIN_TOKEN = "an-admin-token-of-the-tests-0123"
DEADLINE_S = 60
_OURS = ("BYBIT_", "RELAY_", "PAPER_", "WEBHOOK_", "ADMIN_", "DATABASE_", "DEFAULT_", "MAX_", "SIGNAL_", "ALLOWED_")
"""Variables that a test decides, whatever they are in the shell that runs it."""


def _session_of(pid: str) -> int | None:
    """The session that the process belongs to; None once it has ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    state, _, _, session = stat.rpartition(")")[2].split()[:4]
    return None if state == "Z" else int(session)


class RelayProcess:
    """`python -m relay serve`, or another `command`. `kill` is kill -9 of everything; `start` starts it again."""

    def __init__(
        self,
        folder: Path,
        exchange_url: str | None,
        *,
        environment: Mapping[str, str] | None = None,
        command: Sequence[str] = (sys.executable, "-m", "relay", "serve"),
        as_from_a_shell: bool = False,
    ) -> None:
        """`exchange_url` None: the relay brings its own paper exchange. `as_from_a_shell`: nothing is imported before.

        An empty value unsets its variable.
        """
        self.folder = folder
        self.command = command
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.http = requests.Session()
        self.admin_token = ADMIN_TOKEN
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(_OURS)},
            "PYTHONPATH": str(ROOT),
            "PORT": str(self.port),
            "BYBIT_ENV": "paper",
            "PAPER_MARKET": "off",
            "BYBIT_RECV_WINDOW": "1000",
            "WEBHOOK_SECRET": WEBHOOK_SECRET,
            "ADMIN_TOKEN": ADMIN_TOKEN,
            "DATABASE_URL": f"sqlite:///{folder}/relay.db",
            **({"BYBIT_URL": exchange_url, "BYBIT_API_KEY": KEY, "BYBIT_API_SECRET": SECRET} if exchange_url else {}),
        }
        given = self.environment | dict(environment or {})
        self.environment = {name: value for name, value in given.items() if value}
        self._start = warm.start_cold if as_from_a_shell else warm.start
        self._is_made_before = exchange_url is not None
        self._process: subprocess.Popen[bytes] | warm.WarmProcess | None = None
        self.log = folder / "relay.log"

    def start(self, *, wait: bool = True, **environment: str) -> None:
        """Start it; with `wait`, until it is ready."""
        self._begin_with_migrated_journal()
        with self.log.open("ab") as log, open(os.devnull, "rb") as nothing:
            files = nothing.fileno(), log.fileno(), log.fileno()
            self._process = self._start(self.command, self.folder, self.environment | environment, files)
        if wait:
            self.wait_until_ready()

    def _begin_with_migrated_journal(self) -> None:
        if self._is_made_before and "PYTEST_VERSION" in os.environ:
            url = self.environment["DATABASE_URL"]
            if url.startswith("sqlite:///"):
                migrated.copy_to(Path(url.removeprefix("sqlite:///")))

    @property
    def process(self) -> subprocess.Popen[bytes] | warm.WarmProcess:
        assert self._process is not None, "the relay was not started"
        return self._process

    def wait_until_ready(self, deadline_s: float = DEADLINE_S) -> None:
        until = time.monotonic() + deadline_s
        while time.monotonic() < until:
            if self._is_ready():
                return
            assert self.process.poll() is None, f"the relay ended: {self.tail()}"
            time.sleep(0.03)
        raise AssertionError(f"not ready: {self.tail()}")

    def _is_ready(self) -> bool:
        """Looks at little cost, for it takes the processor from what it waits for."""
        with contextlib.closing(HTTPConnection("127.0.0.1", self.port, timeout=2)) as connection:
            try:
                connection.request("GET", "/readyz")
                answer = connection.getresponse()
                told = json.loads(answer.read())
            except (OSError, HTTPException, ValueError):
                return False
        accounts = told.get("accounts", {})  # a checkout of before, which is measured, tells of none
        return answer.status == 200 and all(each["ready"] for each in accounts.values())

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-3000:]

    def pids(self) -> list[int]:
        """All of its processes that live, the paper exchange's too: the session that it began. On Linux."""
        session = self.process.pid
        return [int(each.name) for each in Path("/proc").glob("[0-9]*") if _session_of(each.name) == session]

    def wait_until_gone(self, deadline_s: float = DEADLINE_S) -> None:
        """Until none of its processes is left."""
        until = time.monotonic() + deadline_s
        while self.process.poll() is None or self.pids():
            assert time.monotonic() < until, f"still there: {self.pids()}: {self.tail()}"
            time.sleep(0.01)

    def kill(self) -> None:
        """kill -9 of every process of it at once, the paper exchange's too."""
        beside = self.pids()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        for pid in beside:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(DEADLINE_S)
        self.http.close()

    def wait_for_death(self, deadline_s: float = DEADLINE_S) -> None:
        """Until the process has ended by itself; whatever is left of its group is killed."""
        self.process.wait(deadline_s)
        self.kill()

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        if self._process is None:
            return 0
        self.http.close()  # else the relay would wait for what may still come on a connection that is kept alive
        self.process.terminate()
        try:
            return self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def post(self, alert: Mapping[str, Any] | bytes, *, wait_s: int | None = None) -> requests.Response:
        """Post an alert; a mapping gets the secret. `wait_s`: ask for the outcome."""
        body = alert if isinstance(alert, bytes) else json.dumps({"secret": WEBHOOK_SECRET, **alert}).encode()
        headers = {"Prefer": f"wait={wait_s}"} if wait_s else {}
        return self.http.post(f"{self.url}/webhook", data=body, headers=headers, timeout=60)

    def done(self, alert: Mapping[str, Any] | bytes) -> dict[str, Any]:
        """What became of the alert: the finished signal, or what a duplicate is answered with."""
        answer = self.post(alert, wait_s=10)
        reported: dict[str, Any] = answer.json()
        return self.wait_for(reported["signal_id"]) if answer.status_code == 202 else reported

    def api(self, path: str, method: str = "GET", **more: Any) -> Any:
        answer = self.http.request(
            method,
            f"{self.url}/api/{path}",
            headers={"Authorization": f"Bearer {self.admin_token}", **more.pop("headers", {})},
            timeout=60,
            **more,
        )
        assert answer.status_code < 300, f"{answer.status_code} {answer.text}"
        return answer.json()

    def signal(self, signal_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.api(f"signals/{signal_id}")
        return found

    def all_signals(self) -> list[dict[str, Any]]:
        """Every signal there is, the latest first."""
        found: list[dict[str, Any]] = []
        cursor = ""
        while True:
            page = self.api(f"signals?limit=200{cursor}")
            found += page["signals"]
            if not page["next_cursor"]:
                return found
            cursor = f"&cursor={page['next_cursor']}"

    def wait_for(self, signal_id: str, deadline_s: float = DEADLINE_S) -> dict[str, Any]:
        """The signal once it is finished."""
        until = time.monotonic() + deadline_s
        while time.monotonic() < until:
            found: dict[str, Any] = self.api(f"signals/{signal_id}", headers={"Prefer": "wait=2"})
            if found["status"] not in ("accepted", "executing"):
                return found
            time.sleep(0.02)
        raise AssertionError(f"{signal_id} is not finished: {self.signal(signal_id)}")
