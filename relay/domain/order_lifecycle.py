"""The life of an order: how what is known of it grows, and what to do next about it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from relay.domain.order import (
    Accepted,
    ErrorKind,
    NotSent,
    OrderRejected,
    OrderStatus,
    Outcome,
    PlannedOrder,
    Reason,
    RequestSignature,
    Unknown,
)
from relay.domain.position import OrderReport


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One send. `outcome` None: the process ended before the answer was written down, which is as good as unknown."""

    number: int
    signature: RequestSignature
    outcome: Outcome | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How long and how often one order is tried before a person must look, and how long it is looked for in vain before
    it certainly never arrived.

    The time is longer than the exchange's ban of an address (10 minutes), so that an exit outlives one.
    """

    max_attempts: int = 8
    max_seconds: int = 900
    absent_ms: int = 30_000
    resting_absent_ms: int = 62_000
    """Of an order that may rest, of which the position tells nothing."""
    moved_absent_ms: int = 600_000
    """A position that moved does not show that the order arrived, but calls for more time."""
    look_every_ms: int = 5_000
    """From one thorough look-up to the next."""

    def hurried(self, times: int) -> Bounds:
        """With absences that are certain so many times sooner, everything in proportion."""
        return replace(
            self,
            absent_ms=self.absent_ms // times,
            resting_absent_ms=self.resting_absent_ms // times,
            moved_absent_ms=self.moved_absent_ms // times,
            look_every_ms=self.look_every_ms // times,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Absence:
    """A run of look-ups that found nothing of an order: no order, no past one, no execution. Times are the exchange's.

    Each was begun after the last attempt could still arrive.
    """

    since_ms: int
    at_ms: int
    bounds: Bounds
    look_ups: int = 1
    is_moved: bool
    """The position has changed since the order was first sent, and nothing says that it was not by the order."""

    def is_certain(self, *, rests: bool) -> bool:
        """Whether the order certainly never arrived. `rests`: of an order that may rest."""
        bounds = self.bounds
        resting_or_not = bounds.resting_absent_ms if rests else bounds.absent_ms
        least_ms = bounds.moved_absent_ms if self.is_moved else resting_or_not
        return self.look_ups >= _ABSENT_LOOK_UPS and self.at_ms - self.since_ms >= least_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderState:
    """Everything known about one order. Times are Unix milliseconds of the exchange's clock."""

    client_order_id: str
    planned: PlannedOrder
    status: OrderStatus = OrderStatus.PLANNED
    attempts: tuple[Attempt, ...] = ()
    reason: Reason | None = None
    venue_order_id: str | None = None
    filled_qty: Decimal = Decimal(0)
    avg_price: Decimal | None = None
    fee: Decimal = Decimal(0)
    rests: bool = False
    look_ups: int = 0
    """Since the last attempt, answered or not."""
    taken_up_at_ms: int | None = None
    """When a restarted relay took the order up again: time that it was not there to use counts for nothing."""
    absent_at_ms: int | None = None
    """When the last look-up that found nothing was begun, since the last attempt."""
    absence: Absence | None = None
    """The thorough look-ups that found nothing, since the last attempt."""
    leverage_requested: int = 0
    """How often setting the leverage before the first attempt came to nothing certain."""
    leverage_requested_at_ms: int | None = None
    """When it was asked for first, by this process."""

    @property
    def last(self) -> Attempt | None:
        return self.attempts[-1] if self.attempts else None

    @property
    def is_settled(self) -> bool:
        """Known to rest, or to have ended: the lane may go on."""
        return self.status.is_ended or self.rests

    @property
    def is_there(self) -> bool:
        """The exchange has it, or had it: it acknowledged the order, showed it, or refused its id as one it knows."""
        return (
            self.status in (OrderStatus.ACCEPTED, OrderStatus.PARTIALLY_FILLED)
            or self.filled_qty > 0
            or any(
                isinstance(each.outcome, OrderRejected) and each.outcome.refusal is ErrorKind.ALREADY_THERE
                for each in self.attempts
            )
        )

    @property
    def dead_at_ms(self) -> int:
        """From here on, by the exchange's clock, nothing of it that has not arrived ever will."""
        return max((each.signature.dead_at_ms for each in self.attempts), default=0)

    @property
    def is_in_doubt(self) -> bool:
        """A send may have had an effect, for all that is known."""
        doubtful = any(isinstance(each.outcome, Unknown | None) for each in self.attempts)
        return doubtful and not self.is_absent

    @property
    def is_absent(self) -> bool:
        """By enough look-ups that found nothing."""
        return self.absence is not None and self.absence.is_certain(rests=self.planned.rests)


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """Send it, under the same client order id as ever. `measure_clock`: the last one was refused for its timestamp."""

    measure_clock: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LookUp:
    """Ask the exchange for it by client order id. `is_thorough`: for its executions and the position as well."""

    is_thorough: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Nothing useful can be done before `until_ms`."""

    until_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """Nothing more to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """Certainly without effect, and it must not be sent (again)."""

    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveUp:
    """A person must look: what it came to cannot be told."""

    reason: Reason


