"""What one process holds: memory, threads, descriptors, connections. On Linux."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
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


class CpuMeter:
    """How long processes, and those that they have started, have kept a core busy."""

    def __init__(self, roots: Mapping[str, Sequence[int]]) -> None:
        """`roots`: of each part, the processes whose descendants belong to it, too."""
        self._roots = roots
        self._before = self._now()

    def spent_ms(self) -> dict[str, float]:
        """Of each part, since the beginning."""
        now = self._now()
        return {
            part: sum(spent - self._before[part].get(pid, 0) for pid, spent in of_part.items())
            for part, of_part in now.items()
        }

    def _now(self) -> dict[str, dict[int, float]]:
        parents, spent = {}, {}
        for each in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # it may end in the meantime
                stat = (each / "stat").read_text().rpartition(")")[2].split()
                parents[int(each.name)] = int(stat[1])
                spent[int(each.name)] = (int(stat[11]) + int(stat[12])) * 1000 / os.sysconf("SC_CLK_TCK")
        return {
            part: {pid: spent[pid] for pid in spent if _descends(pid, roots, parents)}
            for part, roots in self._roots.items()
        }


def _descends(pid: int, roots: Sequence[int], parents: Mapping[int, int]) -> bool:
    while pid not in roots and pid in parents:
        pid = parents[pid]
    return pid in roots


def slope(pairs: Sequence[tuple[float, float]]) -> float:
    """Of the straight line nearest to the points (least squares)."""
    middle_x = sum(x for x, _ in pairs) / len(pairs)
    middle_y = sum(y for _, y in pairs) / len(pairs)
    spread = sum((x - middle_x) ** 2 for x, _ in pairs)
    return sum((x - middle_x) * (y - middle_y) for x, y in pairs) / spread if spread else 0.0
