"""Entry and exit: what is withheld, what never is; rounding, and what is carried into the next exit."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from relay.domain.instrument import Instrument
from relay.domain.order import Purpose, Side
from relay.domain.plan import Plan, PlanStatus, Residual
from relay.domain.signal import Level, LevelKind, Signal
from relay.domain.spot import in_market, short_refusal
from tests.builders import NOW, facts, inverse, level, linear, plan, rules, signal, usdc

_HELD_BACK: dict[str, dict[str, Any]] = {
    "halted": {"facts": {"halted": "by the command"}},
    "too old": {"signal": {"sent_at": NOW - timedelta(hours=1), "received_at": NOW - timedelta(hours=1)}},
    "bar time": {"signal": {"sent_at": NOW - timedelta(hours=4)}},
    "symbol not allowed": {"rules": {"allowed_symbols": frozenset({"ETHUSDT"})}},
    "symbol not trading": {"instrument": {"is_trading": False}},
    "order limit": {"rules": {"max_order_notional": "1"}},
    "position limit": {"rules": {"max_position_notional": "1"}},
    "leverage over the exchange's": {"signal": {"leverage": "300"}},
    "leverage over the limit": {"signal": {"leverage": "3"}, "rules": {"max_leverage": "2"}},
    "stop distance on the wrong side": {
        "signal": {"stop_loss": Level(kind=LevelKind.PERCENT, value=Decimal(1), sign_given=True)}
    },
    "stop on the wrong side": {"signal": {"stop_loss": level(50000)}},
    "reduce-only": {"signal": {"reduce_only": True}},
}
_FLIPS: dict[str, tuple[str, dict[str, Any]]] = {
    "buy": ("buy", {"qty": 5}),
    "long": ("long", {"qty": 2}),
    "reverse": ("reverse", {"qty": 2}),
    "target": ("target", {"market_position": "long", "market_position_size": 2}),
    "fill": ("buy", {"qty": 5, "market_position": "long", "market_position_size": 2, "prev_market_position": "short"}),
}


def _held_back(why: str, action: str, fields: dict[str, Any], p: str) -> Plan:
    parts = _HELD_BACK[why]
    requested = signal(action, **{**fields, **parts.get("signal", {})})
    known = facts(linear(**parts.get("instrument", {})), p=p, **parts.get("facts", {}))
    return plan(requested, rules(**parts.get("rules", {})), known)


@pytest.mark.parametrize("why", _HELD_BACK)
@pytest.mark.parametrize("flip", _FLIPS)
def test_where_the_entry_may_not_go_out_its_exit_goes_alone(flip: str, why: str) -> None:
    made = _held_back(why, *_FLIPS[flip], p="-3")
    (order,) = made.orders
    assert (order.side.value, order.qty, order.reduce_only) == ("buy", Decimal(3), True)
    assert (order.purpose, order.stop_loss, order.fallback_qty) == (Purpose.EXIT, None, None)
    assert made.status is PlanStatus.PLANNED
    if why == "reduce-only" and flip == "buy":
        return  # asked for nothing else
    assert made.reason is not None and made.reason.code == "ENTRY_WITHHELD"
    assert any(note.startswith("ENTRY_WITHHELD: ") for note in made.notes)


@pytest.mark.parametrize("why", _HELD_BACK)
@pytest.mark.parametrize(
    ("action", "fields", "sold"),
    [
        ("close", {}, 3),
        ("close", {"qty": 2}, 2),
        ("flat", {}, 3),
        ("exit", {}, 3),
        ("close_long", {}, 3),
        ("sell", {"qty": 1}, 1),
        ("sell", {"qty": 1, "market_position": "flat"}, 3),
        ("sell", {"qty": 1, "market_position": "long"}, 1),
        ("target", {"market_position": "flat"}, 3),
        ("target", {"market_position": "long", "market_position_size": 1}, 2),
    ],
)
def test_no_exit_is_ever_withheld(action: str, fields: dict[str, Any], sold: int, why: str) -> None:
    made = _held_back(why, action, fields, p="3")
    assert [(each.side.value, each.qty, each.reduce_only) for each in made.orders] == [("sell", Decimal(sold), True)]
    assert (made.status, made.reason) == (PlanStatus.PLANNED, None)


@pytest.mark.parametrize(
    ("why", "status", "code"),
    [("too old", PlanStatus.EXPIRED, "TIME_TOO_OLD"), ("halted", PlanStatus.DENIED, "HALTED")],
)
def test_an_entry_that_is_withheld_whole_sends_nothing(why: str, status: PlanStatus, code: str) -> None:
    made = _held_back(why, "buy", {"qty": 5}, p="0")
    assert (made.status, made.orders) == (status, ())
    assert made.reason is not None and made.reason.code == code


def test_a_flip_whose_entry_has_no_size_is_an_exit() -> None:
    made = plan(signal("long"), rules(), facts(p=-3))
    assert [(each.side.value, each.qty, each.reduce_only) for each in made.orders] == [("buy", Decimal(3), True)]
    assert made.reason is not None and made.reason.code == "ENTRY_WITHHELD"


def test_a_flip_whose_entry_is_too_small_is_an_exit() -> None:
    made = plan(signal("buy", qty="3.0005"), rules(), facts(p=-3))
    assert [(each.qty, each.reduce_only) for each in made.orders] == [(Decimal(3), True)]
    assert made.reason is not None and made.reason.code == "ENTRY_WITHHELD" and "minimum" in made.reason.message


def test_a_flip_holds_its_exit_as_the_fallback_from_the_start() -> None:
    (order,) = plan(signal("reverse", qty=2), rules(), facts(p=-3)).orders
    assert (order.purpose, order.qty, order.exit_qty) == (Purpose.FLIP, Decimal(5), Decimal(3))
    assert order.fallback_qty == order.exit_qty


# Rounding


@pytest.mark.parametrize(
    ("instrument", "qty", "sent"),
    [
        (linear(), "0.5009", "0.500"),
        (usdc(), "0.0010000000000000002", "0.001"),
        (inverse(), "100.9", "100"),
        (linear(qty_step="10", qty_min="10"), "29.9", "20"),
        (linear(), "0.12999999999999999999999999999999999999", "0.129"),
    ],
)
def test_quantities_round_down_to_the_step(instrument: Instrument, qty: str, sent: str) -> None:
    for p in (0, 999):
        action = "buy" if p == 0 else "sell"
        (order,) = plan(signal(action, qty=qty, qty_unit="contracts"), rules(), facts(instrument, p=p)).orders
        assert order.qty == Decimal(sent)


@pytest.mark.parametrize("instrument", [linear(), usdc()], ids=["usdt", "usdc"])
@pytest.mark.parametrize("fields", [{"qty": "0.0004"}, {"qty": "0.0004", "market_position": "long"}])
def test_an_exit_that_rounds_to_nothing_is_done_noted_and_carried(
    fields: dict[str, Any], instrument: Instrument
) -> None:
    made = plan(signal("sell", **fields), rules(), facts(instrument, p=1))
    assert (made.status, made.orders, made.residual) == (PlanStatus.DONE, (), Residual(size=Decimal("0.0004")))
    assert any("next exit" in note for note in made.notes)


def test_a_carried_exit_of_a_short_is_signed_like_it() -> None:
    made = plan(signal("buy", qty="0.0004"), rules(), facts(p=-1, residual="-0.0003"))
    assert (made.orders, made.residual) == ((), Residual(size=Decimal("-0.0007")))


def test_carried_exits_add_up_until_they_can_be_sent_and_none_is_lost() -> None:
    residual, sold = None, Decimal(0)
    for _ in range(10):
        made = plan(signal("sell", qty="0.0009"), rules(), facts(p=Decimal(1) - sold, residual=residual))
        residual, sold = made.residual, sold + sum(each.qty for each in made.orders)
    assert sold == Decimal("0.009")
    assert residual is None or residual.size == 0


def test_what_was_not_carried_is_rounded_off_for_good() -> None:
    made = plan(signal("sell", qty="0.0019"), rules(), facts(p=1))
    assert ([each.qty for each in made.orders], made.residual) == ([Decimal("0.001")], None)


def test_coins_too_few_to_be_sold_are_carried_once_however_often_they_are_to_be_closed() -> None:
    pair, residual = linear(category="spot"), None
    for _ in range(4):
        made = plan(signal("close", category="spot"), rules(), facts(pair, p="0.00003", residual=residual))
        residual = made.residual
    assert residual == Residual(size=Decimal("0.00003"))


def test_a_target_says_where_to_be_whatever_earlier_exits_lacked() -> None:
    requested = signal("target", market_position="long", market_position_size="2", category="spot")
    made = plan(requested, rules(), facts(linear(category="spot"), p="3.5", residual="0.004"))
    assert ([each.qty for each in made.orders], made.residual) == ([Decimal("1.5")], None)


@pytest.mark.parametrize(
    ("qty", "residual", "sent", "left"),
    [
        ("0.0019", "0.0003", "0.002", "0.0002"),
        ("0.0019", "0.00005", "0.001", "0.00005"),
        ("0.0018", "0.0002", "0.002", None),
    ],
)
def test_of_what_an_exit_rounds_down_only_as_much_as_was_carried_into_it_is_carried_on(
    qty: str, residual: str, sent: str, left: str | None
) -> None:
    made = plan(signal("sell", qty=qty), rules(), facts(p=1, residual=residual))
    assert [each.qty for each in made.orders] == [Decimal(sent)]
    assert made.residual == (None if left is None else Residual(size=Decimal(left)))


def test_a_carried_exit_never_takes_more_than_the_position() -> None:
    made = plan(signal("sell", qty="0.0009"), rules(), facts(p="0.001", residual="0.0008"))
    (order,) = made.orders
    assert (order.qty, order.reduce_only, made.residual) == (Decimal("0.001"), True, None)


@pytest.mark.parametrize("p", ["0", "-1"])
def test_what_was_carried_ends_with_its_position(p: str) -> None:
    made = plan(signal("close_long"), rules(), facts(p=p, residual="0.0004"))
    assert (made.status, made.residual) == (PlanStatus.DONE, None)


def test_a_flip_clears_what_was_carried() -> None:
    assert plan(signal("sell", qty=3), rules(), facts(p=1, residual="0.0004")).residual is None


@pytest.mark.parametrize(
    "requested",
    [
        signal("buy", qty=1),
        signal("long", qty="0.5"),
        signal("buy"),
        signal("buy", qty=1, leverage=3),
        signal("cancel"),
    ],
    ids=["adds", "nothing to do", "denied at once", "entry denied", "cancel"],
)
def test_what_is_no_exit_leaves_what_is_carried(requested: Any) -> None:
    assert plan(requested, rules(), facts(p=1, residual="0.0004")).residual == Residual(size=Decimal("0.0004"))


@pytest.mark.parametrize("instrument", [linear(), usdc(), inverse()], ids=["usdt", "usdc", "inverse"])
@pytest.mark.parametrize("action", ["close", "flat", "exit"])
@pytest.mark.parametrize("over", ["0.00005", "5.00005"])
def test_a_whole_close_off_the_grid_closes_all_there_is(over: str, action: str, instrument: Instrument) -> None:
    (order,) = plan(signal(action), rules(), facts(instrument, p=over)).orders
    assert (order.closes_all, order.qty, order.reduce_only, order.exit_qty) == (True, Decimal(0), True, Decimal(over))


def test_a_part_that_with_what_was_carried_is_all_there_is_closes_the_whole_off_the_grid_too() -> None:
    part = signal("sell", qty="0.5", reduce_only=True)
    made = plan(part, rules(), facts(p="0.50004", residual="0.00004"))
    assert [(each.closes_all, each.exit_qty) for each in made.orders] == [(True, Decimal("0.50004"))]
    assert made.residual is None
    less = plan(part, rules(), facts(p="0.50005", residual="0.00004"))
    assert [(each.closes_all, each.qty) for each in less.orders] == [(False, Decimal("0.500"))]
    assert less.residual == Residual(size=Decimal("0.00004"))


@pytest.mark.parametrize(("category", "is_told"), [("linear", True), ("spot", False)])
def test_that_an_order_may_flip_is_told_of_perpetuals_alone(category: str, is_told: bool) -> None:
    made = plan(signal("buy", qty=1, category=category), rules(), facts(linear(category=category), p=0))
    assert any("pure delta" in note for note in made.notes) is is_told


def test_a_close_of_the_whole_is_on_the_grid_where_the_position_is() -> None:
    (order,) = plan(signal("close"), rules(), facts(p="5.001")).orders
    assert (order.closes_all, order.qty) == (False, Decimal("5.001"))


@pytest.mark.parametrize(
    "flip",
    [
        signal("reverse", qty=2),
        signal("long", qty=2),
        signal("target", market_position="long", market_position_size=2),
        signal("buy", qty=3, market_position="long", market_position_size=2),
    ],
    ids=lambda each: each.action.value,
)
def test_an_off_grid_flip_closes_all_and_then_opens(flip: Signal) -> None:
    close, entry = plan(flip, rules(), facts(p="-0.00005")).orders
    assert (close.closes_all, close.reduce_only, close.exit_qty) == (True, True, Decimal("0.00005"))
    assert (entry.purpose, entry.qty, entry.reduce_only) == (Purpose.ENTRY, Decimal(2), False)


@pytest.mark.parametrize("size", ["1.0004", "0.9996"])
def test_a_target_that_differs_by_less_than_the_minimum_is_done(size: str) -> None:
    target = signal("target", market_position="long", market_position_size=size)
    made = plan(target, rules(), facts(p=1))
    assert (made.status, made.orders, made.reason, made.residual) == (PlanStatus.DONE, (), None, None)
    assert any("minimum" in note for note in made.notes)


def test_a_target_that_differs_by_less_than_the_minimum_notional_is_done() -> None:
    target = signal("target", market_position="long", market_position_size="1.001")
    made = plan(target, rules(), facts(p=1, price=100))
    assert (made.status, made.orders, made.reason) == (PlanStatus.DONE, (), None)


@pytest.mark.parametrize(
    "requested", [("long", {}), ("buy", {"market_position": "long", "prev_market_position": "short"})]
)
def test_a_long_that_lacks_less_than_the_minimum_is_done(requested: tuple[str, dict[str, Any]]) -> None:
    action, fields = requested
    sizes = {"qty": "1.0004", "market_position_size": "1.0004"}
    made = plan(signal(action, **sizes, **fields), rules(), facts(p=1))
    assert (made.status, made.orders, made.reason) == (PlanStatus.DONE, (), None)


@pytest.mark.parametrize(("p", "sides"), [("2", ["buy"]), ("-2", ["sell"]), ("0", [])])
def test_what_adds_adds_on_the_positions_side(p: str, sides: list[str]) -> None:
    made = plan(signal("add", qty="0.5"), rules(), facts(p=p))
    assert [each.side for each in made.orders] == sides
    assert all(each.qty == Decimal("0.5") and not each.reduce_only for each in made.orders)


def test_an_exit_below_the_minimum_is_carried_though_it_is_on_the_grid() -> None:
    made = plan(signal("sell", qty="0.005"), rules(), facts(linear(qty_min="0.01"), p=1))
    assert (made.orders, made.residual) == ((), Residual(size=Decimal("0.005")))


def test_what_was_carried_on_the_other_side_is_not_added_to_an_exit() -> None:
    made = plan(signal("buy", qty="0.0009"), rules(), facts(p=-1, residual="0.0004"))
    assert made.orders == ()


@pytest.mark.parametrize(("tif", "is_whole"), [("GTC", True), ("PostOnly", True), ("IOC", False), ("FOK", False)])
def test_a_flip_that_rests_counts_whole_against_the_positions_limit(tif: str, is_whole: bool) -> None:
    flip = signal("buy", qty=2, type="limit", price=50000, time_in_force=tif)
    made = plan(flip, rules(max_position_notional=75000), facts(p=-1))
    assert [each.qty for each in made.orders] == [Decimal(1 if is_whole else 2)]


def test_a_strategys_side_with_a_size_of_ones_own_opens_where_nothing_is_open() -> None:
    requested = signal("target", qty="0.5", market_position="long", market_position_size=3, is_side_only=True)
    assert [each.qty for each in plan(requested, rules(), facts(p=0)).orders] == [Decimal("0.5")]
    assert plan(requested, rules(), facts(p="0.1")).orders == ()


@pytest.mark.parametrize(
    ("category", "side", "is_refused"),
    [("spot", Side.SELL, True), ("spot", Side.BUY, False), ("linear", Side.SELL, False)],
)
def test_only_a_sale_of_coins_can_open_nothing(category: str, side: Side, is_refused: bool) -> None:
    reason = short_refusal(side, linear(category=category))
    assert (reason is not None and reason.code == "DIRECTION_NOT_ALLOWED") is is_refused


@pytest.mark.parametrize(
    ("action", "stands", "frees"), [("buy", "flat", True), ("buy", "long", False), ("sell", "long", True)]
)
def test_what_sells_coins_frees_those_that_rest_to_be_sold(action: str, stands: str, frees: bool) -> None:
    assert in_market(signal(action, qty=1, market_position=stands, category="spot"), rules()).frees_coins is frees
