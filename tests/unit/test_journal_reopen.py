"""When a signal may be executed again: only if it is certain that nothing of it had an effect."""

from __future__ import annotations

import pytest

from relay.domain.order import (
    Accepted,
    ErrorKind,
    NotSent,
    OrderRejected,
    OrderStatus,
    Outcome,
    Reason,
    RequestSignature,
    SignalStatus,
    Unknown,
)
from relay.domain.signal import new_signal_id
from relay.errors import SignalNotRetryable
from relay.journal.journal import Journal
from relay.journal.records import Duplicate, NewSignal, Reopened
from tests.unit.journal_builders import (
    NOW_MS,
    SIGNATURE,
    accept,
    accepted,
    by_id_and_time,
    events_of,
    fill,
    new_signal,
    order_id,
    plan,
    planned,
    report,
    sent_order,
)

NO_MONEY = OrderRejected(code=110007, words="not enough", reason_code="EXCHANGE_BALANCE")
DROPPED = Reason(code="EXCHANGE_UNREACHABLE", message="given up")
REOPENED_BY_RESEND = [SignalStatus.FAILED, SignalStatus.DENIED, SignalStatus.EXPIRED]
FINISHED = [*REOPENED_BY_RESEND, SignalStatus.ATTENTION]


def _signal() -> NewSignal:
    return new_signal(by_id_and_time("7|12:00"), digest="d")


def _finished(journal: Journal, status: SignalStatus, outcome: Outcome | None) -> tuple[str, str]:
    signal_id, client_id = sent_order(journal, signal=_signal())
    if outcome is not None:
        journal.record_outcome(client_id, 1, outcome, now_ms=NOW_MS)
    journal.finish(signal_id, "main", status, now_ms=NOW_MS)
    return signal_id, client_id


@pytest.mark.parametrize("status", REOPENED_BY_RESEND)
def test_the_resend_of_what_ended_without_any_order_opens_it_again(journal: Journal, status: SignalStatus) -> None:
    signal_id = accepted(journal, _signal())
    journal.finish(signal_id, "main", status, Reason(code="HALTED", message="halted"), now_ms=NOW_MS)
    later = accepted(journal)
    assert accept(journal, _signal(), at_ms=NOW_MS + 5) == Reopened(signal_id=signal_id, generation=1)
    waiting = journal.unfinished()
    assert [each.signal.id for each in waiting] == [later, signal_id], "it waits behind what was accepted meanwhile"
    assert (waiting[1].generation, waiting[1].opened_at_ms) == (1, NOW_MS + 5)
    shown = journal.signal(signal_id)
    assert shown is not None
    assert (shown["status"], shown["reason"]) == ("accepted", None)
    assert "reopened" in events_of(journal, signal_id)


def test_a_refused_order_is_no_effect_and_stays_as_history(journal: Journal) -> None:
    signal_id, client_id = _finished(journal, SignalStatus.FAILED, NO_MONEY)
    assert accept(journal, _signal()) == Reopened(signal_id=signal_id, generation=1)
    (waiting,) = journal.unfinished()
    assert (waiting.plan, waiting.orders) == (None, ())
    ids = journal.write(
        lambda uow: uow.plans.record(signal_id=signal_id, account="main", generation=1, plan=plan(), now_ms=NOW_MS)
    )
    assert ids == (order_id(signal_id, generation=1),)
    assert [each.state.client_order_id for each in journal.unfinished()[0].orders] == list(ids)
    shown = journal.signal(signal_id)
    assert shown is not None
    assert [order["client_order_id"] for order in shown["orders"]] == [client_id, *ids]


def test_reopened_work_is_not_reopened_again_while_it_runs(journal: Journal) -> None:
    signal_id, _ = _finished(journal, SignalStatus.FAILED, NO_MONEY)
    accept(journal, _signal())
    again = accept(journal, _signal())
    assert again == Duplicate(signal_id=signal_id, status=SignalStatus.ACCEPTED, first_at_ms=NOW_MS)


