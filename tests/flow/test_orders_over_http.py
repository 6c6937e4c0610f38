"""What a plan's orders are like at the exchange: kinds, prices, legs, what is cancelled first, what is left alone.

Tests with resting orders have a symbol each, because the relay remembers what rests.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.flow.desk import BTC, BTC_INVERSE, BTC_USDC, AccountApi, Market

CANCEL, CREATE, POSITIONS = "/v5/order/cancel", "/v5/order/create", "/v5/position/list"


def usdt(coin: str) -> Market:
    return Market(ticker=f"{coin}USDT.P", symbol=f"{coin}USDT", lot="1")


def fate(signal: dict[str, Any]) -> tuple[str, str, str]:
    (order,) = signal["orders"]
    return signal["status"], order["status"], order["filled_qty"]


# Limit orders: 200 is the price, and `depth` how much there is at it

FATES: dict[str, tuple[str, str, str | None, str, str, list[str]]] = {
    "GTC below rests": ("GTC", "190", None, "accepted", "0", ["1"]),
    "GTC at the price fills": ("GTC", "200", None, "filled", "1", []),
    "GTC over the price fills": ("GTC", "210", None, "filled", "1", []),
    "GTC fills what there is and rests": ("GTC", "200", "0.4", "partially_filled", "0.4", ["0.6"]),
    "IOC below is gone": ("IOC", "190", None, "expired", "0", []),
    "IOC at the price fills": ("IOC", "200", None, "filled", "1", []),
    "IOC fills what there is and is gone": ("IOC", "200", "0.4", "expired", "0.4", []),
    "FOK below is gone": ("FOK", "190", None, "expired", "0", []),
    "FOK at the price fills": ("FOK", "200", None, "filled", "1", []),
    "FOK is not filled in part": ("FOK", "200", "0.4", "expired", "0", []),
    "PostOnly below rests": ("PostOnly", "190", None, "accepted", "0", ["1"]),
    "PostOnly at the price is gone": ("PostOnly", "200", None, "expired", "0", []),
}


@pytest.mark.parametrize(("force", "price", "depth", "status", "filled", "rests"), FATES.values(), ids=FATES.keys())
def test_a_limit_order_does_what_its_time_in_force_says(
    account_api: AccountApi, force: str, price: str, depth: str | None, status: str, filled: str, rests: list[str]
) -> None:
    sol = usdt("SOL")
    account_api.control.prices(SOLUSDT={"price": "200", "depth": depth})
    signal = account_api.send(sol, "buy", type="limit", price=price, qty="1", time_in_force=force)
    assert fate(signal) == ("done", status, filled)
    (row,) = account_api.arrived(sol, signal)
    assert (row["orderType"], Decimal(row["price"]), row["timeInForce"]) == ("Limit", Decimal(price), force)
    assert [row["leavesQty"] for row in account_api.resting(sol)] == [f"{Decimal(left):.1f}" for left in rests]
    assert account_api.held(sol) == filled
    was_cut_short = status == "expired"
    assert any("the exchange ended the order" in note for note in signal["notes"]) is was_cut_short


@pytest.mark.parametrize(
    ("market", "side", "price", "sent"),
    [
        (BTC, "buy", "94999.97", "94999.90"),
        (BTC, "sell", "105000.01", "105000.10"),
        (BTC_USDC, "buy", "94999.99999", "94999.90"),
        (BTC_INVERSE, "sell", "105000.000001", "105000.10"),
        (BTC, "buy", "95000", "95000.00"),
    ],
)
def test_limit_prices_round_away_from_the_takers_side(
    account_api: AccountApi, market: Market, side: str, price: str, sent: str
) -> None:
    signal = account_api.send(market, side, type="limit", price=price, qty="1000", qty_unit="quote")
    (row,) = account_api.arrived(market, signal)
    assert (row["price"], row["orderStatus"]) == (sent, "New")
    account_api.send(market, "cancel")


@pytest.mark.parametrize(
    ("market", "qty", "sent"),
    [(BTC, "0.0129999999", "0.012"), (BTC_USDC, "0.0125", "0.012"), (BTC_INVERSE, "99.9", "99")],
)
def test_quantities_round_down_to_the_step(account_api: AccountApi, market: Market, qty: str, sent: str) -> None:
    signal = account_api.send(market, "buy", qty=qty, qty_unit="contracts")
    assert [row["qty"] for row in account_api.arrived(market, signal)] == [sent]
    assert account_api.held(market) == sent


def test_a_resting_reduce_only_limit_reduces_once_the_price_is_there(account_api: AccountApi) -> None:
    link = usdt("LINK")
    account_api.control.prices(LINKUSDT="25")
    account_api.hold(link, "10")
    signal = account_api.send(link, "sell", type="limit", price="30", qty="4", reduce_only=True)
    assert fate(signal) == ("done", "accepted", "0")
    assert account_api.shown(link, signal) == ["sell 4 reduce-only"]
    account_api.control.prices(LINKUSDT="30")
    assert account_api.held(link) == "6"


def test_the_stops_of_an_alert_ride_on_its_entry(account_api: AccountApi) -> None:
    signal = account_api.send(BTC, "buy", qty="0.1", stop_loss="95000.07", take_profit="110000.01")
    row = account_api.position_row(BTC)
    assert (signal["status"], row["stopLoss"], row["takeProfit"]) == ("done", "95000.00", "110000.10")


def test_exits_too_small_to_send_are_carried_into_the_next(account_api: AccountApi) -> None:
    account_api.hold(BTC, "1")
    for _ in range(2):
        small = account_api.send(BTC, "sell", qty="0.0004", market_position="long")
        assert (small["status"], small["orders"]) == ("done", [])
        assert any("next exit" in note for note in small["notes"])
    signal = account_api.send(BTC, "close", qty="0.0004")
    assert (signal["status"], account_api.held(BTC)) == ("done", "0.999")


@pytest.mark.parametrize("size", ["1.0004", "0.9996"])
def test_a_target_nearer_than_the_minimum_is_done(account_api: AccountApi, size: str) -> None:
    account_api.hold(BTC_USDC, "1")
    signal = account_api.send(BTC_USDC, "target", market_position="long", market_position_size=size)
    assert (signal["status"], signal["reason"], signal["orders"]) == ("done", None, [])
    assert any("minimum" in note for note in signal["notes"])


# Legs: 119 BTC and 5,000,000 USD are the most that one market order may be


@pytest.mark.parametrize(
    ("market", "p", "action", "fields", "orders", "end"),
    [
        (BTC, "0", "buy", {"qty": "200"}, ["buy 1000", "buy 1000"], "200"),
        (BTC, "100", "close", {}, ["sell 1000 reduce-only"], "0"),
        (BTC, "238", "close", {}, ["sell 1190 reduce-only", "sell 1190 reduce-only"], "0"),
        (BTC, "100", "reverse", {}, ["sell 1000 reduce-only", "sell 1000"], "-100"),
        (BTC, "-150", "long", {"qty": "0.001"}, ["buy 750 reduce-only", "buy 750 reduce-only", "buy 0.01"], "0.001"),
        (
            BTC_INVERSE,
            "-4000000",
            "long",
            {"qty": "2000000", "qty_unit": "contracts"},
            ["buy 4000 reduce-only", "buy 2000"],
            "2000000",
        ),
    ],
)
def test_what_is_over_the_market_maximum_goes_in_legs(
    account_api: AccountApi, market: Market, p: str, action: str, fields: dict[str, Any], orders: list[str], end: str
) -> None:
    account_api.control.account(balances={"USDT": "100000000", "BTC": "1000"})
    for part in (Decimal(p) / 2, Decimal(p)):
        account_api.hold(market, part)
    signal = account_api.send(market, action, **fields)
    assert (signal["status"], signal["reason"]) == ("done", None)
    assert account_api.shown(market, signal) == orders
    assert account_api.held(market) == end


def test_an_exit_that_ends_in_part_is_sent_again_and_what_then_remains_needs_a_person(account_api: AccountApi) -> None:
    eth = usdt("ETH")
    account_api.hold(eth, "5")
    account_api.control.prices(ETHUSDT={"price": "4000", "depth": "2"})
    signal = account_api.send(eth, "close")
    assert (signal["status"], signal["reason"]["code"]) == ("attention", "POSITION_REMAINS")
    assert account_api.shown(eth, signal) == ["sell 5 reduce-only"] + ["sell 3 reduce-only"] * 3
    assert account_api.held(eth) == "3"


@pytest.mark.parametrize(("action", "fields"), [("short", {}), ("sell", {}), ("target", {"market_position": "short"})])
def test_a_flip_that_the_balance_refuses_is_an_exit(
    account_api: AccountApi, action: str, fields: dict[str, Any]
) -> None:
    account_api.hold(BTC, "0.5")
    signal = account_api.send(BTC, action, qty="50", **fields)
    assert (signal["status"], signal["reason"]["code"]) == ("failed", "EXCHANGE_BALANCE")
    assert any(note.startswith("ENTRY_WITHHELD: ") for note in signal["notes"])
    flip, exit_alone = signal["orders"]
    assert (flip["status"], flip["reduce_only"], exit_alone["status"]) == ("rejected", False, "filled")
    assert (exit_alone["reduce_only"], exit_alone["filled_qty"], account_api.held(BTC)) == (True, "0.5", "0")


# What rests


def resting_of(account_api: AccountApi, market: Market) -> tuple[str, str, str]:
    """The relay's entry, the relay's exit and somebody's own order, on a long with a stop; their venue ids."""
    account_api.control.prices(**{market.symbol: "100"})
    account_api.hold(market, "10")
    account_api.protect(market, "50")
    (entry,) = account_api.send(market, "buy", type="limit", price="90", qty="2")["orders"]
    (exit_,) = account_api.send(market, "sell", type="limit", price="110", qty="3", reduce_only=True)["orders"]
    return entry["venue_order_id"], exit_["venue_order_id"], account_api.place(market, "Buy", "1", price="80")


