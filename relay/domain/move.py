"""What a signal asks of the signed one-way position p, row by row of the planning table; and the orders that do it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import ROUND_DOWN, Context, Decimal

from relay.domain.bracket import profit_price, stop_price
from relay.domain.instrument import Instrument, ceil_to, floor_to, is_on_grid
from relay.domain.intent import Intent, References, Sizes
from relay.domain.order import OrderType, PlannedOrder, Purpose, Reason, Side
from relay.domain.plan import Facts
from relay.domain.signal import Action, MarketSide, Signal

_ZERO = Decimal(0)
_COMES_TO_NOTHING = Reason(
    code="QTY_BELOW_MIN",
    message="the size comes to nothing: there is no equity or no position that it could be a share of",
)
_HOLDS_EXIT = Reason(
    code="QTY_MISSING",
    message="whether the quantity of a reversal holds the exit, too, is not known: set `subtract_exit = true` in the "
    "strategy's table of RELAY_CONFIG if it does, as `{{strategy.order.contracts}}` does, or `false` if it does not",
)
_SIZE_ADVICE = 'add "market_position_size": "{{strategy.market_position_size}}"'
_NO_SIZE = (
    "`market_position` came without `market_position_size`: the new size of a reversal will be `qty` less the size "
    f"before; {_SIZE_ADVICE}",
)
_DOWN = Context(prec=28, rounding=ROUND_DOWN)
_DEAR = Decimal("1.1")
"""So much dearer than planned an order by value may be filled, and what it could buy no step of is still a rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """Move p by `exit_qty` towards zero and by `entry_qty` away from it, both on `side` and without sign.

    Where p was not read, the whole of a plain order counts as entry and `position_known` is false.
    """

    side: Side
    exit_qty: Decimal = _ZERO
    entry_qty: Decimal = _ZERO
    closes_all: bool = False
    """The exit is all of p, whatever the step."""
    money: Decimal | None = None
    """What the whole entry may cost in the quote coin, where the exchange takes an order by that."""
    is_target: bool = False
    """Being there is what counts: a difference too small to send is no failure."""
    position_known: bool = True
    entry_refused: Reason | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Nothing:
    """There is nothing to do, and why."""

    note: str


Requested = Move | Nothing | Reason
"""What a signal comes to at a position; a reason says why it comes to nothing at all."""


def move_of(signal: Signal, sizes: Sizes, p: Decimal | None) -> Requested:
    """`p` may be None only for a plain buy or sell."""
    action = signal.action
    if action in (Action.BUY, Action.SELL):
        if signal.market_position is not None:
            assert p is not None, "a strategy's fill needs the position"
            return _strategy_fill(signal, sizes, p)
        return _delta(signal.side, sizes.qty, p, reduce_only=signal.reduce_only)
    assert p is not None, f"{action} needs the position"
    if action.is_close:
        return _close(signal, sizes, p)
    if action in (Action.LONG, Action.SHORT):
        return _be_at_least(signal.side, sizes, p, stays_as_large=signal.stays_as_large)
    if action is Action.ADD:
        return _add(sizes, p)
    if action is Action.REVERSE:
        return _reverse(signal, sizes, p)
    assert action is Action.TARGET, f"{action} orders nothing"
    return _target(signal, sizes, p)


def _delta(side: Side, qty: Decimal | Reason, p: Decimal | None, *, reduce_only: bool) -> Requested:
    if isinstance(qty, Reason):
        return qty
    if qty == 0:
        return _COMES_TO_NOTHING
    if p is None:
        if reduce_only:
            return Move(side=side, exit_qty=qty, position_known=False)
        return Move(side=side, entry_qty=qty, position_known=False)
    exit_qty = min(qty, max(-p * side.sign, _ZERO))
    if reduce_only:
        if exit_qty == 0:
            return Nothing(note="reduce-only, and nothing is open that it would reduce")
        return Move(side=side, exit_qty=exit_qty, closes_all=exit_qty == abs(p))
    return Move(side=side, exit_qty=exit_qty, entry_qty=qty - exit_qty, closes_all=exit_qty != 0 and exit_qty == abs(p))