@pytest.mark.parametrize(
    "status", [SignalStatus.ACCEPTED, SignalStatus.EXECUTING, SignalStatus.DONE, SignalStatus.ATTENTION]
)
def test_a_resend_opens_only_what_failed(journal: Journal, status: SignalStatus) -> None:
    signal_id = accepted(journal, _signal())
    if status is SignalStatus.EXECUTING:
        journal.write(lambda uow: uow.signals.begin(signal_id, "main", now_ms=NOW_MS))
    elif status is not SignalStatus.ACCEPTED:
        journal.finish(signal_id, "main", status, now_ms=NOW_MS)
    assert accept(journal, _signal()) == Duplicate(signal_id=signal_id, status=status, first_at_ms=NOW_MS)


CERTAIN: list[Outcome] = [
    NO_MONEY,
    OrderRejected(code=10006, words="slow down", refusal=ErrorKind.RATE),
    OrderRejected(code=10002, words="clock", refusal=ErrorKind.CLOCK),
    NotSent(why="connection refused"),
]
UNCERTAIN: list[Outcome | None] = [
    None,
    Unknown(why="timeout"),
    Accepted(venue_order_id="v-1"),
    OrderRejected(code=110072, words="duplicate id", refusal=ErrorKind.ALREADY_THERE),
]


@pytest.mark.parametrize("outcome", CERTAIN)
def test_a_dropped_order_with_a_certain_outcome_had_no_effect(journal: Journal, outcome: Outcome) -> None:
    signal_id, client_id = _finished(journal, SignalStatus.FAILED, outcome)
    journal.settle_order(client_id, OrderStatus.DENIED, DROPPED, now_ms=NOW_MS)
    assert isinstance(accept(journal, _signal()), Reopened)


@pytest.mark.parametrize("outcome", UNCERTAIN)
@pytest.mark.parametrize("status", FINISHED)
def test_a_send_that_may_have_arrived_is_never_repeated(
    journal: Journal, status: SignalStatus, outcome: Outcome | None
) -> None:
    signal_id, client_id = _finished(journal, status, outcome)
    journal.settle_order(client_id, OrderStatus.DENIED, DROPPED, now_ms=NOW_MS)
    assert isinstance(accept(journal, _signal()), Duplicate)
    with pytest.raises(SignalNotRetryable, match="may have reached the exchange"):
        journal.reopen(signal_id, now_ms=NOW_MS)


def test_an_order_still_submitted_is_not_certain_even_if_its_sends_are(journal: Journal) -> None:
    _finished(journal, SignalStatus.FAILED, NotSent(why="connection refused"))
    assert isinstance(accept(journal, _signal()), Duplicate)


@pytest.mark.parametrize("outcome", [None, Unknown(why="timeout")])
def test_a_look_up_after_the_end_of_its_window_authenticates_that_a_send_never_arrived(
    journal: Journal, outcome: Outcome | None
) -> None:
    signal_id, client_id = _finished(journal, SignalStatus.FAILED, outcome)
    journal.settle_order(client_id, OrderStatus.DENIED, DROPPED, now_ms=NOW_MS)
    journal.record_absence(client_id, 1, begun_at_ms=SIGNATURE.dead_at_ms)
    assert isinstance(accept(journal, _signal()), Duplicate), "one begun too early proves nothing"
    journal.record_absence(client_id, 1, begun_at_ms=SIGNATURE.dead_at_ms + 1)
    journal.record_absence(client_id, 1, begun_at_ms=SIGNATURE.dead_at_ms - 1)
    assert isinstance(accept(journal, _signal()), Reopened)


def test_each_of_several_sends_must_be_certain(journal: Journal) -> None:
    signal_id, client_id = sent_order(journal, signal=_signal())
    journal.record_outcome(client_id, 1, Unknown(why="timeout"), now_ms=NOW_MS)
    second = RequestSignature(timestamp_ms=NOW_MS + 7000, recv_window_ms=5000)
    assert journal.record_attempt(client_id, second, now_ms=NOW_MS) == 2
    journal.record_outcome(client_id, 2, NO_MONEY, now_ms=NOW_MS)
    journal.finish(signal_id, "main", SignalStatus.FAILED, now_ms=NOW_MS)
    assert isinstance(accept(journal, _signal()), Duplicate)
    journal.settle_order(client_id, OrderStatus.DENIED, DROPPED, now_ms=NOW_MS)
    assert isinstance(accept(journal, _signal()), Duplicate), "that the second was refused says nothing of the first"
    journal.record_absence(client_id, 2, begun_at_ms=second.dead_at_ms + 1)
    assert isinstance(accept(journal, _signal()), Reopened)


