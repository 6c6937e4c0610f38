"""What the journal holds of a time, row by row, for other programs."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import select, tuple_

from relay.domain.instrument import plain
from relay.journal.api_queries import FEE_COIN
from relay.journal.codec import rfc3339
from relay.journal.store import Store
from relay.journal.tables import fills, orders, signals

_AT_ONCE: Final = 500


class ExportKind(StrEnum):
    """What is taken out."""

    SIGNALS = "signals"
    ORDERS = "orders"
    FILLS = "fills"


COLUMNS: Final = {
    ExportKind.SIGNALS: (
        *("id", "strategy", "action", "ticker", "category", "symbol", "status", "reason_code", "reason_message"),
        *("received_at", "sent_at", "finished_at"),
    ),
    ExportKind.ORDERS: (
        *("signal_id", "client_order_id", "venue_order_id", "account", "category", "symbol", "side", "type", "qty"),
        *(
            "price",
            "reduce_only",
            "status",
            "reason_code",
            "reason_message",
            "filled_qty",
            "avg_price",
            "fee",
            "fee_coin",
            "created_at",
        ),
    ),
    ExportKind.FILLS: (
        *("signal_id", "client_order_id", "exec_id", "account", "category", "symbol", "side", "qty", "price", "fee"),
        *("fee_coin", "is_maker", "at"),
    ),
}
"""In this order; numbers of money and size are texts, times RFC 3339."""


def export(store: Store, kind: ExportKind, from_ms: int, until_ms: int) -> Iterator[dict[str, Any]]:
    """The oldest first: signals by their receipt, orders by their making, fills by the exchange's time. `until_ms` is
    not included. Raises JournalUnavailable."""
    by = {
        ExportKind.SIGNALS: signals.c.received_at,
        ExportKind.ORDERS: orders.c.created_at,
        ExportKind.FILLS: fills.c.at,
    }[kind]
    key = {
        ExportKind.SIGNALS: signals.c.seq,
        ExportKind.ORDERS: orders.c.client_order_id,
        ExportKind.FILLS: fills.c.exec_id,
    }[kind]
    statement = {
        ExportKind.SIGNALS: select(signals),
        ExportKind.ORDERS: select(orders, FEE_COIN),
        ExportKind.FILLS: select(fills, orders.c.signal_id, orders.c.category, orders.c.symbol, orders.c.side).join(
            orders, orders.c.client_order_id == fills.c.client_order_id
        ),
    }[kind]
    statement = statement.where(by >= from_ms, by < until_ms).order_by(by, key).limit(_AT_ONCE)
    page = statement
    while True:
        # Page by page: on Postgres a connection that only reads is in no transaction, in which alone a cursor lives.
        with store.read() as connection:
            rows = connection.execute(page).all()
        for row in rows:
            yield {name: _cell(name, row._mapping[name]) for name in COLUMNS[kind]}
        if len(rows) < _AT_ONCE:
            return
        last = rows[-1]._mapping
        page = statement.where(tuple_(by, key) > tuple_(last[by], last[key]))


def _cell(name: str, value: Any) -> Any:
    if value is None or isinstance(value, bool | str):
        return value
    if name == "at" or name.endswith("_at"):
        return rfc3339(value)
    return plain(value) if hasattr(value, "as_tuple") else value