def _close(signal: Signal, sizes: Sizes, p: Decimal) -> Requested:
    if p == 0:
        return Nothing(note="nothing is open")
    if signal.action is Action.CLOSE_LONG and p < 0:
        return Nothing(note="no long is open; the short is left alone")
    if signal.action is Action.CLOSE_SHORT and p > 0:
        return Nothing(note="no short is open; the long is left alone")
    whole = signal.qty is None or signal.action in (Action.FLAT, Action.EXIT)
    if whole:
        return _close_all(p)
    if isinstance(sizes.qty, Reason):
        return sizes.qty
    qty = min(sizes.qty, abs(p))
    return Move(side=Side.towards(-p), exit_qty=qty, closes_all=qty == abs(p))


def _close_all(p: Decimal) -> Requested:
    if p == 0:
        return Nothing(note="nothing is open")
    return Move(side=Side.towards(-p), exit_qty=abs(p), closes_all=True)


def _add(sizes: Sizes, p: Decimal) -> Requested:
    if p == 0:
        return Reason(code="POSITION_NONE", message="there is no position to add to")
    return _delta(Side.towards(p), sizes.qty, p, reduce_only=False)


def _be_at_least(side: Side, sizes: Sizes, p: Decimal, *, stays_as_large: bool) -> Requested:
    held = p * side.sign
    name = "long" if side is Side.BUY else "short"
    if held > 0 and stays_as_large:
        return Nothing(note=f"already {name}, and the alert's service does not add to it")
    if held > 0 and not sizes.tops_up and not _has_no_size(sizes):
        return Nothing(note=f"already {name}")
    if isinstance(sizes.qty, Reason):
        return _exit_alone(side, p, sizes.qty)
    if sizes.qty == 0:
        return _exit_alone(side, p, _COMES_TO_NOTHING)
    if held >= sizes.qty:
        return Nothing(note=f"already {name} with that size or more")
    if held < 0 and sizes.holds_exit is not False:
        return _left_of(side, sizes.qty, p) if sizes.holds_exit else _exit_alone(side, p, _HOLDS_EXIT)
    return replace(_to(side.sign * sizes.qty, p), is_target=held > 0)


def _left_of(side: Side, qty: Decimal, p: Decimal) -> Move:
    """Leave p, and open what is left of `qty` then."""
    if qty <= abs(p):
        return replace(_to(_ZERO, p), notes=("the quantity is used up by the exit, so nothing is opened",))
    return _to(side.sign * (qty - abs(p)), p)


def _has_no_size(sizes: Sizes) -> bool:
    return isinstance(sizes.qty, Reason) and sizes.qty.code == "QTY_MISSING"


def _reverse(signal: Signal, sizes: Sizes, p: Decimal) -> Requested:
    if p == 0:
        return Reason(code="POSITION_NONE", message="there is no position to reverse")
    qty = abs(p) if signal.qty is None else sizes.qty
    if isinstance(qty, Reason):
        return _exit_alone(Side.towards(-p), p, qty)
    return Move(side=Side.towards(-p), exit_qty=abs(p), entry_qty=qty, closes_all=True)


def _target(signal: Signal, sizes: Sizes, p: Decimal) -> Requested:
    sign = signal.strategy_sign
    if sign is None:
        return Reason(code="QTY_MISSING", message="`target` needs the strategy's `market_position` or `position_size`")
    if sign == 0:
        return _close_all(p)
    if signal.is_side_only and p * sign > 0:
        return _stays_on_side(signal, p)
    size = sizes.qty if signal.qty is not None else sizes.strategy
    if signal.is_side_only and size == 0:
        size = _COMES_TO_NOTHING
    if size is None:
        size = Reason(
            code="QTY_MISSING", message="`target` needs `market_position_size` or `position_size`, or a `qty`"
        )
    if isinstance(size, Reason):
        return _exit_alone(Side.towards(Decimal(sign)), p, size)
    return replace(_to(sign * size, p), is_target=True) if sign * size != p else Nothing(note="already on target")


