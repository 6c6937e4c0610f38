"""What is known of an order of the relay's while it is being cancelled."""

from __future__ import annotations

from dataclasses import dataclass

from relay.domain.reconciliation import OrderState


@dataclass(frozen=True, slots=True, kw_only=True)
class Resting:
    """A resting order that is being cancelled."""

    order: OrderState
    begun_at_ms: int | None = None
    """When it was cancelled first, by the relay's clock; None: not yet."""
    is_answered: bool = False
    """The exchange has answered the last cancel; else it may never have had it."""
    is_due: bool = True
    """To be cancelled (again) next; else to be looked up."""
    looks: int = 0
    """Since the last cancel."""
