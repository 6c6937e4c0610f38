"""The limits and defaults by which a strategy's signals are planned."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from relay.domain.signal import Level, QtyUnit


@dataclass(frozen=True, slots=True, kw_only=True)
class DefaultSize:
    """For entries that bring no size of their own."""

    qty: Decimal
    unit: QtyUnit


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """A strategy's limits, which hold back entries only, and its defaults. None: no limit. Notionals: quote coin."""

    allowed_symbols: frozenset[str] | None = None
    max_order_notional: Decimal | None = None
    max_position_notional: Decimal | None = None
    max_leverage: Decimal | None = None
    daily_loss_limit: Decimal | None = None
    signal_max_age_s: int = 60
    default_size: DefaultSize | None = None
    default_leverage: Decimal | None = None
    default_stop_loss: Level | None = None
    default_take_profit: Level | None = None
    size_unit: QtyUnit | None = None
    """What a bare `qty` means; None: coins on linear, and on inverse a unit must be given."""