Step = Send | LookUp | Wait | Settled | Drop | GiveUp

OUTCOME_UNKNOWN = "OUTCOME_UNKNOWN"
EXIT_WAITED = "an exit was waiting"
"""In the words of why an order was passed by, by which it is known later."""

_FOLLOW_MS = (0, 5, 15, 40, 100, 250, 500)
_LISTEN_MS = (250, 250, 500)
"""While a stream tells the order's end by itself, looking is for what got lost."""
_SEARCH_MS = (0, 200, 400, 800, 1500)
_RETRY_MS = (100, 250, 500, 1000, 2000)
_EXIT_WAITS_MS = 3_000
_ABSENT_LOOK_UPS = 3
_LAST_CHANCE_MS = 90_000
"""How long after its time is over an order may still be proven absent, before it is given up."""


def next_step(
    order: OrderState,
    *,
    now_ms: int,
    bounds: Bounds,
    held_back: Reason | None,
    jitter: float,
    is_listening: bool = False,
) -> Step:
    """`held_back`: why it may not be sent any more, if so: an exit not again. `jitter`: 0 to 1, spreads repeated tries.

    `is_listening`: a stream tells how the order ends.
    """
    if order.is_settled:
        return Settled()
    last = order.last
    if last is None:
        return _first(order, held_back)
    if order.is_there:
        return _follow(order, now_ms, bounds, _follow_delays(last, is_listening))
    if (ended_by := _ended_by(order, now_ms, bounds, held_back)) is not None:
        return _drop(order, ended_by, now_ms, bounds, jitter)
    if isinstance(last.outcome, Unknown | None):
        return _after_unknown(order, last, now_ms, jitter)
    return _again(order, last.outcome, now_ms, jitter)


def passed_by(order: OrderState, *, now_ms: int) -> Reason | None:
    """Why an exit that waits behind the order need not wait any longer; None if it must.

    What it comes to is not known, but it can change nothing that a reading of the position would not show, unless it
    is sent again. That it must not be.
    """
    last = order.last
    if last is None or order.is_settled:
        return None
    if order.is_there:
        since_ms = max(last.signature.timestamp_ms, order.taken_up_at_ms or 0)
        is_over = not order.planned.rests and now_ms > since_ms + _EXIT_WAITS_MS
        return _unknown(f"the exchange has it and has not told its end, and {EXIT_WAITED}") if is_over else None
    if order.planned.purpose.is_exit or not order.is_in_doubt or now_ms <= order.dead_at_ms:
        return None
    if _may_yet_show(order, now_ms):
        return None
    return _unknown(f"{_why(last)}; {EXIT_WAITED}, so it is not sent again")


def _may_yet_show(order: OrderState, now_ms: int) -> bool:
    """A look-up that works shows the order, or that it may be sent once more; both are over in a moment."""
    doubtful = sum(isinstance(each.outcome, Unknown | None) for each in order.attempts)
    return doubtful == 1 and now_ms <= max(order.dead_at_ms, order.taken_up_at_ms or 0) + _EXIT_WAITS_MS


def _first(order: OrderState, held_back: Reason | None) -> Step:
    if held_back is not None and not order.planned.purpose.is_exit:
        return Drop(reason=held_back)
    return Send()


def _follow_delays(last: Attempt, is_listening: bool) -> tuple[int, ...]:
    if isinstance(last.outcome, OrderRejected):
        return _SEARCH_MS
    return _LISTEN_MS if is_listening else _FOLLOW_MS


def _follow(order: OrderState, now_ms: int, bounds: Bounds, delays: tuple[int, ...]) -> Step:
    """It is at the exchange: look until it rests or has ended."""
    # After a start it may be over before anybody has looked.
    if order.look_ups > 0 and _is_over(order, now_ms, bounds):
        return GiveUp(reason=_unknown("the exchange has the order and then never told how it ended"))
    due = _since_ms(order) + _sum(delays, order.look_ups)
    return LookUp() if now_ms >= due else Wait(until_ms=due)


