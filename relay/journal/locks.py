"""Locks of the database that last until the transaction ends: for what processes must do one after the other."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable

from sqlalchemy import Connection, Select, bindparam, func, select

from relay.domain.instrument import Category


def lane_name(account: str, category: Category | None, symbol: str) -> str:
    """`category` None: of an alert whose instrument is not known yet, with the ticker for a symbol."""
    return f"{account}/{category.value if category else '?'}/{symbol}"


def hold(connection: Connection, *names: str, lanes: Iterable[str] = ()) -> None:
    """First those of `names`, then those of the lanes, each always in the same order: so that two who want the same do
    not wait for each other."""
    keys = [*sorted(map(_key, names)), *sorted({_key(f"lane {name}") for name in lanes})]
    if keys:
        connection.execute(_holding(len(keys)), {f"key_{number}": key for number, key in enumerate(keys)})


@functools.cache
def _holding(count: int) -> Select[tuple[object, ...]]:
    """One statement for all of them: Postgres takes them in the order in which they are listed."""
    return select(*(func.pg_advisory_xact_lock(bindparam(f"key_{number}")) for number in range(count)))


def _key(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), signed=True)
