"""When a request may leave: the account's rate limits, learnt from the exchange's answers, and a ban of this
machine's address."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from bisect import insort
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

from relay.bybit.http import ExchangeClock

WINDOW_S = 1.005
"""The exchange's second, and a little for clocks that run differently."""
HOLD_UNAVAILABLE_S = 1.0
"""After a refusal that names no time."""
HOLD_MAX_S = 60.0
"""No reset is further away than this: a wrong header must not silence the relay."""


class Priority(IntEnum):
    """Who goes first when not all may go."""

    EXIT = 0
    ENTRY = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Permit:
    """What waiting for one's turn came to. `why` and `retry_at_ms` (exchange clock): where leave was not given.

    `at`: the monotonic clock when it was granted.
    """

    granted: bool
    at: float = 0.0
    retry_at_ms: int | None = None
    why: str = "the exchange's rate limit is spent"


@dataclass(frozen=True, slots=True, order=True)
class _Ticket:
    """A place in the queue. Only who is first need hear of each change."""

    priority: int
    number: int
    news: threading.Condition = field(compare=False)


@dataclass(slots=True, kw_only=True)
class _Endpoint:
    """One endpoint's window. `foreign` is what others have spent of the limit: another process, or the app.

    A request counts from when it leaves until a second after it was counted there, which its answer tells.
    """

    lock: threading.Lock = field(default_factory=threading.Lock)
    waiting: list[_Ticket] = field(default_factory=list)
    in_flight: int = 0
    counted_at: deque[float] = field(default_factory=deque)
    limit: int | None = None
    foreign: int = 0
    foreign_until: float = 0.0
    held_until: float = 0.0

    def free_at(self, now: float) -> float:
        """When the next request may go, at the earliest; not after `now`: at once."""
        self._forget(now)
        if now < self.held_until:
            return self.held_until
        if self.limit is None or self._own(now) + self.foreign < self.limit:
            return now
        counting = [at for at in self.counted_at if at > now - WINDOW_S]
        frees = [counting[0] + WINDOW_S] if counting else [now + WINDOW_S]
        return min([*frees, self.foreign_until] if self.foreign else frees)

    def learn(self, now: float, at: float, limit: int | None, remaining: int) -> None:
        """`at`: when that was so at the exchange."""
        self.limit = limit
        self.foreign = 0 if limit is None else max(0, limit - remaining - self._own(at))
        self.foreign_until = at + WINDOW_S
        self._forget(now)

    def _own(self, at: float) -> int:
        """Requests of this process that the exchange may have counted within the second before `at`."""
        return self.in_flight + sum(each > at - WINDOW_S for each in self.counted_at)

    def tell_first(self) -> None:
        if self.waiting:
            self.waiting[0].news.notify()

    def tell_all(self) -> None:
        for each in self.waiting:
            each.news.notify()

    def _forget(self, now: float) -> None:
        """An answer may be late, and tell of a moment up to a second ago."""
        while self.counted_at and self.counted_at[0] <= now - 2 * WINDOW_S:
            self.counted_at.popleft()
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

    def acquire(self, endpoint: str, *, priority: Priority, timeout_s: float) -> Permit:
        """Wait for a turn, at most `timeout_s`; who is granted it must send at once and say when it is `done`.

        Who cannot have a turn in time is told so without waiting.
        """
        window = self._window(endpoint)
        deadline = self._monotonic() + timeout_s
        with window.lock:
            ticket = _Ticket(int(priority), next(self._order), threading.Condition(window.lock))
            heapq.heappush(window.waiting, ticket)
            try:
                return self._wait(window, ticket, deadline)
            finally:
                window.waiting.remove(ticket)
                heapq.heapify(window.waiting)
                window.tell_first()

    def _window(self, endpoint: str) -> _Endpoint:
        return self._endpoints.get(endpoint) or self._endpoints.setdefault(endpoint, _Endpoint())

    def _wait(self, window: _Endpoint, ticket: _Ticket, deadline: float) -> Permit:
        while True:
            now = self._monotonic()
            free_at, is_first = window.free_at(now), window.waiting[0] is ticket
            if free_at <= now and is_first:
                window.in_flight += 1
                return Permit(granted=True, at=now)
            if now >= deadline or free_at > deadline:
                return Permit(granted=False, retry_at_ms=self._clock.after_ms(max(0.0, free_at - now)))
            ticket.news.wait((free_at if is_first else deadline) - now)

    def done(self, endpoint: str, permit: Permit, *, counted: bool, headers: Mapping[str, str]) -> None:
        """A request that was granted its turn has ended; `counted`: the exchange may have seen it.

        `headers`: of the answer, if there was one.
        """
        window = self._window(endpoint)
        with window.lock:
            window.in_flight -= 1
            if counted:
                insort(window.counted_at, self._counted_at(headers, self._monotonic(), earliest=permit.at))
            window.tell_first()

    def _counted_at(self, headers: Mapping[str, str], now: float, *, earliest: float) -> float:
        """When the exchange counted a request, on the clock here: as its answer says, if that can be; else now.

        The exchange's clock is known to half a round trip, by which what is sent on the strength of it arrives later.
        """
        reported_ms = _whole(headers.get("X-Bapi-Limit-Reset-Timestamp"))
        if reported_ms is None:
            return now
        at = now + self._clock.seconds_until(reported_ms + 1)
        return at if earliest <= at <= now else now

    def is_free(self, endpoint: str) -> bool:
        """Whether a request would get its turn at once."""
        window = self._window(endpoint)
        with window.lock:
            now = self._monotonic()
            return not window.waiting and window.free_at(now) <= now

    def waiting(self, endpoint: str) -> int:
        """How many wait for their turn."""
        return len(self._window(endpoint).waiting)

    def learn(self, endpoint: str, headers: Mapping[str, str], *, refused: bool) -> int | None:
        """Take in what an answer says; `refused`: it was 10006. Then: the exchange's time from which on to repeat."""
        limit, remaining = reported_by(headers)
        reset_ms = _whole(headers.get("X-Bapi-Limit-Reset-Timestamp"))
        window = self._window(endpoint)
        with window.lock:
            now = self._monotonic()
            window.learn(now, self._counted_at(headers, now, earliest=now - WINDOW_S), limit, remaining)
            window.tell_first()
            if not refused:
                return None
            window.tell_all()
            left = HOLD_UNAVAILABLE_S if reset_ms is None else self._clock.seconds_until(reset_ms)
            left = min(max(left, 0.0), HOLD_MAX_S)
            window.held_until = max(window.held_until, now + left)
            return self._clock.after_ms(left)


