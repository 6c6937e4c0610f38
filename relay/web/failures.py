"""How often somebody has failed to prove who they are."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable


class FailureLimit:
    """Thread-safe, in memory, and bounded: of many sources the one that failed first is forgotten first."""

    def __init__(
        self,
        *,
        most: int = 20,
        window_s: float = 60.0,
        sources_max: int = 4096,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`most` failures of one source within `window_s` after its first one are answered as such."""
        self._most = most
        self._window_s = window_s
        self._sources_max = sources_max
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._failures: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def failed(self, source: str) -> float | None:
        """Counts a failure. None: one more like others. Else it is one too many, and in how many seconds it is not."""
        now = self._monotonic()
        with self._lock:
            since, count = self._failures.get(source, (now, 0))
            if now - since >= self._window_s:
                del self._failures[source]
                since, count = now, 0
            self._failures[source] = (since, count + 1)
            if len(self._failures) > self._sources_max:
                self._failures.popitem(last=False)
        return since + self._window_s - now if count >= self._most else None

    def blocked_s(self, source: str) -> float | None:
        """In how many seconds the source may try again; None: now. Counts nothing."""
        now = self._monotonic()
        with self._lock:
            since, count = self._failures.get(source, (now, 0))
        left_s = since + self._window_s - now
        return left_s if count >= self._most and left_s > 0 else None

    def forget(self) -> None:
        """Everybody starts anew."""
        with self._lock:
            self._failures.clear()
