"""An account's name in the journal: which ones it knows, another name for one, and one that is given up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Table, and_, delete, exists, insert, literal, select, update

from relay.domain.bracket import BracketStatus
from relay.domain.order import Reason, SignalStatus
from relay.errors import RelayError
from relay.journal import tables
from relay.journal.engine_queries import unfinished
from relay.journal.journal import Journal
from relay.journal.positions import live_brackets
from relay.journal.records import HALT
from relay.journal.unit_of_work import UnitOfWork

FORGOTTEN: Final = "forgotten"
"""The switch of an account that is configured no more, and of which a person wants to hear nothing more."""
_BY: Final = "rename-account"
_OF_SIGNALS: Final = (tables.plans, tables.orders, tables.guards)
_SUMMED: Final = (tables.day_totals, tables.trade_totals)
_NEWEST: Final = (tables.beliefs, tables.carries, tables.switches, tables.account_owner, tables.account_reports)
"""Of a row that both names have, the new name's is kept; elsewhere the old name's, which knows more of the past."""


class NotRenamed(RelayError):
    """The account keeps its name in the journal."""


def known_accounts(journal: Journal) -> tuple[str, ...]:
    """Those of which anything was ordered, or a position read."""
    with journal.store.read() as connection:
        names = (connection.scalars(select(each.c.account).distinct()) for each in (tables.assignments, tables.beliefs))
        return tuple(sorted({name for of_table in names for name in of_table}))


def accounts_with_open(journal: Journal) -> frozenset[str]:
    """Those with an unfinished signal, an open order, a live bracket, or a position that was read once, flat or not.

    By the partial indexes, since it is asked for every minute.
    """
    wanted = (
        select(tables.assignments.c.account).where(tables.IS_UNFINISHED),
        select(tables.orders.c.account).where(tables.IS_OPEN),
        select(tables.guards.c.account).where(tables.IS_LIVE),
        select(tables.beliefs.c.account),
    )
    with journal.store.read() as connection:
        return frozenset(name for each in wanted for name in connection.scalars(each.distinct()))


def rename(journal: Journal, old: str, new: str) -> None:
    """All that is known of `old` is known of `new` from now on. No relay may run. Raises NotRenamed."""
    journal.store.submit(lambda connection: _rename(connection, old, new), deadline_s=60)


def _rename(connection: Connection, old: str, new: str) -> None:
    both = tables.assignments.alias()
    went = select(both.c.signal_id).where(both.c.account == new)
    found = connection.execute(
        select(tables.assignments.c.signal_id)
        .where(tables.assignments.c.account == old, tables.assignments.c.signal_id.in_(went))
        .limit(1)
    ).scalar()
    if found is not None:
        raise NotRenamed(f"signal {found} went to {old} and to {new}: they are two accounts")
    halted = select(tables.switches.c.by).where(
        tables.switches.c.account == old, tables.switches.c.name == HALT, tables.switches.c.value == "on"
    )
    if connection.execute(halted).first() is not None:
        is_halt = and_(tables.switches.c.account == new, tables.switches.c.name == HALT)
        connection.execute(delete(tables.switches).where(is_halt))
    # Their orders point to them: so they are there under both names until those have moved.
    columns = [each for each in tables.assignments.c if each.name != "account"]
    copied = select(*columns, literal(new)).where(tables.assignments.c.account == old)
    connection.execute(insert(tables.assignments).from_select([*[each.name for each in columns], "account"], copied))
    for table in _OF_SIGNALS:
        connection.execute(update(table).where(table.c.account == old).values(account=new))
    connection.execute(delete(tables.assignments).where(tables.assignments.c.account == old))
    done = {tables.assignments, *_OF_SIGNALS}
    for table in tables.metadata.sorted_tables:
        if "account" in table.c and table not in done:
            _move(connection, table, old, new)
    for row in connection.execute(select(tables.trades).where(tables.trades.c.account == new)).all():
        if row.body.get("account") == old:
            body = {**row.body, "account": new}
            connection.execute(update(tables.trades).where(tables.trades.c.id == row.id).values(body=body))


def _move(connection: Connection, table: Table, old: str, new: str) -> None:
    """Where both names have a row of the same key, one of the two goes."""
    if "account" in table.primary_key.columns:
        if table in _SUMMED:
            _sum(connection, table, old, new)
        loser, winner = (old, new) if table in (*_NEWEST, *_SUMMED) else (new, old)
        connection.execute(delete(table).where(table.c.account == loser, _has_twin(table, winner)))
    connection.execute(update(table).where(table.c.account == old).values(account=new))


def _has_twin(table: Table, account: str) -> ColumnElement[bool]:
    twin = table.alias()
    same = [twin.c[each.name] == each for each in table.primary_key.columns if each.name != "account"]
    return exists(select(literal(1)).where(twin.c.account == account, *same))


def _sum(connection: Connection, table: Table, old: str, new: str) -> None:
    """Into the new name's row. What is no number and is not empty on one side alone keeps the new name's."""
    keys = [each.name for each in table.primary_key.columns if each.name != "account"]
    numbers = [each.name for each in table.c if each.name not in (*keys, "account") and not each.nullable]
    rows = {
        tuple(row._mapping[each] for each in keys): row
        for row in connection.execute(select(table).where(table.c.account == old))
    }
    for row in connection.execute(select(table).where(table.c.account == new)).all():
        other = rows.get(tuple(row._mapping[each] for each in keys))
        if other is not None:
            which = [table.c[each] == row._mapping[each] for each in keys]
            summed: dict[str, Any] = {each: row._mapping[each] + other._mapping[each] for each in numbers}
            connection.execute(update(table).where(table.c.account == new, *which).values(summed))


def forget(journal: Journal, account: str, *, now_ms: int) -> None:
    """What was unfinished there ends unexecuted, and nothing of it is followed. No relay may run."""
    reason = Reason(code="ACCOUNT_FORGOTTEN", message=f"the account {account} is configured no more, and was given up")
    journal.store.submit(_forgetting(account, reason, now_ms), deadline_s=60)


def _forgetting(account: str, reason: Reason, now_ms: int) -> Callable[[Connection], None]:
    def work(connection: Connection) -> None:
        uow = UnitOfWork(connection)
        for each in unfinished(connection):
            if each.account == account:
                uow.signals.finish(each.signal.id, account, SignalStatus.FAILED, reason, (), now_ms=now_ms)
        for record in live_brackets(connection, account):
            uow.protection.save(record.seq, replace(record.bracket, status=BracketStatus.OVER), now_ms=now_ms)
        uow.set_switch(account, FORGOTTEN, "on", by=_BY, now_ms=now_ms)
        uow.events.flush()

    return work
