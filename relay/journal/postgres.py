"""The store on Postgres: each unit of work is a transaction of its own, on a few connections.

A deadline is kept here and not by the database, which may be frozen or unreachable: callers wait, daemon threads work.
"""

from __future__ import annotations

import logging
import select
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, DisconnectionError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from relay.engine import lease_guard
from relay.engine.lease_guard import AccountLease, LeaseLost
from relay.errors import JournalUnavailable, SettingsInvalid
from relay.journal.ownership import owning
from relay.journal.statements import commit, pipelined, roll_back, run_text, wait_for_each
from relay.journal.store import (
    WHERE,
    Job,
    JobStage,
    Lock,
    T,
    Undo,
    Work,
    is_passing,
    lock_statement,
    postgres_unavailable,
)

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


log = logging.getLogger(__name__)

_READ_S: Final = 5.0
_IDLE_MS: Final = 2000
"""A process that is frozen within a transaction keeps its locks no longer than this."""
_SESSION_SETTINGS: Final = "; ".join(
    f"SET {name} = {value}"
    for name, value in (
        ("synchronous_commit", "on"),
        ("default_transaction_isolation", "'read committed'"),
        ("statement_timeout", int(_READ_S * 1000)),
        ("lock_timeout", 0),
        ("idle_in_transaction_session_timeout", _IDLE_MS),
    )
)
_SESSION: Final = text("SELECT pg_backend_pid()")
_POOLED: Final = (
    "DATABASE_URL: there is a pooler that gives a session away after each transaction; it should be the database's own "
    "address, or the pooler's that keeps a session for each connection"
)
_AGAIN_S: Final = 0.05
_COLLISIONS_MAX: Final = 3
_UNDO_S: Final = 30.0


def postgres_engine(url: URL, *, connections: int = 4, begins: bool = True) -> Engine:
    """At most so many connections. `url` may begin with `postgres://`, which hosts hand out.

    `begins`: each first statement begins a transaction; else whoever wants one says BEGIN.
    """
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        isolation_level=None if begins else "AUTOCOMMIT",
        pool_size=connections,
        max_overflow=0,
        pool_timeout=1.5,
        pool_use_lifo=True,
        connect_args={
            "connect_timeout": 2,
            "application_name": "relay",
            # A host that has vanished is noticed in seconds, not in the system's fifteen minutes.
            "keepalives_idle": 5,
            "keepalives_interval": 2,
            "keepalives_count": 2,
            "tcp_user_timeout": 5000,
        },
    )
    if not begins:
        event.listen(engine, "connect", _begin_session)
        event.listen(engine, "checkout", _require_open)
        wait_for_each(engine)
    return engine


def _begin_session(connection: Any, record: object) -> None:
    """Whatever the database has for its own: what is answered as stored has to outlive a crash, whoever waited for a
    lock has to see what was committed meanwhile, and a process that is frozen keeps its locks for seconds only."""
    connection.autocommit = True
    connection.execute(_SESSION_SETTINGS).close()


def _require_open(connection: Any, record: object, proxy: object) -> None:
    """A pooled connection at which something waits to be read was ended by the server: another takes its place."""
    waiting = select.poll()
    waiting.register(connection.fileno(), select.POLLIN)
    if waiting.poll(0):
        raise DisconnectionError("the server has ended it")


