"""A bracket: the levels that protect an open position, and the take-profit legs that rest for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum

from relay.domain.instrument import ceil_to, floor_to, plain
from relay.domain.order import PlannedOrder, Reason, Side
from relay.domain.rules import Rules
from relay.domain.signal import Level, LevelKind, Signal, TakeProfit

# Where a take profit or a stop loss stands: at a price, or at a distance that counts from the entry.


_PERCENT = Decimal(100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """What an entry's alert, or else its strategy's defaults, say of protecting the position."""

    stop_loss: Level | None = None
    take_profits: tuple[TakeProfit, ...] = ()
    trailing_stop: Level | None = None
    trailing_start: Level | None = None

    @property
    def is_empty(self) -> bool:
        return self == _NONE

    @property
    def is_ladder(self) -> bool:
        """Its take profits rest as orders of their own; else the one there is belongs to the whole position."""
        return len(self.take_profits) > 1 or any(
            each.share_pct != _PERCENT or each.moves_stop_to_entry for each in self.take_profits
        )

    @property
    def whole_profit(self) -> Level | None:
        """The one take profit of the whole position, which rides on the entry."""
        return self.take_profits[0].at if self.take_profits and not self.is_ladder else None


_NONE = Levels()


def levels_of(signal: Signal, rules: Rules) -> Levels:
    """The signal's own levels; where it brings none of a kind, the strategy's default one."""
    default = rules.default_take_profit
    return Levels(
        stop_loss=signal.stop_loss or rules.default_stop_loss,
        take_profits=signal.take_profits or ((TakeProfit(at=default),) if default else ()),
        trailing_stop=signal.trailing_stop,
        trailing_start=signal.trailing_start,
    )


def level_price(level: Level, *, side: Side, reference: Decimal, is_stop: bool) -> Decimal:
    """The level as a price, not rounded. `side`: of the position, buy for a long one.

    `reference`: what distances count from. A distance without a sign lies on its field's natural side: a stop loss
    (`is_stop`) towards loss, a take profit towards profit.
    """
    if level.kind is LevelKind.PRICE:
        return level.value
    away = level.value if level.sign_given else abs(level.value) * (-1 if is_stop else 1)
    if level.kind is LevelKind.PERCENT:
        away = reference * away / _PERCENT
    return reference + side.sign * away


def stop_price(level: Level, *, side: Side, reference: Decimal, tick: Decimal) -> Decimal:
    """A stop loss on the price grid, away from the position: never nearer than was asked."""
    price = level_price(level, side=side, reference=reference, is_stop=True)
    return floor_to(price, tick) if side is Side.BUY else ceil_to(price, tick)


def breakeven_price(side: Side, entry: Decimal, tick: Decimal) -> Decimal:
    """A stop loss at the entry, on the price grid, away from the position."""
    return floor_to(entry, tick) if side is Side.BUY else ceil_to(entry, tick)


def profit_price(level: Level, *, side: Side, reference: Decimal, tick: Decimal) -> Decimal:
    """A take profit on the price grid, away from the taker: never less than was asked."""
    price = level_price(level, side=side, reference=reference, is_stop=False)
    return ceil_to(price, tick) if side is Side.BUY else floor_to(price, tick)


def trail_distance(level: Level, *, reference: Decimal, tick: Decimal) -> Decimal:
    """How far a trailing stop follows, in price: at least one tick, rounded away from the position."""
    distance = reference * level.value / _PERCENT if level.kind is LevelKind.PERCENT else level.value
    return max(ceil_to(abs(distance), tick), tick)


def wrong_side(
    levels: Levels, *, side: Side, reference: Decimal, tick: Decimal, price: Decimal | None = None
) -> Reason | None:
    """Why the exchange would refuse the levels of a position on `side`, whose price is `price`.

    `price` None: it is the `reference` itself.
    """
    price = price or reference
    stop = levels.stop_loss
    stands = [("stop_loss", stop_price(stop, side=side, reference=reference, tick=tick), -side.sign)] if stop else []
    for each in levels.take_profits:
        stands.append(("take_profit", profit_price(each.at, side=side, reference=reference, tick=tick), side.sign))
    for name, stand, sign in stands:
        # A level that rounds to zero would be sent as no level at all.
        if (stand - price) * sign <= 0 or stand < tick:
            where = {-1: "below", 1: "above"}[sign]
            message = f"{name} {plain(stand)} must be {where} the price {plain(price)} of a {side.value}"
            return Reason(code="STOP_WRONG_SIDE", message=message)
    return None


def too_far(levels: Levels, *, side: Side, near: Sequence[Decimal]) -> Reason | None:
    """Why a level is more likely another number than a price: it is over half away from each of `near`.

    `near`: the market's price, and the order's own; above zero. A distance in percent is what it says.
    """
    named = [("stop_loss", levels.stop_loss), ("trailing_start", levels.trailing_start)]
    named += [("take_profit", each.at) for each in levels.take_profits]
    named.append(("trailing_stop", levels.trailing_stop))
    for name, level in named:
        if level is None or level.kind is LevelKind.PERCENT:
            continue
        is_distance = level.kind is LevelKind.DISTANCE
        if all((abs(level.value) if is_distance else abs(level.value - price)) * 2 > price for price in near):
            what, meant = ("a distance" if is_distance else "a price"), plain(abs(level.value))
            question = f'{what} of {meant}, or "{meant}%"?' if level.value < _PERCENT else f"{what} of {meant}?"
            message = (
                f"`{name}` {meant} is more than 50 % away from the price {plain(near[0])} of a {side.value}: "
                f"{question} Send what is meant, or set `levels_any_distance = true` for the strategy"
            )
            return Reason(code="LEVEL_TOO_FAR", message=message)
    return None


FIRST_TAKE_PROFIT_LEG = 100
"""A signal's legs from here on are take profits that rest; those before are what it planned."""


