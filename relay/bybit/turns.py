"""The limit of an account that several processes send for: whose turn it is, they ask where all of them do.

Only for requests that change something, of which the exchange counts ten a second (docs/v5/rate-limit/rate-limit.mdx);
of questions fifty, which stay with each process's own limiter. Where nothing is counted, nothing is asked."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, Protocol

from relay.bybit.http import ExchangeClock
from relay.bybit.limiter import WINDOW_S, Limiter, Permit, Priority, reported_by
from relay.errors import JournalUnavailable

CUSTOMARY: Final = 10
"""Of an endpoint that has not told its limit yet, where others of the account have."""
PATIENCE_S: Final = 0.25
"""Who would wait longer is told when to come again: a thread that waits is one that an exit may lack."""
EARLY_S: Final = 0.1
"""By how much earlier, so that what has to be written down before a send is, by the time of the turn."""
_ANSWER_MIN_S: Final = 0.1


class Turns(Protocol):
    """One account's, for all processes."""

    def take(
        self,
        turn: str,
        *,
        endpoint: str,
        waiter: str,
        priority: int,
        limit: int,
        window_s: float,
        timeout_s: float,
    ) -> int:
        """0: the turn is granted and counts from now on. Else in how many milliseconds it is worth asking again.

        `waiter` keeps its place among those who wait until then, and a little longer. JournalUnavailable: it is not
        known whether it was granted; then it is not used.
        """

    def end(self, turn: str, *, endpoint: str, spent: int | None, window_s: float) -> None:
        """It counts for a window from now on. `spent`: of the limit, by whomever, if the exchange said so."""

    def give_back(self, turn: str, *, endpoint: str) -> None:
        """It was not used."""


class SharedLimiter(Limiter):
    """A `Limiter` that asks for each turn of whoever has a name to wait by."""

    def __init__(
        self,
        clock: ExchangeClock,
        turns: Turns,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(clock, monotonic=monotonic)
        self._turns = turns
        self._sleep = sleep
        self._limits: dict[str, int | None] = {}
        self._is_counted = False

    def acquire(self, endpoint: str, *, priority: Priority, timeout_s: float, waiter: str | None = None) -> Permit:
        limit = self._limits.get(endpoint, CUSTOMARY if self._is_counted else None)
        if waiter is None or limit is None:
            return super().acquire(endpoint, priority=priority, timeout_s=timeout_s)
        turn = uuid.uuid4().hex
        take = partial(
            self._turns.take,
            turn,
            endpoint=endpoint,
            waiter=waiter,
            priority=int(priority),
            limit=limit,
            window_s=WINDOW_S,
        )
        begun_at = self._monotonic()
        while True:
            left_s = timeout_s - (self._monotonic() - begun_at)
            try:
                again_s = self.held_for_s(endpoint) or take(timeout_s=max(_ANSWER_MIN_S, left_s)) / 1000
            except JournalUnavailable as error:
                return Permit(granted=False, why=str(error))
            if again_s <= 0:
                return Permit(granted=True, turn=turn)
            if self._monotonic() - begun_at + again_s > min(timeout_s, PATIENCE_S):
                return Permit(granted=False, retry_at_ms=self._clock.after_ms(max(0.0, again_s - EARLY_S)))
            self._sleep(again_s)

    def done(self, endpoint: str, permit: Permit, *, counted: bool, headers: Mapping[str, str]) -> None:
        if permit.turn is None:
            super().done(endpoint, permit, counted=counted, headers=headers)
        elif counted:
            limit, remaining = reported_by(headers)
            spent = None if limit is None else limit - remaining
            self._turns.end(permit.turn, endpoint=endpoint, spent=spent, window_s=WINDOW_S)
        else:
            self._turns.give_back(permit.turn, endpoint=endpoint)

    def learn(self, endpoint: str, headers: Mapping[str, str], *, refused: bool) -> int | None:
        limit, _ = reported_by(headers)
        self._limits[endpoint] = limit
        self._is_counted = self._is_counted or limit is not None
        return super().learn(endpoint, headers, refused=refused)


def limiter_of(clock: ExchangeClock, turns: Turns | None) -> Limiter:
    """None if this process alone sends for the account, as far as the relay goes."""
    return Limiter(clock) if turns is None else SharedLimiter(clock, turns)
