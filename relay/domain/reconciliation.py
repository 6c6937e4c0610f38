"""What to do next about one order, from what is known of it: pure, so that every history can be tried.

The rule that everything hangs on: a request whose outcome is unknown may still arrive until the exchange's clock has
passed the end of its window. Only a look-up *begun* after that, which finds nothing, proves that it never will.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from relay.domain.order import OrderStatus, PlannedOrder, Purpose, Reason
from relay.domain.outcome import Accepted, NotSent, Outcome, Refusal, Rejected, Stamp, Unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One send. `outcome` None: the process ended before the answer was written down, which is as good as unknown."""

    number: int
    stamp: Stamp
    outcome: Outcome | None = None


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
    absences: int = 0
    """How many of them found nothing."""
    taken_up_at_ms: int | None = None
    """When a restarted relay took the order up again: time that it was not there to use counts for nothing."""
    absent_at_ms: int | None = None
    """When the last look-up that found nothing was begun, since the last attempt."""
    leverage_asked: int = 0
    """How often setting the leverage before the first attempt came to nothing certain."""
    leverage_asked_at_ms: int | None = None
    """When it was asked for first, by this process."""

    @property
    def last(self) -> Attempt | None:
        return self.attempts[-1] if self.attempts else None

    @property
    def is_settled(self) -> bool:
        """Known to rest, or to have ended: the lane may go on."""
        return self.status.is_ended or self.rests

    @property
    def is_exit(self) -> bool:
        return self.planned.purpose is Purpose.EXIT


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How long and how often one order is tried before a person must look.

    The time is longer than the exchange's ban of an address (10 minutes), so that an exit outlives one.
    """

    max_attempts: int = 8
    max_seconds: int = 900


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """Send it, under the same client order id as ever. `measure_clock`: the last one was refused for its timestamp."""

    measure_clock: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LookUp:
    """Ask the exchange for it by client order id."""


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

_FOLLOW_MS = (0, 5, 15, 40, 100, 250, 500)
_LISTEN_MS = (250, 250, 500)
"""While a stream tells the order's end by itself, looking is for what got lost."""
_SEARCH_MS = (0, 200, 400, 800, 1500)
_RETRY_MS = (100, 250, 500, 1000, 2000)
_ALREADY_THERE_LOOK_UPS = 12


def next_step(
    order: OrderState,
    *,
    now_ms: int,
    bounds: Bounds,
    held_back: Reason | None,
    jitter: float,
    is_listening: bool = False,
) -> Step:
    """`held_back`: why an entry may not be sent any more, if so. `jitter`: 0 to 1, spreads repeated tries.

    `is_listening`: a stream tells how the order ends.
    """
    if order.is_settled:
        return Settled()
    last = order.last
    if last is None:
        return _first(order, held_back)
    match last.outcome:
        case Accepted():
            return _follow(order, last, now_ms, bounds, _LISTEN_MS if is_listening else _FOLLOW_MS)
        case Rejected() as rejected:
            return _after_refusal(order, rejected, now_ms, bounds, held_back)
        case NotSent() as not_sent:
            return _after_not_sent(order, not_sent, now_ms, bounds, held_back, jitter)
        case Unknown() | None:
            return _after_unknown(order, last, now_ms, bounds, held_back, jitter)


def _first(order: OrderState, held_back: Reason | None) -> Step:
    if held_back is not None and not order.is_exit:
        return Drop(reason=held_back)
    return Send()


def _follow(order: OrderState, last: Attempt, now_ms: int, bounds: Bounds, delays: tuple[int, ...]) -> Step:
    """Acknowledged: look until it rests or has ended."""
    # After a start it may be over before anybody has looked.
    if order.look_ups > 0 and _is_over(order, now_ms, bounds):
        return GiveUp(reason=_unknown("the exchange acknowledged the order and then never told how it ended"))
    due = _since_ms(order) + _sum(delays, order.look_ups)
    return LookUp() if now_ms >= due else Wait(until_ms=due)


def _after_refusal(
    order: OrderState, rejected: Rejected, now_ms: int, bounds: Bounds, held_back: Reason | None
) -> Step:
    if rejected.refusal is Refusal.ALREADY_THERE:
        if order.absences >= _ALREADY_THERE_LOOK_UPS or (order.look_ups > 0 and _is_over(order, now_ms, bounds)):
            return GiveUp(reason=_unknown("the exchange knows the order's id, but does not show the order"))
        due = _since_ms(order) + _sum(_SEARCH_MS, order.look_ups)
        return LookUp() if now_ms >= due else Wait(until_ms=due)
    drop = _drop_if_too_late(order, now_ms, bounds, held_back, rejected.words)
    if drop is not None:
        return drop
    if rejected.refusal is Refusal.RATE:
        due = rejected.retry_at_ms or (_last_ms(order) + _RETRY_MS[-1])
        return Send() if now_ms >= due else Wait(until_ms=due)
    assert rejected.refusal is Refusal.CLOCK, f"a final refusal ends the order: {rejected}"
    return Send(measure_clock=True)


