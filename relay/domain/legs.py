"""From a move to orders: rounded to the exchange's grids, split where one order may not be that large, with the
leverage set before."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from relay.domain.bracket import profit_price, stop_price
from relay.domain.instrument import Instrument, ceil_to, floor_to, is_on_grid
from relay.domain.intent import Intent
from relay.domain.move import Move
from relay.domain.order import OrderType, PlannedOrder, Purpose, Side
from relay.domain.plan import Facts
from relay.domain.signal import Signal
from relay.domain.sizing import References

_ZERO = Decimal(0)


def rounded(move: Move, facts: Facts, *, carried: Decimal) -> Move:
    """The move on the quantity grid, down. A whole close stays whole.

    `carried`: an exit that earlier signals asked for and that was too small; signed like the position.
    """
    instrument, step = facts.instrument, facts.instrument.qty_step
    entry = floor_to(move.entry_qty, step)
    if not move.position_known:
        return replace(move, entry_qty=entry, exit_qty=floor_to(move.exit_qty, step))
    if move.closes_all:
        return replace(move, entry_qty=entry)
    wanted = move.exit_qty + (abs(carried) if carried * move.side.sign < 0 and move.exit_qty > 0 else _ZERO)
    held = abs(facts.size or _ZERO)
    if move.exit_qty > 0 and wanted >= held:
        return replace(move, entry_qty=entry, exit_qty=held, closes_all=True)
    exit_qty = floor_to(wanted, step)
    if exit_qty < instrument.qty_min:
        exit_qty = _ZERO
    return replace(move, entry_qty=entry, exit_qty=exit_qty)


def orders_of(move: Move, intent: Intent, facts: Facts, references: References) -> tuple[PlannedOrder, ...]:
    """The legs of a rounded move, in the order in which they are sent. What opens carries the intent's levels."""
    exit_leg = _exit_leg(move, intent, facts)
    instrument, most = facts.instrument, intent.order_max
    if move.entry_qty == 0:
        return tuple(_exits(exit_leg, move, instrument, most))
    entry_leg = _with_stops(replace(exit_leg, purpose=Purpose.ENTRY, reduce_only=False), intent, facts, references)
    if move.exit_qty > 0:
        total = move.exit_qty + move.entry_qty
        if total <= most and _is_orderable(move.exit_qty, instrument):
            held = move.exit_qty
            return (replace(entry_leg, qty=total, purpose=Purpose.FLIP, exit_qty=held, fallback_qty=held),)
        exits = _exits(exit_leg, move, instrument, most)
        return tuple(exits + _split(entry_leg, move.entry_qty, instrument, most, first=len(exits)))
    legs = _split(entry_leg, move.entry_qty, instrument, most)
    if not move.position_known:
        # Whether it flips is not known: refused, its exit is still asked for, and the exchange cuts it to what is open.
        legs = [replace(leg, fallback_qty=leg.qty, exit_qty=None) for leg in legs]
    return tuple(legs)


def _exits(leg: PlannedOrder, move: Move, instrument: Instrument, most: Decimal) -> list[PlannedOrder]:
    """Off the grid or under the minimum, the exchange's own close is the only order that empties a position.

    It closes no more than one order may be large, so the rest goes before it. Source: create-order.mdx, `qty`.
    """
    legs = _split(leg, move.exit_qty, instrument, most)
    if legs and move.closes_all and not _is_orderable(move.exit_qty, instrument):
        legs[-1] = replace(legs[-1], qty=_ZERO, closes_all=True)
    return legs


def exits_anew(
    planned: PlannedOrder, qty: Decimal, instrument: Instrument, *, is_whole: bool, first: int
) -> tuple[PlannedOrder, ...]:
    """What `planned` should have been by the instrument's rules: the legs of an exit of `qty`, from leg `first` on.

    `is_whole`: it is all that is open, whatever the step. Empty: the rules leave nothing that could be sent.
    """
    price, most = planned.price, instrument.largest_order(has_limit=planned.type.has_limit)
    leg = replace(planned, price=_limit_price(planned.side, price, instrument.tick_size))
    if not is_whole:
        qty = floor_to(qty, instrument.qty_step)
        return tuple(_split(leg, qty, instrument, most, first=first)) if qty >= instrument.qty_min else ()
    legs = _split(leg, qty, instrument, most, first=first)
    if planned.type is OrderType.MARKET or not _is_orderable(qty, instrument):
        legs[-1] = replace(legs[-1], qty=_ZERO, closes_all=True)
    return tuple(legs)


