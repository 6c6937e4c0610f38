"""What one process does for all of them, now and then."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Final

from relay.journal.retention import Retention
from relay.pipeline.clock import to_ms, utc_now
from relay.pipeline.heartbeat import Heartbeats
from relay.wiring_engine import Execution

log = logging.getLogger(__name__)

FORGET_S: Final = 60.0


def chores_of(engine: Execution, heartbeats: Heartbeats, retention: Retention) -> dict[str, Callable[[], object]]:
    """By what it is."""
    due_at = time.monotonic()

    def forget() -> None:
        nonlocal due_at
        if engine.is_first and time.monotonic() >= due_at:
            due_at = time.monotonic() + FORGET_S
            engine.tidy()
            if forgotten := retention.prune(to_ms(utc_now())):
                log.info("%d old signals forgotten", forgotten)

    return {"heartbeats": lambda: heartbeats.check() if engine.is_first else None, "what is old": forget}