class BracketStatus(StrEnum):
    """`waiting`: its entry has not filled yet. `active`: at most one for each account and instrument."""

    WAITING = "waiting"
    ACTIVE = "active"
    OVER = "over"


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeProfitLeg:
    """One of several take profits: `share_pct` percent of the position. It rests under one order at a time.

    `is_stop`: of coins that are held, the stop loss, which is an order like them.
    """

    at: Level
    share_pct: Decimal
    moves_stop_to_entry: bool = False
    is_stop: bool = False
    is_inherited: bool = False
    """Of an older alert, which the bracket's own has left as it was."""
    order_id: str | None = None
    placed_at_ms: int = 0
    is_taken_back: bool = False
    """The relay itself cancels the order, for a signal that wants the book empty: that is no refusal."""
    filled_qty: Decimal = Decimal(0)
    """By the orders that it rested under before."""
    is_done: bool = False
    refusals: int = 0
    """How many orders in a row the exchange refused, or ended at once."""
    refused_at_size: Decimal | None = None
    """The position's size then: only another one is worth another order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bracket:
    """`side`: of the position, buy for a long one. `entries`: the orders that open it; none: it was open before."""

    side: Side
    stop_loss: Level | None = None
    take_profit: Level | None = None
    """Of the whole position, which the exchange keeps with it; `tp_legs` rest as orders."""
    trailing_stop: Level | None = None
    trailing_start: Level | None = None
    tp_legs: tuple[TakeProfitLeg, ...] = field(default=(), metadata={"stored_as": "rungs"})
    entries: tuple[str, ...] = ()
    stale_orders: tuple[str, ...] = field(default=(), metadata={"stored_as": "leavings"})
    """Orders of an older bracket that are to be cancelled."""
    status: BracketStatus = BracketStatus.WAITING
    entry_price: Decimal | None = None
    """What distances count from: the average fill, so far."""
    is_entry_over: bool = False
    are_stops_set: bool = False
    """The position's own levels are where they belong for `entry_price`."""
    is_at_breakeven: bool = False
    closes_if_passed: bool = False
    """The position is closed where the price has passed the entry when the stop is to go there."""
    older_entries: tuple[str, ...] = ()
    """Entries of older brackets that may still rest. What fills of them brings its own levels along."""
    held_stop: Decimal | None = None
    held_profit: Decimal | None = None
    held_size: Decimal = Decimal(0)
    """While an entry rests: the position's own levels, and its size, as they stood before its last fill."""
    follows_entry: bool = False
    """The stop stood at the average entry then."""
    stop_meanwhile: Decimal | None = None
    """What stands while the price does not allow the one that held; zero: none."""
    stop_named_by: int = 0
    """Which bracket of the account has named the stop that stands, or moved it to the entry."""
    grown_at_ms: int = 0
    """When the last fill of such an entry was seen, until what it brought along is put right."""
    is_seen: bool = False
    """The position was seen on its side."""
    active_at_ms: int = 0
    spent: Decimal = Decimal(0)
    """How much of its entries had filled when the position that they had opened was closed."""
    trouble: str | None = None
    """What could not be put in place, in words; it was told once."""

    @property
    def all_entries(self) -> tuple[str, ...]:
        """Its own, and those of older ones that may still rest."""
        return (*self.entries, *self.older_entries)

    @property
    def is_watched(self) -> bool:
        """A fill may yet move the position's own levels, or they are not in place."""
        return not (self.are_stops_set and self.is_entry_over) or bool(self.older_entries or self.held_size)

    @property
    def order_ids(self) -> tuple[str, ...]:
        """Of all that may rest for it."""
        return (*self.stale_orders, *(each.order_id for each in self.tp_legs if each.order_id is not None))


