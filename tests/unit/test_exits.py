"""An alert that can only exit is stopped by nothing that its exit does not need."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from relay.alerts.fields import KNOWN
from relay.alerts.formats import alert_format_of
from relay.alerts.signal import read, signal_from_stored
from relay.domain.instrument import Category
from relay.domain.signal import Signal
from relay.errors import AlertInvalid, AlertMalformed
from tests.builders import NOW, facts, linear, plan, rules

TICKER = "BTCUSDT.P"
LONG, SHORT = Decimal(3), Decimal(-3)

EXITS: tuple[tuple[dict[str, Any], Decimal, Decimal], ...] = (
    *(({"action": action}, LONG, Decimal(3)) for action in ("close", "close_long", "flat", "exit")),
    *(({"action": action}, SHORT, Decimal(3)) for action in ("close", "close_short", "flat", "exit")),
    ({"action": "close", "qty": "2"}, LONG, Decimal(2)),
    ({"action": "close_long", "qty": "50", "qty_unit": "position_pct"}, LONG, Decimal("1.5")),
    ({"action": "sell", "qty": "1", "market_position": "flat"}, LONG, Decimal(3)),
    ({"action": "buy", "qty": "1", "market_position": "flat"}, SHORT, Decimal(3)),
    ({"action": "sell", "qty": "1", "position_size": "0"}, LONG, Decimal(3)),
    ({"action": "sell", "qty": "1", "market_position": "long"}, LONG, Decimal(1)),
    ({"action": "buy", "qty": "1", "market_position": "short"}, SHORT, Decimal(1)),
    ({"action": "sell", "qty": "1", "position_size": "2"}, LONG, Decimal(1)),
    ({"action": "buy", "qty": "1", "position_size": "-2"}, SHORT, Decimal(1)),
    ({"action": "target", "market_position": "flat"}, LONG, Decimal(3)),
    ({"action": "target", "position_size": "0"}, SHORT, Decimal(3)),
    ({"action": "sell", "qty": "2", "reduce_only": "true"}, LONG, Decimal(2)),
    ({"action": "sell", "qty": "9", "reduce_only": True}, LONG, Decimal(3)),
)
"""The alert, the position that it meets, and how much of that it closes."""
VALUES: tuple[tuple[str, str], ...] = (
    *(("empty", '""'), ("text NaN", '"NaN"'), ("bare NaN", "NaN"), ("null", "null"), ("text na", '"na"')),
    *(("bare na", "na"), ("zero", "0"), ("placeholder", '"{{plot_3}}"'), ("bare placeholder", '{{plot("a b")}}')),
    *(("nothing", ""), ("nonsense", '"!?"'), ("an object", '{"a": [1]}'), ("too many digits", "1" * 60)),
)
OPTIONAL = sorted(KNOWN - {"action", "ticker", "symbol", "account", "qty"})


def signal_of(fields: dict[str, Any], name: str = "", text: str = "") -> Signal:
    """The signal of an alert of these fields, with `text` for the value of `name`."""
    members = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in fields.items() if key != name]
    body = "{" + ", ".join([*members, *([f'"{name}": {text}'] if name else [])]) + "}"
    stored = read(body.encode()).fields
    return signal_from_stored(stored, id="s" * 26, strategy="default", received_at=NOW)


def closed_by(signal: Signal, position: Decimal) -> Decimal:
    """How much of the position the signal's orders close; they all only reduce."""
    resolved = replace(signal, category=Category.LINEAR, symbol="BTCUSDT")
    made = plan(resolved, rules(), facts(linear(), p=position))
    assert made.orders and all(order.reduce_only for order in made.orders), made
    assert all(order.side.sign * position < 0 for order in made.orders)
    return sum((order.qty for order in made.orders), Decimal(0))


def _values_of(name: str, fields: dict[str, Any]) -> list[tuple[str, str]]:
    """Without those that say how much is closed: the unit of a size, and that the strategy is flat."""
    is_part = "qty" in fields and fields.get("market_position") != "flat" and fields.get("position_size") != "0"
    if name == "qty_unit" and is_part:
        return [each for each in VALUES if each[1] in ("", '""', "null")]
    if name == "position_size" and is_part and "market_position" not in fields:
        return [each for each in VALUES if each[1] != "0"]
    return list(VALUES)