class PostgresStore:
    """A `Store`. Several processes write: what must not cross is guarded by row locks and unique constraints."""

    def __init__(self, engine: Engine, *, connections: int = 4) -> None:
        self.engine = engine
        self._threads = Threads(count=max(1, connections - 1))
        """One connection fewer than there are, so that a burst of alerts leaves one to read with."""
        self._is_closed = False

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
        lease = lease_guard.held()
        job = Job(work, on_withdrawn, on_committed=on_committed)
        job.ended.acquire()
        deadline = time.monotonic() + deadline_s
        self._threads.put(lambda: self._run(job, deadline, holding, lease), first=is_urgent)
        if not job.ended.acquire(timeout=max(0.0, deadline_s)):
            self._withdraw(job, deadline_s)
            job.ended.acquire()
        result: T = job.result()
        return result

    def post(self, work: Work[object], then: Callable[[Exception | None], None]) -> None:
        job = Job(work, then=then)
        self._threads.put(lambda: self._run(job, time.monotonic() + _READ_S))

    @contextmanager
    def read(self) -> Iterator[Connection]:
        # Without a transaction: each statement would see what is committed by then within one, too.
        with _in_words(), self.engine.connect() as connection:
            try:
                yield connection
            finally:
                if self._is_closed and not connection.invalidated:
                    # Given back, it would stay open: nobody has that pool any more.
                    connection.detach()

    def probe(self) -> None:
        self.submit(lambda connection: connection.execute(text("SELECT revision FROM schema_meta")).first())

    def require_sessions(self) -> None:
        """Raises SettingsInvalid where two connections are one session: a pooler gives it to each for a transaction.

        Then nobody would be notified, and prepared statements were those of others.
        """
        with _in_words(), self.engine.connect() as one, self.engine.connect() as other:
            first = one.execute(_SESSION).scalar_one()
            other.execute(text("BEGIN"))
            is_shared = other.execute(_SESSION).scalar_one() == first
            roll_back(other)
        if is_shared:
            raise SettingsInvalid([_POOLED])

    def close(self) -> None:
        self._threads.close()
        self._is_closed = True
        self.engine.dispose()

    def _withdraw(self, job: Job, deadline_s: float) -> None:
        """Raises, unless it has ended after all or is past withdrawing: then its commit decides."""
        with self._threads.lock:
            if job.stage is JobStage.DONE or (job.stage is JobStage.COMMITTING and job.on_withdrawn is None):
                return
            job.stage = JobStage.WITHDRAWN
        raise JournalUnavailable(f"{WHERE} was not written within {deadline_s:g} s")

    def _run(self, job: Job, deadline: float, locks: Sequence[Lock] = (), lease: AccountLease | None = None) -> None:
        """In a thread of the store's own: until it is written, or cannot be."""
        if not self._step_to(job, JobStage.RUNNING):
            return
        error: Exception | None = None
        collisions = 0
        while True:
            try:
                error = None
                if not self._write(job, deadline, locks, lease):
                    return
            except IntegrityError as raised:
                # Another process wrote the same at the same moment: a second read finds what it wrote.
                error, collisions = raised, collisions + 1
                if collisions < _COLLISIONS_MAX and self._step_to(job, JobStage.RUNNING):
                    continue
            except Exception as raised:
                error = raised
                if self._may_try_again(job, raised, deadline):
                    time.sleep(_AGAIN_S)
                    continue
            break
        self._settle(job, error)

    def _may_try_again(self, job: Job, error: Exception, deadline: float) -> bool:
        """Whatever failed before its commit left nothing; a connection may just have been an old one."""
        if job.stage is JobStage.COMMITTING or not is_passing(error) or time.monotonic() + _AGAIN_S >= deadline:
            return False
        return self._step_to(job, JobStage.RUNNING)

    def _write(self, job: Job, deadline: float, locks: Sequence[Lock], lease: AccountLease | None) -> bool:
        """False: it was withdrawn in time, and nothing is stored."""
        left_s = max(0.1, deadline - time.monotonic())
        with self._connected(left_s, locks=locks, lease=lease) as (connection, require_lease):
            try:
                job.outcome = job.work(connection)
            except Exception:
                # Perhaps only because another process has changed what it counted on.
                with suppress(DBAPIError):
                    require_lease()
                raise
            require_lease()
            if not self._step_to(job, JobStage.COMMITTING):
                roll_back(connection)
                return False
            commit(connection)
        return True

    def _step_to(self, job: Job, stage: JobStage) -> bool:
        with self._threads.lock:
            if job.stage is JobStage.WITHDRAWN:
                return False
            job.stage = stage
            return True

    def _settle(self, job: Job, error: Exception | None) -> None:
        with self._threads.lock:
            was = job.stage
            if was is not JobStage.WITHDRAWN:
                job.stage = JobStage.DONE
        is_in_doubt = error is not None and was is JobStage.COMMITTING and not isinstance(error, IntegrityError)
        if job.on_withdrawn is not None and (is_in_doubt or (was is JobStage.WITHDRAWN and error is None)):
            # Its caller was answered that it was not stored; whether it was, nobody may ever act on.
            self._threads.put(lambda: self._undo(job, time.monotonic() + _UNDO_S))
        job.end(_reported(error))

    def _undo(self, job: Job, deadline: float) -> None:
        try:
            with self._connected(_READ_S) as (connection, _):
                job.undo(connection)
                commit(connection)
        except Exception as error:
            if time.monotonic() < deadline and is_passing(error):
                time.sleep(_AGAIN_S)
                self._threads.put(lambda: self._undo(job, deadline))
                return
            log.exception("what was answered as not kept could not be taken back")

    @contextmanager
    def _connected(
        self, timeout_s: float, *, locks: Sequence[Lock] = (), lease: AccountLease | None = None
    ) -> Iterator[tuple[Connection, Callable[[], None]]]:
        """A transaction, and what is to be called before its commit. JournalUnavailable: no connection answers.

        It begins with its limits and locks, in one message. `lease`: by whose right it writes, in a pipeline, since an
        owner says a dozen things; what is called raises LeaseLost, if another process has it by now.
        """
        first = (
            "BEGIN",
            f"SET LOCAL statement_timeout = {int(timeout_s * 1000):d}",
            *((lock_statement(locks),) if locks else ()),
        )
        with self.engine.connect() as connection:
            if lease is None:
                run_text(connection, "; ".join(first))
                yield connection, lambda: None
                return
            with pipelined(connection, *first, owning(lease)) as found:

                def require_lease() -> None:
                    if lease.is_lost or not found():
                        raise LeaseLost

                yield connection, require_lease


@contextmanager
def _in_words() -> Iterator[None]:
    try:
        yield
    except (DBAPIError, PoolTimeout) as error:
        said = postgres_unavailable(error)
        if said is None:
            raise
        raise said from error


def _reported(error: Exception | None) -> Exception | None:
    return None if error is None else postgres_unavailable(error) or error
