"""Whether it is certain that nothing a signal asked for ever had an effect: only then may it be executed again."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, bindparam, select

from relay.domain.order import OrderStatus
from relay.domain.outcome import Refusal, Stamp
from relay.journal.records import AttemptOutcome
from relay.journal.tables import attempts, fills, orders

MAX_GENERATION = 99
"""What a client order id has room for."""
_HARMLESS = (OrderStatus.PLANNED, OrderStatus.REJECTED, OrderStatus.DENIED)
"""A cancelled or expired order was at the exchange, even if nothing of it was filled; that is not nothing."""

_of_signal = orders.c.signal_id == bindparam("of_id")
_ORDERS = select(orders.c.status, orders.c.filled_qty).where(_of_signal)
_ATTEMPTS = select(attempts).join(orders, orders.c.client_order_id == attempts.c.client_order_id).where(_of_signal)
_FILLS = select(fills.c.exec_id).join(orders, orders.c.client_order_id == fills.c.client_order_id).where(_of_signal)


def is_without_effect(connection: Connection, signal_id: str) -> bool:
    """Of all its orders, on all accounts and in all generations."""
    which = {"of_id": signal_id}
    known = connection.execute(_ORDERS, which).all()
    if not known:
        return True
    return (
        all(order.status in _HARMLESS and not order.filled_qty for order in known)
        and all(_had_no_effect(attempt) for attempt in connection.execute(_ATTEMPTS, which))
        and connection.execute(_FILLS, which).first() is None
    )


def _had_no_effect(attempt: Row[Any]) -> bool:
    match attempt.outcome:
        case AttemptOutcome.NOT_SENT:
            return True
        case AttemptOutcome.REJECTED:
            # "Already there" speaks of an earlier send that did arrive.
            return attempt.refusal is not Refusal.ALREADY_THERE
        case AttemptOutcome.UNKNOWN | None:
            stamp = Stamp(timestamp_ms=attempt.timestamp_ms, recv_window_ms=attempt.recv_window_ms)
            return attempt.absent_at_ms is not None and attempt.absent_at_ms > stamp.dead_at_ms
        case _:
            return False
