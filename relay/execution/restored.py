"""One account of a journal that was brought back from a backup, before its lanes run: what was unfinished is looked up
and ended, nothing is sent, and what differs from the exchange is written down for `resume`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal

from relay.bybit.wire_orders import OpenOrder
from relay.domain.instrument import Category, Instrument, plain, shown_symbol
from relay.domain.order import OrderStatus, Reason, SignalStatus, client_order_id
from relay.domain.order_lifecycle import OUTCOME_UNKNOWN, OrderState
from relay.domain.progress import Finish, progress
from relay.errors import FactsUnreadable
from relay.execution.orders import report_of
from relay.execution.ports import Account
from relay.journal.journal import Journal
from relay.journal.maintenance import Restored, restored, save
from relay.journal.records import RESTORED_CODE, ExecutionRecord

_Lane = tuple[Category, str]
_BROUGHT_BACK = "the journal was brought back from a backup, in which this was unfinished"
_NOT_SENT = Reason(code=RESTORED_CODE, message=f"{_BROUGHT_BACK}; the exchange has nothing of it, and it is not sent")


def settle_restored(
    account: Account, journal: Journal, standing: Callable[[], tuple[OpenOrder, ...]], *, now_ms: int
) -> tuple[str, ...]:
    """What differs, where that was not known yet; safe to repeat. `standing`: reads all that rests in the account.

    Raises ExchangeUnreachable, ExchangeAnswered, JournalUnavailable; then it is to be called again.
    """
    state = restored(journal, account.name)
    if state is None or state.differences is not None:
        return ()
    settling = _Settling(account=account, journal=journal, now_ms=now_ms)
    settling.read_positions()
    for execution in journal.unfinished():
        if execution.account == account.name and execution.seq <= state.until:
            settling.end(execution)
    settling.follow_open_orders()
    moved = settling.compare_positions()
    settling.compare_orders(standing())
    return settling.keep(state, moved)


@dataclass(slots=True, kw_only=True)
class _Settling:
    account: Account
    journal: Journal
    now_ms: int
    held: dict[_Lane, Decimal] = field(default_factory=dict)
    unreadable: frozenset[_Lane] = frozenset()
    differences: list[str] = field(default_factory=list)
    absent: set[str] = field(default_factory=set)

    def read_positions(self) -> None:
        try:
            found = self.account.exchange.positions()
        except FactsUnreadable as error:
            found, self.unreadable = error.readable, error.where
        self.held = {(each.category, each.symbol): each.size for each in found if each.size}

    def end(self, execution: ExecutionRecord) -> None:
        finish = self._unplanned(execution) if execution.plan is None else self._planned(execution)
        if finish.reason is not None and finish.status is SignalStatus.ATTENTION:
            self.differences.append(f"signal {execution.signal.id} needs you: {finish.reason.message}")
        self.journal.finish(
            execution.signal.id,
            self.account.name,
            finish.status,
            finish.reason,
            (*finish.notes, _BROUGHT_BACK),
            now_ms=self.now_ms,
        )

    def _unplanned(self, execution: ExecutionRecord) -> Finish:
        """It may have been planned after the backup: then its first order is known by its id."""
        signal = execution.signal
        lane = self._lane(execution)
        if lane is None:
            return Finish(status=SignalStatus.FAILED, reason=_NOT_SENT)
        first = client_order_id(signal_id=signal.id, account=self.account.name, leg=0, generation=execution.generation)
        report = self.account.exchange.look_up(category=lane[0], symbol=lane[1], client_order_id=first)
        if report is not None:
            what = f"the exchange has its order {first} ({report.status}, {plain(report.filled_qty)} filled)"
            message = f"{_BROUGHT_BACK}; {what}, which this journal does not follow"
            return Finish(status=SignalStatus.ATTENTION, reason=Reason(code=RESTORED_CODE, message=message))
        return self._not_sent(lane)

    def _lane(self, execution: ExecutionRecord) -> _Lane | None:
        """Returns None where its ticker is no instrument of the exchange's, so that nothing can have been ordered."""
        signal, index = execution.signal, self.account.market.symbol_index
        if signal.category is not None and signal.symbol is not None:
            return signal.category, signal.symbol
        found = index.resolve(signal.ticker or "", None) if index is not None else None
        return (found.category, found.symbol) if isinstance(found, Instrument) else None

    def _not_sent(self, lane: _Lane) -> Finish:
        """A person must look where something is open: it may have been to be closed."""
        if lane not in self.unreadable and not self.held.get(lane):
            return Finish(status=SignalStatus.FAILED, reason=_NOT_SENT)
        message = f"{_NOT_SENT.message}; a position of {lane[1]} is open: should it be?"
        return Finish(status=SignalStatus.ATTENTION, reason=replace(_NOT_SENT, message=message))

    def _planned(self, execution: ExecutionRecord) -> Finish:
        states = tuple(self._looked_up(each.state) for each in execution.orders)
        if any(each.is_in_doubt and not each.is_settled for each in states):
            message = f"{_BROUGHT_BACK}; what became of an order of it is not known"
            return Finish(status=SignalStatus.ATTENTION, reason=Reason(code=OUTCOME_UNKNOWN, message=message))
        lane = (states[0].planned.category, states[0].planned.symbol) if states else self._lane(execution)
        if lane is not None and all(each.reason == _NOT_SENT for each in states):
            return self._not_sent(lane)
        size = self.held.get(lane, Decimal(0)) if lane is not None else None
        came_to = progress(states, size=size)
        if not isinstance(came_to, Finish):
            message = f"{_BROUGHT_BACK}; what is left of it is not sent"
            return Finish(status=SignalStatus.ATTENTION, reason=Reason(code=RESTORED_CODE, message=message))
        is_other = came_to.status in (SignalStatus.DENIED, SignalStatus.EXPIRED)
        return replace(came_to, status=SignalStatus.FAILED) if is_other else came_to

    def _looked_up(self, order: OrderState) -> OrderState:
        """As the exchange has it; what it has nothing of and was never sent, as far as the backup tells, has ended."""
        if order.status.is_ended:
            return order
        report, fills = report_of(self.account.exchange, order, is_thorough=True)
        name = order.client_order_id
        if report is not None:
            self.journal.record_report(name, report, fills, now_ms=self.now_ms)
        elif not order.attempts:
            self.journal.settle_order(name, OrderStatus.DENIED, _NOT_SENT, now_ms=self.now_ms)
        else:
            self.absent.add(name)
            symbol = shown_symbol(order.planned.symbol, order.planned.category)
            what = f"{symbol}: the order {name} was {order.status} in the backup"
            self.differences.append(f"{what}, and the exchange has nothing of it")
            return order
        found = self.journal.order(name)
        assert found is not None, "it was read from the journal"
        return found.state

    def follow_open_orders(self) -> None:
        """Those of finished signals, as they are by now; from here on they are followed like any others."""
        for each in self.journal.open_orders(self.account.name):
            if each.state.client_order_id not in self.absent:
                self._looked_up(each.state)

    def compare_positions(self) -> frozenset[_Lane]:
        """The instruments whose positions are not what the backup says."""
        expected = self.journal.expected_positions(self.account.name)
        moved = set(self.unreadable)
        for lane in sorted(expected.keys() | self.held.keys() | self.unreadable):
            name = shown_symbol(lane[1], lane[0])
            before, now = expected.get(lane, Decimal(0)), self.held.get(lane, Decimal(0))
            if lane in self.unreadable:
                self.differences.append(f"{name}: the exchange's position cannot be read")
            elif before != now:
                moved.add(lane)
                self.differences.append(
                    f"{name}: the position was {plain(before)} by the backup, and is {plain(now)} at the exchange"
                )
        return frozenset(moved)

    def compare_orders(self, standing: tuple[OpenOrder, ...]) -> None:
        for each in standing:
            if not each.is_stop and self.journal.order(each.client_order_id) is None:
                name = each.client_order_id or "without an id"
                self.differences.append(
                    f"{shown_symbol(each.symbol, each.category)}: an order rests that the backup does not know ({name})"
                )

    def keep(self, state: Restored, moved: frozenset[_Lane]) -> tuple[str, ...]:
        """Brackets of positions that have moved are of the past; the others are followed again after `resume`."""
        for lane in moved & {each.lane for each in state.brackets}:
            self.differences.append(
                f"{shown_symbol(lane[1], lane[0])}: stops and take profits stay as the exchange has them, and are not "
                "followed any more; an "
                "alert with the action `stops` sets them anew"
            )
        differences = tuple(dict.fromkeys(self.differences))
        remaining = tuple(each for each in state.brackets if each.lane not in moved)
        state = replace(state, brackets=remaining, differences=differences)
        save(self.journal, self.account.name, state, now_ms=self.now_ms)
        return differences
