"""What protects one open position: the levels of the alert that opened it, and the take profits that rest for it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum

from relay.domain.levels import Levels, profit_price
from relay.domain.order import Side
from relay.domain.signal import Level, LevelKind

FIRST_RUNG_LEG = 100
"""A signal's legs from here on are take profits that rest; those before are what it planned."""


class GuardStatus(StrEnum):
    """`waiting`: its entry has not filled yet. `active`: at most one for each account and instrument."""

    WAITING = "waiting"
    ACTIVE = "active"
    OVER = "over"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """One of several take profits: `share_pct` percent of the position. It rests under one order at a time."""

    at: Level
    share_pct: Decimal
    moves_stop_to_entry: bool = False
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
class Guard:
    """`side`: of the position, buy for a long one. `entries`: the orders that open it; none: it was open before."""

    side: Side
    stop_loss: Level | None = None
    take_profit: Level | None = None
    """Of the whole position, which the exchange keeps with it; `rungs` rest as orders."""
    trailing_stop: Level | None = None
    trailing_start: Level | None = None
    rungs: tuple[Rung, ...] = field(default=(), metadata={"stored_as": "rungs"})
    entries: tuple[str, ...] = ()
    leavings: tuple[str, ...] = field(default=(), metadata={"stored_as": "leavings"})
    """Orders of an older guard that are to be cancelled."""
    status: GuardStatus = GuardStatus.WAITING
    entry_price: Decimal | None = None
    """What distances count from: the average fill, so far."""
    is_entry_over: bool = False
    are_stops_set: bool = False
    """The position's own levels are where they belong for `entry_price`."""
    is_at_breakeven: bool = False
    is_seen: bool = False
    """The position was seen on its side."""
    active_at_ms: int = 0
    trouble: str | None = None
    """What could not be put in place, in words; it was told once."""

    @property
    def order_ids(self) -> tuple[str, ...]:
        """Of all that may rest for it."""
        return (*self.leavings, *(each.order_id for each in self.rungs if each.order_id is not None))


def taken_back(guard: Guard, order_ids: frozenset[str]) -> Guard:
    """The guard, once the relay has begun to cancel these orders of its own accord."""
    rungs = tuple(replace(each, is_taken_back=True) if each.order_id in order_ids else each for each in guard.rungs)
    return replace(guard, rungs=rungs)


def guard_of(levels: Levels, side: Side, *, reference: Decimal | None) -> Guard | None:
    """The guard that an alert asks for; None: it names no level. `reference`: what distances count from for now."""
    if levels.is_empty:
        return None
    rungs = levels.take_profits if levels.is_ladder else ()
    return Guard(
        side=side,
        stop_loss=levels.stop_loss,
        take_profit=levels.whole_profit,
        trailing_stop=levels.trailing_stop,
        trailing_start=levels.trailing_start,
        rungs=tuple(
            Rung(at=each.at, share_pct=each.share_pct, moves_stop_to_entry=each.moves_stop_to_entry) for each in rungs
        ),
        entry_price=reference,
    )


def taking_over(new: Guard, old: Guard | None, *, tick: Decimal) -> Guard:
    """`new`, in the place of `old`: the levels that it names replace, silence keeps."""
    if old is None:
        return new
    if old.side is not new.side or new.rungs or new.take_profit is not None:
        return replace(new, leavings=(*new.leavings, *old.order_ids))
    kept = tuple(replace(each, at=_fixed(each.at, old, tick)) for each in old.rungs)
    return replace(
        new,
        rungs=kept,
        leavings=(*new.leavings, *old.leavings),
        is_at_breakeven=old.is_at_breakeven and new.stop_loss is None,
    )


def _fixed(at: Level, guard: Guard, tick: Decimal) -> Level:
    """A distance counts from the entry that it came with, not from a later one."""
    return Level(kind=LevelKind.PRICE, value=rung_price(at, guard, tick))


def rung_price(at: Level, guard: Guard, tick: Decimal) -> Decimal:
    """Where a rung rests, on the price grid."""
    assert guard.entry_price is not None, "an active guard has its entry price"
    return profit_price(at, side=guard.side, reference=guard.entry_price, tick=tick)
