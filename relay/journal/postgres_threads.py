"""A few daemon threads that do what is put before them, in order: a database that hangs stops them and nobody else."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Final

from relay.errors import JournalUnavailable

_CLOSE_S: Final = 5.0


class Threads:
    """They start with the first task. `lock` is for what tasks and their callers share."""

    def __init__(self, *, count: int) -> None:
        self.lock = threading.Lock()
        self._count = count
        self._tasks: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._closed = False

    def put(self, task: Callable[[], None]) -> None:
        """JournalUnavailable once closed."""
        with self.lock:
            if self._closed:
                raise JournalUnavailable("the journal in Postgres is closed")
            if self._idle <= self._tasks.qsize() and len(self._threads) < self._count:
                thread = threading.Thread(target=self._run, name="journal", daemon=True)
                self._threads.append(thread)
                thread.start()
        self._tasks.put(task)

    def close(self) -> None:
        """What was put is still done, in so far as that succeeds at once."""
        with self.lock:
            self._closed = True
            threads = list(self._threads)
        for _ in threads:
            self._tasks.put(None)
        for thread in threads:
            thread.join(_CLOSE_S)

    def _run(self) -> None:
        while True:
            with self.lock:
                self._idle += 1
            task = self._tasks.get()
            with self.lock:
                self._idle -= 1
            if task is None:
                return
            task()
