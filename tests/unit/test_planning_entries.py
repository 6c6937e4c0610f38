"""What the limits see of an entry, what a passed trigger makes of an order, and what `stops` come to."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from relay.domain.bracket import Bracket
from relay.domain.instrument import Category
from relay.domain.intent import as_late, as_target
from relay.domain.move import Move
from relay.domain.order import IfPassed, OrderType, Reason, Side, TimeInForce
from relay.domain.plan import DayResult, LimitFacts, Need, Plan, PlanStatus, Working
from relay.domain.planning import entry_of, limit_checks, plan_of
from relay.domain.rules import BreakevenPassed, Direction
from relay.domain.signal import Level, LevelKind, MarketSide, SignalAge, Standing
from tests.builders import NOW, entry_needs, facts, level, linear, plan, position, profit, proposal, rules, signal

D = Decimal
UNREAD = Reason(code="FACTS_UNREADABLE", message="it cannot be read")


def _entry(
    action: str, *, p: str = "0", working: tuple[Working, ...] = (), known: dict[str, Any] | None = None, **fields: Any
) -> Any:
    requested = signal(action, **{"qty": 2, **fields})
    seen = facts(p=p, limits=LimitFacts(working=working), **(known or {}))
    made = proposal(requested, rules(), seen)
    assert isinstance(made.requested, Move)
    return entry_of(made.requested, made.intent, seen)


def _works(
    side: Side, qty: str, price: str | None = None, symbol: str = "BTCUSDT", category: Category = Category.LINEAR
) -> Working:
    return Working(category=category, symbol=symbol, side=side, qty=D(qty), price=D(price) if price else None)


LIMIT = {"type": "limit", "price": 49000}
STOP_LIMIT = {"type": "stop_limit", "price": 49000, "trigger_price": 48000}


@pytest.mark.parametrize(
    ("action", "fields", "dearest", "price"),
    [
        ("buy", {}, None, 50000),
        ("sell", {}, None, 50000),
        ("buy", LIMIT, None, 49000),
        ("sell", LIMIT, 50000, 49000),
        ("sell", {"type": "stop_market", "trigger_price": 48000}, None, 48000),
        ("sell", STOP_LIMIT, 48000, 49000),
        ("buy", {"type": "stop_limit", "price": 53000, "trigger_price": 52000}, None, 53000),
    ],
)
def test_a_sell_s_limit_price_is_its_worst_so_the_market_s_counts(
    action: str, fields: dict[str, Any], dearest: int | None, price: int
) -> None:
    found = _entry(action, **fields)
    assert (found.dearest_price, found.price, found.qty) == (dearest, price, 2)


@pytest.mark.parametrize(
    ("action", "p", "fields", "resulting"),
    [
        ("buy", "0", {}, 2),
        ("buy", "3", {}, 5),
        ("sell", "-3", {}, 5),
        ("reverse", "-3", {}, 2),
        ("reverse", "-3", {"type": "limit", "price": 51000, "time_in_force": "GTC"}, 5),
        ("reverse", "-3", {"type": "limit", "price": 51000, "time_in_force": "IOC"}, 2),
        ("buy", "3", LIMIT, 5),
    ],
)
def test_how_large_a_position_may_become_counts_every_order_of_its_side(
    action: str, p: str, fields: dict[str, Any], resulting: int
) -> None:
    assert _entry(action, p=p, **fields).resulting_size == resulting
    side = Side.SELL if action == "sell" else Side.BUY
    others = (
        _works(side, "7"),
        _works(side.opposite, "100"),
        _works(side, "100", symbol="ETHUSDT"),
        _works(side, "100", category=Category.INVERSE),
    )
    beside = _entry(action, p=p, working=others, **fields)
    assert beside.resulting_size == resulting + 7 and beside.counts_resting
    assert _entry(action, p=p, **fields).counts_resting is (resulting == 5 and action == "reverse")


def test_a_flip_that_rests_counts_what_rests_however_small_its_exit_is() -> None:
    resting: dict[str, Any] = {"type": "limit", "price": 51000, "time_in_force": "GTC"}
    assert _entry("reverse", p="-0.5", **resting).counts_resting
    assert not _entry("buy", p="0.5", **resting).counts_resting


def test_a_position_is_worth_at_least_its_dearest_order_s_price() -> None:
    for price, worth in (("60000", 60000), ("40000", 50000), (None, 50000)):
        assert _entry("buy", working=(_works(Side.BUY, "1", price),)).market_price == worth
    assert _entry("buy", known={"price": None, "reference_price": D(45000)}).market_price == 45000
    assert _entry("buy", known={"price": None}).market_price is None
    read = _entry("buy", known={"reference_price": D(45000)})
    assert (read.price, read.market_price) == (50000, 50000)


# A trigger that the price has passed.


@pytest.mark.parametrize(
    ("action", "kind", "trigger", "passed"),
    [
        ("buy", "stop_market", 50001, False),
        ("buy", "stop_market", 50000, True),
        ("buy", "stop_market", 49999, True),
        ("sell", "stop_market", 49999, False),
        ("sell", "stop_market", 50000, True),
        ("sell", "stop_market", 50001, True),
        ("buy", "market_if_touched", 49999, False),
        ("buy", "market_if_touched", 50000, True),
        ("sell", "market_if_touched", 50001, False),
        ("sell", "market_if_touched", 50000, True),
    ],
)
def test_a_trigger_is_passed_once_the_price_is_there(action: str, kind: str, trigger: int, passed: bool) -> None:
    requested = signal(action, qty=1, type=kind, trigger_price=trigger)
    denied = plan(requested, rules(), facts(p=0))
    assert (denied.status is PlanStatus.DENIED) is passed
    if passed:
        assert denied.reason is not None and denied.reason.code == "TRIGGER_PASSED"
        assert f"the trigger {trigger} is passed already, the price is 50000" in denied.reason.message
    else:
        assert denied.orders[0].type == kind
    for own, strategy in ((IfPassed.MARKET, IfPassed.DENY), (None, IfPassed.MARKET)):
        made = plan(
            signal(action, qty=1, type=kind, trigger_price=trigger, if_passed=own),
            rules(if_passed=strategy),
            facts(p=0),
        )
        (order,) = made.orders
        assert order.type == ("market" if passed else kind)
        assert order.trigger_price == (None if passed else trigger)
        assert ("the price has passed the trigger already: what goes out goes at once" in made.notes) is passed
    refused = signal(action, qty=1, type=kind, trigger_price=trigger, if_passed=IfPassed.DENY)
    assert (plan(refused, rules(if_passed=IfPassed.MARKET), facts(p=0)).status is PlanStatus.DENIED) is passed


def test_what_enters_at_once_keeps_its_own_price_and_time_in_force() -> None:
    fields: dict[str, Any] = {
        "qty": 1,
        "type": "stop_limit",
        "trigger_price": 49000,
        "price": 50500,
        "time_in_force": "PostOnly",
    }
    entered = plan(signal("buy", if_passed=IfPassed.MARKET, **fields), rules(), facts(p=0))
    (order,) = entered.orders
    assert (order.type, order.price, order.time_in_force) == (OrderType.LIMIT, D(50500), TimeInForce.POST_ONLY)
    flipped = plan(signal("buy", **{**fields, "qty": 3}), rules(), facts(p=-2))
    (exit_alone,) = flipped.orders
    assert (exit_alone.type, int(exit_alone.qty), exit_alone.price, exit_alone.time_in_force) == (
        OrderType.MARKET,
        2,
        None,
        TimeInForce.GTC,
    )
    assert flipped.reason is not None and flipped.reason.code == "ENTRY_WITHHELD"
    closed = plan(signal("close_short", **fields, if_passed=IfPassed.MARKET), rules(), facts(p=-2))
    (close,) = closed.orders
    assert (close.type, close.price, close.reduce_only) == (OrderType.MARKET, None, True)
    large = plan(signal("buy", **{**fields, "qty": 200}, if_passed=IfPassed.MARKET), rules(), facts(p=0))
    assert len(large.orders) == 1, "a limit order may be larger than one at market"


# Levels.


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"stop_loss": level(25000)}, None),
        ({"stop_loss": level(24000)}, "LEVEL_TOO_FAR"),
        ({"stop_loss": level(50000)}, "STOP_WRONG_SIDE"),
        ({"take_profits": (profit(50000),)}, "STOP_WRONG_SIDE"),
        ({"take_profits": (profit("50000.1"),)}, None),
        ({"take_profits": (profit(76000),)}, "LEVEL_TOO_FAR"),
    ],
)
def test_an_entry_s_levels_are_on_their_side_and_not_more_than_half_the_price_away(
    fields: dict[str, Any], code: str | None
) -> None:
    made = plan(signal("buy", qty=1, **fields), rules(), facts(p=0))
    assert (made.reason.code if made.reason else None) == code
    if code == "LEVEL_TOO_FAR":
        assert plan(signal("buy", qty=1, **fields), rules(levels_any_distance=True), facts(p=0)).reason is None


def _stops(
    p: str = "2", known: dict[str, Any] | None = None, limits: dict[str, Any] | None = None, **fields: Any
) -> Plan:
    held = position(p, mark_price=(known or {}).get("mark", "52000"), avg_price="50000") if p is not None else None
    return plan(signal("stops", **fields), rules(**(limits or {})), facts(position=held))


def test_stops_describe_the_open_position_from_its_average_entry() -> None:
    below = Level(kind=LevelKind.PERCENT, value=D(4))
    made = _stops(stop_loss=below, limits={"breakeven_passed": BreakevenPassed.CLOSE})
    assert (made.status, made.orders) == (PlanStatus.PLANNED, ())
    assert made.bracket == Bracket(side=Side.BUY, stop_loss=below, entry_price=D(50000), closes_if_passed=True)
    quiet = _stops(stop_loss=below)
    assert quiet.bracket is not None and quiet.bracket.closes_if_passed is False
    short = _stops("-2", {"mark": "48000"}, stop_loss=below)
    assert short.bracket is not None and short.bracket.side is Side.SELL
    nothing = _stops()
    assert (nothing.status, nothing.notes) == (PlanStatus.DONE, ("no level is named",))
    flat = _stops("0", stop_loss=below)
    assert flat.reason is not None and (flat.status, flat.reason.code) == (PlanStatus.DENIED, "POSITION_NONE")
    coins = linear(category="spot")
    dust = facts(coins, position=position("0.0001", coins))
    denied = plan(signal("stops", category="spot", stop_loss=below), rules(), dust)
    assert denied.reason is not None and denied.reason.code == "POSITION_NONE"
    held = plan(signal("stops", category="spot", stop_loss=below), rules(), facts(coins, position=position("2", coins)))
    assert held.bracket is not None and held.bracket.stop_loss is None and held.bracket.tp_legs[0].is_stop


@pytest.mark.parametrize(
    ("stop", "mark", "code"),
    [
        ("51000", "52000", None),
        ("51999", "52000", None),
        ("52000", "52000", "STOP_WRONG_SIDE"),
        ("51000", "50500", "STOP_WRONG_SIDE"),
        ("49999", None, None),
        ("50000", None, "STOP_WRONG_SIDE"),
        ("26000", "60000", None),
        ("24000", "60000", "LEVEL_TOO_FAR"),
    ],
)
def test_stops_are_held_against_the_market_s_price_else_the_entry(
    stop: str, mark: str | None, code: str | None
) -> None:
    made = _stops(known={"mark": mark}, stop_loss=level(stop))
    assert (made.reason.code if made.reason else None) == code
    if code == "LEVEL_TOO_FAR":
        assert _stops(known={"mark": mark}, limits={"levels_any_distance": True}, stop_loss=level(stop)).reason is None


# What the limits want to know, and what people are shown of them.


def test_only_an_entry_that_may_go_out_asks_for_what_the_limits_count() -> None:
    limits = rules(max_positions=1)
    assert entry_needs(signal("buy", qty=1), limits, facts(p=0))
    unread = facts(p=0, unread={Need.PRICE: UNREAD})
    for requested, known in (
        (signal("close"), facts(p=1)),
        (signal("sell", qty=1), facts(p=1)),
        (signal("buy", qty=1), facts()),
        (signal("buy", qty=1), unread),
        (signal("buy", qty=1), facts(p=0, uncleared=UNREAD)),
    ):
        assert entry_needs(requested, limits, known) == frozenset()


def test_age_and_direction_are_shown_with_the_limits_that_are_set() -> None:
    def shown(requested: Any, limits: Any, **known: Any) -> list[tuple[str, str | None, str, bool | None]]:
        made = limit_checks(proposal(requested, limits, facts(**{"p": 0, **known})))
        return [(each.limit, each.number, each.bound, each.passes) for each in made]

    old = signal("buy", qty=1, received_at=NOW - timedelta(seconds=61))
    assert shown(old, rules(signal_max_age_s=60)) == [("SIGNAL_MAX_AGE", "61 s", "60 s", False)]
    age = SignalAge(age=timedelta(seconds=59))
    assert shown(old, rules(signal_max_age_s=60), age=age) == [("SIGNAL_MAX_AGE", "59 s", "60 s", True)]
    for action, passes in (("buy", False), ("sell", True)):
        found = shown(signal(action, qty=1), rules(direction=Direction.SHORT_ONLY))
        assert found[1:] == [("direction", action, "short_only", passes)]
    assert shown(signal("buy", qty=1), rules(max_positions=1))[1][-1] is None, "what it counts was not read"


def test_an_exit_beside_a_resting_order_of_the_relay_s_says_so_and_asks_for_a_person() -> None:
    why = Reason(code="OUTCOME_UNKNOWN", message="it still rests")
    made = plan(signal("close"), rules(), facts(p=1, uncleared=why))
    assert made.reason is why and any("beside a resting order" in note for note in made.notes)
    nothing = plan(signal("close"), rules(), facts(p=0, uncleared=why))
    assert nothing.reason is None and nothing.status is PlanStatus.DONE
    late = plan(signal("close", market_position="flat"), rules(), facts(p=1, is_overtaken=True))
    assert late.notes[0].startswith("it came late")


def test_a_plan_s_inputs_are_what_was_read_and_what_the_size_was_worked_out_from() -> None:
    asked = signal("buy", qty=10, qty_unit="equity_pct")
    made = plan_of(proposal(asked, rules(), facts(p=1, equity=D(1000))))
    known = dict(made.inputs)
    assert (known["position"], known["price"], known["equity"], known["qty_step"]) == ("1", "50000", "1000", "0.001")


def test_no_more_coins_are_sold_than_are_held_and_that_is_told() -> None:
    coins = linear(category="spot")

    def sold(qty: str, held: str = "2", **fields: Any) -> Plan:
        known = facts(coins, position=position(held, coins))
        return plan(signal("sell", category="spot", qty=qty, reduce_only=True, **fields), rules(), known)

    for qty, is_told in (("1", False), ("2", False), ("3", True)):
        made = sold(qty)
        assert any("were to be sold, and 2 is held" in note for note in made.notes) is is_told
        assert made.orders[0].qty == min(D(qty), 2)
    rest = sold("3", "2.0004")
    assert any(note.startswith("0.0004 BTC is less than the exchange sells") for note in rest.notes)
    assert not any("is less than the exchange sells" in note for note in sold("1", "2.0004").notes)


# Coins by what they cost.


def _bought(qty: str = "100", unit: str = "quote", *, coins: dict[str, Any] | None = None, **fields: Any) -> Plan:
    pair = linear(
        **{"category": "spot", "money_step": "0.01", "qty_step": "0.0001", "qty_min": "0.0001", **(coins or {})}
    )
    requested = signal("buy", category="spot", qty=qty, qty_unit=unit, **fields)
    return plan(requested, rules(), facts(pair, position=position("0", pair), equity=D(2000)))


@pytest.mark.parametrize(
    ("qty", "unit", "fields", "spend"),
    [
        ("100", "quote", {}, "100"),
        ("100.009", "quote", {}, "100"),
        ("10", "equity_pct", {}, "200"),
        ("0.01", "base", {}, None),
        ("100", "quote", {"type": "limit", "price": 49000}, None),
    ],
)
def test_a_market_buy_of_coins_that_is_sized_in_money_is_ordered_by_the_money(
    qty: str, unit: str, fields: dict[str, Any], spend: str | None
) -> None:
    (order,) = _bought(qty, unit, **fields).orders
    assert order.spend == (None if spend is None else D(spend))
    assert order.spend_rest == (0 if spend is None else D("5.5")), "a step at a tenth more than the price"
    assert _bought(qty, unit, coins={"money_step": None}, **fields).orders[0].spend is None


def test_the_legs_of_a_large_buy_cost_together_what_was_said() -> None:
    made = _bought("1000", coins={"qty_max_market": "0.008"}).orders
    assert len(made) == 3 and sum((each.spend or D(0) for each in made), D(0)) == 1000
    assert all(abs((each.spend or D(0)) - each.qty * 50000) < 6 for each in made)


# An alert that a later one overtook.


@pytest.mark.parametrize(
    ("fields", "limits", "expected"),
    [
        ({"qty": 3}, {}, {"qty": None, "is_side_only": False}),
        ({"qty": 3, "qty_unit": "base"}, {}, {"qty": None, "is_side_only": False}),
        ({"qty": 3, "qty_unit": "equity_pct"}, {}, {"qty": 3, "is_side_only": True}),
        ({"qty": 3}, {"size_unit": "equity_pct"}, {"qty": 3, "is_side_only": True}),
        ({}, {"default_size": ("7", "quote")}, {"qty": 7, "qty_unit": "quote", "is_side_only": True}),
        ({"qty": 3}, {"default_size": ("7", "quote")}, {"qty": None, "is_side_only": False}),
    ],
)
def test_where_a_strategy_stands_is_a_target_of_its_size_or_of_one_s_own(
    fields: dict[str, Any], limits: dict[str, Any], expected: dict[str, Any]
) -> None:
    asked = signal("buy", market_position="long", market_position_size=4, **fields)
    found = as_target(asked, rules(**limits))
    assert found.action == "target"
    assert {name: getattr(found, name) for name in expected} == expected
    late = as_late(asked, Standing(side=MarketSide.LONG, size=D(9)), rules(**limits))
    assert late.market_position_size == 9 and late.qty == found.qty


def test_an_overtaken_alert_brings_the_account_to_where_the_strategy_stands_at_the_market() -> None:
    levels: dict[str, Any] = {
        **{"take_profits": (profit(60000),), "stop_loss": level(40000), "trailing_stop": level(5)},
        **{"trailing_start": level(7)},
    }
    asked = signal(
        "buy",
        **{"qty": 1, "market_position": "long", "market_position_size": 1, "prev_market_position": "short"},
        **{"prev_market_position_size": 2, "position_size": 1, "type": "stop_limit", "price": 5, "trigger_price": 6},
        **{"time_in_force": "PostOnly", "valid_for_s": 9},
        **levels,
    )
    late = as_late(asked, Standing(side=MarketSide.LONG, size=D(3)), rules())
    shown = (
        late.action,
        late.market_position,
        late.market_position_size,
        late.type,
        late.names_type,
        late.time_in_force,
    )
    assert shown == ("target", MarketSide.LONG, D(3), OrderType.MARKET, True, TimeInForce.GTC)
    gone = (
        late.prev_market_position,
        late.prev_market_position_size,
        late.position_size,
        late.price,
        late.trigger_price,
    )
    assert gone == (None,) * 5 and late.valid_for_s is None
    assert {name: getattr(late, name) for name in levels} == levels
    other = as_late(asked, Standing(side=MarketSide.SHORT), rules())
    assert (other.market_position, other.market_position_size) == (MarketSide.SHORT, None)
    assert [getattr(other, name) for name in levels] == [(), None, None, None]
    target = signal("target", market_position="long", market_position_size=1, qty=5)
    assert as_late(target, Standing(side=MarketSide.LONG, size=D(3)), rules()).qty == 5


def test_what_the_limits_counted_stands_among_a_plan_s_inputs() -> None:
    counted = LimitFacts(
        working=(_works(Side.BUY, "1"),),
        positions=(position(1),),
        entries_last_minute=0,
        day=DayResult(realised=D(-5), unrealised=D(2), worst=D(-9)),
        stopped_at=NOW,
    )
    inputs = facts(p=2, limits=counted, residual="0.1", halted="by hand", equity=D(7)).as_inputs()
    assert inputs == {
        **{"position": "2", "position_avg_price": "50000", "price": "50000", "equity": "7", "carried": "0.1"},
        **{"halted": "by hand", "own_orders": "1", "positions": "1", "entries_last_minute": "0", "day_realised": "-5"},
        **{"day_unrealised": "2", "stopped_at": "2026-01-05T12:00:00+00:00", "qty_step": "0.001", "tick_size": "0.1"},
    }
    bare = facts(price=None, limits=LimitFacts()).as_inputs()
    assert set(bare) <= {"qty_step", "tick_size"}
