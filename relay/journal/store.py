"""What the journal needs of a database: units of work that are durable once they return, and reads beside them."""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Final, Protocol, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from relay.domain.instrument import Category
from relay.errors import JournalUnavailable
from relay.journal.statements import run_text

# What a database error means: whose fault it is, in a sentence that repeats neither an address nor a password.


WHERE: Final = "the journal in Postgres"

_BY_STATE: Final = {
    "28P01": "it refuses the password of DATABASE_URL",
    "28000": "it refuses the user of DATABASE_URL, or wants TLS (add ?sslmode=require)",
    "3D000": "it has no database of the name in DATABASE_URL",
    "53300": "it has no connection left; lower DATABASE_CONNECTIONS, or take a larger plan",
    "53100": "its disk is full",
    "25006": "it is read-only just now",
    "57P01": "it is being stopped",
    "57P02": "it has crashed",
    "57P03": "it is starting or stopping",
    "57014": "it did not answer in time",
    "25P03": "the relay stood still for too long within a transaction",
    "40001": "two processes wrote the same at the same time",
    "40P01": "two processes wrote the same at the same time",
    "42501": "its user may not do that; the relay needs to own its tables",
}
"""Source: PostgreSQL's documentation, "Appendix A. PostgreSQL Error Codes"."""
_BY_WORDS: Final = (
    ("password authentication failed", _BY_STATE["28P01"]),
    ("no password supplied", "it wants a password, and DATABASE_URL has none"),
    ("no pg_hba.conf entry", _BY_STATE["28000"]),
    ("does not exist", "it has no database or no user of the name in DATABASE_URL"),
    ("remaining connection slots", _BY_STATE["53300"]),
    ("too many clients", _BY_STATE["53300"]),
    ("too many connections", _BY_STATE["53300"]),
    ("starting up", _BY_STATE["57P03"]),
    ("shutting down", _BY_STATE["57P03"]),
    ("resolve host", "the host of DATABASE_URL has no address"),
    ("Name or service not known", "the host of DATABASE_URL has no address"),
    ("Connection refused", "nothing listens at the host and port of DATABASE_URL"),
    ("No such file", "nothing listens at the socket of DATABASE_URL"),
    ("timeout expired", "the host of DATABASE_URL does not answer"),
    ("invalid", "DATABASE_URL has an option that Postgres does not know"),
)
"""A connection that never came about has no code, only libpq's words."""
_PASSING: Final = ("57P", "53300", "40001", "40P01", "08", "25P03", "25006")
_LASTING: Final = (_BY_STATE["28P01"], _BY_STATE["28000"])


def sentence_of(error: BaseException) -> str | None:
    """What is wrong with the database; None where it is the fault of the statement."""
    if isinstance(error, PoolTimeout):
        return "all its connections are taken"
    if not isinstance(error, DBAPIError):
        return None
    state = _state(error)
    if state is not None:
        known = _BY_STATE.get(state)
        return known or ("the connection was lost" if state[:2] in ("08", "57") else None)
    words = str(error.orig)
    found = next((sentence for part, sentence in _BY_WORDS if part in words), None)
    if found is not None and _is_operational(error):
        return found
    return "it cannot be reached" if error.connection_invalidated or _is_operational(error) else None


def postgres_unavailable(error: BaseException) -> JournalUnavailable | None:
    if isinstance(error, JournalUnavailable):
        return error
    why = sentence_of(error)
    return None if why is None else JournalUnavailable(f"{WHERE} cannot be used: {why}")


def is_passing(error: BaseException) -> bool:
    """The same may succeed a moment later, on another connection."""
    if isinstance(error, PoolTimeout):
        return True
    if not isinstance(error, DBAPIError):
        return False
    state = _state(error)
    if state is not None:
        return state.startswith(_PASSING)
    why = sentence_of(error)
    return why is not None and why not in _LASTING


def _state(error: DBAPIError) -> str | None:
    state = getattr(error.orig, "sqlstate", None)
    return state if isinstance(state, str) else None


def _is_operational(error: DBAPIError) -> bool:
    return type(error.orig).__name__ in ("OperationalError", "ConnectionTimeout", "InterfaceError")


_SENTENCES = {
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_IOERR: "reading or writing the disk failed",
    sqlite3.SQLITE_READONLY: "the file or its directory is read-only",
    sqlite3.SQLITE_PERM: "the file or its directory may not be written by this user",
    sqlite3.SQLITE_CANTOPEN: "the file cannot be opened or created; is its directory there, and writable?",
    sqlite3.SQLITE_CORRUPT: "the file is damaged; restore it from a backup",
    sqlite3.SQLITE_NOTADB: "the file is not a journal of the relay, or is damaged",
    sqlite3.SQLITE_BUSY: "another program keeps it locked",
    sqlite3.SQLITE_LOCKED: "another program keeps it locked",
    sqlite3.SQLITE_PROTOCOL: "another program keeps it locked",
    sqlite3.SQLITE_NOMEM: "the machine has no memory left",
}


def sqlite_code(error: BaseException) -> int | None:
    """SQLite's primary result code behind `error`, if there is one."""
    original = error.orig if isinstance(error, DBAPIError) else error
    code = getattr(original, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def is_busy(error: BaseException) -> bool:
    """Somebody else has the lock; trying again may help."""
    return sqlite_code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)


def is_io_error(error: BaseException) -> bool:
    """After this a commit may have taken effect or not."""
    return sqlite_code(error) == sqlite3.SQLITE_IOERR


def sqlite_unavailable(error: BaseException, where: str) -> JournalUnavailable | None:
    """The journal's trouble in words, or None where the error is the fault of the statement."""
    if isinstance(error, JournalUnavailable):
        return error
    code = sqlite_code(error)
    if code in _SENTENCES:
        return JournalUnavailable(f"the journal {where} cannot be used: {_SENTENCES[code]}")
    return None if code is not None else postgres_unavailable(error)


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
    run_text(connection, lock_statement(locks))


def _key(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(errors="surrogatepass"), digest_size=8).digest(), signed=True)


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
    ended: threading.Lock = field(default_factory=threading.Lock)
    """Held until the job has ended: whoever waits for it acquires it. It costs a quarter of what an `Event` does."""

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
            if self.ended.locked():
                self.ended.release()

    def _call_back(self) -> None:
        if self.on_committed is not None and self.error is None and self.stage is JobStage.DONE:
            self.on_committed(self.outcome)
        if self.then is not None:
            self.then(self.error)

    def result(self) -> Any:
        if self.error is not None:
            raise self.error
        return self.outcome
