"""The store on SQLite: one file, one process that holds its lock, one writer, a few readers."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from sqlalchemy import Connection, Engine, NullPool, Pool, QueuePool, create_engine, event, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from relay.errors import JournalBusy, JournalUnavailable
from relay.journal.store import Job, JobStage, Lock, T, Undo, Work, is_busy, is_io_error, sqlite_unavailable

_POLL_S = 0.05


class FileLock:
    """Held from construction to `release`."""

    def __init__(self, path: Path, *, wait_s: float = 0) -> None:
        """Waits up to `wait_s` for the lock; JournalBusy names the process that has it."""
        self._descriptor = _open(path)
        give_up_at = time.monotonic() + wait_s
        while not self._try():
            if time.monotonic() >= give_up_at:
                holder = os.pread(self._descriptor, 20, 0).decode("ascii", "replace").strip()
                os.close(self._descriptor)
                raise JournalBusy(f"another relay holds this journal: process {holder or 'unknown'}, lock {path}")
            time.sleep(_POLL_S)
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def _try(self) -> bool:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        """The file stays: removing it would let two relays lock two files of one name."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise JournalUnavailable(f"the journal cannot be locked: {path}: {error.strerror}") from error


BUSY_TIMEOUT_MS = 500
"""How long SQLite itself waits for a lock; the deadlines of work are longer and are kept by the writer."""
_JOURNAL_SIZE_LIMIT = 64 * 1024 * 1024
_READERS = 4
_READER_WAIT_S = 2.0