def _ended_by(order: OrderState, now_ms: int, bounds: Bounds, held_back: Reason | None) -> Reason | None:
    """Why nothing of it may be sent again; None if it may be."""
    last = order.last
    assert last is not None
    if isinstance(last.outcome, OrderRejected) and is_final(order, last.outcome):
        return _refused(last.outcome)
    if held_back is not None:
        return held_back
    if not _is_over(order, now_ms, bounds):
        return None
    return Reason(
        code="EXCHANGE_UNREACHABLE",
        message=f"given up after {len(order.attempts)} tries, none of which reached the exchange: {_why(last)}",
    )


def _drop(order: OrderState, reason: Reason, now_ms: int, bounds: Bounds, jitter: float) -> Step:
    """Once it is certain that no send so far had an effect; a person must look where that cannot be had."""
    last, absence = order.last, order.absence
    assert last is not None
    if not order.is_in_doubt:
        return Drop(reason=reason)
    if order.look_ups > 0 and now_ms > order.dead_at_ms + 1000 and _is_over(order, now_ms, bounds):
        since_ms = absence.since_ms if absence is not None else 0
        if now_ms - since_ms > (bounds.moved_absent_ms if absence and absence.is_moved else 0) + _LAST_CHANCE_MS:
            return GiveUp(reason=_unknown(_why(last)))
    if now_ms <= order.dead_at_ms:
        return _after_unknown(order, last, now_ms, jitter)
    due = order.dead_at_ms + 1 if absence is None else absence.at_ms + bounds.look_every_ms
    due = max(due, _since_ms(order) + _sum(_SEARCH_MS, order.look_ups))
    return LookUp(is_thorough=True) if now_ms >= due else Wait(until_ms=due)


def _after_unknown(order: OrderState, last: Attempt, now_ms: int, jitter: float) -> Step:
    """Look it up; once it is not there and cannot arrive any more, send it again under the same id."""
    absent = order.absent_at_ms
    if absent is not None and absent > last.signature.dead_at_ms:
        return Send()
    due = _since_ms(order) + _sum(_SEARCH_MS, order.look_ups)
    due += int((due - _since_ms(order)) * jitter / 10)
    if absent is not None and absent <= last.signature.dead_at_ms < due:
        due = max(last.signature.dead_at_ms + 1, _last_ms(order))
    return LookUp() if now_ms >= due else Wait(until_ms=due)


def _again(order: OrderState, outcome: Outcome | None, now_ms: int, jitter: float) -> Step:
    """The last send certainly had no effect and may be repeated."""
    if isinstance(outcome, OrderRejected) and outcome.refusal is ErrorKind.CLOCK:
        return Send(measure_clock=True)
    if isinstance(outcome, NotSent):
        delay = _RETRY_MS[min(len(order.attempts), len(_RETRY_MS)) - 1]
        due = outcome.retry_at_ms or (_last_ms(order) + delay + int(delay * jitter / 2))
    else:
        assert isinstance(outcome, OrderRejected) and outcome.refusal is ErrorKind.RATE, f"nothing to repeat: {outcome}"
        due = outcome.retry_at_ms or (_last_ms(order) + _RETRY_MS[-1])
    return Send() if now_ms >= due else Wait(until_ms=due)


def _is_over(order: OrderState, now_ms: int, bounds: Bounds) -> bool:
    """Attempts that never left cost nothing, so only the others count; time counts for all, but not time away."""
    begun_ms = max(order.attempts[0].signature.timestamp_ms, order.taken_up_at_ms or 0)
    sent = sum(1 for each in order.attempts if not isinstance(each.outcome, NotSent | OrderRejected))
    return sent > bounds.max_attempts or now_ms - begun_ms > bounds.max_seconds * 1000


def _last_ms(order: OrderState) -> int:
    assert order.last is not None
    return order.last.signature.timestamp_ms


def _since_ms(order: OrderState) -> int:
    """What look-ups are paced from."""
    return max(_last_ms(order), order.taken_up_at_ms or 0)


def _sum(delays: tuple[int, ...], count: int) -> int:
    """When try number `count` is due, counted from the first; the last delay repeats."""
    more = max(0, count + 1 - len(delays))
    return sum(delays[: count + 1]) + more * delays[-1]


def _why(attempt: Attempt) -> str:
    match attempt.outcome:
        case Unknown(why=why) | NotSent(why=why):
            return why
        case OrderRejected(words=words):
            return words
        case _:
            return "the relay was stopped while it was sent"


