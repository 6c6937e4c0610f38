"""What is known of an order only after its lane has gone on without it: an end that was in doubt is found."""

from __future__ import annotations

from dataclasses import replace

from relay.domain.guard import FIRST_RUNG_LEG
from relay.domain.history import looked_up, reported
from relay.domain.order import OrderStatus, Reason
from relay.domain.progress import Finish, LookAtPosition, progress
from relay.domain.reconciliation import OUTCOME_UNKNOWN, OrderState
from relay.domain.rounding import plain
from relay.domain.status import SignalStatus
from relay.journal.journal import Journal
from relay.journal.records import ExecutionRecord, OrderRecord
from relay.journal.unit_of_work import UnitOfWork
from relay.pipeline.ask import is_moved_since_sent, report_of
from relay.pipeline.cancel import UNCLEARED
from relay.pipeline.ports import ExchangePort

_NEVER_WAS = Reason(code="EXCHANGE_UNREACHABLE", message="the order never arrived at the exchange")


class Settling:
    """Looks for one order at a time; between two looks it holds what the earlier ones did not find."""

    def __init__(self, *, journal: Journal) -> None:
        self._journal = journal
        self._searched: dict[str, OrderState] = {}

    def keep_only(self, client_order_ids: set[str]) -> None:
        """The others are not looked for any more."""
        self._searched = {name: each for name, each in self._searched.items() if name in client_order_ids}

    def look(self, exchange: ExchangePort, record: OrderRecord, *, now_ms: int) -> bool:
        """Whether anything new was written down. Raises ExchangeUnreachable, ExchangeAnswered, JournalUnavailable."""
        order = record.state
        known = self._searched.get(order.client_order_id)
        if known is None or known.attempts != order.attempts:
            known = order
        is_in_doubt = order.status in (OrderStatus.SUBMITTED, OrderStatus.DENIED) and not order.is_there
        begun_at_ms = exchange.now_ms()
        report, fills = report_of(exchange, order, is_thorough=is_in_doubt)
        if report is not None:
            if reported(order, report) == order:
                return False
            is_new = self._journal.record_report(order.client_order_id, report, fills, now_ms=now_ms)
            if is_new:
                self.put_right(exchange, order.client_order_id, now_ms=now_ms)
            return is_new
        if not is_in_doubt or order.status is OrderStatus.DENIED:
            return False
        known = looked_up(known, None, begun_at_ms=begun_at_ms, is_moved=is_moved_since_sent(exchange, order))
        self._searched[order.client_order_id] = known
        return not known.is_in_doubt and self._never_was(exchange, record, begun_at_ms, now_ms=now_ms)

    def _never_was(self, exchange: ExchangePort, record: OrderRecord, absent_at_ms: int, *, now_ms: int) -> bool:
        """False: its lane is still at it, or has sent it again meanwhile."""
        order = record.state
        assert order.last is not None, "what was never sent is not in doubt"
        number = order.last.number
        assignment = self._journal.execution(record.signal_id, record.account)
        if assignment is not None and not assignment.status.is_finished:
            return False

        def write(uow: UnitOfWork) -> bool:
            uow.orders.record_absence(order.client_order_id, number, begun_at_ms=absent_at_ms)
            return uow.orders.settle(order.client_order_id, OrderStatus.DENIED, _NEVER_WAS, now_ms=now_ms)

        is_new = self._journal.write(write)
        self.put_right(exchange, order.client_order_id, now_ms=now_ms)
        return is_new

    def put_right(self, exchange: ExchangePort, client_order_id: str, *, now_ms: int) -> None:
        """What the order's signal came to, should what is known now make that something else. Raises as `look` does."""
        record = self._journal.order(client_order_id)
        if record is None or not record.state.is_settled or record.state.planned.leg >= FIRST_RUNG_LEG:
            return
        assignment = self._journal.execution(record.signal_id, record.account)
        if assignment is None or assignment.generation != record.generation or not _may_be_wrong(assignment, record):
            return
        came_to = _came_to(assignment, exchange)
        if came_to is None or came_to.status is assignment.status:
            return
        note = _note(record.state)
        finish = replace(came_to, notes=(note, *came_to.notes))
        self._journal.write(
            lambda uow: uow.signals.finish(
                record.signal_id,
                record.account,
                finish.status,
                finish.reason,
                finish.notes,
                is_better_known=True,
                now_ms=now_ms,
            )
        )


def _may_be_wrong(assignment: ExecutionRecord, record: OrderRecord) -> bool:
    """A person was called because the order was in doubt, or it was proven absent and is there after all."""
    if assignment.status is SignalStatus.ATTENTION:
        return assignment.reason_code == OUTCOME_UNKNOWN
    was_absent = record.state.absent_at_ms is not None and record.state.status is not OrderStatus.DENIED
    return assignment.status.is_finished and was_absent


def _came_to(assignment: ExecutionRecord, exchange: ExchangePort) -> Finish | None:
    """None: that cannot be told from its orders, or a person must look for another reason."""
    reason = assignment.plan.reason if assignment.plan else None
    if reason is not None and reason.code == UNCLEARED:
        return None
    orders = tuple(each.state for each in assignment.orders if each.state.planned.leg < FIRST_RUNG_LEG)
    if not orders:
        return None
    came_to = progress(orders)
    if isinstance(came_to, LookAtPosition):
        planned = orders[0].planned
        position = exchange.position(category=planned.category, symbol=planned.symbol)
        came_to = progress(orders, size=position.size)
    if not isinstance(came_to, Finish):
        return None
    return came_to if came_to.reason else replace(came_to, reason=reason)


def _note(order: OrderState) -> str:
    if order.status is OrderStatus.DENIED:
        return "found later: the order never arrived at the exchange"
    return f"found later: the order was at the exchange, {plain(order.filled_qty)} of it filled"
