"""A lane whose queue is the journal: taken by lease, worked through piece by piece, and given back when empty."""

from __future__ import annotations

import logging
from concurrent.futures import Future
from typing import Final, Protocol

from relay.engine.lanes import LaneTask
from relay.engine.lease_guard import Lease, LeaseLost, holding
from relay.errors import JournalUnavailable

log = logging.getLogger(__name__)

_JOURNAL_AGAIN_S: Final = 0.5
_DROPPED_MAX: Final = 10
"""How often a task that is dropped is told so, until it gives up."""


class Key(Protocol):
    """Which lane."""

    @property
    def name(self) -> str: ...


class Source(Protocol):
    """The work there is, for whoever comes and takes it."""

    def next(self, lane: Key, lease: Lease | None, *, keep: bool) -> tuple[Lease, LaneTask | None] | None:
        """The lane's next piece, by the right of `lease` or else of a new one.

        Returns None if another process has the lane, or it is empty and the lease is given back. No item: it is empty,
        and the lease is kept, as was asked. Raises LeaseLost.
        """


class Holdings:
    """The leases of this process, by name: to be renewed while they are in here."""

    def __init__(self) -> None:
        self._held: dict[str, Lease] = {}

    def add(self, lease: Lease) -> None:
        self._held[lease.name] = lease

    def remove(self, lease: Lease) -> None:
        if self._held.get(lease.name) is lease:
            del self._held[lease.name]

    def all(self) -> dict[str, Lease]:
        return dict(self._held)


class Draining:
    """A `LaneTask` of the embedded lanes: the whole lane in one. `ended` is set when it is over."""

    def __init__(self, lane: Key, source: Source, holdings: Holdings, last: LaneTask | None = None) -> None:
        """`last`: done when nothing else is left; dropped where another process has the lane."""
        self.ended: Future[None] = Future()
        self._lane = lane
        self._source = source
        self._holdings = holdings
        self._lease: Lease | None = None
        self._item: LaneTask | None = None
        self._last = last

    def step(self) -> float | None:
        try:
            return self._step()
        except LeaseLost:
            log.warning("lane %s: another process has it, and what was under way here is dropped", self._lane.name)
            self._end()
            return None

    def _step(self) -> float | None:
        if self._item is None and not self._take():
            self._end()
            return None
        if self._item is None:
            return _JOURNAL_AGAIN_S
        assert self._lease is not None
        with holding(self._lease):
            delay = self._item.step()
        return self._after(delay)

    def failed(self, error: Exception) -> float | None:
        if self._item is None or self._lease is None:
            return _JOURNAL_AGAIN_S
        try:
            with holding(self._lease):
                delay = self._item.failed(error)
        except LeaseLost:
            self._end()
            return None
        return self._after(delay)

    def _take(self) -> bool:
        """Returns False if nothing is left here for this process."""
        try:
            taken = self._source.next(self._lane, self._lease, keep=self._last is not None)
        except JournalUnavailable as error:
            log.error("lane %s waits for the journal: %s", self._lane.name, error)
            return True
        if taken is None:
            return False
        lease, self._item = taken
        if lease is not self._lease:
            self._lease = lease
            self._holdings.add(lease)
        if self._item is None:
            self._item, self._last = self._last, None
        return True

    def _after(self, delay: float | None) -> float | None:
        if delay is None:
            self._item = None
            return 0.0
        return delay

    def _end(self) -> None:
        if self._lease is not None:
            self._holdings.remove(self._lease)
        dropped, self._last = self._last, None
        for _ in range(_DROPPED_MAX):
            if dropped is None or dropped.failed(LeaseLost()) is None:
                break
        if not self.ended.done():
            self.ended.set_result(None)
