"""Forgetting: finished signals that are old, with all that belongs to them. Identities and what is counted stay."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, Row, delete, select, tuple_

from relay.journal.store import Store
from relay.journal.tables import (
    IS_LIVE,
    IS_OPEN,
    assignments,
    attempts,
    beliefs,
    events,
    fills,
    guards,
    orders,
    plans,
    signals,
)

DAY_MS: Final = 24 * 60 * 60 * 1000
_BATCH: Final = 100
_BATCHES: Final = 20
"""At once; then others have their turn."""


class Retention:
    """Goes through the journal from its oldest end, a small transaction at a time, and begins anew at the end."""

    def __init__(self, store: Store, *, keep_days: int) -> None:
        self._store = store
        self._keep_ms = keep_days * DAY_MS
        self._after = 0

    def prune(self, now_ms: int) -> int:
        """How many signals were forgotten. Raises JournalUnavailable."""
        forgotten = 0
        for _ in range(_BATCHES):
            rows, before_ms = self._next(), now_ms - self._keep_ms
            if not rows or rows[0].received_at >= before_ms:
                self._after = 0
                break
            self._after = rows[-1].seq
            old = [row.id for row in rows if row.finished_at is not None and row.finished_at < before_ms]
            if old:
                forgotten += self._store.submit(partial(_forget, ids=old), deadline_s=10)
        return forgotten

    def _next(self) -> Sequence[Row[Any, Any, Any, Any]]:
        """Whatever comes next, so that what is not old yet ends the search and is not read through each time."""
        columns = signals.c.seq, signals.c.id, signals.c.received_at, signals.c.finished_at
        with self._store.read() as connection:
            statement = select(*columns).where(signals.c.seq > self._after).order_by(signals.c.seq).limit(_BATCH)
            return connection.execute(statement).all()


def _forget(connection: Connection, ids: Sequence[str]) -> int:
    """All of these but those that are still of use."""
    which = signals.c.id.in_(ids) & signals.c.finished_at.is_not(None)
    found = set(connection.scalars(select(signals.c.id).where(which).with_for_update()))
    gone = sorted(found - _still_of_use(connection, ids))
    if not gone:
        return 0
    own = list(connection.scalars(select(orders.c.client_order_id).where(orders.c.signal_id.in_(gone))))
    for table in (fills, attempts):
        connection.execute(delete(table).where(table.c.client_order_id.in_(own)))
    for table in (orders, plans, guards, assignments, events):
        connection.execute(delete(table).where(table.c.signal_id.in_(gone)))
    connection.execute(delete(signals).where(signals.c.id.in_(gone)))
    return len(gone)


def _still_of_use(connection: Connection, ids: Sequence[str]) -> set[str]:
    """An order of theirs is open; or a position where they ordered, which only they say is the relay's."""
    lanes = select(orders.c.account, orders.c.category, orders.c.symbol).where(orders.c.signal_id.in_(ids))
    known = select(beliefs).where(tuple_(beliefs.c.account, beliefs.c.category, beliefs.c.symbol).in_(lanes))
    held = {(row.account, row.category, row.symbol) for row in connection.execute(known) if row.size}
    statement = select(
        orders.c.signal_id, orders.c.account, orders.c.category, orders.c.symbol, IS_OPEN.label("is_open")
    ).where(orders.c.signal_id.in_(ids))
    guarding = set(connection.scalars(select(guards.c.signal_id).where(IS_LIVE & guards.c.signal_id.in_(ids))))
    return guarding | {
        row.signal_id
        for row in connection.execute(statement)
        if row.is_open or (row.account, row.category, row.symbol) in held
    }
