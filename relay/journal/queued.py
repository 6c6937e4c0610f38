"""Accepting where several processes execute: the signal and the job that wakes one of them, in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from sqlalchemy import Connection

from relay.journal import retrying
from relay.journal.adding import Along
from relay.journal.admission import Admitting
from relay.journal.locks import hold, keys_of
from relay.journal.records import Admission, New, NewSignal, Reopened
from relay.journal.store import Store
from relay.journal.waiting_lanes import LaneKey


class Queue(Protocol):
    def defer(self, connection: Connection, lanes: Iterable[LaneKey]) -> None:
        """Have a job for each lane, within this transaction; one that waits already will do. Their locks are held."""

    def deferring(self, lanes: Iterable[LaneKey]) -> Along | None:
        """The same as a part of the statement that adds the signal. None: there is nothing to be done."""


def locks_of(new: NewSignal) -> tuple[int, ...]:
    """The alert's and its lanes': who has them is the next in line, and is committed before anybody else."""
    alert = f"alert {new.strategy} {new.identity.kind.value} {new.identity.key}"
    return keys_of(alert, lanes=[each.name for each in lanes_of(new)])


def admit(connection: Connection, admitting: Admitting, queue: Queue) -> Admission:
    """By whoever holds `locks_of` it."""
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


def reopen(connection: Connection, signal_id: str, now_ms: int, queue: Queue | None) -> Reopened:
    reopened = retrying.reopen_by_hand(connection, signal_id, now_ms)
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
    hold(connection, keys_of(lanes=[each.name for each in lanes]))
    queue.defer(connection, sorted(lanes, key=lambda lane: lane.name))


def lanes_of(new: NewSignal) -> list[LaneKey]:
    symbol = new.symbol if new.category else new.ticker
    return [LaneKey(account=each, category=new.category, symbol=symbol or "") for each in sorted(new.accounts)]


def defer(store: Store, queue: Queue, lanes: Sequence[LaneKey]) -> None:
    """Have somebody look at each of these lanes. Raises JournalUnavailable."""

    locks = keys_of(lanes=[each.name for each in lanes])
    store.submit(lambda connection: queue.defer(connection, lanes), holding=locks, deadline_s=10)
