"""Leverage and levels, from the alert to what the exchange has."""

from __future__ import annotations

from decimal import Decimal

from tests.flow.desk import BTC, AccountApi

LEVERAGE = "/v5/position/set-leverage"


def leverage(account_api: AccountApi) -> Decimal:
    return Decimal(account_api.position_row(BTC)["leverage"])


def test_the_leverage_is_set_before_the_entry_and_only_while_nothing_is_open(account_api: AccountApi) -> None:
    first = account_api.send(BTC, "buy", qty="0.1", leverage="7")
    assert (first["status"], leverage(account_api), account_api.held(BTC)) == ("done", Decimal(7), "0.1")
    second = account_api.send(BTC, "buy", qty="0.1", leverage="3")
    assert (second["status"], leverage(account_api), account_api.held(BTC)) == ("done", Decimal(7), "0.2")
    assert any("leverage stays at 7" in note for note in second["notes"])
    assert len(account_api.control.calls(LEVERAGE)) == 1


def test_a_lost_reply_to_the_leverage_is_asked_for_again(account_api: AccountApi) -> None:
    account_api.control.fault(LEVERAGE, "drop_reply")
    signal = account_api.send(BTC, "buy", qty="0.1", leverage="8")
    assert (signal["status"], leverage(account_api), account_api.held(BTC)) == ("done", Decimal(8), "0.1")


def test_a_refused_leverage_lets_no_entry_out(account_api: AccountApi) -> None:
    account_api.control.fault(
        LEVERAGE, "code", retCode=110013, retMsg="cannot set leverage gt maxLeverage by risk limit"
    )
    signal = account_api.send(BTC, "buy", qty="0.1", leverage="9")
    assert (signal["status"], account_api.held(BTC)) == ("failed", "0")
    assert "maxLeverage" in signal["reason"]["message"]


def test_levels_as_distances_ride_on_the_entry_as_prices(account_api: AccountApi) -> None:
    signal = account_api.send(BTC, "sell", qty="0.1", stop_loss="1%", take_profit="+1000")
    row = account_api.position_row(BTC)
    assert (signal["status"], row["stopLoss"], row["takeProfit"]) == ("done", "101000.00", "99000.00")
