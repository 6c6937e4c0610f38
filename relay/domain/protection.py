"""What to do next for a bracket, from what is known of its position and orders. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal

from relay.domain.bracket import (
    Bracket,
    BracketStatus,
    Part,
    TakeProfitLeg,
    begun_anew,
    breakeven_price,
    leg_price,
    profit_price,
    remaining,
    stop_price,
    taken_back,
    trail_distance,
)
from relay.domain.instrument import Instrument, ceil_to, floor_to, plain
from relay.domain.order import OrderStatus, OrderType, PlannedOrder, Purpose
from relay.domain.order_lifecycle import OrderState
from relay.domain.position import Position, StopLevels
from relay.domain.signal import Level, LevelKind

# The steps that protect a position: what each is decided by, and which is next.


@dataclass(frozen=True, slots=True, kw_only=True)
class RestingOrder:
    """An order as it rests at the exchange just now. `price`: its limit, else what triggers it."""

    qty: Decimal
    price: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What a step is decided by. `orders`: the bracket's, by client order id. `position` None: it was not looked at."""

    instrument: Instrument
    now_ms: int
    position: Position | None = None
    orders: Mapping[str, OrderState] = field(default_factory=dict)
    resting: Mapping[str, RestingOrder] = field(default_factory=dict)
    unwanted: frozenset[str] = frozenset()
    """Orders whose end a person has asked the relay for."""
    spoken_for: Decimal = Decimal(0)
    """Of coins: what other resting orders of the relay's are to sell, so that the bracket's may not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoOp:
    """Every level and take profit of the bracket is where it belongs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refresh:
    """What the exchange shows may lag behind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Save:
    """Nothing is to be sent; the bracket is to be stored as it is here."""

    bracket: Bracket


@dataclass(frozen=True, slots=True, kw_only=True)
class Close:
    """There is nothing (any more) that it protects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetStops:
    """Set the position's own levels at the exchange; once that is done, store the bracket `after`."""

    after: Bracket
    levels: StopLevels


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceTakeProfit:
    """`planned` has no leg yet."""

    place: int
    planned: PlannedOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class AdvanceTakeProfit:
    """Its order is on its way: bring it a step further."""

    order_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AmendTakeProfit:
    """`qty`: with what is filled of it."""

    order_id: str
    qty: Decimal
    price: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelTakeProfit:
    order_id: str


ProtectionStep = (
    NoOp | Refresh | Save | Close | SetStops | PlaceTakeProfit | AdvanceTakeProfit | AmendTakeProfit | CancelTakeProfit
)


# What to do next for the take profits of a ladder, once the position's own levels are set.


REFUSALS_MAX = 3
_AGAIN_MS, _AGAIN_MAX_MS = 5_000, 60_000
"""A stop loss that was refused so often is tried again after a pause, which doubles each time."""
_ALL = Decimal(100)
_ZERO = Decimal(0)


def next_take_profit_step(bracket: Bracket, snapshot: Snapshot) -> ProtectionStep:
    """What is too large goes first, so that the orders never add up to more than the position."""
    assert snapshot.position is not None
    wanted = _wanted(bracket, snapshot)
    steps = [_tp_leg_step(place, wanted[place], bracket, snapshot) for place in range(len(bracket.tp_legs))]
    requested = [step for step in steps if step is not None]
    shrinking = (step for step in requested if _shrinks(step, snapshot))
    return next(shrinking, None) or next(iter(requested), None) or NoOp()


