"""The store on SQLite: one writer, a few readers, one process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from relay.errors import JournalUnavailable
from relay.journal.lock import FileLock
from relay.journal.locks import Lock
from relay.journal.sqlite import JournalFile, begin_reading
from relay.journal.store import T, Undo, Work
from relay.journal.trouble import as_unavailable
from relay.journal.writer import Writer

_TOUCH = text("PRAGMA user_version = 0")
"""Writes a page even where it changes nothing; an UPDATE of the same value would not."""


class SqliteStore:
    """A `Store`. Without `lock` it is for reading only, beside a relay or without one."""

    def __init__(self, file: JournalFile, lock: FileLock | None) -> None:
        self._where = str(file.path)
        self._lock = lock
        self._readers = file.reading_engine()
        self.writing_engine = file.writing_engine()
        self.writer = Writer(self.writing_engine, where=self._where, require=file.require) if lock else None

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
        return self._writer().submit(work, deadline_s=deadline_s, on_withdrawn=on_withdrawn, on_committed=on_committed)

    def post(self, work: Work[object], then: Callable[[Exception | None], None]) -> None:
        self._writer().post(work, then)

    def _writer(self) -> Writer:
        if self.writer is None:
            raise JournalUnavailable(f"the journal {self._where} was opened for reading only")
        return self.writer

    @contextmanager
    def read(self) -> Iterator[Connection]:
        try:
            with self._readers.connect() as connection:
                begin_reading(connection)
                yield connection
        except PoolTimeout as error:
            raise JournalUnavailable(f"the journal {self._where} is busy with other questions") from error
        except SQLAlchemyError as error:
            said = as_unavailable(error, self._where)
            if said is None:
                raise
            self._readers.dispose()
            raise said from error

    def probe(self) -> None:
        """A read; after trouble a write, since only that tells whether it is over."""
        with self.read() as connection:
            connection.execute(text("SELECT revision FROM schema_meta")).first()
        if self.writer is not None and self.writer.trouble is not None:
            self.writer.submit(lambda connection: connection.execute(_TOUCH), deadline_s=1.0)

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()
        self._readers.dispose()
        self.writing_engine.dispose()
        if self._lock is not None:
            self._lock.release()
