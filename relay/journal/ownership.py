"""Who owns which account, where several processes execute: taken, renewed and given back by rows of the journal.

An owner renews a row of its own and touches no account's. What writes by an account's right holds that account's row
FOR SHARE until it is committed, and whoever takes the account changes that row: so nothing of an old epoch is committed
once a new one has begun. Nobody who takes waits: what is locked is tried again at the next look."""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ClauseElement,
    ColumnElement,
    Connection,
    Text,
    any_,
    bindparam,
    cast,
    delete,
    exists,
    func,
    insert,
    select,
    update,
)

from relay.domain.placement import OwnerSnapshot
from relay.engine import lease_guard
from relay.engine.lease_guard import AccountLease
from relay.journal.statements import Json, fetch_all, fetch_value, run, run_text
from relay.journal.store import Store
from relay.journal.tables import account_owner, account_reports, leases, process
from relay.journal.wake_up import notify

TTL_S: Final = 3.0
FIRST: Final = "(first)"
"""In an account's place: what belongs to none. No account can be called so."""
PLACED: Final = "(placed)"
"""What is told when an account may have become free."""
_NOBODY: Final = ""
_DEADLINE_S: Final = 2.0
_FORGOTTEN_MS: Final = 60_000

_now_ms: ColumnElement[int] = cast(func.extract("epoch", func.now()) * 1000, BigInteger)
_until = _now_ms + int(TTL_S * 1000)
_refuses = bindparam("of_refuses", type_=process.c.refuses.type)
_me = bindparam("of_name", type_=Text)
_these = bindparam("of_accounts", type_=ARRAY(Text))
_accounts = any_(_these)
_is_alive = process.c.expires_at > _now_ms

_FORGET = delete(process).where(process.c.expires_at < _now_ms - _FORGOTTEN_MS)
_REGISTER = insert(process).values(name=_me, expires_at=_until, refuses=_refuses)
_RENEW = (
    update(process).where(process.c.name == _me).values(expires_at=_until, refuses=_refuses).returning(process.c.name)
)
_LIVING = select(process.c.name, process.c.refuses, (process.c.expires_at - _now_ms).label("left_ms")).where(_is_alive)
_OWNERS = select(account_owner.c.account, account_owner.c.owner, account_owner.c.epoch)
_has_living_owner = exists().where(process.c.name == account_owner.c.owner, _is_alive)
_older_relays = exists().where(leases.c.name.startswith("worker "), leases.c.until > _now_ms)
"""Processes of a relay that knows no owners of accounts: while one lives, it may act in any lane."""
_FREE = (
    select(account_owner.c.account, account_owner.c.owner)
    .where(account_owner.c.account == _accounts, ~_has_living_owner, ~_older_relays)
    .order_by(func.array_position(_these, account_owner.c.account))
    .limit(bindparam("at_most", type_=BigInteger))
    .with_for_update(skip_locked=True)
)
_of_owners = process.c.name == any_(bindparam("of_owners", type_=ARRAY(Text)))
_DEAD = select(process.c.name).where(_of_owners, ~_is_alive).with_for_update(read=True, skip_locked=True)
_KNOWN = select(process.c.name).where(_of_owners)
_TAKE = (
    update(account_owner)
    .where(account_owner.c.account == _accounts)
    .values(owner=_me, epoch=account_owner.c.epoch + 1, expires_at=_until)
    .returning(account_owner.c.account, account_owner.c.epoch)
)
_freed = {"owner": _NOBODY, "epoch": account_owner.c.epoch + 1, "expires_at": _now_ms}
_GIVE_BACK = update(account_owner).where(account_owner.c.account == _accounts, account_owner.c.owner == _me)
_GIVE_BACK = _GIVE_BACK.values(_freed)
_GIVE_BACK_ALL = update(account_owner).where(account_owner.c.owner == _me).values(_freed)
_END = delete(process).where(process.c.name == _me)


_END_FROZEN: Final = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE application_name = 'relay' AND datname = current_database() AND state = 'active' AND xact_start IS NOT NULL
        AND wait_event = 'ClientRead' AND query_start < clock_timestamp() - interval '2 s'