def taken_back(bracket: Bracket, order_ids: frozenset[str]) -> Bracket:
    """The bracket, once the relay has begun to cancel these orders of its own accord."""
    tp_legs = tuple(
        replace(each, is_taken_back=True) if each.order_id in order_ids else each for each in bracket.tp_legs
    )
    return replace(bracket, tp_legs=tp_legs)


def begun_anew(bracket: Bracket, filled: Decimal) -> Bracket | None:
    """For what is left of its entries, of which so much had filled for a position that is closed; None: it names none.

    The levels that ride on the entries come with each fill; what holds by then is put back after it: a person may have
    moved the stop.
    """
    legs = tuple(
        TakeProfitLeg(at=each.at, share_pct=each.share_pct, moves_stop_to_entry=each.moves_stop_to_entry)
        for each in bracket.tp_legs
        if not each.is_inherited
    )
    if not legs and bracket.trailing_stop is None and bracket.stop_loss is None and bracket.take_profit is None:
        return None
    return Bracket(
        side=bracket.side,
        trailing_stop=bracket.trailing_stop,
        trailing_start=bracket.trailing_start,
        tp_legs=legs,
        entries=bracket.entries,
        entry_price=bracket.entry_price,
        closes_if_passed=bracket.closes_if_passed,
        spent=filled,
    )


def bracket_of(
    levels: Levels, side: Side, *, reference: Decimal | None, closes_if_passed: bool = False, is_held: bool = False
) -> Bracket | None:
    """The bracket that an alert asks for; None if it names no level. `reference`: what distances count from for now.

    `is_held`: there is no position at the exchange that keeps levels, so all of them are orders of their own.
    """
    if levels.is_empty:
        return None
    profits = levels.take_profits if levels.is_ladder or is_held else ()
    tp_legs = [
        TakeProfitLeg(at=each.at, share_pct=each.share_pct, moves_stop_to_entry=each.moves_stop_to_entry)
        for each in profits
    ]
    if is_held and levels.stop_loss is not None:
        tp_legs.append(TakeProfitLeg(at=levels.stop_loss, share_pct=_ALL, is_stop=True))
    return Bracket(
        side=side,
        stop_loss=None if is_held else levels.stop_loss,
        take_profit=None if is_held else levels.whole_profit,
        trailing_stop=levels.trailing_stop,
        trailing_start=levels.trailing_start,
        tp_legs=tuple(tp_legs),
        entry_price=reference,
        closes_if_passed=closes_if_passed,
    )


