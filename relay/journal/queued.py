"""Accepting where several processes execute: the signal and the job that wakes one of them, in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from sqlalchemy import Connection

from relay.journal import retrying
from relay.journal.admission import Admitting
from relay.journal.locks import hold
from relay.journal.records import Admission, New, NewSignal, Reopened
from relay.journal.store import Store
from relay.journal.waiting_lanes import LaneKey


class Queue(Protocol):
    def defer(self, connection: Connection, lanes: Iterable[LaneKey]) -> None:
        """Have a job for each lane, within this transaction; one that waits already will do. Their locks are held."""


def admit(connection: Connection, admitting: Admitting, queue: Queue) -> Admission:
    """In the order of the lanes' locks: who has them is the next in line, and is committed before anybody else."""
    new = admitting.new
    alert = f"alert {new.strategy} {new.identity.kind.value} {new.identity.key}"
    lanes = lanes_of(new)
    hold(connection, alert, lanes=[each.name for each in lanes])
    admission = admitting.run(connection)
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
    hold(connection, lanes=[each.name for each in lanes])
    queue.defer(connection, sorted(lanes, key=lambda lane: lane.name))


def lanes_of(new: NewSignal) -> list[LaneKey]:
    symbol = new.symbol if new.category else new.ticker
    return [LaneKey(account=each, category=new.category, symbol=symbol or "") for each in sorted(new.accounts)]


def defer(store: Store, queue: Queue, lanes: Sequence[LaneKey]) -> None:
    """Have somebody look at each of these lanes. Raises JournalUnavailable."""

    def work(connection: Connection) -> None:
        hold(connection, lanes=[each.name for each in lanes])
        queue.defer(connection, lanes)

    store.submit(work, deadline_s=10)
