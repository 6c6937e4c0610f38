"""Whether it is certain that nothing a signal asked for ever had an effect: only then may it be executed again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
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
    if any(order.status not in _HARMLESS or order.filled_qty for order in known):
        return False
    sends_of: defaultdict[str, list[Row[Any]]] = defaultdict(list)
    for attempt in connection.execute(_ATTEMPTS, which):
        sends_of[attempt.client_order_id].append(attempt)
    return all(_had_no_effect(each) for each in sends_of.values()) and connection.execute(_FILLS, which).first() is None


def _had_no_effect(sends: Sequence[Row[Any]]) -> bool:
    """Of one order's sends. That it is absent for certain once none can arrive any more is said of the last one."""
    absent_at_ms = max((each.absent_at_ms or 0 for each in sends), default=0)
    return all(_is_harmless(each, absent_at_ms) for each in sends)


def _is_harmless(attempt: Row[Any], absent_at_ms: int) -> bool:
    match attempt.outcome:
        case AttemptOutcome.NOT_SENT:
            return True
        case AttemptOutcome.REJECTED:
            # "Already there" speaks of an earlier send that did arrive.
            return attempt.refusal is not Refusal.ALREADY_THERE
        case AttemptOutcome.UNKNOWN | None:
            stamp = Stamp(timestamp_ms=attempt.timestamp_ms, recv_window_ms=attempt.recv_window_ms)
            return absent_at_ms > stamp.dead_at_ms
        case _:
            return False
