"""Questions of the engine: what is to be done, and what is out at the exchange."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Row, Select, and_, bindparam, func, literal, select

from relay.domain.instrument import Category
from relay.domain.order import OrderStatus, Reason
from relay.domain.plan import Carry
from relay.journal.coding import order_of, planned_from_json, signal_of
from relay.journal.ids import first_id_at
from relay.journal.prepared import all_of, sole_of
from relay.journal.records import HALT, Assignment, AttemptOutcome, Circumstances, OrderRecord, PlanRecord, Switch
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


def first_of_lane(
    connection: Connection, account: str, category: Category | None, symbol: str, *, nameless_until: int | None = None
) -> Assignment | None:
    """The oldest unfinished; `category` None: of alerts of the ticker `symbol` whose instrument is not known.

    Alerts of the account whose instrument is not known are among them, since they may belong here; but for those that
    were accepted up to `nameless_until`.
    """
    of = {"of_account": account, "of_symbol": symbol}
    if category is None:
        rows = all_of(connection, _FIRST_OF_TICKER, of)
    else:
        past = -1 if nameless_until is None else nameless_until
        rows = all_of(connection, _FIRST_OF_LANE, of | {"of_category": category, "of_seq": past})
    return next(iter(_read(connection, rows)), None)


def unfinished_of(connection: Connection, account: str, category: Category, symbol: str) -> tuple[Assignment, ...]:
    of_lane = (assignments.c.category == category) & (assignments.c.symbol == symbol)
    return _assignments(connection, IS_UNFINISHED & (assignments.c.account == account) & of_lane)


def nameless(connection: Connection, account: str) -> tuple[Assignment, ...]:
    of_account = IS_UNFINISHED & (assignments.c.account == account)
    return _assignments(connection, of_account & assignments.c.category.is_(None))


def assignment(connection: Connection, signal_id: str, account: str) -> Assignment | None:
    which = (assignments.c.signal_id == signal_id) & (assignments.c.account == account)
    return next(iter(_assignments(connection, which)), None)


def assignments_of(connection: Connection, signal_id: str) -> tuple[Assignment, ...]:
    return _assignments(connection, assignments.c.signal_id == signal_id)


_OF_ASSIGNMENT = [each.label(f"assignment_{each.key}") for each in assignments.c]
_OF_PLAN = [each.label(f"plan_{each.key}") for each in plans.c]
_WHOLE = select(*signals.c, *_OF_ASSIGNMENT, *_OF_PLAN).select_from(
    assignments.join(signals, signals.c.id == assignments.c.signal_id).outerjoin(plans, _of_plan)
)


_OLDEST_FIRST = (assignments.c.seq, assignments.c.account)
_is_nameless = assignments.c.category.is_(None)
_of_lane = (assignments.c.category == bindparam("of_category")) & (assignments.c.symbol == bindparam("of_symbol"))
_FIRST = _WHOLE.where(IS_UNFINISHED & (assignments.c.account == bindparam("of_account")))
_FIRST = _FIRST.order_by(*_OLDEST_FIRST).limit(1)
_FIRST_OF_TICKER = _FIRST.where(_is_nameless & (func.coalesce(signals.c.ticker, "") == bindparam("of_symbol")))
_FIRST_OF_LANE = _FIRST.where(_of_lane | _is_nameless & (assignments.c.seq > bindparam("of_seq")))


def _assignments(connection: Connection, which: ColumnElement[bool]) -> tuple[Assignment, ...]:
    """In the order in which they are to be executed."""
    return _read(connection, connection.execute(_WHOLE.where(which).order_by(*_OLDEST_FIRST)).all())


def _read(connection: Connection, rows: Sequence[Any]) -> tuple[Assignment, ...]:
    """What has no plan yet has no orders either."""
    orders_of: defaultdict[tuple[str, str, int], list[OrderRecord]] = defaultdict(list)
    ids = list({row.id for row in rows if row.plan_at is not None})
    for start in range(0, len(ids), _CHUNK):
        for order in _orders(connection, orders.c.signal_id.in_(ids[start : start + _CHUNK])):
            orders_of[order.signal_id, order.account, order.generation].append(order)
    return tuple(
        Assignment(
            signal=signal_of(row),
            account=row.assignment_account,
            seq=row.assignment_seq,
            generation=row.assignment_generation,
            status=row.assignment_status,
            opened_at_ms=row.assignment_opened_at,
            plan=None if row.plan_at is None else _plan(row),
            orders=tuple(orders_of[row.id, row.assignment_account, row.assignment_generation]),
            reason_code=row.assignment_reason_code,
        )
        for row in rows
    )


def _plan(row: Row[Any]) -> PlanRecord:
    reason = Reason(code=row.plan_reason_code, message=row.plan_reason_message) if row.plan_reason_code else None
    return PlanRecord(
        inputs=row.plan_inputs,
        orders=tuple(planned_from_json(each) for each in row.plan_orders),
        notes=tuple(row.plan_notes),
        reason=reason,
        at_ms=row.plan_at,
    )


def _orders(connection: Connection, which: ColumnElement[bool]) -> list[OrderRecord]:
    """By signal, account and leg."""
    return _with_attempts(connection, connection.execute(select(orders).where(which)).all())


def _with_attempts(connection: Connection, found: Sequence[Any]) -> list[OrderRecord]:
    """Sorted here, since for ORDER BY SQLite would pass over a partial index."""
    rows = sorted(found, key=lambda row: row.client_order_id)
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


_DENIED_IN_DOUBT = select(orders).where(
    orders.c.client_order_id >= bindparam("of_id"),
    orders.c.status == OrderStatus.DENIED,
    orders.c.updated_at >= bindparam("of_time"),
    select(attempts.c.number)
    .where(
        attempts.c.client_order_id == orders.c.client_order_id,
        attempts.c.outcome.is_(None) | (attempts.c.outcome == AttemptOutcome.UNKNOWN),
    )
    .exists(),
)


def denied_in_doubt(connection: Connection, *, since_ms: int, of_signals_since_ms: int) -> tuple[OrderRecord, ...]:
    """Orders denied since then that may once have been sent: held to be absent, on the best evidence there was."""
    of = {"of_id": first_id_at(of_signals_since_ms), "of_time": since_ms}
    return tuple(_with_attempts(connection, all_of(connection, _DENIED_IN_DOUBT, of)))


_OPEN_OF_LANE = select(orders).where(
    IS_OPEN,
    orders.c.account == bindparam("of_account"),
    orders.c.category == bindparam("of_category"),
    orders.c.symbol == bindparam("of_symbol"),
)


def resting_orders(connection: Connection, account: str, category: Category, symbol: str) -> tuple[OrderRecord, ...]:
    """The relay's own orders that may be open at the exchange for long: limits and conditionals that have not ended."""
    of = {"of_account": account, "of_category": category, "of_symbol": symbol}
    found = _with_attempts(connection, all_of(connection, _OPEN_OF_LANE, of))
    return tuple(each for each in found if each.state.rests or each.state.planned.rests)


