"""This machine's address, as the exchange sees it: one for all accounts.

Source: V5 documentation, "Rate Limit Rules": 600 requests in 5 s per address; past it HTTP 403, "access too frequent",
and then all sending must stop for ten minutes. The same 403 answers addresses in the US and in mainland China
("Integration Guidance"), and requests that a filter on the way disliked.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from enum import StrEnum

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
    UNTOLD = "untold"
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

    def judge(self, body: str) -> Forbidden:
        """What a 403 with this body means; a ban begins with it."""
        words = body.lower()
        with self._lock:
            if any(word in words for word in _BAN_WORDS) or self._sent_much():
                self._banned_until = self._monotonic() + BAN_S
                return Forbidden.BANNED
        if any(word in words for word in _REGION_WORDS) or not self._was_served:
            return Forbidden.REGION
        return Forbidden.UNTOLD

    def _sent_much(self) -> bool:
        return len(self._sent_at) == SUSPECT and self._sent_at[0] > self._monotonic() - SPAN_S