def _after_not_sent(
    order: OrderState, not_sent: NotSent, now_ms: int, bounds: Bounds, held_back: Reason | None, jitter: float
) -> Step:
    drop = _drop_if_too_late(order, now_ms, bounds, held_back, not_sent.why)
    if drop is not None:
        return drop
    delay = _RETRY_MS[min(len(order.attempts), len(_RETRY_MS)) - 1]
    due = not_sent.retry_at_ms or (_last_ms(order) + delay + int(delay * jitter / 2))
    return Send() if now_ms >= due else Wait(until_ms=due)


def _after_unknown(
    order: OrderState, last: Attempt, now_ms: int, bounds: Bounds, held_back: Reason | None, jitter: float
) -> Step:
    absent = order.absent_at_ms
    if absent is not None and absent > last.stamp.dead_at_ms:
        return _drop_if_too_late(order, now_ms, bounds, held_back, "the exchange could not be reached") or Send()
    if order.look_ups > 0 and _is_over(order, now_ms, bounds) and now_ms > last.stamp.dead_at_ms + 1000:
        return GiveUp(reason=_unknown(_why(last)))
    due = _since_ms(order) + _sum(_SEARCH_MS, order.look_ups)
    due += int((due - _since_ms(order)) * jitter / 10)
    if absent is not None and absent <= last.stamp.dead_at_ms < due:
        due = max(last.stamp.dead_at_ms + 1, _last_ms(order))
    return LookUp() if now_ms >= due else Wait(until_ms=due)


def _drop_if_too_late(
    order: OrderState, now_ms: int, bounds: Bounds, held_back: Reason | None, why: str
) -> Drop | None:
    """Called only where it is certain that no send so far had an effect."""
    if held_back is not None and not order.is_exit:
        return Drop(reason=held_back)
    if not _is_over(order, now_ms, bounds):
        return None
    return Drop(
        reason=Reason(
            code="EXCHANGE_UNREACHABLE",
            message=f"given up after {len(order.attempts)} tries, none of which reached the exchange: {why}",
        )
    )


def _is_over(order: OrderState, now_ms: int, bounds: Bounds) -> bool:
    """Attempts that never left cost nothing, so only the others count; time counts for all, but not time away."""
    begun_ms = max(order.attempts[0].stamp.timestamp_ms, order.taken_up_at_ms or 0)
    sent = sum(1 for each in order.attempts if not isinstance(each.outcome, NotSent | Rejected))
    return sent > bounds.max_attempts or now_ms - begun_ms > bounds.max_seconds * 1000


def _last_ms(order: OrderState) -> int:
    assert order.last is not None
    return order.last.stamp.timestamp_ms


def _since_ms(order: OrderState) -> int:
    """What look-ups are paced from."""
    return max(_last_ms(order), order.taken_up_at_ms or 0)


def _sum(delays: tuple[int, ...], count: int) -> int:
    """When try number `count` is due, counted from the first; the last delay repeats."""
    more = max(0, count + 1 - len(delays))
    return sum(delays[: count + 1]) + more * delays[-1]


def _why(attempt: Attempt) -> str:
    return attempt.outcome.why if isinstance(attempt.outcome, Unknown) else "the relay was stopped while it was sent"


def _unknown(why: str) -> Reason:
    return Reason(
        code="OUTCOME_UNKNOWN",
        message=f"it may or may not be at the exchange ({why}); look for it there before anything is sent again",
    )


_ADVICE = {
    "POSITION_MODE_HEDGE": ": the relay trades in one-way mode only; close the symbol's positions and orders, "
    "then switch its position mode to one-way",
}


def after_outcome(order: OrderState, outcome: Outcome) -> OrderState:
    """The order once the answer to its last attempt is in."""
    last = order.last
    assert last is not None, "an outcome belongs to an attempt"
    known = replace(order, attempts=(*order.attempts[:-1], replace(last, outcome=outcome)))
    match outcome:
        case Accepted():
            return replace(known, status=OrderStatus.ACCEPTED, venue_order_id=outcome.venue_order_id)
        case Rejected() if is_final(known, outcome):
            words = f"{outcome.words} (Bybit's code {outcome.code}){_ADVICE.get(outcome.reason_code, '')}"
            return replace(known, status=OrderStatus.REJECTED, reason=Reason(code=outcome.reason_code, message=words))
        case _:
            return known


def is_final(order: OrderState, rejected: Rejected) -> bool:
    """Whether a refusal ends the order. A refused timestamp is tried again once, with the clock measured anew."""
    if rejected.refusal is Refusal.CLOCK:
        refused = [a for a in order.attempts if isinstance(a.outcome, Rejected) and a.outcome.refusal is Refusal.CLOCK]
        return len(refused) > 1
    return rejected.refusal not in (Refusal.RATE, Refusal.ALREADY_THERE)
