"""Keeps this process to one core for as long as that core is its own.

Python's lock lets one thread run at a time. On several cores each pause of the thread that has it wakes another one on
another core, which finds the lock taken again and sleeps: some eighty changes of threads for an alert of a burst, and a
third of the processor. On one core that other one has to wait anyway. Beside a busy neighbour one core is half a core,
so it is left as soon as there is such a one. Who is busy where is told by `/proc/stat`, on Linux.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

LOOK_S: Final = 1.0
OTHERS_MOST: Final = 0.4
"""The share of a core that others may have."""
ROOM_LEAST: Final = 0.25
"""Of all cores together, in cores."""
CROWDED_LOOKS: Final = 2
"""In a row: a moment's crowd is what the relay's own work makes others do."""
AGAIN_S: Final = (10.0, 160.0)
"""So long after its core was left none is kept to: at first, and at most. Each time it is twice as long as the time
before, for a neighbour that rests now and then has not gone."""
_STAT: Final = Path("/proc/stat")
_IDLE: Final = slice(3, 5)
"""Of a core's times: `idle` and `iowait`. Source: proc_stat(5)."""

Core = int


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """Of the processor, so far, in seconds. `at_s`: on the monotonic clock. `own_s`: by this process."""

    at_s: float
    own_s: float
    by_core: Mapping[Core, float]

    def shares_since(self, before: Used) -> dict[Core, float]:
        """What was used of each core since then."""
        passed_s = max(self.at_s - before.at_s, 0.001)
        return {
            core: (used_s - before.by_core[core]) / passed_s
            for core, used_s in self.by_core.items()
            if core in before.by_core
        }


def used_now(now_s: float) -> Used | None:
    """None where the system does not tell."""
    try:
        rows = [line.split() for line in _STAT.read_text().splitlines() if line.startswith("cpu")]
        ticks = {int(name[3:]): [int(each) for each in times[:8]] for name, *times in rows if name != "cpu"}
    except (OSError, ValueError):
        return None
    a_second = os.sysconf("SC_CLK_TCK")
    by_core = {core: (sum(times) - sum(times[_IDLE])) / a_second for core, times in ticks.items()}
    return Used(at_s=now_s, own_s=time.process_time(), by_core=by_core)


class OneCore:
    """One thread tells it the time now and then. Where the cores were chosen by somebody, they stay as they are."""

    def __init__(self, used: Callable[[float], Used | None] = used_now) -> None:
        self._used = used
        self._cores = _cores()
        self._core: Core | None = None
        self._due_at = self._not_before = 0.0
        self._again_s, self._again_most_s = AGAIN_S
        self._crowded = 0
        self._before: Used | None = None

    def look(self, now_s: float) -> None:
        """`now_s`: on the monotonic clock."""
        if now_s < self._due_at or not self._cores:
            return
        self._due_at = now_s + LOOK_S
        before, self._before = self._before, self._used(now_s)
        if before is None or self._before is None:
            return
        own = (self._before.own_s - before.own_s) / max(now_s - before.at_s, 0.001)
        shares = {core: share for core, share in self._before.shares_since(before).items() if core in self._cores}
        if not shares:
            return
        core = min(shares, key=shares.__getitem__) if self._core is None else self._core
        self._crowded = self._crowded + 1 if self._is_crowded(shares, core, own) else 0
        if self._core is not None and self._crowded >= CROWDED_LOOKS:
            self._core, self._not_before = None, now_s + self._again_s
            self._again_s = min(2 * self._again_s, self._again_most_s)
            _keep_to(self._cores)
        elif self._core is None and not self._crowded and now_s >= self._not_before:
            self._core = core
            _keep_to({core})

    def _is_crowded(self, shares: Mapping[Core, float], core: Core, own: float) -> bool:
        """Whether others have much of the core, and there is no room for them elsewhere: else the system moves them."""
        free = sum(1 - share for share in shares.values())
        return shares.get(core, 1.0) - own > OTHERS_MOST and free < ROOM_LEAST


def _cores() -> frozenset[Core]:
    """All there are; none where there is but one, where somebody has chosen some, or where nothing can be chosen."""
    if not hasattr(os, "sched_getaffinity"):
        return frozenset()
    cores = frozenset(os.sched_getaffinity(0))
    return cores if 1 < len(cores) == os.cpu_count() else frozenset()


def _keep_to(cores: frozenset[Core] | set[Core]) -> None:
    """All of this process's threads, and with them those that they start."""
    for thread in Path("/proc/self/task").iterdir():
        with suppress(OSError):
            os.sched_setaffinity(int(thread.name), cores)
