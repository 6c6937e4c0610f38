"""What the journal needs of a database: units of work that are durable once they return, and reads beside them."""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection

from relay.domain.instrument import Category
from relay.journal.trouble import as_unavailable

Lock = tuple[int, bool]
"""What the database knows it by, and whether it is shared."""


def lane_name(account: str, category: Category | None, symbol: str) -> str:
    """`category` None: of an alert whose instrument is not known yet, with the ticker for a symbol."""
    return f"{account}/{category.value if category else '?'}/{symbol}"


def locks_on(*names: str, lanes: Iterable[str] = (), shared: Iterable[str] = ()) -> tuple[Lock, ...]:
    """What is known by these names, and these lanes; always in the same order, so that two who want the same do not
    wait for each other. `shared`: not kept from those who want it shared, too."""
    alone = {*names, *(f"lane {name}" for name in lanes)}
    return tuple(sorted([*((_key(name), False) for name in alone), *((_key(name), True) for name in shared)]))


def lock_statement(locks: Iterable[Lock]) -> str:
    """A statement that takes these locks, in this order."""
    taken = (f"pg_advisory_xact_lock{'_shared' if is_shared else ''}({key:d})" for key, is_shared in locks)
    return f"SELECT {', '.join(taken)}"


def hold(connection: Connection, locks: Iterable[Lock]) -> None:
    connection.exec_driver_sql(lock_statement(locks))


def _key(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), signed=True)


T = TypeVar("T")
Work = Callable[[Connection], T]
Undo = Callable[[Connection, T], None]


class Store(Protocol):
    def submit(
        self,
        work: Work[T],
        *,
        holding: Sequence[Lock] = (),
        deadline_s: float = 2.0,
        on_withdrawn: Undo[T] | None = None,
        on_committed: Callable[[T], None] | None = None,
        is_urgent: bool = False,
    ) -> T:
        """Run `work` in a transaction and return once that is durable.

        `work` may be run more than once, of which one run counts. What it raises is raised here, and undone.
        JournalUnavailable: it did not become durable within `deadline_s` and takes no effect any more. Where the commit
        was under way by then: with `on_withdrawn` that undoes it before anything else is written, given what
        `work` returned; without, this waits on until the commit has come to its end.

        `holding`: the locks (`locks_on`) that are taken first, where several processes write.

        `on_committed` is given what `work` returned, once that is durable and stays so: in the order of the commits
        where there is one writer, and before anything else is written. It must be quick and may only read.
        `is_urgent`: it goes before all that waits, where not all of that is written together.
        """
        ...

    def post(self, work: Work[object], then: Callable[[Exception | None], None]) -> None:
        """Run `work` with the next transaction, without waiting for it; `then` receives the error, if any."""
        ...

    def read(self) -> AbstractContextManager[Connection]:
        """A connection that sees all that is durable and can change nothing. JournalUnavailable if there is none."""
        ...

    def probe(self) -> None:
        """JournalUnavailable if the journal cannot be written just now."""
        ...

    def close(self) -> None:
        """Finish what was submitted, then let go of the database."""
        ...


class JobStage(Enum):
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
    stage: JobStage = JobStage.QUEUED
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
        except Exception as raised:  # it is this caller's alone; the others must still be answered
            self.error = self.error or raised
        finally:
            self.ended.set()

    def _call_back(self) -> None:
        if self.on_committed is not None and self.error is None and self.stage is JobStage.DONE:
            self.on_committed(self.outcome)
        if self.then is not None:
            self.then(self.error)

    def result(self) -> Any:
        if self.error is not None:
            raise self.error
        return self.outcome
