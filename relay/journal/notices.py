"""Notices on their way to people: made of the journal's events, stored until they are delivered or a day old.

They are read from what is committed already, so no notice holds up an order, and a kill loses none."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import takewhile
from typing import Any, Final

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from relay.domain.notice import Notice
from relay.domain.order import OrderStatus, Reason, Side, SignalStatus
from relay.domain.performance import Tally, tallies
from relay.journal.api_queries import fill_rows
from relay.journal.copies import Ways, ways_between
from relay.journal.orders import BracketRecord, live_brackets
from relay.journal.records import HALT, Switch, reason_of, switch_of
from relay.journal.statements import event_row
from relay.journal.store import Store
from relay.journal.tables import (
    assignments,
    beliefs,
    bookings,
    events,
    fills,
    marks,
    notices,
    orders,
    signals,
    switches,
)
from relay.journal.trades import StrategyResult, strategy_results

# The events of signals: each is added once, in order, and read again in that order with what is known around it.


AT_ONCE_MAX: Final = 400
_GAP_MS: Final = 15_000
"""On Postgres an event can become visible after one with a higher number; no transaction takes as long as this."""
_BOOKED_MS: Final = 5000
"""So long what tells of a fill waits for the ledger, which says what it realised."""
_ADD = insert(events)


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
    realised: tuple[Decimal, str] | None = None
    """By what has filled of it, before fees, and in which coin; known of fills that the ledger has booked."""


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


def _waits(row: Row[Any], realised: Mapping[int, object], now_ms: int) -> bool:
    """Whether it tells of a fill that the ledger may book at any moment."""
    return bool(_detail(row).get("client_order_id") and _filled(row)) and (
        row.id not in realised and now_ms - row.at < _BOOKED_MS
    )


def read_events(
    connection: Connection, rows: Sequence[Row[Any]], realised: Mapping[int, tuple[Decimal, str]]
) -> tuple[EventRecord, ...]:
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
    return tuple(_event_record(row, of_signal[row.signal_id], of_part, of_order, realised) for row in present)


def _realised(connection: Connection, rows: Sequence[Row[Any]]) -> dict[int, tuple[Decimal, str]]:
    """By the number of each event that tells of a fill: what so much of the order had realised, and in which coin.

    Without those that the ledger has not booked yet.
    """
    named = {row.id: (_detail(row).get("client_order_id"), _filled(row)) for row in rows}
    booked = (bookings.c.account == fills.c.account) & (bookings.c.exec_id == fills.c.exec_id)
    statement = (
        select(fills.c.client_order_id, fills.c.qty, bookings.c.symbol, bookings.c.coin, bookings.c.realised)
        .outerjoin(bookings, booked)
        .where(fills.c.client_order_id.in_({client_id for client_id, filled in named.values() if client_id and filled}))
        .order_by(fills.c.at, fills.c.exec_id)
    )
    of_order: defaultdict[str, list[Any]] = defaultdict(list)
    for row in connection.execute(statement):
        of_order[row.client_order_id].append(row)
    found = {}
    for number, (client_id, filled) in named.items():
        qty, realised = Decimal(0), Decimal(0)
        for fill in of_order.get(client_id or "", ()):
            if fill.symbol is None:
                break
            qty, realised = qty + fill.qty, realised + fill.realised
            if qty == filled:
                found[number] = realised, fill.coin
                break
    return found


def _filled(row: Row[Any]) -> Decimal | None:
    """Of the order that the event is about; None where it tells of no fill."""
    filled = Decimal(str(_detail(row).get("filled_qty") or 0))
    return filled if filled else None


def _orders(client_order_ids: set[str]) -> Any:
    return select(orders).where(orders.c.client_order_id.in_(client_order_ids))


def _detail(row: Row[Any]) -> Mapping[str, Any]:
    return row.detail if isinstance(row.detail, dict) else {}


def _event_record(
    row: Row[Any],
    signal: Row[Any],
    of_part: Mapping[tuple[str, str], Row[Any]],
    of_order: Mapping[str, Row[Any]],
    realised: Mapping[int, tuple[Decimal, str]],
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
        order=None if order is None else _order(order, realised.get(row.id)),
    )


def _order(row: Row[Any], realised: tuple[Decimal, str] | None) -> EventOrder:
    return EventOrder(symbol=row.symbol, side=row.side, qty=row.qty, account=row.account, realised=realised)


DAY_MS: Final = 24 * 60 * 60 * 1000
STORED_MS: Final = DAY_MS
WAITING_MAX: Final = 5000
"""For one address; the oldest are dropped first."""
CLAIM_MS: Final = 90_000
"""A message takes far less; after it another process may deliver what this one had taken."""
_AGAIN: Final = 1
"""As `claimed_until` of what somebody was sending who is gone."""

EVENTS: Final = "events"
SWITCHES: Final = "switches"
SUMMARY: Final = "summary"
WEEKLY: Final = "weekly"
_DAYS: Final = {SUMMARY: 1, WEEKLY: 7}
_MONDAY_MS: Final = 4 * DAY_MS
"""The first one of Unix time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingNotice:
    """A notice that is to be delivered to one address. `lost`: it stands for so many that were dropped.

    `is_again`: a process had begun to send it and was killed, so that it may have arrived.
    """

    id: int
    kind: str
    text: str
    at_ms: int
    lost: int
    signal_id: str = ""
    account: str = ""
    is_again: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """What a day or a week came to, and how things stand at its end. Positions are signed."""

    days: int
    signals: dict[SignalStatus, int]
    filled: int
    """Orders."""
    denied: dict[str, int]
    """By reason code: by the relay, the exchange or age."""
    results: tuple[StrategyResult, ...]
    """Of the trades that were closed."""
    tallies: dict[str, Tally]
    positions: dict[tuple[str, str], Decimal]
    """By account and symbol, as the relay knows them."""
    brackets: tuple[BracketRecord, ...]
    attention: tuple[str, ...]
    """Signals that nobody has looked at, the oldest first."""
    halted: tuple[str, ...]
    """Accounts; an empty name is all of them."""
    ways: Ways | None = None
    """None where no mailbox is read."""


