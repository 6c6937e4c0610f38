"""Questions of the engine: what is to be done, and what is out at the exchange."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Row, Select, and_, func, select

from relay.domain.instrument import Category
from relay.domain.order import OrderStatus
from relay.domain.plan import Carry
from relay.journal.coding import order_of, planned_from_json, reason_of, signal_of
from relay.journal.records import Assignment, OrderRecord, PlanRecord, Switch
from relay.journal.tables import (
    IS_OPEN,
    IS_UNFINISHED,
    assignments,
    attempts,
    carries,
    orders,
    plans,
    signals,
    switches,
)

_CHUNK = 500
_of_plan = and_(
    plans.c.signal_id == assignments.c.signal_id,
    plans.c.account == assignments.c.account,
    plans.c.generation == assignments.c.generation,
)


def unfinished(connection: Connection) -> tuple[Assignment, ...]:
    """All that is accepted and not finished, in the order in which it is to be executed."""
    return _assignments(connection, IS_UNFINISHED)


def first_of_lane(connection: Connection, account: str, category: Category | None, symbol: str) -> Assignment | None:
    """The oldest unfinished; `category` None: of alerts of the ticker `symbol` whose instrument is not known."""
    of_lane = IS_UNFINISHED & (assignments.c.account == account)
    if category is None:
        ticker = func.coalesce(signals.c.ticker, "") == symbol
        asked = select(assignments.c.signal_id).join(signals, signals.c.id == assignments.c.signal_id)
        asked = asked.where(of_lane, assignments.c.category.is_(None), ticker)
    else:
        of_instrument = (assignments.c.category == category) & (assignments.c.symbol == symbol)
        asked = select(assignments.c.signal_id).where(of_lane, of_instrument)
    signal_id = connection.execute(asked.order_by(assignments.c.seq).limit(1)).scalar()
    return None if signal_id is None else assignment(connection, signal_id, account)


def nameless(connection: Connection, account: str, *, until_seq: int) -> tuple[Assignment, ...]:
    """What was accepted before any instrument was known and not after `until_seq`, oldest first."""
    of_account = IS_UNFINISHED & (assignments.c.account == account) & (assignments.c.seq <= until_seq)
    return _assignments(connection, of_account & assignments.c.category.is_(None))


def assignment(connection: Connection, signal_id: str, account: str) -> Assignment | None:
    which = (assignments.c.signal_id == signal_id) & (assignments.c.account == account)
    return next(iter(_assignments(connection, which)), None)


def assignments_of(connection: Connection, signal_id: str) -> tuple[Assignment, ...]:
    return _assignments(connection, assignments.c.signal_id == signal_id)


def _assignments(connection: Connection, which: ColumnElement[bool]) -> tuple[Assignment, ...]:
    joined = assignments.join(signals, signals.c.id == assignments.c.signal_id)
    signal_rows = {row.id: row for row in connection.execute(select(signals).select_from(joined).where(which))}
    plan_rows = connection.execute(select(plans).join_from(assignments, plans, _of_plan).where(which))
    plan_of = {(row.signal_id, row.account): _plan(row) for row in plan_rows}
    orders_of: defaultdict[tuple[str, str, int], list[OrderRecord]] = defaultdict(list)
    ids = list(signal_rows)
    for start in range(0, len(ids), _CHUNK):
        for order in _orders(connection, orders.c.signal_id.in_(ids[start : start + _CHUNK])):
            orders_of[order.signal_id, order.account, order.generation].append(order)
    rows = connection.execute(select(assignments).where(which).order_by(assignments.c.seq, assignments.c.account))
    return tuple(
        Assignment(
            signal=signal_of(signal_rows[row.signal_id]),
            account=row.account,
            seq=row.seq,
            generation=row.generation,
            status=row.status,
            opened_at_ms=row.opened_at,
            plan=plan_of.get((row.signal_id, row.account)),
            orders=tuple(orders_of[row.signal_id, row.account, row.generation]),
        )
        for row in rows
    )


def _plan(row: Row[Any]) -> PlanRecord:
    return PlanRecord(
        inputs=row.inputs,
        orders=tuple(planned_from_json(each) for each in row.orders),
        notes=tuple(row.notes),
        reason=reason_of(row),
        at_ms=row.at,
    )


def _orders(connection: Connection, which: ColumnElement[bool]) -> list[OrderRecord]:
    """By signal, account and leg. Sorted here, since for ORDER BY SQLite would pass over a partial index."""
    rows = sorted(connection.execute(select(orders).where(which)), key=lambda row: row.client_order_id)
    attempts_of = _in_chunks(
        connection, select(attempts), attempts.c.client_order_id, [r.client_order_id for r in rows]
    )
    return [order_of(r, sorted(attempts_of[r.client_order_id], key=lambda each: each.number)) for r in rows]


def _in_chunks(
    connection: Connection, asked: Select[Any], column: Column[Any], values: Sequence[str]
) -> defaultdict[str, list[Row[Any]]]:
    """The rows of each value; a statement takes only so many parameters."""
    found: defaultdict[str, list[Row[Any]]] = defaultdict(list)
    for start in range(0, len(values), _CHUNK):
        for row in connection.execute(asked.where(column.in_(values[start : start + _CHUNK]))):
            found[getattr(row, column.key)].append(row)
    return found


def order(connection: Connection, client_order_id: str) -> OrderRecord | None:
    return next(iter(_orders(connection, orders.c.client_order_id == client_order_id)), None)


def open_orders(connection: Connection) -> tuple[OrderRecord, ...]:
    """All that may be at the exchange and has not ended, on any account: to be followed."""
    return tuple(_orders(connection, IS_OPEN))


def resting_orders(connection: Connection, account: str, category: Category, symbol: str) -> tuple[OrderRecord, ...]:
    """The relay's own orders that may be open at the exchange for long: limits and conditionals that have not ended."""
    lane = and_(orders.c.account == account, orders.c.category == category, orders.c.symbol == symbol)
    found = _orders(connection, IS_OPEN & lane)
    return tuple(each for each in found if each.state.rests or each.state.planned.rests)


def carry(connection: Connection, account: str, category: Category, symbol: str) -> Carry | None:
    which = and_(carries.c.account == account, carries.c.category == category, carries.c.symbol == symbol)
    size = connection.execute(select(carries.c.size).where(which)).scalar()
    return None if size is None else Carry(size=size)


def all_switches(connection: Connection) -> tuple[Switch, ...]:
    return tuple(
        Switch(account=row.account, name=row.name, value=row.value, at_ms=row.at, by=row.by)
        for row in connection.execute(select(switches).order_by(switches.c.account, switches.c.name))
    )


def ordered_symbols(connection: Connection, account: str) -> tuple[tuple[Category, str], ...]:
    """Where something of the relay's may be open, so far as the relay is its author."""
    sent = orders.c.status.not_in((OrderStatus.PLANNED, OrderStatus.DENIED))
    which = select(orders.c.category, orders.c.symbol).where(orders.c.account == account, sent).distinct()
    return tuple((row.category, row.symbol) for row in connection.execute(which))
