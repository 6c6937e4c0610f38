"""What an order is once reports of it have come, in whatever order they do, and when it is looked at or sent next."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from itertools import permutations
from typing import Any

import pytest

from relay.domain.order import (
    Accepted,
    ErrorKind,
    NotSent,
    OrderRejected,
    OrderStatus,
    Outcome,
    Purpose,
    Reason,
    RequestSignature,
    Unknown,
    client_order_id,
)
from relay.domain.order_lifecycle import (
    Bounds,
    GiveUp,
    LookUp,
    OrderState,
    Send,
    Step,
    Wait,
    after_outcome,
    denied,
    judged,
    looked_up,
    next_step,
    passed_by,
    reported,
    sent,
)
from tests.unit.journal_builders import limit, planned, report

SIGNATURE = RequestSignature(timestamp_ms=1_700_000_000_000, recv_window_ms=5000)
OPENED = report("o-1", OrderStatus.ACCEPTED, "0", rests=True)
PARTLY = report("o-1", OrderStatus.PARTIALLY_FILLED, "0.004", rests=True, fee="0.10")
MORE = report("o-1", OrderStatus.PARTIALLY_FILLED, "0.007", rests=True, fee="0.20")
ENDED = report("o-1", OrderStatus.CANCELED, "0.007", fee="0.20", reason="CancelByUser")


@pytest.fixture
def order() -> OrderState:
    return sent(OrderState(client_order_id="o-1", planned=limit()), SIGNATURE)


def test_an_older_report_takes_no_fill_back(order: OrderState) -> None:
    half = reported(reported(order, MORE), PARTLY)
    assert half == reported(order, MORE)
    assert (half.filled_qty, half.fee, half.rests) == (Decimal("0.007"), Decimal("0.20"), True)


def test_in_whatever_order_its_reports_come_an_order_ends_the_same(order: OrderState) -> None:
    for reports in permutations((OPENED, PARTLY, MORE, ENDED)):
        state = order
        for each in reports:
            state = reported(state, each)
        assert (state.status, state.filled_qty, state.rests) == (OrderStatus.CANCELED, Decimal("0.007"), False)


def test_an_order_that_rests_is_settled_and_no_longer_once_it_has_ended(order: OrderState) -> None:
    rests = reported(order, OPENED)
    assert rests.is_settled and not rests.status.is_ended
    assert not reported(rests, replace(ENDED, rests=True)).rests


def test_a_report_overrules_that_an_order_was_held_to_be_absent(order: OrderState) -> None:
    dropped = denied(after_outcome(order, Unknown(why="cut")), Reason(code="HALTED", message="halted"))
    found = reported(dropped, report("o-1"))
    assert (found.status, found.filled_qty, found.reason) == (OrderStatus.FILLED, Decimal("0.010"), None)


def test_a_refusal_that_is_reported_says_why(order: OrderState) -> None:
    for words, message in (("EC_PostOnly", "EC_PostOnly"), (None, "the exchange gave no reason")):
        refused = reported(order, report("o-1", OrderStatus.REJECTED, "0", reason=words))
        assert refused.reason == Reason(code="EXCHANGE_REFUSED", message=message)


def step(order: OrderState, after_ms: int, **more: Any) -> Step:
    """So long after it was sent."""
    known = {"bounds": Bounds(), "held_back": None, "jitter": 0.0, **more}
    return next_step(order, now_ms=SIGNATURE.timestamp_ms + after_ms, **known)


def until(after_ms: int) -> Wait:
    return Wait(until_ms=SIGNATURE.timestamp_ms + after_ms)


def looks(order: OrderState, after_ms: int, times: int = 1) -> OrderState:
    for _ in range(times):
        order = looked_up(order, None, begun_at_ms=SIGNATURE.timestamp_ms + after_ms, bounds=Bounds())
    return order


@pytest.mark.parametrize(("purpose", "is_over"), [(Purpose.EXIT, True), (Purpose.ENTRY, False), (Purpose.FLIP, False)])
def test_that_nothing_is_left_to_reduce_ends_a_resend_only_of_an_exit(purpose: Purpose, is_over: bool) -> None:
    """Of what opens, the send before it may have had its effect all the same."""
    opens = OrderState(client_order_id="o-1", planned=replace(limit(), purpose=purpose))
    in_doubt = after_outcome(sent(opens, SIGNATURE), Unknown(why="cut"))
    again = sent(in_doubt, replace(SIGNATURE, timestamp_ms=SIGNATURE.timestamp_ms + 6000))
    nothing = OrderRejected(code=110017, words="zero", refusal=ErrorKind.NOTHING_TO_REDUCE)
    found = after_outcome(again, nothing)
    assert (found.status is OrderStatus.REJECTED) is is_over and found.is_in_doubt


@pytest.mark.parametrize(
    ("account", "leg", "generation", "end"),
    [("main", 7, 3, "99wh00703"), ("second", 0, 0, "g7s400000"), ("a-much-longer-name", 999, 99, "8xpz99999")],
)
def test_an_order_s_id_is_the_same_in_every_version(account: str, leg: int, generation: int, end: str) -> None:
    """It is looked up by it, also after an update."""
    signal_id = "01hzy3k9v7q2m5x8w4t6r1n0ab"
    found = client_order_id(signal_id=signal_id, account=account, leg=leg, generation=generation)
    assert found == f"{signal_id}-{end}" and len(found) <= 36


RATE = OrderRejected(code=10006, words="too many", refusal=ErrorKind.RATE)
THERE = OrderRejected(code=110072, words="duplicate", refusal=ErrorKind.ALREADY_THERE)
CLOCK = OrderRejected(code=10002, words="timestamp", refusal=ErrorKind.CLOCK)


@pytest.mark.parametrize(
    ("outcome", "looked", "jitter", "due_ms"),
    [
        *((Accepted(venue_order_id="v"), looked, 0.0, due) for looked, due in ((1, 5), (2, 20), (6, 910), (7, 1410))),
        *((THERE, looked, 0.0, due) for looked, due in ((1, 200), (2, 600), (4, 2900), (5, 4400))),
        *((Unknown(why="cut"), looked, 0.0, due) for looked, due in ((1, 200), (3, 1400), (4, 2900))),
        *((Unknown(why="cut"), 1, jitter, due) for jitter, due in ((0.5, 210), (1.0, 220))),
    ],
)
def test_an_order_that_is_not_settled_is_looked_up_ever_more_seldom(
    order: OrderState, outcome: Outcome, looked: int, jitter: float, due_ms: int
) -> None:
    state = looks(after_outcome(order, outcome), 0, looked)
    assert step(state, due_ms - 1, jitter=jitter) == until(due_ms)
    assert step(state, due_ms, jitter=jitter) == LookUp()


@pytest.mark.parametrize(
    ("outcome", "jitter", "due_ms"),
    [
        (NotSent(why="refused connection"), 0.0, 100),
        (NotSent(why="refused connection"), 1.0, 150),
        (NotSent(why="banned", retry_at_ms=SIGNATURE.timestamp_ms + 700), 0.0, 700),
        (RATE, 0.0, 2000),
        (replace(RATE, retry_at_ms=SIGNATURE.timestamp_ms + 300), 0.0, 300),
    ],
)
def test_what_had_no_effect_is_sent_again_after_a_while(
    order: OrderState, outcome: Outcome, jitter: float, due_ms: int
) -> None:
    state = after_outcome(order, outcome)
    assert step(state, due_ms - 1, jitter=jitter) == until(due_ms)
    assert step(state, due_ms, jitter=jitter) == Send()


def test_a_refused_timestamp_is_sent_again_at_once_with_the_clock_measured(order: OrderState) -> None:
    assert step(after_outcome(order, CLOCK), 0) == Send(measure_clock=True)


def test_an_unknown_order_that_a_look_up_missed_too_early_is_looked_for_once_it_cannot_arrive(
    order: OrderState,
) -> None:
    state = looks(after_outcome(order, Unknown(why="cut")), 3000, 7)
    dead_ms = state.dead_at_ms - SIGNATURE.timestamp_ms
    assert step(state, dead_ms) == until(dead_ms + 1)
    assert step(state, dead_ms + 1) == LookUp()
    assert step(looks(state, dead_ms + 1), dead_ms + 2) == Send()


def test_an_order_is_given_up_where_its_end_is_never_told_and_only_after_a_look(order: OrderState) -> None:
    accepted, late_ms = after_outcome(order, Accepted(venue_order_id="v")), 901_000
    assert step(accepted, late_ms) == LookUp()
    assert isinstance(step(looks(accepted, 0), late_ms), GiveUp)
    assert not isinstance(step(looks(accepted, 0), late_ms - 2_000), GiveUp)


def test_an_exit_passes_an_acknowledged_order_only_where_it_cannot_rest_and_after_seconds(order: OrderState) -> None:
    accepted = after_outcome(order, Accepted(venue_order_id="v"))
    at_market = replace(accepted, planned=planned())
    assert passed_by(accepted, now_ms=SIGNATURE.timestamp_ms + 60_000) is None
    assert passed_by(at_market, now_ms=SIGNATURE.timestamp_ms + 3_000) is None
    assert passed_by(at_market, now_ms=SIGNATURE.timestamp_ms + 3_001) is not None


@pytest.mark.parametrize(
    ("status", "spend", "filled", "expected"),
    [
        (OrderStatus.CANCELED, "100", "0.001", OrderStatus.CANCELED),
        (OrderStatus.CANCELED, "100", "0.002", OrderStatus.FILLED),
        (OrderStatus.EXPIRED, "100", "0.002", OrderStatus.FILLED),
        (OrderStatus.ACCEPTED, "100", "0.002", OrderStatus.ACCEPTED),
        (OrderStatus.REJECTED, "100", "0.002", OrderStatus.REJECTED),
        (OrderStatus.CANCELED, None, "0.010", OrderStatus.CANCELED),
        (OrderStatus.CANCELED, "100", "0", OrderStatus.CANCELED),
    ],
)
def test_an_order_by_value_that_has_bought_all_it_could_is_filled(
    status: OrderStatus, spend: str | None, filled: str, expected: OrderStatus
) -> None:
    """At 49,900: two thousandths cost 99.80, and 0.20 more buys no step."""
    asked = replace(planned(), spend=Decimal(spend) if spend else None, spend_rest=Decimal("0.2"))
    average = Decimal(49_900) if filled != "0" else None
    told = replace(report("o-1", status, filled, reason="CancelByUser"), avg_price=average)
    found = judged(asked, told)
    assert found == (replace(told, status=expected, reason=None) if expected is not status else told)


@pytest.mark.parametrize(
    ("outcome", "listening", "dues"),
    [
        (Accepted(venue_order_id="v"), False, (0, 5, 20, 60, 160, 410, 910, 1410, 1910)),
        (Accepted(venue_order_id="v"), True, (250, 500, 1000, 1500)),
        (THERE, False, (0, 200, 600, 1400, 2900, 4400)),
        (THERE, True, (0, 200, 600, 1400, 2900, 4400)),
        (Unknown(why="cut"), True, (0, 200, 600, 1400, 2900, 4400)),
    ],
)
def test_each_look_up_has_its_moment(
    order: OrderState, outcome: Outcome, listening: bool, dues: tuple[int, ...]
) -> None:
    for looked, due_ms in enumerate(dues):
        state = looks(after_outcome(order, outcome), 0, looked)
        if due_ms:
            assert step(state, due_ms - 1, is_listening=listening) == until(due_ms)
        assert isinstance(step(state, due_ms, is_listening=listening), LookUp)


@pytest.mark.parametrize(
    ("tries", "jitter", "due_ms"),
    [(1, 0, 100), (2, 0, 250), (3, 0, 500), (4, 0, 1000), (5, 0, 2000), (6, 0, 2000), (3, 1, 750), (3, 0.5, 625)],
)
def test_what_did_not_leave_is_tried_again_ever_more_seldom(tries: int, jitter: float, due_ms: int) -> None:
    state = OrderState(client_order_id="o-1", planned=limit())
    for _ in range(tries):
        state = after_outcome(sent(state, SIGNATURE), NotSent(why="refused"))
    assert step(state, due_ms - 1, jitter=jitter) == until(due_ms)
    assert step(state, due_ms, jitter=jitter) == Send()
    named = after_outcome(sent(state, SIGNATURE), NotSent(why="limit", retry_at_ms=SIGNATURE.timestamp_ms + 7))
    assert (step(named, 6), step(named, 7)) == (until(7), Send())
    spent = after_outcome(sent(state, SIGNATURE), RATE)
    assert (step(spent, 1999), step(spent, 2000)) == (until(2000), Send())
    assert step(after_outcome(sent(state, SIGNATURE), CLOCK), 0) == Send(measure_clock=True)


@pytest.mark.parametrize(("doubtful", "is_over"), [(1, False), (2, False), (3, True)])
def test_an_order_whose_end_is_never_told_is_given_up_after_so_many_sends_that_may_have_arrived(
    doubtful: int, is_over: bool
) -> None:
    state = OrderState(client_order_id="o-1", planned=limit())
    sends: list[Outcome] = [NotSent(why="refused"), *([Unknown(why="cut")] * doubtful), Accepted(venue_order_id="v")]
    for outcome in sends:
        state = after_outcome(sent(state, SIGNATURE), outcome)
    found = step(looks(state, 0), 1, bounds=Bounds(max_attempts=3))
    assert isinstance(found, GiveUp) is is_over