_NOBODY = select(literal(1).label("one")).subquery()
_CIRCUMSTANCES = select(
    carries.c.size.label("carried"), switches.c.account, switches.c.name, switches.c.value, switches.c.at, switches.c.by
).select_from(
    _NOBODY.outerjoin(
        carries,
        (carries.c.account == bindparam("of_account"))
        & (carries.c.category == bindparam("of_category"))
        & (carries.c.symbol == bindparam("of_symbol")),
    ).outerjoin(switches, (switches.c.account == bindparam("of_account")) & (switches.c.name == HALT))
)
"""In one question, since it is asked before every order."""


def circumstances(connection: Connection, account: str, category: Category, symbol: str) -> Circumstances:
    read_at = time.monotonic()
    of = {"of_account": account, "of_category": category, "of_symbol": symbol}
    row = sole_of(connection, _CIRCUMSTANCES, of)
    return Circumstances(
        halt=None if row.name is None else _switch(row),
        carry=None if row.carried is None else Carry(size=row.carried),
        read_at=read_at,
    )


def _switch(row: Any) -> Switch:
    return Switch(account=row.account, name=row.name, value=row.value, at_ms=row.at, by=row.by)


def all_switches(connection: Connection) -> tuple[Switch, ...]:
    return tuple(
        _switch(row) for row in connection.execute(select(switches).order_by(switches.c.account, switches.c.name))
    )


_ORDERED = (
    select(orders.c.client_order_id)
    .join(signals, signals.c.id == orders.c.signal_id)
    .where(
        signals.c.symbol == bindparam("of_symbol"),
        orders.c.account == bindparam("of_account"),
        orders.c.category == bindparam("of_category"),
        orders.c.symbol == bindparam("of_symbol"),
        orders.c.status.not_in((OrderStatus.PLANNED, OrderStatus.DENIED)),
    )
    .limit(1)
)
"""By way of the signals, which are found by their symbol: a long journal need not be read through."""


def ordered_among(
    connection: Connection, account: str, lanes: Iterable[tuple[Category, str]]
) -> frozenset[tuple[Category, str]]:
    """Those of the instruments where something of the relay's may be open, so far as the relay is its author."""
    of = {"of_account": account}
    return frozenset(
        lane
        for lane in lanes
        if connection.execute(_ORDERED, of | {"of_category": lane[0], "of_symbol": lane[1]}).first() is not None
    )
