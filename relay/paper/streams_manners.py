"""How the streams misbehave when told to: events held back, lost, told twice or out of order; see `control`."""

from __future__ import annotations

import heapq
import itertools
import random
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Manners:
    """`delay_ms` holds each event back, `jitter_ms` by up to so much more, so that later ones overtake.

    `drop` and `duplicate`: the shares of events that are lost, or told twice. `topics`: which ones; empty means all.
    """

    delay_ms: int = 0
    jitter_ms: int = 0
    drop: float = 0.0
    duplicate: float = 0.0
    topics: frozenset[str] = frozenset()
    refuse_auth: bool = False
    refuse: bool = False
    seed: int = 0
    chance: random.Random = field(default_factory=random.Random, compare=False)

    def delays_s(self, topic: str) -> list[float]:
        """When each copy of an event leaves; none: it is lost; zero: at once, before the action is answered."""
        if self.topics and topic.partition(".")[0] not in self.topics:
            return [0.0]
        if self.chance.random() < self.drop:
            return []
        copies = 2 if self.chance.random() < self.duplicate else 1
        return [(self.delay_ms + self.chance.random() * self.jitter_ms) / 1000 for _ in range(copies)]


class Courier:
    """Delivers later, in one thread that starts with the first late message."""

    def __init__(self) -> None:
        self._waiting: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def send(self, send: Callable[[], None], delays_s: Iterable[float]) -> None:
        """Calls `send` for each delay; without one right here."""
        for delay_s in delays_s:
            if delay_s <= 0:
                send()
            else:
                self._later(send, delay_s)

    def _later(self, send: Callable[[], None], delay_s: float) -> None:
        with self._changed:
            heapq.heappush(self._waiting, (time.monotonic() + delay_s, next(self._order), send))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="paper-courier", daemon=True)
                self._thread.start()
            self._changed.notify()

    def _run(self) -> None:
        while True:
            self._next()()

    def _next(self) -> Callable[[], None]:
        with self._changed:
            while True:
                left_s = self._waiting[0][0] - time.monotonic() if self._waiting else None
                if left_s is not None and left_s <= 0:
                    return heapq.heappop(self._waiting)[2]
                self._changed.wait(left_s)
