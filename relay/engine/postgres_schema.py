"""The queue's own tables: procrastinate's schema, and its migrations after that."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from procrastinate.schema import SchemaManager

from relay.errors import JournalUnavailable

_LOCK = 7_265_636_111


def known_migrations() -> list[str]:
    """In the order in which they are applied."""
    return sorted(each.name for each in Path(SchemaManager.get_migrations_path()).glob("*.sql"))


@contextmanager
def _connected(url: str) -> Iterator[psycopg.Connection]:
    """Its words are not repeated: they may name the address."""
    try:
        with psycopg.connect(url, connect_timeout=5) as connection:
            yield connection
    except psycopg.Error as error:
        raise JournalUnavailable(f"the queue in Postgres cannot be used ({type(error).__name__})") from error


def migrate_queue(url: str) -> None:
    """Bring the queue's tables to what the installed procrastinate needs. Safe to repeat. Raises JournalUnavailable."""
    with _connected(url) as connection:
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        applied = {name for (name,) in connection.execute("SELECT migration FROM queue_schema")}
        missing = [each for each in known_migrations() if each not in applied]
        if not applied:
            connection.execute(SchemaManager.get_schema().encode())
        else:
            for name in missing:
                connection.execute((Path(SchemaManager.get_migrations_path()) / name).read_bytes())
        for name in missing:
            connection.execute("INSERT INTO queue_schema VALUES (%s)", (name,))


def is_current(url: str) -> bool:
    with _connected(url) as connection:
        applied = {name for (name,) in connection.execute("SELECT migration FROM queue_schema")}
    return applied.issuperset(known_migrations())
