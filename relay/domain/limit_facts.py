"""What the limits count: what is open and under way on the account, how often and at which loss, since when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from relay.domain.instrument import Category
from relay.domain.order import Side
from relay.domain.position import Position


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
    """When a stop loss closed something of the symbol last, within the cooldown; None: not within it."""
    unread: Mapping[LimitNeed, str] = field(default_factory=dict)