def _wanted(bracket: Bracket, snapshot: Snapshot) -> list[Decimal]:
    """What each leg is to take of what is open.

    Where a stop loss is one of them, it has all the coins set aside but those of a take profit that the price has
    reached: the exchange sets coins aside for one order only.
    """
    assert snapshot.position is not None
    size, instrument, legs = abs(snapshot.position.size), snapshot.instrument, bracket.tp_legs
    unspoken = max(size - snapshot.spoken_for, _ZERO)
    profits = [place for place, each in enumerate(legs) if not each.is_stop]
    shares = remaining(
        [_part(legs[place], snapshot, size) for place in profits],
        unspoken,
        step=instrument.qty_step,
        least=_least(instrument, snapshot.position.mark_price),
    )
    wanted = [_ZERO] * len(legs)
    stop = next((place for place, each in enumerate(legs) if each.is_stop and not each.is_done), None)
    for place, share in zip(profits, shares, strict=True):
        if stop is None or _is_reached(legs[place], legs[stop], bracket, snapshot):
            wanted[place] = share
    if stop is None:
        return wanted
    left = floor_to(unspoken, instrument.qty_step) - sum(wanted, _ZERO)
    if left < _least(instrument, snapshot.position.mark_price) and any(wanted):
        last = max(place for place in profits if wanted[place])
        wanted[last] += left
        left = _ZERO
    is_off = _is_off(legs[stop], size, snapshot.now_ms)
    wanted[stop] = left if left >= instrument.qty_min and not is_off else _ZERO
    return wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnLevels:
    """Of coins that are held: the stop loss that rests, and the take profits with what each is to take, whether they
    rest or wait for their price."""

    stop_loss: Decimal | None = None
    take_profits: tuple[tuple[Decimal, Decimal], ...] = ()


def own_levels(bracket: Bracket, position: Position, instrument: Instrument) -> OwnLevels:
    """What the relay itself keeps of levels where the exchange keeps none with the position."""
    tick, size = instrument.tick_size, abs(position.size)
    profits = [each for each in bracket.tp_legs if not each.is_stop]
    shares = remaining(
        [Part(share_pct=each.share_pct, filled=each.filled_qty, is_done=each.is_done) for each in profits],
        size,
        step=instrument.qty_step,
        least=_least(instrument, position.mark_price),
    )
    stops = (leg_price(each, bracket, tick) for each in bracket.tp_legs if each.is_stop and each.order_id is not None)
    takes = ((leg_price(leg, bracket, tick), qty) for leg, qty in zip(profits, shares, strict=True) if qty)
    return OwnLevels(stop_loss=next(stops, None), take_profits=tuple(takes))


def _least(instrument: Instrument, price: Decimal | None) -> Decimal:
    """What the exchange takes as an order: of coins that are held by their worth, too."""
    if not instrument.is_held or not price:
        return instrument.qty_min
    return max(instrument.qty_min, ceil_to(instrument.notional_min / price, instrument.qty_step))


def _is_reached(profit: TakeProfitLeg, stop: TakeProfitLeg, bracket: Bracket, snapshot: Snapshot) -> bool:
    """Whether the price is there; one that rests already stays until it is a quarter of the way back to the stop."""
    assert snapshot.position is not None
    price, tick = snapshot.position.mark_price, snapshot.instrument.tick_size
    if price is None:
        return profit.order_id is not None
    at = leg_price(profit, bracket, tick)
    back = (at - leg_price(stop, bracket, tick)) / 4 if profit.order_id is not None else _ZERO
    return (price - at + back) * bracket.side.sign >= 0


def _part(tp_leg: TakeProfitLeg, snapshot: Snapshot, size: Decimal) -> Part:
    held = snapshot.orders[tp_leg.order_id].filled_qty if tp_leg.order_id is not None else _ZERO
    return Part(
        share_pct=tp_leg.share_pct,
        filled=tp_leg.filled_qty + held,
        held=held,
        is_done=tp_leg.is_done,
        is_off=_is_off(tp_leg, size, snapshot.now_ms),
    )


def _is_off(leg: TakeProfitLeg, size: Decimal, now_ms: int) -> bool:
    """Refused so often at this size that no other order is placed, or, of a stop loss, none yet."""
    if leg.refusals < REFUSALS_MAX or leg.refused_at_size != size or not leg.is_stop:
        return leg.refusals >= REFUSALS_MAX and leg.refused_at_size == size
    pause_ms = min(_AGAIN_MS << min(leg.refusals - REFUSALS_MAX, 9), _AGAIN_MAX_MS)
    return leg.order_id is None and now_ms - leg.placed_at_ms < pause_ms


