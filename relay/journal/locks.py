"""Locks of the database that last until the transaction ends: for what processes must do one after the other."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from sqlalchemy import Connection, bindparam, func, select

from relay.domain.instrument import Category

_HOLD = select(func.pg_advisory_xact_lock(bindparam("key")))


def lane_name(account: str, category: Category | None, symbol: str) -> str:
    """`category` None: of an alert whose instrument is not known yet, with the ticker for a symbol."""
    return f"{account}/{category.value if category else '?'}/{symbol}"


def hold(connection: Connection, *names: str) -> None:
    """Always in the same order, so that two who want the same do not wait for each other."""
    for key in sorted(map(_key, names)):
        connection.execute(_HOLD, {"key": key})


def hold_lanes(connection: Connection, lanes: Iterable[str]) -> None:
    hold(connection, *{f"lane {name}" for name in lanes})


def _key(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), signed=True)
