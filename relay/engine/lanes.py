"""The lanes: work on one account and instrument goes on in the order of acceptance. The journal is their memory."""

from __future__ import annotations

import gc
import heapq
import itertools
import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

from relay.domain.instrument import Category

# What an engine does for the execution, whether it runs in one process or in many.


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Lane:
    """The effects of one account on one *resolved* instrument happen one after the other."""

    account: str
    category: Category
    symbol: str


class LaneTask(Protocol):
    """One signal's work in one lane."""

    def step(self) -> float | None:
        """Do the next thing.

        Returns None once it is finished, else the seconds until there is more; the lane waits with it.
        """

    def failed(self, error: Exception) -> float | None:
        """A step raised `error`.

        Returns None if the lane goes on without the task, else the seconds until the next try.
        """


class Engine(Protocol):
    """Runs each lane's tasks in the order in which they were submitted, different lanes in parallel."""

    def submit(self, lane: Lane, item: LaneTask) -> None:
        """Put a task behind those that the lane has. Never blocks."""

    def depth(self) -> int:
        """How many tasks are not finished."""

    def close(self, timeout_s: float) -> bool:
        """Start no further step, and wait for those that run.

        Returns False if some still do; the journal has their work.
        """


class ClaimedEngine(Engine, Protocol):
    """One whose lanes can be taken before there is a signal for them."""

    def claim(self, lane: Lane, item: LaneTask) -> bool:
        """Put the task into the lane if that is free, and there is a thread to begin with it at once."""

    def has_only(self, lane: Lane, item: LaneTask) -> bool:
        """Whether nothing has come behind the lane's first task, which is this one."""

    def submit_when(self, lane: Lane, item: LaneTask, may_begin: Callable[[], bool]) -> None:
        """Like `submit`; a lane that has nothing else begins with it once `may_begin` says so, or after `HELD_S`.

        That is asked now and then, and must be quick. Of tasks that wait at the same time the first one's is asked.
        """


log = logging.getLogger(__name__)

_AGAIN_S = 1.0
HELD_S = 0.05
"""So long others may have the processor first."""
_HELD_LOOK_S = 0.003


class Lanes:
    """Lanes cost a thread only while one of their steps runs: a lane that waits is an entry in a heap of alarms."""

    def __init__(self, *, threads: int = 64) -> None:
        """`threads`: how many steps of one account may run at once; threads start when they are first needed."""
        self._threads = threads
        self._pools: dict[str, ThreadPoolExecutor] = {}
        """By account: steps that wait for an exchange that hangs take no thread from another account's."""
        self._alarms = Alarms()
        self._lock = threading.Lock()
        self._items: dict[Lane, deque[LaneTask]] = {}
        self._asleep: dict[Lane, object] = {}
        """Lanes that wait for an alarm, each with what tells that alarm from an older one."""
        self.held_s = HELD_S
        self._held: list[Lane] = []
        """Lanes that are to begin once others have had the processor."""
        self._woken: set[Lane] = set()
        self._running: Counter[str] = Counter()
        """How many lanes of each account are in the pool."""
        self._shut: set[str] = set()
        """Accounts whose lanes start no further step."""
        self._closing = False
        self.on_idle: Callable[[str], None] = lambda account: None
        """Called with an account that was closed once the last of its steps has ended; it must be quick."""
        self._idle = threading.Condition(self._lock)

    def submit(self, lane: Lane, item: LaneTask) -> None:
        self.submit_when(lane, item, lambda: True)

    def submit_when(self, lane: Lane, item: LaneTask, may_begin: Callable[[], bool]) -> None:
        with self._lock:
            if self._closing or lane.account in self._shut:
                return
            waiting = self._items.get(lane)
            if waiting is not None:
                waiting.append(item)
                return
            self._items[lane] = deque((item,))
            if may_begin():
                self._go(lane)
                return
            self._held.append(lane)
            if len(self._held) > 1:
                return
        self._alarms.set(_HELD_LOOK_S, partial(self._begin_held, may_begin, time.monotonic() + self.held_s))

    def _begin_held(self, may_begin: Callable[[], bool], until: float) -> None:
        if time.monotonic() < until and not may_begin():
            self._alarms.set(_HELD_LOOK_S, partial(self._begin_held, may_begin, until))
            return
        with self._lock:
            held, self._held = self._held, []
            for lane in held:
                self._go(lane)

    def claim(self, lane: Lane, item: LaneTask) -> bool:
        with self._lock:
            is_shut = self._closing or lane.account in self._shut
            if is_shut or lane in self._items or self._running[lane.account] >= self._threads:
                return False
            self._items[lane] = deque((item,))
            self._go(lane)
            return True

    def has_only(self, lane: Lane, item: LaneTask) -> bool:
        with self._lock:
            items = self._items.get(lane)
            return items is not None and len(items) == 1 and items[0] is item

    def depth(self) -> int:
        with self._lock:
            return sum(len(items) for items in self._items.values())

    def wake(self, lane: Lane) -> None:
        """Something has happened that the lane may wait for: its first task's next step is due now."""
        with self._lock:
            if self._asleep.pop(lane, None) is not None:
                self._go(lane)
            elif lane in self._items:
                self._woken.add(lane)

    def open_account(self, account: str) -> None:
        """Its lanes, which have been closed, take items again."""
        with self._lock:
            self._shut.discard(account)

    def close_account(self, account: str) -> bool:
        """Start no further step in its lanes, and take no further item. Whether none runs (else see `on_idle`)."""
        with self._lock:
            self._shut.add(account)
            return self._running[account] == 0

    def drop_account(self, account: str) -> None:
        """Forget what its lanes have; what of it runs just now is not gone on with."""
        with self._lock:
            for lane in [each for each in self._items if each.account == account]:
                self._items[lane].clear()
                self._woken.discard(lane)
                if self._asleep.pop(lane, None) is not None:
                    del self._items[lane]

    def close(self, timeout_s: float) -> bool:
        with self._lock:
            self._closing = True
        self._alarms.close()
        with self._idle:
            ended = self._idle.wait_for(lambda: not self._running, timeout=timeout_s)
        for pool in self._pools.values():
            pool.shutdown(wait=False, cancel_futures=True)
        return ended

    def _go(self, lane: Lane) -> None:
        """Run the lane's first task in the pool. The lock is held."""
        if self._closing:
            return
        pool = self._pools.get(lane.account)
        if pool is None:
            pool = ThreadPoolExecutor(max_workers=self._threads, thread_name_prefix=f"lane of {lane.account}")
            self._pools[lane.account] = pool
        self._running[lane.account] += 1
        pool.submit(self._run, lane)

    def _run(self, lane: Lane) -> None:
        try:
            while (item := self._first(lane)) is not None:
                delay = _step(item)
                if delay is None:
                    self._drop(lane, item)
                elif delay > 0 and self._sleep(lane, item, delay):
                    return
        finally:
            self._ended(lane.account)

    def _ended(self, account: str) -> None:
        with self._idle:
            self._running[account] -= 1
            is_last = self._running[account] == 0
            if is_last:
                del self._running[account]
            is_idle = is_last and account in self._shut
            self._idle.notify_all()
        if is_idle:
            self.on_idle(account)
        if is_last:
            _collect_garbage()

    def _sleep(self, lane: Lane, item: LaneTask, delay_s: float) -> bool:
        """False: it was woken meanwhile, or the item was dropped."""
        alarm = object()
        with self._lock:
            items = self._items[lane]
            if lane in self._woken or not items or items[0] is not item:
                self._woken.discard(lane)
                return False
            self._asleep[lane] = alarm
        self._alarms.set(delay_s, lambda: self._ring(lane, alarm))
        return True

    def _ring(self, lane: Lane, alarm: object) -> None:
        with self._lock:
            if self._asleep.get(lane) is alarm:
                del self._asleep[lane]
                self._go(lane)

    def _first(self, lane: Lane) -> LaneTask | None:
        """The lane's next task; a lane without one is gone, and leaves nothing behind."""
        with self._lock:
            items = self._items[lane]
            if self._closing or (items and lane.account in self._shut):
                self._asleep[lane] = object()
                return None
            if items:
                return items[0]
            del self._items[lane]
            self._woken.discard(lane)
            return None

    def _drop(self, lane: Lane, item: LaneTask) -> None:
        with self._lock:
            items = self._items[lane]
            if items and items[0] is item:
                items.popleft()


