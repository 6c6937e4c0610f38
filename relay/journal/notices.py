"""Notices on their way to people: made of the journal's events, stored until they are delivered or a day old.

They are read from what is committed already, so no notice holds up an order, and a kill loses none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import Connection, Row, Table, delete, func, insert, select, update

from relay.domain.notice import Notice
from relay.domain.order import OrderStatus, Reason, Side, SignalStatus
from relay.journal.codec import reason_of, switch_of
from relay.journal.records import Switch
from relay.journal.statements import Rows, insert_rows
from relay.journal.store import Store
from relay.journal.tables import assignments, events, marks, notices, orders, signals, switches

# The events of signals: each is added once, in order, and read again in that order with what is known around it.


AT_ONCE_MAX: Final = 400
_GAP_MS: Final = 15_000
"""On Postgres an event can become visible after one with a higher number; no transaction takes as long as this."""
_ADD = insert(events)


@dataclass(slots=True, eq=False)
class EventLog:
    """The events of one transaction. They are written in their order: with the next rows, or when it is flushed."""

    _connection: Connection
    _pending: list[dict[str, Any]] = field(default_factory=list)

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


DAY_MS: Final = 24 * 60 * 60 * 1000
STORED_MS: Final = DAY_MS
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
        """Write them down and move the mark. Returns False if another process has done it, and nothing was written."""
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
            if place >= WAITING_MAX or row.at < now_ms - STORED_MS:
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
