"""The work of many processes: which lanes have any, and the next piece of one, both from the journal."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from typing import Protocol

from relay.domain.instrument import Category, Instrument
from relay.domain.signal import Signal
from relay.engine.draining import Key
from relay.engine.lanes import LaneTask
from relay.engine.lease_guard import Lease
from relay.execution.tasks import Tasks
from relay.journal.journal import Journal
from relay.journal.queued import Queue, defer, name
from relay.journal.records import Admission, ExecutionRecord, Reopened
from relay.journal.waiting_lanes import LaneKey, Turn, WaitingLanes

log = logging.getLogger(__name__)

LaneTaken = Callable[[str, Category, str, int], None]
"""Account, category, symbol, and the epoch of the lane's lease. May raise JournalUnavailable."""


class QueueSource:
    """What the engine of many processes asks for work. Thread-safe."""

    def __init__(
        self,
        *,
        journal: Journal,
        waiting: WaitingLanes,
        items: Tasks,
        accounts: Collection[str],
        lane_taken: LaneTaken = lambda account, category, symbol, epoch: None,
    ) -> None:
        """`lane_taken`: called before this process does anything in a lane that another may have had meanwhile."""
        self._journal = journal
        self._waiting = waiting
        self._items = items
        self._accounts = accounts
        self._lane_taken = lane_taken

    def lane(self, account: str, category: str | None, symbol: str) -> LaneKey:
        return LaneKey(account=account, category=Category(category) if category else None, symbol=symbol)

    def next(self, lane: Key, lease: Lease | None, *, keep: bool) -> tuple[Lease, LaneTask | None] | None:
        """What has no name yet is given it first, so that no later alert of the same instrument goes before it, and
        it itself not beside its instrument's lane."""
        assert isinstance(lane, LaneKey), "`lane` made it"
        if lane.account not in self._accounts:
            return None
        held, past = lease, None
        while (turn := self._waiting.next(lane, held, keep=keep, unresolved_until=past)) is not None:
            held = turn.lease
            if turn.execution is not None and turn.execution.signal.category is None:
                unresolved = self._waiting.unresolved(lane.account)
                named = [self._name(each) for each in unresolved]
                if any(named):
                    continue
                if lane.category is not None:
                    past = max((each.seq for each in unresolved), default=turn.execution.seq)
                    continue
            if held is not lease and lane.category is not None:
                self._lane_taken(lane.account, lane.category, lane.symbol, held.epoch)
            return self._taken(turn)
        return None

    def _taken(self, turn: Turn) -> tuple[Lease, LaneTask | None]:
        if turn.execution is None:
            return turn.lease, None
        placed = self._items.of_stored(turn.execution)
        assert placed is not None, "it is of a known account, and not finished"
        return turn.lease, placed[1]

    def sweep(self) -> float | None:
        free, ends_in_ms = self._waiting.unattended(self._accounts)
        if free:
            defer(self._journal.store, self._queue, free)
        return None if ends_in_ms is None else ends_in_ms / 1000

    @property
    def _queue(self) -> Queue:
        assert self._journal.queue is not None, "several processes share the work by a queue"
        return self._journal.queue

    def _name(self, unresolved: ExecutionRecord) -> bool:
        """Returns False if its ticker means no instrument. It stays unresolved, and its own lane says so."""
        record = unresolved.signal
        stored = record.alert.get("exchange")
        meant = self._items.meaning_of(record.ticker, stored if isinstance(stored, str) else None, unresolved.account)
        if not isinstance(meant, Instrument):
            return False
        name(self._journal.store, self._queue, record, meant.category, meant.symbol)
        return True


class Executing(Protocol):
    @property
    def is_running(self) -> bool: ...


class QueueRunner:
    """A `Feeder` that has nothing to feed: the job was deferred with the signal."""

    def __init__(self, engine: Executing) -> None:
        self._engine = engine

    @property
    def is_open(self) -> bool:
        return self._engine.is_running

    def admitted(self, admission: Admission, signal: Signal, accounts: tuple[str, ...]) -> None:
        """Its lane hears of it from the database."""

    def opened_again(self, reopened: Reopened) -> None:
        """Its lane hears of it from the database."""
