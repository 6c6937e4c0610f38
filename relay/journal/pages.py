"""Questions of the pages: counts of a day, and what stands behind one signal."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Connection, Text, cast, func, or_, select

from relay.domain.performance import Stroke
from relay.domain.rounding import plain
from relay.domain.status import SignalStatus
from relay.journal.codec import rfc3339
from relay.journal.ids import first_id_at
from relay.journal.tables import attempts, fills, orders, plans, signals

_COUNTED_MAX = 5_000_000
_TEXT_SEARCHED = 10_000
"""A search by text looks through so many of the newest signals: it must stay quick in a long journal."""
_STROKES_MAX = 50_000


def counts_since(connection: Connection, since_ms: int) -> dict[SignalStatus, int]:
    """Of each status that occurs among the signals received since. Ids are in the order of time and have an index."""
    # The bound keeps the two steps apart: in one, SQLite would walk the index of all statuses there ever were.
    since = select(signals.c.status).where(signals.c.id >= first_id_at(since_ms)).limit(_COUNTED_MAX).subquery()
    asked = select(since.c.status, func.count()).group_by(since.c.status)
    found = {row[0]: row[1] for row in connection.execute(asked)}
    return {status: found[status] for status in SignalStatus if status in found}


def has_text(connection: Connection, text: str) -> ColumnElement[bool]:
    """Whether the id, ticker, reason or the alert itself holds `text`, among the newest signals."""
    newest = connection.execute(select(func.max(signals.c.seq))).scalar() or 0
    places = (signals.c.id, signals.c.ticker, signals.c.reason_message, cast(signals.c.alert, Text))
    found = or_(*(place.icontains(text, autoescape=True) for place in places))
    return (signals.c.seq > newest - _TEXT_SEARCHED) & found


def plans_of(connection: Connection, signal_id: str) -> list[dict[str, Any]]:
    """What each plan of a signal was computed from, the latest first."""
    rows = connection.execute(select(plans).where(plans.c.signal_id == signal_id).order_by(plans.c.at.desc()))
    return [
        {"account": row.account, "generation": row.generation, "inputs": row.inputs, "at": rfc3339(row.at)}
        for row in rows
    ]


def fills_of(connection: Connection, signal_id: str, signal_price: Decimal | None) -> list[dict[str, Any]]:
    """A signal's fills, the earliest first; slippage in percent of the alert's price, above zero where it cost."""
    joined = select(fills, orders.c.side).join(orders, orders.c.client_order_id == fills.c.client_order_id)
    rows = connection.execute(joined.where(orders.c.signal_id == signal_id).order_by(fills.c.at))
    shown = []
    for row in rows:
        slippage = None
        if signal_price:
            slippage = plain(
                ((row.price - signal_price) / signal_price * 100 * row.side.sign).quantize(Decimal("0.0001"))
            )
        shown.append(
            {
                "at": rfc3339(row.at),
                "account": row.account,
                "qty": plain(row.qty),
                "price": plain(row.price),
                "fee": plain(row.fee),
                "fee_coin": row.fee_coin,
                "is_maker": row.is_maker,
                "slippage_pct": slippage,
            }
        )
    return shown


def strokes(connection: Connection, strategy: str | None, since_ms: int) -> list[Stroke]:
    """Every fill since, with what is needed to reckon with it, in the order of the exchange's time."""
    asked = (
        select(
            *(fills.c.account, fills.c.qty, fills.c.price, fills.c.fee, fills.c.at),
            *(orders.c.category, orders.c.symbol, orders.c.side),
            *(signals.c.id, signals.c.strategy, signals.c.alert, signals.c.received_at),
            select(func.min(attempts.c.sent_at))
            .where(attempts.c.client_order_id == orders.c.client_order_id)
            .scalar_subquery()
            .label("submitted_at"),
        )
        .join(orders, orders.c.client_order_id == fills.c.client_order_id)
        .join(signals, signals.c.id == orders.c.signal_id)
        .where(signals.c.id >= first_id_at(since_ms))
    )
    if strategy is not None:
        asked = asked.where(signals.c.strategy == strategy)
    rows = connection.execute(asked.order_by(fills.c.at.desc()).limit(_STROKES_MAX)).all()
    return [_stroke(row) for row in reversed(rows)]


def _stroke(row: Any) -> Stroke:
    return Stroke(
        signal_id=row.id,
        strategy=row.strategy or "",
        account=row.account,
        category=row.category,
        symbol=row.symbol,
        side=row.side,
        qty=row.qty,
        price=row.price,
        fee=row.fee,
        at_ms=row.at,
        signal_price=signal_price(row.alert),
        submitted_after_ms=None if row.submitted_at is None else max(0, row.submitted_at - row.received_at),
    )


def signal_price(alert: Any) -> Decimal | None:
    """The alert's own price, as its sender wrote it; None where it brings none that can be read."""
    try:
        price = Decimal(str(alert.get("signal_price", "")).strip())
    except (ArithmeticError, AttributeError):
        return None
    return price if price.is_finite() and price > 0 else None
