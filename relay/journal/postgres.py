"""The store on Postgres: each unit of work is a transaction of its own, on a small pool."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from relay.errors import JournalUnavailable
from relay.journal.store import T, Undo, Work

_POOL = 4
_READ_MS = 2000


def postgres_engine(url: URL) -> Engine:
    """`url` may begin with `postgres://`, which hosts hand out and SQLAlchemy does not know."""
    return create_engine(
        url.set(drivername="postgresql+psycopg"),
        pool_size=_POOL,
        max_overflow=_POOL,
        pool_timeout=2.0,
        pool_pre_ping=True,
        connect_args={"connect_timeout": 2},
    )


class PostgresStore:
    """A `Store`. Its rows are guarded by unique constraints: a conflict is raised as IntegrityError."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def submit(
        self,
        work: Work[T],
        *,
        deadline_s: float = 2.0,
        on_withdrawn: Undo[T] | None = None,
        on_committed: Callable[[T], None] | None = None,
    ) -> T:
        outcome: list[T] = []
        try:
            with self._transaction(int(deadline_s * 1000)) as connection:
                outcome.append(work(connection))
        except JournalUnavailable:
            if outcome and on_withdrawn is not None:
                # The commit's answer was lost; whether it took effect is unknown, so it is undone.
                with self._transaction(_READ_MS) as connection:
                    on_withdrawn(connection, outcome[0])
            raise
        return outcome[0]

    def post(self, work: Work[object], then: Callable[[Exception | None], None]) -> None:
        try:
            self.submit(work)
        except (JournalUnavailable, DBAPIError) as error:
            then(error)
        else:
            then(None)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        with self._transaction(_READ_MS) as connection:
            connection.exec_driver_sql("SET TRANSACTION READ ONLY")
            yield connection

    def probe(self) -> None:
        with self.read() as connection:
            connection.execute(text("SELECT revision FROM schema_meta")).first()

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def _transaction(self, timeout_ms: int) -> Iterator[Connection]:
        try:
            with self._engine.begin() as connection:
                connection.exec_driver_sql(f"SET LOCAL statement_timeout = {timeout_ms:d}")
                yield connection
        except (OperationalError, PoolTimeout) as error:
            raise JournalUnavailable("the database of the journal does not answer") from error
