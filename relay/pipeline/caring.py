"""One run of care, and what it came to."""

from __future__ import annotations

from dataclasses import dataclass, field

from relay.domain.care_steps import AmendRung
from relay.domain.instrument import Category
from relay.domain.order import Reason
from relay.domain.reconciliation import OrderState
from relay.pipeline.ports import Account
from relay.pipeline.resting import Resting
from relay.pipeline.sight import Looked


@dataclass(frozen=True, slots=True, kw_only=True)
class Cared:
    """Care has come to rest, or to where a person must look: `reason`, about the guard of `signal_id`."""

    signal_id: str | None = None
    reason: Reason | None = None
    is_refused: bool = False
    """The exchange refused the levels of a signal that asked for nothing else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Amended:
    """An amendment that was sent; the exchange shows it a little later."""

    step: AmendRung
    at_ms: int
    times: int


@dataclass(slots=True, kw_only=True)
class Caring:
    """One run of care in its lane: what it holds in memory. The journal has all that matters."""

    account: Account
    category: Category
    symbol: str
    begun_at_ms: int | None = None
    orders: dict[str, OrderState] = field(default_factory=dict)
    """Take profits whose orders are on their way, or were looked at in this run."""
    looked: Looked | None = None
    cancelling: dict[str, Resting] = field(default_factory=dict)
    amended: dict[str, Amended] = field(default_factory=dict)
    refusals: int = 0
    trouble: Reason | None = None
    why: str = "the exchange does not show it yet"