def reported_by(headers: Mapping[str, str]) -> tuple[int | None, int]:
    """The endpoint's limit and how much of it is left; None if nothing is counted."""
    limit, remaining = _whole(headers.get("X-Bapi-Limit")), _whole(headers.get("X-Bapi-Limit-Status"))
    return limit or None, remaining or 0


def _whole(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() else None


# This machine's address, as the exchange sees it: one for all accounts.
#
# Source: V5 documentation, "Rate Limit Rules": 600 requests in 5 s per address; past it HTTP 403, "access too
# frequent",
# and then all sending must stop for ten minutes. The same 403 answers addresses in the US and in mainland China
# ("Integration Guidance"), and requests that a filter on the way disliked.


BAN_S = 600.0
SPAN_S = 5.0
SPAN_LIMIT = 600
SUSPECT = SPAN_LIMIT // 2
"""As many requests in one span make a 403 without words a ban: others may share the address."""

_BAN_WORDS = ("access too frequent", "too many visits", "rate limit")
_REGION_WORDS = ("from your country", "your region", "restricted location", "country or region")


class Forbidden(StrEnum):
    """What a 403 means."""

    BANNED = "banned"
    """The address sent too much; nothing goes out for ten minutes."""
    REGION = "region"
    """The exchange does not serve this address."""
    UNAVAILABLE = "untold"
    """No words, few requests, and the exchange served this address before: worth repeating, not worth silence."""


class Address:
    """Counts what leaves from here and keeps silent through a ban. Thread-safe."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._sent_at: deque[float] = deque(maxlen=SUSPECT)
        self._was_served = False
        self._banned_until = 0.0

    def note_sent(self) -> None:
        self._sent_at.append(self._monotonic())

    def note_served(self) -> None:
        self._was_served = True

    @property
    def banned_for_s(self) -> float:
        """Seconds until sending is allowed again; zero: it is."""
        return max(0.0, self._banned_until - self._monotonic())

    @property
    def is_crowded(self) -> bool:
        """Whether so much was sent lately that what can wait should."""
        return self._sent_much()

    def judge(self, body: str) -> Forbidden:
        """What a 403 with this body means; a ban begins with it."""
        words = body.lower()
        with self._lock:
            if any(word in words for word in _BAN_WORDS) or self._sent_much():
                self._banned_until = self._monotonic() + BAN_S
                return Forbidden.BANNED
        if any(word in words for word in _REGION_WORDS) or not self._was_served:
            return Forbidden.REGION
        return Forbidden.UNAVAILABLE

    def _sent_much(self) -> bool:
        return len(self._sent_at) == SUSPECT and self._sent_at[0] > self._monotonic() - SPAN_S
