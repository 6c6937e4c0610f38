"""Each field of an alert by itself."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from relay.alerts.signal import read, signal_from_stored
from relay.domain.order import OrderType, TimeInForce, TriggerBy
from relay.domain.signal import NATIVE_ACTIONS, Action, Level, LevelKind, MarketSide, QtyUnit, Signal, TakeProfit
from relay.errors import AlertInvalid

RECEIVED_AT = datetime(2025, 1, 31, 12, 0, tzinfo=UTC)
PLAIN: dict[str, Any] = {"ticker": "BTCUSDT.P", "action": "buy", "qty": "0.01", "time": "2025-01-31T12:00:00Z"}


def signal(**fields: Any) -> Signal:
    alert = {name: value for name, value in {**PLAIN, **fields}.items() if value is not ...}
    reading = read(json.dumps(alert).encode())
    return signal_from_stored(reading.fields, id="s" * 26, strategy="default", received_at=RECEIVED_AT)


def refusal(**fields: Any) -> AlertInvalid:
    with pytest.raises(AlertInvalid) as caught:
        signal(**fields)
    assert caught.value.code == "ALERT_INVALID"
    assert caught.value.http_status == 422
    for name in caught.value.fields:
        assert f"`{name}`" in caught.value.message
    return caught.value


def problem(field: str, value: Any, **others: Any) -> str:
    error = refusal(**{field: value}, **others)
    assert list(error.fields) == [field]
    assert len(error.fields[field]) == 1
    return error.fields[field][0]


def test_a_plain_alert_becomes_a_signal() -> None:
    assert signal() == Signal(
        id="s" * 26,
        strategy="default",
        action=Action.BUY,
        received_at=RECEIVED_AT,
        sent_at=RECEIVED_AT,
        ticker="BTCUSDT.P",
        qty=Decimal("0.01"),
    )


def test_every_field_arrives() -> None:
    everything = signal(
        id=7,
        order_id="Long 1",
        exchange="BYBIT",
        action="SELL",
        qty=1800.8000000000002,
        qty_unit="Quote",
        type="Stop_Limit",
        price="65000.5",
        trigger_price=64000,
        trigger_by="MARK",
        time_in_force="postonly",
        valid_for="300",
        take_profit=[{"at": "1%", "share": "50%", "THEN": "BreakEven"}, {"at": 60000, "share": 50}],
        stop_loss="-40",
        trailing_stop="1%",
        trailing_start="+2%",
        leverage="5",
        market_position="Short",
        market_position_size=0.7,
        prev_market_position="flat",
        prev_market_position_size=0,
        position_size="-0.7",
        signal_price="65001",
        account=["one", "two"],
        comment="free text, 5 %",
        interval="15",
        open=1,
        volume="n/a",
        bar_time=None,
        x_mine=True,
    )
    assert everything == Signal(
        id="s" * 26,
        strategy="default",
        action=Action.SELL,
        received_at=RECEIVED_AT,
        sent_at=RECEIVED_AT,
        ticker="BTCUSDT.P",
        exchange="BYBIT",
        sender_id="7",
        order_id="Long 1",
        qty=Decimal("1800.8"),
        qty_unit=QtyUnit.QUOTE,
        names_type=True,
        type=OrderType.STOP_LIMIT,
        price=Decimal("65000.5"),
        trigger_price=Decimal(64000),
        trigger_by=TriggerBy.MARK,
        time_in_force=TimeInForce.POST_ONLY,
        valid_for_s=300,
        take_profits=(
            TakeProfit(
                at=Level(kind=LevelKind.PERCENT, value=Decimal(1)), share_pct=Decimal(50), moves_stop_to_entry=True
            ),
            TakeProfit(at=Level(kind=LevelKind.PRICE, value=Decimal(60000)), share_pct=Decimal(50)),
        ),
        stop_loss=Level(kind=LevelKind.DISTANCE, value=Decimal(-40), sign_given=True),
        trailing_stop=Level(kind=LevelKind.PERCENT, value=Decimal(1)),
        trailing_start=Level(kind=LevelKind.PERCENT, value=Decimal(2), sign_given=True),
        leverage=Decimal(5),
        market_position=MarketSide.SHORT,
        market_position_size=Decimal("0.7"),
        prev_market_position=MarketSide.FLAT,
        prev_market_position_size=Decimal(0),
        position_size=Decimal("-0.7"),
        signal_price=Decimal(65001),
        accounts=("one", "two"),
        comment="free text, 5 %",
    )


@pytest.mark.parametrize("action", NATIVE_ACTIONS)
def test_every_action_is_known_in_any_case(action: Action) -> None:
    extra = {"market_position": "flat", "stop_loss": "1%", "qty": ...}
    assert signal(action=action.value.upper(), **extra).action is action


@pytest.mark.parametrize(
    ("word", "likely"),
    [
        *(("byu", "buy"), ("seel", "sell"), ("shrt", "short"), ("close-longs", "close_long"), ("revers", "reverse")),
    ],
)
def test_an_unknown_action_is_refused_with_the_nearest_and_all_that_are_allowed(word: str, likely: str) -> None:
    said = problem("action", word)
    assert f"cannot be `{word}`; the nearest is `{likely}`; it must be one of `buy`" in said
    assert "`heartbeat`" in said


@pytest.mark.parametrize(
    ("field", "word"),
    [
        *(
            ("action", word)
            for word in ("sell_short", "buy_short", "exit_sell", "dont_buy", "not_long", "sl_hit", "none")
        ),
        *(("action", word) for word in ("partial_close", "wait", "flip", "alert", "scale_in", "increase", "add", "tp")),
        *(("action", "stop"), ("market_position", "unknown"), ("type", "buy_limit"), ("qty_unit", "quantity")),
    ],
)
def test_a_word_that_is_no_slip_of_the_finger_gets_no_hint_that_would_order_something_else(
    field: str, word: str
) -> None:
    assert "nearest" not in problem(field, word)


@pytest.mark.parametrize(
    ("field", "word", "likely"),
    [
        ("qty_unit", "usdt", "quote"),
        ("qty_unit", "risk_percent", "risk_pct"),
        ("type", "stop", "stop_market"),
        ("type", "limt", "limit"),
        ("time_in_force", "maker", "PostOnly"),
        ("trigger_by", "LastPrice", "last"),
        ("prev_market_position", "flatt", "flat"),
    ],
)
def test_an_unknown_word_is_refused_with_the_nearest(field: str, word: str, likely: str) -> None:
    assert f"the nearest is `{likely}`" in problem(field, word)


@pytest.mark.parametrize(
    ("field", "word"),
    [
        *(("market_position", "buy"), ("market_position", "none"), ("action", "neutral"), ("time_in_force", "gtd")),
        *(("qty_unit", "percent"), ("qty_unit", "%"), ("qty_unit", "margin"), ("qty_unit", "lots")),
        *(("type", "conditional"), ("market_position", "0"), ("trigger_by", "flat")),
    ],
)
def test_a_word_that_services_mean_in_different_ways_gets_no_hint(field: str, word: str) -> None:
    assert "nearest" not in problem(field, word)


@pytest.mark.parametrize("field", ["qty", "price", "leverage", "position_size", "signal_price"])
@pytest.mark.parametrize("value", [True, ["1"], {"a": 1}, "one", "1 2", "0x10", "1_000", "1,5", "٣", "--1", "1e", "."])
def test_a_wrong_type_of_number_is_refused(field: str, value: Any) -> None:
    assert "must be a number" in problem(field, value, **({"type": "limit"} if field == "price" else {}))


@pytest.mark.parametrize("word", ["NaN", "n/a", "nan", "Infinity", "-inf", "null"])
def test_a_number_that_is_none_is_refused_by_name(word: str) -> None:
    assert "which is no number" in problem("qty", word)


def test_an_endless_number_in_quotes_is_refused() -> None:
    assert "5,000 digits" in problem("qty", "9" * 5000)


@pytest.mark.parametrize("value", ["-1", -0.5, "-1e-9"])
def test_a_negative_quantity_is_refused(value: Any) -> None:
    said = problem("qty", value)
    assert "must be 0 or more" in said
    assert "`action` says the side" in said


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("leverage", "0.5", "must be 1 or more"),
        ("signal_price", "0", "must be above 0"),
        ("slippage_pct", "0", "must be above 0"),
        ("slippage_pct", "101", "must be 100 or less"),
        ("slippage_pct", "0.5%", "plain number without `%`"),
        ("valid_for", "1.5", "whole number"),
        ("valid_for", "-1", "must be above 0"),
        ("valid_for", "1h", "must be a number"),
        ("market_position_size", "-1", "`market_position` says the side"),
        ("prev_market_position_size", "-1", "`prev_market_position` says the side"),
        ("reduce_only", "maybe", "must be true or false"),
        ("reduce_only", [True], "must be true or false"),
        ("action", 5, "cannot be `5`"),
        ("action", ["buy"], "must be one of `buy`"),
        ("ticker", True, "must be text, not `true`"),
        ("ticker", ["BTCUSDT"], "must be text, not a list"),
        ("ticker", "B" * 65, "64 letters at most"),
        ("id", {"a": 1}, "must be text, not an object"),
        ("id", "x" * 201, "200 letters at most"),
        ("comment", ["a"], "must be text"),
        ("volume", ["a"], "must be text or a number"),
        ("x_mine", {"a": 1}, "must be text or a number"),
        ("account", [], "none of them empty"),
        ("account", "one,,two", "none of them empty"),
        ("account", [["one"]], "must be an account's name"),
        ("account", [f"a{number}" for number in range(51)], "50 accounts at most"),
        ("time", "yesterday", "must be `{{timenow}}`"),
        ("time", ["now"], "must be a time"),
        ("take_profit", [], "1 to 20"),
        ("take_profit", True, "must be a price"),
        ("stop_loss", {"at": "1%"}, "must be a price"),
        ("stop_loss", "0", "zero is none of them"),
        ("stop_loss", "0%", "zero is none of them"),
        ("stop_loss", "two", "must be a number"),
        ("trailing_stop", "-1%", "above zero"),
        ("trailing_stop", 0, "above zero"),
    ],
)
def test_a_value_out_of_bounds_is_refused_with_what_would_be_right(field: str, value: Any, said: str) -> None:
    assert said in problem(field, value)


@pytest.mark.parametrize(
    ("value", "flag"), [(True, True), ("TRUE", True), ("yes", True), (1, True), ("false", False), (0, False)]
)
def test_a_flag_may_be_quoted(value: Any, flag: bool) -> None:
    assert signal(reduce_only=value).reduce_only is flag


@pytest.mark.parametrize("spelled", ["one,two", "one + two", ["one", "two", "one"], "one,two,one"])
def test_accounts_may_be_a_list_or_text(spelled: Any) -> None:
    assert signal(account=spelled).accounts == ("one", "two")


def test_symbol_is_another_name_of_ticker() -> None:
    assert signal(ticker=..., symbol="ETHUSDT").ticker == "ETHUSDT"
    assert signal(ticker="", symbol="ETHUSDT").ticker == "ETHUSDT"
    assert signal(ticker="ethusdt", symbol="ETHUSDT").ticker == "ethusdt"
    assert "differs from `ticker`" in problem("symbol", "ETHUSDT")


def test_several_problems_are_all_reported_at_once() -> None:
    error = refusal(action="byu", qty="-1", qyt=1, ticker=..., price="x", leverage=0)
    assert set(error.fields) == {"action", "qty", "qyt", "ticker", "price", "leverage"}
    assert all(f"`{name}` {said}" in error.message for name, found in error.fields.items() for said in found)


def test_a_message_repeats_little_of_a_value() -> None:
    error = refusal(action="z" * 5000)
    assert "z" * 60 in error.message
    assert "z" * 61 not in error.message
    assert "\n" not in refusal(action="a\nb").message
    long_name = refusal(**{"z" * 5000: 1})
    assert "z" * 61 not in long_name.message


@pytest.mark.parametrize(
    "spelling",
    [
        "2025-01-31T12:00:00Z",
        "2025-01-31T12:00:00+0000",
        "2025-01-31T14:00:00+0200",
        "2025-01-31T07:00:00-05:00",
        "2025-01-31T14:00:00+02",
        "2025-01-31T12:00:00",
        "2025-01-31t12:00:00z",
        "2025-01-31 12:00:00",
        "2025-01-31 12:00",
        "2025-01-31 12:00:00 UTC",
        "2025-01-31 14:00:00 +0200",
        "2025-01-31 12:00:00 GMT",
        "2025/01/31 12:00:00",
        "2025.01.31 12:00:00.000",
        "1738324800",
        "1738324800000",
        "1738324800.000",
        "1,738,324,800,000",
        "1.7383248E12",
        1738324800,
        1.7383248e12,
    ],
)
def test_a_moment_is_one_however_pine_and_the_placeholders_write_it(spelling: object) -> None:
    assert signal(time=spelling).sent_at == RECEIVED_AT


@pytest.mark.parametrize(
    "spelling",
    [
        *("31.01.2025 12:00:00", "01/31/2025 12:00", "2025-31-01 12:00:00", "2025-01/31 12:00:00", "2025-01-31"),
        *("2025-01-31 12:00:00 EST", "2025-01-31 25:00:00", "12:00:00", "1,738,324,80", "1738324800,5", "17383248E20"),
        *("2025-01-31T12:00:00+25:00", "1999-01-31 12:00:00"),
    ],
)
def test_a_moment_that_could_be_two_or_none_is_refused(spelling: str) -> None:
    assert "must be `{{timenow}}`, a time such as" in problem("time", spelling)