def _unknown(why: str) -> Reason:
    return Reason(
        code=OUTCOME_UNKNOWN,
        message=f"it may or may not be at the exchange ({why}); look for it there before anything is sent again",
    )


_ADVICE = {
    "POSITION_MODE_HEDGE": ": the relay trades in one-way mode only; close the symbol's positions and orders, "
    "then switch its position mode to one-way",
    "EXCHANGE_TERMS": ": the master account must accept the trading terms on Bybit's site or in its app, on the page "
    "of this contract; they hold for its subaccounts, too, and the relay neither can nor may accept them",
    "EXCHANGE_PRICE": ": the price is outside the range that the exchange allows just now; `plan` shows the range",
    "EXCHANGE_RESTRICTED": ": the exchange does not let this account trade just now; look at its messages to you there",
}


def after_outcome(order: OrderState, outcome: Outcome) -> OrderState:
    """The order once the answer to its last attempt is in.

    A final refusal says nothing of earlier attempts whose outcome is unknown: the order stays in doubt.
    """
    last = order.last
    assert last is not None, "an outcome belongs to an attempt"
    known = replace(order, attempts=(*order.attempts[:-1], replace(last, outcome=outcome)))
    match outcome:
        case Accepted():
            return replace(known, status=OrderStatus.ACCEPTED, venue_order_id=outcome.venue_order_id)
        case OrderRejected() if is_final(known, outcome) and (_is_spent(known, outcome) or not known.is_in_doubt):
            return replace(known, status=OrderStatus.REJECTED, reason=_refused(outcome))
        case _:
            return known


def _is_spent(order: OrderState, rejected: OrderRejected) -> bool:
    """Nothing is left for an exit, so nothing hangs on what did it."""
    return order.planned.purpose.is_exit and rejected.refusal is ErrorKind.NOTHING_TO_REDUCE


def _refused(rejected: OrderRejected) -> Reason:
    words = f"{rejected.words} (Bybit's code {rejected.code}){_ADVICE.get(rejected.reason_code, '')}"
    return Reason(code=rejected.reason_code, message=words)


def is_final(order: OrderState, rejected: OrderRejected) -> bool:
    """Whether a refusal ends the order. A refused timestamp is tried again once, with the clock measured anew."""
    if rejected.refusal is ErrorKind.CLOCK:
        refused = [
            a for a in order.attempts if isinstance(a.outcome, OrderRejected) and a.outcome.refusal is ErrorKind.CLOCK
        ]
        return len(refused) > 1
    return rejected.refusal not in (ErrorKind.RATE, ErrorKind.ALREADY_THERE)


# What is known of an order after a send, an answer, a look-up or a report. What was known once stays known.


def sent(order: OrderState, signature: RequestSignature) -> OrderState:
    """A send with this signature is about to leave; earlier look-ups count no more."""
    attempt = Attempt(number=len(order.attempts) + 1, signature=signature)
    return replace(
        order,
        status=OrderStatus.SUBMITTED,
        attempts=(*order.attempts, attempt),
        look_ups=0,
        absent_at_ms=None,
        absence=None,
    )


def looked_up(
    order: OrderState, report: OrderReport | None, *, begun_at_ms: int, bounds: Bounds, is_moved: bool | None = None
) -> OrderState:
    """The order after a look-up, begun at `begun_at_ms` of the exchange's clock. `report`: None if it has no such
    order.

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
        first = Absence(since_ms=begun_at_ms, at_ms=begun_at_ms, bounds=bounds, is_moved=is_moved)
        return replace(counted, absence=first)
    longer = replace(run, at_ms=begun_at_ms, look_ups=run.look_ups + 1, is_moved=is_moved or run.is_moved)
    return replace(counted, absence=longer)


def judged(planned: PlannedOrder, report: OrderReport) -> OrderReport:
    """An order by value that has bought all it could is filled, though what buys no step more of it was cancelled."""
    ended = report.status in (OrderStatus.CANCELED, OrderStatus.EXPIRED)
    if planned.spend is None or not ended or not planned.is_filled_by(report.filled_qty, report.avg_price):
        return report
    return replace(report, status=OrderStatus.FILLED, reason=None)


def reported(order: OrderState, report: OrderReport) -> OrderState:
    """A report of any age and from any source: fills only ever grow, and an ended order stays ended.

    But for one that was denied: that the exchange has it overrules that it was held to be absent.
    """
    report = judged(order.planned, report)
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
