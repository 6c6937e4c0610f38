"""What to do next for a guard, from what is known of its position and its orders: pure, and at rest in the end."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from relay.domain.care_rungs import next_rung
from relay.domain.care_steps import (
    AdvanceRung,
    CancelRung,
    CareStep,
    Keep,
    LookAgain,
    Release,
    Rest,
    SetStops,
    Sight,
)
from relay.domain.guard import Guard, GuardStatus, Rung
from relay.domain.instrument import Instrument
from relay.domain.levels import level_price, profit_price, stop_price, trail_distance
from relay.domain.order import OrderStatus
from relay.domain.position import Position, StopLevels
from relay.domain.reconciliation import OrderState
from relay.domain.rounding import ceil_to, floor_to

LAG_MS = 3000
"""How long the exchange may take to show a position after its entry has filled."""
_AT_ONCE_MS = 5000
"""An order that the exchange ends sooner than this was as good as refused."""
_ZERO = Decimal(0)


def next_care(guard: Guard, sight: Sight) -> CareStep:
    """The next thing to do. The orders that the guard names must be in sight, and for an active one the position."""
    if guard.status is GuardStatus.WAITING:
        return _wait(guard, sight)
    assert guard.status is GuardStatus.ACTIVE, "what is over needs no care"
    if (on_its_way := _unsettled(guard, sight)) is not None:
        return AdvanceRung(order_id=on_its_way)
    booked = _booked(guard, sight)
    if booked != guard:
        return Keep(guard=booked)
    assert sight.position is not None, "an active guard needs the position"
    if sight.position.size * guard.side.sign <= 0:
        return _released(guard, sight)
    if guard.leavings:
        return CancelRung(order_id=guard.leavings[0])
    step = _entry(guard, sight) or _stops(guard, sight.position, sight) or _breakeven(guard, sight)
    return step or next_rung(guard, sight)


def _wait(guard: Guard, sight: Sight) -> CareStep:
    if not guard.entries:
        if sight.position is None or sight.position.size * guard.side.sign <= 0:
            return Release()
        return _stops(_active(guard, guard.entry_price, sight, is_entry_over=True), sight.position, sight) or Rest()
    entries = [sight.orders[each] for each in guard.entries]
    if any(_has_opened(each) for each in entries):
        average = _average(entries, sight.instrument)
        return Keep(guard=_active(guard, average, sight, is_entry_over=_have_ended(entries)))
    return Release() if _have_ended(entries) else Rest()


def _active(guard: Guard, entry_price: Decimal | None, sight: Sight, *, is_entry_over: bool) -> Guard:
    return replace(
        guard,
        status=GuardStatus.ACTIVE,
        entry_price=entry_price,
        is_entry_over=is_entry_over,
        active_at_ms=sight.now_ms,
    )


def _has_opened(order: OrderState) -> bool:
    """More of it has filled than brings the old position to zero."""
    return order.filled_qty > (order.planned.exit_qty or _ZERO)


def _have_ended(entries: list[OrderState]) -> bool:
    return all(each.status.is_ended for each in entries)


def _average(entries: list[OrderState], instrument: Instrument) -> Decimal | None:
    """What the entries were filled at. Contracts of an inverse perpetual average by the coins that they stand for."""
    filled = [(each.filled_qty, each.avg_price) for each in entries if each.filled_qty and each.avg_price]
    qty = sum((each for each, _ in filled), _ZERO)
    if not qty:
        return None
    if instrument.is_inverse:
        return qty / sum((each / price for each, price in filled if price), _ZERO)
    return sum((each * price for each, price in filled if price), _ZERO) / qty


def _unsettled(guard: Guard, sight: Sight) -> str | None:
    return next((each for each in guard.order_ids if not sight.orders[each].is_settled), None)


def _booked(guard: Guard, sight: Sight) -> Guard:
    """The guard once its ended orders are counted."""
    leavings = tuple(each for each in guard.leavings if not sight.orders[each].status.is_ended)
    rungs = tuple(_booked_rung(each, sight) for each in guard.rungs)
    return replace(guard, leavings=leavings, rungs=rungs)


def _booked_rung(rung: Rung, sight: Sight) -> Rung:
    order = sight.orders[rung.order_id] if rung.order_id is not None else None
    if order is None or not order.status.is_ended:
        return rung
    counted = replace(rung, order_id=None, is_taken_back=False, filled_qty=rung.filled_qty + order.filled_qty)
    if order.status is OrderStatus.FILLED:
        return replace(counted, is_done=True)
    was_refused = order.status is not OrderStatus.CANCELED or sight.now_ms - rung.placed_at_ms < _AT_ONCE_MS
    if rung.is_taken_back or not was_refused or order.filled_qty > 0:
        return replace(counted, refusals=0)
    size = abs(sight.position.size) if sight.position else None
    return replace(counted, refusals=rung.refusals + 1, refused_at_size=size)


def _released(guard: Guard, sight: Sight) -> CareStep:
    """The position is closed or on the other side: nothing of the guard's may rest on."""
    if not guard.is_seen and sight.now_ms - guard.active_at_ms < LAG_MS:
        return LookAgain()
    return CancelRung(order_id=guard.order_ids[0]) if guard.order_ids else Release()


