"""Accepting where several processes execute: the signal and the job that wakes one of them, in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from sqlalchemy import Connection, select

from relay.domain.instrument import Category
from relay.journal.accept import Admitting, reopen_by_hand
from relay.journal.records import Admission, New, NewSignal, Reopened, SignalRecord
from relay.journal.statements import Along
from relay.journal.store import Lock, Store, hold, locks_on
from relay.journal.tables import assignments, events
from relay.journal.unit_of_work import UnitOfWork
from relay.journal.waiting_lanes import LaneKey


class Queue(Protocol):
    def defer(self, connection: Connection, lanes: Iterable[LaneKey]) -> None:
        """Have a job for each lane, within this transaction; one that waits already will do. Their locks are held."""

    def deferring(self, lanes: Iterable[LaneKey]) -> Along | None:
        """The same as a part of the statement that adds the signal. Returns None if there is nothing to be done."""


def locks_of(new: NewSignal) -> tuple[Lock, ...]:
    """The alert's and its lanes': who has them is the next in line, and is committed before anybody else.

    An alert whose instrument is not known may belong to any lane of its accounts: nobody else accepts for them then.
    """
    lanes = [each.name for each in lanes_of(new)]
    accounts = [f"account {each}" for each in new.accounts]
    if new.category is None:
        return locks_on(_alert_name(new), *accounts, lanes=lanes)
    return locks_on(_alert_name(new), lanes=lanes, shared=accounts)


def admit(connection: Connection, admitting: Admitting, queue: Queue) -> Admission:
    """For a caller that holds `locks_of` the signal."""
    lanes = lanes_of(admitting.new)
    if (new := admitting.try_as_new(connection, along=queue.deferring(lanes))) is not None:
        return new
    admission = admitting.compare(connection)
    match admission:
        case New():
            queue.defer(connection, lanes)
        case Reopened():
            _defer_again(connection, admission, queue)
    return admission


def take_back(admitting: Admitting, connection: Connection, admission: Admission) -> None:
    """As if it had never come; unless its resend, which another process may have had, was told that it is there."""
    hold(connection, locks_on(_alert_name(admitting.new)))
    if isinstance(admission, New | Reopened) and not _is_vouched_for(connection, admission.signal_id):
        admitting.undo(connection, admission)


def _alert_name(new: NewSignal) -> str:
    return f"alert {new.strategy} {new.identity.kind.value} {new.identity.key}"


def _is_vouched_for(connection: Connection, signal_id: str) -> bool:
    """Since it was opened last."""
    of_signal = select(events.c.name).where(events.c.signal_id == signal_id)
    reported = of_signal.where(events.c.name.in_(("accepted", "reopened", "duplicate"))).order_by(events.c.id.desc())
    return connection.execute(reported.limit(1)).scalar() == "duplicate"


def reopen(connection: Connection, signal_id: str, now_ms: int, queue: Queue | None) -> Reopened:
    reopened = reopen_by_hand(connection, signal_id, now_ms)
    if queue is not None:
        _defer_again(connection, reopened, queue)
    return reopened


def _defer_again(connection: Connection, reopened: Reopened, queue: Queue) -> None:
    lanes = {
        LaneKey(
            account=each.account,
            category=each.signal.category,
            symbol=(each.signal.symbol if each.signal.category else each.signal.ticker) or "",
        )
        for each in reopened.assignments
    }
    hold(connection, locks_on(lanes=[each.name for each in lanes]))
    queue.defer(connection, sorted(lanes, key=lambda lane: lane.name))


def lanes_of(new: NewSignal) -> list[LaneKey]:
    symbol = new.symbol if new.category else new.ticker
    return [LaneKey(account=each, category=new.category, symbol=symbol or "") for each in sorted(new.accounts)]


def name(store: Store, queue: Queue, unresolved: SignalRecord, category: Category, symbol: str) -> None:
    """Tell a signal's instrument. Raises JournalUnavailable.

    The locks of its lanes with and without the name are held: whoever looks at one of them finds it either there or
    still unresolved.
    """

    def work(connection: Connection) -> None:
        of_signal = select(assignments.c.account).where(assignments.c.signal_id == unresolved.id)
        accounts = sorted(connection.scalars(of_signal))
        lanes = [LaneKey(account=each, category=category, symbol=symbol) for each in accounts]
        left = [LaneKey(account=each, category=None, symbol=unresolved.ticker or "") for each in accounts]
        hold(connection, locks_on(lanes=[each.name for each in (*lanes, *left)]))
        UnitOfWork(connection).signals.resolve(unresolved.id, category, symbol)
        queue.defer(connection, lanes)

    store.submit(work, deadline_s=10)


def defer(store: Store, queue: Queue, lanes: Sequence[LaneKey]) -> None:
    """Have somebody look at each of these lanes. Raises JournalUnavailable."""

    locks = locks_on(lanes=[each.name for each in lanes])
    store.submit(lambda connection: queue.defer(connection, lanes), holding=locks, deadline_s=10)
