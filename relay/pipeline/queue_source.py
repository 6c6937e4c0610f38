"""The work of many processes: which lanes have any, and the next piece of one, both from the journal."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from typing import Protocol

from relay.domain.instrument import Category, Instrument
from relay.domain.signal import Signal
from relay.engine.draining import Key
from relay.engine.engine import Item
from relay.fence import Lease
from relay.journal.journal import Journal
from relay.journal.queued import defer
from relay.journal.records import Admission, Assignment, Reopened
from relay.journal.waiting_lanes import LaneKey, WaitingLanes
from relay.pipeline.items import Items

log = logging.getLogger(__name__)


class QueueSource:
    """What the engine of many processes asks for work. Thread-safe."""

    def __init__(self, *, journal: Journal, waiting: WaitingLanes, items: Items, accounts: Collection[str]) -> None:
        self._journal = journal
        self._waiting = waiting
        self._items = items
        self._accounts = accounts

    def lane(self, account: str, category: str | None, symbol: str) -> LaneKey:
        return LaneKey(account=account, category=Category(category) if category else None, symbol=symbol)

    def next(self, lane: Key, lease: Lease | None, *, keep: bool) -> tuple[Lease, Item | None] | None:
        """What has no name yet is given it first, so that no later alert of the same instrument goes before it."""
        assert isinstance(lane, LaneKey), "`lane` made it"
        if lane.account not in self._accounts:
            return None
        if lane.category is None:
            self._give_names(lane.account)
        turn = self._waiting.next(lane, lease, keep=keep)
        if turn is not None and turn.assignment is not None and turn.assignment.signal.category is not lane.category:
            self._give_names(lane.account)
            turn = self._waiting.next(lane, turn.lease, keep=keep, past_nameless=True)
        if turn is None:
            return None
        if turn.assignment is None:
            return turn.lease, None
        placed = self._items.of_kept(turn.assignment)
        assert placed is not None, "it is of a known account, and not finished"
        return turn.lease, placed[1]

    def sweep(self) -> float | None:
        free, ends_in_ms = self._waiting.unattended(self._accounts)
        if free:
            self._defer(free)
        return None if ends_in_ms is None else ends_in_ms / 1000

    def _defer(self, lanes: Sequence[LaneKey]) -> None:
        queue = self._journal.queue
        assert queue is not None, "several processes share the work by a queue"
        defer(self._journal.store, queue, lanes)

    def _give_names(self, account: str) -> None:
        for nameless in self._waiting.nameless(account):
            self._name(nameless)

    def _name(self, nameless: Assignment) -> None:
        """A ticker that means nothing stays nameless: its own lane says so."""
        record = nameless.signal
        kept = record.alert.get("exchange")
        meant = self._items.meaning_of(record.ticker, kept if isinstance(kept, str) else None, nameless.account)
        if isinstance(meant, Instrument):
            self._journal.resolve(record.id, meant.category, meant.symbol)
            key = LaneKey(account=nameless.account, category=meant.category, symbol=meant.symbol)
            self._defer([key])


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
