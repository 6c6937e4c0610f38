"""The account's rate limits, learnt from what the exchange says of them.

Source: V5 documentation, "Rate Limit Rules" (docs/v5/rate-limit/rate-limit.mdx): a rolling second per account and
endpoint. An answer without limit headers means that nothing is being counted, and then nothing is counted here.
"""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from relay.exchange.clock import ExchangeClock

WINDOW_S = 1.005
"""The exchange's second, and a little for clocks that run differently."""
HOLD_UNTOLD_S = 1.0
"""After a refusal that names no time."""
HOLD_MAX_S = 60.0
"""No reset is further away than this: a wrong header must not silence the relay."""


class Priority(IntEnum):
    """Who goes first when not all may go."""

    EXIT = 0
    ENTRY = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Leave:
    """What waiting for one's turn came to. `why` and `retry_at_ms` (exchange clock): where leave was not given.

    `turn`: by which name several processes know it.
    """

    granted: bool
    retry_at_ms: int | None = None
    why: str = "the exchange's rate limit is spent"
    turn: str | None = None


_GRANTED = Leave(granted=True)


@dataclass(slots=True, kw_only=True)
class _Endpoint:
    """One endpoint's window. `foreign` is what others have spent of the limit: another process, or the app.

    A request counts from when it leaves until a second after its answer: the exchange counted it somewhere between.
    """

    changed: threading.Condition = field(default_factory=threading.Condition)
    waiting: list[tuple[int, int]] = field(default_factory=list)
    in_flight: int = 0
    answered_at: deque[float] = field(default_factory=deque)
    limit: int | None = None
    foreign: int = 0
    foreign_until: float = 0.0
    held_until: float = 0.0

    def free_at(self, now: float) -> float:
        """When the next request may go, at the earliest; not after `now`: at once."""
        self._forget(now)
        if now < self.held_until:
            return self.held_until
        if self.limit is None or self._own() + self.foreign < self.limit:
            return now
        frees = [self.answered_at[0] + WINDOW_S] if self.answered_at else [now + WINDOW_S]
        return min([*frees, self.foreign_until] if self.foreign else frees)

    def learn(self, now: float, limit: int | None, remaining: int) -> None:
        self._forget(now)
        self.limit = limit
        self.foreign = 0 if limit is None else max(0, limit - remaining - self._own())
        self.foreign_until = now + WINDOW_S

    def _own(self) -> int:
        return self.in_flight + len(self.answered_at)

    def _forget(self, now: float) -> None:
        while self.answered_at and self.answered_at[0] <= now - WINDOW_S:
            self.answered_at.popleft()
        if now >= self.foreign_until:
            self.foreign = 0


class Limiter:
    """Lets an account's requests go as fast as the exchange counts them, exits first, else in order. Thread-safe.

    Each endpoint has its own window, and nobody waits for another endpoint's.
    """

    def __init__(self, clock: ExchangeClock, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._monotonic = monotonic
        self._order = itertools.count()
        self._endpoints: dict[str, _Endpoint] = {}

    def acquire(self, endpoint: str, *, priority: Priority, timeout_s: float, waiter: str | None = None) -> Leave:
        """Wait for a turn, at most `timeout_s`; who is granted it must send at once and say when it is `done`.

        Who cannot have a turn in time is told so without waiting. `waiter`: by which name it would come again.
        """
        window = self._window(endpoint)
        deadline = self._monotonic() + timeout_s
        with window.changed:
            ticket = (int(priority), next(self._order))
            heapq.heappush(window.waiting, ticket)
            try:
                return self._wait(window, ticket, deadline)
            finally:
                window.waiting.remove(ticket)
                heapq.heapify(window.waiting)
                if window.waiting:
                    window.changed.notify_all()

    def _window(self, endpoint: str) -> _Endpoint:
        return self._endpoints.get(endpoint) or self._endpoints.setdefault(endpoint, _Endpoint())

    def _wait(self, window: _Endpoint, ticket: tuple[int, int], deadline: float) -> Leave:
        while True:
            now = self._monotonic()
            free_at = window.free_at(now)
            if free_at <= now and window.waiting[0] == ticket:
                window.in_flight += 1
                return _GRANTED
            if now >= deadline or free_at > deadline:
                return Leave(granted=False, retry_at_ms=self._clock.after_ms(max(0.0, free_at - now)))
            window.changed.wait((free_at if free_at > now else deadline) - now)

    def done(self, endpoint: str, leave: Leave, *, counted: bool, headers: Mapping[str, str]) -> None:
        """A request that was granted its turn has ended; `counted`: the exchange may have seen it.

        `headers`: of the answer, if there was one.
        """
        window = self._window(endpoint)
        with window.changed:
            window.in_flight -= 1
            if counted:
                window.answered_at.append(self._monotonic())
            if window.waiting:
                window.changed.notify_all()

    def held_for_s(self, endpoint: str) -> float:
        """How long nothing goes, after a refusal."""
        return max(0.0, self._window(endpoint).held_until - self._monotonic())

    def waiting(self, endpoint: str) -> int:
        """How many wait for their turn."""
        return len(self._window(endpoint).waiting)

    def learn(self, endpoint: str, headers: Mapping[str, str], *, refused: bool) -> int | None:
        """Take in what an answer says; `refused`: it was 10006. Then: the exchange's time from which on to repeat."""
        limit, remaining = told_by(headers)
        reset_ms = _whole(headers.get("X-Bapi-Limit-Reset-Timestamp"))
        window = self._window(endpoint)
        with window.changed:
            now = self._monotonic()
            window.learn(now, limit, remaining)
            window.changed.notify_all()
            if not refused:
                return None
            left = HOLD_UNTOLD_S if reset_ms is None else self._clock.seconds_until(reset_ms)
            left = min(max(left, 0.0), HOLD_MAX_S)
            window.held_until = max(window.held_until, now + left)
            return self._clock.after_ms(left)


def told_by(headers: Mapping[str, str]) -> tuple[int | None, int]:
    """The endpoint's limit and how much of it is left; None: nothing is counted."""
    limit, remaining = _whole(headers.get("X-Bapi-Limit")), _whole(headers.get("X-Bapi-Limit-Status"))
    return limit or None, remaining or 0


def _whole(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() else None
