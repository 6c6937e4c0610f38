"""What the exchange certainly refuses: said with its words, sent no second time, and never at the cost of an exit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from relay.bybit.limiter import BAN_S
from relay.domain.order_lifecycle import Bounds
from relay.settings.settings import load_settings
from tests.faults.stage import CREATE, creates, event_names, position, running, taken_for, until
from tests.paper_server import PaperServer
from tests.relay_process import RelayProcess

pytestmark = pytest.mark.slow

BALANCE = "ab not enough for new order"


def refuse(server: PaperServer, symbol: str, code: int, words: str, times: int = 1) -> None:
    server.control.fault(CREATE, "code", retCode=code, retMsg=words, times=times, match={"symbol": symbol})


def outcome(relay: RelayProcess, **alert: str) -> dict[str, Any]:
    finished: dict[str, Any] = relay.done(alert)
    assert finished["status"] not in ("accepted", "executing"), finished
    return finished


def test_an_entry_that_the_exchange_cannot_afford_fails_with_its_words(
    relay: RelayProcess, server: PaperServer
) -> None:
    signal = outcome(relay, action="buy", ticker="BTCUSDT.P", qty="100")
    assert (signal["status"], signal["reason"]["code"]) == ("failed", "EXCHANGE_BALANCE")
    assert BALANCE in signal["reason"]["message"]
    assert "110007" in signal["reason"]["message"]
    assert [order["status"] for order in signal["orders"]] == ["rejected"] * len(signal["orders"])
    assert taken_for(server, signal["id"]) == []


@pytest.mark.parametrize(
    ("symbol", "code", "words", "reason"),
    [
        ("SOLUSDT", 10001, "position idx not match position mode", "POSITION_MODE_HEDGE"),
        ("XRPUSDT", 10005, "Permission denied, please check your API key permissions.", "EXCHANGE_KEY"),
        ("ADAUSDT", 110094, "Order does not meet minimum order value 5USDT", "NOTIONAL_BELOW_MIN"),
        ("LTCUSDT", 110003, "Order price exceeds the allowable range.", "EXCHANGE_PRICE"),
        ("LINKUSDT", 999999, "a code that nobody has seen before", "EXCHANGE_REFUSED"),
    ],
)
def test_a_certain_refusal_ends_an_entry_at_once(
    relay: RelayProcess, server: PaperServer, symbol: str, code: int, words: str, reason: str
) -> None:
    refuse(server, symbol, code, words)
    signal = outcome(relay, action="buy", ticker=f"{symbol}.P", qty="20", market_position="long")
    assert (signal["status"], signal["reason"]["code"]) == ("failed", reason)
    assert words in signal["reason"]["message"]
    assert len(creates(server, symbol)) == 1
    assert position(server, symbol) == 0


def test_a_timestamp_that_is_refused_twice_is_reported_and_not_tried_for_ever(
    relay: RelayProcess, server: PaperServer
) -> None:
    refuse(server, "DOTUSDT", 10002, "invalid request, please check your server timestamp", times=2)
    signal = outcome(relay, action="long", ticker="DOTUSDT.P", qty="20")
    assert (signal["status"], signal["reason"]["code"]) == ("failed", "EXCHANGE_REFUSED")
    assert "timestamp" in signal["reason"]["message"]
    assert len(creates(server, "DOTUSDT")) == 2


@pytest.mark.parametrize("action", ["reverse", "target", "sell"])
def test_of_a_flip_that_is_certainly_refused_the_exit_goes_alone(
    relay: RelayProcess, server: PaperServer, action: str
) -> None:
    symbol = {"reverse": "UNIUSDT", "target": "AAVEUSDT", "sell": "ATOMUSDT"}[action]
    assert outcome(relay, action="buy", ticker=f"{symbol}.P", qty="20")["status"] == "done"
    more = {"reverse": {}, "target": {"position_size": "-10"}, "sell": {"qty": "30"}}[action]
    refuse(server, symbol, 110007, BALANCE)
    signal = outcome(relay, action=action, ticker=f"{symbol}.P", **more)
    assert (signal["status"], signal["reason"]["code"]) == ("failed", "EXCHANGE_BALANCE")
    assert [order["status"] for order in signal["orders"]] == ["rejected", "filled"]
    assert signal["orders"][1]["reduce_only"] is True
    assert any("ENTRY_WITHHELD" in note and BALANCE in note for note in signal["notes"])
    assert len(taken_for(server, signal["id"])) == 1
    assert position(server, symbol) == 0


def test_an_unknown_outcome_of_the_exit_that_goes_alone_is_followed_like_any_other(
    relay: RelayProcess, server: PaperServer
) -> None:
    assert outcome(relay, action="buy", ticker="NEARUSDT.P", qty="20")["status"] == "done"
    refuse(server, "NEARUSDT", 110007, BALANCE)
    server.control.fault(CREATE, "drop_reply", match={"symbol": "NEARUSDT"})
    signal = outcome(relay, action="reverse", ticker="NEARUSDT.P")
    assert [order["status"] for order in signal["orders"]] == ["rejected", "filled"]
    assert position(server, "NEARUSDT") == 0


def test_a_close_that_is_certainly_refused_needs_a_person(relay: RelayProcess, server: PaperServer) -> None:
    assert outcome(relay, action="buy", ticker="APTUSDT.P", qty="20")["status"] == "done"
    refuse(server, "APTUSDT", 110007, BALANCE)
    signal = outcome(relay, action="close", ticker="APTUSDT.P")
    assert (signal["status"], signal["reason"]["code"]) == ("attention", "EXCHANGE_BALANCE")
    assert position(server, "APTUSDT") == 20


@pytest.mark.parametrize(
    "words",
    [
        "current position is zero, cannot fix reduce-only order qty",
        "orderQty will be truncated to zero",
        "Reduce-only rule not satisfied",
    ],
)
def test_what_the_exchange_calls_nothing_to_reduce_is_closed_by_its_own_close_where_it_is_open(
    relay: RelayProcess, server: PaperServer, words: str
) -> None:
    assert outcome(relay, action="buy", ticker="ARBUSDT.P", qty="20", comment=words)["status"] == "done"
    refuse(server, "ARBUSDT", 110017, words)
    signal = outcome(relay, action="close", ticker="ARBUSDT.P", comment=words)
    assert signal["status"] == "done" and position(server, "ARBUSDT") == 0
    assert any("open all the same" in note for note in signal["notes"])


def test_a_position_that_the_exchange_will_not_reduce_needs_a_person(relay: RelayProcess, server: PaperServer) -> None:
    assert outcome(relay, action="buy", ticker="ARBUSDT.P", qty="25")["status"] == "done"
    refuse(server, "ARBUSDT", 110017, "orderQty will be truncated to zero", times=2)
    signal = outcome(relay, action="close", ticker="ARBUSDT.P", comment="second")
    assert (signal["status"], signal["reason"]["code"]) == ("attention", "POSITION_REMAINS")
    assert position(server, "ARBUSDT") == 25
    assert outcome(relay, action="flat", ticker="ARBUSDT.P")["status"] == "done"


def test_a_resting_exit_that_others_leave_no_room_for_is_not_called_done(
    relay: RelayProcess, server: PaperServer
) -> None:
    """The ladder holds all of the position; a further rung is refused with the code that also means "nothing open"."""
    assert outcome(relay, action="buy", ticker="OPUSDT.P", qty="20")["status"] == "done"
    tp_leg = {"action": "sell", "ticker": "OPUSDT.P", "type": "limit", "reduce_only": "true"}
    assert outcome(relay, **tp_leg, qty="20", price="1.30")["status"] == "done"
    signal = outcome(relay, **tp_leg, qty="10", price="1.35")
    assert signal["status"] != "done", signal
    assert "truncated to zero" in signal["reason"]["message"]
    assert not any("nothing was open" in note for note in signal["notes"])
    assert position(server, "OPUSDT") == 20


def test_an_address_that_the_exchange_does_not_serve_is_named(relay: RelayProcess, server: PaperServer) -> None:
    server.control.fault(CREATE, "http", status=403, body="blocked access from your country")
    signal = outcome(relay, action="long", ticker="INJUSDT.P", qty="20")
    assert (signal["status"], signal["reason"]["code"]) == ("failed", "EXCHANGE_REGION")
    assert "region" in signal["reason"]["message"]


@pytest.fixture
def quiet(tmp_path: Path) -> Iterator[PaperServer]:
    """An exchange that only the test's own relay talks to."""
    paper = PaperServer(tmp_path)
    yield paper
    paper.close()