def taking_over(new: Bracket, old: Bracket | None, *, tick: Decimal) -> Bracket:
    """`new`, in the place of `old`: the levels that it names replace, silence keeps."""
    if old is None:
        return new
    if old.side is new.side:
        older = (*new.older_entries, *old.older_entries, *(() if old.is_entry_over else old.entries))
        new = replace(
            new,
            older_entries=tuple(dict.fromkeys(older)),
            held_stop=_own_stop(new, tick) or old.held_stop,
            held_profit=_own_profit(new, tick) or old.held_profit,
            held_size=old.held_size,
            grown_at_ms=old.grown_at_ms,
            stop_named_by=new.stop_named_by or old.stop_named_by,
        )
    named = {each.is_stop for each in new.tp_legs} | ({False} if new.take_profit is not None else set())
    gone = [each for each in old.tp_legs if old.side is not new.side or each.is_stop in named]
    stale = (*new.stale_orders, *old.stale_orders, *(each.order_id for each in gone if each.order_id is not None))
    names_stop = new.stop_loss is not None or True in named
    # A leg that has filled has moved the stop, or was to: the stop that an alert names afterwards stays where it says.
    stored = tuple(
        replace(
            each,
            at=_fixed(each, old, tick),
            is_inherited=True,
            moves_stop_to_entry=each.moves_stop_to_entry and not (each.is_done and names_stop),
        )
        for each in old.tp_legs
        if each not in gone
    )
    if old.side is not new.side or (named == {False} and not any(each.is_stop for each in stored)):
        return replace(new, stale_orders=stale)
    return replace(
        new,
        tp_legs=(*new.tp_legs, *stored),
        stale_orders=stale,
        is_at_breakeven=old.is_at_breakeven and not names_stop,
    )


def joined_by(later: Bracket, older: Bracket, *, tick: Decimal) -> Bracket:
    """`later`, once an entry of an older alert has begun to fill: the stop that is named last stays, or where a leg has
    put it; where the later one was silent, the older one's levels hold."""
    entries = dict.fromkeys((*later.older_entries, *older.all_entries))
    are_set = later.are_stops_set and bool(older.entries)
    joined, reference = replace(later, older_entries=tuple(entries), are_stops_set=are_set), older.entry_price
    assert reference is not None, "an entry that has filled has an average"
    if older.stop_loss is not None and later.stop_named_by < older.stop_named_by and not later.is_at_breakeven:
        stop = stop_price(older.stop_loss, side=older.side, reference=reference, tick=tick)
        joined = replace(
            joined,
            stop_loss=Level(kind=LevelKind.PRICE, value=stop),
            stop_named_by=older.stop_named_by,
            follows_entry=False,
            are_stops_set=False,
        )
    if later.trailing_stop is None and older.trailing_stop is not None:
        distance = trail_distance(older.trailing_stop, reference=reference, tick=tick)
        joined = replace(
            joined,
            trailing_stop=Level(kind=LevelKind.DISTANCE, value=distance),
            trailing_start=older.trailing_start and _start(older, older.trailing_start, tick),
            are_stops_set=False,
        )
    named = {each.is_stop for each in later.tp_legs} | ({False} if later.take_profit is not None else set())
    fixed = [replace(each, at=_fixed(each, older, tick), is_inherited=True) for each in older.tp_legs]
    legs = [each for each in fixed if each.is_stop not in named]
    closes = later.closes_if_passed or bool(legs) and older.closes_if_passed
    return replace(joined, tp_legs=(*joined.tp_legs, *legs), closes_if_passed=closes)


def _start(bracket: Bracket, start: Level, tick: Decimal) -> Level:
    assert bracket.entry_price is not None, "an active bracket has its entry price"
    price = profit_price(start, side=bracket.side, reference=bracket.entry_price, tick=tick)
    return Level(kind=LevelKind.PRICE, value=price)


def _own_stop(bracket: Bracket, tick: Decimal) -> Decimal | None:
    if bracket.stop_loss is None or bracket.entry_price is None:
        return None
    return stop_price(bracket.stop_loss, side=bracket.side, reference=bracket.entry_price, tick=tick)


def _own_profit(bracket: Bracket, tick: Decimal) -> Decimal | None:
    if bracket.take_profit is None or bracket.entry_price is None:
        return None
    return profit_price(bracket.take_profit, side=bracket.side, reference=bracket.entry_price, tick=tick)


