"""The one writer: one fsync for all that waits, and no effect of what was answered as not written."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import Connection, event, insert, select
from sqlalchemy.exc import IntegrityError

from relay.domain.order import Accepted, OrderStatus, SignalStatus
from relay.domain.signal import ChainLink, MarketSide, Standing
from relay.errors import JournalUnavailable
from relay.execution.work import COMPANY_S, Deferred
from relay.journal.journal import AtOnce, Journal
from relay.journal.opening import open_journal
from relay.journal.records import Admission, Duplicate, New, NewSignal, Reopened
from relay.journal.sqlite import SqliteStore, Writer
from relay.journal.tables import identities, switches
from relay.journal.unit_of_work import UnitOfWork
from tests.unit.journal_builders import (
    NOW_MS,
    SIGNATURE,
    accept,
    accepted,
    body,
    by_id,
    events_of,
    fill,
    new_signal,
    order_id,
    plan,
    report,
    sent_order,
    url_of,
)

PATIENCE_S = 20.0
HASTE_S = 0.4
"""Enough to get as far as the commit, which then is stuck."""


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = open_journal(url_of(tmp_path))
    yield opened
    opened.close()


def _store(journal: Journal) -> SqliteStore:
    assert isinstance(journal.store, SqliteStore)
    return journal.store


def _writer(journal: Journal) -> Writer:
    writer = _store(journal).writer
    assert writer is not None
    return writer


def _switch(name: str) -> Callable[[Connection], None]:
    def work(connection: Connection) -> None:
        connection.execute(insert(switches), {"account": "", "name": name, "value": "on", "at": NOW_MS, "by": "test"})

    return work


def _names(journal: Journal) -> set[str]:
    return {switch.name for switch in journal.switches()}


@contextmanager
def _busy(journal: Journal) -> Iterator[None]:
    """While this lasts the writer is inside a transaction with other work, and all else queues up."""
    begun, release = threading.Event(), threading.Event()

    def work(connection: Connection) -> None:
        begun.set()
        assert release.wait(PATIENCE_S)

    blocker = threading.Thread(target=lambda: journal.store.submit(work, deadline_s=PATIENCE_S))
    blocker.start()
    try:
        assert begun.wait(PATIENCE_S)
        yield
    finally:
        release.set()
        blocker.join()


@contextmanager
def _stuck_commits(journal: Journal, *, but_first: int = 0) -> Iterator[threading.Event]:
    """While this lasts no commit comes to its end, but so many at first; the event tells that one is stuck."""
    begun, release = threading.Event(), threading.Event()
    free = iter(range(but_first))

    def stall(connection: Connection) -> None:
        if not release.is_set() and next(free, None) is None:
            begun.set()
            assert release.wait(PATIENCE_S)

    event.listen(_store(journal).writing_engine, "commit", stall)
    try:
        yield begun
    finally:
        release.set()


def _queued(journal: Journal, count: int) -> None:
    """Waits until so many are in the queue."""
    writer = _writer(journal)
    with writer._changed:
        while len(writer._queue) < count:
            writer._changed.wait(0.01)


def test_what_queues_up_meanwhile_is_one_commit(journal: Journal) -> None:
    with ThreadPoolExecutor(40) as posters:
        with _busy(journal):
            before = _writer(journal).commits
            posts = [posters.submit(accepted, journal, deadline_s=PATIENCE_S) for _ in range(40)]
            _queued(journal, 40)
        ids = {post.result() for post in posts}
    assert _writer(journal).commits - before == 2, "one for the work that was going on, one for all the others"
    assert {each.signal.id for each in journal.unfinished()} == ids


def test_work_that_fails_does_not_fail_its_neighbours(journal: Journal) -> None:
    def broken(connection: Connection) -> None:
        _switch("broken")(connection)
        raise ZeroDivisionError

    with ThreadPoolExecutor(5) as posters:
        with _busy(journal):
            works = [_switch("a"), broken, _switch("b"), _switch("a"), _switch("c")]
            posts = []
            for number, work in enumerate(works):
                posts.append(posters.submit(journal.store.submit, work, deadline_s=PATIENCE_S))
                _queued(journal, number + 1)
        errors = [type(post.exception()) for post in posts]
    assert errors == [type(None), ZeroDivisionError, type(None), IntegrityError, type(None)]
    assert _names(journal) == {"a", "b", "c"}


def test_queued_work_past_its_deadline_is_dropped(journal: Journal) -> None:
    with _busy(journal), pytest.raises(JournalUnavailable, match=r"not written within 0.01 s"):
        accept(journal, deadline_s=0.01)
    accepted(journal)
    assert len(journal.unfinished()) == 1


def test_work_withdrawn_in_mid_transaction_takes_no_effect_and_its_neighbours_do(journal: Journal) -> None:
    begun, release = threading.Event(), threading.Event()

    def slow(connection: Connection) -> None:
        _switch("slow")(connection)
        begun.set()
        assert release.wait(PATIENCE_S)

    with ThreadPoolExecutor(2) as posters:
        with _busy(journal):
            before = posters.submit(journal.store.submit, _switch("before"), deadline_s=PATIENCE_S)
            _queued(journal, 1)
            withdrawn = posters.submit(journal.store.submit, slow, deadline_s=0.3)
            _queued(journal, 2)
        assert begun.wait(PATIENCE_S)
        with pytest.raises(JournalUnavailable):
            withdrawn.result()
        release.set()
        before.result()
    assert _names(journal) == {"before"}


def test_an_alert_withdrawn_while_it_is_committed_is_undone_before_anything_else(journal: Journal) -> None:
    alert = new_signal(body("d"), digest="d")
    with _stuck_commits(journal), pytest.raises(JournalUnavailable):
        accept(journal, alert, deadline_s=HASTE_S)
    again = accept(journal, new_signal(body("d"), digest="d"))
    assert isinstance(again, New), "the resend of what was answered 503 is new"
    assert [each.signal.id for each in journal.unfinished()] == [again.signal_id]
    assert journal.signal(alert.id) is None


def test_undoing_does_not_wait_for_the_next_alert(journal: Journal, tmp_path: Path) -> None:
    with _stuck_commits(journal), pytest.raises(JournalUnavailable):
        accept(journal, deadline_s=HASTE_S)
    journal.close()
    after = open_journal(url_of(tmp_path), lock=False)
    with after.store.read() as connection:
        assert connection.execute(select(identities)).all() == []
    after.close()


def test_a_reopening_withdrawn_while_it_is_committed_is_undone(journal: Journal) -> None:
    def alert() -> NewSignal:
        return new_signal(body("d"), digest="d")

    signal_id = accepted(journal, alert())
    journal.finish(signal_id, "main", SignalStatus.FAILED, now_ms=NOW_MS)
    with _stuck_commits(journal), pytest.raises(JournalUnavailable):
        accept(journal, alert(), deadline_s=HASTE_S)
    again = accept(journal, alert())
    assert isinstance(again, Reopened)
    journal.finish(signal_id, "main", SignalStatus.FAILED, now_ms=NOW_MS)
    with _stuck_commits(journal), pytest.raises(JournalUnavailable):
        journal.reopen(signal_id, now_ms=NOW_MS, deadline_s=HASTE_S)
    assert journal.reopen(signal_id, now_ms=NOW_MS) > again.generation
    assert [each for each in events_of(journal, signal_id) if each in ("reopened", "withdrawn")] == [
        *("reopened", "withdrawn"),
        *("reopened", "reopened", "withdrawn"),
        "reopened",
    ]


def test_no_alert_is_a_duplicate_of_one_that_was_withdrawn_beside_it(journal: Journal) -> None:
    def post(deadline_s: float) -> Admission:
        return accept(journal, new_signal(body("d"), digest="d"), deadline_s=deadline_s)

    with ThreadPoolExecutor(2) as posters:
        with _stuck_commits(journal, but_first=1) as committing:
            with _busy(journal):
                hasty = posters.submit(post, 0.5)
                _queued(journal, 1)
                check_target = posters.submit(post, PATIENCE_S)
                _queued(journal, 2)
            assert committing.wait(PATIENCE_S)
            assert isinstance(hasty.exception(), JournalUnavailable)
        assert isinstance(check_target.exception(), JournalUnavailable)
    assert isinstance(post(PATIENCE_S), New)
    assert isinstance(post(PATIENCE_S), Duplicate)
    assert len(journal.unfinished()) == 1


def test_a_commit_of_which_nobody_knows_whether_it_took_effect_is_undone(journal: Journal) -> None:
    failing = iter([True])

    def commit_and_fail(connection: Connection) -> None:
        if next(failing, False):
            driver = connection.connection.driver_connection
            assert isinstance(driver, sqlite3.Connection)
            driver.execute("COMMIT")
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
            raise error

    event.listen(_store(journal).writing_engine, "commit", commit_and_fail)
    with pytest.raises(JournalUnavailable, match="reading or writing the disk failed"):
        accept(journal, new_signal(body("d"), digest="d"))
    again = accepted(journal, new_signal(body("d"), digest="d"))
    assert [each.signal.id for each in journal.unfinished()] == [again]


def test_work_that_cannot_be_undone_waits_for_its_commit(journal: Journal) -> None:
    with ThreadPoolExecutor(1) as posters:
        with _stuck_commits(journal) as committing:
            post: Future[None] = posters.submit(journal.store.submit, _switch("late"), deadline_s=HASTE_S)
            assert committing.wait(PATIENCE_S)
        post.result()
    assert _names(journal) == {"late"}


def test_signals_are_announced_in_the_order_of_acceptance(journal: Journal) -> None:
    announced: list[Admission] = []

    def post(_: int) -> None:
        journal.accept(new_signal(), now_ms=NOW_MS, dedup_window_ms=0, on_committed=announced.append)

    with ThreadPoolExecutor(16) as posters:
        list(posters.map(post, range(100)))
    ids = [each.signal_id for each in announced if isinstance(each, New)]
    assert ids == [each.signal.id for each in journal.unfinished()]


def test_what_was_withdrawn_is_not_announced(journal: Journal) -> None:
    announced: list[Admission] = []
    with _stuck_commits(journal), pytest.raises(JournalUnavailable):
        accept(journal, deadline_s=HASTE_S, on_committed=announced.append)
    accepted(journal)
    assert announced == []


def test_an_announcement_that_fails_is_reported_to_its_own_caller(journal: Journal) -> None:
    def broken(_: Admission) -> None:
        raise ZeroDivisionError

    with ThreadPoolExecutor(2) as posters:
        with _busy(journal):
            bad = posters.submit(accepted, journal, on_committed=broken, deadline_s=PATIENCE_S)
            _queued(journal, 1)
            good = posters.submit(accepted, journal, deadline_s=PATIENCE_S)
            _queued(journal, 2)
        assert isinstance(bad.exception(), ZeroDivisionError)
        assert good.result() in {each.signal.id for each in journal.unfinished()}


def test_what_was_submitted_before_closing_is_written(tmp_path: Path) -> None:
    journal = open_journal(url_of(tmp_path))
    with ThreadPoolExecutor(1) as posters:
        with _busy(journal):
            post = posters.submit(accepted, journal, deadline_s=PATIENCE_S)
            _queued(journal, 1)
            closing = threading.Thread(target=journal.close)
            closing.start()
        closing.join()
        signal_id = post.result()
    with pytest.raises(JournalUnavailable, match="closed"):
        accept(journal)
    again = open_journal(url_of(tmp_path))
    assert [each.signal.id for each in again.unfinished()] == [signal_id]
    again.close()


# What a thread writes by itself: an alert, its plan and its first attempt in one transaction.


def _at_once(
    journal: Journal, signal: NewSignal, announced: list[Admission] | None = None
) -> AtOnce[tuple[str, ...] | None]:
    def plan_too(uow: UnitOfWork) -> tuple[str, ...]:
        assert not journal.executions_of(signal.id), "it is written with what follows"
        uow.signals.begin(signal.id, "main", now_ms=NOW_MS)
        uow.signals.add_notes(signal.id, ("a note",))
        attempt = order_id(signal.id), SIGNATURE
        planned = uow.plans.record(
            signal_id=signal.id, account="main", generation=0, plan=plan(), first_attempt=attempt, now_ms=NOW_MS
        )
        (seen,) = journal.executions_of(signal.id)
        assert seen.status is SignalStatus.EXECUTING, "what it reads, it reads in its own transaction"
        return planned

    return journal.accept_at_once(
        signal,
        now_ms=NOW_MS,
        dedup_window_ms=30_000,
        and_then=plan_too,
        on_committed=(announced if announced is not None else []).append,
    )


FLAT, LONG = (Standing(side=side, size=Decimal(size)) for side, size in ((MarketSide.FLAT, 0), (MarketSide.LONG, 1)))


@pytest.mark.parametrize("link", [None, ChainLink(before=FLAT, after=LONG, sent_at_ms=NOW_MS)], ids=["plain", "chain"])
def test_an_alert_its_plan_and_its_attempt_are_one_commit_of_this_very_thread(
    journal: Journal, link: ChainLink | None
) -> None:
    signal, announced, before = new_signal(link=link), list[Admission](), _writer(journal).commits
    at_once = _at_once(journal, signal, announced)
    assert journal.may_write_at_once and at_once.write(lambda: True)
    assert at_once.outcome() == (New(signal_id=signal.id), (order_id(signal.id),))
    assert _writer(journal).commits == before + 1
    assert announced == [New(signal_id=signal.id)]
    order = journal.order(order_id(signal.id))
    assert order is not None and order.state.last is not None and order.state.last.signature == SIGNATURE
    shown = journal.signal(signal.id)
    assert shown is not None and shown["status"] == "executing" and shown["notes"] == ["a note"]
    assert [each["name"] for each in shown["events"]] == ["accepted", "executing", "planned", "order_submitted"]


def test_an_alert_that_nothing_follows_at_once_is_accepted_all_the_same(journal: Journal) -> None:
    signals = [new_signal(), new_signal()]
    for signal in signals:
        alone = journal.accept_at_once(
            signal, now_ms=NOW_MS, dedup_window_ms=30_000, and_then=lambda uow: None, on_committed=lambda _: None
        )
        assert alone.write(lambda: True) and alone.outcome() == (New(signal_id=signal.id), None)
    unfinished = journal.unfinished()
    assert [each.signal.id for each in unfinished] == [each.id for each in signals]
    assert {each.status for each in unfinished} == {SignalStatus.ACCEPTED}


def test_the_same_alert_again_is_not_planned_again(journal: Journal) -> None:
    first = accepted(journal, new_signal(by_id("once"), digest="one"))
    at_once = _at_once(journal, new_signal(by_id("once"), digest="one"))
    assert at_once.write(lambda: True)
    admission, planned_too = at_once.outcome() or (None, None)
    assert isinstance(admission, Duplicate) and admission.signal_id == first and planned_too is None


def test_nothing_overtakes_what_is_written_or_waits_to_be(journal: Journal) -> None:
    with ThreadPoolExecutor(1) as poster, _busy(journal):
        earlier = poster.submit(accepted, journal)
        _queued(journal, 1)
        assert not journal.may_write_at_once
        assert not _at_once(journal, new_signal()).write(lambda: True)
    assert [each.signal.id for each in journal.unfinished()] == [earlier.result()]


def test_nothing_is_written_where_its_lane_is_not_free(journal: Journal) -> None:
    assert not _at_once(journal, new_signal()).write(lambda: False)
    assert journal.unfinished() == ()
    accepted(journal)


def test_a_disk_that_hangs_is_an_answer_in_time_and_leaves_neither_alert_nor_plan(journal: Journal) -> None:
    signal, announced = new_signal(by_id("hangs"), digest="one"), list[Admission]()
    at_once = _at_once(journal, signal, announced)
    with ThreadPoolExecutor(1) as lane, _stuck_commits(journal) as stuck:
        writing = lane.submit(at_once.write, lambda: True)
        assert stuck.wait(PATIENCE_S)
        with pytest.raises(JournalUnavailable):
            at_once.withdraw(HASTE_S)
    assert writing.result() and at_once.outcome() is None and announced == []
    again = accept(journal, new_signal(by_id("hangs"), digest="one"))
    assert isinstance(again, New), "the resend of what was answered 503 is new"
    assert journal.signal(signal.id) is None and journal.order(order_id(signal.id)) is None
    assert journal.open_orders() == ()


def test_withdrawn_before_its_commit_it_is_rolled_back(journal: Journal) -> None:
    signal, begun, release = new_signal(), threading.Event(), threading.Event()

    def wait_too(uow: UnitOfWork) -> None:
        begun.set()
        assert release.wait(PATIENCE_S)

    at_once = journal.accept_at_once(
        signal, now_ms=NOW_MS, dedup_window_ms=0, and_then=wait_too, on_committed=lambda admission: None
    )
    with ThreadPoolExecutor(1) as lane:
        writing = lane.submit(at_once.write, lambda: True)
        assert begun.wait(PATIENCE_S)
        with pytest.raises(JournalUnavailable):
            at_once.withdraw(HASTE_S)
        release.set()
    assert writing.result() and at_once.outcome() is None
    assert journal.unfinished() == ()
    accepted(journal)


def test_a_plan_that_fails_leaves_its_alert_to_be_accepted_as_always(journal: Journal) -> None:
    signal = new_signal()

    def fail(uow: UnitOfWork) -> None:
        raise ArithmeticError("it cannot be planned")

    at_once = journal.accept_at_once(
        signal, now_ms=NOW_MS, dedup_window_ms=0, and_then=fail, on_committed=lambda admission: None
    )
    assert at_once.write(lambda: True)
    with pytest.raises(ArithmeticError):
        at_once.outcome()
    assert accepted(journal, signal) == signal.id


def test_a_plan_that_would_write_something_else_fails_at_once_and_holds_up_nobody(journal: Journal) -> None:
    signal = new_signal()

    def write_apart(uow: UnitOfWork) -> None:
        journal.write(lambda other: other.signals.add_notes(signal.id, ("a note",)))

    at_once = journal.accept_at_once(
        signal, now_ms=NOW_MS, dedup_window_ms=0, and_then=write_apart, on_committed=lambda admission: None
    )
    assert at_once.write(lambda: True)
    with pytest.raises(AssertionError, match="cannot wait for other work"):
        at_once.outcome()
    assert accepted(journal, signal) == signal.id


# What waits a moment for company.


def test_an_acknowledgement_a_fill_and_the_end_are_one_commit_in_their_order(journal: Journal) -> None:
    signal_id, order = sent_order(journal)
    deferred, stored, before = Deferred(), list[str](), _writer(journal).commits
    deferred.add(
        lambda uow: uow.orders.record_outcome(order, 1, Accepted(venue_order_id="v-1"), now_ms=NOW_MS),
        lambda: stored.append("acknowledged"),
    )
    deferred.add(
        lambda uow: uow.orders.record_report(order, report(order), (fill(order),), now_ms=NOW_MS),
        lambda: stored.append("filled"),
    )
    left_s = deferred.left_s()
    assert left_s is not None and left_s <= COMPANY_S
    assert (_writer(journal).commits, stored) == (before, [])
    deferred.write(journal, lambda uow: uow.signals.finish(signal_id, "main", SignalStatus.DONE, now_ms=NOW_MS))
    assert (_writer(journal).commits, stored, deferred.left_s()) == (before + 1, ["acknowledged", "filled"], None)
    shown = journal.signal(signal_id)
    assert shown is not None and (shown["status"], shown["orders"][0]["status"]) == ("done", "filled")
    names = [each["name"] for each in shown["events"]]
    assert names[names.index("order_submitted") :] == ["order_submitted", "order_accepted", "order_filled", "done"]


def test_what_waits_is_kept_apart_from_what_is_written_after_it_was(journal: Journal) -> None:
    _, order = sent_order(journal)
    deferred, before = Deferred(), _writer(journal).commits
    deferred.flush(journal)
    assert _writer(journal).commits == before, "nothing waits"
    deferred.add(
        lambda uow: uow.orders.record_outcome(order, 1, Accepted(venue_order_id="v-1"), now_ms=NOW_MS), lambda: None
    )
    deferred.flush(journal)
    deferred.flush(journal)
    assert _writer(journal).commits == before + 1
    found = journal.order(order)
    assert found is not None and found.state.status is OrderStatus.ACCEPTED


def _stands(side: MarketSide, size: str | None = None) -> Standing:
    return Standing(side=side, size=None if size is None else Decimal(size))


def _chained(strategy: str, before: Standing, after: Standing, symbol: str = "BTCUSDT") -> NewSignal:
    return new_signal(strategy=strategy, symbol=symbol, link=ChainLink(before=before, after=after, sent_at_ms=NOW_MS))


def test_where_each_strategy_stands_at_each_instrument_is_kept_and_a_gap_told_there_alone(journal: Journal) -> None:
    flat, long, more = _stands(MarketSide.FLAT, "0"), _stands(MarketSide.LONG, "2"), _stands(MarketSide.LONG, "3")
    for strategy, symbol in (("trend", "BTCUSDT"), ("trend", "ETHUSDT"), ("grid", "BTCUSDT")):
        accepted(journal, _chained(strategy, flat, long, symbol))
    gap = accepted(journal, _chained("trend", more, flat))
    others = [
        accepted(journal, _chained("trend", long, more, "ETHUSDT")),
        accepted(journal, _chained("grid", long, flat)),
    ]
    assert "chain_gap" in events_of(journal, gap)
    assert not any("chain_gap" in events_of(journal, each) for each in others)
    stands = {(each.strategy, each.symbol): each.last for each in journal.strategies.chains()}
    assert {place: last.link.after for place, last in stands.items()} == {
        ("grid", "BTCUSDT"): flat,
        ("trend", "BTCUSDT"): flat,
        ("trend", "ETHUSDT"): more,
    }
    assert [stands[place].open_from for place in sorted(stands)] == [None, long, None]


def test_an_alert_that_was_withdrawn_leaves_its_own_chain_to_begin_anew_and_the_others_as_they_are(
    journal: Journal,
) -> None:
    flat, long = _stands(MarketSide.FLAT), _stands(MarketSide.LONG)
    for strategy in ("trend", "grid"):
        accepted(journal, _chained(strategy, flat, long))
    with _stuck_commits(journal), pytest.raises(JournalUnavailable):
        accept(journal, _chained("trend", long, flat), deadline_s=HASTE_S)
    accepted(journal)
    assert [(each.strategy, each.last.link.after) for each in journal.strategies.chains()] == [("grid", long)]
