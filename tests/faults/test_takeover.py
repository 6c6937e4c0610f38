"""A worker that is killed, and one that is frozen and wakes up: another goes on, and nothing is done twice."""

from __future__ import annotations

import os
import signal
import statistics
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from relay.engine.failpoint import KILL_AT, KILL_BY, Failpoint
from tests.faults import audit
from tests.faults.scale import FULL
from tests.fleet import Fleet, is_stopped, running_fleet
from tests.paper_server import PaperServer

pytestmark = pytest.mark.slow

TAKEOVER_MAX_S = 5.0
ACCOUNT = "default"
STEPS = (
    (Failpoint.SENT,)
    if not FULL
    else tuple(
        Failpoint(name)
        for name in ("execute.begun", "execute.gathered", "execute.planned", "execute.sent", "execute.outcome_kept")
        + ("execute.looked_up", "execute.report_kept", "execute.finished")
    )
)
KILLS = 1 if not FULL else 20


@pytest.fixture
def fleet(tmp_path: Path, paper: PaperServer, postgres_url: str) -> Iterator[Fleet]:
    with running_fleet(tmp_path, paper, postgres_url, workers=0) as fleet:
        yield fleet


def buy(fleet: Fleet, key: str) -> str:
    answer = fleet.web.post({"ticker": "BTCUSDT.P", "action": "buy", "qty": "0.1", "id": key})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["signal_id"])


@pytest.mark.timeout(1200)
def test_a_killed_workers_account_is_another_ones_within_five_seconds(
    fleet: Fleet, capsys: pytest.CaptureFixture[str]
) -> None:
    took: list[float] = []
    for number in range(KILLS):
        doomed, survivor = fleet.add_worker(**{KILL_AT: Failpoint.PLANNED.value}), fleet.add_worker()
        os.killpg(survivor.process.pid, signal.SIGSTOP)  # so that it is the other one that takes the alert
        signal_id = buy(fleet, f"killed {number}")
        doomed.process.wait(60)
        at = time.monotonic()
        owner, epoch = fleet.epoch(ACCOUNT)
        os.killpg(survivor.process.pid, signal.SIGCONT)
        fleet.until(lambda epoch=epoch: fleet.epoch(ACCOUNT)[1] > epoch, "nobody takes the account over", survivor)
        took.append(time.monotonic() - at)
        assert fleet.epoch(ACCOUNT)[0] != owner
        assert fleet.web.wait_for(signal_id, 40)["status"] == "done"
        assert survivor.stop() == 0
    assert audit.differences(audit.at_exchange(fleet.paper), fleet.web.all_signals()) == []
    with capsys.disabled():
        print(f"\ntakeover of {KILLS} killed workers: median {statistics.median(took):.2f} s, most {max(took):.2f} s")


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.value)
def test_a_frozen_worker_that_wakes_up_does_nothing_that_another_has_done(fleet: Fleet, step: Failpoint) -> None:
    frozen = fleet.add_worker(**{KILL_AT: step.value, KILL_BY: "SIGSTOP"})
    signal_id = buy(fleet, "frozen")
    fleet.until(lambda: is_stopped(frozen), "it is never frozen", frozen)
    fleet.add_worker()
    done = fleet.web.wait_for(signal_id, 40)
    assert done["status"] == "done"
    after = buy(fleet, "after")
    os.killpg(frozen.process.pid, signal.SIGCONT)
    assert fleet.web.wait_for(after, 40)["status"] == "done"
    fleet.until(lambda: fleet.is_alive(frozen), "it does not come back", frozen)
    last = buy(fleet, "last")
    assert fleet.web.wait_for(last, 40)["status"] == "done"
    taken = audit.at_exchange(fleet.paper)
    assert len(taken) == 3
    assert audit.differences(taken, fleet.web.all_signals()) == []
    assert audit.positions(fleet.paper)["BTCUSDT"] == Decimal("0.3")
    assert fleet.web.signal(signal_id)["orders"] == done["orders"]