def _fixed(leg: TakeProfitLeg, bracket: Bracket, tick: Decimal) -> Level:
    """A distance counts from the entry that it came with, not from a later one."""
    return Level(kind=LevelKind.PRICE, value=leg_price(leg, bracket, tick))


def leg_price(leg: TakeProfitLeg, bracket: Bracket, tick: Decimal) -> Decimal:
    """Where a leg rests, on the price grid."""
    assert bracket.entry_price is not None, "an active bracket has its entry price"
    price = stop_price if leg.is_stop else profit_price
    return price(leg.at, side=bracket.side, reference=bracket.entry_price, tick=tick)


def shown_with(order: PlannedOrder, bracket: Bracket | None, tick: Decimal) -> PlannedOrder:
    """For people: an entry of coins with its levels, which are orders of their own once it has filled."""
    if bracket is None or order.reduce_only or order.category.has_positions:
        return order
    stop = next((leg_price(each, bracket, tick) for each in bracket.tp_legs if each.is_stop), None)
    profits = [leg_price(each, bracket, tick) for each in bracket.tp_legs if not each.is_stop]
    return replace(order, stop_loss=stop, take_profit=profits[0] if len(profits) == 1 else None)


def ladder_notes(bracket: Bracket | None, tick: Decimal) -> tuple[str, ...]:
    """For people: several take profits, of which no order shows more than one."""
    legs = [each for each in bracket.tp_legs if not each.is_stop] if bracket else []
    if bracket is None or len(legs) < 2:
        return ()
    levels = (f"{plain(leg_price(each, bracket, tick))} ({plain(each.share_pct)} %)" for each in legs)
    return (f"takes profit at {', '.join(levels)}",)


# How large each leg of a ladder of take profits is, given the position as it is now.


_ZERO = Decimal(0)
_ALL = Decimal(100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A take-profit leg, the nearest first. `filled`: all that it has taken; `held`: of that, by the order that rests
    now.

    `is_off`: nothing may be placed for it.
    """

    share_pct: Decimal
    filled: Decimal = _ZERO
    held: Decimal = _ZERO
    is_done: bool = False
    is_off: bool = False


def remaining(parts: Sequence[Part], size: Decimal, *, step: Decimal, least: Decimal) -> tuple[Decimal, ...]:
    """What each part is still to take of a position of `size` (without sign), together never more than that.

    Shares count of the position with what the open parts have taken of it added back, so that a fill changes nothing
    for the others. Where the shares make up all of it, the last open one takes the rest. What the exchange would
    not take as an order (`least`) goes to its neighbour.
    """
    spoken_for = sum((each.share_pct for each in parts if each.is_done), _ZERO)
    open_ones = [place for place, each in enumerate(parts) if not each.is_done and not each.is_off]
    covers_all = sum((each.share_pct for each in parts), _ZERO) == _ALL
    whole = size + sum((parts[place].filled for place in open_ones), _ZERO)
    taken = dict.fromkeys(range(len(parts)), _ZERO)
    left = floor_to(size, step)
    for place in open_ones:
        part = parts[place]
        wanted = floor_to(whole * part.share_pct / (_ALL - spoken_for), step) - part.filled
        if covers_all and place == open_ones[-1]:
            wanted = left
        taken[place] = min(max(wanted, _ZERO), left)
        left -= taken[place]
    _merge(taken, parts, open_ones, least)
    return tuple(taken[place] for place in range(len(parts)))


def _merge(taken: dict[int, Decimal], parts: Sequence[Part], open_ones: list[int], least: Decimal) -> None:
    """Towards the farther neighbour first: what is taken later is not taken for less."""

    def is_small(place: int) -> bool:
        return taken[place] > _ZERO and taken[place] + parts[place].held < least

    for place, farther in zip(open_ones, open_ones[1:], strict=False):
        if is_small(place):
            taken[farther] += taken[place]
            taken[place] = _ZERO
    for place, nearer in zip(reversed(open_ones), list(reversed(open_ones))[1:], strict=False):
        if is_small(place):
            taken[nearer] += taken[place]
            taken[place] = _ZERO
    for place in open_ones:
        if is_small(place):
            taken[place] = _ZERO
