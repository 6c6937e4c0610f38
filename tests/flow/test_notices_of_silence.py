"""What people are told of that no alert's outcome tells: losses, silence, cut streams, keys that end, days' sums."""

from __future__ import annotations

import contextlib
import sqlite3
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from relay.app import account_checks, wiring
from relay.execution import notices
from relay.execution.ports import utc_now
from relay.journal.notices import DAY_MS, SUMMARY
from tests.catcher import Catcher
from tests.paper_server import PaperServer
from tests.relay_server import RelayServer, running_relay

pytestmark = pytest.mark.slow

CHAINED = {"action": "buy", "ticker": "BTCUSDT.P", "qty": "0.01", "market_position": "long"}
QUICK = notices.Pace(gather_s=0.0, apart_s=0.05, again_s=(0.05,), at_stop_s=20.0)
CONFIG = "[strategies.default]\nheartbeat = 1"


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notices, "Pace", lambda: QUICK)


@pytest.fixture(autouse=True)
def _nothing_wrong(paper: PaperServer) -> None:
    paper.control.clear_faults()
    paper.control.reset()


def _telling(
    folder: Path, paper: PaperServer, catcher: Catcher, tags: str, **environment: str
) -> AbstractContextManager[RelayServer]:
    urls = f"{tags}=json://127.0.0.1:{catcher.port}/hook"
    return running_relay(folder, paper.url, NOTIFY_URLS=urls, **environment)


def test_an_alert_that_was_lost_is_reported_with_where_the_strategy_stood(
    tmp_path: Path, paper: PaperServer, catcher: Catcher
) -> None:
    def fill(before: str, after: str) -> dict[str, str]:
        sizes = {"prev_market_position_size": before, "market_position_size": after}
        return {**CHAINED, "prev_market_position": "long" if before != "0" else "flat", **sizes, "id": after}

    with _telling(tmp_path, paper, catcher, "chain") as relay:
        relay.done(fill("0", "1"))
        signal = relay.done(fill("2", "3"))
        reported = catcher.until("strategy default, BTCUSDT: at least one alert of the strategy is missing")
    assert "it stood at long 1 after its last alert here, and this one begins at long 2" in reported
    assert signal["id"] in reported


def test_a_heartbeat_that_stays_away_is_reported_and_so_is_its_return(
    tmp_path: Path, paper: PaperServer, catcher: Catcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    with _telling(tmp_path, paper, catcher, "heartbeat", RELAY_CONFIG=CONFIG) as relay:
        heartbeats = relay.relay.services.heartbeats
        monkeypatch.setattr(heartbeats, "_now", lambda: utc_now() + timedelta(seconds=61))
        heartbeats.check()
        catcher.until("strategy default: no heartbeat for more than 1 minutes; look whether its alert still runs")
        relay.post({"action": "heartbeat"})
        catcher.until("strategy default: its heartbeats arrive again")


def test_a_stream_that_stays_cut_is_reported_and_so_is_its_return(
    tmp_path: Path, paper: PaperServer, catcher: Catcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wiring, "STREAMS_S", 0.1)
    monkeypatch.setattr(account_checks, "CUT_S", 0.3)
    with _telling(tmp_path, paper, catcher, "stream"):
        paper.control.streams(manners={"refuse": True}, cut=True)
        catcher.until("the stream of default is cut for ", "alerts are executed all the same")
        paper.control.streams(manners={})
        catcher.until("the stream of default is back")


def test_a_key_that_ends_within_a_week_is_reported(tmp_path: Path, paper: PaperServer, catcher: Catcher) -> None:
    ends_at = datetime.now(UTC) + timedelta(days=6, hours=12)
    paper.control.account(key={"expiredAt": ends_at.strftime("%Y-%m-%dT%H:%M:%SZ")})
    with _telling(tmp_path, paper, catcher, "key"):
        catcher.until("the API key of default expires in 6 days: renew it on Bybit")


def test_a_day_that_is_over_is_summed_up(tmp_path: Path, paper: PaperServer, catcher: Catcher) -> None:
    with _telling(tmp_path, paper, catcher, "halt") as relay:
        relay.done({"action": "buy", "ticker": "BTCUSDT.P", "qty": "0.01"})
    yesterday = (datetime.now(UTC) - timedelta(days=1)).date()
    _as_if_it_was_yesterday(tmp_path / "relay.db")
    with _telling(tmp_path, paper, catcher, "summary"):
        catcher.until(f"{yesterday}: 1 alerts (1 done), 1 orders filled")


def _as_if_it_was_yesterday(journal: Path) -> None:
    with contextlib.closing(sqlite3.connect(journal)) as database, database:
        database.execute("UPDATE notice_marks SET value = value - ? WHERE name = ?", (DAY_MS, SUMMARY))
        database.execute("UPDATE signals SET received_at = received_at - ?", (DAY_MS,))
        database.execute("UPDATE orders SET updated_at = updated_at - ?", (DAY_MS,))


def test_what_nobody_took_for_a_day_is_dropped_and_the_next_message_says_how_many(
    tmp_path: Path, paper: PaperServer, catcher: Catcher
) -> None:
    catcher.status = 503
    with _telling(tmp_path, paper, catcher, "refused") as relay:
        for number in range(3):
            relay.post({"action": "buy", "ticker": "BTCUSDT.P", "qty": "many", "id": str(number)})
        assert catcher.arrived.wait(60)
        relay.relay.services.notifier.look()
    with contextlib.closing(sqlite3.connect(tmp_path / "relay.db")) as database, database:
        database.execute("UPDATE notices SET at = at - ? - 1, claimed_until = 0", (DAY_MS,))
    catcher.status = 200
    with _telling(tmp_path, paper, catcher, "refused") as relay:
        relay.post({"action": "buy", "ticker": "BTCUSDT.P", "qty": "many", "id": "fresh"})
        reported = catcher.until("3 older notices could not be delivered and were dropped", "the alert was rejected")
    assert reported.count("the alert was rejected") == 1
