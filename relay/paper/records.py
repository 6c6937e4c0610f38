"""The state's entities as JSON text and back, exactly: decimals keep their digits."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from decimal import Decimal
from typing import Any, TypeVar

from relay.paper.orders import Exits, Order, OrderType, Side, Status, StopKind, TimeInForce, TriggerBy
from relay.paper.positions import Position
from relay.paper.state import Quote

_Entity = TypeVar("_Entity", Exits, Order, Position, Quote)
_NAMES = {kind: tuple(field.name for field in fields(kind)) for kind in (Exits, Order, Position, Quote)}


def _encode(value: object) -> object:
    if isinstance(value, Decimal):
        return {"$": str(value)}
    if isinstance(value, Exits):
        return _values(value)
    raise TypeError(f"cannot keep a {type(value).__name__}")


def _decode(found: dict[str, Any]) -> Any:
    return Decimal(found["$"]) if "$" in found else found


def _values(entity: _Entity) -> dict[str, Any]:
    return {name: getattr(entity, name) for name in _NAMES[type(entity)]}


def dump(entity: _Entity) -> str:
    """The entity as JSON."""
    return json.dumps(_values(entity), default=_encode, separators=(",", ":"))


def _load(text: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(text, object_hook=_decode)
    return loaded


def _exits(found: Mapping[str, Any]) -> Exits:
    return Exits(
        **{
            **found,
            "tp_trigger_by": TriggerBy(found["tp_trigger_by"]),
            "sl_trigger_by": TriggerBy(found["sl_trigger_by"]),
        }
    )


def order(text: str) -> Order:
    """What `dump` made of an order."""
    found = _load(text)
    words: dict[str, Callable[[Any], Any]] = {
        "side": Side,
        "order_type": OrderType,
        "time_in_force": TimeInForce,
        "status": Status,
        "stop_kind": StopKind,
        "trigger_by": TriggerBy,
        "exits": _exits,
    }
    return Order(**{name: words[name](value) if name in words else value for name, value in found.items()})


def position(text: str) -> Position:
    """What `dump` made of a position."""
    return Position(**_load(text))


def quote(text: str) -> Quote:
    """What `dump` made of a quote."""
    return Quote(**_load(text))
