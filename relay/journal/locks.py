"""Locks of the database that last until the transaction ends: for what processes must do one after the other."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from sqlalchemy import Connection

from relay.domain.instrument import Category


def lane_name(account: str, category: Category | None, symbol: str) -> str:
    """`category` None: of an alert whose instrument is not known yet, with the ticker for a symbol."""
    return f"{account}/{category.value if category else '?'}/{symbol}"


def keys_of(*names: str, lanes: Iterable[str] = ()) -> tuple[int, ...]:
    """What locks are known by: first those of `names`, then those of the lanes, each always in the same order, so that
    two who want the same do not wait for each other."""
    return *sorted(map(_key, names)), *sorted({_key(f"lane {name}") for name in lanes})


def lock_statement(keys: Iterable[int]) -> str:
    """A statement that takes these locks, in this order."""
    return f"SELECT {', '.join(f'pg_advisory_xact_lock({key:d})' for key in keys)}"


def hold(connection: Connection, keys: Iterable[int]) -> None:
    connection.exec_driver_sql(lock_statement(keys))


def _key(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), signed=True)
