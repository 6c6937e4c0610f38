"""Notices on their way to people: made of the journal's events, stored until they are delivered or a day old.

They are read from what is committed already, so no notice holds up an order, and a kill loses none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, delete, func, insert, select, update

from relay.domain.notice import Notice
from relay.domain.order import OrderStatus
from relay.domain.status import SignalStatus
from relay.journal.codec import switch_of
from relay.journal.events import EventRecord, first_unread, read_events
from relay.journal.records import Switch
from relay.journal.store import Store
from relay.journal.tables import events, marks, notices, orders, signals, switches

DAY_MS: Final = 24 * 60 * 60 * 1000
KEPT_MS: Final = DAY_MS
WAITING_MAX: Final = 5000
"""For one address; the oldest are dropped first."""
CLAIM_MS: Final = 90_000
"""A delivery takes far less; after it another process may deliver what this one had taken."""

EVENTS: Final = "events"
SWITCHES: Final = "switches"
SUMMARY: Final = "summary"


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingNotice:
    """A notice that is to be delivered to one address. `lost`: it stands for so many that were dropped."""

    id: int
    kind: str
    text: str
    at_ms: int
    lost: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """What a day came to: signals by status, and orders that filled."""

    signals: dict[SignalStatus, int]
    filled: int


class Notices:
    """Raises JournalUnavailable as the journal does. Thread-safe."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def begin(self, now_ms: int) -> None:
        """From now on, where nothing was read before: what happened earlier is no news."""

        def work(connection: Connection) -> None:
            last = connection.execute(select(func.max(events.c.id))).scalar() or 0
            today = now_ms - now_ms % DAY_MS
            for name, value in ((EVENTS, last), (SWITCHES, now_ms), (SUMMARY, today)):
                if _mark(connection, name) is None:
                    connection.execute(insert(marks), {"name": name, "value": value})

        self._store.submit(work, deadline_s=10)

    def unread(self, now_ms: int) -> tuple[int, int, tuple[EventRecord, ...]]:
        """Where the last read ended, where this one does, and the events between, in order."""
        with self._store.read() as connection:
            after = _mark(connection, EVENTS) or 0
            rows = first_unread(connection, after, now_ms)
            return after, rows[-1].id if rows else after, read_events(connection, rows)

    def changed_switches(self) -> tuple[int, int, tuple[Switch, ...]]:
        """The same for switches, by time."""
        with self._store.read() as connection:
            after = _mark(connection, SWITCHES) or 0
            rows = connection.execute(select(switches).where(switches.c.at > after).order_by(switches.c.at)).all()
        found = tuple(switch_of(row) for row in rows)
        return after, found[-1].at_ms if found else after, found

    def day_before(self, now_ms: int) -> tuple[int, int, Day] | None:
        """The last day (UTC) that is over, unless it was summed up already."""
        today = now_ms - now_ms % DAY_MS
        with self._store.read() as connection:
            after = _mark(connection, SUMMARY) or 0
            return None if today <= after else (after, today, _day(connection, today - DAY_MS, today))

    def save(self, targets: Iterable[tuple[str, Notice]], *, mark: str, after: int, upto: int) -> bool:
        """Write them down and move the mark. False: another process has done it, and nothing was written."""
        rows = _rows(targets)

        def work(connection: Connection) -> bool:
            which = (marks.c.name == mark) & (marks.c.value == after)
            if not connection.execute(update(marks).where(which).values(value=upto)).rowcount:
                return False
            if rows:
                connection.execute(insert(notices), rows)
            return True

        return self._store.submit(work, deadline_s=10)

    def add(self, targets: Iterable[tuple[str, Notice]]) -> None:
        """What is in no event."""
        if rows := _rows(targets):
            self._store.submit(lambda connection: connection.execute(insert(notices), rows), deadline_s=10)

    def claim(self, target: str, now_ms: int) -> tuple[PendingNotice, ...]:
        """All that waits for `target`, oldest first; it is this caller's for `CLAIM_MS`."""

        def work(connection: Connection) -> tuple[PendingNotice, ...]:
            free = (notices.c.target == target) & (notices.c.claimed_until < now_ms)
            taken = update(notices).where(free).values(claimed_until=now_ms + CLAIM_MS).returning(notices)
            rows = sorted(connection.execute(taken), key=lambda row: int(row.id))
            return tuple(PendingNotice(id=r.id, kind=r.kind, text=r.text, at_ms=r.at, lost=r.lost) for r in rows)

        return self._store.submit(work, deadline_s=10) if self._is_waiting(target, now_ms) else ()

    def _is_waiting(self, target: str, now_ms: int) -> bool:
        """Looked at first: a question costs no commit."""
        free = (notices.c.target == target) & (notices.c.claimed_until < now_ms)
        with self._store.read() as connection:
            return connection.execute(select(notices.c.id).where(free).limit(1)).first() is not None

    def delivered(self, taken: Sequence[PendingNotice]) -> None:
        """They are forgotten."""
        ids = [each.id for each in taken]
        self._store.submit(lambda connection: _delete(connection, ids), deadline_s=10)

    def give_back(self, taken: Sequence[PendingNotice]) -> None:
        """They could not be delivered now."""
        ids = [each.id for each in taken]

        def work(connection: Connection) -> None:
            for chunk in _chunks(ids):
                connection.execute(update(notices).where(notices.c.id.in_(chunk)).values(claimed_until=0))

        self._store.submit(work, deadline_s=10)

    def drop_old(self, now_ms: int) -> dict[str, int]:
        """Give up what is over a day old, or too much. How many of each target; they are added to `lost` of one."""
        with self._store.read() as connection:
            old = _too_old(connection, now_ms)
        if not old:
            return {}

        def work(connection: Connection) -> dict[str, int]:
            dropped = _too_old(connection, now_ms)
            _delete(connection, [each.id for each, _ in dropped])
            lost: Counter[str] = Counter()
            for each, target in dropped:
                lost[target] += max(1, each.lost)
            connection.execute(insert(notices), [_lost_row(target, count, now_ms) for target, count in lost.items()])
            return dict(lost)

        return self._store.submit(work, deadline_s=10)


