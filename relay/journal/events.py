"""The events of signals: each is added once, in order, and read again in that order with what is known around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import Connection, Row, Table, insert, select

from relay.domain.order import Reason, Side
from relay.domain.status import SignalStatus
from relay.journal.codec import reason_of
from relay.journal.statements import Rows, insert_rows
from relay.journal.tables import assignments, events, orders, signals

AT_ONCE_MAX: Final = 400
_GAP_MS: Final = 15_000
"""On Postgres an event can become visible after one with a higher number; no transaction takes as long as this."""
_ADD = insert(events)


class EventLog:
    """The events of one transaction. They are written in their order: with the next rows, or when it is flushed."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._pending: list[dict[str, Any]] = []

    def add(self, signal_id: str, name: str, detail: object, *, now_ms: int) -> None:
        """`now_ms`: the relay's clock, Unix milliseconds."""
        self._pending.append(event_row(signal_id, name, detail, now_ms))

    def insert(self, *wanted: tuple[Table, Rows]) -> None:
        """New rows of these tables, and the events so far, in one statement where the database takes that."""
        pending, self._pending = self._pending, []
        insert_rows(self._connection, *wanted, (events, pending))

    def flush(self) -> None:
        """Nothing else is written in this transaction."""
        if self._pending:
            self.insert()


def event_row(signal_id: str, name: str, detail: object, now_ms: int) -> dict[str, object]:
    return {"signal_id": signal_id, "at": now_ms, "name": name, "detail": detail}


def add_event(connection: Connection, signal_id: str, name: str, detail: object, now_ms: int) -> int:
    """Returns the event's number, which grows with time."""
    key = connection.execute(_ADD, event_row(signal_id, name, detail, now_ms)).inserted_primary_key
    assert key is not None
    number: int = key[0]
    return number


@dataclass(frozen=True, slots=True, kw_only=True)
class EventOrder:
    """An order that an event is about."""

    symbol: str
    side: Side
    qty: Decimal
    account: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRecord:
    """An event. `status` and `reason`: the signal's now, or its part's on `account` where the event names one."""

    at_ms: int
    name: str
    detail: Mapping[str, Any]
    signal_id: str
    strategy: str | None
    action: str | None
    symbol: str | None
    received_at_ms: int
    status: SignalStatus
    account: str | None
    reason: Reason | None
    order: EventOrder | None


def first_unread(connection: Connection, after: int, now_ms: int) -> Sequence[Row[Any]]:
    """The next events. Where a number is missing it stops, unless what follows is old enough for it never to come."""
    rows = connection.execute(select(events).where(events.c.id > after).order_by(events.c.id).limit(AT_ONCE_MAX)).all()
    expected = after + 1
    for place, row in enumerate(rows):
        if row.id != expected and now_ms - row.at < _GAP_MS:
            return rows[:place]
        expected = row.id + 1
    return rows


def read_events(connection: Connection, rows: Sequence[Row[Any]]) -> tuple[EventRecord, ...]:
    if not rows:
        return ()
    ids = {row.signal_id for row in rows}
    of_signal = {row.id: row for row in connection.execute(select(signals).where(signals.c.id.in_(ids)))}
    parts = connection.execute(select(assignments).where(assignments.c.signal_id.in_(ids)))
    of_part = {(row.signal_id, row.account): row for row in parts}
    named = {client_id for row in rows if (client_id := _detail(row).get("client_order_id"))}
    of_order = {row.client_order_id: row for row in connection.execute(_orders(named))} if named else {}
    # An alert that was withdrawn between two of these questions is gone with its events.
    present = [row for row in rows if row.signal_id in of_signal]
    return tuple(_event_record(row, of_signal[row.signal_id], of_part, of_order) for row in present)


def _orders(client_order_ids: set[str]) -> Any:
    return select(orders).where(orders.c.client_order_id.in_(client_order_ids))


def _detail(row: Row[Any]) -> Mapping[str, Any]:
    return row.detail if isinstance(row.detail, dict) else {}


def _event_record(
    row: Row[Any], signal: Row[Any], of_part: Mapping[tuple[str, str], Row[Any]], of_order: Mapping[str, Row[Any]]
) -> EventRecord:
    detail = _detail(row)
    order = of_order.get(detail.get("client_order_id", ""))
    account = detail.get("account") or (order.account if order is not None else None)
    part = of_part.get((row.signal_id, account or ""))
    source = signal if part is None else part
    return EventRecord(
        at_ms=row.at,
        name=row.name,
        detail=detail,
        signal_id=row.signal_id,
        strategy=signal.strategy,
        action=signal.action,
        symbol=signal.symbol or signal.ticker,
        received_at_ms=signal.received_at,
        status=source.status,
        account=account,
        reason=reason_of(source),
        order=None if order is None else _order(order),
    )


def _order(row: Row[Any]) -> EventOrder:
    return EventOrder(symbol=row.symbol, side=row.side, qty=row.qty, account=row.account)
