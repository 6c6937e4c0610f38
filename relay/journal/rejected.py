"""Alerts that are not executed: those that were bad but proved their sender, and a mere count of those that did not."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from typing import Any, Final

from sqlalchemy import Connection, Text, func, insert, select, type_coerce, update

from relay.domain.order import Reason, SignalStatus
from relay.domain.signal import first_id_at
from relay.errors import JournalUnavailable
from relay.journal.notices import add_event
from relay.journal.records import RefusedPosts, reason_columns
from relay.journal.statements import compact_json
from relay.journal.store import Store
from relay.journal.tables import refusals, signals

_DAY_MS: Final = 24 * 60 * 60 * 1000
ONLY_COUNTED: Final = "REJECTED_NOT_KEPT"
"""The kind under which rejected alerts are counted once DAY_BYTES_MAX of their strategy's were kept; by strategy."""
DAY_BYTES_MAX: Final = 2 * 1024 * 1024
"""Of a strategy's rejected alerts, a day (UTC) and process: about a thousand."""
_ROW_BYTES: Final = 2 * 1024
"""What a rejected alert takes beside its own text."""
_PROBLEMS_MAX: Final = 20
_PROBLEM_LENGTH_MAX: Final = 300
_MESSAGE_LENGTH_MAX: Final = 1000
_MAX_SOURCES = 1000
_OTHERS = "others"
APART_S: Final = 0.5
"""Between two writes of counts."""
_LOOK_S: Final = 1.0
"""How long whoever looks at the counts waits for such a write."""

Counts = dict[tuple[str, str], tuple[int, int]]
"""By kind and source: how many, and when the last one came."""


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
    reason = replace(reason, message=reason.message[:_MESSAGE_LENGTH_MAX])
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
    detail = {"fields": _bounded(fields)} if fields else None
    add_event(connection, signal_id, SignalStatus.REJECTED, detail, now_ms)


def _bounded(fields: Mapping[str, list[str]]) -> dict[str, list[str]]:
    shown = islice(fields.items(), _PROBLEMS_MAX)
    return {name[:100]: [each[:_PROBLEM_LENGTH_MAX] for each in problems[:3]] for name, problems in shown}


class RejectedToday:
    """How much was kept of each strategy's rejected alerts today. Thread-safe.

    Whoever has a webhook secret can post what is rejected as fast as it is answered; that must not fill the disk.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._stored: dict[str | None, tuple[int, int]] = {}
        """By strategy: the day, and how many bytes."""

    def has_room(self, strategy: str | None, now_ms: int) -> bool:
        """Raises JournalUnavailable."""
        day = now_ms // _DAY_MS
        with self._lock:
            counted_on, size = self._stored.get(strategy, (None, 0))
            if counted_on != day:
                size = self._bytes_since(strategy, day * _DAY_MS)
                self._stored[strategy] = day, size
        return size < DAY_BYTES_MAX

    def add(self, strategy: str | None, alert: Mapping[str, Any], now_ms: int) -> None:
        with self._lock:
            day, size = self._stored.get(strategy, (now_ms // _DAY_MS, 0))
            self._stored[strategy] = day, size + _ROW_BYTES + len(compact_json(alert))

    def _bytes_since(self, strategy: str | None, since_ms: int) -> int:
        """By an earlier run, once a day and strategy."""
        length = func.sum(func.length(type_coerce(signals.c.alert, Text)))
        which = (signals.c.id >= first_id_at(since_ms)) & (signals.c.status == SignalStatus.REJECTED)
        statement = select(func.count(), length).where(which & (signals.c.strategy == strategy))
        with self._store.read() as connection:
            rows, characters = connection.execute(statement).one()
        return int(rows) * _ROW_BYTES + int(characters or 0)


class Refusals:
    """Counts in memory, and writes what came together now and then: a flood costs hardly more commits than one post."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._changed = threading.Condition()
        self._counts: Counts = {}
        self._taken: Counts = {}
        """Being written."""
        self._takes = 0
        self._is_due = False
        self._not_before_s = 0.0
        self._timer: threading.Timer | None = None

    def note(self, kind: str, source: str, now_ms: int) -> None:
        with self._changed:
            _add(self._counts, (kind, source), 1, now_ms)
        self._plan()

    def counted(self) -> list[RefusedPosts]:
        """The latest first: what is written, and what waits for it in this process."""
        while True:
            with self._changed:
                # Of what is being written nobody can say whether it is there yet.
                self._changed.wait_for(lambda: not self._taken, _LOOK_S)
                takes, counts = self._takes, dict(self._counts)
            with self._store.read() as connection:
                for row in connection.execute(select(refusals)):
                    _add(counts, (row.kind, row.source), row.posts, row.last_at)
            if takes == self._takes:  # else some may have been counted twice
                break
        found = [RefusedPosts(kind=k, source=s, count=count, last_at_ms=at) for (k, s), (count, at) in counts.items()]
        return sorted(found, key=lambda each: each.last_at_ms, reverse=True)

    def hasten(self) -> None:
        """What waits for its time is handed to the store now. A store that is closed afterwards writes it first."""
        if self._takes_timer():
            self._post()

    def _plan(self) -> None:
        """One write at a time, of all that was counted until it begins; and a pause after each."""
        with self._changed:
            if self._is_due or not self._counts:
                return
            self._is_due = True
            wait_s = self._not_before_s - time.monotonic()
            if wait_s > 0:
                self._timer = threading.Timer(wait_s, self.hasten)
                self._timer.daemon = True
                self._timer.start()
        if wait_s <= 0:
            self._post()

    def _takes_timer(self) -> bool:
        """Whether a write waits for its time: the caller does it now, and nobody else."""
        with self._changed:
            timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        return timer is not None

    def _post(self) -> None:
        try:
            self._store.post(self._write, self._written)
        except JournalUnavailable as error:
            self._written(error)

    def _write(self, connection: Connection) -> None:
        with self._changed:
            self._takes += 1
            _add_all(self._taken, self._counts)  # to what a run has taken that was rolled back
            self._counts = {}
            taken = dict(self._taken)
        for (kind, source), (count, last_ms) in taken.items():
            _count(connection, kind, source, count, last_ms)

    def _written(self, error: Exception | None) -> None:
        with self._changed:
            if error is not None:
                _add_all(self._counts, self._taken)
            self._taken = {}
            self._changed.notify_all()
            self._is_due = False
            self._not_before_s = time.monotonic() + APART_S
        if error is None:
            # What was counted while that was being written. After trouble the next post tries again.
            self._plan()


def _add(counts: Counts, key: tuple[str, str], count: int, at_ms: int) -> None:
    if key not in counts and len(counts) >= _MAX_SOURCES:
        key = (key[0], _OTHERS)
    known, last_ms = counts.get(key, (0, 0))
    counts[key] = (known + count, max(last_ms, at_ms))


def _add_all(counts: Counts, more: Counts) -> None:
    for key, (count, at_ms) in more.items():
        _add(counts, key, count, at_ms)


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
