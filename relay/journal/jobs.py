"""Work on its way to the writer, and the one rule about withdrawing it: what a caller was told stays true."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from sqlalchemy import Connection

from relay.journal.store import Undo, Work
from relay.journal.trouble import as_unavailable


class Stage(Enum):
    QUEUED = auto()
    """Withdrawing it drops it from the queue."""
    RUNNING = auto()
    """Withdrawing it rolls the transaction back; the others run again without it."""
    COMMITTING = auto()
    """Too late to prevent; withdrawing it means undoing it."""
    DONE = auto()
    WITHDRAWN = auto()


class Ending:
    """Something that one thread brings about and one other waits for: a lock, a quarter of what `Event` costs."""

    __slots__ = ("_before",)

    def __init__(self) -> None:
        self._before = threading.Lock()
        self._before.acquire()

    def set(self) -> None:
        if self._before.locked():
            self._before.release()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Whether it has come to that in time. None: waits for as long as it takes."""
        if not self._before.acquire(timeout=-1 if timeout_s is None else max(0.0, timeout_s)):
            return False
        self._before.release()
        return True


@dataclass(slots=True, eq=False)
class Job:
    """One unit of work. `stage` changes under the writer's lock only; the rest is the writer thread's until done."""

    work: Work[Any]
    on_withdrawn: Undo[Any] | None = None
    then: Callable[[Exception | None], None] | None = None
    """Called by the writer thread at the end, with what went wrong."""
    on_committed: Callable[[Any], None] | None = None
    """Called by the writer thread in the order of the commits, and only if it stays committed."""
    stage: Stage = Stage.QUEUED
    outcome: Any = None
    error: Exception | None = None
    ended: Ending = field(default_factory=Ending)

    def run(self, connection: Connection) -> None:
        """In a savepoint: what the work raises is its own caller's affair, unless it is the journal's trouble."""
        self.outcome, self.error = None, None
        # By the driver itself: SQLAlchemy's savepoints cost as much as the work in them.
        driver = connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection), "the writer is SQLite's"
        driver.execute("SAVEPOINT work").close()
        try:
            self.outcome = self.work(connection)
        except Exception as error:
            if as_unavailable(error, "") is not None:
                # SQLite may have rolled back everything by itself: there is no going on in this transaction.
                raise
            driver.execute("ROLLBACK TO work").close()
            self.error = error
        driver.execute("RELEASE work").close()

    def undo(self, connection: Connection) -> None:
        assert self.on_withdrawn is not None
        self.on_withdrawn(connection, self.outcome)

    def end(self, error: Exception | None = None) -> None:
        """The caller may go on. `error` takes the place of what the work came to. The stage is settled by then."""
        self.error = error or self.error
        try:
            self._call_back()
        except Exception as raised:  # it is this caller's alone; the others must still be told
            self.error = self.error or raised
        finally:
            self.ended.set()

    def _call_back(self) -> None:
        if self.on_committed is not None and self.error is None and self.stage is Stage.DONE:
            self.on_committed(self.outcome)
        if self.then is not None:
            self.then(self.error)

    def result(self) -> Any:
        if self.error is not None:
            raise self.error
        return self.outcome
