"""What both engines promise: the embedded one over SQLite and the one of many processes over Postgres."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from unittest.mock import patch

import psycopg
import pytest

from relay.domain.instrument import Category
from relay.engine.lanes import Lane
from relay.engine.lease_guard import Lease
from relay.execution import tasks
from tests.contract.engines import ACCOUNT, CLOSE_S, DEADLINE_S, LONG_S, SYMBOLS, Floor, at_once, until
from tests.contract.raw_server import ACKNOWLEDGED, Stage, place

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


def test_a_lane_whose_lease_ran_out_here_while_nobody_else_took_it_is_taken_up_again(postgres_url: str) -> None:
    """As after a database that stood still for longer than a lease lasts."""
    worker, stage = Floor(postgres_url), Stage()
    server = stage.says(ACKNOWLEDGED)
    exchange = stage.exchange(server.url)

    def act() -> float:
        # Made now: on a busy machine one made at the beginning would have run out by then.
        place(exchange, signature=exchange.signature())
        return 0.0

    try:
        worker.begin()
        worker.accept("late", lambda: LONG_S, act)
        until(lambda: worker.hand.names("ends") == ["late"])
        with patch.object(Lease, "is_valid", False):
            worker.engine.wake(Lane(account=ACCOUNT, category=Category.LINEAR, symbol=SYMBOLS[0]))
            until(lambda: worker.hand.names("begins") == ["late"] * 2)
            until(lambda: worker.engine.depth() == 0)
            assert server.requests == [], "nothing leaves by a lease that is over"
        worker.until_done("late")
        assert len(server.requests) == 1
    finally:
        worker.close()
        stage.close()


def test_what_ended_processes_have_left_in_the_database_is_forgotten(postgres_url: str) -> None:
    worker = Floor(postgres_url)
    try:
        worker.begin()
        worker.accept("waits", lambda: LONG_S, at_once)
        until(lambda: worker.hand.names("ends") == ["waits"])
        left = """
            INSERT INTO leases (name, owner, epoch, until) VALUES ('worker dead', 'dead', 1, 1);
            INSERT INTO procrastinate_jobs (queue_name, task_name, status) VALUES ('lanes', 'relay.drain', 'doing')
        """
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute(left)
            worker.engine.tidy()
            ((leases,),) = connection.execute("SELECT count(*) FROM leases WHERE name LIKE 'worker %'")
            ((jobs,),) = connection.execute("SELECT count(*) FROM procrastinate_jobs")
        assert (leases, jobs) == (1, 1), "its own are left, and the job that it is at"
    finally:
        worker.close()