@pytest.mark.parametrize("each", EXITS, ids=lambda each: str(each[0]))
@pytest.mark.parametrize("name", OPTIONAL)
def test_no_field_that_an_exit_does_not_need_stops_it(each: tuple[dict[str, Any], Decimal, Decimal], name: str) -> None:
    alert, position, closes = each
    for what, text in _values_of(name, alert) if name not in alert else ():
        signal = signal_of({"ticker": TICKER, **alert}, name, text)
        assert signal.only_exits, what
        assert closed_by(signal, position) == closes, what


@pytest.mark.parametrize("action", ["close", "close_long", "close_short"])
@pytest.mark.parametrize("text", ["0", '"NaN"', "NaN", '"na"', '"{{strategy.order.contracts}}"', '"!?"', '"-1"'])
def test_a_close_of_a_size_that_cannot_be_read_is_refused_by_name(action: str, text: str) -> None:
    with pytest.raises(AlertInvalid) as refused:
        signal_of({"ticker": TICKER, "action": action}, "qty", text)
    assert list(refused.value.fields) == ["qty"]


@pytest.mark.parametrize("text", ["", '""', '"  "', "null"])
def test_a_close_of_no_size_closes_all(text: str) -> None:
    assert closed_by(signal_of({"ticker": TICKER, "action": "close"}, "qty", text), LONG) == 3


@pytest.mark.parametrize(
    "fields",
    [
        *({"action": action} for action in ("flat", "exit")),
        *({"action": action, "market_position": "flat"} for action in ("sell", "target")),
    ],
)
@pytest.mark.parametrize("text", ["0", '"NaN"', "NaN", '"{{strategy.order.contracts}}"', '"!?"', '""', "null"])
def test_where_all_of_the_position_goes_the_size_stops_nothing(fields: dict[str, Any], text: str) -> None:
    assert closed_by(signal_of({"ticker": TICKER, **fields}, "qty", text), LONG) == 3


@pytest.mark.parametrize(
    "member", ['{{plot("TP 1")}}', "{{plot_1}}", "NaN", "na", "", "soon, 3", "1.5", '"x"', "null", "[{{plot_2}}]"]
)
@pytest.mark.parametrize("place", ["[{}, 1]", "[1, {}, 2]", "[[], {}, {{}}]"])
def test_no_member_of_a_list_that_an_exit_does_not_need_stops_it(member: str, place: str) -> None:
    signal = signal_of({"ticker": TICKER, "action": "close"}, "take_profit", place.format(member))
    assert closed_by(signal, LONG) == 3
    assert any("`take_profit` ignored: " in note for note in signal.notes)


@pytest.mark.parametrize(
    ("members", "told"),
    [('["first", {{plot_1}}]', "{{plot_1}}"), ('[NaN, "first"]', "NaN")],
)
def test_a_member_of_the_accounts_that_cannot_be_read_is_not_left_out(members: str, told: str) -> None:
    """There is no account of that name, and that is told; else the exit would be missing on it in silence."""
    assert told in signal_of({"ticker": TICKER, "action": "close"}, "account", members).accounts


def test_an_empty_member_of_the_accounts_is_refused() -> None:
    with pytest.raises(AlertInvalid) as refused:
        signal_of({"ticker": TICKER, "action": "close"}, "account", '["first", , "second"]')
    assert list(refused.value.fields) == ["account"]


def signal_of_pairs(text: str) -> Signal:
    return signal_from_stored(read(text.encode()).fields, id="s" * 26, strategy="default", received_at=NOW)


@pytest.mark.parametrize(
    "broken",
    [
        *(f"{name}=NaN" for name in ("stop_loss", "take_profit", "leverage", "signal_price", "time", "valid_for")),
        *("stop_loss=1\nstop_loss=2", "comment=out of the range\n the average turned, twice", "stop_loss=90000\nUSDT"),
        *("comment=two\n\n\nlines", "take_profit=[{{plot_1}}, 1]", "signal_price={{close}}\n---"),
    ],
)
@pytest.mark.parametrize("exit_text", ["action=close", "action=flat", "action=sell\nqty=1\nmarket_position=flat"])
def test_no_line_that_an_exit_does_not_need_stops_it(exit_text: str, broken: str) -> None:
    signal = signal_of_pairs(f"ticker={TICKER}\n{exit_text}\n{broken}")
    assert signal.only_exits and closed_by(signal, LONG) == 3


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("action=close\nqty=1\nqty=2", "qty"),
        ("action=close\nqty=1\nBTC", "qty"),
    ],
)
def test_lines_that_say_what_is_closed_are_refused_where_they_cannot_be_read(text: str, field: str) -> None:
    with pytest.raises(AlertInvalid) as refused:
        signal_of_pairs(f"ticker={TICKER}\n{text}")
    assert list(refused.value.fields) == [field]


