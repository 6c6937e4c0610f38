"""`Prefer: wait=SECONDS`: hold the answer back until the signal has come to its end, or the time is up."""

from __future__ import annotations

import re
import threading
import time
from typing import Any, Final

from relay.errors import JournalUnavailable
from relay.journal.api_queries import status_of
from relay.wiring_parts import Parts

WAIT_MAX_S: Final = 10
WAITERS_MAX: Final = 32
"""A quarter of the server's threads: whoever does not ask to wait always finds one."""

LOOK_S: Final = 0.05

_WAIT = re.compile(r'(?:^|[,;])\s*wait\s*=\s*"?([0-9]{1,9})', re.IGNORECASE)


def wait_asked_s(prefer: str | None) -> int:
    """The seconds that a `Prefer` header asks for, at most 10; 0: none. Source: RFC 7240, section 4.3."""
    found = _WAIT.search(prefer) if prefer else None
    return min(int(found[1]), WAIT_MAX_S) if found else 0


class Waiting:
    """Lets a bounded number of requests wait for their signals."""

    def __init__(self, *, at_once_max: int = WAITERS_MAX) -> None:
        self._places = threading.BoundedSemaphore(at_once_max)

    def outcome(self, parts: Parts, signal_id: str, *, wait_s: float) -> dict[str, Any] | None:
        """The finished signal in full; None: it is not finished yet, or too many wait already."""
        if wait_s <= 0 or not self._places.acquire(blocking=False):
            return None
        try:
            return _outcome(parts, signal_id, wait_s)
        except JournalUnavailable:
            # What was accepted stays accepted: only what became of it cannot be told now.
            return None
        finally:
            self._places.release()


def _outcome(parts: Parts, signal_id: str, wait_s: float) -> dict[str, Any] | None:
    announcer, until = parts.announcer, time.monotonic() + wait_s
    # What another process executes is not announced in this one.
    look_s = wait_s if parts.engine.is_alone else LOOK_S
    while True:
        news = announcer.expect(signal_id)
        try:
            status = status_of(parts.journal.store, signal_id)
            if status is None or status.is_finished:
                return parts.journal.signal(signal_id)
            # One account's news is not yet the end of a signal on several, so it is looked at again.
            left_s = max(0.0, until - time.monotonic())
            if announcer.is_released or not (news.wait(min(left_s, look_s)) or left_s > look_s):
                return None
        finally:
            announcer.forget(signal_id, news)