@pytest.mark.parametrize("status", [OrderStatus.CANCELED, OrderStatus.EXPIRED, OrderStatus.FILLED])
def test_an_order_that_was_at_the_exchange_is_an_effect_even_without_a_fill(
    journal: Journal, status: OrderStatus
) -> None:
    signal_id, client_id = _finished(journal, SignalStatus.FAILED, NotSent(why="connection refused"))
    journal.record_report(client_id, report(client_id, status, "0"), now_ms=NOW_MS)
    assert isinstance(accept(journal, _signal()), Duplicate)


def test_a_fill_is_an_effect_whatever_the_status_says(journal: Journal) -> None:
    _, client_id = _finished(journal, SignalStatus.FAILED, NO_MONEY)
    journal.record_report(client_id, None, [fill(client_id)], now_ms=NOW_MS)
    assert isinstance(accept(journal, _signal()), Duplicate)


def test_an_effect_on_one_account_keeps_all_closed(journal: Journal) -> None:
    signal_id, client_id = sent_order(
        journal, signal=new_signal(by_id_and_time("7|12:00"), digest="d", accounts=("main", "other"))
    )
    journal.record_report(client_id, report(client_id), now_ms=NOW_MS)
    journal.finish(signal_id, "main", SignalStatus.DONE, now_ms=NOW_MS)
    journal.finish(signal_id, "other", SignalStatus.FAILED, now_ms=NOW_MS)
    again = accept(journal, _signal())
    assert again == Duplicate(signal_id=signal_id, status=SignalStatus.FAILED, first_at_ms=NOW_MS)


def test_an_effect_in_an_earlier_generation_keeps_it_closed(journal: Journal) -> None:
    signal_id, client_id = _finished(journal, SignalStatus.FAILED, NO_MONEY)
    assert isinstance(accept(journal, _signal()), Reopened)
    journal.record_report(client_id, None, [fill(client_id)], now_ms=NOW_MS)
    journal.finish(signal_id, "main", SignalStatus.FAILED, now_ms=NOW_MS)
    assert isinstance(accept(journal, _signal()), Duplicate)


@pytest.mark.parametrize("status", FINISHED)
def test_a_person_may_open_what_had_no_effect(journal: Journal, status: SignalStatus) -> None:
    signal_id, _ = _finished(journal, status, NO_MONEY)
    assert journal.reopen(signal_id, now_ms=NOW_MS) == 1
    assert [each.signal.id for each in journal.unfinished()] == [signal_id]


def test_a_planned_order_that_was_never_sent_is_no_effect(journal: Journal) -> None:
    signal_id, client_id = sent_order(journal, planned(0), planned(1), signal=_signal())
    journal.record_outcome(client_id, 1, NO_MONEY, now_ms=NOW_MS)
    journal.finish(signal_id, "main", SignalStatus.FAILED, now_ms=NOW_MS)
    assert journal.reopen(signal_id, now_ms=NOW_MS) == 1


@pytest.mark.parametrize("status", [SignalStatus.ACCEPTED, SignalStatus.DONE])
def test_a_person_may_not_open_what_runs_or_is_done(journal: Journal, status: SignalStatus) -> None:
    signal_id = accepted(journal)
    if status is SignalStatus.DONE:
        journal.finish(signal_id, "main", status, now_ms=NOW_MS)
    with pytest.raises(SignalNotRetryable, match=status):
        journal.reopen(signal_id, now_ms=NOW_MS)


def test_there_is_nothing_to_open_under_an_unknown_id(journal: Journal) -> None:
    with pytest.raises(SignalNotRetryable, match="no signal"):
        journal.reopen(new_signal_id(NOW_MS), now_ms=NOW_MS)


def test_generations_end_where_client_order_ids_do(journal: Journal) -> None:
    signal_id = accepted(journal, _signal())
    for generation in range(1, 100):
        journal.finish(signal_id, "main", SignalStatus.FAILED, now_ms=NOW_MS)
        assert journal.reopen(signal_id, now_ms=NOW_MS) == generation
    journal.finish(signal_id, "main", SignalStatus.FAILED, now_ms=NOW_MS)
    assert isinstance(accept(journal, _signal()), Duplicate)
    with pytest.raises(SignalNotRetryable, match="99 times"):
        journal.reopen(signal_id, now_ms=NOW_MS)
