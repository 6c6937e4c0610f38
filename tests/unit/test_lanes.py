"""The embedded engine: order within a lane, lanes beside each other, and nothing left behind."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

import pytest

from relay.domain.instrument import Category
from relay.engine.lanes import Lane, Lanes, collect_between_orders
from relay.execution.tasks import Arrivals

DEADLINE_S = 60
LONG_S = 3600.0
THREADS = 8


def lane(number: int = 0) -> Lane:
    return Lane(account="default", category=Category.LINEAR, symbol=f"S{number}USDT")


class Mortal(Lane):
    """A lane whose end can be seen."""

    __slots__ = ("__weakref__",)


@dataclass(eq=False)
class Task:
    """An item that does what it is given, one function a step; what a step returns is what it tells the lane."""

    steps: list[Callable[[], float | None]]
    errors: list[Exception] = field(default_factory=list)
    again_s: float | None = 0.001
    ended: threading.Event = field(default_factory=threading.Event)

    def step(self) -> float | None:
        delay = self.steps[0]()
        self.steps.pop(0)
        if delay is None:
            self.ended.set()
        return delay

    def failed(self, error: Exception) -> float | None:
        self.errors.append(error)
        if self.again_s is None:
            self.ended.set()
        return self.again_s


def task(*steps: Callable[[], object]) -> Task:
    """Finished after the last of the steps."""

    def telling(step: Callable[[], object], delay: float | None) -> Callable[[], float | None]:
        def run() -> float | None:
            step()
            return delay

        return run

    return Task([*(telling(step, 0.0) for step in steps[:-1]), telling(steps[-1], None)])


def waiting(delay_s: float) -> Task:
    """Asks for a wait before its second and last step."""
    return Task([lambda: delay_s, lambda: None])


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        threading.Event().wait(0.001)


def threads() -> set[threading.Thread]:
    return {each for each in threading.enumerate() if each.name.startswith(("lane", "alarms"))}


@pytest.fixture
def lanes() -> Iterator[Lanes]:
    before = threads()
    made = Lanes(threads=THREADS)
    yield made
    made.close(DEADLINE_S)
    until(lambda: threads() <= before)


def test_the_items_of_a_lane_run_in_the_order_in_which_they_were_submitted(lanes: Lanes) -> None:
    order: list[int] = []
    tasks = [task(lambda n=n: order.append(n)) for n in range(500)]  # type: ignore[misc]
    for each in tasks:
        lanes.submit(lane(), each)
    assert tasks[-1].ended.wait(DEADLINE_S)
    assert order == list(range(500))


def test_every_item_of_each_of_many_submitters_runs_once_and_in_its_submitters_order(lanes: Lanes) -> None:
    order: list[tuple[int, int]] = []
    started = threading.Barrier(8)

    def submit(who: int) -> None:
        started.wait(DEADLINE_S)
        for n in range(200):
            lanes.submit(lane(), task(lambda n=n: order.append((who, n))))  # type: ignore[misc]

    submitters = [threading.Thread(target=submit, args=(who,)) for who in range(8)]
    for each in submitters:
        each.start()
    for each in submitters:
        each.join(DEADLINE_S)
    until(lambda: lanes.depth() == 0)
    assert len(order) == 8 * 200
    for who in range(8):
        assert [n for by, n in order if by == who] == list(range(200))


def test_two_steps_of_one_lane_never_run_at_the_same_time(lanes: Lanes) -> None:
    inside = threading.Lock()
    overlaps: list[int] = []

    def step() -> None:
        if not inside.acquire(blocking=False):
            overlaps.append(1)
            return
        threading.Event().wait(0.0005)
        inside.release()

    for _ in range(50):
        lanes.submit(lane(), task(step, step, step))
    until(lambda: lanes.depth() == 0)
    assert overlaps == []


def test_an_item_is_finished_before_the_next_one_of_its_lane_begins(lanes: Lanes) -> None:
    order: list[str] = []
    first = Task([lambda: _note(order, "a1", 0.02), lambda: _note(order, "a2", 0.0), lambda: _note(order, "a3", None)])
    second = task(lambda: order.append("b"))
    lanes.submit(lane(), first)
    lanes.submit(lane(), second)
    assert second.ended.wait(DEADLINE_S)
    assert order == ["a1", "a2", "a3", "b"]


def _note(order: list[str], name: str, delay: float | None) -> float | None:
    order.append(name)
    return delay


def test_different_lanes_run_beside_each_other(lanes: Lanes) -> None:
    together = threading.Barrier(THREADS)
    tasks = [task(lambda: together.wait(DEADLINE_S)) for _ in range(THREADS)]
    for number, each in enumerate(tasks):
        lanes.submit(lane(number), each)
    assert all(each.ended.wait(DEADLINE_S) for each in tasks), "they did not meet, so they did not run at once"


def test_the_same_symbol_on_another_account_or_in_another_category_is_another_lane(lanes: Lanes) -> None:
    together = threading.Barrier(3)
    names = [("one", Category.LINEAR), ("two", Category.LINEAR), ("one", Category.INVERSE)]
    tasks = [task(lambda: together.wait(DEADLINE_S)) for _ in names]
    for (account, category), each in zip(names, tasks, strict=True):
        lanes.submit(Lane(account=account, category=category, symbol="BTCUSD"), each)
    assert all(each.ended.wait(DEADLINE_S) for each in tasks)


def test_steps_that_hang_on_one_account_take_no_thread_from_another(lanes: Lanes) -> None:
    go_on = threading.Event()
    for number in range(3 * THREADS):
        lanes.submit(lane(number), task(lambda: go_on.wait(DEADLINE_S)))
    other = task(lambda: None)
    lanes.submit(Lane(account="other", category=Category.LINEAR, symbol="S0USDT"), other)
    ran_beside = other.ended.wait(DEADLINE_S / 2)
    go_on.set()
    assert ran_beside


def test_an_item_that_waits_blocks_its_own_lane_only_and_costs_no_thread(lanes: Lanes) -> None:
    """More lanes wait than there are threads, and others go on."""
    behind = [task(lambda: None) for _ in range(100)]
    for number in range(100):
        lanes.submit(lane(number), waiting(LONG_S))
        lanes.submit(lane(number), behind[number])
    free = [task(lambda: None) for _ in range(100)]
    for number, each in enumerate(free):
        lanes.submit(lane(1000 + number), each)
    assert all(each.ended.wait(DEADLINE_S) for each in free)
    assert not any(each.ended.is_set() for each in behind)
    until(lambda: lanes.depth() == 200)  # it is dropped a moment after it has ended


def test_waits_end_in_the_order_of_their_times_whatever_the_order_of_their_beginnings(lanes: Lanes) -> None:
    order: list[int] = []
    tasks = []
    for number, delay_s in enumerate((0.3, 0.2, 0.1)):
        tasks.append(Task([lambda d=delay_s: d, lambda n=number: order.append(n)]))  # type: ignore[misc]
        lanes.submit(lane(number), tasks[-1])
    assert all(each.ended.wait(DEADLINE_S) for each in tasks)
    assert order == [2, 1, 0]


def test_ten_thousand_lanes_leave_no_threads_and_no_memory_behind() -> None:
    others = threads()
    lanes = Lanes(threads=THREADS)
    left = [10_000]
    counting = threading.Lock()

    def count() -> None:
        with counting:
            left[0] -= 1

    made: list[weakref.ref[object]] = []
    for number in range(10_000):
        item = Task([lambda: 0.001, lambda: count()]) if number % 2 else task(count)
        own_lane = Mortal(account="default", category=Category.LINEAR, symbol=f"S{number}USDT")
        made += [weakref.ref(item), weakref.ref(own_lane)]
        lanes.submit(own_lane, item)
    del item, own_lane
    until(lambda: left[0] == 0 and lanes.depth() == 0)
    assert len(threads() - others) <= THREADS + 1
    gc.collect()
    # Each thread that lives on may hold the last that it had in hand.
    assert sum(ref() is not None for ref in made) <= 2 * (THREADS + 1)
    assert lanes.close(DEADLINE_S)
    until(lambda: threads() <= others)


def test_garbage_is_collected_between_orders_and_not_while_it_is_made(lanes: Lanes) -> None:
    @dataclass(eq=False)
    class Ring:
        other: object = None

    rings: list[weakref.ref[Ring]] = []

    def make() -> None:
        for _ in range(5_000):
            ring = Ring()
            ring.other = ring
            rings.append(weakref.ref(ring))
        assert all(each() is not None for each in rings), "in the middle of an alert's way"

    before = gc.get_threshold()
    try:
        collect_between_orders()
        gc.collect()
        making = task(make)
        lanes.submit(lane(), making)
        until(lambda: sum(each() is not None for each in rings) <= 1 and bool(rings))
        assert making.errors == []
    finally:
        gc.set_threshold(*before)


def test_a_lane_that_was_idle_works_again(lanes: Lanes) -> None:
    for _ in range(20):
        again = task(lambda: None)
        lanes.submit(lane(), again)
        assert again.ended.wait(DEADLINE_S)
        until(lambda: lanes.depth() == 0)


def test_a_step_that_fails_is_tried_again_after_the_wait_that_its_item_asks_for(lanes: Lanes) -> None:
    tries: list[int] = []

    def step() -> None:
        tries.append(1)
        if len(tries) < 3:
            raise ValueError("not yet")

    failing, behind = task(step), task(lambda: None)
    lanes.submit(lane(), failing)
    lanes.submit(lane(), behind)
    assert behind.ended.wait(DEADLINE_S)
    assert len(tries) == 3
    assert [str(error) for error in failing.errors] == ["not yet", "not yet"]


def test_an_item_that_gives_up_after_a_failure_makes_room_for_the_next(lanes: Lanes) -> None:
    def step() -> None:
        raise ValueError("never")

    failing, behind = task(step), task(lambda: None)
    failing.again_s = None
    lanes.submit(lane(), failing)
    lanes.submit(lane(), behind)
    assert behind.ended.wait(DEADLINE_S)
    assert len(failing.errors) == 1


def test_a_lane_lives_on_even_if_an_item_fails_at_failing(lanes: Lanes) -> None:
    class Hopeless(Task):
        def failed(self, error: Exception) -> float | None:
            super().failed(error)
            if len(self.errors) == 1:
                raise RuntimeError("and that too")
            return None

    def step() -> None:
        raise ValueError("never")

    hopeless, behind = Hopeless([lambda: step()]), task(lambda: None)
    lanes.submit(lane(), hopeless)
    lanes.submit(lane(), behind)
    assert behind.ended.wait(DEADLINE_S)
    assert [str(error) for error in hopeless.errors] == ["never", "never"]


def test_close_lets_a_running_step_end_and_starts_no_other(lanes: Lanes) -> None:
    entered, leave = threading.Event(), threading.Event()
    later: list[str] = []

    def first() -> None:
        entered.set()
        assert leave.wait(DEADLINE_S)

    running = task(first, lambda: later.append("its next step"))
    lanes.submit(lane(), running)
    lanes.submit(lane(), task(lambda: later.append("its lane's next item")))
    lanes.submit(lane(1), waiting(LONG_S))
    assert entered.wait(DEADLINE_S)
    came_to: list[bool] = []
    closing = threading.Thread(target=lambda: came_to.append(lanes.close(DEADLINE_S)))
    closing.start()
    until(lambda: _refuses(lanes))
    leave.set()
    closing.join(DEADLINE_S)
    assert came_to == [True]
    assert later == []


def _refuses(lanes: Lanes) -> bool:
    before = lanes.depth()
    lanes.submit(lane(2), waiting(LONG_S))
    return lanes.depth() == before


def test_close_says_when_a_step_is_still_running_after_its_time(lanes: Lanes) -> None:
    entered, leave = threading.Event(), threading.Event()

    def stuck() -> None:
        entered.set()
        leave.wait(DEADLINE_S)

    lanes.submit(lane(), task(stuck))
    assert entered.wait(DEADLINE_S)
    assert lanes.close(0.01) is False
    leave.set()
    assert lanes.close(DEADLINE_S) is True


def test_close_does_not_wait_for_alarms(lanes: Lanes) -> None:
    lanes.submit(lane(), waiting(LONG_S))
    assert lanes.close(DEADLINE_S) is True


def test_what_is_submitted_after_close_is_left_to_the_journal(lanes: Lanes) -> None:
    assert lanes.close(DEADLINE_S) is True
    late = task(lambda: None)
    lanes.submit(lane(), late)
    assert lanes.depth() == 0
    assert not late.ended.is_set()


def test_closing_twice_is_harmless(lanes: Lanes) -> None:
    assert lanes.close(DEADLINE_S) is True
    assert lanes.close(DEADLINE_S) is True


# Of many requests at once the first one's order leaves by itself.


def test_a_free_lane_waits_until_it_may_begin_and_keeps_its_order(lanes: Lanes) -> None:
    told, done = threading.Event(), list[str]()
    lanes.held_s = DEADLINE_S
    first, second, other = (task(partial(done.append, name)) for name in ("first", "second", "other"))
    lanes.submit_when(lane(), first, told.is_set)
    lanes.submit(lane(), second)
    lanes.submit(lane(1), other)
    assert other.ended.wait(DEADLINE_S), "it was told to wait for nothing"
    assert not lanes.claim(lane(), task(lambda: None)), "whoever comes now would overtake"
    assert done == ["other"]
    told.set()
    assert second.ended.wait(DEADLINE_S)
    assert done == ["other", "first", "second"]


def test_a_lane_that_is_never_told_to_begin_does_so_by_itself(lanes: Lanes) -> None:
    alone, busy = task(lambda: None), task(lambda: None)
    for number, each in enumerate((alone, busy)):
        lanes.submit_when(lane(number), each, lambda: False)
    assert alone.ended.wait(DEADLINE_S) and busy.ended.wait(DEADLINE_S)


def test_who_waits_for_an_outcome_is_no_part_of_the_crowd() -> None:
    arrivals, inside, leave = Arrivals(), threading.Barrier(2), threading.Event()

    def another() -> None:
        with arrivals:
            inside.wait(DEADLINE_S)
            inside.wait(DEADLINE_S)
            arrivals.leave()
            inside.wait(DEADLINE_S)
            leave.wait(DEADLINE_S)

    thread = threading.Thread(target=another)
    thread.start()
    with arrivals:
        inside.wait(DEADLINE_S)
        assert not arrivals.is_over()
        inside.wait(DEADLINE_S)
        inside.wait(DEADLINE_S)
        assert arrivals.is_over(), "the other one is in the middle of its request, and waits"
    leave.set()
    thread.join(DEADLINE_S)


def test_of_a_crowd_one_opens_its_lane_and_the_rest_are_accepted_together() -> None:
    arrivals, inside, leave = Arrivals(), threading.Barrier(2), threading.Event()

    def another() -> None:
        with arrivals:
            inside.wait(DEADLINE_S)
            leave.wait(DEADLINE_S)

    thread = threading.Thread(target=another)
    thread.start()
    try:
        inside.wait(DEADLINE_S)
        with arrivals:
            opened = arrivals.may_open()
            assert opened is not None
            assert arrivals.may_open() is None
            opened()
            assert arrivals.may_open() is None
    finally:
        leave.set()
        thread.join(DEADLINE_S)


def test_one_after_the_other_each_opens_its_lane_by_itself() -> None:
    arrivals = Arrivals()
    for _ in range(3):
        with arrivals, arrivals:
            opened = arrivals.may_open()
            assert opened is not None
            opened()
            opened()


def test_who_comes_while_a_lane_is_opened_waits_until_the_order_has_left() -> None:
    arrivals, came = Arrivals(), threading.Event()
    arrivals.wait_s = DEADLINE_S
    with arrivals:
        opened = arrivals.may_open()
    assert opened is not None

    def come() -> None:
        with arrivals:
            came.set()

    thread = threading.Thread(target=come)
    thread.start()
    assert not came.wait(0.05)
    opened()
    thread.join(DEADLINE_S)
    assert came.is_set()


def test_a_lane_that_is_never_opened_holds_up_nobody_for_long() -> None:
    arrivals = Arrivals()
    arrivals.wait_s = 0.01
    assert arrivals.may_open() is not None
    with arrivals:
        assert arrivals.may_open() is None