@pytest.mark.parametrize("line", ["qty: 1", "Quantity 1", "- size 5%", "account: first", "reduce by half", '"qty" 2'])
def test_a_line_that_may_say_how_much_is_closed_is_never_taken_for_a_comment(line: str) -> None:
    with pytest.raises(AlertMalformed, match="no key=value pair"):
        signal_of_pairs(f"ticker={TICKER}\naction=close\ncomment=out\n{line}")


def test_an_entry_in_pairs_is_read_as_strictly_as_ever() -> None:
    for text in ("qty=1\ncomment=a\nb", "qty=1\nstop_loss=1\nstop_loss=2"):
        with pytest.raises(AlertMalformed):
            signal_of_pairs(f"ticker={TICKER}\naction=buy\n{text}")


def test_what_was_left_out_is_named_in_a_note() -> None:
    for name in ("stop_loss", "take_profit", "trailing_stop", "signal_price", "leverage", "valid_for", "time", "id"):
        text = '{"a": 1}' if name == "id" else '"!?"'
        notes = signal_of({"ticker": TICKER, "action": "close"}, name, text).notes
        assert any(f"`{name}` ignored: " in note for note in notes), (name, notes)
    ladder = '[{"at": "1%", "share": 50}, {"at": "n/a", "share": 50}]'
    notes = signal_of({"ticker": TICKER, "action": "close"}, "take_profit", ladder).notes
    assert any("`take_profit` ignored: take profit 2 " in note for note in notes)


@pytest.mark.parametrize("fields", [{"type": "limit"}, {"type": "limit", "price": "NaN"}, {"type": "limt"}])
def test_an_exit_without_a_price_that_can_be_read_goes_at_the_market(fields: dict[str, str]) -> None:
    signal = signal_of({"ticker": TICKER, "action": "close", **fields})
    assert signal.type == "market"
    assert [note for note in signal.notes if "`type`" in note or "`price`" in note]


def test_an_exit_that_waits_for_a_trigger_needs_the_trigger() -> None:
    """At once it would close what was not to be closed yet."""
    with pytest.raises(AlertInvalid, match="triggers it"):
        signal_of({"ticker": TICKER, "action": "close", "type": "stop_market", "trigger_price": "NaN"})
    with pytest.raises(AlertInvalid, match="`type` cannot be `stop`"):
        signal_of({"ticker": TICKER, "action": "close", "type": "stop", "trigger_price": "100"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("my_note", "x"), ("strategy_name", "EMA cross"), ("tp", "1%"), ("sl", "na"), ("atr", 12), ("atr_stop", "5")),
        *(("tp1", []), ("close_time", ""), ("exitTimestamp", "na"), ("order_uuid", "a-1"), ("order_number", 4)),
    ],
)
def test_an_unknown_field_that_speaks_of_something_else_does_not_stop_an_exit(name: str, value: Any) -> None:
    signal = signal_of({"ticker": TICKER, "action": "exit", name: value})
    assert closed_by(signal, LONG) == 3
    told = [note for note in signal.notes if note.startswith(f"`{name}` ")]
    assert any("ignored" in note or "without effect" in note for note in told)


@pytest.mark.parametrize("inside", [{"a": 1}, [{"at": 1}], {"price": "NaN"}])
def test_what_stands_inside_a_field_that_an_exit_does_not_need_does_not_stop_it(inside: Any) -> None:
    assert closed_by(signal_of({"ticker": TICKER, "action": "close", "orderType": inside}), LONG) == 3
    with pytest.raises(AlertInvalid, match="orderType.side"):
        signal_of({"ticker": TICKER, "action": "close", "orderType": {"side": "short"}})