def _step(item: LaneTask) -> float | None:
    try:
        return item.step()
    except Exception as error:
        log.exception("a step failed")
        return _failed(item, error)


def _failed(item: LaneTask, error: Exception) -> float | None:
    try:
        return item.failed(error)
    except Exception:
        # Without this the lane would stand still, unseen, until the next start.
        log.exception("a step failed, and what was to be done about that failed too")
        return _AGAIN_S


_GARBAGE: Final = (2000, 10, 10)
"""Python's own thresholds."""
_GARBAGE_IN_A_FLOOD: Final = 50_000


def collect_between_orders() -> None:
    """From now on Python looks for garbage when an account's lanes have nothing to do, not in the middle of an alert's
    way, where most of it is made: that takes 1 ms, of older objects 5 to 20."""
    gc.set_threshold(_GARBAGE_IN_A_FLOOD, *_GARBAGE[1:])


def _collect_garbage() -> None:
    young, older, oldest = (count > most for count, most in zip(gc.get_count(), _GARBAGE, strict=True))
    if young:
        gc.collect(2 if older and oldest else 1 if older else 0)


class Alarms:
    """Calls functions later, in one thread of its own that starts with the first alarm."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False

    def set(self, delay_s: float, call: Callable[[], None]) -> None:
        """Call `call` after `delay_s` seconds; it must be quick."""
        with self._changed:
            if self._closed:
                return
            alarm = (time.monotonic() + delay_s, next(self._order), call)
            heapq.heappush(self._heap, alarm)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="alarms", daemon=True)
                self._thread.start()
            if self._heap[0] is alarm:
                # Else the thread wakes before it anyway.
                self._changed.notify()

    def close(self) -> None:
        """Forget all alarms and end the thread."""
        with self._changed:
            self._closed = True
            self._heap.clear()
            self._changed.notify()

    def _run(self) -> None:
        while (call := self._next()) is not None:
            call()

    def _next(self) -> Callable[[], None] | None:
        with self._changed:
            while not self._closed:
                if not self._heap:
                    self._changed.wait()
                    continue
                left = self._heap[0][0] - time.monotonic()
                if left <= 0:
                    return heapq.heappop(self._heap)[2]
                self._changed.wait(left)
            return None