_NOT_DONE: Final = (SignalStatus.DENIED, SignalStatus.FAILED, SignalStatus.EXPIRED, SignalStatus.REJECTED)


class Notices:
    """Raises JournalUnavailable as the journal does. Thread-safe."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def begin(self, now_ms: int) -> None:
        """Begin to read events from now on, unless that has begun: what happened earlier is no news."""

        def work(connection: Connection) -> None:
            if connection.dialect.name == "sqlite":  # one process at a time: whoever was sending has been killed
                connection.execute(update(notices).where(notices.c.claimed_until > _AGAIN).values(claimed_until=_AGAIN))
            last = connection.execute(select(func.max(events.c.id))).scalar() or 0
            ends = ((name, _last_end(name, now_ms)) for name in _DAYS)
            for name, value in ((EVENTS, last), (SWITCHES, now_ms), *ends):
                if _mark(connection, name) is None:
                    connection.execute(insert(marks), {"name": name, "value": value})

        self._store.submit(work, deadline_s=10)

    def unread(self, now_ms: int) -> tuple[int, int, tuple[EventRecord, ...]]:
        """Where the last read ended, where this one does, and the events between, in order."""
        with self._store.read() as connection:
            after = _mark(connection, EVENTS) or 0
            rows = first_unread(connection, after, now_ms)
            realised = _realised(connection, rows)
            rows = tuple(takewhile(lambda row: not _waits(row, realised, now_ms), rows))
            return after, rows[-1].id if rows else after, read_events(connection, rows, realised)

    def changed_switches(self) -> tuple[int, int, tuple[Switch, ...]]:
        """The same for switches, by time."""
        with self._store.read() as connection:
            after = _mark(connection, SWITCHES) or 0
            rows = connection.execute(select(switches).where(switches.c.at > after).order_by(switches.c.at)).all()
        found = tuple(switch_of(row) for row in rows)
        return after, found[-1].at_ms if found else after, found

    def period_before(self, name: str, now_ms: int) -> tuple[int, int, Period] | None:
        """The last day or week (`SUMMARY`, `WEEKLY`; UTC, from Monday) that is over, unless it was told already."""
        end = _last_end(name, now_ms)
        with self._store.read() as connection:
            after = _mark(connection, name)
            if after is not None and end <= after:
                return None
            return after or 0, end, _period(connection, _DAYS[name], end)

    def save(self, targets: Iterable[tuple[str, Notice]], *, mark: str, after: int, upto: int) -> bool:
        """Write them down and move the mark. Returns False if another process has done it, and nothing was written."""
        rows = _rows(targets)

        def work(connection: Connection) -> bool:
            if not after and _mark(connection, mark) is None:
                connection.execute(insert(marks), {"name": mark, "value": 0})
            which = (marks.c.name == mark) & (marks.c.value == after)
            if not connection.execute(update(marks).where(which).values(value=upto)).rowcount:
                return False
            if rows:
                connection.execute(insert(notices), rows)
            return True

        return self._store.submit(work, deadline_s=10)

    def add(self, targets: Iterable[tuple[str, Notice]]) -> None:
        """Store notices of what is in no event."""
        if rows := _rows(targets):
            self._store.submit(lambda connection: connection.execute(insert(notices), rows), deadline_s=10)

    def waiting(self, target: str, now_ms: int) -> tuple[PendingNotice, ...]:
        """All that waits for `target`, oldest first; nothing while another process sends to it, so that order holds."""
        of_target = select(notices).where(notices.c.target == target).order_by(notices.c.id)
        with self._store.read() as connection:
            rows = connection.execute(of_target).all()
        return () if any(row.claimed_until >= now_ms for row in rows) else tuple(map(_pending, rows))

    def claim(self, chosen: Sequence[PendingNotice], now_ms: int) -> bool:
        """Whether they are this caller's to send, for `CLAIM_MS`: not if another process has been quicker."""
        chunks = list(_chunks([each.id for each in chosen]))

        def work(connection: Connection) -> bool:
            taken = [_claimed(connection, chunk, now_ms) for chunk in chunks]
            if sum(map(len, taken)) == len(chosen):
                return True
            ids = {number for each in taken for number in each}
            _release(connection, [each for each in chosen if each.id in ids])
            return False

        return self._store.submit(work, deadline_s=10)

    def delivered(self, taken: Sequence[PendingNotice]) -> None:
        """Forget notices that were delivered."""
        ids = [each.id for each in taken]
        self._store.submit(lambda connection: _delete(connection, ids), deadline_s=10)

    def give_back(self, taken: Sequence[PendingNotice]) -> None:
        """Let notices that were not delivered be claimed again."""
        self._store.submit(lambda connection: _release(connection, taken), deadline_s=10)

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