@pytest.mark.parametrize("text", ["", "{{plot_3}}", "NaN"])
def test_an_order_that_may_be_meant_to_reduce_only_is_not_sent_as_one_that_opens(text: str) -> None:
    with pytest.raises(AlertInvalid, match="`reduce_only`"):
        signal_of({"ticker": TICKER, "action": "sell", "qty": 1, "reduce_only": text})
    assert closed_by(signal_of({"ticker": TICKER, "action": "close", "reduce_only": text}), LONG) == 3


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("sub_number", 4), ("ticker_number", 7), ("close_count", 2), ("orderSide", "na")),
        *(("amount", 1), ("close_pct", 50), ("side", "sell"), ("direction", "up"), ("order", "buy")),
        *(("dry_run", True), ("test", 1), ("pair", "ETHUSDT")),
    ],
)
def test_an_unknown_field_that_may_say_what_is_closed_is_refused(name: str, value: Any) -> None:
    with pytest.raises(AlertInvalid, match=f"`{name}`"):
        signal_of({"ticker": TICKER, "action": "close", name: value})


def test_another_name_for_what_is_closed_is_read_as_it() -> None:
    assert closed_by(signal_of({"ticker": TICKER, "action": "close", "contracts": 1}), LONG) == 1
    for name in ("sub_account", "accounts"):
        assert signal_of({"ticker": TICKER, "action": "close", name: "two"}).accounts == ("two",)


def test_an_account_that_was_not_replaced_is_refused() -> None:
    with pytest.raises(AlertInvalid, match="`account` still holds"):
        signal_of({"ticker": TICKER, "action": "close", "account": "{{plot_1}}"})
    assert signal_of({"ticker": TICKER, "action": "close", "account": ""}).accounts == ()


@pytest.mark.parametrize(
    "body",
    [
        '{"ticker": "BTCUSDT.P", "action": "close", }',
        '{"ticker": "BTCUSDT.P", "action": "close", "take_profit": [{"at": NaN, "share": 50},]}',
        '{"ticker": "BTCUSDT.P", "action": "close", "comment": "two\nlines"}',
        '{"ticker": "BTCUSDT.P", "action": "close", "comment": "a", "comment": "b"}',
        '{"ticker": "BTCUSDT.P", "action": "close", "comment": "\\ud800", "stop_loss": 1e999}',
        '{"ticker": "BTCUSDT.P", "action": "close", "comment": "caf\xe9"}',
    ],
)
def test_json_that_is_broken_where_an_exit_does_not_look_is_read_all_the_same(body: str) -> None:
    signal = signal_from_stored(read(body.encode("latin-1")).fields, id="1", strategy="default", received_at=NOW)
    assert closed_by(signal, LONG) == 3


@pytest.mark.parametrize(
    "fields",
    [
        {"action": "buy", "qty": 1},
        {"action": "sell", "qty": 1, "market_position": "short"},
        {"action": "target", "market_position": "long", "market_position_size": 1},
        {"action": "reverse"},
        {"action": "stops", "take_profit": "1%"},
    ],
)
def test_what_can_open_is_still_refused_where_it_cannot_be_read(fields: dict[str, Any]) -> None:
    with pytest.raises(AlertInvalid):
        signal_of({"ticker": TICKER, **fields, "stop_loss": "NaN"})
    for text in ("NaN", "na", "{{plot_1}}", ""):
        with pytest.raises(AlertMalformed):
            signal_of({"ticker": TICKER, **fields}, "stop_loss", text)


