"""The next step for a bracket, from what is known of its position and its orders."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from relay.domain.bracket import Bracket, BracketStatus, TakeProfitLeg, begun_anew, taking_over
from relay.domain.instrument import Category
from relay.domain.order import OrderStatus, OrderType, Side
from relay.domain.order_lifecycle import OrderState
from relay.domain.position import StopLevels
from relay.domain.protection import (
    AdvanceTakeProfit,
    AmendTakeProfit,
    CancelTakeProfit,
    Close,
    NoOp,
    PlaceTakeProfit,
    ProtectionStep,
    RestingOrder,
    Save,
    SetStops,
    Snapshot,
    next_protection_step,
    passed_stop,
    shortfall,
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


def test_distances_count_from_the_average_of_all_that_the_entry_filled() -> None:
    fills = (("a", "1", "49000"), ("b", "3", "51000"))
    orders = {
        name: OrderState(
            client_order_id=name,
            planned=planned(),
            status=OrderStatus.FILLED,
            filled_qty=Decimal(qty),
            avg_price=Decimal(price),
        )
        for name, qty, price in fills
    }
    waiting = Bracket(side=Side.BUY, stop_loss=STOP, entries=("a", "b"))
    opened = next_protection_step(waiting, Snapshot(instrument=linear(), now_ms=7, orders=orders, resting={}))
    assert isinstance(opened, Save)
    assert (opened.bracket.status, opened.bracket.entry_price) == (BracketStatus.ACTIVE, Decimal(50_500))
    assert (opened.bracket.is_entry_over, opened.bracket.active_at_ms) == (True, 7)


@pytest.mark.parametrize(
    ("stands", "mark", "is_set"), [("49000", "50000", False), (None, "48999", False), ("48000", "50000", True)]
)
def test_a_stop_is_set_unless_it_stands_already_or_the_price_has_passed_it(
    stands: str | None, mark: str, is_set: bool
) -> None:
    unset = bracket(stop_loss=STOP, are_stops_set=False)
    made = step(unset, "1", stop_loss=stands, mark_price=mark)
    in_place = replace(unset, are_stops_set=True)
    wanted = SetStops(after=in_place, levels=StopLevels(stop_loss=Decimal(49_000)))
    assert made == (wanted if is_set else Save(bracket=in_place))


@pytest.mark.parametrize(("side", "size", "entry"), [(Side.BUY, "1", "50000.0"), (Side.SELL, "-1", "50000.0")])
def test_the_stop_goes_to_the_entry_once_the_take_profit_that_says_so_has_filled(
    side: Side, size: str, entry: str
) -> None:
    filled = leg(1, 100, is_done=True, moves_stop_to_entry=True)
    mark = ENTRY + 100 * side.sign
    moved = step(bracket(side, tp_legs=(filled,)), size, mark_price=str(mark), stop_loss=str(ENTRY - 500 * side.sign))
    assert isinstance(moved, SetStops) and moved.after.is_at_breakeven
    assert moved.levels == StopLevels(stop_loss=Decimal(entry))
    silent = replace(filled, moves_stop_to_entry=False)
    assert not isinstance(step(bracket(side, tp_legs=(silent,)), size, mark_price=str(mark)), SetStops)


@pytest.mark.parametrize(("side", "size", "start"), [(Side.BUY, "1", "51005.1"), (Side.SELL, "-1", "48994.9")])
def test_where_a_trailing_stop_starts_is_rounded_away_from_the_price(side: Side, size: str, start: str) -> None:
    begins = Level(kind=LevelKind.PERCENT, value=Decimal("2.01015"))
    trailing = bracket(side, trailing_stop=STOP, trailing_start=begins, are_stops_set=False)
    made = step(trailing, size)
    assert isinstance(made, SetStops)
    assert (made.levels.trailing_stop, made.levels.trailing_start) == (Decimal(1000), Decimal(start))


def test_the_positions_stop_does_not_wait_for_a_take_profit_in_doubt() -> None:
    doubtful = OrderState(client_order_id="near", planned=planned(), status=OrderStatus.SUBMITTED)
    held = bracket(stop_loss=STOP, are_stops_set=False, tp_legs=(leg(1, 100, "near"),))
    seen = Snapshot(
        instrument=linear(), now_ms=1_000_000, position=position("1"), orders={"near": doubtful}, resting={}
    )
    assert isinstance(next_protection_step(held, seen), SetStops)
    assert next_protection_step(held, replace(seen, position=None)) == AdvanceTakeProfit(order_id="near")


def test_a_share_that_is_too_small_is_left_to_its_neighbour_and_said_so() -> None:
    ladder = bracket(tp_legs=(leg(1, 50), leg(2, 50)))
    placed = step(ladder, "0.001")
    assert isinstance(placed, PlaceTakeProfit) and (placed.place, placed.planned.qty) == (1, Decimal("0.001"))
    merged = shortfall(replace(ladder, tp_legs=(leg(1, 50), leg(2, 50, "far"))))
    assert merged is not None and merged.is_merged
    assert shortfall(replace(ladder, tp_legs=(leg(1, 50, "near"), leg(2, 50, "far")))) is None
    none = shortfall(ladder)
    assert none is not None and not none.is_merged


def test_what_filled_in_part_before_the_exchange_ended_it_was_not_refused() -> None:
    over = OrderState(client_order_id="near", planned=planned(), status=OrderStatus.CANCELED, filled_qty=Decimal("0.5"))
    booked = step(bracket(tp_legs=(leg(1, 50, "near", placed_at_ms=1_000_000, refusals=2),)), "10", orders=(over,))
    assert isinstance(booked, Save) and booked.bracket.tp_legs[0].refusals == 0


def test_what_is_left_of_an_entry_has_its_own_ladder_anew_and_none_of_an_older_alert() -> None:
    over = bracket(tp_legs=(leg(3, 40, filled_qty=Decimal("0.4"), is_done=True), leg(7, 60, is_inherited=True)))
    anew = begun_anew(replace(over, entries=("rests",)), Decimal("0.4"))
    assert anew is not None and anew.tp_legs == (leg(3, 40),)
    assert (anew.entries, anew.spent, anew.status) == (("rests",), Decimal("0.4"), BracketStatus.WAITING)
    assert begun_anew(bracket(tp_legs=(leg(7, 60, is_inherited=True),)), Decimal(1)) is None


def coins_step(of: Bracket, *, mark: str, orders: tuple[OrderState, ...] = (), size: str = "1") -> ProtectionStep:
    """The same of coins, where the stop loss is an order too. What rests does so as the bracket wants it."""
    spot, prices = linear(category=Category.SPOT), {each.order_id: each.at for each in of.tp_legs}
    resting = {
        each.client_order_id: RestingOrder(
            qty=each.planned.qty, price=ENTRY + prices[each.client_order_id].value * ENTRY / 100
        )
        for each in orders
    }
    held = position(size, spot, mark_price=mark)
    known = {each.client_order_id: each for each in orders}
    return next_protection_step(
        of, Snapshot(instrument=spot, now_ms=1_000_000, position=held, orders=known, resting=resting)
    )


def stop_leg(at: int = -2, **more: Any) -> TakeProfitLeg:
    below = Level(kind=LevelKind.PERCENT, value=Decimal(at), sign_given=True)
    return TakeProfitLeg(at=below, share_pct=Decimal(100), is_stop=True, **more)


def test_the_stop_loss_of_coins_waits_below_the_price_and_sells_at_once_where_that_has_passed_it() -> None:
    stopped = bracket(tp_legs=(stop_leg(),))
    waits = coins_step(stopped, mark="49000.1")
    assert isinstance(waits, PlaceTakeProfit)
    assert (waits.planned.type, waits.planned.side, waits.planned.qty) == (OrderType.STOP_MARKET, Side.SELL, Decimal(1))
    assert (waits.planned.trigger_price, waits.planned.trigger_rises, waits.planned.locks) == (
        Decimal(49_000),
        False,
        True,
    )
    sells = coins_step(stopped, mark="49000")
    assert isinstance(sells, PlaceTakeProfit)
    assert (sells.planned.type, sells.planned.trigger_price, sells.planned.qty) == (OrderType.MARKET, None, Decimal(1))


def test_a_take_profit_of_coins_takes_the_stops_place_at_its_price_and_leaves_it_a_quarter_of_the_way_back() -> None:
    apart = bracket(tp_legs=(leg(2, 100), stop_leg()))
    places = [coins_step(apart, mark=mark) for mark in ("50999.9", "51000")]
    assert [each.place for each in places if isinstance(each, PlaceTakeProfit)] == [1, 0]
    rests = bracket(tp_legs=(leg(2, 100, "tp"), stop_leg()))
    assert coins_step(rests, mark="50500", orders=(resting("tp", "1"),)) == NoOp()
    leaves = coins_step(rests, mark="50499.9", orders=(resting("tp", "1"),))
    assert isinstance(leaves, Save) and leaves.bracket.tp_legs[0].is_taken_back


@pytest.mark.parametrize(("refusals", "pause_s"), [(3, 5), (4, 10), (5, 20), (6, 40), (7, 60), (50, 60)])
def test_a_stop_loss_that_was_refused_is_placed_again_after_a_pause_or_at_once_for_another_size(
    refusals: int, pause_s: int
) -> None:
    def placed(ago_ms: int, refused_at: str = "1", order_id: str | None = None) -> ProtectionStep:
        refused: dict[str, Any] = {"refusals": refusals, "refused_at_size": Decimal(refused_at), "order_id": order_id}
        of = bracket(tp_legs=(stop_leg(placed_at_ms=1_000_000 - ago_ms, **refused),))
        return coins_step(of, mark="50000", orders=(resting(order_id, "1"),) if order_id else ())

    assert placed(pause_s * 1000 - 1) == NoOp()
    assert isinstance(placed(pause_s * 1000), PlaceTakeProfit)
    assert isinstance(placed(1, refused_at="2"), PlaceTakeProfit)
    assert placed(1, order_id="stop") == NoOp(), "one that rests at last stays"


def test_a_take_profit_that_was_refused_thrice_is_placed_again_for_another_size_only() -> None:
    refused = leg(1, 100, refusals=3, refused_at_size=Decimal(10))
    assert step(bracket(tp_legs=(refused,)), "10") == NoOp()
    again = step(bracket(tp_legs=(refused,)), "9")
    assert isinstance(again, PlaceTakeProfit) and again.planned.qty == Decimal(9)
    assert isinstance(step(bracket(tp_legs=(replace(refused, refusals=2),)), "10"), PlaceTakeProfit)


@pytest.mark.parametrize("side", Side)
def test_levels_for_a_position_that_is_open_are_set_at_once_and_given_up_where_it_is_not(side: Side) -> None:
    waiting = Bracket(side=side, stop_loss=STOP, entry_price=ENTRY)
    made = step(waiting, str(side.sign))
    assert isinstance(made, SetStops) and made.levels == StopLevels(stop_loss=ENTRY * (100 - 2 * side.sign) / 100)
    assert (made.after.status, made.after.is_entry_over) == (BracketStatus.ACTIVE, True)
    assert [step(waiting, size) for size in ("0", str(-side.sign))] == [Close()] * 2
    unread = Snapshot(instrument=linear(), now_ms=1, position=None, orders={}, resting={})
    assert next_protection_step(waiting, unread) == Close()


def test_a_stop_that_cannot_be_put_back_is_told_with_its_price_and_only_while_a_fill_has_moved_it() -> None:
    grown = bracket(held_stop=Decimal(49_500), held_size=Decimal(1), grown_at_ms=1, older_entries=("rests",))

    def told(of: Bracket, mark: str = "49400", size: str = "2") -> str | None:
        held = position(size, stop_loss="48000", mark_price=mark)
        return passed_stop(of, Snapshot(instrument=linear(), now_ms=2, position=held, orders={}, resting={}))

    assert "49500" in (told(grown) or "")
    assert told(grown, mark="49600") is None
    assert told(replace(grown, grown_at_ms=0)) is None
    assert told(grown, size="0") is None


def test_a_stop_that_is_still_to_go_to_the_entry_goes_there_unless_the_next_alert_names_one() -> None:
    old = bracket(tp_legs=(leg(1, 50, is_done=True, moves_stop_to_entry=True), leg(2, 50)))
    trailing = Bracket(side=Side.BUY, trailing_stop=STOP)
    tick = Decimal("0.1")
    assert [each.moves_stop_to_entry for each in taking_over(trailing, old, tick=tick).tp_legs] == [True, False]
    named = Bracket(side=Side.BUY, stop_loss=STOP)
    assert [each.moves_stop_to_entry for each in taking_over(named, old, tick=tick).tp_legs] == [False, False]