"""
"""Whoever stands still between the statements of a pipeline, and holds locks: the server has no time-out for that."""

_of_owner = account_owner.alias("of_owner")
_OWNED_BY_OWNER = (
    select(func.count())
    .select_from(account_owner.join(_of_owner, _of_owner.c.owner == account_owner.c.owner))
    .where(account_owner.c.account == bindparam("of_account"), _of_owner.c.account != FIRST, _has_living_owner)
)
_REPORTED = select(account_reports.c.at, account_reports.c.body).where(
    account_reports.c.account == bindparam("of_account")
)
_FSYNC = select(func.current_setting("fsync"))


@functools.cache
def _if_unknown() -> ClauseElement:
    # The dialect's own import takes a tenth of a second, and no relay on SQLite needs it.
    from sqlalchemy.dialects.postgresql import insert

    columns = [func.unnest(_these), cast(_NOBODY, Text), cast(0, BigInteger), _now_ms]
    made = insert(account_owner).from_select(["account", "owner", "epoch", "expires_at"], select(*columns))
    return made.on_conflict_do_nothing()


@functools.cache
def _report() -> ClauseElement:
    from sqlalchemy.dialects.postgresql import insert

    body = bindparam("of_body", type_=Json)
    made = insert(account_reports).values(account=bindparam("of_account"), at=bindparam("of_at"), body=body)
    return made.on_conflict_do_update(index_elements=["account"], set_={"at": bindparam("of_at"), "body": body})


def is_executing(store: Store) -> bool:
    """Whether any process executes just now. Raises JournalUnavailable."""
    with store.read() as connection:
        return bool(fetch_all(connection, _LIVING, {}))


def owned_by_owner_of(store: Store, account: str) -> int | None:
    """How many accounts the living process has that owns this one; None if none does. Raises JournalUnavailable."""
    with store.read() as connection:
        count = fetch_value(connection, _OWNED_BY_OWNER, {"of_account": account})
    return int(count) or None


def is_flushing(store: Store) -> bool:
    """Whether what is committed has been flushed to the disk by then. Raises JournalUnavailable."""
    with store.read() as connection:
        return bool(fetch_value(connection, _FSYNC, {}) == "on")


def write_report(store: Store, account: str, body: object, *, at_ms: int) -> None:
    """What its owner found at the account. Raises JournalUnavailable, and LeaseLost."""
    given = {"of_account": account, "of_at": at_ms, "of_body": body}
    store.submit(lambda connection: run(connection, _report(), given), deadline_s=_DEADLINE_S)


def report_of(store: Store, account: str) -> tuple[int, Any] | None:
    """When its owner last wrote down what is at the account, and that; None: nobody has. Raises JournalUnavailable."""
    with store.read() as connection:
        rows = fetch_all(connection, _REPORTED, {"of_account": account})
    return (rows[0].at, rows[0].body) if rows else None


def owning(lease: AccountLease) -> str:
    """A statement that finds a row if the lease is still this one, which then ends only after the transaction.

    For the transaction that writes by its right.
    """
    # Where there is no Postgres, its client is not loaded.
    from psycopg import sql

    account = sql.Literal(lease.name).as_string()
    return f"SELECT epoch FROM account_owner WHERE account = {account} AND epoch = {lease.epoch:d} FOR SHARE"  # noqa: S608


class AccountOwners:
    """The accounts of one process. One thread uses it; `held` may be read by any. Raises JournalUnavailable."""

    def __init__(self, store: Store, process_name: str, accounts: Iterable[str]) -> None:
        """`process_name`: this process's, and of no other ever. `accounts`: that it knows."""
        self._store = store
        self._base = process_name
        self._times = 0
        self._accounts = (FIRST, *sorted(accounts))
        self._unknown: frozenset[str] = frozenset()
        """Accounts that other processes know: it would not take them."""
        self._deadline = 0.0
        self.name = process_name
        self.held: Mapping[str, AccountLease] = {}

    def register(self) -> None:
        """This process executes from now on, and owns nothing.

        Under a name that it never had before: whoever saw its row expired may take what it had under the old one.
        """
        self._lose(self.held)
        self._times += 1
        name, deadline = f"{self._base} {self._times}", lease_guard.clock() + TTL_S

        def work(connection: Connection) -> None:
            connection.execute(_FORGET)
            run_text(connection, _END_FROZEN)
            run(connection, _if_unknown(), {"of_accounts": list(self._accounts)})
            self._learn(fetch_all(connection, _OWNERS, {}))
            run(connection, _REGISTER, {"of_name": name, "of_refuses": sorted(self._unknown)})

        self._store.submit(work, deadline_s=_DEADLINE_S, is_urgent=True)
        self.name, self._deadline = name, deadline

    def renew(self, refuses: Collection[str]) -> OwnerSnapshot | None:
        """Renew all that this process has for some seconds more; and who owns what now.

        Returns None if its row is gone, and with it everything that it had.

        Not only in memory: a crash of the database must not bring back an end earlier than this process counts on.
        """
        deadline = lease_guard.clock() + TTL_S
        given = {"of_name": self.name, "of_refuses": sorted(self._unknown.union(refuses))}

        def work(connection: Connection) -> tuple[list[Any], list[Any]] | None:
            run_text(connection, _END_FROZEN)
            if not fetch_all(connection, _RENEW, given):
                return None
            # After the row is locked, which whoever takes from a dead process locks, too: what was taken is seen here.
            return fetch_all(connection, _LIVING, {}), fetch_all(connection, _OWNERS, {})

        found = self._store.submit(work, deadline_s=_DEADLINE_S, is_urgent=True)
        if found is None:
            self._lose(self.held)
            return None
        living, rows = found
        self._deadline = deadline
        self._learn(rows)
        self._keep({row.account: row.epoch for row in rows if row.owner == self.name})
        return self._snapshot(living, rows)

    def take(self, accounts: Collection[str], *, at_most: int) -> None:
        """Of these what nobody has, the first ones first. It is good for as long as this process was renewed for."""
        given = {"of_accounts": list(accounts), "at_most": at_most}
        rows = self._store.submit(lambda connection: self._take(connection, given), deadline_s=_DEADLINE_S)
        self._keep({each: lease.epoch for each, lease in self.held.items()} | {row.account: row.epoch for row in rows})

    def _take(self, connection: Connection, given: Mapping[str, object]) -> list[Any]:
        free = fetch_all(connection, _FREE, given)
        owners = {"of_owners": [row.owner for row in free]}
        # Locked until the commit: a process that comes back to life renews its row only after that, and then sees it.
        dead = {row.name for row in fetch_all(connection, _DEAD, owners)}
        gone = {row.owner for row in free} - {row.name for row in fetch_all(connection, _KNOWN, owners)}
        taken = [row.account for row in free if row.owner in dead | gone]
        return fetch_all(connection, _TAKE, {"of_name": self.name, "of_accounts": taken}) if taken else []

    def give_back(self, accounts: Collection[str]) -> None:
        """Others may have them at once; here nothing may be under way in them any more."""

        def work(connection: Connection) -> None:
            run(connection, _GIVE_BACK, {"of_name": self.name, "of_accounts": list(accounts)})
            notify(connection, [PLACED])

        self._store.submit(work, deadline_s=_DEADLINE_S, is_urgent=True)
        self._lose(accounts)

    def end(self) -> None:
        """This process executes no more, and nothing is under way here: others may have everything at once."""

        def work(connection: Connection) -> None:
            run(connection, _END, {"of_name": self.name})
            run(connection, _GIVE_BACK_ALL, {"of_name": self.name})
            notify(connection, [PLACED])

        self._store.submit(work, deadline_s=_DEADLINE_S, is_urgent=True)
        self._lose(self.held)

    def _learn(self, rows: list[Any]) -> None:
        self._unknown = frozenset(row.account for row in rows).difference(self._accounts)

    def _keep(self, epochs: Mapping[str, int]) -> None:
        """This is what the process has, some of it perhaps without having heard so before: an answer can get lost."""
        self._lose([each for each, lease in self.held.items() if epochs.get(each) != lease.epoch])
        for lease in self.held.values():
            lease.deadline = self._deadline
        new = {
            each: AccountLease(name=each, epoch=epoch, deadline=self._deadline)
            for each, epoch in epochs.items()
            if each not in self.held
        }
        self.held = {**self.held, **new}

    def _lose(self, accounts: Collection[str]) -> None:
        for each in accounts:
            if each in self.held:
                self.held[each].is_lost = True
        self.held = {each: lease for each, lease in self.held.items() if not lease.is_lost}

    def _snapshot(self, living: list[Any], rows: list[Any]) -> OwnerSnapshot:
        others = [row for row in living if row.name != self.name]
        alive = {row.name for row in living}
        return OwnerSnapshot(
            name=self.name,
            refusals={row.name: frozenset(row.refuses) for row in others},
            owners={row.account: row.owner for row in rows if row.owner in alive},
            expires_in_s=min((row.left_ms / 1000 for row in others), default=None),
        )
