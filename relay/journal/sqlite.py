"""The SQLite file: where it is, how connections to it are set up, and whether it is still the same file."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from sqlalchemy import Connection, Engine, NullPool, Pool, QueuePool, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from relay.errors import JournalUnavailable

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
            found = os.stat(self.path)
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
