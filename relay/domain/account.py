"""The limits and defaults by which a strategy's signals are planned."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import time
from decimal import Decimal
from enum import StrEnum

from relay.domain.order import OrderType
from relay.domain.signal import Level, QtyUnit


class Direction(StrEnum):
    """On which side a strategy may open."""

    BOTH = "both"
    LONG_ONLY = "long_only"
    SHORT_ONLY = "short_only"


class Mode(StrEnum):
    """`order`: each alert is an order. `position`: the alert's market position is the target, whatever its action."""

    ORDER = "order"
    POSITION = "position"


class Drift(StrEnum):
    """What is done when the account's position is not the strategy's."""

    WARN = "warn"
    HEAL = "heal"


@dataclass(frozen=True, slots=True, kw_only=True)
class DefaultSize:
    """For entries that bring no size of their own."""

    qty: Decimal
    unit: QtyUnit


@dataclass(frozen=True, slots=True, kw_only=True)
class TradingHours:
    """When entries may go out: from `opens` to before `closes` on `weekdays` (Monday is 0) in the zone's local time.

    `closes` at or before `opens` is on the next day, so `opens == closes` is a whole day. `zone`: an IANA name.
    """

    zone: str
    weekdays: frozenset[int]
    opens: time
    closes: time


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """A strategy's limits on one account, which hold back entries only, and its defaults.

    None: no limit. Notionals: quote coin; exposure and losses: USD, with stable coins at par.
    """

    no_entries: str | None = None
    """Why no entry may go out at all: the strategy is not, or no longer, one of this account's. None: they may."""
    allowed_symbols: frozenset[str] | None = None
    max_order_notional: Decimal | None = None
    max_position_notional: Decimal | None = None
    max_exposure: Decimal | None = None
    """The worth of all the account's positions and of what rests to open or add to them."""
    max_positions: int | None = None
    """How many symbols may have an open position, those with resting entries counted."""
    max_leverage: Decimal | None = None
    max_entries_per_minute: int | None = None
    daily_loss_limit: Decimal | None = None
    """Realised and unrealised since 00:00 UTC; once it is reached no entry until tomorrow."""
    hours: tuple[tuple[TradingHours, ...], ...] | None = None
    """Entries only while of each of these groups, the strategy's and the account's, one period is open."""
    cooldown_s: int | None = None
    """No entry on a symbol for so long after a stop loss has closed it."""
    max_distance_pct: Decimal | None = None
    """How far the alert's `signal_price` may be from the market."""
    direction: Direction = Direction.BOTH
    mode: Mode = Mode.ORDER
    drift: Drift = Drift.WARN
    signal_max_age_s: int = 60
    default_size: DefaultSize | None = None
    default_type: OrderType = OrderType.MARKET
    default_leverage: Decimal | None = None
    default_stop_loss: Level | None = None
    default_take_profit: Level | None = None
    size_unit: QtyUnit | None = None
    """What a bare `qty` means; None: coins on linear, and on inverse a unit must be given."""
    size_scale_pct: Decimal = Decimal(100)
    """This account takes so much of every size that the alert or the default names; `position_pct` is not scaled."""
