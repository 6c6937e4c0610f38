"""What the pipeline writes down, and what is left to go on with after a restart."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest
from sqlalchemy.exc import IntegrityError

from relay.domain.bracket import Bracket
from relay.domain.instrument import Category
from relay.domain.order import (
    Accepted,
    ErrorKind,
    NotSent,
    OrderRejected,
    OrderStatus,
    Outcome,
    Reason,
    RequestSignature,
    Side,
    SignalStatus,
    Unknown,
)
from relay.domain.order_lifecycle import Attempt, OrderState
from relay.domain.plan import PlanStatus, Residual
from relay.journal.journal import Journal
from relay.journal.opening import open_journal
from relay.journal.unit_of_work import UnitOfWork
from tests.unit.journal_builders import (
    NOW_MS,
    SIGNATURE,
    accepted,
    events_of,
    limit,
    new_signal,
    order_id,
    plan,
    planned,
    report,
    sent_order,
)

LATER = RequestSignature(timestamp_ms=NOW_MS + 7000, recv_window_ms=5000)
LANE = ("main", Category.LINEAR, "BTCUSDT")


@pytest.fixture
def journal(journal_url: str) -> Iterator[Journal]:
    opened = open_journal(journal_url)
    yield opened
    opened.close()


def _state(journal: Journal, client_id: str) -> OrderState:
    record = journal.order(client_id)
    assert record is not None
    return record.state


def _status(journal: Journal, signal_id: str) -> str:
    shown = journal.signal(signal_id)
    assert shown is not None
    status: str = shown["status"]
    return status


def test_a_restart_finds_plan_orders_and_attempts_as_they_were(journal_url: str) -> None:
    journal = open_journal(journal_url)
    orders = (planned(0, fallback_qty=Decimal("0.004")), limit(1))
    signal_id, client_id = sent_order(journal, *orders)
    journal.record_outcome(client_id, 1, Unknown(why="timeout"), now_ms=NOW_MS + 2000)
    journal.record_absence(client_id, 1, begun_at_ms=NOW_MS + 6500)
    journal.close()
    again = open_journal(journal_url)
    (work,) = again.unfinished()
    again.close()
    assert (work.signal.id, work.status, work.generation) == (signal_id, SignalStatus.EXECUTING, 0)
    assert work.plan is not None
    assert (work.plan.orders, work.plan.inputs) == (orders, {"position": "0", "price": "60000"})
    first, second = (each.state for each in work.orders)
    assert first == OrderState(
        client_order_id=client_id,
        planned=orders[0],
        status=OrderStatus.SUBMITTED,
        attempts=(Attempt(number=1, signature=SIGNATURE, outcome=Unknown(why="timeout")),),
        absent_at_ms=NOW_MS + 6500,
    )
    assert second == OrderState(client_order_id=order_id(signal_id, leg=1), planned=orders[1])


@pytest.mark.parametrize(
    "outcome",
    [
        Accepted(venue_order_id="v-1"),
        OrderRejected(code=110007, words="not enough", reason_code="EXCHANGE_BALANCE"),
        OrderRejected(code=10006, words="slow down", refusal=ErrorKind.RATE, retry_at_ms=NOW_MS + 9),
        Unknown(why="timeout"),
        NotSent(why="refused", retry_at_ms=NOW_MS + 9),
    ],
)
def test_every_outcome_comes_back_as_it_was(
    journal: Journal, outcome: Accepted | OrderRejected | Unknown | NotSent
) -> None:
    _, client_id = sent_order(journal)
    journal.record_outcome(client_id, 1, outcome, now_ms=NOW_MS)
    last = _state(journal, client_id).last
    assert last is not None
    assert last.outcome == outcome


def test_a_plan_is_written_once_for_a_generation(journal: Journal) -> None:
    signal_id, _ = sent_order(journal)
    with pytest.raises(IntegrityError):
        journal.write(
            lambda uow: uow.plans.record(signal_id=signal_id, account="main", generation=0, plan=plan(), now_ms=NOW_MS)
        )


def test_a_leg_is_written_once(journal: Journal) -> None:
    signal_id, _ = sent_order(journal)
    with pytest.raises(IntegrityError):
        journal.write(
            lambda uow: uow.orders.add(
                signal_id=signal_id, account="main", generation=0, orders=[planned(0)], now_ms=NOW_MS
            )
        )


def test_a_remainder_points_to_what_it_replaces(journal: Journal) -> None:
    signal_id, client_id = sent_order(journal)
    (second,) = journal.write(
        lambda uow: uow.orders.add(
            signal_id=signal_id,
            account="main",
            generation=0,
            orders=[planned(1, replaces_leg=0, reduce_only=True)],
            first_attempt=(order_id(signal_id, leg=1), LATER),
            now_ms=NOW_MS,
        )
    )
    record = journal.order(second)
    assert record is not None
    assert (record.replaces, record.state.status) == (client_id, OrderStatus.SUBMITTED)
    assert [each.state.client_order_id for each in journal.unfinished()[0].orders] == [client_id, second]


def test_several_writes_are_one_transaction(journal: Journal) -> None:
    signal_id = accepted(journal)

    def fails(uow: UnitOfWork) -> None:
        uow.signals.begin(signal_id, "main", now_ms=NOW_MS)
        uow.plans.record(signal_id=signal_id, account="main", generation=0, plan=plan(), now_ms=NOW_MS)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        journal.write(fails)
    (work,) = journal.unfinished()
    assert (work.status, work.plan, work.orders) == (SignalStatus.ACCEPTED, None, ())


def test_beginning_twice_is_beginning_once(journal: Journal) -> None:
    signal_id = accepted(journal)
    for _ in range(2):
        journal.write(lambda uow: uow.signals.begin(signal_id, "main", now_ms=NOW_MS))
    assert events_of(journal, signal_id) == ["accepted", "executing"]
    journal.finish(signal_id, "main", SignalStatus.DONE, now_ms=NOW_MS)
    journal.write(lambda uow: uow.signals.begin(signal_id, "main", now_ms=NOW_MS))
    assert _status(journal, signal_id) == "done"


def test_an_account_that_has_finished_without_beginning_begins_nothing_for_the_others(journal: Journal) -> None:
    signal_id = accepted(journal, new_signal(accounts=("main", "other")))
    journal.finish(signal_id, "main", SignalStatus.EXPIRED, now_ms=NOW_MS)
    journal.write(lambda uow: uow.signals.begin(signal_id, "main", now_ms=NOW_MS))
    assert _status(journal, signal_id) == "accepted"
    journal.write(lambda uow: uow.signals.begin(signal_id, "other", now_ms=NOW_MS))
    assert _status(journal, signal_id) == "executing"


def test_attempts_are_numbered_and_the_same_send_counts_once(journal: Journal) -> None:
    _, client_id = sent_order(journal)
    assert journal.record_attempt(client_id, SIGNATURE, now_ms=NOW_MS) == 1
    journal.record_outcome(client_id, 1, Unknown(why="timeout"), now_ms=NOW_MS)
    assert journal.record_attempt(client_id, LATER, now_ms=NOW_MS) == 2
    assert [each.signature for each in _state(journal, client_id).attempts] == [SIGNATURE, LATER]


def test_an_attempt_makes_a_planned_order_submitted(journal: Journal) -> None:
    signal_id, _ = sent_order(journal, planned(0), planned(1))
    second = order_id(signal_id, leg=1)
    assert _state(journal, second).status is OrderStatus.PLANNED
    journal.record_attempt(second, LATER, now_ms=NOW_MS)
    assert _state(journal, second).status is OrderStatus.SUBMITTED


def test_nothing_more_of_an_ended_order_may_be_sent(journal: Journal) -> None:
    _, client_id = sent_order(journal)
    journal.record_report(client_id, report(client_id), now_ms=NOW_MS)
    with pytest.raises(AssertionError, match="nothing of it may be sent"):
        journal.record_attempt(client_id, LATER, now_ms=NOW_MS)


def test_a_certain_outcome_is_not_changed_and_an_unknown_one_may_become_certain(journal: Journal) -> None:
    signal_id, client_id = sent_order(journal)
    journal.record_outcome(client_id, 1, Unknown(why="timeout"), now_ms=NOW_MS)
    journal.record_outcome(client_id, 1, Accepted(venue_order_id="v-1"), now_ms=NOW_MS)
    journal.record_outcome(client_id, 1, Unknown(why="late"), now_ms=NOW_MS)
    state = _state(journal, client_id)
    assert (state.status, state.venue_order_id) == (OrderStatus.ACCEPTED, "v-1")
    assert state.last == Attempt(number=1, signature=SIGNATURE, outcome=Accepted(venue_order_id="v-1"))
    assert events_of(journal, signal_id)[-2:] == ["order_unknown", "order_accepted"]


@pytest.mark.parametrize(
    ("late", "status"),
    [
        (OrderRejected(code=110007, words="not enough"), OrderStatus.SUBMITTED),
        (Unknown(why="late"), OrderStatus.SUBMITTED),
        (Accepted(venue_order_id="v-1"), OrderStatus.ACCEPTED),
    ],
)
def test_of_an_older_send_only_that_the_exchange_has_the_order_says_anything(
    journal: Journal, late: Outcome, status: OrderStatus
) -> None:
    _, client_id = sent_order(journal)
    journal.record_outcome(client_id, 1, Unknown(why="timeout"), now_ms=NOW_MS)
    assert journal.record_attempt(client_id, LATER, now_ms=NOW_MS) == 2
    journal.record_outcome(client_id, 1, late, now_ms=NOW_MS)
    assert _state(journal, client_id).status is status


def test_a_final_refusal_ends_the_order_with_the_exchanges_words(journal: Journal) -> None:
    _, client_id = sent_order(journal)
    refused = OrderRejected(code=110007, words="not enough", reason_code="EXCHANGE_BALANCE")
    journal.record_outcome(client_id, 1, refused, now_ms=NOW_MS)
    state = _state(journal, client_id)
    assert state.status is OrderStatus.REJECTED
    assert state.reason is not None
    assert state.reason.code == "EXCHANGE_BALANCE"
    assert "not enough" in state.reason.message
    assert "110007" in state.reason.message


def test_a_refusal_that_may_be_repeated_leaves_it_submitted(journal: Journal) -> None:
    _, client_id = sent_order(journal)
    journal.record_outcome(client_id, 1, OrderRejected(code=10006, words="slow", refusal=ErrorKind.RATE), now_ms=NOW_MS)
    assert _state(journal, client_id).status is OrderStatus.SUBMITTED


def test_an_acknowledgement_after_the_fill_takes_nothing_back(journal: Journal) -> None:
    _, client_id = sent_order(journal)
    journal.record_report(client_id, report(client_id), now_ms=NOW_MS)
    journal.record_outcome(client_id, 1, Accepted(venue_order_id="v-1"), now_ms=NOW_MS)
    state = _state(journal, client_id)
    assert (state.status, state.filled_qty) == (OrderStatus.FILLED, Decimal("0.010"))


def test_an_order_is_denied_with_its_reason_unless_it_has_ended(journal: Journal) -> None:
    signal_id, client_id = sent_order(journal, planned(0), planned(1))
    reason = Reason(code="LEG_FAILED", message="an earlier order was refused")
    assert journal.settle_order(order_id(signal_id, leg=1), OrderStatus.DENIED, reason, now_ms=NOW_MS)
    assert _state(journal, order_id(signal_id, leg=1)).reason == reason
    journal.record_report(client_id, report(client_id), now_ms=NOW_MS)
    assert not journal.settle_order(client_id, OrderStatus.DENIED, reason, now_ms=NOW_MS)
    assert _state(journal, client_id).status is OrderStatus.FILLED


def test_open_orders_are_those_that_may_be_at_the_exchange(journal: Journal) -> None:
    _, sent = sent_order(journal)
    _, resting = sent_order(journal, limit())
    journal.record_report(resting, report(resting, OrderStatus.ACCEPTED, "0", rests=True), now_ms=NOW_MS)
    _, filled = sent_order(journal)
    journal.record_report(filled, report(filled), now_ms=NOW_MS)
    signal_id = accepted(journal)
    journal.write(
        lambda uow: uow.plans.record(signal_id=signal_id, account="main", generation=0, plan=plan(), now_ms=NOW_MS)
    )
    assert [each.state.client_order_id for each in journal.open_orders()] == sorted([sent, resting])
    assert [each.state.client_order_id for each in journal.resting_orders(*LANE)] == [resting]
    assert journal.resting_orders("other", *LANE[1:]) == ()


def test_an_account_has_work_while_an_order_or_a_bracket_of_it_is_open(journal: Journal) -> None:
    _, filled = sent_order(journal)
    assert journal.accounts_with_work() == {"main"}
    journal.record_report(filled, report(filled), now_ms=NOW_MS)
    assert journal.accounts_with_work() == frozenset()
    signal_id = accepted(journal, new_signal(accounts=("second",)))
    guarded = plan(bracket=Bracket(side=Side.BUY))
    journal.write(
        lambda uow: uow.plans.record(signal_id=signal_id, account="second", generation=0, plan=guarded, now_ms=NOW_MS)
    )
    assert journal.accounts_with_work() == {"second"}


def test_a_plan_keeps_what_is_carried_until_another_plan_says_otherwise(journal: Journal) -> None:
    def planning(**changes: object) -> None:
        signal_id = accepted(journal)
        made = plan(**{"orders": (), **changes})
        journal.write(
            lambda uow: uow.plans.record(signal_id=signal_id, account="main", generation=0, plan=made, now_ms=NOW_MS)
        )

    def carried() -> Residual | None:
        return journal.circumstances(*LANE).residual

    planning(status=PlanStatus.DONE, residual=Residual(size=Decimal("-0.0004")))
    assert carried() == Residual(size=Decimal("-0.0004"))
    planning(status=PlanStatus.DENIED, reason=Reason(code="HALTED", message="halted"))
    assert carried() == Residual(size=Decimal("-0.0004")), "a refusal has read nothing"
    planning(status=PlanStatus.PLANNED)
    assert carried() is None


def test_a_signal_is_finished_once_all_its_accounts_are(journal: Journal) -> None:
    signal_id = accepted(journal, new_signal(accounts=("a", "b")))
    reason = Reason(code="EXCHANGE_REFUSED", message="no")
    assert journal.finish(signal_id, "b", SignalStatus.FAILED, reason, now_ms=NOW_MS) is SignalStatus.ACCEPTED
    assert journal.finish(signal_id, "a", SignalStatus.DONE, notes=("all well",), now_ms=NOW_MS) is SignalStatus.FAILED
    shown = journal.signal(signal_id)
    assert shown is not None
    assert (shown["status"], shown["reason"]) == ("failed", {"code": "EXCHANGE_REFUSED", "message": "no"})
    assert shown["notes"] == ["all well", "on account a: done"]
    assert journal.unfinished() == ()


def test_finishing_twice_changes_nothing_but_attention_can_still_be_called_for(journal: Journal) -> None:
    signal_id = accepted(journal)
    journal.finish(signal_id, "main", SignalStatus.DONE, now_ms=NOW_MS)
    assert journal.finish(signal_id, "main", SignalStatus.DONE, now_ms=NOW_MS) is SignalStatus.DONE
    assert journal.finish(signal_id, "main", SignalStatus.FAILED, now_ms=NOW_MS) is SignalStatus.DONE
    reason = Reason(code="STOP_MISSING", message="the stop does not rest")
    assert journal.finish(signal_id, "main", SignalStatus.ATTENTION, reason, now_ms=NOW_MS) is SignalStatus.ATTENTION
    assert events_of(journal, signal_id) == ["accepted", "done", "attention"]


def test_switches_survive_a_restart(journal_url: str) -> None:
    journal = open_journal(journal_url)
    journal.set_switch("", "halt", "on", by="cli", now_ms=NOW_MS)
    journal.set_switch("main", "halt", "on", by="limits", now_ms=NOW_MS)
    journal.set_switch("", "halt", "off", by="api", now_ms=NOW_MS + 1)
    journal.close()
    again = open_journal(journal_url)
    found = {(each.account, each.name): (each.value, each.by, each.at_ms) for each in again.switches()}
    of_all, of_none = again.switch("", "halt"), again.switch("other", "halt")
    again.close()
    assert found == {("", "halt"): ("off", "api", NOW_MS + 1), ("main", "halt"): ("on", "limits", NOW_MS)}
    assert of_all is not None
    assert of_all.value == "off"
    assert of_none is None