def _is_orderable(qty: Decimal, instrument: Instrument) -> bool:
    return qty >= instrument.qty_min and is_on_grid(qty, instrument.qty_step)


def _split(
    leg: PlannedOrder, qty: Decimal, instrument: Instrument, most: Decimal, *, first: int = 0
) -> list[PlannedOrder]:
    """`qty` in orders that are all like `leg`."""
    sizes = split_evenly(qty, most, instrument.qty_step)
    is_exit = leg.purpose is Purpose.EXIT
    return [
        replace(leg, leg=first + place, qty=size, exit_qty=size if is_exit else _ZERO)
        for place, size in enumerate(sizes)
    ]


def split_evenly(qty: Decimal, most: Decimal, step: Decimal) -> list[Decimal]:
    """`qty` in as few parts of at most `most` as there can be, alike to within a step, so that none is tiny."""
    if qty <= 0:
        return []
    whole_most = floor_to(most, step)
    count = int(ceil_to(qty / whole_most, Decimal(1)))
    steps, odd = divmod(int(floor_to(qty, step) / step), count)
    sizes = [step * (steps + (1 if i < odd else 0)) for i in range(count)]
    sizes[-1] += qty - sum(sizes, _ZERO)
    return sizes


def _exit_leg(move: Move, intent: Intent, facts: Facts) -> PlannedOrder:
    """An order that only reduces, still without its quantity: what all legs have in common."""
    signal, instrument, tick = intent.signal, facts.instrument, facts.instrument.tick_size
    kind = signal.type
    has_limit, is_conditional = kind.has_limit, kind.is_conditional
    rises = _rises(signal, facts) if is_conditional else None
    return PlannedOrder(
        leg=0,
        category=instrument.category,
        symbol=instrument.symbol,
        side=move.side,
        type=kind,
        qty=_ZERO,
        purpose=Purpose.EXIT,
        price=_limit_price(move.side, signal.price, tick) if has_limit else None,
        trigger_price=_away(signal.trigger_price, tick, up=rises is True) if is_conditional else None,
        trigger_rises=rises,
        trigger_by=signal.trigger_by,
        time_in_force=signal.time_in_force,
        reduce_only=True,
        slippage_pct=signal.slippage_pct if kind is OrderType.MARKET else None,
    )


def _limit_price(side: Side, price: Decimal | None, tick: Decimal) -> Decimal | None:
    """Away from the taker's side: a buy never pays more than was said, a sell never takes less."""
    if price is None:
        return None
    return floor_to(price, tick) if side is Side.BUY else ceil_to(price, tick)


def _rises(signal: Signal, facts: Facts) -> bool | None:
    """Whether the price must rise to the trigger: told by where the price is now.

    Where that could not be read only an exit comes here, and the exchange checks it against its own price.
    """
    if signal.trigger_price is None:
        return None
    market = facts.market_price
    assert market is not None, "a conditional order needs the price"
    return signal.trigger_price > market


def _with_stops(leg: PlannedOrder, intent: Intent, facts: Facts, references: References) -> PlannedOrder:
    """An order that opens. Where it rests, the relay cancels it when its time is over.

    The stop loss rides on it, so that no position is ever open without it.
    """
    leg = replace(leg, valid_for_s=intent.signal.valid_for_s) if intent.rests else leg
    stop, profit = intent.levels.stop_loss, intent.levels.whole_profit
    if stop is None and profit is None:
        return leg
    side, tick = leg.side, facts.instrument.tick_size
    for_stop, for_profit = references.for_stop, references.for_profit
    assert for_stop is not None and for_profit is not None, "a level needs a price to be measured against"
    return replace(
        leg,
        stop_loss=stop_price(stop, side=side, reference=for_stop, tick=tick) if stop else None,
        take_profit=profit_price(profit, side=side, reference=for_profit, tick=tick) if profit else None,
    )


def _away(price: Decimal | None, tick: Decimal, *, up: bool) -> Decimal | None:
    if price is None:
        return None
    return ceil_to(price, tick) if up else floor_to(price, tick)
