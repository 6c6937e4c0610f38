"""What both engines promise: the embedded one over SQLite and the one of many processes over Postgres."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from itertools import pairwise
from typing import cast
from unittest.mock import PropertyMock, patch

import pytest

from relay.domain.instrument import Category
from relay.engine.lanes import Lane
from relay.engine.lease_guard import AccountLease
from relay.execution import tasks
from relay.execution.execute import Executor
from relay.journal.wake_up import WakeUps
from tests.contract.engines import ACCOUNT, CLOSE_S, DEADLINE_S, LONG_S, SYMBOLS, Floor, at_once, until
from tests.contract.raw_server import ACKNOWLEDGED, Stage, place

pytestmark = pytest.mark.slow

MORE_THAN_THREADS = 100
"""Either engine has 64."""


@pytest.fixture
def floor(journal_url: str) -> Iterator[Floor]:
    made = Floor(journal_url)
    yield made
    made.close()


def test_the_signals_of_a_lane_are_executed_one_at_a_time_in_the_order_of_acceptance(floor: Floor) -> None:
    floor.begin()
    gate = threading.Event()
    floor.accept("first", lambda: 0.0 if gate.wait(DEADLINE_S) else 0.0)
    names = [f"alert {number}" for number in range(40)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda name: floor.accept(name, at_once, lambda: 0.001, at_once), names))
    order = floor.in_order_of_acceptance(names)
    gate.set()
    floor.until_done(*names)
    assert floor.hand.names("done") == ["first", *order]
    steps = [(name, what) for name, what in floor.hand.reported if what != "done"]
    for (name, what), (next_name, next_what) in pairwise(steps):
        assert (next_what == "begins") == (what == "ends"), "two steps at a time"
        assert what == "ends" or name == next_name


def test_different_lanes_are_executed_beside_each_other(floor: Floor) -> None:
    floor.begin()
    all_there = threading.Barrier(5)

    def meet() -> float:
        all_there.wait(DEADLINE_S)
        return 0.0

    for number in range(5):
        floor.accept(f"alert {number}", meet, symbol=SYMBOLS[number])
    floor.until_done(*(f"alert {number}" for number in range(5)))


def test_lanes_that_wait_hold_up_no_other_and_no_thread(floor: Floor) -> None:
    floor.begin()
    waiting = [f"waits {number}" for number in range(MORE_THAN_THREADS)]
    for name, symbol in zip(waiting, SYMBOLS, strict=False):
        floor.accept(name, lambda: LONG_S, at_once, symbol=symbol)
    until(lambda: set(waiting) <= set(floor.hand.names("ends")))
    floor.accept("another", symbol=SYMBOLS[-1])
    floor.until_done("another")
    assert floor.hand.names("done") == ["another"]
    steps_at_work = [each for each in threading.enumerate() if each.name.startswith("lane")]
    assert len(steps_at_work) < MORE_THAN_THREADS


def test_a_lane_that_waits_and_is_woken_goes_on_at_once(floor: Floor) -> None:
    floor.begin()
    floor.accept("waits", lambda: LONG_S, at_once)
    until(lambda: floor.hand.names("ends") == ["waits"])
    floor.engine.wake(Lane(account=ACCOUNT, category=Category.LINEAR, symbol=SYMBOLS[0]))
    floor.until_done("waits")


def test_a_signal_whose_step_fails_is_tried_again_and_then_left_and_its_lane_goes_on(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "_FAILURES_MAX", 2)

    def fail() -> float:
        raise RuntimeError("on purpose")

    floor.begin()
    floor.accept("fails", fail)
    floor.accept("behind it")
    floor.until_done("behind it")
    assert floor.hand.reported == [
        ("fails", "begins"),
        ("fails", "begins"),
        ("fails", "attention"),
        ("behind it", "begins"),
        ("behind it", "ends"),
        ("behind it", "done"),
    ]


def test_after_close_no_step_begins_and_the_next_engine_takes_up_what_is_left(floor: Floor) -> None:
    floor.begin()
    begun, may_end = threading.Event(), threading.Event()

    def hold() -> float:
        begun.set()
        assert may_end.wait(DEADLINE_S)
        return 0.0

    floor.accept("under way", hold, at_once)
    floor.accept("behind it")
    assert begun.wait(DEADLINE_S)
    with ThreadPoolExecutor(1) as threads:
        closing = threads.submit(floor.engine.close, CLOSE_S)
        floor.accept("while it closes")
        may_end.set()
        assert closing.result()
    assert floor.hand.reported == [("under way", "begins"), ("under way", "ends")]
    floor.renew()
    floor.begin()
    floor.until_done("under way", "behind it", "while it closes")
    assert floor.hand.names("done") == ["under way", "behind it", "while it closes"]


def test_what_was_accepted_while_nothing_ran_is_executed_at_the_start_the_oldest_first(floor: Floor) -> None:
    names = [f"alert {number}" for number in range(12)]
    for number, name in enumerate(names):
        floor.accept(name, at_once, at_once, symbol=SYMBOLS[number % 2])
    assert floor.hand.reported == []
    floor.begin()
    floor.until_done(*names)
    for lane in (names[0::2], names[1::2]):
        assert [each for each in floor.hand.names("done") if each in lane] == lane


def test_what_is_accepted_before_the_instruments_are_known_keeps_its_place(floor: Floor) -> None:
    index, floor.market.symbol_index = floor.market.symbol_index, None
    floor.accept("nameless")
    floor.market.symbol_index = index
    floor.accept("last")
    floor.begin()
    floor.until_done("nameless", "last")
    assert floor.hand.names("done") == ["nameless", "last"]


def test_whoever_waits_for_an_account_to_change_hands_waits_until_the_engine_is_closed(floor: Floor) -> None:
    floor.begin()
    assert floor.engine.await_account(ACCOUNT)
    waiting = threading.Thread(target=floor.engine.await_loss, args=(ACCOUNT,), daemon=True)
    waiting.start()
    floor.accept("meanwhile")
    floor.until_done("meanwhile")
    assert waiting.is_alive()
    floor.engine.close(CLOSE_S)
    waiting.join(DEADLINE_S)
    assert not waiting.is_alive()
    assert not floor.engine.await_account(ACCOUNT)


def test_alerts_that_another_process_takes_before_it_knows_the_instruments_keep_their_place(postgres_url: str) -> None:
    """Which only Postgres has: a web process that has just begun takes alerts, and a worker executes them."""
    web, worker = Floor(postgres_url), Floor(postgres_url)
    try:
        worker.begin()
        web.hand, web.market.symbol_index = worker.hand, None
        names = [f"alert {number}" for number in range(200)]
        for number, name in enumerate(names):
            (web if number % 3 else worker).accept(name)
        worker.until_done(*names)
        assert worker.hand.names("done") == names
    finally:
        worker.close()
        web.close()


def test_what_an_owner_was_to_do_waits_while_its_right_has_run_out_and_goes_on_once_it_is_renewed(
    postgres_url: str,
) -> None:
    """As after a database that stood still for longer than the right lasts, where nobody else took the account."""
    worker, stage, was_asked = Floor(postgres_url), Stage(), threading.Event()
    server = stage.says(ACKNOWLEDGED)
    exchange = stage.exchange(server.url)

    def act() -> float:
        # Made now: on a busy machine one made at the beginning would have run out by then.
        place(exchange, signature=exchange.signature())
        return 0.0

    def has_run_out() -> bool:
        was_asked.set()
        return False

    try:
        worker.begin()
        worker.accept("late", lambda: LONG_S, act)
        until(lambda: worker.hand.names("ends") == ["late"])
        with patch.object(AccountLease, "is_valid", PropertyMock(side_effect=has_run_out)):
            was_asked.clear()
            worker.engine.wake(Lane(account=ACCOUNT, category=Category.LINEAR, symbol=SYMBOLS[0]))
            assert was_asked.wait(DEADLINE_S)
            assert worker.hand.names("begins") == ["late"]
            assert server.requests == [], "nothing leaves by a right that is over"
        worker.until_done("late")
        assert len(server.requests) == 1
    finally:
        worker.close()
        stage.close()


def test_an_account_changes_hands_with_what_is_unfinished_and_keeps_the_order(postgres_url: str) -> None:
    first, second = Floor(postgres_url), Floor(postgres_url)
    try:
        second.hand = first.hand
        second.renew()
        first.begin()
        first.accept("waits", lambda: LONG_S, at_once)
        first.accept("behind it")
        until(lambda: first.hand.names("ends") == ["waits"])
        second.begin()
        second.accept("last")
        assert first.engine.close(CLOSE_S)
        first.until_done("waits", "behind it", "last")
        assert first.hand.names("done") == ["waits", "behind it", "last"]
    finally:
        second.close()
        first.close()


def test_what_no_word_came_of_is_found_all_the_same(postgres_url: str) -> None:
    """As when the notification is lost with its connection."""
    with patch.object(WakeUps, "tell") as lost:  # before an engine takes hold of it
        web, worker = Floor(postgres_url), Floor(postgres_url)
    try:
        worker.begin()
        web.hand = worker.hand
        web.accept("unheard")
        worker.until_done("unheard")
        lost.assert_called()
    finally:
        worker.close()
        web.close()


def test_the_age_of_what_another_process_received_counts_by_the_clock_that_both_note_by(postgres_url: str) -> None:
    """However far apart their machines' own clocks are."""
    web = Floor(postgres_url)
    try:
        web.accept("received there")
        (execution,) = web.journal.unfinished()
        accounts, strategies = web.items._accounts, web.items._strategies
        for later_ms in (0, 7_000):
            made = tasks.Tasks(
                journal=web.journal,
                executor=cast(Executor, web.hand),
                accounts=accounts,
                strategies=strategies,
                shared_ms=partial(int, execution.signal.received_at_ms + later_ms),
                steady=lambda: 100.0,
            )
            placed = made.of_stored(execution)
            assert placed is not None and isinstance(placed[1], tasks._Task)
            received = placed[1].work.received
            assert received is not None and received.since() == timedelta(milliseconds=later_ms)
    finally:
        web.close()
