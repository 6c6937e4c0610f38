"""Postgres that stands still with its connections open, and Postgres that crashes: what was accepted is done, once."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from relay.journal.ownership import TTL_S
from tests import postgres
from tests.faults import audit
from tests.faults.chaos import exchanges
from tests.faults.scale import FULL, seed
from tests.faults.stage import CREATE, creates, event_names, taken_for
from tests.fleet import Fleet, running_fleet
from tests.paper_server import PaperServer
from tests.relay_process import WEBHOOK_SECRET

pytestmark = pytest.mark.slow

GIVES_UP_S = 3.0
"""When TradingView stops to wait; the relay's own limit is 2 s."""
AT_ONCE = 8
ALERTS = 60 if FULL else 20
ABSENCES = 10 if FULL else 1


@pytest.fixture(scope="module")
def home() -> Path:
    return postgres.own_server(f"away-{os.getpid()}", is_safe=True)


@pytest.fixture
def fleet(tmp_path: Path, paper: PaperServer, home: Path) -> Iterator[Fleet]:
    url = postgres.Server(postgres.address_of(home)).migrated()
    with running_fleet(tmp_path, paper, url, workers=1) as fleet:
        yield fleet


def alert(name: str, ticker: str = "BTCUSDT.P") -> dict[str, str]:
    return {"ticker": ticker, "action": "buy", "qty": "0.01", "id": name, "time": "2030-01-01T00:00:00Z"}


def post(fleet: Fleet, name: str) -> tuple[requests.Response, float]:
    """The answer, and the seconds that it took."""
    body = alert(name) | {"secret": WEBHOOK_SECRET}
    begun_at = time.monotonic()
    answer = requests.post(f"{fleet.web.url}/webhook", json=body, timeout=60)
    return answer, time.monotonic() - begun_at


def executing(fleet: Fleet) -> str:
    """A signal whose order the exchange has, and has not acknowledged."""
    fleet.paper.control.fault(CREATE, "delay_after", ms=900)
    signal_id = str(fleet.web.post(alert("under way", "ETHUSDT.P")).json()["signal_id"])
    fleet.until(lambda: bool(creates(fleet.paper, "ETHUSDT")), "its order does not come")
    return signal_id


@pytest.mark.timeout(200)
def test_alerts_are_answered_503_in_time_and_executed_only_when_they_are_sent_again(fleet: Fleet, home: Path) -> None:
    under_way = executing(fleet)
    refused: list[str] = []
    with postgres.frozen(home), ThreadPoolExecutor(AT_ONCE) as threads:
        until = time.monotonic() + TTL_S + 1
        while time.monotonic() < until:  # so that the workers' rights end meanwhile
            names = [f"refused {len(refused) + number}" for number in range(AT_ONCE)]
            for answer, took_s in threads.map(lambda name: post(fleet, name), names):
                assert (answer.status_code, answer.json()["error"]["code"]) == (503, "JOURNAL_UNAVAILABLE")
                assert took_s < GIVES_UP_S
            refused += names
    done = fleet.web.wait_for(under_way, 40)
    assert (done["status"], event_names(done).count("done")) == ("done", 1)
    assert len(taken_for(fleet.paper, under_way)) == 1
    last = fleet.web.post(alert("after"))
    assert fleet.web.wait_for(last.json()["signal_id"], 40)["status"] == "done"
    assert {each["alert"]["id"] for each in fleet.web.all_signals()} == {"under way", "after"}
    again = [fleet.web.post(alert(name)) for name in refused]
    assert {(each.status_code, each.json()["duplicate"]) for each in again} == {(202, False)}
    for each in again:
        assert fleet.web.wait_for(each.json()["signal_id"], 40)["status"] == "done"
    taken = audit.at_exchange(fleet.paper)
    assert len(taken) == len(refused) + 2
    assert audit.differences(taken, fleet.web.all_signals()) == []


def test_a_web_process_that_begins_while_postgres_is_away_leaves_the_others_at_work(
    tmp_path: Path, paper: PaperServer, home: Path
) -> None:
    url = postgres.Server(postgres.address_of(home)).migrated()
    fleet = Fleet(tmp_path, paper, url, {}, webs=1)
    try:
        fleet.web.start(wait=False)
        fleet.until(fleet.takes_alerts, "the first web process does not answer")
        before = set(fleet.web.pids())
        with postgres.frozen(home):
            os.kill(fleet.web.process.pid, signal.SIGTTIN)  # gunicorn begins another one
            fleet.until(lambda: "not started yet" in fleet.web.tail(), "the late process does not wait")
            answer, _ = post(fleet, "meanwhile")
            assert answer.json()["error"]["code"] == "JOURNAL_UNAVAILABLE"
        started = post_until_taken(fleet, "afterwards")
        assert fleet.web.signal(started)["status"] == "accepted"
        assert set(fleet.web.pids()) > before
    finally:
        fleet.close()


def test_a_crash_of_postgres_loses_nothing_that_was_accepted(fleet: Fleet, home: Path) -> None:
    accepted: list[str] = []
    for number in range(ALERTS):
        if number == ALERTS // 2:
            postgres.crash(home)
            postgres.restart(home)
        accepted.append(post_until_taken(fleet, f"crash {number}"))
    for each in accepted:
        fleet.until(lambda each=each: status(fleet, each) == "done", f"{each} is not done")
    fleet.web.wait_until_ready(40)
    taken = audit.at_exchange(fleet.paper)
    assert len(taken) == len(set(accepted)) == ALERTS
    assert audit.differences(taken, fleet.web.all_signals()) == []


@pytest.mark.timeout(600)
def test_however_often_postgres_is_away_no_account_is_left_alone(
    tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dice, took = random.Random(seed()), list[float]()
    papers, environment = exchanges(tmp_path, two=True)
    url = postgres.Server(postgres.address_of(home)).migrated()
    try:
        with running_fleet(tmp_path, papers["main"], url, webs=1, workers=2, **environment) as fleet:
            for number in range(ABSENCES):
                with postgres.frozen(home):
                    time.sleep(dice.uniform(1, 10))
                back_at = time.monotonic()
                fleet.until(lambda: all(map(fleet.owner, papers)), "an account is left alone")
                took.append(time.monotonic() - back_at)
                last = post_until_taken(fleet, f"after absence {number}")
                fleet.until(lambda last=last: status(fleet, last) == "done", "it is not executed")
            for name, paper in papers.items():
                taken = audit.at_exchange(paper)
                assert len(taken) == ABSENCES
                assert audit.differences(taken, fleet.web.all_signals(), name) == []
    finally:
        for paper in papers.values():
            paper.close()
    with capsys.disabled():
        print(f"\n{ABSENCES} absences: each account has an owner after {max(took):.2f} s at most")


def post_until_taken(fleet: Fleet, name: str) -> str:
    """As TradingView does it: again after a 5xx."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        answer, _ = post(fleet, name)
        if answer.status_code in (200, 202):
            return str(answer.json()["signal_id"])
        assert answer.status_code == 503, answer.text
        time.sleep(0.1)
    raise AssertionError("the alert is never taken")


def status(fleet: Fleet, signal_id: str) -> str | None:
    try:
        return str(fleet.web.signal(signal_id)["status"])
    except (AssertionError, requests.RequestException):
        return None