class JournalFile:
    """The file of one journal. It is made, readable by its owner only, by the first who writes to it."""

    def __init__(self, url: URL) -> None:
        if not url.database or url.database == ":memory:":
            raise JournalUnavailable("a journal in memory keeps nothing; name a file: sqlite:///relay.db")
        self.path = Path(url.database).absolute()
        self._where = str(self.path)
        self._known: tuple[int, int] | None = None

    @property
    def lock_path(self) -> Path:
        return self.path.with_name(self.path.name + ".lock")

    def create(self) -> None:
        """Make the file if there is none; SQLite gives its `-wal` and `-shm` the same mode."""
        try:
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            directory = os.open(self.path.parent, os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        except OSError as error:
            raise JournalUnavailable(f"the journal {self.path} cannot be made or written: {error.strerror}") from error

    def require(self) -> None:
        """JournalUnavailable if the file is not there, or is another than before.

        SQLite would go on writing to a file that was deleted or replaced, and all of that would be lost.
        """
        try:
            found = os.stat(self._where)
        except OSError as error:
            raise JournalUnavailable(f"there is no journal at {self.path}: {error.strerror}") from error
        self._known = self._known or (found.st_dev, found.st_ino)
        if self._known != (found.st_dev, found.st_ino):
            raise JournalUnavailable(f"the journal {self.path} was replaced by another file; start the relay again")

    def writing_engine(self) -> Engine:
        """For one thread; its transactions take the write lock when they begin."""
        engine = self._engine(NullPool, query_only=False)
        event.listen(engine, "begin", _begin_immediate)
        return engine

    def reading_engine(self) -> Engine:
        """A small pool for any thread. Whoever wants one moment for several questions says `begin_reading`."""
        return self._engine(QueuePool, query_only=True)

    def _engine(self, pool: type[Pool], *, query_only: bool) -> Engine:
        sizes = {"pool_size": _READERS, "max_overflow": _READERS, "pool_timeout": _READER_WAIT_S}
        return create_engine(
            "sqlite://",
            creator=lambda: self._connect(query_only=query_only),
            poolclass=pool,
            **(sizes if query_only else {}),
        )

    def _connect(self, *, query_only: bool) -> sqlite3.Connection:
        self.require()
        connection = sqlite3.connect(
            f"{self.path.as_uri()}?mode=rw",
            uri=True,
            timeout=BUSY_TIMEOUT_MS / 1000,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            if query_only:
                connection.execute("PRAGMA query_only = ON").close()
            else:
                _prepare_for_writing(connection)
        except (sqlite3.Error, JournalUnavailable):
            connection.close()
            raise
        return connection


def _prepare_for_writing(connection: sqlite3.Connection) -> None:
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise JournalUnavailable(f"the journal needs a disk that SQLite can use a write-ahead log on, not {mode}")
    connection.execute("PRAGMA synchronous = FULL").close()
    connection.execute("PRAGMA foreign_keys = ON").close()
    connection.execute(f"PRAGMA journal_size_limit = {_JOURNAL_SIZE_LIMIT}").close()
    connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}").close()


def _begin_immediate(connection: Connection) -> None:
    _say(connection, "BEGIN IMMEDIATE")


def begin_reading(connection: Connection) -> None:
    """Until the connection is given back."""
    _say(connection, "BEGIN")


def _say(connection: Connection, text: str) -> None:
    """By the driver itself, which is a good part of what a transaction costs."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection), "the file is SQLite's"
    try:
        driver.execute(text).close()
    except sqlite3.Error as error:
        raise DBAPIError.instance(text, None, error, sqlite3.Error) from error


def _run(job: Job, connection: Connection) -> None:
    """What the work raises is its own caller's affair, unless it is the journal's trouble."""
    job.outcome, job.error = None, None
    try:
        job.outcome = job.work(connection)
    except Exception as error:
        if sqlite_unavailable(error, "") is not None:
            # SQLite may have rolled back everything by itself: there is no going on in this transaction.
            raise
        job.error = error


def _run_apart(job: Job, connection: Connection) -> None:
    """The same in a savepoint: nothing stays of work that raises."""
    # By the driver itself: SQLAlchemy's savepoints cost as much as the work in them.
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection), "the file is SQLite's"
    driver.execute("SAVEPOINT work").close()
    _run(job, connection)
    if job.error is not None:
        driver.execute("ROLLBACK TO work").close()
    driver.execute("RELEASE work").close()


_CHECKPOINT_COMMITS = 40
_CHECKPOINT_QUIET_S = 0.02
_CHECKPOINT_PAGES = 4000
"""SQLite's own checkpoints come in the middle of a commit, of 1,000 pages, and take 5 to 10 ms. Here one is made every
40 commits, once nothing is being written; in a flood, which never rests, SQLite makes them all the same."""
_MAX_BATCH = 256
_RETRY_S = 0.2
_CLOSE_S = 10.0


class Writer:
    """A thread with a queue. After trouble with the file it opens it anew for the next transaction."""

    def __init__(self, engine: Engine, *, where: str, require: Callable[[], None]) -> None:
        """`where`: the file, for messages. `require`: raises JournalUnavailable if the file is gone."""
        self._engine = engine
        self._where = where
        self._require = require
        self._changed = threading.Condition()
        self._queue: deque[Job] = deque()
        self._to_undo: list[Job] = []
        self._closed = False
        self._turn = threading.Lock()
        """Held by whoever writes: this thread, or one that does so by itself (`write_here`)."""
        self._is_careful = False
        """In the last batch some work raised: it is run again, each in a savepoint."""
        self._connection: Connection | None = None
        self.trouble: JournalUnavailable | None = None
        """Why the last transaction failed, if it did."""
        self.commits = 0
        self._checkpointed = 0
        """By which of the commits."""
        self._thread = threading.Thread(target=self._run, name="journal-writer", daemon=True)
        self._thread.start()

    def submit(
        self,
        work: Work[T],
        *,
        deadline_s: float,
        on_withdrawn: Undo[T] | None = None,
        on_committed: Callable[[T], None] | None = None,
    ) -> T:
        """See `Store.submit`."""
        assert threading.current_thread() is not self._thread, "work cannot wait for other work"
        job = Job(work, on_withdrawn, on_committed=on_committed)
        job.ended.acquire()
        self._enqueue(job)
        if not job.ended.acquire(timeout=max(0.0, deadline_s)):
            self._withdraw(job, deadline_s)
            job.ended.acquire()
        result: T = job.result()
        return result

    def post(self, work: Work[object], then: Callable[[Exception | None], None]) -> None:
        """See `Store.post`."""
        self._enqueue(Job(work, then=then))

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits and nothing is being written, as far as can be told without waiting."""
        return not self.has_waiting and not self._turn.locked()

    @property
    def has_waiting(self) -> bool:
        return bool(self._queue)

    def write_here(self, job: Job, may: Callable[[], bool], *, wait_s: float = 0) -> bool:
        """Write the job in this very thread, before whatever comes meanwhile: no thread waits for another.

        Returns False, and nothing was done, unless nothing is being written and nothing waits, and `may` agrees: all
        that was submitted before has been told to its `on_committed` by then. Waits for as long as the disk takes.
        `wait_s`: for the end of what is being written; what waits by then goes first. Zero: an order does not wait for
        this, so whatever else is about to be written gets a moment to come along.
        """
        if not wait_s:
            _give_way()
        if not self._turn.acquire(timeout=wait_s):
            return False
        try:
            with self._changed:
                is_busy = bool(self._queue or self._to_undo or self._closed or self.trouble)
                if is_busy or job.stage is not JobStage.QUEUED or not may():
                    return False
                self._queue.append(job)
            self._write_all()
        finally:
            self._turn.release()
            with self._changed:
                if self._queue or self._to_undo or (self._is_checkpoint_due and not wait_s):
                    self._changed.notify()
        return True

    def withdraw(self, job: Job, deadline_s: float) -> None:
        """Raises JournalUnavailable, unless the job has ended after all."""
        self._withdraw(job, deadline_s)

    def close(self) -> None:
        """What is queued is still written, in so far as that succeeds at once."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(_CLOSE_S)

    def _enqueue(self, job: Job) -> None:
        with self._changed:
            if self._closed:
                raise JournalUnavailable(f"the journal {self._where} is closed")
            self._queue.append(job)
            self._changed.notify()

    def _withdraw(self, job: Job, deadline_s: float) -> None:
        """Raises, unless the job has ended after all or is past withdrawing."""
        with self._changed:
            if job.stage is JobStage.DONE or (job.stage is JobStage.COMMITTING and job.on_withdrawn is None):
                return
            job.stage = JobStage.WITHDRAWN
            why = f": {self.trouble}" if self.trouble else ""
        raise JournalUnavailable(f"the journal {self._where} was not written within {deadline_s:g} s{why}")

    def _run(self) -> None:
        while self._wait_for_work():
            if self._is_checkpoint_due and not self._has_news():
                self._checkpoint()
                continue
            _give_way()
            with self._turn:
                self._write_all()
        with self._turn:
            with suppress(SQLAlchemyError, JournalUnavailable):
                self._undo_withdrawn()
            self._disconnect()

    def _write_all(self) -> None:
        """What waits, in one transaction. The turn is held."""
        try:
            self._undo_withdrawn()
            if self._queue:
                self._write()
        except Exception as error:  # the writer outlives whatever happens; each caller gets the error
            self._recover(error)

    def _wait_for_work(self) -> bool:
        """False once closed and empty. What is to be undone does not wait for other work."""
        with self._changed:
            if self._to_undo:
                self._changed.wait_for(self._has_news, _RETRY_S if self.trouble else 0)
            else:
                self._changed.wait_for(lambda: self._has_news() or self._is_checkpoint_due)
                if self._is_checkpoint_due:
                    self._changed.wait_for(self._has_news, _CHECKPOINT_QUIET_S)
            return bool(self._queue) or not self._closed

    @property
    def _is_checkpoint_due(self) -> bool:
        return self.commits - self._checkpointed >= _CHECKPOINT_COMMITS

    def _checkpoint(self) -> None:
        """What is in the log goes into the file, over a connection of its own, so that nobody waits to write meanwhile.
        Trouble with the file is the next transaction's to tell."""
        self._checkpointed = self.commits
        with (
            suppress(SQLAlchemyError, sqlite3.Error, JournalUnavailable),
            closing(self._engine.raw_connection()) as own,
        ):
            own.cursor().execute("PRAGMA wal_checkpoint(PASSIVE)").close()
        # The next to write begins the log anew, which takes a flush of its own: no order is to wait for that.
        with suppress(JournalUnavailable):
            self.post(lambda connection: connection.execute(_TOUCH), lambda error: None)

    def _has_news(self) -> bool:
        return bool(self._queue) or self._closed

    def _connected(self) -> Connection:
        self._require()
        if self._connection is None:
            self._connection = self._engine.connect()
        return self._connection

    def _disconnect(self) -> None:
        """Whatever was not committed is rolled back by closing."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()
            connection.close()

    def _write(self) -> None:
        """One transaction with all that waits. It is taken once the lock is held: till then each can be dropped."""
        transaction = self._connected().begin()
        batch = self._take()
        try:
            if not self._run_all(batch, transaction.connection) or not self._seal(batch):
                transaction.rollback()
                return
            self._require_transaction(transaction.connection)
            transaction.commit()
        except Exception as error:
            self._fail(batch, error)
            raise
        self.commits += 1
        self.trouble = None
        self._settle(batch)

    def _run_all(self, batch: list[Job], connection: Connection) -> bool:
        """Returns False if there is nothing to commit.

        Work seldom raises, and a savepoint costs as much as two statements: only a batch in which some did is run
        again with one for each.
        """
        run, self._is_careful = _run_apart if self._is_careful else _run, False
        for job in batch:
            run(job, connection)
        if run is _run_apart or all(job.error is None for job in batch):
            return bool(batch)
        with self._changed:
            if len(batch) == 1:
                self._close_stage(batch)
            else:
                self._is_careful = True
                self._put_back(batch)
        if len(batch) == 1:
            self._end(batch)
        return False

    def _put_back(self, batch: list[Job]) -> None:
        """To wait in front of all others, but for those that were withdrawn. The lock is held."""
        rest = [job for job in batch if job.stage is JobStage.RUNNING]
        for job in rest:
            job.stage = JobStage.QUEUED
        self._queue.extendleft(reversed(rest))

    def _require_transaction(self, connection: Connection) -> None:
        """SQLite ends a transaction by itself after some errors; committing nothing must not look like success."""
        driver = connection.connection.driver_connection
        if not isinstance(driver, sqlite3.Connection) or not driver.in_transaction:
            raise JournalUnavailable(f"the journal {self._where} lost a transaction")

    def _take(self) -> list[Job]:
        with self._changed:
            batch: list[Job] = []
            while self._queue and len(batch) < _MAX_BATCH:
                job = self._queue.popleft()
                if job.stage is JobStage.QUEUED:
                    job.stage = JobStage.RUNNING
                    batch.append(job)
            return batch

    def _seal(self, batch: list[Job]) -> bool:
        """Past this nothing can be left out any more.

        Returns False if something was withdrawn, the others go back to wait.
        """
        with self._changed:
            if any(job.stage is not JobStage.RUNNING for job in batch):
                self._put_back(batch)
                return False
            for job in batch:
                job.stage = JobStage.COMMITTING
            return True

    def _settle(self, batch: list[Job]) -> None:
        """Committed. If one was withdrawn meanwhile, all that can be undone are: they may have built on each other.

        (Of two equal alerts the second is only a duplicate as long as the first stays.)
        """
        with self._changed:
            if any(job.stage is JobStage.WITHDRAWN for job in batch):
                self._undo_all(batch)
            self._close_stage(batch)
        self._end(batch)

    def _close_stage(self, jobs: Iterable[Job]) -> None:
        """From here on nothing of this is withdrawn any more. The lock is held."""
        for job in jobs:
            if job.stage is not JobStage.WITHDRAWN:
                job.stage = JobStage.DONE

    def _end(self, jobs: Iterable[Job], error: Exception | None = None) -> None:
        """One after the other, in this thread alone, and without the lock: nobody else waits for what a caller does."""
        for job in jobs:
            job.end(error)

    def _undo_all(self, batch: list[Job]) -> None:
        for job in batch:
            if job.on_withdrawn is not None and job.error is None:
                self._to_undo.append(job)
                job.error = JournalUnavailable(f"the journal {self._where} took too long to write")

    def _fail(self, batch: list[Job], error: Exception) -> None:
        """Nothing was stored; only after an I/O error one cannot be sure, and it is taken back to be so."""
        said = self._describe(error)
        with self._changed:
            if is_io_error(error):
                self._undo_all([job for job in batch if job.stage is not JobStage.RUNNING])
            self._close_stage(batch)
        self._end(batch, said)

    def _recover(self, error: Exception) -> None:
        """Jobs may wait for a lock until their deadline; any other trouble is raised at once."""
        self.trouble = self._describe(error)
        with self._changed:
            waiting = [job for job in self._queue if job.stage is JobStage.QUEUED]
            self._queue.clear()
            if is_busy(error) and not self._closed:
                self._queue.extend(waiting)
                waiting = []
            self._close_stage(waiting)
        self._end(waiting, self.trouble)
        self._disconnect()

    def _describe(self, error: Exception) -> JournalUnavailable:
        said = sqlite_unavailable(error, self._where)
        return said or JournalUnavailable(f"the journal {self._where} cannot be used: {error}")

    def _undo_withdrawn(self) -> None:
        """Before anything else is written, so that nobody can have acted on it."""
        if not self._to_undo:
            return
        with self._connected().begin() as transaction:
            for job in reversed(self._to_undo):
                job.undo(transaction.connection)
        self._to_undo.clear()


_TOUCH = text("PRAGMA user_version = 0")
"""Writes a page even where it changes nothing; an UPDATE of the same value would not."""


class _Here(threading.local):
    connection: Connection | None = None


class SqliteStore:
    """A `Store`. Without `lock` it is for reading only, beside a relay or without one."""

    def __init__(self, file: JournalFile, lock: FileLock | None) -> None:
        self._where = str(file.path)
        self._lock = lock
        self._readers = file.reading_engine()
        self._pool: Pool | None = self._readers.pool
        """Into which what has read is given back, until the store is closed."""
        self.writing_engine = file.writing_engine()
        self.writer = Writer(self.writing_engine, where=self._where, require=file.require) if lock else None
        self._here = _Here()

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
        assert self._here.connection is None, "work cannot wait for other work: this thread is writing"
        return self._writer().submit(work, deadline_s=deadline_s, on_withdrawn=on_withdrawn, on_committed=on_committed)

    def post(self, work: Work[object], then: Callable[[Exception | None], None]) -> None:
        self._writer().post(work, then)

    def reading_in(self, connection: Connection, work: Callable[[], T]) -> T:
        """What this thread reads meanwhile it reads in the transaction that it writes."""
        self._here.connection = connection
        try:
            return work()
        finally:
            self._here.connection = None

    def _writer(self) -> Writer:
        if self.writer is None:
            raise JournalUnavailable(f"the journal {self._where} was opened for reading only")
        return self.writer

    @contextmanager
    def read(self) -> Iterator[Connection]:
        if self._here.connection is not None:
            yield self._here.connection
            return
        try:
            pool = self._pool
            with self._readers.connect() as connection:
                try:
                    begin_reading(connection)
                    yield connection
                finally:
                    if (pool is None or self._pool is not pool) and not connection.invalidated:
                        # Given back, it would stay open: nobody has that pool any more.
                        connection.detach()
        except PoolTimeout as error:
            raise JournalUnavailable(f"the journal {self._where} is busy with other questions") from error
        except SQLAlchemyError as error:
            said = sqlite_unavailable(error, self._where)
            if said is None:
                raise
            self._empty()
            raise said from error

    def probe(self) -> None:
        """A read; after trouble a write, since only that tells whether it is over."""
        with self.read() as connection:
            connection.execute(text("SELECT revision FROM schema_meta")).first()
        if self.writer is not None and self.writer.trouble is not None:
            self.writer.submit(lambda connection: connection.execute(_TOUCH), deadline_s=1.0)

    def _empty(self) -> None:
        self._readers.dispose()
        self._pool = self._pool and self._readers.pool

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()
        self._empty()
        self._pool = None
        self.writing_engine.dispose()
        if self._lock is not None:
            self._lock.release()


def _give_way() -> None:
    """Lets go first whatever else is about to run in this process; where nothing is, it takes a microsecond.

    A commit shares its cost among all who have come by then.
    """
    if hasattr(os, "sched_yield"):
        os.sched_yield()
