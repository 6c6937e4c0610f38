"""Cancel the relay's own resting orders of a symbol, one by one, and be sure of it, before the position is read.

Never the exchange's cancel-all: that takes the position's stops with it.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from relay.boundary import Boundary, passed
from relay.domain.history import looked_up
from relay.domain.order import OrderStatus, Purpose, Reason
from relay.domain.outcome import Accepted, NotSent, Refusal, Rejected, Unknown
from relay.domain.position import OrderReport
from relay.domain.progress import Finish
from relay.domain.status import SignalStatus
from relay.errors import ExchangeAnswered, ExchangeUnreachable
from relay.journal.journal import Journal
from relay.pipeline.ask import report_of
from relay.pipeline.work import Resting, Work

_LOOK_AGAIN_S = (0.0, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0)
_LOOKS_AFTER_ANSWER = 7
_LOOKS_AFTER_SILENCE = 3
"""A second cancel does no harm, and whatever waits for it may be an exit."""
_NOT_SENT_AGAIN_S = 0.25
_REFUSED_AGAIN_S = 0.5


class Clearing:
    """The first part of a close, a target, a flip: nothing of the relay's may fill behind it."""

    def __init__(self, *, journal: Journal) -> None:
        self._journal = journal

    def is_clear(self, work: Work) -> bool:
        """Whether nothing of the relay's rests that the signal wants gone."""
        if not work.signal.clears_resting:
            return True
        if work.clearing is None:
            work.clearing = self._resting(work)
        return all(each.order.status.is_ended for each in work.clearing.values())

    def _resting(self, work: Work) -> dict[str, Resting]:
        signal = work.signal
        assert signal.category is not None and signal.symbol is not None
        records = self._journal.resting_orders(work.account.name, signal.category, signal.symbol)
        if not signal.clears_all:
            records = tuple(each for each in records if each.state.planned.purpose is not Purpose.EXIT)
        return {each.state.client_order_id: Resting(order=each.state) for each in records}

    def step(self, work: Work, *, now_ms: int) -> float | Finish:
        """Cancel or look at the next one. Seconds until there is more to do, or how the signal ends if it cannot be."""
        assert work.clearing is not None
        resting = next(each for each in work.clearing.values() if not each.order.status.is_ended)
        seconds_max = work.account.bounds.max_seconds
        if resting.begun_at_ms is not None and now_ms - resting.begun_at_ms > seconds_max * 1000:
            return _stuck(f"{resting.order.client_order_id} could not be cancelled in {seconds_max} s")
        return self._cancel(work, resting, now_ms) if resting.is_due else self._look(work, resting, now_ms)

    def _cancel(self, work: Work, resting: Resting, now_ms: int) -> float | Finish:
        order = resting.order
        planned = order.planned
        due = replace(resting, begun_at_ms=resting.begun_at_ms or now_ms)
        outcome = work.account.exchange.cancel(
            category=planned.category,
            symbol=planned.symbol,
            client_order_id=order.client_order_id,
            is_exit=work.signal.action.is_close,
        )
        passed(Boundary.CANCEL_SENT)
        sent = replace(due, is_due=False, looks=0, is_answered=not isinstance(outcome, Unknown))
        match outcome:
            case Accepted() | Unknown():
                self._journal.event(
                    work.signal.id, "cancel_sent", {"client_order_id": order.client_order_id}, now_ms=now_ms
                )
                return self._keep(work, sent)
            case Rejected(refusal=Refusal.GONE | Refusal.UNCHANGED):
                return self._keep(work, sent)
            case NotSent():
                return self._keep(work, due, again_s=_NOT_SENT_AGAIN_S)
            case Rejected(refusal=Refusal.CLOCK):
                with suppress(ExchangeUnreachable, ExchangeAnswered):
                    work.account.exchange.measure_clock()
                return self._keep(work, due, again_s=_REFUSED_AGAIN_S)
            case Rejected(refusal=Refusal.RATE):
                return self._keep(work, due, again_s=_REFUSED_AGAIN_S)
            case Rejected():
                return _stuck(f"{order.client_order_id} could not be cancelled: {outcome.words}")

    def _look(self, work: Work, resting: Resting, now_ms: int) -> float:
        order, exchange = resting.order, work.account.exchange
        begun_at_ms = exchange.now_ms()
        delay = _LOOK_AGAIN_S[min(resting.looks, len(_LOOK_AGAIN_S) - 1)]
        looks = resting.looks + 1
        is_due = looks >= (_LOOKS_AFTER_ANSWER if resting.is_answered else _LOOKS_AFTER_SILENCE)
        looked = replace(resting, looks=looks, is_due=is_due)
        try:
            report, fills = report_of(exchange, order)
        except (ExchangeUnreachable, ExchangeAnswered):
            return self._keep(work, resting if resting.is_answered else looked, again_s=max(delay, _NOT_SENT_AGAIN_S))
        if report is None and not (is_due and resting.is_answered):
            return self._keep(work, looked, again_s=delay)
        report = report or _vanished(resting)
        self._journal.record_report(order.client_order_id, report, fills, now_ms=now_ms)
        passed(Boundary.CANCEL_CONFIRMED)
        after = looked_up(order, report, begun_at_ms=begun_at_ms)
        return self._keep(work, replace(looked, order=after), again_s=0.0 if after.status.is_ended else delay)

    def _keep(self, work: Work, resting: Resting, *, again_s: float = 0.0) -> float:
        assert work.clearing is not None
        work.clearing[resting.order.client_order_id] = resting
        return again_s


def _vanished(resting: Resting) -> OrderReport:
    """The exchange acknowledged it once and does not list it any more: it forgets what was cancelled without a fill."""
    order = resting.order
    return OrderReport(
        client_order_id=order.client_order_id,
        venue_order_id=order.venue_order_id or "",
        status=OrderStatus.CANCELED,
        filled_qty=order.filled_qty,
        avg_price=order.avg_price,
        fee=order.fee,
        reason="the exchange does not list it any more",
    )


def _stuck(why: str) -> Finish:
    return Finish(
        status=SignalStatus.ATTENTION,
        reason=Reason(code="CANCEL_INCOMPLETE", message=why),
        notes=("nothing was sent: a resting order could have filled behind it",),
    )