def _tp_leg_step(place: int, wanted: Decimal, bracket: Bracket, snapshot: Snapshot) -> ProtectionStep | None:
    tp_leg = bracket.tp_legs[place]
    price = leg_price(tp_leg, bracket, snapshot.instrument.tick_size)
    if tp_leg.order_id is None:
        make = _stop_order if tp_leg.is_stop else _order
        return PlaceTakeProfit(place=place, planned=make(bracket, snapshot, wanted, price)) if wanted > 0 else None
    rests, total = snapshot.resting[tp_leg.order_id], snapshot.orders[tp_leg.order_id].filled_qty + wanted
    if wanted and rests == RestingOrder(qty=total, price=price) and not _has_failed(tp_leg, price, snapshot):
        return None
    if wanted and not snapshot.instrument.is_held:
        return AmendTakeProfit(order_id=tp_leg.order_id, qty=total, price=price)
    if snapshot.instrument.is_held and not tp_leg.is_taken_back:
        return Save(bracket=taken_back(bracket, frozenset({tp_leg.order_id})))
    return CancelTakeProfit(order_id=tp_leg.order_id)


def _has_failed(tp_leg: TakeProfitLeg, price: Decimal, snapshot: Snapshot) -> bool:
    """A stop loss that the price has passed, and that rests all the same: the exchange took it for a take profit."""
    market = snapshot.position.mark_price if snapshot.position else None
    return tp_leg.is_stop and market is not None and market <= price


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortfall:
    """Not every take profit has an order of its own. `is_merged`: others have its share, and all is well."""

    words: str
    is_merged: bool


def shortfall(bracket: Bracket) -> Shortfall | None:
    """Which take profits of a bracket could not be placed, in words."""
    # Where one of them is the stop loss, the others are placed once the price is there.
    stops = [each for each in bracket.tp_legs if each.is_stop]
    open_ones = [each for each in stops or bracket.tp_legs if not each.is_done]
    if stops and any(each.order_id is not None for each in bracket.tp_legs):
        return None
    without = [each for each in open_ones if each.order_id is None]
    if not without:
        return None
    refused = [each for each in without if each.refusals >= REFUSALS_MAX]
    if refused:
        what = "the stop loss" if stops else "a take profit"
        return Shortfall(words=f"the exchange did not keep {what}, however often it was placed", is_merged=False)
    if len(without) == len(open_ones):
        if stops:
            words = "what is held, less what rests to be sold, is too small for its stop loss"
            return Shortfall(words=words, is_merged=False)
        return Shortfall(words="the position is too small for any of its take profits", is_merged=False)
    return Shortfall(words="a take profit under the exchange's minimum was merged into its neighbour", is_merged=True)


def _shrinks(step: ProtectionStep, snapshot: Snapshot) -> bool:
    return isinstance(step, CancelTakeProfit | Save) or (
        isinstance(step, AmendTakeProfit) and step.qty < snapshot.resting[step.order_id].qty
    )


def _order(bracket: Bracket, snapshot: Snapshot, qty: Decimal, price: Decimal) -> PlannedOrder:
    return PlannedOrder(
        leg=0,
        category=snapshot.instrument.category,
        symbol=snapshot.instrument.symbol,
        side=bracket.side.opposite,
        type=OrderType.LIMIT,
        qty=qty,
        purpose=Purpose.EXIT,
        price=price,
        reduce_only=True,
    )


def _stop_order(bracket: Bracket, snapshot: Snapshot, qty: Decimal, price: Decimal) -> PlannedOrder:
    """It has its coins set aside. Where the price has passed it already, what it protects is sold at once."""
    order = replace(_order(bracket, snapshot, qty, price), type=OrderType.MARKET, price=None)
    market = snapshot.position.mark_price if snapshot.position else None
    if market is not None and market <= price:
        return order
    return replace(order, type=OrderType.STOP_MARKET, trigger_price=price, trigger_rises=False, locks=True)


LAG_MS = 3000
"""How long the exchange may take to show a position after its entry has filled."""
_AT_ONCE_MS = 5000
"""An order that the exchange ends sooner than this was as good as refused."""


