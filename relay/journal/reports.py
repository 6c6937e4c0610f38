"""Writing down what the exchange says of an order. Reports come twice and in any order; facts are only ever added."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from sqlalchemy import Row, bindparam, insert, select

from relay.domain.order import OrderStatus, Reason
from relay.domain.position import Fill, OrderReport
from relay.domain.reconciliation import OrderState
from relay.domain.rounding import plain
from relay.journal import beliefs
from relay.journal.orders import OrderWrites, moves_on
from relay.journal.prepared import all_of, first_of, run
from relay.journal.tables import fills

_FILLS = select(fills).where(fills.c.client_order_id == bindparam("of_order"))
_KNOWN = select(fills.c.exec_id).where(
    fills.c.account == bindparam("of_account"), fills.c.exec_id.in_(bindparam("of_ids", expanding=True))
)
_IS_KNOWN = select(fills.c.exec_id).where(
    fills.c.account == bindparam("of_account"), fills.c.exec_id == bindparam("of_id")
)
_ADD = insert(fills)


class ReportWrites(OrderWrites):
    def record_report(
        self, client_order_id: str, report: OrderReport | None, fills: Sequence[Fill] = (), *, now_ms: int
    ) -> bool:
        """What the exchange says of the order, and executions of it, each of which counts once.

        An older report takes no filled quantity back and reopens no ended order, but for one that the relay only held
        to be absent. Returns whether anything is new;
        False also for an order that is not the journal's.
        """
        found = self._find(client_order_id)
        if found is None:
            return False
        row, state = found
        new_fills = self._add_fills(row, client_order_id, fills)
        all_fills = all_of(self.connection, _FILLS, {"of_order": client_order_id})
        changed = _difference(state, _merge(state, report, all_fills))
        if not changed:
            return new_fills
        self._change(client_order_id, now_ms, **changed)
        if "status" in changed or "filled_qty" in changed:
            self._tell(row.signal_id, state, changed, now_ms)
        return True

    def _add_fills(self, order: Row[Any], client_order_id: str, fills: Sequence[Fill]) -> bool:
        account: str = order.account
        of_ids = list({fill.exec_id for fill in fills})
        if not of_ids:
            return False
        known = self._known(account, of_ids)
        new = {}
        for fill in fills:
            assert fill.client_order_id == client_order_id, f"{fill.exec_id} is no execution of {client_order_id}"
            if fill.exec_id not in known:
                new[fill.exec_id] = fill
        if new:
            run(self.connection, _ADD, [_row(account, fill) for fill in new.values()])
            beliefs.add_fills(self.connection, account, order.category, order.symbol, order.side, list(new.values()))
        return bool(new)

    def _known(self, account: str, of_ids: list[str]) -> set[str]:
        if len(of_ids) > 1:
            return set(self.connection.scalars(_KNOWN, {"of_account": account, "of_ids": of_ids}))
        found = first_of(self.connection, _IS_KNOWN, {"of_account": account, "of_id": of_ids[0]})
        return set() if found is None else {found.exec_id}

    def _tell(self, signal_id: str, state: OrderState, changed: dict[str, Any], now_ms: int) -> None:
        reason = changed.get("reason")
        detail = {
            "client_order_id": state.client_order_id,
            "filled_qty": plain(changed.get("filled_qty", state.filled_qty)),
            "avg_price": changed.get("avg_price", state.avg_price),
            "reason": reason.message if reason else None,
        }
        told = {name: value for name, value in detail.items() if value is not None}
        self.event(signal_id, f"order_{changed.get('status', state.status)}", told, now_ms=now_ms)


def _merge(state: OrderState, report: OrderReport | None, executions: Sequence[Row[Any]]) -> dict[str, Any]:
    """The order's columns by all that is known. Executions are exact, so they decide as soon as they are complete."""
    executed = sum((each.qty for each in executions), Decimal(0))
    told = report.filled_qty if report else Decimal(0)
    filled = max(state.filled_qty, told, executed)
    merged: dict[str, Any] = {"filled_qty": filled}
    if report is not None:
        merged |= _progress(state, report)
        if told == filled:
            merged |= {"avg_price": report.avg_price or state.avg_price, "fee": report.fee or state.fee}
    status = merged.get("status", state.status)
    if filled > 0 and moves_on(status, OrderStatus.PARTIALLY_FILLED):
        merged["status"] = OrderStatus.PARTIALLY_FILLED
    if executed == filled > 0:
        merged["fee"] = sum((each.fee for each in executions), Decimal(0))
    return merged


def _progress(state: OrderState, report: OrderReport) -> dict[str, Any]:
    moved: dict[str, Any] = {"venue_order_id": report.venue_order_id or state.venue_order_id}
    filled_after_all = state.status.is_ended and report.status.is_ended and report.filled_qty > state.filled_qty
    if moves_on(state.status, report.status) or filled_after_all or state.status is OrderStatus.DENIED:
        # Why it was held to be absent is no reason any more.
        kept = None if state.status is OrderStatus.DENIED else state.reason
        moved |= {"status": report.status, "reason": _reason(report) or kept}
    status = moved.get("status", state.status)
    if report.filled_qty >= state.filled_qty:
        moved["rests"] = report.rests and not status.is_ended
    return moved


def _reason(report: OrderReport) -> Reason | None:
    if report.status is OrderStatus.REJECTED:
        return Reason(code="EXCHANGE_REFUSED", message=report.reason or "the exchange gave no reason")
    if report.reason and report.status in (OrderStatus.CANCELED, OrderStatus.EXPIRED):
        return Reason(code="EXCHANGE_ENDED", message=report.reason)
    return None


def _difference(state: OrderState, merged: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in merged.items() if value != getattr(state, name)}


def _row(account: str, fill: Fill) -> dict[str, Any]:
    return {
        "account": account,
        "exec_id": fill.exec_id,
        "client_order_id": fill.client_order_id,
        "qty": fill.qty,
        "price": fill.price,
        "fee": fill.fee,
        "fee_coin": fill.fee_coin,
        "is_maker": fill.is_maker,
        "at": fill.at_ms,
    }