def test_cancel_takes_what_opens_or_adds_and_nothing_else(account_api: AccountApi) -> None:
    ltc = usdt("LTC")
    _, exit_, foreign = resting_of(account_api, ltc)
    signal = account_api.send(ltc, "cancel")
    assert (signal["status"], signal["orders"]) == ("done", [])
    assert {row["orderId"] for row in account_api.resting(ltc) if not row["stopOrderType"]} == {exit_, foreign}
    row = account_api.position_row(ltc)
    assert (row["size"], row["stopLoss"]) == ("10.0", "50.00")


def test_cancel_leaves_other_symbols_alone(account_api: AccountApi) -> None:
    bch, etc = usdt("BCH"), usdt("ETC")
    for market in (bch, etc):
        account_api.control.prices(**{market.symbol: "100"})
        account_api.send(market, "buy", type="limit", price="90", qty="2")
    assert account_api.send(bch, "cancel")["status"] == "done"
    assert (len(account_api.resting(bch)), len(account_api.resting(etc))) == (0, 1)


_TARGET = {"market_position": "long", "market_position_size": "4"}
CLEARING: dict[str, tuple[str, dict[str, Any], str]] = {
    "AAVE": ("close", {}, "0"),
    "ATOM": ("flat", {}, "0"),
    "AVAX": ("exit", {}, "0"),
    "DOT": ("long", {"qty": "12"}, "12"),
    "UNI": ("short", {"qty": "2"}, "-2"),
    "NEAR": ("target", _TARGET, "4"),
    "BNB": ("reverse", {}, "-10"),
}


