"""What one process holds: memory, threads, descriptors, connections. On Linux."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.relay_process import RelayProcess


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One look at a process."""

    at_s: float
    resident_mb: float
    threads: int
    descriptors: int
    connections: int


@dataclass(slots=True)
class Watch:
    """Looks at a process, one every `every_s` seconds."""

    pid: int
    looks: list[Look] = field(default_factory=list)

    def take(self) -> Look:
        found = look(self.pid)
        self.looks.append(found)
        return found

    def after(self, share: float) -> list[Look]:
        """Those after the warm-up, which is the first `share` of the time."""
        begun, ended = self.looks[0].at_s, self.looks[-1].at_s
        return [each for each in self.looks if each.at_s >= begun + share * (ended - begun)]


def look(pid: int) -> Look:
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    held = _descriptors(pid)
    return Look(
        at_s=time.monotonic(),
        resident_mb=int(status["VmRSS"].split()[0]) / 1024,
        threads=int(status["Threads"]),
        descriptors=len(held),
        connections=sum(each.startswith("socket:") for each in held),
    )


def _descriptors(pid: int) -> list[str]:
    held = []
    for each in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):  # it may be closed in the meantime
            held.append(os.readlink(each))
    return held


def web_process(relay: RelayProcess) -> int:
    """The one that takes alerts and, embedded, executes them: gunicorn's worker, the child with the most threads."""
    beside = [pid for pid in relay.pids() if pid != relay.process.pid]
    return max(beside, key=lambda pid: look(pid).threads)


@contextlib.contextmanager
def watching(pid: int, every_s: float) -> Iterator[Watch]:
    """Looks on while what is inside is done."""
    watch, over = Watch(pid), threading.Event()
    watch.take()

    def go_on() -> None:
        while not over.wait(every_s):
            watch.take()

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield watch
    finally:
        over.set()
        thread.join()


def slope(pairs: Sequence[tuple[float, float]]) -> float:
    """Of the straight line nearest to the points (least squares)."""
    middle_x = sum(x for x, _ in pairs) / len(pairs)
    middle_y = sum(y for _, y in pairs) / len(pairs)
    spread = sum((x - middle_x) ** 2 for x, _ in pairs)
    return sum((x - middle_x) * (y - middle_y) for x, y in pairs) / spread if spread else 0.0
