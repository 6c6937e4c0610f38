"""When a request may leave: the account's rate limits, learnt from the exchange's answers, and a ban of this
machine's address."""

from __future__ import annotations

import itertools
import math
import threading
import time
from bisect import insort
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum, StrEnum
from typing import Any

from relay.bybit.http import ExchangeClock, must_wait

WINDOW_S = 1.005
"""The exchange's second, and a little for clocks that run differently."""
HOLD_UNAVAILABLE_S = 1.0
"""After a refusal that names no time."""
HOLD_MAX_S = 60.0
"""No reset is further away than this: a wrong header must not silence the relay."""
BATCH_MAX = 10
"""Source: docs/v5/rate-limit, "Instructions for batch endpoints"; the pages of the endpoints allow more."""
SOON_S = 0.1
"""Where more wait than may go by themselves until then, they may go in batches."""


class Priority(IntEnum):
    """Who goes first when not all may go."""

    EXIT = 0
    ENTRY = 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Passenger:
    """What may leave in a batch instead, by the limit of that endpoint, with others of its `kind`."""

    endpoint: str
    kind: object


@dataclass(frozen=True, slots=True, kw_only=True)
class Permit:
    """What waiting for one's turn came to. `why` and `retry_at_ms` (exchange clock): where leave was not given.

    `at`: the monotonic clock when it was granted. `batch`: in one with these, its own passenger first; who got this
    permit sends them all, and the others' permits are not granted and say `is_taken`.
    """

    granted: bool
    at: float = 0.0
    waited_s: float = 0.0
    retry_at_ms: int | None = None
    why: str = "the exchange's rate limit is spent"
    batch: tuple[Any, ...] = ()
    is_taken: bool = False


@dataclass(slots=True, order=True)
class _Ticket:
    """A place in the queue. Only who is first, of all or of those with a passenger, need hear of each change."""

    priority: int
    number: int
    news: threading.Condition = field(compare=False)
    deadline: float = field(compare=False)
    passenger: Passenger | None = field(compare=False, default=None)
    is_taken: bool = field(compare=False, default=False)


@dataclass(slots=True, kw_only=True)
class _Endpoint:
    """One endpoint's window. `foreign` is what others have spent of the limit: another process, or the app.

    A request counts from when it leaves until a second after it was counted there, which its answer tells.
    """

    lock: threading.Lock
    serves: _Endpoint | None = None
    """Of batches: whose requests may leave in them. Their limit is as large, until an answer says otherwise."""
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
        if self.room(now):
            return now
        counting = [at for at in self.counted_at if at > now - WINDOW_S]
        frees = [counting[0] + WINDOW_S] if counting else [now + WINDOW_S]
        return min([*frees, self.foreign_until] if self.foreign else frees)

    def room(self, at: float) -> float:
        """How many may go until `at`, if none goes before."""
        limit = self.serves.limit if self.limit is None and self.serves is not None else self.limit
        if at < self.held_until:
            return 0
        if limit is None:
            return math.inf
        return max(0, limit - self._own(at) - (self.foreign if at < self.foreign_until else 0))

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
        queue = (self.serves or self).waiting
        for each in [*queue[:1], *filter(None, [first_passenger(queue)])]:
            each.news.notify()

    def tell_all(self) -> None:
        for each in (self.serves or self).waiting:
            each.news.notify()

    def _forget(self, now: float) -> None:
        """An answer may be late, and tell of a moment up to a second ago."""
        while self.counted_at and self.counted_at[0] <= now - 2 * WINDOW_S:
            self.counted_at.popleft()
        if now >= self.foreign_until:
            self.foreign = 0


def first_passenger(queue: list[_Ticket]) -> _Ticket | None:
    """Who sends the next batch: the first of those that may leave in one."""
    return next((each for each in queue if each.passenger is not None), None)