def next_protection_step(bracket: Bracket, snapshot: Snapshot) -> ProtectionStep:
    """The next thing to do. The orders that the bracket names must be known, and for an active one the position."""
    if bracket.status is BracketStatus.WAITING:
        return _wait(bracket, snapshot)
    assert bracket.status is BracketStatus.ACTIVE, "a bracket that is over needs no step"
    if (on_its_way := _unsettled(bracket, snapshot)) is not None:
        is_over = all(snapshot.orders[each].status.is_ended for each in bracket.all_entries)
        if bracket.tp_legs and is_over and snapshot.position and _is_gone(bracket, snapshot.position, snapshot.now_ms):
            # What takes over from it may not keep the levels of a position that is closed.
            return Save(bracket=replace(bracket, tp_legs=(), stale_orders=bracket.order_ids))
        levels = next_level_step(bracket, snapshot)
        return AdvanceTakeProfit(order_id=on_its_way) if isinstance(levels, NoOp) else levels
    counted = booked(bracket, snapshot)
    if counted != bracket:
        return Save(bracket=counted)
    assert snapshot.position is not None, "an active bracket needs the position"
    if snapshot.position.size * bracket.side.sign <= 0:
        return _released(bracket, snapshot)
    if snapshot.instrument.is_dust(snapshot.position.size, snapshot.position.mark_price):
        return _released(bracket, snapshot) if bracket.is_entry_over else _entry(bracket, snapshot) or NoOp()
    if bracket.stale_orders:
        return CancelTakeProfit(order_id=bracket.stale_orders[0])
    step = (
        _entry(bracket, snapshot)
        or _stops(bracket, snapshot.position, snapshot)
        or _breakeven(bracket, snapshot)
        or _held(bracket, snapshot.position, snapshot)
    )
    return step or next_take_profit_step(bracket, snapshot)


def next_level_step(bracket: Bracket, snapshot: Snapshot) -> ProtectionStep:
    """The position's own levels do not wait for an order that is in doubt, which may be so for a minute."""
    position = snapshot.position
    if position is None or position.size * bracket.side.sign <= 0:
        return NoOp()
    return _stops(bracket, position, snapshot) or _held(bracket, position, snapshot) or NoOp()


def _is_gone(bracket: Bracket, position: Position, now_ms: int) -> bool:
    return position.size * bracket.side.sign <= 0 and (bracket.is_seen or now_ms - bracket.active_at_ms >= LAG_MS)


def _filled(entries: list[OrderState]) -> Decimal:
    return sum((each.filled_qty for each in entries), _ZERO)


def _wait(bracket: Bracket, snapshot: Snapshot) -> ProtectionStep:
    if not bracket.entries:
        if snapshot.position is None or snapshot.position.size * bracket.side.sign <= 0:
            return Close()
        return (
            _stops(_active(bracket, bracket.entry_price, snapshot, is_entry_over=True), snapshot.position, snapshot)
            or NoOp()
        )
    entries = [snapshot.orders[each] for each in bracket.entries]
    if any(_has_opened(each) for each in entries) and _filled(entries) > bracket.spent:
        average = _average(entries, snapshot.instrument)
        return Save(bracket=_active(bracket, average, snapshot, is_entry_over=_have_ended(entries)))
    return Close() if _have_ended(entries) else NoOp()


