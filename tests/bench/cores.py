"""What it is worth that a process stays on one core: the same relay, on one core and on all, in turns."""

from __future__ import annotations

import os
from pathlib import Path

from tests.bench.figures import Figure, figure, percentile
from tests.bench.rate import pressure
from tests.bench.rig import rig
from tests.bench.watch import web_process

_ROUNDS = 4


def cores(folder: Path, seconds: float) -> list[Figure]:
    """Durable accepts a second from 16 connections."""
    alone, everywhere = {min(os.sched_getaffinity(0))}, os.sched_getaffinity(0)
    rates: dict[bool, list[float]] = {True: [], False: []}
    answers: list[float] = []
    with rig(folder) as made:
        pid = web_process(made.relay)
        for number in range(2 * _ROUNDS):
            is_alone = number % 2 == 0
            for thread in Path(f"/proc/{pid}/task").iterdir():
                os.sched_setaffinity(int(thread.name), alone if is_alone else everywhere)
            rate, times = pressure(made.relay.port, seconds / _ROUNDS / 2, f"c{number}")
            rates[is_alone].append(rate)
            answers += times if is_alone else []
    note = f"answer p99 {percentile(answers, 0.99):.1f} ms"
    case = "durable accepts, on one core"
    return [figure(case, rates[True], limit="on all", beside=rates[False], unit="1/s", note=note)]