class Limiter:
    """Lets an account's requests go as fast as the exchange counts them, exits first, else in order. Thread-safe.

    Each endpoint has its own window, and nobody waits for another endpoint's. Where more orders wait than will go soon,
    they leave in batches as well, which the exchange counts by themselves, an order at a time.
    """

    def __init__(self, clock: ExchangeClock, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._monotonic = monotonic
        self._order = itertools.count()
        self._lock = threading.Lock()
        self._endpoints: dict[str, _Endpoint] = {}

    def acquire(
        self, endpoint: str, *, priority: Priority, timeout_s: float, passenger: Passenger | None = None
    ) -> Permit:
        """Wait for a turn, at most `timeout_s`; who is granted it must send at once and say when it is `done`.

        Who cannot have a turn in time is told so without waiting. `passenger`: how it may leave in a batch.
        """
        window = self._window(endpoint)
        if passenger is not None:
            self._window(passenger.endpoint).serves = window
        with window.lock:
            now = self._monotonic()
            if not window.waiting and window.free_at(now) <= now:
                window.in_flight += 1
                return Permit(granted=True, at=now)
            deadline = now + timeout_s
            news = threading.Condition(window.lock)
            ticket = _Ticket(int(priority), next(self._order), news, deadline, passenger)
            insort(window.waiting, ticket)
            window.tell_first()
            try:
                return replace(self._wait(window, ticket), waited_s=self._monotonic() - now)
            finally:
                if not ticket.is_taken:
                    window.waiting.remove(ticket)
                window.tell_first()

    def _window(self, endpoint: str) -> _Endpoint:
        return self._endpoints.get(endpoint) or self._endpoints.setdefault(endpoint, _Endpoint(lock=self._lock))

    def _wait(self, window: _Endpoint, ticket: _Ticket) -> Permit:
        while not ticket.is_taken:
            now = self._monotonic()
            free_at, is_first = window.free_at(now), window.waiting[0] is ticket
            if free_at <= now and is_first:
                window.in_flight += 1
                return Permit(granted=True, at=now)
            batch_at, sends = self._batch_at(window, ticket, now), first_passenger(window.waiting) is ticket
            if batch_at <= now and sends:
                return self._batch(window, ticket, now)
            soonest = min(free_at, batch_at)
            if now >= ticket.deadline or soonest > ticket.deadline:
                return Permit(granted=False, retry_at_ms=self._clock.after_ms(max(0.0, soonest - now)))
            wakes_at = min(free_at if is_first else math.inf, batch_at if sends else math.inf, ticket.deadline)
            must_wait()
            ticket.news.wait(wakes_at - now)
        return Permit(granted=False, is_taken=True)

    def _batch_at(self, window: _Endpoint, ticket: _Ticket, now: float) -> float:
        """When a batch could go, at the earliest; never, while those that wait will soon have gone by themselves."""
        if ticket.passenger is None or len(window.waiting) <= window.room(now + SOON_S):
            return math.inf
        return self._window(ticket.passenger.endpoint).free_at(now)

    def _batch(self, window: _Endpoint, ticket: _Ticket, now: float) -> Permit:
        """Who is to send it takes along whom the limit lets, in order."""
        own = ticket.passenger
        assert own is not None, "who sends a batch is in it"
        batches, taken = self._window(own.endpoint), list[Passenger]()
        room = min(BATCH_MAX, batches.room(now))
        for each in tuple(window.waiting):
            if (who := each.passenger) is None or len(taken) == room:
                continue
            if (who.endpoint, who.kind) == (own.endpoint, own.kind) and (each is ticket or each.deadline > now):
                taken.append(who)
                window.waiting.remove(each)
                each.is_taken = True
                each.news.notify()
        batches.in_flight += len(taken)
        return Permit(granted=True, at=now, batch=tuple(taken))

    def done(self, endpoint: str, permit: Permit, *, counted: bool, headers: Mapping[str, str]) -> None:
        """A request that was granted its turn has ended; `counted`: the exchange may have seen it.

        `headers`: of the answer, if there was one.
        """
        window, orders = self._window(endpoint), len(permit.batch) or 1
        with window.lock:
            window.in_flight -= orders
            if counted:
                at = self._counted_at(headers, self._monotonic(), earliest=permit.at)
                for _ in range(orders):
                    insort(window.counted_at, at)
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
