"""Of two accounts one is away: the other's alerts are executed, the one's wait, and the relay says which is which."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from relay.domain.instrument import plain
from relay.web.pages.overview import all_positions, equities
from tests.paper_server import KEY, SECRET, PaperServer
from tests.relay_server import DEADLINE_S, RelayServer, error_of, running_relay

pytestmark = pytest.mark.slow

TREND = "a-secret-of-the-trend-0123"
CONFIG = """
[accounts.first]
url = "{first}"
api_key_env = "FIRST_KEY"
api_secret_env = "FIRST_SECRET"

[accounts.second]
url = "{second}"

[strategies.trend]
secret_env = "TREND_SECRET"
accounts = ["first", "second"]
"""


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PaperServer]:
    server = PaperServer(tmp_path_factory.mktemp("other"))
    yield server
    server.close()


@pytest.fixture
def first(paper: PaperServer) -> Iterator[PaperServer]:
    paper.start_over()
    yield paper
    paper.start_over()


@pytest.fixture
def second(other: PaperServer) -> PaperServer:
    other.start_over()
    return other


def environment(first: PaperServer, second: PaperServer) -> dict[str, str]:
    return {
        "RELAY_CONFIG": CONFIG.format(first=first.url, second=second.url),
        "FIRST_KEY": KEY,
        "FIRST_SECRET": SECRET,
        "TREND_SECRET": TREND,
    }


@contextmanager
def relay_with_one_away(folder: Path, first: PaperServer, second: PaperServer) -> Iterator[RelayServer]:
    """Started; `second` is ready."""
    server = RelayServer(folder, first.url, **environment(first, second))
    try:
        server.relay.start()
        until_ready(server, {"second"})
        yield server
    finally:
        server.stop()


def readiness(relay: RelayServer) -> tuple[int, dict[str, dict[str, Any]]]:
    answer = relay.request("GET", "/readyz")
    return answer.status_code, answer.json()["accounts"]


def until_ready(relay: RelayServer, names: set[str]) -> None:
    until = time.monotonic() + DEADLINE_S
    while {name for name, each in readiness(relay)[1].items() if each["ready"]} != names:
        assert time.monotonic() < until, readiness(relay)
        time.sleep(0.01)


def alert(action: str, account: str, number: str, **more: str) -> dict[str, str]:
    return {"secret": TREND, "ticker": "BTCUSDT.P", "action": action, "account": account, "id": number, **more}


def held(server: PaperServer, symbol: str = "BTCUSDT") -> str:
    (row,) = server.session().get_positions(category="linear", symbol=symbol)["result"]["list"]
    return plain(Decimal(row["size"] or 0))


def long_on_both(folder: Path, first: PaperServer, second: PaperServer) -> None:
    with running_relay(folder, first.url, **environment(first, second)) as relay:
        for account in ("first", "second"):
            body = alert("buy", account, f"open {account}", qty="0.02")
            assert relay.done(body, path="/webhook/trend")["status"] == "done"


def test_after_a_restart_an_account_that_cannot_be_reached_holds_up_no_other(
    first: PaperServer, second: PaperServer, tmp_path: Path
) -> None:
    long_on_both(tmp_path, first, second)
    first.stop()
    with relay_with_one_away(tmp_path, first, second) as relay:
        status, accounts = readiness(relay)
        assert (status, accounts["second"]) == (200, {"ready": True, "reason": None})
        assert not accounts["first"]["ready"] and "refused" in accounts["first"]["reason"]
        waiting = relay.post(alert("close", "first", "close first"), path="/webhook/trend").json()
        closed = relay.done(alert("close", "second", "close second"), path="/webhook/trend")
        assert (closed["status"], held(second)) == ("done", "0")
        assert relay.api(f"signals/{waiting['signal_id']}")["status"] == "accepted"
        first.restart()
        until_ready(relay, {"first", "second"})
        assert relay.wait_for(waiting["signal_id"])["status"] == "done"
        assert held(first) == "0"


def test_an_account_whose_key_has_expired_holds_up_no_other(
    first: PaperServer, second: PaperServer, tmp_path: Path
) -> None:
    long_on_both(tmp_path, first, second)
    first.control.account(expired=True)
    with relay_with_one_away(tmp_path, first, second) as relay:
        assert "expired" in readiness(relay)[1]["first"]["reason"]
        closed = relay.done(alert("close", "second", "close second"), path="/webhook/trend")
        assert (closed["status"], held(second)) == ("done", "0")
        first.control.account(expired=False)
        until_ready(relay, {"first", "second"})


def test_an_alert_for_both_accounts_is_executed_on_the_one_that_is_there_at_once(
    first: PaperServer, second: PaperServer, tmp_path: Path
) -> None:
    long_on_both(tmp_path, first, second)
    first.stop()
    with relay_with_one_away(tmp_path, first, second) as relay:
        both = {"secret": TREND, "ticker": "BTCUSDT.P", "action": "close", "id": "close both"}
        taken = relay.post(both, path="/webhook/trend").json()
        until = time.monotonic() + DEADLINE_S
        while held(second) != "0":
            assert time.monotonic() < until, relay.api(f"signals/{taken['signal_id']}")
            time.sleep(0.01)
        first.restart()
        assert relay.wait_for(taken["signal_id"])["status"] == "done"
        assert held(first) == "0"


def test_a_relay_none_of_whose_accounts_executes_is_not_ready_and_says_why_of_each(
    first: PaperServer, second: PaperServer, tmp_path: Path
) -> None:
    first.control.account(expired=True)
    second.control.account(expired=True)
    server = RelayServer(tmp_path, first.url, **environment(first, second))
    try:
        server.relay.start()
        until = time.monotonic() + DEADLINE_S
        while not all("expired" in each["reason"] for each in readiness(server)[1].values()):
            assert time.monotonic() < until, readiness(server)
            time.sleep(0.01)
        assert readiness(server)[0] == 503
    finally:
        server.stop()


def test_flatten_closes_on_each_account_what_can_be_read_or_is_known_and_says_what_cannot(
    first: PaperServer, second: PaperServer, tmp_path: Path
) -> None:
    long_on_both(tmp_path, first, second)
    first.stop()
    with relay_with_one_away(tmp_path, first, second) as relay:
        rows = relay.api("flatten", "POST")["accounts"]
        assert [(each["account"], each["symbol"], each["outcome"]) for each in rows] == [
            ("first", "BTCUSDT", "queued"),
            ("first", None, "unreadable"),
            ("second", "BTCUSDT", "queued"),
        ]
        assert "refused" in rows[1]["message"] and rows[1]["signal_id"] is None
        assert relay.wait_for(rows[2]["signal_id"])["status"] == "done"
        assert held(second) == "0"
        first.restart()
        assert relay.wait_for(rows[0]["signal_id"])["status"] == "done"
        assert held(first) == "0"


def test_positions_are_those_of_the_accounts_that_answer_and_the_others_are_named(
    first: PaperServer, second: PaperServer, tmp_path: Path
) -> None:
    long_on_both(tmp_path, first, second)
    first.stop()
    with relay_with_one_away(tmp_path, first, second) as relay:
        shown = relay.api("positions")
        assert [(each["account"], each["symbol"], each["size"]) for each in shown["positions"]] == [
            ("second", "BTCUSDT", "0.02")
        ]
        ((account, message),) = [(each["account"], each["message"]) for each in shown["unreadable"]]
        assert account == "first" and "refused" in message
        error_of(relay.ask("positions?account=first"), 502, "EXCHANGE_UNREACHABLE")


def test_all_accounts_are_asked_at_once(first: PaperServer, second: PaperServer, tmp_path: Path) -> None:
    """Each answers only once the other has been asked, too."""
    with running_relay(tmp_path, first.url, **environment(first, second)) as relay, ExitStack() as patched:
        both = threading.Barrier(2)
        for exchange in relay.relay.services.exchanges.values():
            for name in ("positions", "wallet"):
                read = _when_both_are_asked(getattr(exchange, name), both)
                patched.enter_context(patch.object(exchange, name, read))
        assert [each["equity"] is None for each in relay.api("accounts")["accounts"]] == [False, False]
        assert relay.api("positions")["unreadable"] == []
        with relay.app.app_context():
            assert all_positions(fresh=True) == ([], [])
            assert [each.problem for each in equities().values()] == [None, None]


def _when_both_are_asked(read: Callable[[], Any], both: threading.Barrier) -> Callable[[], Any]:
    def ask() -> Any:
        both.wait(DEADLINE_S)
        return read()

    return ask


def test_an_account_that_hangs_keeps_no_close_of_a_flatten_waiting(
    first: PaperServer, second: PaperServer, tmp_path: Path
) -> None:
    long_on_both(tmp_path, first, second)
    with running_relay(tmp_path, first.url, **environment(first, second)) as relay:
        hanging = threading.Event()
        with patch.object(
            relay.relay.services.exchanges["first"], "positions", lambda: hanging.wait(DEADLINE_S) and ()
        ):
            answered = threading.Thread(target=lambda: relay.api("flatten", "POST"))
            answered.start()
            until = time.monotonic() + DEADLINE_S
            while held(second) != "0" and time.monotonic() < until:
                time.sleep(0.01)
            closed_meanwhile = held(second) == "0" and answered.is_alive()
            hanging.set()
            answered.join(DEADLINE_S)
        assert closed_meanwhile
