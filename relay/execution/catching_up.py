"""What other processes did in a lane is caught up with when this one takes it: then a position that the stream
reported is used only if it contains all of that."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import Final, Protocol

from relay.domain.instrument import Category
from relay.domain.position import Moved
from relay.execution.ports import Now, to_ms, utc_now

_OVERLAP_MS: Final = 60_000
"""Of what was caught up with last, since the clocks of two machines and the order of two commits may differ."""


_Lane = tuple[str, Category, str]


class Moving(Protocol):
    """See `journal.positions.FillQueries`."""

    def since(self, account: str, category: Category, symbol: str, since_ms: int) -> tuple[Moved, ...]: ...


class SharedStream(Protocol):
    def catch_up(self, category: Category, symbol: str, orders: Iterable[Moved]) -> None:
        """See StreamedExchange."""


class CatchingUp:
    """Thread-safe."""

    def __init__(self, *, moves: Moving, streams: Mapping[str, SharedStream], now: Now = utc_now) -> None:
        """`streams`: of the accounts that have one, before any of them is opened."""
        self._moves = moves
        self._streams = streams
        self._now = now
        self._begun_ms = to_ms(now())
        self._lock = threading.Lock()
        self._until_ms: dict[_Lane, int] = {}
        self._settled: dict[_Lane, int] = {}
        """Lanes that this process had last, as far as it knows, at which epoch, and with nothing of another's open."""

    def lane_taken(self, account: str, category: Category, symbol: str, epoch: int) -> None:
        """Before anything is done in it. Raises JournalUnavailable.

        `epoch`: of the lane's lease, which counts the times that it was taken, by whomever: where it was this process
        that took it the time before, nobody else has been there.
        """
        stream = self._streams.get(account)
        if stream is None:
            return
        lane, now_ms = (account, category, symbol), to_ms(self._now())
        with self._lock:
            if self._settled.pop(lane, None) == epoch - 1:
                self._settled[lane] = epoch
                return
            since_ms = self._until_ms.get(lane, self._begun_ms) - _OVERLAP_MS
        orders = self._moves.since(account, category, symbol, since_ms)
        stream.catch_up(category, symbol, orders)
        with self._lock:
            self._until_ms[lane] = now_ms
            if all(each.is_settled for each in orders):
                self._settled[lane] = epoch
