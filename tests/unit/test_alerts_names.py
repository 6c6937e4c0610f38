"""Plain names of other people: what each means, how several go together, and what is no name at all."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from relay.alerts.names import bears_on_order, is_order_word, parts_of
from relay.alerts.signal import read, signal_from_stored, with_correction, with_readable
from relay.domain.signal import Action, Level, LevelKind, MarketSide, QtyUnit, Signal, TakeProfit
from relay.errors import AlertInvalid, AlertMalformed
from tests.unit.test_alerts_fields import RECEIVED_AT

TICKER = {"symbol": "ETHUSDT.P"}


def taken(**fields: Any) -> Signal:
    parsed = read(json.dumps({**TICKER, **fields}).encode())
    assert parsed.format == "native"
    return signal_from_stored(parsed.fields, id="s" * 26, strategy="default", received_at=RECEIVED_AT)


def refused(**fields: Any) -> AlertInvalid:
    """As the sender is told, with the corrected alert where there is one."""
    parsed = read(json.dumps({**TICKER, **fields}).encode())
    with pytest.raises(AlertInvalid) as caught:
        signal_from_stored(parsed.fields, id="s" * 26, strategy="default", received_at=RECEIVED_AT)
    return with_correction(parsed, caught.value)


def corrected(error: AlertInvalid | AlertMalformed) -> dict[str, Any]:
    return dict(json.loads(error.message.partition("corrected alert: ")[2]))


def price(value: str) -> Level:
    return Level(kind=LevelKind.PRICE, value=Decimal(value))


def percent(value: str) -> Level:
    return Level(kind=LevelKind.PERCENT, value=Decimal(value))


# One name.


@pytest.mark.parametrize(
    "name", ["side", "direction", "order_action", "signal", "orderAction", "ORDER-ACTION", "Order.Action", "order_side"]
)
@pytest.mark.parametrize(("word", "action"), [("sell", "sell"), ("LONG", "long"), ("Close", "close")])
def test_the_action_under_another_name(name: str, word: str, action: str) -> None:
    signal = taken(**{name: word}, qty="0.3")
    assert signal.action == action
    assert f"`{name}` read as `action`" in signal.notes[0]


@pytest.mark.parametrize(
    ("word", "action"),
    [
        *(("enter_long", "long"), ("OPEN-SHORT", "short"), ("exitLong", "close_long"), ("close short", "close_short")),
        *(("close-position", "close"), ("exit_all", "close"), ("flatten", "flat"), ("long_entry", "long")),
    ],
)
def test_the_action_in_other_words(word: str, action: str) -> None:
    assert taken(action=word).action == action


@pytest.mark.parametrize(
    ("name", "attribute", "value", "read_as"),
    [
        *(("quantity", "qty", "0.3", Decimal("0.3")), ("contracts", "qty", "2", Decimal(2))),
        *(("order_contracts", "qty", 0.3, Decimal("0.3")), ("positionQty", "qty", "1", Decimal(1))),
        *(("pair", "ticker", "SOLUSDT.P", "SOLUSDT.P"), ("instrument", "ticker", "SOLUSDT.P", "SOLUSDT.P")),
        *(("timestamp", "sent_at", "2025-01-31T12:00:00Z", RECEIVED_AT), ("lev", "leverage", "7", Decimal(7))),
        *(("triggerTime", "sent_at", 1738324800, RECEIVED_AT), ("order_name", "order_id", "L1", "L1")),
        *(("entry", "signal_price", "3100", Decimal(3100)), ("fill_price", "signal_price", 31, Decimal(31))),
        *(("marketPosition", "market_position", "Long", MarketSide.LONG),),
        *(("positionSide", "market_position", "LONG", MarketSide.LONG),),
        *(("sentiment", "market_position", "bullish", MarketSide.LONG),),
        *(("MARKET_POSITION_SIZE", "market_position_size", "2", Decimal(2)),),
        *(("tp", "take_profits", "3300", (TakeProfit(at=price("3300")),)), ("sl", "stop_loss", 2900, price("2900"))),
        *(("stopLoss", "stop_loss", "2%", percent("2")), ("target", "take_profits", 31, (TakeProfit(at=price("31")),))),
        *(("sl_pct", "stop_loss", "2", percent("2")), ("stopLossPercent", "stop_loss", 2.5, percent("2.5"))),
        *(("tp_percent", "take_profits", "4%", (TakeProfit(at=percent("4")),)),),
        *(("trail_pct", "trailing_stop", "0.7", percent("0.7")), ("trail", "trailing_stop", "0.7%", percent("0.7"))),
        *(("maxLag", "max_age_s", "20", Decimal(20)),),
    ],
)
def test_a_name_is_read_as_ours_and_said_so(name: str, attribute: str, value: object, read_as: object) -> None:
    plain = {} if attribute == "ticker" else TICKER
    parsed = read(json.dumps({**plain, "signal": "buy", name: value}).encode())
    signal = signal_from_stored(parsed.fields, id="s" * 26, strategy="default", received_at=RECEIVED_AT)
    assert getattr(signal, attribute) == read_as
    assert any(f"`{name}`" in note for note in signal.notes) or name.lower() == attribute


def test_what_was_read_is_the_same_again_from_what_is_kept() -> None:
    body = b'{"Pair": "ETHUSDT.P", "Side": "BUY", "orderQty": 0.3, "stopLoss": "1%", "myTag": "a", "X_Own": 1}'
    parsed = read(body)
    assert set(parsed.fields) == {"Pair", "Side", "orderQty", "stopLoss", "myTag", "x_own"}
    kept = json.loads(json.dumps(parsed.fields))
    signals = [
        signal_from_stored(fields, id="s" * 26, strategy="default", received_at=RECEIVED_AT)
        for fields in (parsed.fields, kept)
    ]
    assert signals[0] == signals[1]
    assert signals[0].stop_loss == percent("1")


@pytest.mark.parametrize(
    "name", ["quote_qty", "quoteQty", "volume_usd", "usdt", "usd_amount", "notional", "QUOTE-AMOUNT"]
)
def test_a_name_that_says_money_is_a_size_in_money(name: str) -> None:
    signal = taken(action="buy", **{name: 150})
    assert (signal.qty, signal.qty_unit) == (Decimal(150), QtyUnit.QUOTE)


@pytest.mark.parametrize("name", ["size", "amount", "lots", "units", "orderSize"])
def test_a_size_of_coins_or_of_money_is_asked_about(name: str) -> None:
    error = refused(action="buy", **{name: "3"})
    assert list(error.fields) == [name]
    assert '`"qty_unit": "base"` (coins)' in error.message
    assert "corrected alert" not in error.message
    assert taken(action="buy", qty_unit="base", **{name: "3"}).qty == 3
    assert taken(action="buy", quantity_type="usdt", **{name: "3"}).qty_unit is QtyUnit.QUOTE
    assert taken(action="exit", **{name: "3"}).action is Action.EXIT


@pytest.mark.parametrize("action", ["buy", "short", "reverse"])
def test_a_volume_without_a_size_is_asked_about(action: str) -> None:
    assert "may be the order's size or the bar's" in refused(action=action, volume=12.5).fields["volume"][0]
    assert taken(action=action, volume=12.5, quantity="0.2").qty == Decimal("0.2")
    for exits in ({"action": "close"}, {"action": action if action != "reverse" else "buy", "market_position": "flat"}):
        if exits["action"] != "short":
            assert taken(**exits, volume=12.5).qty is None


def test_a_size_by_its_own_name_says_its_unit() -> None:
    signal = taken(action="buy", risk_pct="1.5", sl="2%")
    assert (signal.qty, signal.qty_unit) == (Decimal("1.5"), QtyUnit.RISK_PCT)
    assert "mean one field and differ" in refused(action="buy", qty="0.1", risk_pct="1", sl="2%").message


@pytest.mark.parametrize(("flag", "unit"), [(True, QtyUnit.QUOTE), ("true", QtyUnit.QUOTE), ("false", None)])
def test_a_flag_may_say_that_a_size_is_money(flag: object, unit: QtyUnit | None) -> None:
    assert taken(action="buy", qty="70", usd_order=flag).qty_unit is unit


def test_a_type_that_says_buy_or_sell_is_the_action() -> None:
    assert taken(type="SELL", quantity="0.1").action is Action.SELL
    assert taken(type="buy", order_type="limit", price=3000).price == 3000
    assert taken(order_type="MARKET", side="buy").names_type


def test_a_signal_price_is_no_limit_price() -> None:
    error = refused(side="buy", orderType="limit", entry="3050", quantity="0.2")
    assert "if it is the limit price of this `limit` order, call it `price`" in error.message
    assert corrected(error) == {**TICKER, "side": "buy", "orderType": "limit", "price": "3050", "quantity": "0.2"}
    assert taken(side="buy", order_type="limit", price="3050", entry="3049").signal_price == 3049
    assert list(refused(side="buy", limit_price="3050").fields) == ["limit_price"]
    assert taken(side="buy", limit_price="3050", type="limit").price == 3050


def test_a_stop_price_is_asked_about_unless_the_order_waits_for_one() -> None:
    assert "call it `stop_loss`, or `trigger_price`" in refused(side="buy", stopPrice="2900").message
    assert taken(side="buy", stopPrice="3300", type="stop_market").trigger_price == 3300


# Two names.


@pytest.mark.parametrize(
    ("fields", "action"),
    [
        *(
            ({"action": "exit", "side": "long"}, "close_long"),
            ({"action": "close", "direction": "SHORT"}, "close_short"),
        ),
        *(({"action": "buy", "side": "long"}, "buy"), ({"action": "sell", "direction": "short"}, "sell")),
        *(({"action": "close_long", "side": "sell"}, "close_long"), ({"signal": "open_long", "side": "buy"}, "long")),
        *(({"event": "ENTRY", "side": "short"}, "short"), ({"command": "enter", "side": "buy"}, "buy")),
        *(({"event": "exit", "side": "long"}, "close_long"), ({"action": "buy", "type": "BUY"}, "buy")),
    ],
)
def test_a_side_beside_an_action_goes_together_with_it(fields: dict[str, str], action: str) -> None:
    signal = taken(**fields)
    assert signal.action == action
    assert any("read together as" in note for note in signal.notes)


@pytest.mark.parametrize(
    "fields",
    [
        *(
            {"action": "sell", "side": "long"},
            {"action": "buy", "direction": "short"},
            {"action": "long", "side": "short"},
        ),
        *(
            {"action": "close", "side": "buy"},
            {"action": "close_long", "side": "buy"},
            {"type": "buy", "action": "sell"},
        ),
        *({"event": "enter"}, {"event": "LONG_ENTRY"}, {"action": "reverse", "side": "long"}),
        *({"event": "enter", "side": "flat"}, {"action": "buy", "side": "sell"}, {"event": "exit", "action": "buy"}),
    ],
)
def test_a_side_that_may_mean_something_else_is_asked_about(fields: dict[str, str]) -> None:
    error = refused(**fields)
    assert len(error.fields) == 1
    assert all(f"`{name}`" in error.message and f"`{said}`" in error.message for name, said in fields.items())
    assert "corrected alert" not in error.message


def test_the_sell_of_a_strategy_that_is_flat_afterwards_closes() -> None:
    signal = taken(action="sell", direction="flat", quantity="0.2")
    assert (signal.action, signal.market_position, signal.only_exits) == (Action.SELL, MarketSide.FLAT, True)


@pytest.mark.parametrize(
    ("one", "other", "value", "differing"),
    [
        *(("qty", "contracts", "0.2", "0.3"), ("sl", "stop_loss", "2900", "2%"), ("pair", "symbol_id", "A", "B")),
        *(("timestamp", "time", "2025-01-31T12:00:00Z", "2025-01-31T11:00:00Z"), ("tp", "target", 31, 32)),
    ],
)
def test_two_names_of_one_field_have_to_agree(one: str, other: str, value: object, differing: object) -> None:
    plain = {} if one == "pair" else TICKER
    for second, is_same in ((value, True), (differing, False)):
        fields = {**plain, "action": "buy", one: value, other: second}
        parsed = read(json.dumps(fields).encode())
        if is_same:
            signal_from_stored(parsed.fields, id="s" * 26, strategy="default", received_at=RECEIVED_AT)
            continue
        with pytest.raises(AlertInvalid) as caught:
            signal_from_stored(parsed.fields, id="s" * 26, strategy="default", received_at=RECEIVED_AT)
        assert f"`{one}`" in caught.value.message
        assert f"`{other}`" in caught.value.message


def test_numbers_that_are_spelled_differently_are_the_same() -> None:
    assert taken(action="buy", qty="0.20", contracts=0.2).qty == Decimal("0.2")


def test_an_exit_is_refused_for_two_sizes_and_not_for_two_stops() -> None:
    assert "contracts" in refused(action="close", qty="0.2", contracts="0.3").message
    signal = taken(action="close", sl="1", stop_loss="2", entry="1", fill_price="2", mood="x")
    assert (signal.action, signal.stop_loss) == (Action.CLOSE, None)


def test_a_size_in_money_and_a_unit_that_says_coins_are_asked_about() -> None:
    assert (
        "`usd` is a size in `quote`, and `qty_type` says `base`"
        in refused(side="buy", usd=70, qty_type="coins").message
    )
    assert taken(side="buy", usd=70, qty_type="usd").qty_unit is QtyUnit.QUOTE


def test_what_a_bar_calls_like_ours_is_the_bars() -> None:
    signal = taken(side="buy", qty="0.1", bar={"qty": 7, "stop": 2900})
    assert (signal.qty, signal.stop_loss) == (Decimal("0.1"), None)


def test_a_size_with_its_sign_says_where_the_strategy_stands() -> None:
    signal = taken(side="buy", contracts="0.1", mkt_pos="short", mkt_pos_size="-0.4")
    assert (signal.position_size, signal.market_position) == (Decimal("-0.4"), MarketSide.SHORT)


def test_a_position_side_of_one_way_mode_says_nothing() -> None:
    assert taken(side="buy", qty="0.1", positionSide="BOTH").market_position is None


@pytest.mark.parametrize("word", ["long", "short"])
def test_a_side_with_the_orders_own_contracts_is_that_order(word: str) -> None:
    signal = taken(order_action=word, order_contracts="0.3")
    assert (signal.action, signal.market_position) == ("buy" if word == "long" else "sell", word)


def test_an_age_that_no_entry_can_have_is_refused_and_keeps_no_exit() -> None:
    assert list(refused(side="buy", maxLag=0).fields) == ["maxLag"]
    assert taken(action="close", maxLag="0").max_age_s is None


# Levels.


@pytest.mark.parametrize("name", ["sl", "tp", "stop", "target"])
@pytest.mark.parametrize("value", ["+40", "-2%", "-40"])
def test_a_sign_is_only_read_under_our_own_names(name: str, value: str) -> None:
    error = refused(action="buy", **{name: value})
    assert "has a sign, which bots read in different ways" in error.fields[name][0]
    if value.endswith("%"):
        assert corrected(error)[name] == "2%"


def test_a_bare_trailing_distance_is_asked_about_under_another_name() -> None:
    assert 'a distance of 2 in price, or "2%"' in refused(action="buy", trail="2").message
    assert taken(action="buy", trailing_stop="2").trailing_stop is not None


@pytest.mark.parametrize("fields", [{"tp1": 31, "tp2": 32, "tp3": "33"}, {"tp": ["31", 32, 33]}])
def test_several_take_profits_need_their_shares(fields: dict[str, Any]) -> None:
    error = refused(action="buy", **fields)
    assert 'as a list of {"at", "share"}' in error.message
    legs = corrected(error)["take_profit"] if "take_profit" in corrected(error) else corrected(error)["tp"]
    assert [leg["share"] for leg in legs] == [33, 33, 34]
    assert [str(leg["at"]) for leg in legs] == ["31", "32", "33"]


@pytest.mark.parametrize("name", ["stop_loss", "take_profit", "trailing_stop", "sl", "takeProfit", "ts_pct"])
@pytest.mark.parametrize("value", ["", " ", "NaN", "na", "0", "n/a", "{{plot_3}}", "soon", True, [], {}, {"foo": "x"}])
def test_an_entry_is_not_placed_without_the_level_that_it_names(name: str, value: object) -> None:
    error = refused(action="buy", qty="0.1", **{name: value})
    assert all(each.startswith(name) for each in error.fields)


@pytest.mark.parametrize("name", ["stop_loss", "take_profit", "trailing_stop", "sl", "takeProfit", "ts_pct"])
@pytest.mark.parametrize("value", ["", "NaN", "0", "{{plot_3}}", "soon", {"foo": "x"}])
def test_an_exit_is_placed_whatever_its_levels_say(name: str, value: object) -> None:
    assert taken(action="close", **{name: value}).only_exits
    assert taken(action="sell", market_position="flat", qty="0.1", **{name: value}).only_exits


def test_a_level_that_is_null_is_not_there_and_noted() -> None:
    signal = taken(action="buy", sl=None, take_profit=None)
    assert (signal.stop_loss, signal.take_profits) == (None, ())
    assert "`sl` and `take_profit` are null: read as not there" in signal.notes


def test_a_list_of_stops_is_told_as_none_of_take_profits() -> None:
    assert "take profits" not in refused(action="buy", sl=["2900"]).message


def test_of_two_names_the_one_that_is_filled_counts() -> None:
    assert taken(action="buy", sl="", stop_loss="2900").stop_loss == price("2900")
    assert taken(action="buy", qty="0.2", contracts="{{strategy.order.contracts}}").qty == Decimal("0.2")


@pytest.mark.parametrize(
    "fields",
    [{"position_size": "0.4"}, {"reduce_only": ""}, {"account": "{{plot_1}}"}, {"qty": 5, "qty_unit": "{{plot_1}}"}],
)
def test_an_entry_is_not_placed_where_what_decides_it_cannot_be_told(fields: dict[str, Any]) -> None:
    assert list(refused(action="buy", **fields).fields) == [list(fields)[-1]]


@pytest.mark.parametrize("side", ["both", "NET"])
def test_a_side_that_is_none_says_nothing_beside_an_action(side: str) -> None:
    assert taken(action="close", side=side).action is Action.CLOSE
    assert refused(side=side).fields


# What is in no table.


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("strategy", "Long"), ("bot", "b-7"), ("score", 3), ("message", "buy now"), ("version", "1.2"), ("tf", "15")),
        *(("preset", "calm"), ("alert_id", 12), ("exchange_id", 4), ("source", "tv"), ("plot", "x"), ("http", "y")),
        *(("lucky_charm", "clover"), ("isWarm", True), ("tags", ["a", "b"]), ("my_rating", 4), ("apiKey", "k")),
        *(("is_live_bar", False), ("testMode", False), ("isLive", "yes"), ("newest", True), ("demography", "1st")),
        *(("simulated", False), ("enabled", True), ("run_mode", "live"), ("test", "no"), ("trend", "up")),
        *(
            ("plot_0", "31.5"),
            ("bar_close", "3100"),
            ("candleVolume", 4.5),
            ("positionIdx", 0),
            ("orderLinkId", "a-1"),
            ("category", "AI"),
        ),
    ],
)
def test_what_cannot_bear_on_an_order_is_shown_without_effect(name: str, value: object) -> None:
    signal = taken(action="buy", qty="0.1", **{name: value})
    assert signal == taken(action="buy", qty="0.1") or any(
        note == f"`{name}` is not known here; shown, without effect" for note in signal.notes
    )


def test_what_is_not_known_is_noted_once() -> None:
    signal = taken(action="buy", mood="calm", weather="wet")
    assert "`mood` and `weather` are not known here; shown, without effect" in signal.notes


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("stopLimit", "x"), ("sizeHint", True), ("max_lot", "a"), ("lotmax", "big"), ("leverage_factor", 0.5)),
        *(("exit_price", "3000"), ("isBuy", True), ("quantitiy", "0.4"), ("close_all", False), ("marginMode", "cross")),
        *(("orderTag2", ""), ("tpLadder", "x"), ("price_hint", ""), ("sl2", "2900"), ("hedge", "no")),
        *(("subaccountName", "two"), ("ts", "5"), ("multiplier", 2), ("budget", "100"), ("delay", 5), ("ttl", "9s")),
        *(("slippage", "0.4%"), ("expiry", 60), ("invert", True), ("breakeven", True), ("moveSLtoBE", True)),
        *(("balance", "all"), ("positionIdx", 1), ("dca", True), ("pyramiding", 3)),
    ],
)
def test_what_may_bear_on_an_order_is_refused_by_name_blank_or_filled(name: str, value: object) -> None:
    error = refused(action="buy", qty="0.1", **{name: value})
    assert list(error.fields) == [name]
    assert "`x_" not in error.message
    assert "nearest" not in error.message
    assert not any(f"`{native}`" in error.message for native in ("secret", "qty", "price", "stop_loss"))


@pytest.mark.parametrize("value", [4, "4", "-0.5", "7%", "12 USDT", "1e3"])
def test_a_number_under_a_name_that_is_not_known_is_refused_and_may_be_our_own(value: object) -> None:
    error = refused(action="buy", moon_phase=value)
    assert list(error.fields) == ["moon_phase"]
    assert "call it `x_moon_phase` (shown, without effect)" in error.message
    # It may be the size or a stop in a language of the sender's.
    assert "corrected alert" not in error.message


@pytest.mark.parametrize(
    "word", ["buy", "SELL", "reduce_only", "enter_long", "closed", "exit all", "Flat", "reverse", "open-short"]
)
def test_an_orders_word_is_refused_under_any_name_that_is_not_known(word: str) -> None:
    assert list(refused(action="buy", trend=word).fields) == ["trend"]
    assert list(refused(action="buy", preset=word).fields) == ["preset"]
    assert taken(action="buy", strategy=word, comment=word, alert_name=word).action is Action.BUY


@pytest.mark.parametrize("word", ["limit", "STOP", "post-only", "IOC", "trailingStop"])
def test_a_type_of_order_is_refused_under_any_name_that_is_not_known(word: str) -> None:
    assert list(refused(action="buy", execution=word, price="3000").fields) == ["execution"]
    assert taken(action="close", execution=word).action is Action.CLOSE
    assert taken(action="buy", execution="market", comment=word, preset=word).action is Action.BUY


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("test", True), ("paper", "yes"), ("simulated", 1), ("dryRun", "true"), ("run_mode", "paper")),
        *(("enabled", False), ("mode", "demo"), ("env", "sandbox"), ("IS_TEST", "1"), ("enabled", "0")),
        *(("test_mode", True), ("isPaper", "on"), ("papertrade", 1), ("is_live", False), ("tradingEnabled", "no")),
        *(
            ("disabled", True),
            ("backtesting", "yes"),
            ("demoAccount", True),
            ("execute", False),
            ("simulatedOrders", 1),
            ("notify_only", True),
            ("isFake", "yes"),
            ("autoTrade", False),
            ("skip", 1),
        ),
    ],
)
def test_what_is_not_for_real_is_refused_in_words(name: str, value: object) -> None:
    for action in ("buy", "close"):
        error = refused(action=action, **{name: value})
        assert list(error.fields) == [name]
        assert "not for real" in error.message
        assert "not for real" in refused(action=action, settings={name: value}).message


@pytest.mark.parametrize(
    ("name", "decides"),
    [
        *(("sizeHint", True), ("closeShare", True), ("acct", True), ("mood", False), ("ratio", True)),
        *(("scaleOut", True), ("reduce", True), ("reduce_by", True)),
    ],
)
def test_an_unknown_name_refuses_an_exit_only_where_it_says_what_is_closed(name: str, decides: bool) -> None:
    if decides:
        assert list(refused(action="close", **{name: "5"}).fields) == [name]
    else:
        assert taken(action="close", **{name: "5"}).action is Action.CLOSE


def test_names_are_cut_at_capitals_separators_and_digits() -> None:
    assert parts_of("stopLossPCT2x_end-Of.Day") == ("stop", "loss", "pct", "x", "end", "of", "day")
    assert parts_of("TPPrice") == ("tp", "price")
    assert [name for name in ("plot_7", "http", "slope", "stamp", "possible", "exitus") if bears_on_order(name)] == []
    assert all(map(bears_on_order, ("TP2", "slOffset", "POS", "tif2", "usdValue", "maxqty", "Contracts")))
    assert [
        text for text in ("opening soon", "buyers", "a long walk", "closing in on the target") if is_order_word(text)
    ] == []


# Objects.


def test_objects_are_read_leaf_by_leaf() -> None:
    signal = taken(
        general={"exchange": "BYBIT", "interval": "15"},
        order={"action": "sell", "contracts": "0.4", "price": "3010", "id": "S1", "stop_loss": "3100"},
        market={"position": "short", "position_size": "-0.4", "previous_position": "flat"},
        bar={"time": "2025-01-31T11:00:00Z", "volume": 5, "close": 3010},
        strategy={"name": "Cross", "settings": {"length": "fast, slow"}},
    )
    assert (signal.action, signal.qty, signal.order_id) == (Action.SELL, Decimal("0.4"), "S1")
    assert (signal.market_position, signal.position_size) == (MarketSide.SHORT, Decimal("-0.4"))
    assert (signal.signal_price, signal.stop_loss, signal.sent_at) == (Decimal(3010), price("3100"), None)
    assert "`order.stop_loss` read as `stop_loss`" in signal.notes[0]


@pytest.mark.parametrize(
    ("fields", "leaf"),
    [
        ({"order": {"action": "buy", "sizing": {"limit": 3}}}, "order.sizing.limit"),
        ({"exits": {"stop_loss": 2900}}, "exits.stop_loss"),
        ({"risk": {"stop": 2900}}, "risk.stop"),
        ({"legs": [{"stop_loss": 2900}]}, "legs[0].stop_loss"),
        ({"setup": {"length": 14}}, "setup.length"),
    ],
)
def test_a_leaf_that_could_mean_anything_is_refused_by_its_path(fields: dict[str, Any], leaf: str) -> None:
    assert list(refused(side="buy", **fields).fields) == [leaf]


def test_a_name_too_long_and_leaves_too_many_are_refused_and_keep_no_exit() -> None:
    long, many = {"m" * 61: "calm"}, {"strategy": {f"mood{chr(97 + at % 26)}{at // 26}": "calm" for at in range(220)}}
    for fields, said in ((long, "too long for a name"), (many, "are more than 200")):
        assert said in refused(action="buy", qty="0.1", **fields).message
        assert taken(action="close", **fields).action is Action.CLOSE


@pytest.mark.parametrize("inside", ["stops", "stop_loss", "trailing", "risk"])
def test_what_is_switched_off_inside_an_object_of_levels_keeps_no_exit(inside: str) -> None:
    fields = {inside: {"enabled": False}}
    assert all(name.startswith(inside) for name in refused(action="buy", qty="0.1", **fields).fields)
    assert taken(action="close", **fields).action is Action.CLOSE


def test_what_a_chart_tells_of_itself_beside_a_strategy_is_no_order() -> None:
    order = {"action": "sell", "contracts": "0.2", "price": "3050", "id": "S"}
    signal = taken(
        chart_info={"price": "3051", "volume": "77"},
        bar_info={"open": "3049", "close": "3050"},
        current_info={"fire_time": "2025-01-31T12:00:00Z", "plots": {"plot_0": "31.5"}},
        strategy_info={"order": order, "position_size": "-0.2", "prev_market_position": "flat"},
    )
    assert (signal.action, signal.qty, signal.market_position) == (Action.SELL, Decimal("0.2"), MarketSide.SHORT)


def test_an_objects_id_is_not_the_alerts() -> None:
    assert taken(action="buy", strategy={"id": "s-1"}).sender_id is None


# What is said, and the corrected alert.


def test_every_problem_is_said_in_the_senders_own_spelling() -> None:
    error = refused(Side="hold", stopLoss="soon", orderQty="x", maxLot=3, Leverage="lots")
    assert set(error.fields) == {"Side", "stopLoss", "orderQty", "maxLot", "leverage"}
    assert all(f"`{name}`" in error.message for name in error.fields)


def test_one_wrong_field_is_one_sentence() -> None:
    assert refused(side="bye").message.count("`side`") == 1
    assert list(refused(side="bye").fields) == ["side"]


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ({"stop_loss": "2,900"}, {"stop_loss": "2900"}),
        ({"qty": "1,250.5"}, {"qty": "1250.5"}),
        ({"qty": "0,5"}, {"qty": "0.5"}),
        ({"qty": "0,125"}, {"qty": "0.125"}),
        ({"leverage": "5x"}, {"leverage": "5"}),
        ({"time": "just now"}, {"time": "{{timenow}}"}),
        ({"qty": "5", "qty_unit": "usdt"}, {"qty": "5", "qty_unit": "quote"}),
        ({"qty": "120 USDT"}, {"qty": "120", "qty_unit": "quote"}),
        ({"quantity": "$35.5"}, {"quantity": "35.5", "qty_unit": "quote"}),
        ({"tp2": "3300", "tp": "3200"}, {"take_profit": [{"at": "3300", "share": 50}, {"at": "3200", "share": 50}]}),
    ],
)
def test_the_message_ends_with_the_corrected_alert(wrong: dict[str, str], right: dict[str, str]) -> None:
    assert corrected(refused(action="buy", **wrong)) == {**TICKER, "action": "buy", **right}


def test_the_corrected_alert_has_room_for_a_secret_that_stood_in_it() -> None:
    error = refused(action="buy", passphrase="a-secret-of-the-tests", qty="1,000")
    assert corrected(error)["secret"] == "YOUR-WEBHOOK-SECRET"
    assert "a-secret-of-the-tests" not in error.message


def test_there_is_no_corrected_alert_that_nobody_would_paste() -> None:
    assert "corrected alert" in refused(action="buy", qty="1,000", comment="m" * 1500).message
    assert "corrected alert" not in refused(action="buy", qty="1,000", comment="m" * 2000).message


def test_there_is_no_corrected_alert_where_one_thing_cannot_be_mended() -> None:
    assert "corrected alert" not in refused(action="buy", qty="1,000", stop_loss="").message
    assert "corrected alert" not in refused(action="buy", qty="1,000", amount="7").message
    stop = {"qty": "0.2", "type": "STOP", "stopPrice": "3200"}
    assert corrected(refused(action="buy", **stop))["type"] == "stop_market"
    assert "corrected alert" not in refused(action="buy", **stop, price="3210").message


def test_a_comma_behind_a_zero_parts_no_thousands() -> None:
    for said in ("0,125", "-0,500", "00,250"):
        assert "thousands" not in refused(action="buy", qty=said).message
    with pytest.raises(AlertMalformed) as caught:
        read(b'{"ticker": "ETHUSDT.P", "action": "buy", "qty": 0,125}')
    assert "has a decimal comma; write a decimal point" in caught.value.message


def test_a_comma_between_thousands_is_told_as_such() -> None:
    for said in (refused(action="buy", stop_loss="2,900").message, refused(action="buy", qty="12,000.5").message):
        assert "comma between the thousands" in said
        assert "decimal point" not in said
    with pytest.raises(AlertMalformed) as caught:
        read(b'{"ticker": "ETHUSDT.P", "action": "buy", "stop_loss": 2,900}')
    assert "comma between the thousands" in caught.value.message
    assert "decimal" not in caught.value.message


@pytest.mark.parametrize("value", ["3000 * 0.98", "3000*2", "(1+2)", "3000 - 40", "=3000+4", "1/3", "3000 + 2%"])
def test_a_calculation_is_told_as_such(value: str) -> None:
    for name in ("qty", "stop_loss", "sl"):
        if not (name == "sl" and value[0] in "+-"):
            assert "TradingView does not calculate" in refused(action="buy", **{name: value}).message


@pytest.mark.parametrize(
    "body",
    [
        b'{"ticker": "ETHUSDT.P", "action": "buy", "qty": "0.2",}',
        b'{"ticker": "ETHUSDT.P", "action": buy, "qty": 0.2}',
        b'{"ticker": ETHUSDT.P, "action": "buy", "qty": .2}',
    ],
)
def test_broken_json_that_says_one_thing_comes_back_mended(body: bytes) -> None:
    with pytest.raises(AlertMalformed) as caught:
        read(body)
    mended = corrected(with_readable(body, caught.value, ()))
    assert signal_from_stored(mended, id="s" * 26, strategy="default", received_at=RECEIVED_AT).qty == Decimal("0.2")


def test_broken_json_that_could_mean_two_things_does_not() -> None:
    body = b'{"ticker": "ETHUSDT.P", "action": buy, "stop_loss": NaN}'
    with pytest.raises(AlertMalformed) as caught:
        read(body)
    assert "corrected alert" not in with_readable(body, caught.value, ()).message


def test_a_market_order_may_last_a_day_and_have_a_price_of_zero() -> None:
    signal = taken(action="buy", time_in_force="day", price="0")
    assert signal.price is None
    assert (
        "GTC"
        not in refused(action="buy", type="limit", price=3000, time_in_force="day")
        .fields["time_in_force"][0]
        .split(";")[0]
    )