_SENDER = {"signalToken": "an-okx-signal-token", "timestamp": "2025-01-31T12:00:00Z"}
FOREIGN: tuple[tuple[str, dict[str, Any], Decimal, Decimal, tuple[str, ...]], ...] = (
    ("traderspost", {"ticker": TICKER, "action": "exit"}, LONG, Decimal(3), ("quantity",)),
    (
        "traderspost",
        {"ticker": TICKER, "action": "exit", "quantity": 2},
        SHORT,
        Decimal(2),
        ("quantity", "quantityType"),
    ),
    ("traderspost", {"ticker": TICKER, "action": "sell", "sentiment": "flat"}, LONG, Decimal(3), ("sentiment",)),
    (
        "3commas",
        {"tv_instrument": TICKER, "bot_uuid": "b", "action": "exit_long"},
        LONG,
        Decimal(3),
        ("order.amount", "order.currency_type"),
    ),
    (
        "3commas",
        {"tv_instrument": TICKER, "bot_uuid": "b", "action": "sell", "strategy_info": {"market_position": "flat"}},
        LONG,
        Decimal(3),
        ("strategy_info.market_position",),
    ),
    ("okx", {**_SENDER, "instrument": TICKER, "action": "EXIT_SHORT"}, SHORT, Decimal(3), ("amount",)),
    (
        "okx",
        {**_SENDER, "instrument": TICKER, "action": "buy", "marketPosition": "flat"},
        SHORT,
        Decimal(3),
        ("marketPosition",),
    ),
    (
        "3commas_dca",
        {"email_token": "t", "pair": TICKER, "action": "close_at_market_price"},
        LONG,
        Decimal(3),
        ("pair",),
    ),
    (
        "tvhub",
        {"pair": TICKER, "token": "t", "isClose": True},
        LONG,
        Decimal(3),
        ("isBuy", "isSell", "isClose", "orderType", "useFixedSize", "unitsPercent", "units"),
    ),
    ("altrady", {"symbol": TICKER, "api_secret": "s", "action": "close", "side": "long"}, LONG, Decimal(3), ()),
    (
        "mizar",
        {"base_asset": "BTC", "quote_asset": "USDT", "action": "close-position", "side": "long"},
        LONG,
        Decimal(3),
        ("base_asset", "quote_asset", "size", "position_size"),
    ),
    (
        "signalbee",
        {
            "symbol": TICKER,
            "webhook_secret": "w",
            "side": "sell",
            "quantity": 1,
            "quantity_type": "fixed",
            "reduce_only": True,
        },
        LONG,
        Decimal(1),
        ("quantity_type", "quantity", "reduce_only"),
    ),
    (
        "pionex",
        {"symbol": TICKER, "signal_type": "s", "data": {"action": "sell", "contracts": 1, "position_size": 0}},
        LONG,
        Decimal(3),
        ("data.action", "data.position_size", "data"),
    ),
    ("wundertrading", {"code": "EXIT-ALL", "ticker": TICKER}, LONG, Decimal(3), ()),
    ("wundertrading", {"code": "EXIT-LONG", "ticker": TICKER}, LONG, Decimal(3), ("amountPerTrade",)),
    ("bot", {"symbol": TICKER, "key": "k", "close_position": True}, LONG, Decimal(3), ()),
    ("bot", {"symbol": TICKER, "key": "k", "side": "close", "order_mode": "both"}, LONG, Decimal(3), ()),
    (
        "strategy_bot",
        {"ticker": TICKER, "strategy": {"order_action": "sell", "order_contracts": 1, "market_position": "flat"}},
        LONG,
        Decimal(3),
        ("strategy.market_position",),
    ),
    (
        "strategy_bot",
        {"ticker": TICKER, "strategy": {"order_action": "sell", "order_contracts": 1, "position_size": 0}},
        LONG,
        Decimal(3),
        ("strategy.order_contracts",),
    ),
)
"""The format, the alert, the position, what it closes, and further fields that say what is closed."""
_CHOOSE = {
    "action",
    "ticker",
    "pair",
    "symbol",
    "instrument",
    "tv_instrument",
    "account",
    "code",
    "side",
    "close_position",
}
_SIZES = {"qty", "amount", "quantity"}
_OPTIONS = {"optionType", "intrinsicValue", "expiration", "strikeCount", "strikesAway", "strikePrice"}


