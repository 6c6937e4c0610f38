"""Signals and orders as the API shows them: times RFC 3339, numbers of money and size as strings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Row

from relay.domain.rounding import plain
from relay.journal.codec import reason_of, rfc3339


def shown_order(row: Row[Any]) -> dict[str, Any]:
    return {
        "client_order_id": row.client_order_id,
        "venue_order_id": row.venue_order_id,
        "account": row.account,
        "category": row.category.value,
        "symbol": row.symbol,
        "side": row.side.value,
        "type": row.type.value,
        "qty": plain(row.qty),
        "price": None if row.price is None else plain(row.price),
        "reduce_only": row.reduce_only,
        "status": row.status.value,
        "reason": _shown_reason(row),
        "filled_qty": plain(row.filled_qty),
        "avg_price": None if row.avg_price is None else plain(row.avg_price),
        "fee": plain(row.fee),
    }


def shown_event(row: Row[Any]) -> dict[str, Any]:
    return {"at": rfc3339(row.at), "name": row.name, "detail": row.detail}


def shown_signal(
    row: Row[Any], *, plan_notes: Iterable[str], orders: Iterable[Row[Any]], events: Iterable[Row[Any]]
) -> dict[str, Any]:
    """`plan_notes`: those of its plans, which come before what was noted at the end."""
    alert: Mapping[str, Any] = row.alert
    return {
        "id": row.id,
        "strategy": row.strategy,
        "action": row.action,
        "symbol": row.symbol,
        "status": row.status.value,
        "reason": _shown_reason(row),
        "notes": list(dict.fromkeys([*row.notes, *plan_notes])),
        "received_at": rfc3339(row.received_at),
        "sent_at": None if row.sent_at is None else rfc3339(row.sent_at),
        "alert": dict(alert),
        "orders": [shown_order(each) for each in orders],
        "events": [shown_event(each) for each in events],
    }


def _shown_reason(row: Row[Any]) -> dict[str, str] | None:
    reason = reason_of(row)
    return {"code": reason.code, "message": reason.message} if reason else None
