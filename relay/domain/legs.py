"""From a move to orders: rounded to the exchange's grids and split where one order may not be that large."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from relay.domain.instrument import Instrument
from relay.domain.intent import Move
from relay.domain.levels import Levels, profit_price, stop_price
from relay.domain.order import OrderType, PlannedOrder, Purpose, Side
from relay.domain.plan import Facts
from relay.domain.risk import entry_reference, stop_reference
from relay.domain.rounding import ceil_to, floor_to, is_on_grid
from relay.domain.signal import Signal

_ZERO = Decimal(0)
_BARE = Levels()


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


def orders_of(move: Move, signal: Signal, facts: Facts, levels: Levels = _BARE) -> tuple[PlannedOrder, ...]:
    """The legs of a rounded move, in the order in which they are sent. What opens carries `levels`."""
    return tuple(_with_stops(_expiring(each, signal), signal, facts, levels) for each in _legs(move, signal, facts))


def _expiring(order: PlannedOrder, signal: Signal) -> PlannedOrder:
    """What rests to open is cancelled by the relay when its time is over."""
    if order.purpose is Purpose.EXIT or not order.rests:
        return order
    return replace(order, valid_for_s=signal.valid_for_s)


def _legs(move: Move, signal: Signal, facts: Facts) -> tuple[PlannedOrder, ...]:
    instrument = facts.instrument
    most = instrument.largest_order(has_limit=signal.type.has_limit)
    total = move.exit_qty + move.entry_qty
    if move.exit_qty > 0 and move.entry_qty > 0:
        if total <= most and _is_orderable(move.exit_qty, instrument):
            flip = _order(0, move, signal, facts, qty=total, purpose=Purpose.FLIP)
            return (replace(flip, exit_qty=move.exit_qty, fallback_qty=move.exit_qty),)
        exits = _exits(move, signal, facts, most)
        return tuple(exits + _split(move, signal, facts, move.entry_qty, most, Purpose.ENTRY, first=len(exits)))
    if move.exit_qty > 0:
        return tuple(_exits(move, signal, facts, most))
    legs = _split(move, signal, facts, total, most, Purpose.ENTRY, first=0)
    if not move.position_known:
        # Whether it flips is not known: refused, its exit is still asked for, and the exchange cuts it to what is open.
        legs = [replace(leg, fallback_qty=leg.qty, exit_qty=None) for leg in legs]
    return tuple(legs)


def _exits(move: Move, signal: Signal, facts: Facts, most: Decimal) -> list[PlannedOrder]:
    """Off the grid or under the minimum, the exchange's own close is the only order that empties a position.

    It closes no more than one order may be large, so the rest goes before it. Source: create-order.mdx, `qty`.
    """
    legs = _split(move, signal, facts, move.exit_qty, most, Purpose.EXIT, first=0)
    if move.closes_all and not _is_orderable(move.exit_qty, facts.instrument):
        legs[-1] = replace(legs[-1], qty=_ZERO, closes_all=True)
    return legs


def _is_orderable(qty: Decimal, instrument: Instrument) -> bool:
    return qty >= instrument.qty_min and is_on_grid(qty, instrument.qty_step)


def _split(
    move: Move, signal: Signal, facts: Facts, qty: Decimal, most: Decimal, purpose: Purpose, *, first: int
) -> list[PlannedOrder]:
    sizes = split_evenly(qty, most, facts.instrument.qty_step)
    orders = [_order(first + i, move, signal, facts, qty=size, purpose=purpose) for i, size in enumerate(sizes)]
    return [replace(each, exit_qty=each.qty if purpose is Purpose.EXIT else _ZERO) for each in orders]


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


def _order(leg: int, move: Move, signal: Signal, facts: Facts, *, qty: Decimal, purpose: Purpose) -> PlannedOrder:
    instrument, tick = facts.instrument, facts.instrument.tick_size
    has_limit = signal.type.has_limit and signal.price is not None
    rises = _rises(signal, facts)
    return PlannedOrder(
        leg=leg,
        category=instrument.category,
        symbol=instrument.symbol,
        side=move.side,
        type=signal.type,
        qty=qty,
        purpose=purpose,
        price=_limit_price(move.side, signal.price, tick) if has_limit else None,
        trigger_price=_away(signal.trigger_price, tick, up=rises is True) if signal.type.is_conditional else None,
        trigger_rises=rises,
        trigger_by=signal.trigger_by,
        time_in_force=signal.time_in_force,
        reduce_only=purpose is Purpose.EXIT,
        slippage_pct=signal.slippage_pct if signal.type is OrderType.MARKET else None,
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
    if not signal.type.is_conditional or signal.trigger_price is None:
        return None
    market = facts.market_price
    assert market is not None, "a conditional order needs the price"
    return signal.trigger_price > market


def _with_stops(order: PlannedOrder, signal: Signal, facts: Facts, levels: Levels) -> PlannedOrder:
    """The stop loss rides on the entry order, so that no position is ever open without it."""
    stop, profit = levels.stop_loss, levels.whole_profit
    if order.purpose is Purpose.EXIT or (stop is None and profit is None):
        return order
    side, tick = order.side, facts.instrument.tick_size
    for_stop, for_profit = stop_reference(signal, facts, side), entry_reference(signal, facts)
    assert for_stop is not None and for_profit is not None, "a level needs a price to be measured against"
    return replace(
        order,
        stop_loss=stop_price(stop, side=side, reference=for_stop, tick=tick) if stop else None,
        take_profit=profit_price(profit, side=side, reference=for_profit, tick=tick) if profit else None,
    )


def _away(price: Decimal | None, tick: Decimal, *, up: bool) -> Decimal | None:
    if price is None:
        return None
    return ceil_to(price, tick) if up else floor_to(price, tick)
