"""Leases: who acts in a lane, until when, and that nobody writes by the right of an older one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Text,
    any_,
    bindparam,
    cast,
    delete,
    exists,
    func,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, insert

from relay.engine import lease_guard
from relay.engine.lease_guard import Lease
from relay.journal.statements import fetch_all, fetch_value, run
from relay.journal.store import Store
from relay.journal.tables import leases

LEASE_S: Final = 4.0
WORKER: Final = "worker "
"""The name of a process's own lease, with its owner: that it is alive."""
_RENEW_DEADLINE_S: Final = 2.0

_now_ms: ColumnElement[int] = cast(func.extract("epoch", func.clock_timestamp()) * 1000, BigInteger)
_until = _now_ms + int(LEASE_S * 1000)
_this = leases.c.name == bindparam("of_name")
_of_owner = bindparam("of_owner", type_=Text)
_TAKE = (
    insert(leases)
    .values(name=bindparam("of_name", type_=Text), owner=_of_owner, epoch=1, until=_until)
    .on_conflict_do_update(
        index_elements=[leases.c.name],
        set_={"owner": _of_owner, "epoch": leases.c.epoch + 1, "until": _until},
        where=(leases.c.until <= _now_ms) | (leases.c.owner == _of_owner),
    )
    .returning(leases.c.epoch)
)
_RENEW = (
    update(leases)
    .where(
        leases.c.name == any_(bindparam("of_names", type_=ARRAY(Text))),
        leases.c.owner == bindparam("of_owner"),
        leases.c.until > 0,
    )
    .values(until=_until)
    .returning(leases.c.name, leases.c.epoch)
)
"""By their names: a process has owned many lanes that it is done with."""
_this_one = _this & (leases.c.epoch == bindparam("of_epoch"))
_RELEASE = update(leases).where(_this_one).values(until=0)


def take(connection: Connection, name: str, owner: str) -> Lease | None:
    """Returns None if another holds it. It is a new epoch, also for who held it before."""
    deadline = lease_guard.clock() + LEASE_S
    epoch: int | None = fetch_value(connection, _TAKE, {"of_name": name, "of_owner": owner})
    return None if epoch is None else Lease(name=name, epoch=epoch, deadline=deadline)


def release(connection: Connection, lease: Lease) -> None:
    """Whoever comes next need not wait for its end."""
    run(connection, _RELEASE, {"of_name": lease.name, "of_epoch": lease.epoch})


def asking_for(lease: Lease) -> str:
    """A statement that finds a row if the lease is still this one, which then ends only after the transaction.

    For the transaction that writes by its right.
    """
    # Where there is no Postgres, its client is not loaded.
    from psycopg import sql

    name = sql.Literal(lease.name).as_string()
    return f"SELECT epoch FROM leases WHERE name = {name} AND epoch = {lease.epoch:d} FOR KEY SHARE"  # noqa: S608


class Leases:
    """Of one process. Raises JournalUnavailable as the journal does."""

    def __init__(self, store: Store, owner: str) -> None:
        self._store = store
        self.owner = owner

    def take(self, name: str) -> Lease | None:
        return self._store.submit(lambda connection: take(connection, name, self.owner))

    def register(self) -> Lease:
        """This process executes from now on."""
        own = self.take(WORKER + self.owner)
        assert own is not None, "nobody else has this name"
        return own

    def renew(self, held: Mapping[str, Lease]) -> None:
        """At once, and no other: what is in the database and not in use here has to end, or nobody ever takes it up.

        One that another has taken meanwhile is lost.
        """
        deadline = lease_guard.clock() + LEASE_S
        rows = self._store.submit(
            lambda connection: fetch_all(connection, _RENEW, {"of_owner": self.owner, "of_names": list(held)}),
            deadline_s=_RENEW_DEADLINE_S,
            is_urgent=True,
        )
        known = {row.name: row.epoch for row in rows}
        for name, lease in held.items():
            if known.get(name) == lease.epoch:
                lease.deadline = deadline
            else:
                lease.is_lost = True

    def release_all(self) -> None:
        """This process is ending."""

        def work(connection: Connection) -> None:
            ours = leases.c.owner == self.owner
            connection.execute(update(leases).where(ours).values(until=0))
            connection.execute(delete(leases).where(ours & leases.c.name.startswith(WORKER)))

        self._store.submit(work)

    def workers(self) -> int:
        """How many processes execute orders just now."""
        alive = leases.c.name.startswith(WORKER) & (leases.c.until > _now_ms)
        with self._store.read() as connection:
            return connection.execute(select(func.count()).where(alive)).scalar_one()

    def forget_dead_workers(self) -> None:
        dead = leases.c.name.startswith(WORKER) & (leases.c.until < _now_ms - 60_000)
        self._store.submit(lambda connection: connection.execute(delete(leases).where(dead)))


def is_held(name: ColumnElement[str]) -> ColumnElement[bool]:
    """Whether somebody has the lease of this name."""
    return exists().where(leases.c.name == name, leases.c.until > _now_ms)


def next_end_ms(connection: Connection) -> int | None:
    """In how many milliseconds the next lease ends, unless it is renewed. Returns None if nobody has any."""
    ends = select(func.min(leases.c.until) - _now_ms).where(leases.c.until > _now_ms)
    left: int | None = connection.execute(ends).scalar()
    return None if left is None else max(0, left)
