"""Locks of the database that last until the transaction ends: for what processes must do one after the other."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Select, bindparam, func, select

from relay.domain.instrument import Category


def lane_name(account: str, category: Category | None, symbol: str) -> str:
    """`category` None: of an alert whose instrument is not known yet, with the ticker for a symbol."""
    return f"{account}/{category.value if category else '?'}/{symbol}"


def hold(connection: Connection, *names: str, shared: Iterable[str] = ()) -> None:
    """Always in the same order, so that two who want the same do not wait for each other. `shared`: not from those
    who want it shared, too."""
    wanted = sorted([*((_key(name), False) for name in names), *((_key(name), True) for name in shared)])
    if wanted:
        keys = {f"key{place}": key for place, (key, _) in enumerate(wanted)}
        connection.execute(_holding(tuple(is_shared for _, is_shared in wanted)), keys)


def lane_lock(lane: str) -> str:
    return f"lane {lane}"


def hold_lanes(connection: Connection, lanes: Iterable[str]) -> None:
    hold(connection, *{lane_lock(name) for name in lanes})


@functools.cache
def _holding(shared: tuple[bool, ...]) -> Select[Any]:
    """All in one question to the database."""
    asked = (func.pg_advisory_xact_lock_shared if each else func.pg_advisory_xact_lock for each in shared)
    return select(*(ask(bindparam(f"key{place}")).label(f"held{place}") for place, ask in enumerate(asked)))


def _key(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), signed=True)
