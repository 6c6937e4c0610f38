"""Whether an alert is new: the rules of "The same alert", in the transaction that keeps it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Table, bindparam, delete, insert, select, update

from relay.domain.chain import Judged
from relay.domain.identity import Identity, IdentityKind
from relay.domain.order import Reason
from relay.domain.status import SignalStatus
from relay.journal import chains, following, tables
from relay.journal.adding import Along, Rows, add, add_if_new
from relay.journal.certainty import MAX_GENERATION, is_without_effect
from relay.journal.codec import reason_columns
from relay.journal.records import Admission, Duplicate, IdReused, New, NewSignal, Reopened

ID_ALONE_WINDOW_MS = 10 * 60 * 1000
_REOPENED_BY_RESEND = (SignalStatus.FAILED, SignalStatus.DENIED, SignalStatus.EXPIRED)
_WITHDRAWN = Reason(
    code="JOURNAL_UNAVAILABLE", message="opened again while the journal was stuck, answered 503 and withdrawn"
)

_identities, _signals, _assignments, _events = tables.identities, tables.signals, tables.assignments, tables.events
_SAME_IDENTITY = (
    (_identities.c.strategy == bindparam("of_strategy"))
    & (_identities.c.kind == bindparam("of_kind"))
    & (_identities.c.key == bindparam("of_key"))
)
_FIND = select(_identities.c.signal_id, _identities.c.digest, _identities.c.first_at).where(_SAME_IDENTITY)
_REPLACE = update(_identities).where(_SAME_IDENTITY)
_FORGET = delete(_identities).where(_SAME_IDENTITY)
_STATUS = select(_signals.c.status, _signals.c.generation).where(_signals.c.id == bindparam("of_id"))
_ADD_EVENT = insert(_events)


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitting:
    """One alert on its way in: what is done in the transaction, and how it is taken back."""

    new: NewSignal
    now_ms: int
    dedup_window_ms: int

    def run(self, connection: Connection) -> Admission:
        return self.try_as_new(connection) or self.compare(connection)

    def try_as_new(self, connection: Connection, along: Along | None = None) -> New | None:
        """None: it is not, or cannot be told in one statement, and nothing was done. `along`: see `add_if_new`."""
        if self.new.link is not None:
            return None
        rows = _rows_of(self.new, None, self.now_ms)
        is_new = add_if_new(connection, (_identities, self._identity_row()), *rows, along=along)
        return New(signal_id=self.new.id) if is_new else None

    def compare(self, connection: Connection) -> Admission:
        """With the one that has its identity, if there is one, and with the one before it in its chain."""
        first = connection.execute(_FIND, self._identity()).first()
        if first is not None:
            verdict = self._judge(connection, first)
            if verdict is not None:
                return verdict
            connection.execute(_REPLACE, self._identity_row() | self._identity())
        fitted = _linked(connection, self.new, self.now_ms)
        identities = [] if first is not None else [self._identity_row()]
        add(connection, (_identities, identities), *_rows_of(self.new, fitted, self.now_ms))
        return New(signal_id=self.new.id, chain_note=fitted.note if fitted else None)

    def undo(self, connection: Connection, admission: Admission) -> None:
        """As if it had never come, so that its resend is new."""
        match admission:
            case New(signal_id=signal_id) if not _is_begun(connection, signal_id):
                connection.execute(_FORGET.where(_identities.c.signal_id == signal_id), self._identity())
                remove_signal(connection, signal_id)
                chains.forget(connection, signal_id)
            case Reopened(signal_id=signal_id, generation=generation) if not _is_begun(connection, signal_id):
                undo_reopening(connection, signal_id, generation, self.now_ms)

    def _identity(self) -> dict[str, object]:
        identity: Identity = self.new.identity
        return {"of_strategy": self.new.strategy, "of_kind": identity.kind, "of_key": identity.key}

    def _identity_row(self) -> dict[str, object]:
        return {
            "strategy": self.new.strategy,
            "kind": self.new.identity.kind,
            "key": self.new.identity.key,
            "signal_id": self.new.id,
            "digest": self.new.digest,
            "first_at": self.now_ms,
        }

    def _judge(self, connection: Connection, first: Row[*tuple[Any, ...]]) -> Admission | None:
        """None: the identity is free again."""
        same, age_ms = first.digest == self.new.digest, self.now_ms - first.first_at
        match self.new.identity.kind:
            case IdentityKind.ID_TIME:
                is_duplicate, is_free = same, False
            case IdentityKind.ID:
                is_duplicate, is_free = same and age_ms <= ID_ALONE_WINDOW_MS, False
            case IdentityKind.BODY:
                is_duplicate = same and self.dedup_window_ms > 0 and age_ms <= self.dedup_window_ms
                is_free = not is_duplicate
        if is_duplicate:
            return self._again(connection, first)
        return None if is_free else IdReused(first_signal_id=first.signal_id)

    def _again(self, connection: Connection, first: Row[*tuple[Any, ...]]) -> Admission:
        signal_id = first.signal_id
        known = connection.execute(_STATUS, {"of_id": signal_id}).first()
        if known is None:
            return Duplicate(signal_id=signal_id, status=SignalStatus.DONE, first_at_ms=first.first_at)
        may_reopen = known.status in _REOPENED_BY_RESEND and known.generation < MAX_GENERATION
        if may_reopen and is_without_effect(connection, signal_id):
            return reopen(connection, signal_id, now_ms=self.now_ms, why="sent again")
        add_event(connection, signal_id, "duplicate", None, self.now_ms)
        return Duplicate(signal_id=signal_id, status=known.status, first_at_ms=first.first_at)


def _is_begun(connection: Connection, signal_id: str) -> bool:
    """Another process may have been quicker; then it stays, and its resend is a duplicate."""
    which = select(_assignments.c.status).where(_assignments.c.signal_id == signal_id).with_for_update()
    return any(status is not SignalStatus.ACCEPTED for status in connection.scalars(which))


def remove_signal(connection: Connection, signal_id: str) -> None:
    """One that nobody was told of and nothing was done for."""
    for table in (_events, _assignments):
        connection.execute(delete(table).where(table.c.signal_id == signal_id))
    connection.execute(delete(_signals).where(_signals.c.id == signal_id))


def event_row(signal_id: str, name: str, detail: object, now_ms: int) -> dict[str, object]:
    return {"signal_id": signal_id, "at": now_ms, "name": name, "detail": detail}


def add_event(connection: Connection, signal_id: str, name: str, detail: object, now_ms: int) -> int:
    """Returns the event's number, which grows with time."""
    key = connection.execute(_ADD_EVENT, event_row(signal_id, name, detail, now_ms)).inserted_primary_key
    assert key is not None
    number: int = key[0]
    return number