@pytest.mark.parametrize("coin", CLEARING, ids=lambda coin: CLEARING[coin][0])
def test_the_relays_own_orders_are_cancelled_before_the_position_is_read(account_api: AccountApi, coin: str) -> None:
    action, fields, end = CLEARING[coin]
    market = usdt(coin)
    entry, exit_, foreign = resting_of(account_api, market)
    account_api.control.clear_calls()
    signal = account_api.send(market, action, **fields)
    assert (signal["status"], signal["reason"], account_api.held(market)) == ("done", None, end)
    calls = [call["path"] for call in account_api.control.calls() if call["symbol"] == market.symbol]
    steps = [path for path in calls if path in (CANCEL, POSITIONS, CREATE)]
    # What the streams told of the position since the cancels needs no reading.
    assert steps[:2] == [CANCEL, CANCEL]
    assert [path for path in steps if path != POSITIONS][:3] == [CANCEL, CANCEL, CREATE]
    assert "/v5/order/cancel-all" not in calls
    left = {row["orderId"] for row in account_api.resting(market)}
    assert foreign in left
    assert not left & {entry, exit_}


def test_what_the_relay_did_not_place_is_left_alone_and_noted(account_api: AccountApi) -> None:
    fil = usdt("FIL")
    account_api.hold(fil, "10")
    foreign = account_api.place(fil, "Buy", "2", price="4")
    account_api.protect(fil, "3")
    signal = account_api.send(fil, "target", market_position="long", market_position_size="4")
    assert (signal["status"], account_api.held(fil)) == ("done", "4")
    assert foreign in {row["orderId"] for row in account_api.resting(fil)}
    assert any("1 order" in note and "left alone" in note for note in signal["notes"]), signal["notes"]


def test_a_buy_cancels_nothing(account_api: AccountApi) -> None:
    apt = usdt("APT")
    resting = resting_of(account_api, apt)
    assert account_api.send(apt, "buy", qty="1")["status"] == "done"
    assert {row["orderId"] for row in account_api.resting(apt)} >= set(resting)


# Hedge mode


@pytest.mark.parametrize(
    ("action", "fields"),
    [
        ("buy", {"qty": "100"}),
        ("sell", {"qty": "100", "market_position": "flat"}),
        ("long", {"qty": "100"}),
        ("close", {}),
        ("reverse", {}),
        ("target", {"market_position": "flat"}),
    ],
)
def test_hedge_mode_is_refused_and_said_so(account_api: AccountApi, action: str, fields: dict[str, Any]) -> None:
    ada = usdt("ADA")
    account_api.control.account(positionMode={"ADAUSDT": 3})
    signal = account_api.send(ada, action, **fields)
    assert signal["status"] in ("denied", "failed")
    assert signal["reason"]["code"] == "POSITION_MODE_HEDGE"
    assert "one-way" in signal["reason"]["message"]
    assert not any(order["filled_qty"] != "0" for order in signal["orders"])
