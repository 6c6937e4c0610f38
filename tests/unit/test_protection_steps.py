"""The next step for a bracket, from what is known of its position and its orders."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from relay.domain.bracket import Bracket, BracketStatus, TakeProfitLeg
from relay.domain.order import OrderStatus, Side
from relay.domain.order_lifecycle import OrderState
from relay.domain.position import StopLevels
from relay.domain.protection import (
    AmendTakeProfit,
    CancelTakeProfit,
    PlaceTakeProfit,
    ProtectionStep,
    RestingOrder,
    Save,
    SetStops,
    Snapshot,
    next_protection_step,
)
from relay.domain.signal import Level, LevelKind
from tests.builders import linear, position
from tests.unit.journal_builders import limit, planned

ENTRY, STOP = Decimal(50_000), Level(kind=LevelKind.PERCENT, value=Decimal(2))


def percent(value: int) -> Level:
    return Level(kind=LevelKind.PERCENT, value=Decimal(value))


def leg(at: int, share: int, order_id: str | None = None, **more: Any) -> TakeProfitLeg:
    return TakeProfitLeg(at=percent(at), share_pct=Decimal(share), order_id=order_id, **more)


def bracket(side: Side = Side.BUY, **more: Any) -> Bracket:
    """Active, with everything in place."""
    in_place = {"entry_price": ENTRY, "is_entry_over": True, "are_stops_set": True, "is_seen": True}
    return Bracket(side=side, status=BracketStatus.ACTIVE, **{**in_place, **more})


def resting(name: str, qty: str) -> OrderState:
    order = replace(limit(), qty=Decimal(qty), reduce_only=True)
    return OrderState(client_order_id=name, planned=order, status=OrderStatus.ACCEPTED, rests=True)


def step(of: Bracket, size: str, *, orders: tuple[OrderState, ...] = (), **held: Any) -> ProtectionStep:
    """`orders` rest with the quantity that they were placed with, the n-th at n + 1 percent above the entry."""
    resting = {
        each.client_order_id: RestingOrder(qty=each.planned.qty, price=ENTRY * (100 + place) / 100)
        for place, each in enumerate(orders, 1)
    }
    return next_protection_step(
        of,
        Snapshot(
            instrument=linear(),
            now_ms=1_000_000,
            position=position(size, **held),
            orders={each.client_order_id: each for each in orders},
            resting=resting,
        ),
    )


@pytest.mark.parametrize(("side", "size", "stop"), [(Side.BUY, "1", "49000"), (Side.SELL, "-1", "51000")])
def test_the_stop_is_set_where_it_belongs_unless_it_stands_at_breakeven(side: Side, size: str, stop: str) -> None:
    moved = bracket(side, stop_loss=STOP, are_stops_set=False)
    assert step(moved, size) == SetStops(
        after=replace(moved, are_stops_set=True), levels=StopLevels(stop_loss=Decimal(stop))
    )
    at_breakeven = replace(moved, is_at_breakeven=True)
    assert step(at_breakeven, size, stop_loss=str(ENTRY)) == Save(bracket=replace(at_breakeven, are_stops_set=True))


def test_what_is_too_large_shrinks_before_anything_grows() -> None:
    ladder = bracket(tp_legs=(leg(1, 50, "near"), leg(2, 50, "far")))
    orders = (resting("near", "2"), resting("far", "8"))
    assert step(ladder, "10", orders=orders) == AmendTakeProfit(order_id="far", qty=Decimal(5), price=Decimal(51_000))
    orders = (resting("near", "2"), resting("far", "5"))
    assert step(ladder, "10", orders=orders) == AmendTakeProfit(order_id="near", qty=Decimal(5), price=Decimal(50_500))


def test_what_is_too_large_shrinks_before_another_order_is_placed() -> None:
    ladder = bracket(tp_legs=(leg(1, 50), leg(2, 50, "far")))
    far = replace(resting("far", "10"), client_order_id="far")
    snapshot_of = {"far": RestingOrder(qty=Decimal(10), price=Decimal(51_000))}
    seen = Snapshot(
        instrument=linear(), now_ms=1_000_000, position=position("10"), orders={"far": far}, resting=snapshot_of
    )
    assert next_protection_step(ladder, seen) == AmendTakeProfit(order_id="far", qty=Decimal(5), price=Decimal(51_000))
    shrunk = replace(seen, resting={"far": RestingOrder(qty=Decimal(5), price=Decimal(51_000))})
    placed = next_protection_step(ladder, shrunk)
    assert isinstance(placed, PlaceTakeProfit) and (placed.place, placed.planned.qty) == (0, Decimal(5))


def test_what_is_no_longer_wanted_goes_before_another_order_is_placed() -> None:
    ladder = bracket(tp_legs=(leg(1, 50), leg(2, 50)), stale_orders=("old",))
    assert step(ladder, "10", orders=(resting("old", "3"),)) == CancelTakeProfit(order_id="old")


def test_a_take_profit_that_filled_is_not_placed_again() -> None:
    filled = replace(resting("near", "5"), status=OrderStatus.FILLED, filled_qty=Decimal(5), rests=False)
    ladder = bracket(tp_legs=(leg(1, 50, "near"), leg(2, 50, "far")))
    booked = step(ladder, "5", orders=(filled, resting("far", "5")))
    assert isinstance(booked, Save)
    near, far = booked.bracket.tp_legs
    assert (near.is_done, near.order_id, near.filled_qty) == (True, None, Decimal(5))
    assert (far.is_done, far.order_id) == (False, "far")


@pytest.mark.parametrize(
    ("status", "after_ms", "is_taken_back", "refusals"),
    [
        (OrderStatus.CANCELED, 4_999, False, 2),
        (OrderStatus.CANCELED, 5_000, False, 0),
        (OrderStatus.REJECTED, 60_000, False, 2),
        (OrderStatus.CANCELED, 10, True, 0),
    ],
    ids=["at once", "later", "refused", "by the relay"],
)
def test_an_order_that_the_exchange_ends_at_once_counts_as_refused(
    status: OrderStatus, after_ms: int, is_taken_back: bool, refusals: int
) -> None:
    over = OrderState(client_order_id="near", planned=planned(), status=status)
    placed = leg(1, 50, "near", placed_at_ms=1_000_000 - after_ms, is_taken_back=is_taken_back, refusals=1)
    booked = step(bracket(tp_legs=(placed,)), "10", orders=(over,))
    assert isinstance(booked, Save)
    (after,) = booked.bracket.tp_legs
    assert (after.order_id, after.is_taken_back, after.refusals) == (None, False, refusals)