def _active(bracket: Bracket, entry_price: Decimal | None, snapshot: Snapshot, *, is_entry_over: bool) -> Bracket:
    return replace(
        bracket,
        status=BracketStatus.ACTIVE,
        entry_price=entry_price,
        is_entry_over=is_entry_over,
        active_at_ms=snapshot.now_ms,
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


def _unsettled(bracket: Bracket, snapshot: Snapshot) -> str | None:
    return next((each for each in bracket.order_ids if not snapshot.orders[each].is_settled), None)


def booked(bracket: Bracket, snapshot: Snapshot) -> Bracket:
    """The bracket with the fills and refusals of its ended orders counted in, without what a person has taken away."""
    stale_orders = tuple(each for each in bracket.stale_orders if not snapshot.orders[each].status.is_ended)
    stored = (each for each in bracket.tp_legs if not _is_taken_away(each, snapshot))
    tp_legs = tuple(_booked_tp_leg(each, snapshot) for each in stored)
    return replace(bracket, stale_orders=stale_orders, tp_legs=tp_legs)


def _is_taken_away(tp_leg: TakeProfitLeg, snapshot: Snapshot) -> bool:
    if tp_leg.order_id is None or tp_leg.order_id not in snapshot.unwanted:
        return False
    return snapshot.orders[tp_leg.order_id].status is OrderStatus.CANCELED


def _booked_tp_leg(tp_leg: TakeProfitLeg, snapshot: Snapshot) -> TakeProfitLeg:
    order = snapshot.orders[tp_leg.order_id] if tp_leg.order_id is not None else None
    if order is None or not order.status.is_ended:
        return tp_leg
    counted = replace(tp_leg, order_id=None, is_taken_back=False, filled_qty=tp_leg.filled_qty + order.filled_qty)
    if order.status is OrderStatus.FILLED:
        return replace(counted, is_done=True)
    was_refused = order.status is not OrderStatus.CANCELED or snapshot.now_ms - tp_leg.placed_at_ms < _AT_ONCE_MS
    if tp_leg.is_taken_back or not was_refused or order.filled_qty > 0:
        return replace(counted, refusals=0)
    size = abs(snapshot.position.size) if snapshot.position else None
    return replace(counted, refusals=tp_leg.refusals + 1, refused_at_size=size)


def _released(bracket: Bracket, snapshot: Snapshot) -> ProtectionStep:
    """The position is closed or on the other side: none of the bracket's orders may stay.

    What still rests of its entry opens another one, which has the same ladder.
    """
    if not bracket.is_seen and snapshot.now_ms - bracket.active_at_ms < LAG_MS:
        return Refresh()
    if bracket.order_ids:
        return CancelTakeProfit(order_id=bracket.order_ids[0])
    entries = [snapshot.orders[each] for each in bracket.entries]
    anew = None if _have_ended(entries) else begun_anew(bracket, _filled(entries))
    return Save(bracket=anew) if anew else Close()


def _entry(bracket: Bracket, snapshot: Snapshot) -> ProtectionStep | None:
    """Distances are moved to the average of the first fill, and once more where the entry went on filling."""
    seen = replace(bracket, is_seen=True)
    entries = [snapshot.orders[each] for each in bracket.entries]
    if not bracket.is_entry_over and _have_ended(entries):
        average = _average(entries, snapshot.instrument) or bracket.entry_price
        moved = average != bracket.entry_price and not _is_stop_moved(bracket, snapshot.instrument.tick_size)
        seen = replace(seen, is_entry_over=True, entry_price=average, are_stops_set=bracket.are_stops_set and not moved)
    older = tuple(each for each in bracket.older_entries if not snapshot.orders[each].status.is_ended)
    has_ended = seen.is_entry_over != bracket.is_entry_over or older != bracket.older_entries
    grown_at_ms = snapshot.now_ms if has_ended and bracket.held_size else bracket.grown_at_ms
    seen = replace(seen, older_entries=older, grown_at_ms=grown_at_ms)
    return Save(bracket=seen) if seen != bracket else None


def _is_stop_moved(bracket: Bracket, tick: Decimal) -> bool:
    """The stop stood elsewhere than the bracket has put it: by hand, or at the entry. There it stays."""
    if bracket.held_stop is None or bracket.stop_loss is None or bracket.entry_price is None:
        return False
    return bracket.held_stop != stop_price(
        bracket.stop_loss, side=bracket.side, reference=bracket.entry_price, tick=tick
    )


def _stops(bracket: Bracket, position: Position | None, snapshot: Snapshot) -> ProtectionStep | None:
    """Returns None if they are where they belong."""
    if bracket.are_stops_set:
        return None
    assert position is not None and bracket.entry_price is not None, "stops are set on a position that is open"
    tick = snapshot.instrument.tick_size
    wanted = StopLevels(
        stop_loss=_wanted_stop(bracket, position, tick), take_profit=_wanted_profit(bracket, position, tick)
    )
    after = replace(bracket, are_stops_set=True)
    if bracket.held_size:
        profit = position.take_profit if wanted.take_profit is None else wanted.take_profit or None
        # Where the bracket says nothing of a stop, what stands just now may have come along with a fill.
        stop = wanted.stop_loss or (bracket.held_stop if bracket.stop_loss is None else position.stop_loss)
        after = replace(after, held_stop=stop, held_profit=profit)
    if bracket.trailing_stop is not None:
        wanted = _with_trail(wanted, bracket, position, tick)
    return Save(bracket=after) if wanted.is_empty else SetStops(after=after, levels=wanted)


def _wanted_stop(bracket: Bracket, position: Position, tick: Decimal) -> Decimal | None:
    """Returns None if it is there, or the price has passed where it belongs, and the one that is there stays."""
    if bracket.stop_loss is None or bracket.is_at_breakeven:
        return None
    assert bracket.entry_price is not None
    price = stop_price(bracket.stop_loss, side=bracket.side, reference=bracket.entry_price, tick=tick)
    if price == position.stop_loss or _is_passed(price, position, -bracket.side.sign):
        return None
    return price


def _wanted_profit(bracket: Bracket, position: Position, tick: Decimal) -> Decimal | None:
    if bracket.tp_legs and position.take_profit is not None:
        return _ZERO
    if bracket.take_profit is None:
        return None
    assert bracket.entry_price is not None
    price = profit_price(bracket.take_profit, side=bracket.side, reference=bracket.entry_price, tick=tick)
    if price == position.take_profit or _is_passed(price, position, bracket.side.sign):
        return None
    return price


def _is_passed(price: Decimal, position: Position, sign: int) -> bool:
    """The exchange takes a level on its own side of the market only. `sign`: 1 for one above it."""
    return position.mark_price is not None and (price - position.mark_price) * sign <= 0


def _with_trail(wanted: StopLevels, bracket: Bracket, position: Position, tick: Decimal) -> StopLevels:
    assert bracket.trailing_stop is not None and bracket.entry_price is not None
    distance = trail_distance(bracket.trailing_stop, reference=bracket.entry_price, tick=tick)
    start = None
    if bracket.trailing_start is not None:
        start = profit_price(bracket.trailing_start, side=bracket.side, reference=bracket.entry_price, tick=tick)
    # A start that the price has passed already is no start to wait for.
    if start is not None and _is_passed(start, position, bracket.side.sign):
        start = None
    return replace(wanted, trailing_stop=distance, trailing_start=start)


def _breakeven(bracket: Bracket, snapshot: Snapshot) -> ProtectionStep | None:
    """Once such a take-profit leg has filled the stop loss goes to the average entry; never back from where it is.

    Where the price has passed the entry it goes there as soon as the market allows it (`passed_breakeven`).
    """
    if not _is_breakeven_due(bracket):
        return None
    position, after = snapshot.position, replace(bracket, is_at_breakeven=True)
    assert position is not None
    price = _breakeven_price(bracket, position, snapshot.instrument.tick_size)
    if snapshot.instrument.is_held:
        tick = snapshot.instrument.tick_size
        passed = _is_passed(price, position, -bracket.side.sign)
        return None if passed else Save(bracket=_with_stop_at(after, price, tick))
    stands = position.stop_loss
    if stands is not None and (stands - price) * bracket.side.sign >= 0:
        return Save(bracket=after)
    if _is_passed(price, position, -bracket.side.sign):
        return None
    if bracket.held_size:
        after = replace(after, held_stop=price, follows_entry=True)
    return SetStops(after=after, levels=StopLevels(stop_loss=price))


def _with_stop_at(bracket: Bracket, price: Decimal, tick: Decimal) -> Bracket:
    """The stop loss, where it is an order of its own, at the entry; never back from where it is."""
    at, stops = Level(kind=LevelKind.PRICE, value=price), [each for each in bracket.tp_legs if each.is_stop]
    if not stops:
        return replace(bracket, tp_legs=(*bracket.tp_legs, TakeProfitLeg(at=at, share_pct=_ALL, is_stop=True)))
    legs = tuple(
        replace(each, at=at) if each.is_stop and leg_price(each, bracket, tick) < price else each
        for each in bracket.tp_legs
    )
    return replace(bracket, tp_legs=legs)


def _is_breakeven_due(bracket: Bracket) -> bool:
    """The stop is to go to the entry, and is not there yet."""
    return not bracket.is_at_breakeven and any(each.is_done and each.moves_stop_to_entry for each in bracket.tp_legs)


def passed_breakeven(bracket: Bracket, snapshot: Snapshot) -> str | None:
    """Why the stop cannot go to the entry just now, in words; None if it can, or need not."""
    position = snapshot.position
    if position is None or not _is_breakeven_due(bracket):
        return None
    price = _breakeven_price(bracket, position, snapshot.instrument.tick_size)
    return f"the stop is to go to the entry {plain(price)}, and the price has passed it already"


def passed_stop(bracket: Bracket, snapshot: Snapshot) -> str | None:
    """Why the stop that a fill has moved cannot be put back just now, in words; None if it can, or need not."""
    position = snapshot.position
    if position is None or not bracket.grown_at_ms or not position.size:
        return None
    _, stop = _put_back(bracket, position, snapshot.instrument.tick_size)
    if stop is None:
        return None
    return f"the entry's fill has moved the stop away from {plain(stop)}, and the price has passed that already"


def _breakeven_price(bracket: Bracket, position: Position, tick: Decimal) -> Decimal:
    entry = position.avg_price or bracket.entry_price
    assert entry is not None, "an open position has an average entry"
    return breakeven_price(bracket.side, entry, tick)


def _held(bracket: Bracket, position: Position, snapshot: Snapshot) -> ProtectionStep | None:
    """Each fill of a resting entry brings its own levels along: those that held before are put back.

    A stop at breakeven goes to the new average. What changes the levels without a fill, as a person does, is kept.
    """
    size, is_watched = abs(position.size), not bracket.is_entry_over or bool(bracket.older_entries)
    if not (is_watched or bracket.held_size):
        return None
    if bracket.held_size and size > bracket.held_size:
        return Save(bracket=replace(bracket, held_size=size, grown_at_ms=snapshot.now_ms, stop_meanwhile=None))
    if bracket.grown_at_ms and bracket.stop_meanwhile in (None, position.stop_loss or _ZERO):
        wanted, passed = _put_back(bracket, position, snapshot.instrument.tick_size)
        if not wanted.is_empty:
            return SetStops(after=bracket, levels=wanted)
        if passed is not None and bracket.stop_meanwhile is None:
            return Save(bracket=replace(bracket, stop_meanwhile=position.stop_loss or _ZERO))
        if passed is not None or snapshot.now_ms - bracket.grown_at_ms < LAG_MS:
            return None
    stands = bracket.is_at_breakeven and position.stop_loss == _breakeven_price(
        bracket, position, snapshot.instrument.tick_size
    )
    held = replace(
        bracket,
        follows_entry=is_watched and stands,
        held_stop=position.stop_loss if is_watched else None,
        held_profit=position.take_profit if is_watched else None,
        held_size=size if is_watched else _ZERO,
        grown_at_ms=0,
        stop_meanwhile=None,
    )
    return Save(bracket=held) if held != bracket else None


def _put_back(bracket: Bracket, position: Position, tick: Decimal) -> tuple[StopLevels, Decimal | None]:
    """What to set, and the stop that the market does not allow where it belongs just now."""
    stop = _breakeven_price(bracket, position, tick) if bracket.follows_entry else bracket.held_stop
    is_passed = stop is not None and _is_passed(stop, position, -bracket.side.sign)
    profit = _ZERO if bracket.tp_legs or bracket.held_profit is None else bracket.held_profit
    levels = StopLevels(
        stop_loss=None if is_passed or stop == position.stop_loss else stop,
        take_profit=None if profit == (position.take_profit or _ZERO) else profit,
    )
    return levels, stop if is_passed and stop != position.stop_loss else None
