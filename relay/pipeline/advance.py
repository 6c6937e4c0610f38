"""Bring one order a step further: send it, look it up, or wait; each step is in the journal before the next begins."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from relay.boundary import Boundary, passed
from relay.domain.history import denied, looked_up, reported, sent
from relay.domain.order import OrderStatus, Reason
from relay.domain.outcome import Accepted, NotSent, Refusal, Rejected, Stamp, Unknown
from relay.domain.position import Fill, OrderReport
from relay.domain.reconciliation import (
    Drop,
    GiveUp,
    LookUp,
    OrderState,
    Send,
    Settled,
    Wait,
    after_outcome,
    next_step,
)
from relay.errors import ExchangeAnswered, ExchangeUnreachable
from relay.exchange.awaited import Heard
from relay.journal.journal import Journal
from relay.journal.unit_of_work import UnitOfWork
from relay.measures import Stage, timed
from relay.pipeline.ask import is_moved_since_sent, report_of
from relay.pipeline.clock import Now, to_ms, utc_now
from relay.pipeline.ports import Account
from relay.trace import about

_WAIT_MAX_S = 1.0
"""However long there is nothing to send, an entry grows too old meanwhile."""
_LEVERAGE_AGAIN_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Advanced:
    """The order as it is now, and the seconds until there is more to do."""

    order: OrderState
    again_s: float = 0


class Advancer:
    """The steps of any order; it holds nothing of its own between them."""

    def __init__(self, *, journal: Journal, now: Now = utc_now) -> None:
        self._journal = journal
        self._now = now

    def step(self, account: Account, order: OrderState, *, held_back: Reason | None = None) -> Advanced | GiveUp:
        """`held_back`: why a planned entry may not be sent (again)."""
        exchange, live = account.exchange, account.live
        if live is not None and order.attempts and (heard := live.heard(order.client_order_id)) is not None:
            return self._keep_heard(order, heard)
        step = next_step(
            order,
            now_ms=exchange.now_ms(),
            bounds=account.bounds,
            held_back=held_back,
            jitter=random.random(),
            is_listening=live is not None and live.is_listening,
        )
        match step:
            case Send(measure_clock=measure):
                return self._send(account, order, measure_clock=measure)
            case LookUp(is_thorough=is_thorough):
                return self._look_up(account, order, is_thorough=is_thorough)
            case Wait(until_ms=until_ms):
                return Advanced(
                    order=order, again_s=min(max(0.001, (until_ms - exchange.now_ms()) / 1000), _WAIT_MAX_S)
                )
            case Drop(reason=reason):
                return Advanced(order=self.deny(order, reason))
            case GiveUp():
                return step
            case Settled():
                raise AssertionError("a settled order is not advanced")

    def place(self, account: Account, order: OrderState, stamp: Stamp) -> OrderState:
        """Send an order whose attempt is in the journal already."""
        with about(client_order_id=order.client_order_id), timed(Stage.PLACE):
            outcome = account.exchange.place(
                order.planned, client_order_id=order.client_order_id, stamp=stamp, is_exit=order.is_exit
            )
        passed(Boundary.SENT)
        assert order.last is not None
        self._journal.record_outcome(order.client_order_id, order.last.number, outcome, now_ms=self._now_ms())
        passed(Boundary.OUTCOME_KEPT)
        return after_outcome(order, outcome)

    def deny(self, order: OrderState, reason: Reason) -> OrderState:
        """Never to be sent (again), and certainly without effect."""
        self._journal.settle_order(order.client_order_id, OrderStatus.DENIED, reason, now_ms=self._now_ms())
        passed(Boundary.ORDER_DENIED)
        return denied(order, reason)

    def _send(self, account: Account, order: OrderState, *, measure_clock: bool) -> Advanced:
        exchange = account.exchange
        if measure_clock and not _measured(account):
            return Advanced(order=order, again_s=1.0)
        if not order.attempts and (not_ready := self._set_leverage(account, order)):
            return not_ready
        stamp = exchange.stamp()
        if not self._attempt(account, order, stamp):
            return Advanced(order=order)
        passed(Boundary.SUBMITTED)
        return Advanced(order=self.place(account, sent(order, stamp), stamp))

    def _attempt(self, account: Account, order: OrderState, stamp: Stamp) -> bool:
        """Write it down. False: entries were halted meanwhile, and it must not leave."""
        now_ms = self._now_ms()

        def write(uow: UnitOfWork) -> bool:
            if not order.is_exit and uow.halted(account.name) is not None:
                return False
            uow.orders.record_attempt(order.client_order_id, stamp, now_ms=now_ms)
            return True

        return self._journal.write(write)

    def _set_leverage(self, account: Account, order: OrderState) -> Advanced | None:
        """None: it is as it should be. An answer that got lost costs nothing: setting it again changes nothing."""
        planned = order.planned
        if planned.leverage is None:
            return None
        passed(Boundary.LEVERAGE_DUE)
        outcome = account.exchange.set_leverage(
            category=planned.category, symbol=planned.symbol, leverage=planned.leverage
        )
        passed(Boundary.LEVERAGE_SENT)
        match outcome:
            case Accepted() | Rejected(refusal=Refusal.UNCHANGED):
                return None
            case Rejected(refusal=Refusal.CLOCK):
                _measured(account)
                return self._leverage_again(account, order, outcome.words, counts=True)
            case Unknown():
                return self._leverage_again(account, order, outcome.why, counts=True)
            case NotSent():
                return self._leverage_again(account, order, outcome.why, counts=False)
            case Rejected(refusal=Refusal.RATE):
                return self._leverage_again(account, order, outcome.words, counts=False)
            case Rejected():
                words = f"the leverage could not be set: {outcome.words} (Bybit's code {outcome.code})"
                return Advanced(order=self.deny(order, Reason(code=outcome.reason_code, message=words)))

    def _leverage_again(self, account: Account, order: OrderState, why: str, *, counts: bool) -> Advanced:
        """Within the account's bounds: a lane, with its exits, is not held up for a leverage. `counts`: as a try."""
        now_ms, bounds = account.exchange.now_ms(), account.bounds
        begun_ms = now_ms if order.leverage_asked_at_ms is None else order.leverage_asked_at_ms
        asked = replace(order, leverage_asked=order.leverage_asked + counts, leverage_asked_at_ms=begun_ms)
        if asked.leverage_asked <= bounds.max_attempts and now_ms - begun_ms <= bounds.max_seconds * 1000:
            return Advanced(order=asked, again_s=_LEVERAGE_AGAIN_S)
        words = f"the leverage could not be set in {(now_ms - begun_ms) / 1000:.0f} s: {why}; no entry was sent"
        return Advanced(order=self.deny(asked, Reason(code="EXCHANGE_UNREACHABLE", message=words)))

    def _look_up(self, account: Account, order: OrderState, *, is_thorough: bool) -> Advanced:
        exchange = account.exchange
        begun_at_ms = exchange.now_ms()
        try:
            with about(client_order_id=order.client_order_id), timed(Stage.LOOK_UP):
                report, fills = report_of(exchange, order, is_thorough=is_thorough)
                is_moved = is_moved_since_sent(exchange, order) if is_thorough and report is None else None
        except (ExchangeUnreachable, ExchangeAnswered):
            return Advanced(order=replace(order, look_ups=order.look_ups + 1))
        return self._keep(order, looked_up(order, report, begun_at_ms=begun_at_ms, is_moved=is_moved), report, fills)

    def _keep_heard(self, order: OrderState, heard: Heard) -> Advanced:
        """What a stream told counts as what a look-up would have."""
        report = heard.report
        assert report is not None, "what is heard of an awaited order is whole"
        return self._keep(order, reported(order, report), report, heard.fills)

    def _keep(
        self,
        order: OrderState,
        after: OrderState,
        report: OrderReport | None,
        fills: tuple[Fill, ...],
    ) -> Advanced:
        passed(Boundary.LOOKED_UP)
        if report is not None:
            self._journal.record_report(order.client_order_id, report, fills, now_ms=self._now_ms())
            passed(Boundary.REPORT_KEPT)
        elif after.absence is not None and after.absence.is_proof:
            assert order.last is not None, "what was never sent is not looked up"
            self._journal.record_absence(order.client_order_id, order.last.number, begun_at_ms=after.absence.at_ms)
            passed(Boundary.ABSENCE_KEPT)
        return Advanced(order=after)

    def _now_ms(self) -> int:
        return to_ms(self._now())


def _measured(account: Account) -> bool:
    """Whether the exchange's clock could be measured anew."""
    try:
        account.exchange.measure_clock()
    except (ExchangeUnreachable, ExchangeAnswered):
        return False
    return True