def _entry(guard: Guard, sight: Sight) -> CareStep | None:
    """Distances are moved to the average of the first fill, and once more where the entry went on filling."""
    seen = replace(guard, is_seen=True)
    entries = [sight.orders[each] for each in guard.entries]
    if not guard.is_entry_over and _have_ended(entries):
        average = _average(entries, sight.instrument) or guard.entry_price
        moved = average != guard.entry_price
        seen = replace(seen, is_entry_over=True, entry_price=average, are_stops_set=guard.are_stops_set and not moved)
    return Keep(guard=seen) if seen != guard else None


def _stops(guard: Guard, position: Position | None, sight: Sight) -> CareStep | None:
    """None: they are where they belong."""
    if guard.are_stops_set:
        return None
    assert position is not None and guard.entry_price is not None, "stops are set on a position that is open"
    after = replace(guard, are_stops_set=True)
    wanted = StopLevels(
        stop_loss=_wanted_stop(guard, position, sight.instrument.tick_size),
        take_profit=_wanted_profit(guard, position, sight.instrument.tick_size),
    )
    if guard.trailing_stop is not None:
        wanted = _with_trail(wanted, guard, position, sight.instrument.tick_size)
    return Keep(guard=after) if wanted.is_empty else SetStops(after=after, levels=wanted)


def _wanted_stop(guard: Guard, position: Position, tick: Decimal) -> Decimal | None:
    """None: it is there, or the price has passed where it belongs, and the one that is there stays."""
    if guard.stop_loss is None or guard.is_at_breakeven:
        return None
    assert guard.entry_price is not None
    price = stop_price(guard.stop_loss, side=guard.side, reference=guard.entry_price, tick=tick)
    if price == position.stop_loss or _is_passed(price, position, -guard.side.sign):
        return None
    return price


def _wanted_profit(guard: Guard, position: Position, tick: Decimal) -> Decimal | None:
    if guard.rungs and position.take_profit is not None:
        return _ZERO
    if guard.take_profit is None:
        return None
    assert guard.entry_price is not None
    price = profit_price(guard.take_profit, side=guard.side, reference=guard.entry_price, tick=tick)
    if price == position.take_profit or _is_passed(price, position, guard.side.sign):
        return None
    return price


def _is_passed(price: Decimal, position: Position, sign: int) -> bool:
    """The exchange takes a level on its own side of the market only. `sign`: 1 for one above it."""
    return position.mark_price is not None and (price - position.mark_price) * sign <= 0


def _with_trail(wanted: StopLevels, guard: Guard, position: Position, tick: Decimal) -> StopLevels:
    assert guard.trailing_stop is not None and guard.entry_price is not None
    distance = trail_distance(guard.trailing_stop, reference=guard.entry_price, tick=tick)
    start = None
    if guard.trailing_start is not None:
        exact = level_price(guard.trailing_start, side=guard.side, reference=guard.entry_price, is_stop=False)
        start = ceil_to(exact, tick) if guard.side.sign > 0 else floor_to(exact, tick)
    # A start that the price has passed already is no start to wait for.
    if start is not None and _is_passed(start, position, guard.side.sign):
        start = None
    return replace(wanted, trailing_stop=distance, trailing_start=start)


def _breakeven(guard: Guard, sight: Sight) -> CareStep | None:
    """Once such a rung has filled the stop loss goes to the average entry; never back from where it is."""
    if guard.is_at_breakeven or not any(each.is_done and each.moves_stop_to_entry for each in guard.rungs):
        return None
    position, after = sight.position, replace(guard, is_at_breakeven=True)
    assert position is not None
    tick = sight.instrument.tick_size
    entry = position.avg_price or guard.entry_price
    assert entry is not None, "an open position has an average entry"
    price = floor_to(entry, tick) if guard.side.sign > 0 else ceil_to(entry, tick)
    stands = position.stop_loss
    if stands is not None and (stands - price) * guard.side.sign >= 0:
        return Keep(guard=after)
    return SetStops(after=after, levels=StopLevels(stop_loss=price))
