"""A few daemon threads that do what is put before them, in order: a database that hangs stops them and nobody else."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Final

from relay.errors import JournalUnavailable

_CLOSE_S: Final = 5.0


class Threads:
    """They start with the first task. `lock` is for what tasks and their callers share."""

    def __init__(self, *, count: int) -> None:
        self.lock = threading.Lock()
        self._count = count
        self._changed = threading.Condition(self.lock)
        self._tasks: deque[Callable[[], None]] = deque()
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._closed = False

    def put(self, task: Callable[[], None], *, first: bool = False) -> None:
        """`first`: before all that waits. JournalUnavailable once closed."""
        with self.lock:
            if self._closed:
                raise JournalUnavailable("the journal in Postgres is closed")
            if first:
                self._tasks.appendleft(task)
            else:
                self._tasks.append(task)
            if self._idle < len(self._tasks) and len(self._threads) < self._count:
                thread = threading.Thread(target=self._run, name="journal", daemon=True)
                self._threads.append(thread)
                thread.start()
            self._changed.notify()

    def close(self) -> None:
        """What was put is still done, in so far as that succeeds at once."""
        with self.lock:
            self._closed = True
            self._changed.notify_all()
            threads = list(self._threads)
        for thread in threads:
            thread.join(_CLOSE_S)

    def _run(self) -> None:
        while (task := self._next()) is not None:
            task()

    def _next(self) -> Callable[[], None] | None:
        with self.lock:
            self._idle += 1
            self._changed.wait_for(lambda: self._tasks or self._closed)
            self._idle -= 1
            return self._tasks.popleft() if self._tasks else None
