"""Ask the exchange for one order: what it says of it, and its fills where there are any."""

from __future__ import annotations

from decimal import Decimal

from relay.domain.order import OrderStatus
from relay.domain.position import Fill, OrderReport
from relay.domain.reconciliation import OrderState
from relay.pipeline.ports import ExchangePort


def report_of(
    exchange: ExchangePort, order: OrderState, *, is_thorough: bool = False
) -> tuple[OrderReport | None, tuple[Fill, ...]]:
    """None: the exchange has no such order. Raises ExchangeUnreachable or ExchangeAnswered.

    `is_thorough`: an order that is not listed is told by its executions, should there be any.
    """
    planned, identity = order.planned, order.client_order_id
    report = exchange.look_up(category=planned.category, symbol=planned.symbol, client_order_id=identity)
    if report is None and not is_thorough:
        return None, ()
    if report is not None and report.filled_qty <= order.filled_qty:
        return report, ()
    fills = exchange.fills(category=planned.category, symbol=planned.symbol, client_order_id=identity)
    return report or _executed(order, fills), fills


def _executed(order: OrderState, fills: tuple[Fill, ...]) -> OrderReport | None:
    """What executions alone say of an order; None: nothing."""
    filled = sum((fill.qty for fill in fills), Decimal(0))
    if not filled:
        return None
    return OrderReport(
        client_order_id=order.client_order_id,
        venue_order_id=order.venue_order_id or "",
        status=OrderStatus.FILLED if filled >= order.planned.qty else OrderStatus.PARTIALLY_FILLED,
        filled_qty=filled,
        avg_price=sum((fill.qty * fill.price for fill in fills), Decimal(0)) / filled,
        fee=sum((fill.fee for fill in fills), Decimal(0)),
    )


def is_moved_since_sent(exchange: ExchangePort, order: OrderState) -> bool:
    """Whether the order's position has changed since it was first sent. Raises as `report_of` does."""
    position = exchange.position(category=order.planned.category, symbol=order.planned.symbol)
    return position.changed_at_ms is not None and position.changed_at_ms >= order.attempts[0].stamp.timestamp_ms
