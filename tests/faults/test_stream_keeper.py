"""Of the workers that share an account's stream the one that keeps it is killed, or frozen: another keeps it."""

from __future__ import annotations

import os
import signal
import statistics
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
import requests

from tests.faults import audit
from tests.faults.scale import FULL
from tests.fleet import Fleet, running_fleet
from tests.flow.desk import BTC, AccountApi
from tests.paper_server import PaperServer
from tests.relay_process import RelayProcess

pytestmark = pytest.mark.slow

STREAM = "stream default"
KILLS = 10 if FULL else 1


@pytest.fixture
def fleet(tmp_path: Path, paper: PaperServer, postgres_url: str) -> Iterator[Fleet]:
    with running_fleet(tmp_path, paper, postgres_url) as fleet:
        yield fleet


def keeper(fleet: Fleet) -> RelayProcess:
    owner, _ = fleet.epoch(STREAM)
    return next(each for each in fleet.workers if f" {each.process.pid} " in owner)


def is_stored_live(fleet: Fleet, after: int) -> bool:
    """Whether somebody keeps the stream by a later right than `after`, and it is there."""
    rows = fleet.ask(
        "SELECT 1 FROM stream_heads JOIN leases USING (epoch) WHERE name = %(name)s AND is_live AND epoch > %(after)s",
        name=STREAM,
        after=after,
    )
    return bool(rows)


def test_a_killed_keepers_stream_is_another_ones_and_alerts_end_right(
    fleet: Fleet, paper: PaperServer, capsys: pytest.CaptureFixture[str]
) -> None:
    account_api, took = AccountApi(paper, fleet.web), []
    fleet.until(lambda: is_stored_live(fleet, 0), "nobody keeps the stream")
    for number in range(KILLS):
        fleet.add_worker()
        killed, (_, epoch) = keeper(fleet), fleet.epoch(STREAM)
        killed.kill()
        fleet.workers.remove(killed)
        at = time.monotonic()
        assert account_api.send(BTC, "buy", qty="0.1")["status"] == "done"
        fleet.until(lambda epoch=epoch: is_stored_live(fleet, epoch), "nobody takes the stream over")
        took.append(time.monotonic() - at)
        assert account_api.send(BTC, "close")["status"] == "done", number
        assert account_api.position(BTC) == 0
    assert audit.differences(audit.at_exchange(paper), fleet.web.all_signals()) == []
    with capsys.disabled():
        print(f"\nstreams of {KILLS} killed keepers: median {statistics.median(took):.2f} s, most {max(took):.2f} s")


def test_a_keeper_that_is_frozen_and_wakes_up_lets_the_other_keep_it(fleet: Fleet, paper: PaperServer) -> None:
    account_api = AccountApi(paper, fleet.web)
    fleet.until(lambda: is_stored_live(fleet, 0), "nobody keeps the stream")
    frozen, (_, epoch) = keeper(fleet), fleet.epoch(STREAM)
    os.killpg(frozen.process.pid, signal.SIGSTOP)
    fleet.until(lambda: is_stored_live(fleet, epoch), "nobody takes the stream over")
    assert account_api.send(BTC, "buy", qty="0.2")["status"] == "done"
    os.killpg(frozen.process.pid, signal.SIGCONT)
    fleet.until(lambda: fleet.is_alive(frozen), "it does not come back", frozen)
    fleet.until(lambda: len(private(paper)) == 1, "both keep the stream")
    for step, left in (("0.1", "0.1"), ("0.1", "0")):
        assert account_api.send(BTC, "sell", qty=step, reduce_only="true")["status"] == "done"
        assert account_api.position(BTC) == Decimal(left)
    assert audit.differences(audit.at_exchange(paper), fleet.web.all_signals()) == []


def private(paper: PaperServer) -> list[dict[str, object]]:
    shown = requests.get(f"{paper.url}/paper/streams", timeout=60).json()["connections"]
    return [each for each in shown if each["kind"] == "private"]
