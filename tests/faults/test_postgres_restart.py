"""Postgres itself is stopped at once and started again: nothing that was accepted is lost, nothing is done twice."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests import postgres
from tests.faults import audit
from tests.faults.scale import FULL
from tests.fleet import Fleet, running_fleet
from tests.paper_server import PaperServer

pytestmark = pytest.mark.skipif(not FULL, reason="part of python -m tests.faults")
ALERTS = 60


@pytest.fixture
def home() -> Path:
    return postgres.own_server(f"restart-{os.getpid()}", is_safe=True)


@pytest.fixture
def paper(tmp_path: Path) -> Iterator[PaperServer]:
    server = PaperServer(tmp_path)
    yield server
    server.close()


@pytest.fixture
def fleet(tmp_path: Path, paper: PaperServer, home: Path) -> Iterator[Fleet]:
    url = postgres.Server(postgres.address_of(home)).migrated()
    with running_fleet(tmp_path, paper, url) as fleet:
        yield fleet


def test_a_crash_of_postgres_loses_nothing_that_was_accepted(fleet: Fleet, home: Path) -> None:
    accepted: list[str] = []
    for number in range(ALERTS):
        if number == ALERTS // 2:
            postgres.crash(home)
            postgres.restart(home)
        accepted.append(_post_until_taken(fleet, number))
    for each in accepted:
        fleet.until(lambda each=each: _status(fleet, each) == "done", f"{each} is not done")
    fleet.web.wait_until_ready(40)
    taken = audit.at_exchange(fleet.paper)
    assert len(taken) == len(set(accepted)) == ALERTS
    assert audit.differences(taken, fleet.web.all_signals()) == []


def _post_until_taken(fleet: Fleet, number: int) -> str:
    """As TradingView does it: again after a 5xx."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        alert = {
            "ticker": "BTCUSDT.P",
            "action": "buy",
            "qty": "0.01",
            "id": f"crash {number}",
            "time": "2030-01-01T00:00:00Z",
        }
        answer = fleet.web.post(alert)
        if answer.status_code in (200, 202):
            return str(answer.json()["signal_id"])
        assert answer.status_code == 503, answer.text
        time.sleep(0.1)
    raise AssertionError("the alert is never taken")


def _status(fleet: Fleet, signal_id: str) -> str | None:
    try:
        return str(fleet.web.signal(signal_id)["status"])
    except (AssertionError, requests.RequestException):
        return None
