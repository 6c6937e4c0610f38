"""TradersPost's published messages, unchanged, and what its pages say of them.

https://docs.traderspost.io/docs/core-concepts/signals/webhooks,
https://docs.traderspost.io/docs/learn/platform-concepts/order-behavior and …/position-sizing.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from relay.domain.signal import Action, Level, LevelKind, QtyUnit
from tests.unit.dialect_cases import Message, native_of, refusal_of, signal_of

FORMAT = "traderspost"
LONG: dict[str, object] = {"action": "long"}


def message(ticker: str, action: str, **fields: Any) -> Message:
    return {"ticker": ticker, "action": action, **fields}


PUBLISHED: list[tuple[Message, dict[str, object]]] = [
    (
        message(
            "AMD",
            "buy",
            signalPrice=143.12,
            quantity=1,
            takeProfit={"percent": 10},
            stopLoss={"type": "stop", "percent": 5},
        ),
        LONG | {"signal_price": "143.12", "qty": "1", "qty_unit": "contracts", "take_profit": "10%", "stop_loss": "5%"},
    ),
    (message("MSFT", "buy"), LONG),
    (message("TSLA", "sell"), {"action": "short"}),
    (message("TSLA", "exit"), {"action": "close"}),
    (message("TSLA", "buy", price="420.69"), LONG | {"signal_price": "420.69"}),
    (message("TSLA", "exit", price=700.00), {"action": "close", "signal_price": "700.0"}),
    (message("SPY", "cancel"), {"action": "cancel"}),
    (message("SPY", "exit", cancel=True), {"action": "close"}),
    (message("SPY", "exit", cancel=False), {"action": "sell", "market_position": "flat"}),
    (message("SPY", "sell", sentiment="flat"), {"action": "flat"}),
    (message("SPY", "buy", sentiment="flat"), {"action": "flat"}),
    (
        message("MNQ", "buy", orderType="market", signalPrice=18500, takeProfit={"amount": 100}),
        LONG | {"type": "market", "signal_price": "18500", "take_profit": "+100"},
    ),
    (
        message("MNQ", "buy", orderType="limit", limitPrice=18500, takeProfit={"amount": 100}),
        LONG | {"type": "limit", "price": "18500", "take_profit": "+100"},
    ),
    (message("SPY", "buy", quantity=5), LONG | {"qty": "5", "qty_unit": "contracts"}),
    (
        message("SPY", "buy", quantityType="fixed_quantity", quantity=100),
        LONG | {"qty": "100", "qty_unit": "contracts"},
    ),
    (message("SPY", "buy", quantityType="dollar_amount", quantity=1000), LONG | {"qty": "1000", "qty_unit": "quote"}),
    (
        message(
            "SPY",
            "buy",
            signalPrice=100,
            quantityType="risk_dollar_amount",
            quantity=100,
            stopLoss={"type": "stop", "stopPrice": 90},
        ),
        LONG | {"signal_price": "100", "qty": "100", "qty_unit": "risk_quote", "stop_loss": "90"},
    ),
    (
        message(
            "SPY",
            "buy",
            signalPrice=100,
            quantityType="risk_percent",
            quantity=1,
            stopLoss={"type": "stop", "stopPrice": 90},
        ),
        LONG | {"signal_price": "100", "qty": "1", "qty_unit": "risk_pct", "stop_loss": "90"},
    ),
    (
        message("TSLA", "buy", orderType="limit", limitPrice=100, quantityType="amount_per_position", quantity=1000),
        LONG | {"type": "limit", "price": "100", "qty": "1000", "qty_unit": "quote"},
    ),
    (
        message("SPY", "buy", quantityType="percent_of_equity", quantity=10),
        LONG | {"qty": "10", "qty_unit": "equity_pct"},
    ),
    (
        message("SPY", "exit", quantityType="percent_of_position", quantity=50),
        {"action": "close", "qty": "50", "qty_unit": "position_pct"},
    ),
    (message("SPY", "exit", quantity=2), {"action": "close", "qty": "2", "qty_unit": "contracts"}),
    (message("SPY", "buy", orderType="limit", limitPrice=50.50), LONG | {"type": "limit", "price": "50.5"}),
    (
        message("SPY", "buy", orderType="stop_limit", stopPrice=60, limitPrice=50.50),
        LONG | {"type": "stop_limit", "trigger_price": "60", "price": "50.5"},
    ),
    (
        message("SPY", "buy", orderType="limit", limitPrice=50.50, timeInForce="gtc"),
        LONG | {"type": "limit", "price": "50.5", "time_in_force": "GTC"},
    ),
    (message("SPY", "exit", ignoreTradingWindows=True), {"action": "close"}),
    (message("SPY", "buy", extras={"message": "RSI Below 30", "rsi": 23}), LONG),
    (message("SPY", "buy", takeProfit={"percent": 10}), LONG | {"take_profit": "10%"}),
    (message("SPY", "buy", takeProfit={"amount": 10}), LONG | {"take_profit": "+10"}),
    (message("SPY", "buy", takeProfit={"limitPrice": 19.99}), LONG | {"take_profit": "19.99"}),
    (message("SPY", "buy", stopLoss={"type": "stop", "percent": 5}), LONG | {"stop_loss": "5%"}),
    (message("SPY", "buy", stopLoss={"type": "stop", "amount": 5}), LONG | {"stop_loss": "-5"}),
    (message("SPY", "buy", stopLoss={"type": "stop", "stopPrice": 10.71}), LONG | {"stop_loss": "10.71"}),
    (message("SPY", "buy", stopLoss={"type": "trailing_stop", "trailPercent": 1}), LONG | {"trailing_stop": "1%"}),
    (message("SPY", "buy", stopLoss={"type": "trailing_stop", "trailAmount": 1}), LONG | {"trailing_stop": "1"}),
    (
        message("SPY", "exit", orderType="trailing_stop", signalPrice=71, trailAmount="1"),
        {"action": "stops", "signal_price": "71", "trailing_stop": "1"},
    ),
    (
        message("SPY", "buy", takeProfit={"limitPrice": 19.99}, stopLoss={"type": "stop", "stopPrice": 10.71}),
        LONG | {"take_profit": "19.99", "stop_loss": "10.71"},
    ),
    (
        message("TSLA", "sell", sentiment="bearish", quantity=8),
        {"action": "short", "qty": "8", "qty_unit": "contracts"},
    ),
]
"""Each as published, to the native fields besides its ticker."""

STRATEGY_TEMPLATE = message(
    "BTCUSDT.P", "buy", sentiment="long", quantity="0.1", price="100000.5", time="2025-01-31T12:00:00Z", interval="60"
)
"""The message for TradingView strategies, with its placeholders replaced."""


@pytest.mark.parametrize(("published", "meant"), PUBLISHED, ids=lambda value: str(value)[:70])
def test_a_published_message_means_what_its_page_says(published: Message, meant: dict[str, object]) -> None:
    name, native = native_of(published, named=FORMAT)
    assert name == FORMAT
    assert native == {"ticker": published["ticker"], **meant}
    signal_of(published, named=FORMAT)


@pytest.mark.parametrize("published", [case[0] for case in PUBLISHED], ids=str)
def test_a_published_message_is_native_or_recognised(published: Message) -> None:
    """Where every name is a native one, the words alone do not tell the two apart."""
    is_plain = published.keys() <= {"ticker", "action", "price"} or (
        published.keys() == {"ticker", "action", "quantity"} and published["action"] != "exit"
    )
    assert native_of(published)[0] == (None if is_plain else FORMAT)


def test_the_message_for_strategies_is_read_whole() -> None:
    signal = signal_of(STRATEGY_TEMPLATE)
    assert (signal.action, signal.ticker, signal.qty_unit) == (Action.LONG, "BTCUSDT.P", QtyUnit.CONTRACTS)
    assert str(signal.qty) == "0.1" and str(signal.signal_price) == "100000.5"
    assert signal.sent_at is not None and signal.sent_at.isoformat() == "2025-01-31T12:00:00+00:00"
    assert signal.notes == ("read as a message of TradersPost because of `sentiment`; `?format=native` turns that off",)


@pytest.mark.parametrize(
    ("action", "sentiment", "meant"),
    [
        ("buy", "bullish", "long"),
        ("buy", "long", "long"),
        ("sell", "bearish", "short"),
        ("sell", "short", "short"),
        ("sell", "bullish", "close_long"),
        ("sell", "long", "close_long"),
        ("buy", "bearish", "close_short"),
        ("buy", "short", "close_short"),
    ],
)
def test_a_sentiment_of_the_other_side_only_reduces(action: str, sentiment: str, meant: str) -> None:
    """Short 10, `buy` 5 with the sentiment bearish leaves a short of 5."""
    native = native_of(message("SPY", action, sentiment=sentiment, quantity=5))[1]
    assert native == {"ticker": "SPY", "action": meant, "qty": "5", "qty_unit": "contracts"}


def test_a_flat_sentiment_closes_everything_whatever_the_quantity() -> None:
    signal = signal_of(message("SPY", "sell", sentiment="flat", quantity=2))
    assert signal.action is Action.FLAT


def test_a_distance_lies_on_its_own_side_of_the_entry() -> None:
    signal = signal_of(message("SPY", "sell", takeProfit={"amount": "10"}, stopLoss={"amount": 5}))
    assert signal.take_profits[0].at == Level(
        kind=LevelKind.DISTANCE, value=signal.take_profits[0].at.value, sign_given=True
    )
    assert signal.take_profits[0].at.value == 10
    assert signal.stop_loss is not None and signal.stop_loss.value == -5


@pytest.mark.parametrize(
    ("fields", "field", "problem"),
    [
        ({"optionType": "call"}, "optionType", "option contract"),
        ({"intrinsicValue": "itm"}, "intrinsicValue", "option contract"),
        ({"expiration": "+6 months"}, "expiration", "option contract"),
        ({"strikeCount": 4}, "strikeCount", "option contract"),
        ({"strikesAway": 2}, "strikesAway", "option contract"),
        ({"strikePrice": 68}, "strikePrice", "option contract"),
        ({"delay": 60}, "delay", "executed at once"),
        ({"extendedHours": True}, "extendedHours", "stocks"),
        ({"ignoreTradingWindows": True}, "ignoreTradingWindows", "an exit always passes"),
        ({"timeInForce": "opg"}, "timeInForce", "neither opens nor closes"),
        ({"timeInForce": "cls"}, "timeInForce", "neither opens nor closes"),
        ({"timeInForce": "day", "orderType": "limit", "limitPrice": 5}, "timeInForce", "use `gtc`"),
        ({"timeInForce": "gtx"}, "timeInForce", "must be one of"),
        ({"cancel": False}, "cancel", "first cancels"),
        ({"cancel": "perhaps"}, "cancel", "true or false"),
        ({"cancelOrderType": "stop"}, "cancelOrderType", "chooses among"),
        ({"orderType": "trailing_stop", "trailAmount": 1}, "orderType", "goes with `exit`"),
        ({"orderType": "iceberg"}, "orderType", "must be one of"),
        ({"orderType": "limit"}, "limitPrice", "needs its limit price"),
        ({"orderType": "stop"}, "stopPrice", "needs the price that triggers it"),
        ({"limitPrice": 5}, "limitPrice", "needs an `orderType`"),
        ({"stopPrice": 5}, "stopPrice", "needs an `orderType`"),
        ({"trailAmount": 5}, "trailAmount", "trailing_stop"),
        ({"trailPercent": 5}, "trailPercent", "trailing_stop"),
        ({"quantityType": "lots", "quantity": 1}, "quantityType", "must be one of"),
        ({"quantityType": "risk_percent"}, "quantityType", "needs a `quantity`"),
        ({"quantityType": "percent_of_position", "quantity": 5}, "quantityType", "goes with `exit`"),
        ({"quantity": "five"}, "quantity", "must be a number"),
        ({"quantity": -1}, "quantity", "must be 0 or more"),
        ({"quantity": ""}, "quantity", "is empty"),
        ({"sentiment": ""}, "sentiment", "is empty"),
        ({"sentiment": "{{strategy.market_position}}"}, "sentiment", "unreplaced"),
        ({"sentiment": "bulish"}, "sentiment", "the nearest is `bullish`"),
        ({"takeProfit": 5}, "takeProfit", "must be an object"),
        ({"takeProfit": {}}, "takeProfit", "needs one of"),
        ({"takeProfit": {"percent": -1}}, "takeProfit.percent", "must be above 0"),
        ({"takeProfit": {"percent": "1%"}}, "takeProfit.percent", "without `%`"),
        ({"takeProfit": {"percent": 1, "amount": 5}}, "takeProfit.amount", "send one of them"),
        ({"takeProfit": {"price": 1}}, "takeProfit.price", "is no field of TradersPost"),
        ({"stopLoss": {"type": "stop"}}, "stopLoss", "needs one of"),
        (
            {"stopLoss": {"type": "stop_limit", "stopPrice": 10.71, "limitPrice": 10.75}},
            "stopLoss.type",
            "market order",
        ),
        ({"stopLoss": {"stopPrice": 10.71, "limitPrice": 10.75}}, "stopLoss.limitPrice", "market order"),
        ({"stopLoss": {"type": "stop", "trailPercent": 1, "percent": 2}}, "stopLoss.trailPercent", "does not go with"),
        ({"stopLoss": {"type": "trailing_stop", "percent": 1}}, "stopLoss.percent", "does not go with"),
        ({"sentimant": "long", "quantity": 1}, "sentimant", "is no field of TradersPost"),
        ({"test": True}, "test", "not for real"),
        ({"limitPrice": "=signal.price ** 2", "orderType": "limit"}, "limitprice", "is not calculated"),
    ],
    ids=str,
)
def test_what_cannot_be_honoured_is_refused_by_its_name(fields: Message, field: str, problem: str) -> None:
    error = refusal_of(message("SPY", "buy", **fields), named=FORMAT)
    assert field in error.fields, error.fields
    assert problem in " ".join(error.fields[field])
    assert f"`{field}`" in error.message


@pytest.mark.parametrize(
    ("action", "fields", "field"),
    [
        ("add", {"sentiment": "flat", "quantity": 2}, "sentiment"),
        ("exit", {"orderType": "trailing_stop"}, "orderType"),
        ("exit", {"orderType": "trailing_stop", "trailAmount": 1, "quantity": 2}, "quantity"),
        ("cancel", {"cancelOrderType": "stop"}, "cancelOrderType"),
        ("hold", {}, "action"),
    ],
)
def test_what_does_not_go_with_the_action_is_refused(action: str, fields: Message, field: str) -> None:
    assert field in refusal_of(message("SPY", action, **fields), named=FORMAT).fields


@pytest.mark.parametrize("named", [None, FORMAT])
def test_an_addition_is_recognised(named: str | None) -> None:
    """`add` adds to whichever side is open, which no native action means."""
    signal = signal_of(message("TSLA", "add", price=700.00, quantity=5), named=named)
    assert (signal.action, signal.qty, signal.clears_resting) == (Action.ADD, Decimal(5), False)
    assert signal_of(message("TSLA", "add", quantity=5, cancel=True), named=named).clears_first


def test_an_entry_leaves_a_position_of_its_side_as_it_is() -> None:
    assert signal_of(message("TSLA", "buy", quantity=5), named=FORMAT).stays_as_large
    assert not signal_of(message("TSLA", "sell", sentiment="long", quantity=5), named=FORMAT).stays_as_large


@pytest.mark.parametrize("fields", [{}, {"ticker": "SPY"}, {"action": "buy"}, {"ticker": "", "action": "buy"}])
def test_a_ticker_and_an_action_are_needed(fields: Message) -> None:
    error = refusal_of(fields, named=FORMAT)
    assert set(error.fields) == {name for name in ("ticker", "action") if not fields.get(name)}


@pytest.mark.parametrize(
    "fields",
    [
        {"extendedHours": False},
        {"ignoreTradingWindows": "false"},
        {"delay": 0},
        {"cancel": True},
        {"cancelOrderType": "all"},
        {"timeInForce": "day"},
        {"takeProfit": None, "stopLoss": None},
        {"test": False, "message": "a long sentence about this trade"},
    ],
    ids=str,
)
def test_what_asks_for_nothing_is_taken(fields: Message) -> None:
    assert signal_of(message("SPY", "buy", quantity=1, **fields), named=FORMAT).action is Action.LONG


@pytest.mark.parametrize(
    ("formula", "meant"),
    [
        ("=signal.signalPrice + 5", "205"),
        ("= (signal.signalPrice - 0.5) * 2", "399"),
        ("=round(signal.signalPrice / 3, 2)", "66.67"),
        ("=floor(signal.extras.high) - abs(-1)", "209"),
        ("=min(signal.signalPrice, 150, 300) % 40", "30"),
        ("=0.1 + 0.2", "0.3"),
    ],
)
def test_a_formula_is_calculated_exactly(formula: str, meant: str) -> None:
    fields = {"signalPrice": "200", "orderType": "limit", "limitPrice": formula, "extras": {"high": "210.9"}}
    assert signal_of(message("SPY", "buy", **fields)).price == Decimal(meant)


@pytest.mark.parametrize(
    "formula",
    [
        "=",
        "=signal.nothing + 1",
        "=signal.limitPrice",
        "=open('x')",
        "=signal.signalPrice > 1",
        "=1 / 0",
        "=2 ** 9",
        "=__import__('os')",
        "=" + "(" * 120 + "1" + ")" * 120,
        "=" + "1+" * 120 + "1",
        "=close + 5",
        "='5'",
        "=true",
    ],
)
def test_what_is_no_arithmetic_of_the_message_is_refused(formula: str) -> None:
    error = refusal_of(message("SPY", "buy", signalPrice=200, orderType="limit", limitPrice=formula))
    assert "limitprice" in error.fields or "limitPrice" in error.fields


def test_neither_ticker_nor_action_is_a_formula() -> None:
    assert "action" in refusal_of(message("SPY", "=signal.extras", sentiment="long")).fields
    assert signal_of(message("=1+1", "buy", sentiment="long", quantity="=1+1")).ticker == "=1+1"


def test_whether_a_reversal_by_sentiment_holds_its_exit_is_asked_for() -> None:
    assert signal_of(message("SPY", "sell", sentiment="short", quantity=2)).may_hold_exit
    assert signal_of(message("SPY", "sell", sentiment="short", qty=2)).may_hold_exit
    assert not signal_of(message("SPY", "sell", sentiment="short")).may_hold_exit
    assert not signal_of(message("SPY", "sell", signalPrice=5, quantity=2)).may_hold_exit
