"""Ask the exchange for one order: what it says of it, and its fills where there are any."""

from __future__ import annotations

from relay.domain.position import Fill, OrderReport
from relay.domain.reconciliation import OrderState
from relay.pipeline.ports import ExchangePort


def report_of(exchange: ExchangePort, order: OrderState) -> tuple[OrderReport | None, tuple[Fill, ...]]:
    """None: the exchange has no such order. Raises ExchangeUnreachable or ExchangeAnswered."""
    planned, identity = order.planned, order.client_order_id
    report = exchange.look_up(category=planned.category, symbol=planned.symbol, client_order_id=identity)
    if report is None or report.filled_qty <= order.filled_qty:
        return report, ()
    fills = exchange.fills(category=planned.category, symbol=planned.symbol, client_order_id=identity)
    return report, fills
