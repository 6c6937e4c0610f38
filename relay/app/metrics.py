"""What the relay counts and times of itself as it works. Each call costs about a microsecond."""

from __future__ import annotations

import logging
import os
import time
from enum import StrEnum
from pathlib import Path
from typing import Final

from prometheus_client import Counter, Histogram  # noqa: E402 - it needs the folder to be there

from relay.errors import AuthFailed, SettingsInvalid, StrategyUnknown

log = logging.getLogger("relay.steps")

MULTIPROCESS: Final = "PROMETHEUS_MULTIPROC_DIR"

if _folder := os.environ.get(MULTIPROCESS):
    try:
        Path(_folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = f"{MULTIPROCESS}: {_folder} cannot be made ({error.strerror}); it should be a folder that relay may write"
        raise SettingsInvalid([why]) from error

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class TimedStage(StrEnum):
    """A part of the way of an alert."""

    ACCEPT = "accept"
    """From the bytes to the commit, for whatever became of them."""
    WAIT = "wait"
    """From the receipt until the signal's first plan: the lane, a halt of the journal, the clearing of old orders."""
    GATHER = "gather"
    """Reading what the plan needs, and planning."""
    PLACE = "place"
    """One send of an order until its answer or the end of waiting for it."""
    LOOK_UP = "look_up"
    FINISH = "finish"
    """From the receipt until the outcome on one account."""


alerts = Counter("relay_alerts", "Posts to the webhook by what was answered.", ["answer"])
mails = Counter("relay_mails", "Mails with an alert by what was made of them.", ["answer"])
first_orders = Counter("relay_first_orders", "Plans with an order, by whether it left at once or in turn.", ["sent"])
outcomes = Counter("relay_outcomes", "What signals came to, on each account.", ["status", "reason"])
stages = Histogram("relay_stage_seconds", "How long the parts of an alert's way take.", ["stage"], buckets=_SECONDS)
calls = Counter("relay_exchange_calls", "Requests to the exchange by endpoint and retCode.", ["endpoint", "code"])
batched_orders = Counter("relay_batched_orders", "Orders in batches by what was answered of each.", ["code"])
call_seconds = Histogram("relay_exchange_seconds", "Their round trips.", ["endpoint"], buckets=_SECONDS)
limiter_seconds = Histogram("relay_limiter_wait_seconds", "Waiting for the rate limit.", buckets=_SECONDS)
reported = Counter("relay_notices", "Messages to people by service and whether it took them.", ["service", "taken"])

_STAGES: Final = {stage: stages.labels(stage.value) for stage in TimedStage}
"""Looked up once: a label costs more than the observation."""


class timed:  # noqa: N801 - it is used like a function
    """Times what is done inside, whether or not it succeeds, and logs it with what the thread is about.

    Posts that prove nothing are counted and have no line: anybody could fill the disk with them.
    """

    __slots__ = ("_began_at", "_stage")

    def __init__(self, stage: TimedStage) -> None:
        self._stage = stage

    def __enter__(self) -> None:
        self._began_at = time.perf_counter()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        is_logged = kind is None or not issubclass(kind, AuthFailed | StrategyUnknown)
        took(self._stage, time.perf_counter() - self._began_at, is_logged=is_logged)


def took(stage: TimedStage, seconds: float, *, is_logged: bool = False) -> None:
    """For what did not begin and end in one place. Clocks that step may make it negative: that is left out."""
    if seconds >= 0:
        _STAGES[stage].observe(seconds)
    if is_logged:
        log.info(stage.value, extra={"ms": round(seconds * 1000, 1)})


def called(endpoint: str, code: str, seconds: float | None) -> None:
    """A request to the exchange came to `code`: a retCode, or a word where there was none. `seconds`
    is None if it was not sent."""
    calls.labels(endpoint, code).inc()
    if seconds is not None:
        call_seconds.labels(endpoint).observe(seconds)


def process_ended(pid: int) -> None:
    """What a process that has ended was doing at its end is counted no longer; what it has done is."""
    if os.environ.get(MULTIPROCESS):
        from prometheus_client.multiprocess import mark_process_dead

        mark_process_dead(pid)  # type: ignore[no-untyped-call]


def forget_earlier_runs() -> None:
    """Counts begin at zero with each start, as they do in one process; those of workers that live beside it go on."""
    if folder := os.environ.get(MULTIPROCESS):
        for left in Path(folder).glob("*.db"):
            if not _lives(left.stem.rpartition("_")[2]):
                left.unlink(missing_ok=True)


def _lives(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except PermissionError:
        return True
    except (ProcessLookupError, ValueError, OverflowError):
        return False
    return True
