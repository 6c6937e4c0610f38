"""Questions of people: lists of signals and orders, and one signal with all that is known of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Connection, Row, Select, Text, bindparam, exists, func, select

from relay.domain.order import OrderStatus
from relay.domain.status import SignalStatus
from relay.journal.pages import has_text
from relay.journal.prepared import all_of, first_of
from relay.journal.records import SignalPage
from relay.journal.shown import shown_order, shown_signal
from relay.journal.tables import IS_OPEN, OPEN_STATUSES, assignments, events, orders, plans, signals
from relay.journal.timing import derived

MAX_LIMIT = 500
_ATTENTION = "attention-"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalFilter:
    """None: any."""

    strategy: str | None = None
    account: str | None = None
    symbol: str | None = None
    status: SignalStatus | None = None
    text: str | None = None
    """Somewhere in the alert, the ticker, the id or the reason, among the newest signals."""


def find_signals(
    connection: Connection, which: SignalFilter, *, limit: int, cursor: str | None, attention_first: bool
) -> SignalPage:
    """The latest first. `cursor` is the `next_cursor` of the page before; ValueError if it is not one."""
    limit = max(1, min(limit, MAX_LIMIT))
    in_attention, before_seq = _read_cursor(cursor)
    asked = _matching(which)
    if which.text is not None:
        asked = asked.where(has_text(connection, which.text))
    if not attention_first or which.status is not None:
        rows = connection.execute(_page(asked, before_seq, limit + 1)).all()
        return _as_page(connection, rows, limit)
    attention: list[Row[Any]] = []
    if cursor is None or in_attention:
        needed = asked.where(signals.c.status == SignalStatus.ATTENTION)
        attention = list(connection.execute(_page(needed, before_seq, limit + 1)))
        before_seq = None
    others = asked.where(signals.c.status != SignalStatus.ATTENTION)
    missing = limit + 1 - len(attention)
    rest = connection.execute(_page(others, before_seq, missing)).all() if missing > 0 else []
    return _as_page(connection, [*attention, *rest], limit)


def _read_cursor(cursor: str | None) -> tuple[bool, int | None]:
    if cursor is None:
        return False, None
    number = cursor.removeprefix(_ATTENTION)
    if not (number.isascii() and number.isdigit() and len(number) <= 18):
        raise ValueError("this is not a cursor of a list of signals")
    return number != cursor, int(number)


def _matching(which: SignalFilter) -> Select[Any]:
    asked = select(signals)
    if which.strategy is not None:
        asked = asked.where(signals.c.strategy == which.strategy)
    if which.symbol is not None:
        asked = asked.where(signals.c.symbol == which.symbol)
    if which.status is not None:
        asked = asked.where(signals.c.status == which.status)
    if which.account is not None:
        on_account = exists().where(assignments.c.signal_id == signals.c.id, assignments.c.account == which.account)
        asked = asked.where(on_account)
    return asked


def _page(asked: Select[Any], before_seq: int | None, limit: int) -> Select[Any]:
    if before_seq is not None:
        asked = asked.where(signals.c.seq < before_seq)
    return asked.order_by(signals.c.seq.desc()).limit(limit)


def _as_page(connection: Connection, rows: Iterable[Row[Any]], limit: int) -> SignalPage:
    """`rows` has one more than the page where there is a next one."""
    found = list(rows)
    shown, next_cursor = found[:limit], None
    if len(found) > limit:
        last = shown[-1]
        needs = last.status is SignalStatus.ATTENTION
        next_cursor = f"{_ATTENTION if needs else ''}{last.seq}"
    return SignalPage(signals=_show(connection, shown), next_cursor=next_cursor)


def find_signal(connection: Connection, signal_id: str) -> dict[str, Any] | None:
    """In full, with what is derived from it."""
    of_signal = {"of_signal": signal_id}
    row = first_of(connection, _SIGNAL, of_signal)
    if row is None:
        return None
    of_orders, of_events, of_plans = (all_of(connection, each, of_signal) for each in (_ORDERS, _EVENTS, _PLANS))
    notes = [note for plan in of_plans for note in plan.notes]
    return shown_signal(row, plan_notes=notes, orders=of_orders, events=of_events) | derived(connection, signal_id)


_this = bindparam("of_signal", type_=Text)
_SIGNAL = select(signals).where(signals.c.id == _this)
_ORDERS = select(orders).where(orders.c.signal_id == _this).order_by(orders.c.client_order_id)
_EVENTS = select(events).where(events.c.signal_id == _this).order_by(events.c.id)
_PLANS = select(plans).where(plans.c.signal_id == _this).order_by(plans.c.at)


def _show(connection: Connection, rows: Iterable[Row[Any]]) -> list[dict[str, Any]]:
    found = list(rows)
    ids = [row.id for row in found]
    of_orders = _by_signal(connection, select(orders).order_by(orders.c.client_order_id), orders.c.signal_id, ids)
    of_events = _by_signal(connection, select(events).order_by(events.c.id), events.c.signal_id, ids)
    of_plans = _by_signal(connection, select(plans).order_by(plans.c.at), plans.c.signal_id, ids)
    return [
        shown_signal(
            row,
            plan_notes=[note for plan in of_plans[row.id] for note in plan.notes],
            orders=of_orders[row.id],
            events=of_events[row.id],
        )
        for row in found
    ]


def _by_signal(
    connection: Connection, asked: Select[Any], signal_id: Column[Any], ids: list[str]
) -> defaultdict[str, list[Row[Any]]]:
    rows: defaultdict[str, list[Row[Any]]] = defaultdict(list)
    if ids:
        for row in connection.execute(asked.where(signal_id.in_(ids))):
            rows[row.signal_id].append(row)
    return rows


def find_orders(
    connection: Connection,
    *,
    account: str | None,
    symbol: str | None,
    status: OrderStatus | None,
    open_only: bool,
    limit: int,
) -> list[dict[str, Any]]:
    """The latest first: client order ids begin with the signal's, which are in order of time."""
    asked = select(orders)
    for column, value in ((orders.c.account, account), (orders.c.symbol, symbol), (orders.c.status, status)):
        if value is not None:
            asked = asked.where(column == value)
    limit = max(1, min(limit, MAX_LIMIT))
    if open_only or status in OPEN_STATUSES:
        # These are few and have their own index, which SQLite would pass over for ORDER BY.
        rows = connection.execute(asked.where(IS_OPEN)).all()
        found = sorted(rows, key=lambda row: row.client_order_id, reverse=True)[:limit]
    else:
        found = list(connection.execute(asked.order_by(orders.c.client_order_id.desc()).limit(limit)))
    return [shown_order(row) for row in found]


def count_signals(connection: Connection) -> dict[SignalStatus, int]:
    """Of each status that occurs."""
    counted = select(signals.c.status, func.count()).group_by(signals.c.status)
    return {row[0]: row[1] for row in connection.execute(counted)}
