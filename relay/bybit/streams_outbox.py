"""What the keeper of a shared stream has to tell the other processes, until it is written on the board."""

from __future__ import annotations

import threading
from collections import deque
from typing import Final

from relay.bybit.stream import Message
from relay.domain.shared_stream import Fact, StreamStanding

_BEHIND_MAX: Final = 10_000
"""More facts than this wait to be written: they are dropped, and the others read everything anew."""


class Outbox:
    """What the keeper has to tell: facts in order, and how the stream stands. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._standing = StreamStanding()
        self._facts: deque[Fact] = deque()
        self._seq = 0

    def add(self, message: Message) -> None:
        with self._lock:
            self._seq += 1
            self._facts.append(Fact(seq=self._seq, message=message))
            if len(self._facts) > _BEHIND_MAX:
                self._facts.clear()

    def stands(self, *, is_live: bool, problem: str) -> None:
        with self._lock:
            generation = self._standing.generation + (1 if is_live else 0)
            self._standing = StreamStanding(generation=generation, is_live=is_live, problem=problem)

    def next(self) -> tuple[StreamStanding, list[Fact], int]:
        """How it stands, the facts that are not written yet, and the number of the last there ever was."""
        with self._lock:
            return self._standing, list(self._facts), self._seq

    def written(self, facts: list[Fact]) -> None:
        with self._lock:
            while facts and self._facts and self._facts[0].seq <= facts[-1].seq:
                self._facts.popleft()

    def has_more(self, standing: StreamStanding) -> bool:
        with self._lock:
            return bool(self._facts) or self._standing != standing
