"""Locks of the database that last until the transaction ends: for what processes must do one after the other."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from sqlalchemy import Connection

from relay.domain.instrument import Category

Lock = tuple[int, bool]
"""What the database knows it by, and whether it is shared."""


def lane_name(account: str, category: Category | None, symbol: str) -> str:
    """`category` None: of an alert whose instrument is not known yet, with the ticker for a symbol."""
    return f"{account}/{category.value if category else '?'}/{symbol}"


def locks_on(*names: str, lanes: Iterable[str] = (), shared: Iterable[str] = ()) -> tuple[Lock, ...]:
    """What is known by these names, and these lanes; always in the same order, so that two who want the same do not
    wait for each other. `shared`: not kept from those who want it shared, too."""
    alone = {*names, *(f"lane {name}" for name in lanes)}
    return tuple(sorted([*((_key(name), False) for name in alone), *((_key(name), True) for name in shared)]))


def lock_statement(locks: Iterable[Lock]) -> str:
    """A statement that takes these locks, in this order."""
    taken = (f"pg_advisory_xact_lock{'_shared' if is_shared else ''}({key:d})" for key, is_shared in locks)
    return f"SELECT {', '.join(taken)}"


def hold(connection: Connection, locks: Iterable[Lock]) -> None:
    connection.exec_driver_sql(lock_statement(locks))


def _key(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), signed=True)
