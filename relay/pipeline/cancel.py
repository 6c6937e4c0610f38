"""Cancel orders of the relay's that rest, one by one by id, and be sure of it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from relay.boundary import Boundary, passed
from relay.domain.history import looked_up
from relay.domain.order import OrderStatus, Reason
from relay.domain.outcome import Accepted, NotSent, Refusal, Rejected, Unknown
from relay.domain.position import OrderReport
from relay.domain.progress import Finish
from relay.domain.status import SignalStatus
from relay.errors import ExchangeAnswered, ExchangeUnreachable
from relay.journal.journal import Journal
from relay.pipeline.ask import report_of
from relay.pipeline.ports import Account
from relay.pipeline.resting import Resting

UNCLEARED = "CANCEL_INCOMPLETE"
_LOOK_AGAIN_S = (0.0, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0)
_LOOKS_AFTER_ANSWER = 7
_LOOKS_AFTER_SILENCE = 3
"""A second cancel does no harm, and whatever waits for it may be an exit."""
_NOT_SENT_AGAIN_S = 0.25
_REFUSED_AGAIN_S = 0.5


class Canceller:
    """The steps of cancelling; `resting` is the caller's, by client order id, and is kept up to date."""

    def __init__(self, *, journal: Journal) -> None:
        self._journal = journal

    def step(
        self, account: Account, all_resting: dict[str, Resting], *, signal_id: str, is_exit: bool, now_ms: int
    ) -> float | Finish:
        """Cancel or look at the next one. Seconds until there is more to do, or how a signal ends if it cannot be.

        `signal_id`: whose doing it is; `is_exit`: an exit waits for it.
        """
        resting = next(each for each in all_resting.values() if not each.order.status.is_ended)
        seconds_max = account.bounds.max_seconds
        if resting.begun_at_ms is not None and now_ms - resting.begun_at_ms > seconds_max * 1000:
            return _stuck(f"{resting.order.client_order_id} could not be cancelled in {seconds_max} s")
        if resting.is_due:
            came_to = self._cancel(account, resting, signal_id, is_exit, now_ms)
        else:
            came_to = self._look(account, resting, now_ms)
        if isinstance(came_to, Finish):
            return came_to
        all_resting[came_to[0].order.client_order_id] = came_to[0]
        return came_to[1]

    def _cancel(
        self, account: Account, resting: Resting, signal_id: str, is_exit: bool, now_ms: int
    ) -> tuple[Resting, float] | Finish:
        order = resting.order
        planned = order.planned
        due = replace(resting, begun_at_ms=resting.begun_at_ms or now_ms)
        passed(Boundary.CANCEL_DUE)
        outcome = account.exchange.cancel(
            category=planned.category,
            symbol=planned.symbol,
            client_order_id=order.client_order_id,
            is_exit=is_exit,
        )
        passed(Boundary.CANCEL_SENT)
        sent = replace(due, is_due=False, looks=0, is_answered=not isinstance(outcome, Unknown))
        match outcome:
            case Accepted() | Unknown():
                self._journal.event(signal_id, "cancel_sent", {"client_order_id": order.client_order_id}, now_ms=now_ms)
                return sent, 0.0
            case Rejected(refusal=Refusal.GONE | Refusal.UNCHANGED):
                return sent, 0.0
            case NotSent():
                return due, _NOT_SENT_AGAIN_S
            case Rejected(refusal=Refusal.CLOCK):
                with suppress(ExchangeUnreachable, ExchangeAnswered):
                    account.exchange.measure_clock()
                return due, _REFUSED_AGAIN_S
            case Rejected(refusal=Refusal.RATE):
                return due, _REFUSED_AGAIN_S
            case Rejected():
                return _stuck(f"{order.client_order_id} could not be cancelled: {outcome.words}")

    def _look(self, account: Account, resting: Resting, now_ms: int) -> tuple[Resting, float]:
        order, exchange = resting.order, account.exchange
        begun_at_ms = exchange.now_ms()
        delay = _LOOK_AGAIN_S[min(resting.looks, len(_LOOK_AGAIN_S) - 1)]
        looks = resting.looks + 1
        is_due = looks >= (_LOOKS_AFTER_ANSWER if resting.is_answered else _LOOKS_AFTER_SILENCE)
        looked = replace(resting, looks=looks, is_due=is_due)
        try:
            report, fills = report_of(exchange, order)
        except (ExchangeUnreachable, ExchangeAnswered):
            return resting if resting.is_answered else looked, max(delay, _NOT_SENT_AGAIN_S)
        if report is None and not (is_due and resting.is_answered):
            return looked, delay
        report = report or _vanished(resting)
        self._journal.record_report(order.client_order_id, report, fills, now_ms=now_ms)
        passed(Boundary.CANCEL_CONFIRMED)
        after = looked_up(order, report, begun_at_ms=begun_at_ms)
        return replace(looked, order=after), 0.0 if after.status.is_ended else delay


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
        reason=Reason(code=UNCLEARED, message=why),
        notes=("nothing was sent: a resting order could have filled behind it",),
    )
