"""What closes a position, over HTTP and to the paper exchange: broken fields, repeats, ids used again, late alerts."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.relay_server import WEBHOOK_SECRET, RelayServer

TICKER = {"ticker": "BTCUSDT.P"}
T = "2030-01-01T00:00:0"


def position(server: RelayServer) -> Decimal:
    held = [each for each in server.api("positions")["positions"] if each["symbol"] == "BTCUSDT"]
    return sum((Decimal(each["size"]) * (1 if each["side"] == "long" else -1) for each in held), Decimal(0))


def fill(action: str, qty: str, before: str, after: str, second: int) -> dict[str, Any]:
    """A strategy's order of `qty` that led it from one signed size to another."""

    def side(size: str) -> str:
        return "flat" if Decimal(size) == 0 else "long" if Decimal(size) > 0 else "short"

    sizes = {"market_position_size": after.lstrip("-"), "prev_market_position_size": before.lstrip("-")}
    sides = {"market_position": side(after), "prev_market_position": side(before)}
    return {**TICKER, "action": action, "qty": qty, **sides, **sizes, "time": f"{T}{second}Z"}


@pytest.mark.parametrize(
    "body",
    [
        '{"ticker": "BTCUSDT.P", "action": "close", "stop_loss": NaN, "take_profit": {{plot("TP")}}, "id": "1"}',
        '{"ticker": "BTCUSDT.P", "action": "exit", "leverage": , "time": "soon", "id": "2"}',
        '{"ticker": "BTCUSDT.P", "action": "sell", "qty": "na", "market_position": "flat", "signal_price": "n/a"}',
        '{"ticker": "BTCUSDT.P", "action": "target", "position_size": 0, "take_profit": [{"at": NaN, "share": 9}]}',
        '{"ticker": "BTCUSDT.P", "action": "sell", "qty": 0.01, "position_size": 0, "valid_for": "x"}',
    ],
)
def test_an_exit_with_a_broken_field_closes_the_position(own: RelayServer, body: str) -> None:
    own.done({**TICKER, "action": "buy", "qty": "0.02", "id": body})
    whole = body.replace("{", f'{{"secret": "{WEBHOOK_SECRET}", ', 1)
    signal = own.done(whole.encode())
    assert (signal["status"], str(position(own))) == ("done", "0")
    assert any("ignored" in note for note in signal["notes"])


def test_the_same_close_after_another_entry_closes_again(own: RelayServer) -> None:
    close = {**TICKER, "action": "close"}
    for number in (1, 2):
        own.done({**TICKER, "action": "buy", "qty": "0.01", "id": f"entry {number}"})
        assert own.done(close)["status"] == "done"
        assert position(own) == 0
    assert own.post(close).json()["duplicate"] is True


def test_the_same_entry_is_a_duplicate_whatever_came_between(own: RelayServer) -> None:
    own.done({**TICKER, "action": "buy", "qty": "0.01"})
    own.done({**TICKER, "action": "sell", "qty": "0.01"})
    assert own.post({**TICKER, "action": "buy", "qty": "0.01"}).json()["duplicate"] is True
    assert position(own) == 0


def test_exits_under_an_id_that_came_before_are_executed_and_entries_are_not(own: RelayServer) -> None:
    own.done({**TICKER, "action": "buy", "qty": "0.01", "id": "Long"})
    signal = own.done({**TICKER, "action": "close", "id": "Long"})
    assert (signal["status"], str(position(own))) == ("done", "0")
    assert any("must be new for each alert" in note and "belongs in `order_id`" in note for note in signal["notes"])
    assert own.post({**TICKER, "action": "buy", "qty": "0.02", "id": "Long"}).status_code == 409
    own.done({**TICKER, "action": "buy", "qty": "0.01", "id": "next"})
    flip = {"action": "short", "qty": "0.03", "id": "Long"}
    signal = own.done({**TICKER, **flip})
    assert (signal["reason"]["code"], str(position(own))) == ("ENTRY_WITHHELD", "0")
    assert "must be new for each alert" in signal["reason"]["message"]
    opening = own.done({**TICKER, **flip, "qty": "0.04"})
    assert (opening["status"], opening["reason"]["code"], str(position(own))) == ("denied", "ALERT_ID_REUSED", "0")


def test_what_opens_nothing_is_executed_under_an_id_that_came_before(own: RelayServer) -> None:
    own.done({**TICKER, "action": "buy", "qty": "0.01", "id": "Long"})
    signal = own.done({**TICKER, "action": "stops", "stop_loss": "3%", "id": "Long"})
    assert signal["status"] == "done" and any("must be new for each alert" in note for note in signal["notes"])
    assert own.api("positions")["positions"][0]["stop_loss"] is not None
    for action in ("cancel", "heartbeat"):
        assert own.done({**TICKER, "action": action, "id": "Long"})["status"] == "done"


@pytest.mark.parametrize(("qty", "left"), [("0.01", "0.02"), ("0.05", "0")])
def test_the_exit_of_a_plain_stop_order_goes_at_once_where_the_price_has_passed_its_trigger(
    own: RelayServer, qty: str, left: str
) -> None:
    own.done({**TICKER, "action": "buy", "qty": "0.03"})
    market = Decimal(own.api("positions")["positions"][0]["mark_price"])
    stop = {"type": "stop_market", "trigger_price": str(int(market * Decimal("1.1")))}
    signal = own.done({**TICKER, "action": "sell", "qty": qty, **stop})
    assert (signal["status"], position(own)) == ("done", Decimal(left))
    assert [each["type"] for each in signal["orders"]] == ["market"]


def test_an_entry_that_arrives_after_its_own_exit_opens_nothing(own: RelayServer) -> None:
    own.done(fill("sell", "0.01", "0.01", "0", 0))
    own.done(fill("sell", "0.05", "0.05", "0", 2))
    late = own.done(fill("buy", "0.05", "0", "0.05", 1))
    assert (late["status"], str(position(own))) == ("done", "0")
    assert any("came late" in note for note in late["notes"]), late["notes"]
    assert any("stands at flat already" in note for note in late["notes"])


def test_an_addition_and_its_reduction_that_changed_places_end_where_they_began(own: RelayServer) -> None:
    own.done(fill("buy", "0.01", "0", "0.01", 0))
    own.done(fill("sell", "0.01", "0.02", "0.01", 2))
    late = own.done(fill("buy", "0.01", "0.01", "0.02", 1))
    assert position(own) == Decimal("0.01")
    assert any("came late" in note for note in late["notes"])


def test_a_reversal_and_its_exit_that_changed_places_end_flat(own: RelayServer) -> None:
    own.done(fill("buy", "0.01", "0", "0.01", 0))
    own.done(fill("buy", "0.02", "-0.02", "0", 2))
    own.done(fill("sell", "0.03", "0.01", "-0.02", 1))
    assert position(own) == 0


def test_the_entry_of_a_late_alert_is_held_back_by_its_age(own: RelayServer) -> None:
    """The strategy stands long, and the account has lost its part: there the late alert would have to open."""
    past = "2020-01-01T00:00:0"
    for each in (
        fill("buy", "0.01", "0", "0.01", 0),
        fill("sell", "0.01", "0.02", "0.01", 2),
        fill("buy", "0.01", "0.01", "0.02", 1),
    ):
        last = own.done({**each, "time": each["time"].replace(T, past)})
    assert (last["status"], last["reason"]["code"], str(position(own))) == ("expired", "TIME_TOO_OLD", "0")