def _stays_on_side(signal: Signal, p: Decimal) -> Requested:
    """The user's own size, and the side is right: only the share that the strategy closed is closed."""
    side = Side.towards(p)
    prev, now, before = signal.prev_market_position, signal.strategy_size, signal.prev_market_position_size
    has_closed = now is not None and before is not None and now < before
    if prev is None or prev.sign != side.sign or not has_closed:
        return Nothing(note=f"already {'long' if p > 0 else 'short'}, as the strategy is")
    qty = _closed_part(signal, abs(p))
    if isinstance(qty, Reason):
        return qty
    return Move(side=Side.towards(-p), exit_qty=qty, closes_all=qty == abs(p))


def _strategy_fill(signal: Signal, sizes: Sizes, p: Decimal) -> Requested:
    """A `buy` or `sell` that says where the strategy stands afterwards."""
    side, market = signal.side, signal.market_position
    assert market is not None
    if market is MarketSide.FLAT:
        return _close_all(p)
    if side.sign != market.sign:
        return _strategy_reduces(signal, sizes, p, market)
    prev = signal.prev_market_position
    sides_differ = p * market.sign < 0 or (prev is not None and prev.sign == -market.sign)
    if not sides_differ:
        move = _delta(side, sizes.qty, p, reduce_only=signal.reduce_only)
        is_noted = isinstance(move, Move) and not sizes.is_own and sizes.strategy is None
        return replace(move, notes=_NO_SIZE) if isinstance(move, Move) and is_noted else move
    size = _new_side_size(sizes, abs(p) if p * market.sign < 0 else None)
    if isinstance(size, Reason):
        return _exit_alone(side, p, size)
    if market.sign * size == p:
        return Nothing(note="already where the strategy is")
    return replace(_to(market.sign * size, p), is_target=p * market.sign > 0)


def _new_side_size(sizes: Sizes, left: Decimal | None) -> Decimal | Reason:
    """How large the strategy is on its new side. A reversal's own quantity includes the old side.

    `left`: how much of that is open here, which counts where nothing says how large the strategy itself was.
    """
    if sizes.is_own:
        return sizes.qty
    if sizes.strategy is not None:
        return sizes.strategy
    before = left if sizes.prev_strategy is None else sizes.prev_strategy
    if isinstance(sizes.qty, Decimal) and isinstance(before, Decimal) and before < sizes.qty:
        return sizes.qty - before
    return Reason(
        code="QTY_MISSING",
        message="the strategy changes sides, and without `market_position_size` its new size is not known; "
        + _SIZE_ADVICE,
    )


def _strategy_reduces(signal: Signal, sizes: Sizes, p: Decimal, market: MarketSide) -> Requested:
    """A `sell` while the strategy stays long, or a `buy` while it stays short: never opens, never flips."""
    if p * market.sign <= 0:
        return Nothing(note=f"the strategy reduces its {market.value}, and none is open here")
    qty = sizes.qty
    if sizes.is_own:
        qty = _closed_part(signal, abs(p))
    if isinstance(qty, Reason):
        return qty
    exit_qty = min(qty, abs(p))
    return Move(side=signal.side, exit_qty=exit_qty, closes_all=exit_qty == abs(p))


def _closed_part(signal: Signal, held: Decimal) -> Decimal | Reason:
    """Of `held`, the share that the strategy closed of its own position: a ratio, whatever the unit."""
    now, before = signal.strategy_size, signal.prev_market_position_size
    if now is None or before is None or before <= 0 or now > before:
        return Reason(
            code="QTY_MISSING",
            message="which share of its position the strategy closed is not known; "
            "add market_position_size and prev_market_position_size with their placeholders",
        )
    return _DOWN.divide(held * (before - now), before)


