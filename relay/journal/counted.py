"""What the limits count: the relay's own orders that may still open or add, its latest entries, and the day's marks."""

from __future__ import annotations

from decimal import Decimal

from sqlalchemy import ColumnElement, Connection, and_, exists, func, insert, select, update

from relay.domain.limit_facts import Working
from relay.domain.order import OrderStatus, PlannedOrder, Purpose
from relay.journal.codec import from_json
from relay.journal.journal import Journal
from relay.journal.tables import IS_OPEN, IS_UNFINISHED, assignments, day_marks, orders, plans, signals

_OPENS = orders.c.purpose.in_((Purpose.ENTRY, Purpose.FLIP))


class Counted:
    """The journal's answers to what the limits ask."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def working_orders(self, account: str) -> tuple[Working, ...]:
        """What the account's own orders may still open or add, of all instruments."""
        with self._journal.store.read() as connection:
            return _working_orders(connection, account)

    def entries_since(self, account: str, strategy: str, since_ms: int) -> int:
        """How many of the strategy's plans for the account had an entry in them."""
        with self._journal.store.read() as connection:
            return _entries_since(connection, account, strategy, since_ms)

    def is_planned(self, signal_id: str, account: str, generation: int) -> bool:
        which = and_(plans.c.signal_id == signal_id, plans.c.account == account, plans.c.generation == generation)
        with self._journal.store.read() as connection:
            return connection.execute(select(plans.c.at).where(which)).first() is not None

    def day_mark(self, account: str, day: str) -> tuple[Decimal, Decimal] | None:
        """The open profit at the day's first reading, and the day's worst result; None before the first reading."""
        with self._journal.store.read() as connection:
            return _day_mark(connection, account, day)

    def mark_day(self, account: str, day: str, *, unrealised: Decimal, result: Decimal) -> None:
        """The first reading of the day sets its mark; a later one keeps it, and the worst result of all."""
        self._journal.write(
            lambda batch: _mark_day(batch.connection, account, day, unrealised=unrealised, result=result)
        )


def _working_orders(connection: Connection, account: str) -> tuple[Working, ...]:
    """What is out at the exchange, and what an unfinished signal has yet to send."""
    columns = (orders.c.category, orders.c.symbol, orders.c.side, orders.c.qty, orders.c.filled_qty, orders.c.planned)
    out = select(*columns).where(IS_OPEN, orders.c.account == account, _OPENS)
    of_signal = and_(
        orders.c.signal_id == assignments.c.signal_id,
        orders.c.account == assignments.c.account,
        orders.c.generation == assignments.c.generation,
    )
    to_come = (
        select(*columns)
        .join_from(assignments, orders, of_signal)
        .where(IS_UNFINISHED, assignments.c.account == account, orders.c.status == OrderStatus.PLANNED, _OPENS)
    )
    found = []
    for row in (*connection.execute(out), *connection.execute(to_come)):
        planned = from_json(PlannedOrder, row.planned)
        price = max((each for each in (planned.price, planned.trigger_price) if each is not None), default=None)
        left = row.qty - row.filled_qty
        found.append(Working(category=row.category, symbol=row.symbol, side=row.side, qty=left, price=price))
    return tuple(each for each in found if each.qty > 0)


def _entries_since(connection: Connection, account: str, strategy: str, since_ms: int) -> int:
    has_entry = exists().where(
        orders.c.signal_id == plans.c.signal_id,
        orders.c.account == plans.c.account,
        orders.c.generation == plans.c.generation,
        _OPENS,
    )
    counted = (
        select(func.count())
        .select_from(plans.join(signals, signals.c.id == plans.c.signal_id))
        .where(plans.c.account == account, plans.c.at > since_ms, signals.c.strategy == strategy, has_entry)
    )
    return int(connection.execute(counted).scalar_one())


def _day_mark(connection: Connection, account: str, day: str) -> tuple[Decimal, Decimal] | None:
    row = connection.execute(select(day_marks).where(_which(account, day))).first()
    return None if row is None else (row.unrealised, row.worst)


def _mark_day(connection: Connection, account: str, day: str, *, unrealised: Decimal, result: Decimal) -> None:
    known = _day_mark(connection, account, day)
    if known is None:
        row = {"account": account, "day": day, "unrealised": unrealised, "worst": result}
        connection.execute(insert(day_marks), row)
    elif result < known[1]:
        connection.execute(update(day_marks).where(_which(account, day)).values(worst=result))


def _which(account: str, day: str) -> ColumnElement[bool]:
    return and_(day_marks.c.account == account, day_marks.c.day == day)
