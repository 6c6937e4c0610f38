"""Legs over the market maximum, and which way prices round."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from relay.domain.instrument import Instrument
from relay.domain.order import IfPassed, OrderType, PlannedOrder, Purpose, Side
from tests.builders import facts, inverse, level, linear, plan, profit, rules, signal, usdc

SMALL = {"qty_max_market": "10", "qty_max": "30"}


def _orders(action: str, p: str, instrument: Instrument | None = None, **fields: Any) -> tuple[PlannedOrder, ...]:
    return plan(signal(action, **fields), rules(), facts(instrument or linear(**SMALL), p=p)).orders


def _shown(orders: tuple[PlannedOrder, ...]) -> list[str]:
    return [f"{each.side.value} {each.qty} {each.purpose.value}" for each in orders]


@pytest.mark.parametrize("instrument", [linear(**SMALL), usdc(**SMALL)], ids=["usdt", "usdc"])
def test_an_entry_over_the_market_maximum_goes_in_even_legs(instrument: Instrument) -> None:
    orders = _orders("buy", "0", instrument, qty="20.001")
    assert _shown(orders) == ["buy 6.667 entry"] * 3
    assert [each.leg for each in orders] == [0, 1, 2]


def test_on_inverse_legs_are_whole_contracts() -> None:
    orders = _orders("sell", "0", inverse(qty_max_market=100), qty=301, qty_unit="contracts")
    assert _shown(orders) == ["sell 76 entry", *["sell 75 entry"] * 3]


def test_a_close_over_the_market_maximum_goes_in_reduce_only_legs() -> None:
    orders = _orders("close", "-25")
    assert all(each.reduce_only and each.side is Side.BUY for each in orders)
    assert sum(each.qty for each in orders) == 25 and len(orders) == 3
    assert [each.exit_qty for each in orders] == [each.qty for each in orders]


def test_a_flip_is_one_order_up_to_the_maximum() -> None:
    assert _shown(_orders("reverse", "4", qty=6)) == ["sell 10 flip"]


def test_a_flip_over_the_maximum_is_reduce_only_legs_to_zero_then_opening_legs() -> None:
    orders = _orders("reverse", "12", qty=11)
    assert _shown(orders) == ["sell 6.000 exit"] * 2 + ["sell 5.500 entry"] * 2
    assert [each.reduce_only for each in orders] == [True, True, False, False]
    assert [each.leg for each in orders] == [0, 1, 2, 3]
    assert all(each.fallback_qty is None for each in orders)


def test_a_limit_order_may_be_as_large_as_the_limit_maximum() -> None:
    assert len(_orders("buy", "0", qty=30, type="limit", price=40000)) == 1
    assert len(_orders("buy", "0", qty=31, type="limit", price=40000)) == 2


def test_an_off_grid_close_over_the_maximum_is_legs_of_which_the_last_closes_all() -> None:
    # The exchange closes "up to maxMktOrderQty" only, when told to close all.
    *legs, last = _orders("close", "25.00005")
    assert all(leg.reduce_only and not leg.closes_all and 0 < leg.qty <= 10 for leg in legs)
    assert (last.closes_all, last.qty, last.reduce_only) == (True, Decimal(0), True)
    assert last.exit_qty is not None and last.exit_qty <= 10
    assert sum((leg.qty for leg in legs), last.exit_qty) == Decimal("25.00005")


def test_an_off_grid_flip_over_the_maximum_numbers_its_legs_in_order() -> None:
    orders = _orders("reverse", "25.00005", qty=15)
    assert [each.leg for each in orders] == list(range(len(orders)))
    assert [each.purpose for each in orders] == [Purpose.EXIT] * 3 + [Purpose.ENTRY] * 2


@pytest.mark.parametrize("kind", ["limit", "stop_market", "stop_limit"])
def test_an_off_grid_close_keeps_the_price_and_the_trigger_it_was_requested_with(kind: str) -> None:
    price = None if kind == "stop_market" else Decimal(60000)
    trigger = None if kind == "limit" else Decimal(45000)
    (order,) = _orders("close", "5.00005", type=kind, price=price, trigger_price=trigger)
    assert (order.closes_all, order.type) == (True, OrderType(kind))
    assert (order.price, order.trigger_price) == (price, trigger)


def test_every_opening_leg_carries_the_stop_loss_and_no_exit_does() -> None:
    orders = _orders("reverse", "-12", qty=11, stop_loss=level(45000), take_profits=(profit(60000),))
    assert [each.stop_loss for each in orders] == [None, None, 45000, 45000]
    assert [each.take_profit for each in orders] == [None, None, 60000, 60000]


def test_an_order_that_merely_reduces_residuals_no_stops() -> None:
    (order,) = _orders("sell", "5", qty=1, stop_loss=level(55000), take_profits=(profit(40000),))
    assert (order.stop_loss, order.take_profit) == (None, None)


@pytest.mark.parametrize(("action", "price", "sent"), [("buy", "40000.19", "40000.1"), ("sell", "60000.11", "60000.2")])
def test_limit_prices_round_away_from_the_takers_side(action: str, price: str, sent: str) -> None:
    (order,) = _orders(action, "0", qty=1, type="limit", price=price)
    assert order.price == Decimal(sent)


@pytest.mark.parametrize(
    ("action", "stop", "target", "rounded_stop", "rounded_target"),
    [
        ("buy", "45000.19", "60000.11", "45000.1", "60000.2"),
        ("sell", "60000.11", "45000.19", "60000.2", "45000.1"),
    ],
)
def test_stops_round_away_from_the_position(
    action: str, stop: str, target: str, rounded_stop: str, rounded_target: str
) -> None:
    (order,) = _orders(action, "0", qty=1, stop_loss=level(stop), take_profits=(profit(target),))
    assert (order.stop_loss, order.take_profit) == (Decimal(rounded_stop), Decimal(rounded_target))


@pytest.mark.parametrize(
    ("action", "kind", "trigger", "sent", "rises"),
    [
        ("buy", "stop_market", "55000.11", "55000.2", True),
        ("sell", "stop_market", "45000.19", "45000.1", False),
        ("buy", "market_if_touched", "45000.19", "45000.1", False),
        ("sell", "market_if_touched", "55000.11", "55000.2", True),
    ],
)
def test_a_stop_is_a_breakout_and_a_touch_the_way_back(
    action: str, kind: str, trigger: str, sent: str, rises: bool
) -> None:
    (order,) = _orders(action, "0", qty=1, type=kind, trigger_price=trigger)
    assert (order.trigger_price, order.trigger_rises, order.price) == (Decimal(sent), rises, None)


PASSED = [
    ("buy", "stop_market", "49000"),
    ("sell", "stop_market", "51000"),
    ("buy", "market_if_touched", "51000"),
    ("sell", "limit_if_touched", "49000"),
]


@pytest.mark.parametrize(("action", "kind", "trigger"), [*PASSED, ("buy", "stop_limit", "50000")])
def test_a_trigger_that_the_price_has_passed_opens_nothing(action: str, kind: str, trigger: str) -> None:
    asked = signal(action, qty=1, type=kind, trigger_price=trigger, price=50000)
    made = plan(asked, rules(), facts(linear(**SMALL), p="0"))
    assert made.orders == () and made.reason is not None and made.reason.code == "TRIGGER_PASSED"
    assert trigger in made.reason.message and "if_passed" in made.reason.message


@pytest.mark.parametrize(("action", "kind", "trigger"), PASSED)
@pytest.mark.parametrize("by", ["alert", "strategy"])
def test_it_enters_at_once_where_alert_or_strategy_say_so(action: str, kind: str, trigger: str, by: str) -> None:
    named = {"if_passed": IfPassed.MARKET} if by == "alert" else {}
    asked = signal(action, qty=1, type=kind, trigger_price=trigger, price=50000, **named)
    made = plan(asked, rules(if_passed=IfPassed.MARKET if by == "strategy" else IfPassed.DENY), facts(linear(**SMALL)))
    (order,) = made.orders
    assert order.type is (OrderType.LIMIT if "limit" in kind else OrderType.MARKET)
    assert order.trigger_price is None and any("passed the trigger" in note for note in made.notes)


@pytest.mark.parametrize(
    ("action", "p", "qty", "trigger", "sent"),
    [("sell", "2", 3, "51000", ["sell 2.000 exit"]), ("close", "2", None, "51000", ["sell 2.000 exit"])],
)
def test_the_exit_of_an_order_whose_trigger_is_passed_goes_at_the_market(
    action: str, p: str, qty: int | None, trigger: str, sent: list[str]
) -> None:
    sized: dict[str, Any] = {} if qty is None else {"qty": qty}
    orders = _orders(action, p, type="stop_limit", trigger_price=trigger, price=50500, **sized)
    assert _shown(orders) == sent
    assert all(each.type is OrderType.MARKET and each.reduce_only and each.price is None for each in orders)


@pytest.mark.parametrize("time_in_force", ["GTC", "IOC", "FOK", "PostOnly"])
def test_a_limit_order_keeps_its_time_in_force(time_in_force: str) -> None:
    (order,) = _orders("buy", "0", qty=1, type="limit", price=40000, time_in_force=time_in_force)
    assert (order.type, order.time_in_force.value) == (OrderType.LIMIT, time_in_force)
    assert order.rests is (time_in_force in ("GTC", "PostOnly"))


def test_slippage_is_bounded_on_market_orders_only() -> None:
    (market,) = _orders("buy", "0", qty=1, slippage_pct="0.5")
    (limit,) = _orders("buy", "0", qty=1, slippage_pct="0.5", type="limit", price=40000)
    assert (market.slippage_pct, limit.slippage_pct) == (Decimal("0.5"), None)