def _to(target: Decimal, p: Decimal) -> Move:
    """From p to exactly `target`, which differs from it."""
    side = Side.towards(target - p)
    if p * target < 0:
        return Move(side=side, exit_qty=abs(p), entry_qty=abs(target), closes_all=True)
    if abs(target) > abs(p):
        return Move(side=side, entry_qty=abs(target) - abs(p))
    return Move(side=side, exit_qty=abs(p) - abs(target), closes_all=target == 0)


def _exit_alone(side: Side, p: Decimal, refused: Reason) -> Requested:
    """The entry has no size: what the signal would have exited is exited, and nothing is opened."""
    if p * side.sign >= 0:
        return refused
    return Move(side=side, exit_qty=abs(p), closes_all=True, entry_refused=refused)


# From a move to orders: rounded to the exchange's grids, split where one order may not be that large, with the leverage
# set before.


def rounded(move: Move, facts: Facts, *, carried: Decimal) -> Move:
    """The move on the quantity grid, down. A whole close stays whole.

    `carried`: an exit that earlier signals asked for and that was too small; signed like the position.
    """
    instrument, step = facts.instrument, facts.instrument.qty_step
    entry = floor_to(move.entry_qty, step)
    if not move.position_known:
        return replace(move, entry_qty=entry, exit_qty=floor_to(move.exit_qty, step))
    if move.closes_all and not instrument.is_held:
        return replace(move, entry_qty=entry)
    wanted = move.exit_qty + (max(-carried * move.side.sign, _ZERO) if move.exit_qty > 0 else _ZERO)
    held = abs(facts.size or _ZERO)
    if move.exit_qty > 0 and wanted >= held and not instrument.is_held:
        return replace(move, entry_qty=entry, exit_qty=held, closes_all=True)
    exit_qty = floor_to(min(wanted, held) if instrument.is_held else wanted, step)
    if exit_qty < instrument.qty_min or instrument.is_dust(exit_qty, facts.market_price):
        exit_qty = _ZERO
    closes_all = exit_qty > 0 and wanted >= held
    return replace(move, entry_qty=entry, exit_qty=exit_qty, closes_all=closes_all)


def orders_of(move: Move, intent: Intent, facts: Facts, references: References) -> tuple[PlannedOrder, ...]:
    """The legs of a rounded move, in the order in which they are sent. What opens carries the intent's levels."""
    instrument, most = facts.instrument, intent.order_max
    if move.entry_qty == 0:
        return tuple(_exits(_leg(move, intent, facts, Purpose.EXIT), move, instrument, most))
    entry_leg = _with_stops(_leg(move, intent, facts, Purpose.ENTRY), intent, facts, references)
    if move.exit_qty > 0:
        total = move.exit_qty + move.entry_qty
        if total <= most and _is_orderable(move.exit_qty, instrument):
            held = move.exit_qty
            return (replace(entry_leg, qty=total, purpose=Purpose.FLIP, exit_qty=held, fallback_qty=held),)
        exits = _exits(_leg(move, intent, facts, Purpose.EXIT), move, instrument, most)
        return tuple(exits + _split(entry_leg, move.entry_qty, instrument, most, first=len(exits)))
    # Whether it flips is not known: refused, its exit is still asked for, and the exchange cuts it to what is open.
    may_flip = not move.position_known and not instrument.is_held
    legs = _split(entry_leg, move.entry_qty, instrument, most, may_flip=may_flip)
    if move.money is not None and intent.signal.type is OrderType.MARKET:
        legs = _paid_for(legs, move.money, move.entry_qty, facts)
    return tuple(legs)


