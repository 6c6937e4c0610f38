"""Leverage and levels, from the alert to what the exchange has."""

from __future__ import annotations

from decimal import Decimal

from tests.flow.desk import BTC, Desk

LEVERAGE = "/v5/position/set-leverage"


def leverage(desk: Desk) -> Decimal:
    return Decimal(desk.position_row(BTC)["leverage"])


def test_the_leverage_is_set_before_the_entry_and_only_while_nothing_is_open(desk: Desk) -> None:
    first = desk.send(BTC, "buy", qty="0.1", leverage="7")
    assert (first["status"], leverage(desk), desk.held(BTC)) == ("done", Decimal(7), "0.1")
    second = desk.send(BTC, "buy", qty="0.1", leverage="3")
    assert (second["status"], leverage(desk), desk.held(BTC)) == ("done", Decimal(7), "0.2")
    assert any("leverage stays at 7" in note for note in second["notes"])
    assert len(desk.control.calls(LEVERAGE)) == 1


def test_a_lost_reply_to_the_leverage_is_asked_for_again(desk: Desk) -> None:
    desk.control.fault(LEVERAGE, "drop_reply")
    signal = desk.send(BTC, "buy", qty="0.1", leverage="8")
    assert (signal["status"], leverage(desk), desk.held(BTC)) == ("done", Decimal(8), "0.1")


def test_a_refused_leverage_lets_no_entry_out(desk: Desk) -> None:
    desk.control.fault(LEVERAGE, "code", retCode=110013, retMsg="cannot set leverage gt maxLeverage by risk limit")
    signal = desk.send(BTC, "buy", qty="0.1", leverage="9")
    assert (signal["status"], desk.held(BTC)) == ("failed", "0")
    assert "maxLeverage" in signal["reason"]["message"]


def test_levels_as_distances_ride_on_the_entry_as_prices(desk: Desk) -> None:
    signal = desk.send(BTC, "sell", qty="0.1", stop_loss="1%", take_profit="+1000")
    row = desk.position_row(BTC)
    assert (signal["status"], row["stopLoss"], row["takeProfit"]) == ("done", "101000.00", "99000.00")