def test_a_banned_address_falls_silent_and_says_so_and_its_entries_expire(quiet: PaperServer, tmp_path: Path) -> None:
    with running(tmp_path / "banned", quiet, {"SIGNAL_MAX_AGE": "1"}) as relay:
        quiet.control.fault(CREATE, "http", status=403, body="access too frequent")
        entry = outcome(relay, action="long", ticker="TIAUSDT.P", qty="20")
        quiet.control.clear_calls()
        assert (entry["status"], entry["reason"]["code"]) == ("expired", "TIME_TOO_OLD")
        refused = next(event["detail"] for event in entry["events"] if event["name"] == "order_rejected")
        assert "nothing is sent for ten minutes" in refused["words"]
        exit_id = relay.post({"action": "close", "ticker": "APTUSDT.P"}).json()["signal_id"]
        plain_id = relay.post({"action": "sell", "ticker": "FILUSDT.P", "qty": "20"}).json()["signal_id"]
        until(lambda: "order_not_sent" in event_names(relay.signal(plain_id)))
        assert relay.signal(exit_id)["status"] in ("accepted", "executing"), "an exit waits for the end of the ban"
        assert quiet.control.calls() == []


def test_an_exit_is_tried_for_longer_than_the_ban_of_its_address_lasts() -> None:
    assert Bounds().max_seconds > BAN_S
    assert load_settings({}, dotenv=None).outcome_max_s > BAN_S
