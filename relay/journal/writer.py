"""The one writer of a SQLite journal: what has queued up while the disk was busy becomes one transaction, one fsync."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from relay.errors import JournalUnavailable
from relay.journal.jobs import Job, Stage
from relay.journal.store import T, Undo, Work
from relay.journal.trouble import as_unavailable, is_busy, is_io_error

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
        self._connection: Connection | None = None
        self.trouble: JournalUnavailable | None = None
        """Why the last transaction failed, if it did."""
        self.commits = 0
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
        self._enqueue(job)
        if not job.ended.wait(deadline_s):
            self._withdraw(job, deadline_s)
            job.ended.wait()
        result: T = job.result()
        return result

    def post(self, work: Work[object], then: Callable[[Exception | None], None]) -> None:
        """See `Store.post`."""
        self._enqueue(Job(work, then=then))

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
            if job.stage is Stage.DONE or (job.stage is Stage.COMMITTING and job.on_withdrawn is None):
                return
            job.stage = Stage.WITHDRAWN
            why = f": {self.trouble}" if self.trouble else ""
        raise JournalUnavailable(f"the journal {self._where} was not written within {deadline_s:g} s{why}")

    def _run(self) -> None:
        while self._wait_for_work():
            try:
                self._undo_withdrawn()
                self._write()
            except Exception as error:  # the writer outlives whatever happens; each caller is told
                self._recover(error)
        with suppress(SQLAlchemyError, JournalUnavailable):
            self._undo_withdrawn()
        self._disconnect()

    def _wait_for_work(self) -> bool:
        """False once closed and empty. What is to be undone does not wait for other work."""
        with self._changed:
            if self._to_undo:
                self._changed.wait_for(self._has_news, _RETRY_S if self.trouble else 0)
            else:
                self._changed.wait_for(self._has_news)
            return bool(self._queue) or not self._closed

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
        _give_way()
        transaction = self._connected().begin()
        batch = self._take()
        try:
            for job in batch:
                job.run(transaction.connection)
            if not batch or not self._seal(batch):
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
                if job.stage is Stage.QUEUED:
                    job.stage = Stage.RUNNING
                    batch.append(job)
            return batch

    def _seal(self, batch: list[Job]) -> bool:
        """Past this nothing can be left out any more. False: something was withdrawn, the others go back to wait."""
        with self._changed:
            rest = [job for job in batch if job.stage is Stage.RUNNING]
            sealed = len(rest) == len(batch)
            for job in rest:
                job.stage = Stage.COMMITTING if sealed else Stage.QUEUED
            if not sealed:
                self._queue.extendleft(reversed(rest))
            return sealed

    def _settle(self, batch: list[Job]) -> None:
        """Committed. If one was withdrawn meanwhile, all that can be undone are: they may have built on each other.

        (Of two equal alerts the second is only a duplicate as long as the first stays.)
        """
        with self._changed:
            if any(job.stage is Stage.WITHDRAWN for job in batch):
                self._undo_all(batch)
            self._close_stage(batch)
        self._end(batch)

    def _close_stage(self, jobs: Iterable[Job]) -> None:
        """From here on nothing of this is withdrawn any more. The lock is held."""
        for job in jobs:
            if job.stage is not Stage.WITHDRAWN:
                job.stage = Stage.DONE

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
        """Nothing was kept; only after an I/O error one cannot be sure, and it is taken back to be so."""
        said = self._describe(error)
        with self._changed:
            if is_io_error(error):
                self._undo_all([job for job in batch if job.stage is not Stage.RUNNING])
            self._close_stage(batch)
        self._end(batch, said)

    def _recover(self, error: Exception) -> None:
        """Jobs may wait for a lock until their deadline; any other trouble is told at once."""
        self.trouble = self._describe(error)
        with self._changed:
            waiting = [job for job in self._queue if job.stage is Stage.QUEUED]
            self._queue.clear()
            if is_busy(error) and not self._closed:
                self._queue.extend(waiting)
                waiting = []
            self._close_stage(waiting)
        self._end(waiting, self.trouble)
        self._disconnect()

    def _describe(self, error: Exception) -> JournalUnavailable:
        said = as_unavailable(error, self._where)
        return said or JournalUnavailable(f"the journal {self._where} cannot be used: {error}")

    def _undo_withdrawn(self) -> None:
        """Before anything else is written, so that nobody can have acted on it."""
        if not self._to_undo:
            return
        with self._connected().begin() as transaction:
            for job in reversed(self._to_undo):
                job.undo(transaction.connection)
        self._to_undo.clear()


def _give_way() -> None:
    """Lets go first whatever else is about to run in this process; where nothing is, it takes a microsecond.

    A commit shares its cost among all who have come by then.
    """
    if hasattr(os, "sched_yield"):
        os.sched_yield()
