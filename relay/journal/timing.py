"""How long each stage of a signal took, and what its fills cost against its price: worked out when it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Text, bindparam, func, select

from relay.domain.guard import FIRST_RUNG_LEG
from relay.domain.rounding import plain
from relay.domain.slippage import Fill, slippage_pct
from relay.domain.status import SignalStatus
from relay.journal.codec import rfc3339
from relay.journal.pages import signal_price
from relay.journal.prepared import all_of, sole_of
from relay.journal.records import AttemptOutcome
from relay.journal.tables import attempts, events, fills, orders, signals

STAGES = ("sent", "received", "durable", "submitted", "acknowledged", "filled")

_this = bindparam("of_signal", type_=Text)
_latest = select(func.max(orders.c.generation)).where(orders.c.signal_id == _this).scalar_subquery()
_is_own = (orders.c.signal_id == _this) & (orders.c.leg < FIRST_RUNG_LEG) & (orders.c.generation == _latest)
_FILLED = (
    select(fills.c.qty, fills.c.price, fills.c.at, orders.c.category, orders.c.side)
    .join(orders, orders.c.client_order_id == fills.c.client_order_id)
    .where(_is_own)
)
_TRIED = (
    select(attempts.c.sent_at, attempts.c.answered_at, attempts.c.outcome)
    .join(orders, orders.c.client_order_id == attempts.c.client_order_id)
    .where(_is_own)
)
_SIGNAL = select(signals.c.sent_at, signals.c.received_at, signals.c.alert).where(signals.c.id == _this)
_TAKEN_UP = select(func.min(events.c.at).label("at")).where(
    (events.c.signal_id == _this) & (events.c.name == SignalStatus.EXECUTING)
)


def derived(connection: Connection, signal_id: str) -> dict[str, Any]:
    """`timing` and `slippage` of a signal that is there. Take profits that rest afterwards are no part of it."""
    of_signal = {"of_signal": signal_id}
    filled, tried = all_of(connection, _FILLED, of_signal), all_of(connection, _TRIED, of_signal)
    signal = sole_of(connection, _SIGNAL, of_signal)
    answered = [row.answered_at for row in tried if row.outcome is AttemptOutcome.ACCEPTED]
    timing = shown_timing(
        {
            "sent": signal.sent_at,
            "received": signal.received_at,
            # The first moment of which it is known that the alert was on disk: work on it began.
            "durable": sole_of(connection, _TAKEN_UP, of_signal).at,
            "submitted": min((row.sent_at for row in tried), default=None),
            "acknowledged": min((at for at in answered if at is not None), default=None),
            "filled": max((row.at for row in filled), default=None),
        }
    )
    slip = slippage_pct(map(_fill, filled), signal_price(signal.alert))
    return {"timing": timing, "slippage": None if slip is None else plain(slip)}


def shown_timing(moments: Mapping[str, int | None]) -> dict[str, Any]:
    """Each stage's time, and in `ms` how long after the last known stage before it; null where it never came.

    `sent` is the sender's clock and `filled` the exchange's, so what lies beside them can be below zero.
    """
    between: dict[str, int | None] = {}
    before: int | None = None
    for stage in STAGES:
        at = moments[stage]
        if stage != STAGES[0]:
            between[stage] = None if at is None or before is None else at - before
        before = before if at is None else at
    times = {f"{stage}_at": None if (at := moments[stage]) is None else rfc3339(at) for stage in STAGES}
    return {**times, "ms": between}


def _fill(row: Any) -> Fill:
    return Fill(category=row.category, side=row.side, qty=row.qty, price=row.price)
