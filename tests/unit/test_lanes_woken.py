"""A lane that waits is woken by what it waits for; a wake-up that comes early is not lost."""

from __future__ import annotations

import threading

from relay.domain.instrument import Category
from relay.engine.lanes import Lane, Lanes

DEADLINE_S = 60
LONG_S = 3600.0
LANE = Lane(account="default", category=Category.LINEAR, symbol="BTCUSDT")


class Waiter:
    """Waits for `told`, in vain by itself."""

    def __init__(self) -> None:
        self.reported = threading.Event()
        self.stepped = threading.Event()
        self.may_return = threading.Event()
        self.may_return.set()
        self.ended = threading.Event()

    def step(self) -> float | None:
        was_reported = self.reported.is_set()
        self.stepped.set()
        self.may_return.wait(DEADLINE_S)
        if was_reported:
            self.ended.set()
        return None if was_reported else LONG_S

    def failed(self, error: Exception) -> float | None:
        return None


def test_a_lane_that_sleeps_is_woken() -> None:
    lanes, waiter = Lanes(), Waiter()
    lanes.submit(LANE, waiter)
    assert waiter.stepped.wait(DEADLINE_S)
    waiter.reported.set()
    lanes.wake(LANE)
    assert waiter.ended.wait(DEADLINE_S)
    assert lanes.close(DEADLINE_S)


def test_a_wake_up_during_a_step_is_not_lost() -> None:
    lanes, waiter = Lanes(), Waiter()
    waiter.may_return.clear()
    lanes.submit(LANE, waiter)
    assert waiter.stepped.wait(DEADLINE_S)
    waiter.reported.set()
    lanes.wake(LANE)
    waiter.may_return.set()
    assert waiter.ended.wait(DEADLINE_S)
    assert lanes.close(DEADLINE_S)


def test_waking_a_lane_without_items_does_nothing() -> None:
    lanes = Lanes()
    lanes.wake(LANE)
    waiter = Waiter()
    waiter.reported.set()
    lanes.submit(LANE, waiter)
    assert waiter.ended.wait(DEADLINE_S)
    assert lanes.close(DEADLINE_S)
