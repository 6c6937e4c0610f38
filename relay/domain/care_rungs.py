"""What to do next for the take profits of a ladder, once the position's own levels are set."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from relay.domain.care_steps import AmendRung, CancelRung, CareStep, OnBook, PlaceRung, Rest, Sight
from relay.domain.guard import Guard, Rung, rung_price
from relay.domain.ladder import Part, remaining
from relay.domain.order import OrderType, PlannedOrder, Purpose

REFUSALS_MAX = 3
_ZERO = Decimal(0)


def next_rung(guard: Guard, sight: Sight) -> CareStep:
    """What is too large goes first, so that the orders never add up to more than the position."""
    assert sight.position is not None
    size, instrument = abs(sight.position.size), sight.instrument
    wanted = remaining(
        [_part(each, sight, size) for each in guard.rungs], size, step=instrument.qty_step, least=instrument.qty_min
    )
    steps = [_rung_step(place, wanted[place], guard, sight) for place in range(len(guard.rungs))]
    asked = [step for step in steps if step is not None]
    shrinking = (step for step in asked if _shrinks(step, sight))
    return next(shrinking, None) or next(iter(asked), None) or Rest()


def _part(rung: Rung, sight: Sight, size: Decimal) -> Part:
    held = sight.orders[rung.order_id].filled_qty if rung.order_id is not None else _ZERO
    is_off = rung.refusals >= REFUSALS_MAX and rung.refused_at_size == size
    return Part(share_pct=rung.share_pct, filled=rung.filled_qty + held, held=held, is_done=rung.is_done, is_off=is_off)


def _rung_step(place: int, wanted: Decimal, guard: Guard, sight: Sight) -> CareStep | None:
    rung = guard.rungs[place]
    price = rung_price(rung.at, guard, sight.instrument.tick_size)
    if rung.order_id is None:
        return PlaceRung(place=place, planned=_order(guard, sight, wanted, price)) if wanted > 0 else None
    if wanted == 0:
        return CancelRung(order_id=rung.order_id)
    rests, total = sight.book[rung.order_id], sight.orders[rung.order_id].filled_qty + wanted
    if rests == OnBook(qty=total, price=price):
        return None
    return AmendRung(order_id=rung.order_id, qty=total, price=price)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortfall:
    """Not every take profit has an order of its own. `is_merged`: others have its share, and all is well."""

    words: str
    is_merged: bool


def shortfall(guard: Guard, sight: Sight) -> Shortfall | None:
    """Of a guard at rest: what does not rest, in words."""
    open_ones = [each for each in guard.rungs if not each.is_done]
    without = [each for each in open_ones if each.order_id is None]
    if not without:
        return None
    refused = [each for each in without if each.refusals >= REFUSALS_MAX]
    if refused:
        return Shortfall(words="the exchange did not keep a take profit, however often it was placed", is_merged=False)
    if len(without) == len(open_ones):
        return Shortfall(words="the position is too small for any of its take profits", is_merged=False)
    return Shortfall(words="a take profit under the exchange's minimum was merged into its neighbour", is_merged=True)


def _shrinks(step: CareStep, sight: Sight) -> bool:
    return isinstance(step, CancelRung) or (isinstance(step, AmendRung) and step.qty < sight.book[step.order_id].qty)


def _order(guard: Guard, sight: Sight, qty: Decimal, price: Decimal) -> PlannedOrder:
    return PlannedOrder(
        leg=0,
        category=sight.instrument.category,
        symbol=sight.instrument.symbol,
        side=guard.side.opposite,
        type=OrderType.LIMIT,
        qty=qty,
        purpose=Purpose.EXIT,
        price=price,
        reduce_only=True,
    )