def _pending(row: Row[Any]) -> PendingNotice:
    return PendingNotice(
        id=row.id,
        kind=row.kind,
        text=row.text,
        at_ms=row.at,
        lost=row.lost,
        signal_id=row.signal_id or "",
        account=row.account or "",
        is_again=row.claimed_until > 0,
    )


def _claimed(connection: Connection, ids: Sequence[int], now_ms: int) -> Sequence[int]:
    free = notices.c.id.in_(ids) & (notices.c.claimed_until < now_ms)
    taken = update(notices).where(free).values(claimed_until=now_ms + CLAIM_MS).returning(notices.c.id)
    return connection.scalars(taken).all()


def _release(connection: Connection, taken: Sequence[PendingNotice]) -> None:
    """What may have arrived before stays so."""
    for until, is_again in ((_AGAIN, True), (0, False)):
        for chunk in _chunks([each.id for each in taken if each.is_again is is_again]):
            connection.execute(update(notices).where(notices.c.id.in_(chunk)).values(claimed_until=until))


def _rows(targets: Iterable[tuple[str, Notice]]) -> list[dict[str, object]]:
    return [
        _row(target, each.kind.value, each.text, each.at_ms) | {"signal_id": each.signal_id, "account": each.account}
        for target, each in targets
    ]


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
                found.append((_pending(row), target))
    return found


def _delete(connection: Connection, ids: Sequence[int]) -> None:
    for chunk in _chunks(ids):
        connection.execute(delete(notices).where(notices.c.id.in_(chunk)))


def _chunks(ids: Sequence[int]) -> Iterable[Sequence[int]]:
    """A statement takes only so many parameters."""
    return (ids[start : start + 500] for start in range(0, len(ids), 500))


def _last_end(name: str, now_ms: int) -> int:
    length, offset = _DAYS[name] * DAY_MS, _MONDAY_MS if name == WEEKLY else 0
    return now_ms - (now_ms - offset) % length


def _period(connection: Connection, days: int, until_ms: int) -> Period:
    since_ms = until_ms - days * DAY_MS
    came = (signals.c.received_at >= since_ms) & (signals.c.received_at < until_ms)
    counted = select(signals.c.status, func.count()).where(came).group_by(signals.c.status)
    ended = (orders.c.updated_at >= since_ms) & (orders.c.updated_at < until_ms)
    filled = select(func.count()).select_from(orders).where(ended & (orders.c.status == OrderStatus.FILLED))
    refused = (signals.c.status.in_(_NOT_DONE)) & signals.c.reason_code.is_not(None)
    denied = select(signals.c.reason_code, func.count()).where(came & refused).group_by(signals.c.reason_code)
    looked = select(signals.c.id).where(signals.c.status == SignalStatus.ATTENTION).order_by(signals.c.id)
    held = select(switches.c.account).where((switches.c.name == HALT) & (switches.c.value == "on"))
    return Period(
        days=days,
        signals={row[0]: int(row[1]) for row in connection.execute(counted)},
        filled=connection.execute(filled).scalar_one(),
        denied={row[0]: int(row[1]) for row in connection.execute(denied)},
        results=tuple(strategy_results(connection, since_ms, until_ms)),
        tallies=tallies(fill_rows(connection, None, since_ms, until_ms)),
        positions={(row.account, row.symbol): row.size for row in connection.execute(select(beliefs)) if row.size},
        brackets=live_brackets(connection),
        attention=tuple(connection.scalars(looked)),
        halted=tuple(connection.scalars(held)),
        ways=ways_between(connection, since_ms, until_ms),
    )
