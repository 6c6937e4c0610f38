"""Alerts that are not executed: those that were bad but proved their sender, and a mere count of those that did not."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from relay.domain.order import Reason
from relay.domain.status import SignalStatus
from relay.errors import JournalUnavailable
from relay.journal.admission import add_event
from relay.journal.coding import reason_columns
from relay.journal.records import RefusedPosts
from relay.journal.store import Store
from relay.journal.tables import refusals, signals

_MAX_SOURCES = 1000
_OTHERS = "others"


def add_rejected(
    connection: Connection,
    *,
    signal_id: str,
    strategy: str | None,
    alert: Mapping[str, Any],
    digest: str,
    reason: Reason,
    fields: Mapping[str, list[str]],
    notes: tuple[str, ...],
    shown: Mapping[str, object],
    now_ms: int,
) -> None:
    """`shown`: the columns action, ticker, category and symbol, as far as they are known."""
    row = {
        "id": signal_id,
        "strategy": strategy,
        "status": SignalStatus.REJECTED,
        "generation": 0,
        **reason_columns(reason),
        "notes": list(notes),
        "received_at": now_ms,
        "finished_at": now_ms,
        "alert": dict(alert),
        "body_digest": digest,
        **shown,
    }
    connection.execute(insert(signals), row)
    add_event(connection, signal_id, SignalStatus.REJECTED, {"fields": dict(fields)} if fields else None, now_ms)


class Refusals:
    """Counts in memory and writes along with whatever is written next: a flood costs no more than a few commits."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._changed = threading.Lock()
        self._counts: dict[tuple[str, str], tuple[int, int]] = {}
        self._is_posted = False

    def note(self, kind: str, source: str, now_ms: int) -> None:
        with self._changed:
            self._add((kind, source), 1, now_ms)
        self._post()

    def _post(self) -> None:
        """One write at a time, of all that was counted until it begins."""
        with self._changed:
            if self._is_posted or not self._counts:
                return
            self._is_posted = True
        taken: dict[tuple[str, str], tuple[int, int]] = {}
        try:
            self._store.post(
                lambda connection: self._write(connection, taken), lambda error: self._written(error, taken)
            )
        except JournalUnavailable as error:
            self._written(error, taken)

    def _add(self, key: tuple[str, str], count: int, at_ms: int) -> None:
        if key not in self._counts and len(self._counts) >= _MAX_SOURCES:
            key = (key[0], _OTHERS)
        known, last_ms = self._counts.get(key, (0, 0))
        self._counts[key] = (known + count, max(last_ms, at_ms))

    def _write(self, connection: Connection, taken: dict[tuple[str, str], tuple[int, int]]) -> None:
        with self._changed:
            for key, (count, last_ms) in self._counts.items():
                known, before_ms = taken.get(key, (0, 0))  # from a run that was rolled back
                taken[key] = (known + count, max(before_ms, last_ms))
            self._counts = {}
        for (kind, source), (count, last_ms) in taken.items():
            _count(connection, kind, source, count, last_ms)

    def _written(self, error: Exception | None, taken: dict[tuple[str, str], tuple[int, int]]) -> None:
        with self._changed:
            self._is_posted = False
            if error is not None:
                for key, (count, last_ms) in taken.items():
                    self._add(key, count, last_ms)
                return
        # What was counted while that was being written.
        self._post()


def _count(connection: Connection, kind: str, source: str, count: int, last_ms: int) -> None:
    def known(source: str) -> bool:
        which = (refusals.c.kind == kind) & (refusals.c.source == source)
        values = {"posts": refusals.c.posts + count, "last_at": last_ms}
        return connection.execute(update(refusals).where(which).values(**values)).rowcount > 0

    if known(source):
        return
    if connection.execute(select(func.count()).select_from(refusals)).scalar_one() >= _MAX_SOURCES:
        source = _OTHERS
        if known(source):
            return
    connection.execute(insert(refusals), {"kind": kind, "source": source, "posts": count, "last_at": last_ms})


def list_refused(connection: Connection) -> list[RefusedPosts]:
    """The latest first."""
    return [
        RefusedPosts(kind=row.kind, source=row.source, count=row.posts, last_at_ms=row.last_at)
        for row in connection.execute(select(refusals).order_by(refusals.c.last_at.desc()))
    ]
