"""What other processes did in a lane is caught up with when this one takes it: then a position that the stream told is
believed only if it holds all of that."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from typing import Final, Protocol

from relay.domain.instrument import Category
from relay.domain.position import Moved
from relay.journal.moves import Moves
from relay.pipeline.clock import Now, to_ms, utc_now

_OVERLAP_MS: Final = 60_000
"""Of what was caught up with last, since the clocks of two machines and the order of two commits may differ."""


class SharedStream(Protocol):
    def catch_up(self, category: Category, symbol: str, orders: Iterable[Moved]) -> None:
        """See StreamedExchange."""


class CatchingUp:
    """Thread-safe."""

    def __init__(self, *, moves: Moves, streams: Mapping[str, SharedStream], now: Now = utc_now) -> None:
        """`streams`: of the accounts that have one, before any of them is opened."""
        self._moves = moves
        self._streams = streams
        self._now = now
        self._begun_ms = to_ms(now())
        self._lock = threading.Lock()
        self._until_ms: dict[tuple[str, Category, str], int] = {}

    def lane_taken(self, account: str, category: Category, symbol: str) -> None:
        """Before anything is done in it. Raises JournalUnavailable."""
        stream = self._streams.get(account)
        if stream is None:
            return
        lane, now_ms = (account, category, symbol), to_ms(self._now())
        with self._lock:
            since_ms = self._until_ms.get(lane, self._begun_ms) - _OVERLAP_MS
        stream.catch_up(category, symbol, self._moves.since(account, category, symbol, since_ms))
        with self._lock:
            self._until_ms[lane] = now_ms
