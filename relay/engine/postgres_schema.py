"""The queue's own tables: procrastinate's schema, and its migrations after that."""

from __future__ import annotations

from pathlib import Path

import psycopg
from procrastinate.schema import SchemaManager

_LOCK = 7_265_636_111


def known_migrations() -> list[str]:
    """In the order in which they are applied."""
    return sorted(each.name for each in Path(SchemaManager.get_migrations_path()).glob("*.sql"))


def migrate_queue(url: str) -> None:
    """Bring the queue's tables to what the installed procrastinate needs. Safe to repeat. Raises psycopg.Error."""
    with psycopg.connect(url, connect_timeout=5) as connection:
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
    with psycopg.connect(url, connect_timeout=5) as connection:
        applied = {name for (name,) in connection.execute("SELECT migration FROM queue_schema")}
    return applied.issuperset(known_migrations())
