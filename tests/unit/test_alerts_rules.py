"""The fields of an alert together."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from relay.alerts.rules import Draft
from relay.domain.instrument import TradedMarket
from relay.domain.order import OrderType, TimeInForce
from relay.domain.signal import Action
from relay.errors import AlertInvalid
from tests.unit.test_alerts_fields import PLAIN, problem, refusal, signal


@pytest.mark.parametrize("value", [..., None])
def test_an_alert_without_action_is_refused(value: Any) -> None:
    assert "is missing: say what to do" in problem("action", value)


def test_an_empty_action_says_where_empty_ones_come_from() -> None:
    said = problem("action", "")
    assert "is empty" in said
    assert "not a strategy's" in said


def test_an_unreplaced_placeholder_is_refused_where_it_is_needed() -> None:
    assert "unreplaced `{{strategy.order.action}}`" in problem("action", "{{strategy.order.action}}")
    assert "unreplaced `{{ticker}}`" in problem("ticker", "{{ticker}}")
    assert "unreplaced `{{ticker}}`" in problem("ticker", ..., symbol="{{ticker}}")
    assert "unreplaced `{{close}}`" in problem("price", "{{close}}", type="limit")
    assert 'unreplaced `{{plot("SL")}}`' in problem("stop_loss", '{{plot("SL")}}', qty_unit="risk_pct")


def test_a_misspelt_placeholder_is_refused_with_the_nearest() -> None:
    said = problem("qty", "{{strategy.order.contract}}")
    assert "`{{strategy.order.contract}}`, a placeholder that TradingView does not know" in said
    assert "the nearest is `{{strategy.order.contracts}}`" in said


@pytest.mark.parametrize("field", ["signal_price", "id", "price", "leverage"])
def test_an_unreplaced_placeholder_is_ignored_with_a_note_where_it_is_not_needed(field: str) -> None:
    taken = signal(**{field: "{{close}}"})
    assert [note for note in taken.notes if f"`{field}` ignored: it still holds the unreplaced `{{{{close}}}}`" in note]
    assert signal() == signal(comment="x{{close}}", order_id="{{strategy.order.id}}", open="{{open}}", x_a="{{x}}")


def test_fields_that_are_empty_together_are_noted_together() -> None:
    taken = signal(market_position="", position_size=" ", leverage=None, comment="", close=None)
    assert taken.notes[0] == "`leverage` is null: read as not there"
    assert len(taken.notes) == 2
    assert taken.notes[1].startswith("`market_position` and `position_size` ignored: each is empty")


def test_an_alert_without_ticker_is_refused_unless_it_is_a_heartbeat() -> None:
    assert "name the instrument" in problem("ticker", ...)
    assert signal(action="heartbeat", ticker=...).action is Action.HEARTBEAT


@pytest.mark.parametrize("action", ["buy", "sell", "long", "short"])
@pytest.mark.parametrize("qty", ["", "{{strategy.order.contracts}}"])
def test_a_blank_size_of_an_entry_is_refused_rather_than_replaced_by_the_default(action: str, qty: str) -> None:
    assert "leave `qty` out altogether to use the strategy's default size" in problem("qty", qty, action=action)
    assert signal(action=action, qty=...).qty is None


def test_a_blank_size_is_ignored_where_the_strategy_went_flat_or_only_closes() -> None:
    assert signal(qty="", market_position="flat").qty is None
    for action in ("close", "exit", "flat", "close_long", "close_short", "reverse"):  # empty, and not unreplaced
        assert signal(qty="", action=action).qty is None


@pytest.mark.parametrize("action", ["buy", "sell", "long", "short", "reverse"])
@pytest.mark.parametrize("qty", ["0", 0, "0.000", "-0"])
def test_a_quantity_of_zero_is_refused(action: str, qty: Any) -> None:
    assert "must be above 0" in problem("qty", qty, action=action)


@pytest.mark.parametrize(
    ("action", "market"), [("flat", ...), ("exit", ...), ("close", "flat"), ("sell", "flat"), ("target", "flat")]
)
def test_a_size_of_zero_says_nothing_where_everything_goes(action: str, market: Any) -> None:
    taken = signal(action=action, qty="0", market_position=market)
    assert taken.qty is None
    assert "`qty` ignored: it is zero, and the whole position is closed" in taken.notes


def test_a_fill_that_left_the_strategy_flat_needs_no_quantity() -> None:
    assert signal(qty=0, market_position="flat").qty is None
    assert signal(qty=0, market_position="flat", action="target").qty is None
    assert "above 0" in problem("qty", 0, market_position="long")


@pytest.mark.parametrize("kind", ["limit", "stop_limit"])
@pytest.mark.parametrize("action", ["buy", "long", "target"])
def test_a_limit_order_without_price_is_refused(kind: str, action: str) -> None:
    said = problem(
        "price", ..., type=kind, trigger_price=1 if kind == "stop_limit" else ..., action=action, position_size=1
    )
    assert f"a `{kind}` order needs its limit price" in said


@pytest.mark.parametrize("price", ["0", "-1", 0])
def test_a_price_that_is_none_is_refused(price: Any) -> None:
    assert "must be above 0" in problem("price", price, type="limit")


@pytest.mark.parametrize("kind", ["stop_market", "stop_limit"])
def test_a_conditional_order_needs_the_price_that_triggers_it(kind: str) -> None:
    assert "triggers it" in problem("trigger_price", ..., type=kind, price=1 if kind == "stop_limit" else ...)
    assert signal(type=kind, price=1, trigger_price=2).trigger_price == 2


def test_a_stop_limit_order_without_prices_is_told_that_both_are_missing() -> None:
    assert set(refusal(type="stop_limit").fields) == {"price", "trigger_price"}


@pytest.mark.parametrize("kind", [..., "market", "stop_market"])
def test_a_price_on_a_market_order_is_ignored_with_a_note(kind: Any) -> None:
    taken = signal(price="65000", type=kind, trigger_price=1 if kind == "stop_market" else ...)
    assert taken.price is None
    assert len(taken.notes) == 1
    assert taken.notes[0].startswith("`price` ignored: a `")


def test_a_trigger_price_on_an_order_that_does_not_wait_is_refused() -> None:
    assert "needs `type` to be `stop_market` or `stop_limit`, not `market`" in problem("trigger_price", "65000")
    assert "not `limit`" in problem("trigger_price", "65000", type="limit", price=1)


def test_what_only_resting_or_only_market_orders_have_is_taken_there() -> None:
    assert signal(slippage_pct="0.5").slippage_pct == Decimal("0.5")
    assert signal(type="limit", price=1, valid_for=60).valid_for_s == 60


def test_post_only_is_refused_on_a_market_order() -> None:
    assert "`PostOnly` needs `type` to be `limit`" in problem("time_in_force", "PostOnly")
    assert "not `stop_market`" in problem("time_in_force", "PostOnly", type="stop_market", trigger_price=1)


@pytest.mark.parametrize(
    ("field", "value"),
    [("take_profit", "1%"), ("stop_loss", "1%"), ("trailing_stop", "1%"), ("take_profit", [{"at": 1}])],
)
def test_stops_on_a_reduce_only_order_are_left_out(field: str, value: Any) -> None:
    taken = signal(**{field: value}, reduce_only=True)
    assert (taken.take_profits, taken.stop_loss, taken.trailing_stop) == ((), None, None)
    assert f"`{field}` ignored: an order that only reduces carries no stops" in taken.notes


def test_a_start_without_a_trailing_stop_is_refused() -> None:
    error = refusal(trailing_start="1%")
    assert "`trailing_start` says where one begins" in error.fields["trailing_stop"][0]


@pytest.mark.parametrize("unit", ["risk_pct", "risk_quote"])
def test_a_size_from_risk_takes_the_default_stop_loss_but_no_blank_one(unit: str) -> None:
    assert "is empty" in problem("stop_loss", "", qty_unit=unit)
    assert signal(qty_unit=unit).stop_loss is None
    assert signal(qty_unit=unit, stop_loss="1%").stop_loss is not None
    assert "use `position_pct`" in problem("qty_unit", unit, reduce_only=True)


def test_a_size_from_risk_withholds_no_exit() -> None:
    assert signal(qty_unit="risk_pct", market_position="flat").action is Action.BUY
    assert signal(qty_unit="risk_pct", market_position="long", action="sell").action is Action.SELL
    closing = signal(qty_unit="risk_pct", action="close")
    assert (closing.qty, closing.qty_unit) == (None, None)
    assert closing.notes[0].startswith("`qty` and `qty_unit` ignored")


@pytest.mark.parametrize(
    "fields",
    [
        {"position_size": "-0.5"},
        {"position_size": "0"},
        {"market_position": "long", "market_position_size": "0.5"},
        {"market_position": "flat"},
        {"market_position": "flat", "market_position_size": 0, "position_size": 0},
        {"market_position": "short", "qty": 1},
        {"market_position": "short", "position_size": -1},
    ],
)
def test_a_target_that_says_where_to_be_is_taken(fields: dict[str, Any]) -> None:
    assert signal(action="target", **{"qty": ..., **fields}).action is Action.TARGET


@pytest.mark.parametrize(
    ("fields", "field", "said"),
    [
        ({}, "market_position", "or `position_size` with its sign"),
        ({"qty": 1}, "market_position", "or `position_size` with its sign"),
        ({"market_position": ""}, "market_position", "is empty"),
        ({"market_position": "long"}, "market_position_size", "`target` with `long` needs it"),
        ({"market_position": "long", "market_position_size": 0}, "market_position_size", "must be above 0"),
        ({"market_position": "long", "position_size": "-1"}, "position_size", "contradicts"),
    ],
)
def test_a_target_that_does_not_say_where_to_be_is_refused(fields: dict[str, Any], field: str, said: str) -> None:
    error = refusal(action="target", **{"qty": ..., **fields})
    assert list(error.fields) == [field]
    assert said in error.fields[field][0]


@pytest.mark.parametrize("name", ["market_position_size", "position_size"])
def test_a_target_that_is_flat_closes_whatever_size_stands_beside_it(name: str) -> None:
    taken = signal(action="target", market_position="flat", qty=..., **{name: 1})
    assert (taken.only_exits, taken.strategy_sign) == (True, 0)
    assert f"`{name}` ignored: the strategy is flat, so all is closed" in taken.notes


def test_stops_needs_a_stop() -> None:
    error = refusal(action="stops", trailing_start=...)
    assert list(error.fields) == ["stop_loss"]
    assert "`stops` needs `take_profit`, `stop_loss` or `trailing_stop`" in error.message
    for field in ("take_profit", "stop_loss", "trailing_stop"):
        assert signal(action="stops", **{field: "1%"}).action is Action.STOPS


@pytest.mark.parametrize("action", ["cancel", "stops", "heartbeat"])
def test_what_belongs_to_an_order_is_ignored_where_none_is_placed(action: str) -> None:
    taken = signal(action=action, type="limit", reduce_only=True, stop_loss="1%", leverage=5)
    assert (taken.qty, taken.type, taken.reduce_only, taken.leverage) == (None, OrderType.MARKET, False, None)
    assert taken.notes[0] == f"`qty`, `type`, `reduce_only` and `leverage` ignored: `{action}` places no order"
    assert (taken.stop_loss is not None) == (action == "stops")


def test_a_message_with_neither_id_nor_time_gets_a_note() -> None:
    assert any("neither `id` nor `time`" in note for note in signal(time=...).notes)
    assert signal(time=..., id="a").notes == ()
    assert signal().notes == ()


def test_a_time_in_the_future_is_noted() -> None:
    assert signal(time="2025-01-31T12:00:05Z").notes == ()
    late = signal(time="2025-01-31T12:01:00Z")
    assert late.sent_at == datetime(2025, 1, 31, 12, 1, tzinfo=UTC)
    assert "`time` is 60 s in the future" in late.notes[0]


def test_a_plain_alert_has_no_notes() -> None:
    assert PLAIN["qty"] == "0.01"
    assert signal().notes == ()


@pytest.mark.parametrize(
    ("action", "side"), [("sell", "flat"), ("buy", "flat"), ("target", "flat"), ("sell", "long"), ("buy", "short")]
)
@pytest.mark.parametrize("unit", ["risk_pct", "risk_quote"])
def test_an_exit_of_the_strategy_needs_no_stop_for_its_size(action: str, side: str, unit: str) -> None:
    taken = signal(action=action, market_position=side, qty_unit=unit, stop_loss="")
    assert taken.stop_loss is None


@pytest.mark.parametrize(("action", "side"), [("buy", "long"), ("sell", "short"), ("buy", None)])
def test_an_entry_sized_by_its_risk_needs_its_stop(action: str, side: str | None) -> None:
    assert "is empty" in problem("stop_loss", "", action=action, market_position=side, qty_unit="risk_pct")


@pytest.mark.parametrize("action", ["buy", "sell", "target"])
def test_a_size_of_zero_says_nothing_where_the_strategy_goes_flat(action: str) -> None:
    taken = signal(action=action, qty="0", market_position="flat")
    assert taken.qty is None
    assert [note for note in taken.notes if "`qty` ignored: it is zero" in note]


@pytest.mark.parametrize("action", ["long", "short", "reverse"])
def test_a_size_of_zero_is_refused_where_the_action_opens_whatever_the_strategy_says(action: str) -> None:
    assert "must be above 0" in problem("qty", "0", action=action, market_position="flat")


@pytest.mark.parametrize("word", ["perpetual", "Perpetual"])
@pytest.mark.parametrize("action", ["buy", "close"])
def test_a_market_that_is_a_perpetual_is_what_is_traded(action: str, word: str) -> None:
    assert signal(action=action, market=word).action is Action(action)


@pytest.mark.parametrize("action", ["buy", "close"])
def test_spot_is_the_signals_own_market(action: str) -> None:
    assert signal(action=action, market="Spot").market is TradedMarket.SPOT
    assert signal(action=action).market is None


@pytest.mark.parametrize(
    "named",
    [
        {"type": "LIMIT_MAKER"},
        {"type": "limit_maker", "time_in_force": "GTC"},
        {"type": "limit", "time_in_force": "Limit_Maker"},
        {"type": "post_only"},
        {"type": "limit", "time_in_force": "GTX"},
    ],
)
def test_a_limit_maker_is_a_limit_order_that_never_takes(named: dict[str, str]) -> None:
    made = signal(action="buy", price="99", **named)
    assert (made.type, made.time_in_force, made.names_type) == (OrderType.LIMIT, TimeInForce.POST_ONLY, True)


@pytest.mark.parametrize("kind", ["take_profit_market", "TRAILING_STOP", "conditional", "stopLoss", "tp", "trail"])
def test_an_exit_of_a_type_that_waits_is_not_placed_at_once(kind: str) -> None:
    for fields in ({"action": "close"}, {"action": "sell", "reduce_only": True, "stopPrice": "99"}):
        assert list(refusal(type=kind, **fields).fields) == ["type"]


def test_an_exit_of_a_type_that_says_nothing_goes_at_the_market() -> None:
    assert signal(action="close", type="strategy_order").type is OrderType.MARKET
    # With a price to wait for it is not certain.
    assert list(refusal(action="close", type="strategy_order", stopPrice="99").fields) == ["stopPrice"]
    assert signal(action="close", stopPrice="99").type is OrderType.MARKET


def test_what_may_be_a_part_of_the_position_where_the_bars_close_stands_closes_not_all() -> None:
    for value in ("40%", {"percent": 40}):
        assert list(refusal(action="close", qty=..., close=value).fields) == ["close"]
    for bar in ("99.5", True):
        assert signal(action="close", qty=..., close=bar).action is Action.CLOSE
    for flag in (True, "true"):
        assert "say what to do as `action`" in problem("close", flag, action="sell")


def test_an_unknown_market_stops_no_exit() -> None:
    assert "futures" in problem("market", "futures", action="buy")
    assert any("`market` ignored" in note for note in signal(action="close", market="futures").notes)


def test_a_sale_to_flat_says_nothing_of_its_stops_which_the_exit_does_not_carry_anyway() -> None:
    taken = signal(action="sell", market_position="flat", stop_loss="1%")
    assert taken.only_exits and not any("stop_loss" in note for note in taken.notes)


def test_so_many_problems_are_told_in_words_and_more_by_name() -> None:

    for count, named in ((12, 0), (13, 1), (32, 20), (33, 20)):
        draft = Draft()
        for number in range(count):
            draft.refuse(f"f{number}", "is wrong")
        with pytest.raises(AlertInvalid) as caught:
            draft.raise_problems()
        assert caught.value.message.count("is wrong") == 12
        assert ("wrong too" in caught.value.message) is (named > 0)
        assert sum(f"`f{number}`" in caught.value.message for number in range(12, count)) == named


@pytest.mark.parametrize(
    ("action", "side", "exits"),
    [
        ("buy", "long", False),
        ("buy", "short", True),
        ("buy", "flat", True),
        ("sell", "short", False),
        ("sell", "long", True),
        ("sell", "flat", True),
        ("target", "long", False),
        ("target", "short", False),
        ("target", "flat", True),
    ],
)
def test_a_stop_that_was_not_replaced_refuses_what_opens_and_no_exit_of_the_strategy_s(
    action: str, side: str, exits: bool
) -> None:
    fields: dict[str, Any] = {"action": action, "market_position": side, "stop_loss": "{{plot_0}}"}
    fields |= {"market_position_size": "0" if side == "flat" else "1", "prev_market_position_size": "2"}
    if exits:
        assert signal(**fields).only_exits
    else:
        assert "plot_0" in problem("stop_loss", "{{plot_0}}", **{k: v for k, v in fields.items() if k != "stop_loss"})
