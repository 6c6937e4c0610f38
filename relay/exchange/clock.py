"""The exchange's clock, as far as it can be told from here."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

SAMPLES = 3


class ExchangeClock:
    """Unix milliseconds as the exchange counts them. Thread-safe.

    Runs on the monotonic clock between two measurements, so that a step of the local clock changes nothing of what is
    signed. Before the first measurement it says what the local clock said when it was made. The owner measures at the
    start and every minute.
    """

    def __init__(
        self,
        *,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`wall`: Unix seconds; `monotonic`: seconds that never step."""
        self._wall = wall
        self._monotonic = monotonic
        self._measuring = threading.Lock()
        self._ahead_s = wall() - monotonic()
        """What must be added to the monotonic clock. One float, replaced whole: readers need no lock."""

    def now_ms(self) -> int:
        return int((self._monotonic() + self._ahead_s) * 1000)

    def after_ms(self, seconds: float) -> int:
        """The exchange's time `seconds` from now."""
        return int((self._monotonic() + seconds + self._ahead_s) * 1000)

    def seconds_until(self, at_ms: int) -> float:
        """How long until the exchange's clock shows `at_ms`; negative when it has passed."""
        return at_ms / 1000 - self._monotonic() - self._ahead_s

    @property
    def offset_ms(self) -> int:
        """How far the exchange's clock is ahead of the local one."""
        return round((self._monotonic() + self._ahead_s - self._wall()) * 1000)

    def measure(self, ask: Callable[[], int], *, samples: int = SAMPLES) -> int:
        """Ask for the exchange's time (Unix milliseconds) and return the new offset.

        The answer is taken to have been true half a round trip before it arrived; of several samples the quickest
        counts, since it leaves the least room for error. What `ask` raises passes through and changes nothing.
        """
        with self._measuring:
            _, self._ahead_s = min(self._sample(ask) for _ in range(samples))
        return self.offset_ms

    def _sample(self, ask: Callable[[], int]) -> tuple[float, float]:
        began = self._monotonic()
        server_ms = ask()
        took = self._monotonic() - began
        return took, server_ms / 1000 - (began + took / 2)
