"""A plan: the orders a signal asks for, and the facts it was computed from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from relay.domain.bracket import Bracket
from relay.domain.instrument import Category, Instrument, plain
from relay.domain.order import PlannedOrder, Reason, Side
from relay.domain.position import Position

# What the limits count: what is open and under way on the account, how often and at which loss, since when.


class LimitNeed(StrEnum):
    """A fact that only a limit needs. Where it cannot be read the entry is withheld, and never the exit."""

    WORKING = "own orders"
    POSITIONS = "the account's positions"
    RATE = "the latest entries"
    DAY = "the day's result"
    STOPS = "the latest stop losses"


@dataclass(frozen=True, slots=True, kw_only=True)
class Working:
    """What one of the relay's own orders may still open or add: it rests, or its fill is not known yet.

    `price`: its limit or trigger price, else the market's; None where its worth needs none (inverse).
    """

    category: Category
    symbol: str
    side: Side
    qty: Decimal
    price: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DayResult:
    """Since 00:00 UTC, in USD with stable coins at par; losses below zero.

    `unrealised`: by how much open profit has changed since the day's first reading. `worst`: the lowest sum that any
    reading of the day has found, so that a recovery does not lift the day's stop.
    """

    realised: Decimal
    unrealised: Decimal
    worst: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitFacts:
    """A fact that was not needed is None. `unread`: why a needed one could not be had."""

    working: tuple[Working, ...] = ()
    positions: tuple[Position, ...] | None = None
    entries_last_minute: int | None = None
    day: DayResult | None = None
    stopped_at: datetime | None = None
    """When a stop loss closed something of the symbol last, within the cooldown; None if none did."""
    unread: Mapping[LimitNeed, str] = field(default_factory=dict)


class Need(StrEnum):
    """A fact about the account or the market that must be read before a plan can be made."""

    POSITION = "position"
    PRICE = "price"
    EQUITY = "equity"


class PlanStatus(StrEnum):
    """`planned`: there is something to send. `done`: there is nothing to do. Else: nothing may be sent."""

    PLANNED = "planned"
    DONE = "done"
    DENIED = "denied"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Residual:
    """An exit too small to send, added to the position's next one. `size` is signed like the position it exits."""

    size: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a plan is computed from. A fact that was not needed is None."""

    instrument: Instrument
    now: datetime
    position: Position | None = None
    price: Decimal | None = None
    """The exchange's mark price, read for this plan."""
    reference_price: Decimal | None = None
    """The last price heard of, good enough to tell that a notional is far from a bound."""
    equity: Decimal | None = None
    residual: Residual | None = None
    halted: str | None = None
    """Who halted and when, or None."""
    has_resting: bool = False
    """Orders of the relay rest at the instrument, whose fills may not be known yet."""
    is_overtaken: bool = False
    """A later alert of the strategy came before this one."""
    limits: LimitFacts | None = None
    """What the limits count; read only for what may open or add."""
    unread: Mapping[Need, Reason] = field(default_factory=dict)
    """Why a fact that was needed could not be had. It withholds the entry, never the exit that is known without it."""

    uncleared: Reason | None = None
    """Why an order of the relay's own still rests that the signal wants gone: nothing may be opened beside it."""

    @property
    def size(self) -> Decimal | None:
        """The signed position, where it was read."""
        return self.position.size if self.position else None

    @property
    def market_price(self) -> Decimal | None:
        """The best that is known of where the market is."""
        shown = self.position.mark_price if self.position else None
        return self.price or shown or self.reference_price

    def as_inputs(self) -> dict[str, str]:
        """For the journal and for people: what was read, as text."""
        position = self.position
        read = {
            "position": plain(position.size) if position else None,
            "position_avg_price": plain(position.avg_price) if position and position.avg_price else None,
            "price": plain(self.price) if self.price is not None else None,
            "equity": plain(self.equity) if self.equity is not None else None,
            "carried": plain(self.residual.size) if self.residual else None,
            "halted": self.halted,
            **_counted(self.limits),
            "qty_step": plain(self.instrument.qty_step),
            "tick_size": plain(self.instrument.tick_size),
        }
        return {name: value for name, value in read.items() if value is not None}


def _counted(limits: LimitFacts | None) -> dict[str, str | None]:
    if limits is None:
        return {}
    day, entries = limits.day, limits.entries_last_minute
    return {
        "own_orders": str(len(limits.working)) if limits.working else None,
        "positions": str(len(limits.positions)) if limits.positions is not None else None,
        "entries_last_minute": str(entries) if entries is not None else None,
        "day_realised": plain(day.realised) if day else None,
        "day_unrealised": plain(day.unrealised) if day else None,
        "stopped_at": limits.stopped_at.isoformat() if limits.stopped_at else None,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The orders, in the order in which they are sent. `reason` says why not, or why not all, was planned."""

    status: PlanStatus
    orders: tuple[PlannedOrder, ...] = ()
    notes: tuple[str, ...] = ()
    reason: Reason | None = None
    residual: Residual | None = None
    """What remains to be exited after this plan; None clears what was carried."""
    bracket: Bracket | None = None
    """What protects the position that the plan opens or, for the action `stops`, the one that is open."""
    inputs: dict[str, str] = field(default_factory=dict)
