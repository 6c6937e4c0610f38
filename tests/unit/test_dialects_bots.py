"""The messages of the common bots on GitHub, as their repositories have them."""

from __future__ import annotations

import pytest

from relay.domain.order import Purpose
from relay.domain.signal import Action, MarketSide, QtyUnit
from tests.unit.dialect_cases import Message, native_of, reading_of, refusal_of, signal_of
from tests.unit.dialect_messages import FILLED, GNOME, ROBSWC, SHORT_FORM

ORDER = {
    "ticker": "ETHUSD",
    "exchange": "bybit",
    "type": "Market",
    "qty": "1",
    "price": "1120",
    "qty_unit": "contracts",
}


def test_the_published_fill_is_read_whole() -> None:
    name, native = native_of(FILLED)
    assert name == "strategy_bot"
    assert native == {
        **{"action": "buy", "ticker": "DOGEUSDT", "exchange": "BINANCE", "time": "2020-09-06T01:44:17Z"},
        **{"qty": "10000", "signal_price": "0.0027451", "order_id": "doge door", "position_size": "10000"},
        **{"market_position": "long", "market_position_size": "10000"},
        **{"prev_market_position": "flat", "prev_market_position_size": "0"},
    }
    signal = signal_of(FILLED)
    assert (signal.action, signal.market_position, signal.sender_id) == (Action.BUY, MarketSide.LONG, None)


def test_without_the_strategys_position_the_order_is_sent_as_it_is() -> None:
    signal = signal_of(SHORT_FORM)
    assert (signal.action, str(signal.qty), signal.market_position) == (Action.SELL, "0.5", None)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("passphrase", FILLED),
        ("passphrase", SHORT_FORM),
        ("key", GNOME),
        ("key", ROBSWC),
        ("PIN", {"PIN": "abcdefgh", "SYMBOL": "BTCUSDT", "SIDE": "buy", "QTY": 1}),
        ("password", {"password": "abcdefgh", "symbol": "BTCUSDT", "side": "buy", "amount": 1}),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_authenticates_the_sender_is_handed_out_and_not_stored(name: str, message: Message) -> None:
    reading = reading_of(message)
    assert reading.secret == message[name]
    assert name.lower() not in reading.fields and message[name] not in str(reading.fields)


def test_a_key_of_digits_is_found_as_a_number() -> None:
    assert reading_of({**GNOME, "key": 678777}).secret == "678777"


def test_the_published_order_cancels_first() -> None:
    signal = signal_of(GNOME)
    assert (signal.action, signal.clears_first, signal.clears(Purpose.EXIT)) == (Action.BUY, True, False)
    assert not signal_of({**GNOME, "cancel_orders": "False"}).clears_resting


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_either_side_cancels_first_where_it_says_so(side: str) -> None:
    message = {"key": "k", "symbol": "BTCUSDT", "side": side, "amount": 1}
    assert signal_of({**message, "cancel_orders": True}).clears_first
    assert not signal_of({**message, "cancel_orders": False}).clears_first


@pytest.mark.parametrize(
    ("mode", "levels"),
    [
        ("Both", {"take_profit": "1%", "stop_loss": "0.5%"}),
        ("Profit", {"take_profit": "1%"}),
        ("Stop", {"stop_loss": "0.5%"}),
    ],
)
def test_the_published_order_means_what_its_readme_says(mode: str, levels: dict[str, str]) -> None:
    native = native_of({**GNOME, "cancel_orders": "False", "order_mode": mode})[1]
    assert native == {**ORDER, "action": "buy", **levels}
    assert signal_of({**GNOME, "cancel_orders": "False"}).qty_unit is QtyUnit.CONTRACTS


def test_closing_the_position_is_all_that_is_done() -> None:
    closing = {**GNOME, "close_position": "True"}
    assert native_of(closing)[1] == {"ticker": "ETHUSD", "exchange": "bybit", "action": "close"}
    assert signal_of(closing).action is Action.CLOSE