def _mark(connection: Connection, name: str) -> int | None:
    return connection.execute(select(marks.c.value).where(marks.c.name == name)).scalar()


def _rows(targets: Iterable[tuple[str, Notice]]) -> list[dict[str, object]]:
    return [_row(target, notice.kind.value, notice.text, notice.at_ms) for target, notice in targets]


def _row(target: str, kind: str, text: str, at_ms: int, lost: int = 0) -> dict[str, object]:
    return {"target": target, "kind": kind, "text": text, "at": at_ms, "lost": lost, "claimed_until": 0}


def _lost_row(target: str, count: int, now_ms: int) -> dict[str, object]:
    return _row(target, "lost", f"{count} older notices could not be delivered and were dropped", now_ms, count)


def _too_old(connection: Connection, now_ms: int) -> list[tuple[PendingNotice, str]]:
    """With their targets. Whatever somebody is delivering just now is left alone."""
    found = []
    free = notices.c.claimed_until < now_ms
    for target in connection.scalars(select(notices.c.target).distinct()).all():
        of_target = select(notices).where((notices.c.target == target) & free).order_by(notices.c.id.desc())
        for place, row in enumerate(connection.execute(of_target)):
            if place >= WAITING_MAX or row.at < now_ms - KEPT_MS:
                waiting = PendingNotice(id=row.id, kind=row.kind, text=row.text, at_ms=row.at, lost=row.lost)
                found.append((waiting, target))
    return found


def _delete(connection: Connection, ids: Sequence[int]) -> None:
    for chunk in _chunks(ids):
        connection.execute(delete(notices).where(notices.c.id.in_(chunk)))


def _chunks(ids: Sequence[int]) -> Iterable[Sequence[int]]:
    """A statement takes only so many parameters."""
    return (ids[start : start + 500] for start in range(0, len(ids), 500))


def _day(connection: Connection, since_ms: int, until_ms: int) -> Day:
    came = (signals.c.received_at >= since_ms) & (signals.c.received_at < until_ms)
    counted = select(signals.c.status, func.count()).where(came).group_by(signals.c.status)
    ended = (orders.c.updated_at >= since_ms) & (orders.c.updated_at < until_ms)
    filled = select(func.count()).select_from(orders).where(ended & (orders.c.status == OrderStatus.FILLED))
    by_status = {row[0]: int(row[1]) for row in connection.execute(counted)}
    return Day(signals=by_status, filled=connection.execute(filled).scalar_one())
