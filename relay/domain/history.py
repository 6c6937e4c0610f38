"""How what is known of an order grows: by a send, by an answer, by a report. Nothing known is ever unlearned."""

from __future__ import annotations

from dataclasses import replace

from relay.domain.order import OrderStatus, Reason
from relay.domain.outcome import Stamp
from relay.domain.position import OrderReport
from relay.domain.reconciliation import Absence, Attempt, OrderState


def sent(order: OrderState, stamp: Stamp) -> OrderState:
    """A send with this stamp is about to leave; what was looked up before it counts no more."""
    attempt = Attempt(number=len(order.attempts) + 1, stamp=stamp)
    return replace(
        order,
        status=OrderStatus.SUBMITTED,
        attempts=(*order.attempts, attempt),
        look_ups=0,
        absent_at_ms=None,
        absence=None,
    )


def looked_up(
    order: OrderState, report: OrderReport | None, *, begun_at_ms: int, is_moved: bool | None = None
) -> OrderState:
    """A look-up begun at `begun_at_ms` of the exchange's clock brought this; None: the exchange has no such order.

    `is_moved`: of a thorough look-up, whether the position has changed since the order was first sent.
    """
    counted = replace(order, look_ups=order.look_ups + 1)
    if report is not None:
        return reported(counted, report)
    counted = replace(counted, absent_at_ms=begun_at_ms)
    if is_moved is None or begun_at_ms <= order.dead_at_ms:
        return counted
    run = order.absence
    if run is None:
        return replace(counted, absence=Absence(since_ms=begun_at_ms, at_ms=begun_at_ms, is_moved=is_moved))
    longer = replace(run, at_ms=begun_at_ms, look_ups=run.look_ups + 1, is_moved=is_moved or run.is_moved)
    return replace(counted, absence=longer)


def reported(order: OrderState, report: OrderReport) -> OrderState:
    """A report of any age and from any source: fills only ever grow, and an ended order stays ended.

    But for one that was denied: that the exchange has it overrules that it was held to be absent.
    """
    if (order.status.is_ended and order.status is not OrderStatus.DENIED) or report.filled_qty < order.filled_qty:
        return order
    reason = None if order.status is OrderStatus.DENIED else order.reason
    if report.status is OrderStatus.REJECTED:
        reason = Reason(code="EXCHANGE_REFUSED", message=report.reason or "the exchange gave no reason")
    return replace(
        order,
        status=report.status,
        venue_order_id=report.venue_order_id or order.venue_order_id,
        filled_qty=report.filled_qty,
        avg_price=report.avg_price,
        fee=report.fee,
        rests=report.rests and not report.status.is_ended,
        reason=reason,
        absence=None,
    )


def denied(order: OrderState, reason: Reason) -> OrderState:
    """Certainly without effect, and never to be sent (again)."""
    return replace(order, status=OrderStatus.DENIED, reason=reason)
