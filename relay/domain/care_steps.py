"""The steps of care: what they are decided by, and what is to be done next for a guard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from relay.domain.guard import Guard
from relay.domain.instrument import Instrument
from relay.domain.order import PlannedOrder
from relay.domain.position import Position, StopLevels
from relay.domain.reconciliation import OrderState


@dataclass(frozen=True, slots=True, kw_only=True)
class OnBook:
    """An order as it rests at the exchange just now."""

    qty: Decimal
    price: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What a step is decided by. `orders`: the guard's, by client order id. `position` None: it was not looked at."""

    instrument: Instrument
    now_ms: int
    position: Position | None = None
    orders: Mapping[str, OrderState] = field(default_factory=dict)
    book: Mapping[str, OnBook] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """Everything is where it belongs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LookAgain:
    """What the exchange shows may lag behind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """Nothing to send; the guard is now this."""

    guard: Guard


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """There is nothing (any more) that it protects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetStops:
    """Set the position's own levels. Then the guard is `after`."""

    after: Guard
    levels: StopLevels


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceRung:
    """`planned` has no leg yet."""

    place: int
    planned: PlannedOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class AdvanceRung:
    """Its order is on its way: bring it a step further."""

    order_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AmendRung:
    """`qty`: with what is filled of it."""

    order_id: str
    qty: Decimal
    price: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelRung:
    order_id: str


CareStep = Rest | LookAgain | Keep | Release | SetStops | PlaceRung | AdvanceRung | AmendRung | CancelRung