def _rows_of(new: NewSignal, fitted: Judged | None, now_ms: int) -> tuple[tuple[Table, Rows], ...]:
    """All that is kept of a new alert but its identity. `fitted`: how it fits into its chain."""
    return (
        (_signals, [_signal(new, fitted.note if fitted else None, now_ms)]),
        (_events, [event_row(new.id, name, detail, now_ms) for name, detail in _events_of(new, fitted)]),
        (_assignments, [_assignment(new, account, now_ms) for account in sorted(new.accounts)]),
    )


def _signal(new: NewSignal, note: str | None, now_ms: int) -> dict[str, object]:
    return {
        "id": new.id,
        "strategy": new.strategy,
        "action": new.action,
        "ticker": new.ticker,
        "category": new.category,
        "symbol": new.symbol,
        "status": SignalStatus.ACCEPTED if new.accounts else SignalStatus.DONE,
        "generation": 0,
        "notes": [*new.notes, *([note] if note else [])],
        "received_at": now_ms,
        "sent_at": new.sent_at_ms,
        "finished_at": None if new.accounts else now_ms,
        "alert": dict(new.alert),
        "body_digest": new.digest,
    }


def _events_of(new: NewSignal, fitted: Judged | None) -> Iterator[tuple[str, object]]:
    """What is told of its coming, in this order."""
    yield SignalStatus.ACCEPTED, None
    yield from new.events
    if fitted and fitted.fit in chains.EVENTS:
        yield chains.EVENTS[fitted.fit], {"note": fitted.note}
    if not new.accounts:
        yield SignalStatus.DONE, None


def _linked(connection: Connection, new: NewSignal, now_ms: int) -> Judged | None:
    if new.link is None:
        return None
    lane = (new.category, new.symbol) if new.category and new.symbol else None
    return chains.extend(
        connection,
        new.link,
        strategy=new.strategy,
        lane=lane,
        ticker=new.ticker,
        signal_id=new.id,
        now_ms=now_ms,
    )


def _assignment(new: NewSignal, account: str, now_ms: int) -> dict[str, object]:
    return {
        "signal_id": new.id,
        "account": account,
        "category": new.category,
        "symbol": new.symbol,
        "generation": 0,
        "status": SignalStatus.ACCEPTED,
        "opened_at": now_ms,
    }


def reopen(connection: Connection, signal_id: str, *, now_ms: int, why: str) -> Reopened:
    """Opens the next generation, behind all that was accepted meanwhile; whether it may is the caller's affair."""
    generation: int = connection.execute(_STATUS, {"of_id": signal_id}).one().generation + 1
    place = add_event(connection, signal_id, "reopened", {"generation": generation, "why": why}, now_ms)
    opened = {"status": SignalStatus.ACCEPTED, "generation": generation, **reason_columns(None)}
    connection.execute(update(_signals).where(_signals.c.id == signal_id).values(**opened, finished_at=None))
    connection.execute(
        update(_assignments).where(_assignments.c.signal_id == signal_id).values(**opened, seq=place, opened_at=now_ms)
    )
    # Read here: once it is committed, a look that fails would leave the signal in no lane.
    opened_again = following.assignments_of(connection, signal_id)
    return Reopened(signal_id=signal_id, generation=generation, assignments=opened_again)


def undo_reopening(connection: Connection, signal_id: str, generation: int, now_ms: int) -> None:
    """The generation stays used up; the signal can be opened again."""
    closed = {"status": SignalStatus.FAILED, **reason_columns(_WITHDRAWN)}
    is_this = (_signals.c.id == signal_id) & (_signals.c.generation == generation)
    if connection.execute(update(_signals).where(is_this).values(**closed, finished_at=now_ms)).rowcount:
        connection.execute(update(_assignments).where(_assignments.c.signal_id == signal_id).values(**closed))
        add_event(connection, signal_id, "withdrawn", {"generation": generation}, now_ms)
