"""How what is known of an order grows: by a send, by an answer, by a report. Nothing known is ever unlearned."""

from __future__ import annotations

from dataclasses import replace

from relay.domain.order import OrderStatus, Reason
from relay.domain.outcome import Stamp
from relay.domain.position import OrderReport
from relay.domain.reconciliation import Attempt, OrderState


def sent(order: OrderState, stamp: Stamp) -> OrderState:
    """A send with this stamp is about to leave; what was looked up before it counts no more."""
    attempt = Attempt(number=len(order.attempts) + 1, stamp=stamp)
    return replace(
        order,
        status=OrderStatus.SUBMITTED,
        attempts=(*order.attempts, attempt),
        look_ups=0,
        absences=0,
        absent_at_ms=None,
    )


def looked_up(order: OrderState, report: OrderReport | None, *, begun_at_ms: int) -> OrderState:
    """A look-up begun at `begun_at_ms` of the exchange's clock brought this; None: the exchange has no such order."""
    counted = replace(order, look_ups=order.look_ups + 1)
    if report is None:
        return replace(counted, absences=order.absences + 1, absent_at_ms=begun_at_ms)
    return reported(counted, report)


def reported(order: OrderState, report: OrderReport) -> OrderState:
    """A report of any age and from any source: fills only ever grow, and an ended order stays ended."""
    if order.status.is_ended or report.filled_qty < order.filled_qty:
        return order
    reason = order.reason
    if report.status is OrderStatus.REJECTED:
        reason = Reason(code="EXCHANGE_REFUSED", message=report.reason or "the exchange gave no reason")
    return replace(
        order,
        status=report.status,
        venue_order_id=report.venue_order_id,
        filled_qty=report.filled_qty,
        avg_price=report.avg_price,
        fee=report.fee,
        rests=report.rests and not report.status.is_ended,
        reason=reason,
    )


def denied(order: OrderState, reason: Reason) -> OrderState:
    """Certainly without effect, and never to be sent (again)."""
    return replace(order, status=OrderStatus.DENIED, reason=reason)