def test_cancelling_alone_cancels() -> None:
    assert signal_of({"key": "678777", "symbol": "ETHUSD", "cancel_orders": "True"}).action is Action.CANCEL


def test_a_limit_order_is_sent_as_it_is() -> None:
    native = native_of(ROBSWC)
    meant = {"ticker": "BTCUSDT", "action": "buy", "qty": "0.1", "qty_unit": "contracts", "type": "limit"}
    assert native == ("bot", {**meant, "price": "90000"})


@pytest.mark.parametrize(
    ("fields", "native"),
    [
        ({"tp": "70000", "sl": 60000}, {"take_profit": "70000", "stop_loss": "60000"}),
        ({"tp": "10%"}, {"take_profit": "10%"}),
        ({"take_profit": "70000"}, {"take_profit": "70000"}),
        ({"take_profit_percent": "2"}, {"take_profit": "2%"}),
        ({"leverage": "5", "reduce_only": "false"}, {"leverage": "5", "reduce_only": "false"}),
    ],
    ids=str,
)
def test_stops_are_prices_or_percentages(fields: Message, native: dict[str, object]) -> None:
    found = native_of({"key": "k", "symbol": "BTCUSDT", "side": "buy", "amount": 1, **fields}, named="bot")[1]
    assert found == {"ticker": "BTCUSDT", "action": "buy", "qty": "1", "qty_unit": "contracts", **native}


@pytest.mark.parametrize(
    ("fields", "field", "problem"),
    [
        ({"side": None}, "side", "is missing"),
        ({"side": "long"}, "side", "must be one of"),
        ({"action": "sell"}, "side", "send one of them"),
        ({"qty": 2}, "amount", "send one of them"),
        ({"amount": "lots"}, "amount", "must be a number"),
        ({"symbol": None}, "symbol", "is missing"),
        ({"close_position": "perhaps"}, "close_position", "true or false"),
        ({"cancel_orders": "perhaps"}, "cancel_orders", "true or false"),
        ({"order_mode": "All"}, "order_mode", "must be one of"),
        ({"order_mode": "Both"}, "take_profit_percent", "is missing"),
        ({"tp": "+40"}, "tp", "has a sign"),
        ({"sl": "-20"}, "sl", "has a sign"),
        ({"tp": 70000, "take_profit_percent": 1}, "take_profit_percent", "send one of them"),
        ({"take_profit_percent": "1%"}, "take_profit_percent", "without `%`"),
        ({"order_type": "twap"}, "order_type", "must be one of"),
        ({"order_type": "limit"}, "price", "needs its limit price"),
        ({"sl": "0"}, "sl", "zero is none of them"),
        ({"subaccount": "Testing"}, "subaccount", "is no field of"),
        ({"strategy": {"lots": 2}}, "strategy.lots", "is no field of"),
    ],
    ids=str,
)
def test_what_cannot_be_honoured_is_refused_by_its_name(fields: Message, field: str, problem: str) -> None:
    message = {"key": "k", "symbol": "BTCUSDT", "side": "buy", "amount": 1, **fields}
    error = refusal_of({name: value for name, value in message.items() if value is not None}, named="bot")
    assert field in error.fields, error.fields
    assert problem in " ".join(error.fields[field])


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"order_action": "hold"}, "strategy.order_action"),
        ({"order_action": ""}, "strategy.order_action"),
        ({"order_contracts": "NaN"}, "strategy.order_contracts"),
        ({"order_contracts": ""}, "strategy.order_contracts"),
        ({"market_position": "up"}, "strategy.market_position"),
        ({"lever": "5"}, "strategy.lever"),
    ],
)
def test_a_bad_field_of_a_fill_is_refused_by_its_name(fields: Message, field: str) -> None:
    strategy = {**SHORT_FORM["strategy"], **fields}
    assert set(refusal_of({**SHORT_FORM, "strategy": strategy}).fields) == {field}