def _paid_for(legs: list[PlannedOrder], money: Decimal, total: Decimal, facts: Facts) -> list[PlannedOrder]:
    """The same by what they may cost, together never more than `money`."""
    instrument, price = facts.instrument, facts.market_price
    assert instrument.money_step is not None and price is not None, "a size in money has a price"
    rest = instrument.qty_step * price * _DEAR
    shares = [floor_to(_DOWN.divide(money * each.qty, total), instrument.money_step) for each in legs]
    shares[-1] = money - sum(shares[:-1], _ZERO)
    return [replace(leg, spend=share, spend_rest=rest) for leg, share in zip(legs, shares, strict=True)]


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
    if not is_whole or instrument.is_held:
        qty = floor_to(qty, instrument.qty_step)
        return tuple(_split(leg, qty, instrument, most, first=first)) if qty >= instrument.qty_min else ()
    legs = _split(leg, qty, instrument, most, first=first)
    if planned.type is OrderType.MARKET or not _is_orderable(qty, instrument):
        legs[-1] = replace(legs[-1], qty=_ZERO, closes_all=True)
    return tuple(legs)


def _is_orderable(qty: Decimal, instrument: Instrument) -> bool:
    return qty >= instrument.qty_min and is_on_grid(qty, instrument.qty_step)


def _split(
    leg: PlannedOrder, qty: Decimal, instrument: Instrument, most: Decimal, *, first: int = 0, may_flip: bool = False
) -> list[PlannedOrder]:
    """`qty` in orders that are all like `leg`."""
    sizes = split_evenly(qty, most, instrument.qty_step)
    is_exit = leg.purpose is Purpose.EXIT
    return [
        replace(
            leg,
            leg=first + place,
            qty=size,
            exit_qty=size if is_exit else None if may_flip else _ZERO,
            fallback_qty=size if may_flip else leg.fallback_qty,
        )
        for place, size in enumerate(sizes)
    ]


def split_evenly(qty: Decimal, most: Decimal, step: Decimal) -> list[Decimal]:
    """`qty` in as few parts of at most `most` as there can be, alike to within a step, so that none is tiny."""
    if qty <= 0:
        return []
    whole_most = floor_to(most, step)
    if qty <= whole_most:
        return [qty + step * 0]  # with the step's digits
    count = int(ceil_to(qty / whole_most, Decimal(1)))
    steps, odd = divmod(int(floor_to(qty, step) / step), count)
    sizes = [step * (steps + (1 if i < odd else 0)) for i in range(count)]
    sizes[-1] += qty - sum(sizes, _ZERO)
    return sizes


def _leg(move: Move, intent: Intent, facts: Facts, purpose: Purpose) -> PlannedOrder:
    """An order still without its quantity: what all legs have in common."""
    signal, instrument, tick = intent.signal, facts.instrument, facts.instrument.tick_size
    kind = signal.type
    has_limit, is_conditional = kind.has_limit, kind.is_conditional
    rises = kind.rises_to_trigger(move.side) if is_conditional else None
    return PlannedOrder(
        leg=0,
        category=instrument.category,
        symbol=instrument.symbol,
        side=move.side,
        type=kind,
        qty=_ZERO,
        purpose=purpose,
        price=_limit_price(move.side, signal.price, tick) if has_limit else None,
        trigger_price=_away(signal.trigger_price, tick, up=rises is True) if is_conditional else None,
        trigger_rises=rises,
        trigger_by=signal.trigger_by,
        time_in_force=signal.time_in_force,
        reduce_only=purpose is Purpose.EXIT,
        slippage_pct=signal.slippage_pct if kind is OrderType.MARKET else None,
    )


def _limit_price(side: Side, price: Decimal | None, tick: Decimal) -> Decimal | None:
    """Away from the taker's side: a buy never pays more than was said, a sell never takes less."""
    if price is None:
        return None
    return floor_to(price, tick) if side is Side.BUY else ceil_to(price, tick)


def _with_stops(leg: PlannedOrder, intent: Intent, facts: Facts, references: References) -> PlannedOrder:
    """An order that opens. Where it rests, the relay cancels it when its time is over.

    The stop loss rides on it, so that no position is ever open without it.
    """
    leg = replace(leg, valid_for_s=intent.signal.valid_for_s) if intent.rests else leg
    stop, profit = intent.levels.stop_loss, intent.levels.whole_profit
    if (stop is None and profit is None) or facts.instrument.is_held:
        return leg  # of coins that are held the levels are orders of their own, once there are coins
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