def _with(message: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """`message` with the field at `path`; `a[].b` is that of one member, and `a.*` any of `a`."""
    name, _, rest = path.replace("*", "anything").partition(".")
    if not rest:
        return {**message, name.removesuffix("[]"): value}
    inside = message.get(name.removesuffix("[]"))
    if name.endswith("[]"):
        return {**message, name[:-2]: [_with({}, rest, value)]}
    return {**message, name: _with(inside if isinstance(inside, dict) else {}, rest, value)}


@pytest.mark.parametrize("case", FOREIGN, ids=lambda case: f"{case[0]}-{case[1]}")
def test_no_field_of_another_services_format_that_an_exit_does_not_need_stops_it(
    case: tuple[str, dict[str, Any], Decimal, Decimal, tuple[str, ...]],
) -> None:
    name, message, position, closes, deciding = case
    alert_format = alert_format_of(name)
    assert alert_format is not None
    is_sized = name == "bot" and "side" in message
    needed = {*_CHOOSE, *_OPTIONS, *deciding, *(_SIZES if is_sized else ())} | {"strategy.order_action", "test"}
    if "quantity" in deciding:
        needed.add("qty")
    if "flat" not in str(message):
        needed |= {"strategy.position_size"}
    paths = [path for path in alert_format.fields if path not in needed or path == "secret"]
    for path in paths:
        for value in ("", "NaN", None, "na", 0, "{{plot_3}}", "!?", {"a": 1}):
            changed = _with(message, path, value)
            stored = read(json.dumps(changed).encode(), named=name).fields
            signal = signal_from_stored(stored, id="s" * 26, strategy="default", received_at=NOW)
            assert signal.only_exits, (path, value)
            assert closed_by(signal, position) == closes, (path, value)


def test_a_foreign_exit_is_told_what_was_left_out_and_refused_for_what_it_closes() -> None:
    def signal_of_exit(**fields: Any) -> Signal:
        stored = read(json.dumps({"ticker": TICKER, "action": "exit", **fields}).encode(), named="traderspost").fields
        return signal_from_stored(stored, id="s" * 26, strategy="default", received_at=NOW)

    notes = signal_of_exit(stopLoss={"type": "stop_limit", "stopPrice": "NaN"}, delay="soon", orderTyp="x").notes
    for left_out in ("stopLoss.type", "stopLoss.stopPrice", "delay"):
        assert any(note.startswith(f"`{left_out}` ignored: ") for note in notes), (left_out, notes)
    assert any(note.startswith("`ordertyp` ") for note in notes)
    for name in ("quantity", "quantitiy", "optionType", "account"):
        with pytest.raises(AlertInvalid) as refused:
            signal_of_exit(**{name: "NaN"})
        assert list(refused.value.fields) == [name]


@pytest.mark.parametrize("order", ["", "NaN", 0, [1], "{{plot_2}}"])
def test_an_object_that_says_how_large_an_order_is_stops_no_exit_of_all(order: Any) -> None:
    message = {"tv_instrument": TICKER, "bot_uuid": "b", "order": order}
    whole = {**message, "action": "sell", "strategy_info": {"market_position": "flat"}}
    stored = read(json.dumps(whole).encode(), named="3commas").fields
    assert closed_by(signal_from_stored(stored, id="s" * 26, strategy="default", received_at=NOW), LONG) == 3
    with pytest.raises(AlertInvalid, match="`order` must be an object"):
        stored = read(json.dumps({**message, "action": "exit_long"}).encode(), named="3commas").fields
        signal_from_stored(stored, id="s" * 26, strategy="default", received_at=NOW)


def test_an_exit_under_the_name_of_no_format_is_read_as_it_stands() -> None:
    signal = signal_of({"ticker": TICKER, "action": "close", "format": "json"})
    assert closed_by(signal, LONG) == 3
    assert any(note.startswith("`format` ignored: ") for note in signal.notes)
    with pytest.raises(AlertInvalid, match="`format` cannot be `json`"):
        signal_of({"ticker": TICKER, "action": "buy", "qty": 1, "format": "json"})


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("mizar", {"base_asset": "BTC", "quote_asset": "USDT", "action": "close-position", "position_size": ""}),
        ("tvhub", {"pair": TICKER, "token": "t", "isClose": True, "unitsPercent": " "}),
    ],
)
def test_an_empty_part_of_another_services_close_closes_all(name: str, fields: dict[str, Any]) -> None:
    stored = read(json.dumps(fields).encode(), named=name).fields
    signal = signal_from_stored(stored, id="s" * 26, strategy="default", received_at=NOW)
    assert closed_by(signal, LONG) == 3


@pytest.mark.parametrize("text", ['{"percent": 40}', '"40%"', '{"qty": 1}'])
def test_a_close_that_says_a_part_is_refused_and_any_other_value_is_the_bars_price(text: str) -> None:
    with pytest.raises(AlertInvalid, match="`close` is no part of the position"):
        signal_of({"ticker": TICKER, "action": "exit"}, "close", text)
    assert closed_by(signal_of({"ticker": TICKER, "action": "exit"}, "close", '{"bar": 7}'), LONG) == 3
