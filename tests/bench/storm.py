"""Strangers' slow bodies and wrong secrets, and the owner's alerts among them: these go on, nothing is left over."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.bench.figures import Figure, figure, percentile
from tests.bench.latency import Sender
from tests.bench.rig import Rig, rig
from tests.bench.watch import Look, look, web_process
from tests.relay_process import ROOT

SECONDS = 20.0
SLOW = 100
CONNECTIONS = 64
RATE = 2000.0
ANSWER_MS_MAX = 1000.0
GROWTH_MB_MAX = 5.0
_QUIET_S = 3.0
_FIRST_S = 20.0
_PAUSE_S = 0.05
_SETTLED_S = 20.0


def storm(folder: Path, seconds: float) -> list[Figure]:
    """A first storm brings every pool to its size; what is measured is what the second one adds to that."""
    with rig(folder) as made:
        pid = web_process(made.relay)
        until = time.monotonic() + _QUIET_S
        quiet = _right_alerts(made, lambda: time.monotonic() < until)
        _amid(made, _FIRST_S)
        before = _calm(pid)
        times, seen = _amid(made, seconds)
        after = _calm(pid)
    return [_answers(times, quiet), _strangers(seen, seconds), *_left(before, after)]


def _amid(made: Rig, seconds: float) -> tuple[list[float], dict[str, int]]:
    """Right alerts from the attack's begin to its end, and what became of the attack."""
    command = [sys.executable, "-m", "tests.bench.attack", "--port", str(made.relay.port), "--seconds", str(seconds)]
    command += ["--slow", str(SLOW), "--connections", str(CONNECTIONS), "--rate", str(RATE)]
    attack = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    times = _right_alerts(made, lambda: attack.poll() is None)
    return times, json.loads(attack.communicate(timeout=60)[0])


_numbers = itertools.count()


def _right_alerts(made: Rig, goes_on: Callable[[], bool]) -> list[float]:
    """Milliseconds until each answer; Sender sees to it that each says accepted."""
    times, sender = [], Sender(made.relay.port)
    while goes_on():
        number = next(_numbers)
        alert: dict[str, Any] = {"action": "heartbeat"}
        if number % 10 == 0:
            alert = {"ticker": "BTCUSDT.P", "action": "buy" if number % 20 else "close", "qty": "0.001"}
        left, answered = sender.send({**alert, "id": f"s{number}"})
        times.append((answered - left) / 1e6)
        time.sleep(_PAUSE_S)
    sender.close()
    return times


def _calm(pid: int) -> Look:
    """Once connections are gone, or after as long as that may take."""
    until, last = time.monotonic() + _SETTLED_S, look(pid)
    while time.monotonic() < until:
        time.sleep(1.5)  # a second and a half without a change is calm
        found = look(pid)
        if found.connections == last.connections:
            return found
        last = found
    return last


def _answers(times: list[float], quiet: list[float]) -> Figure:
    holds = percentile(times, 0.99) < ANSWER_MS_MAX
    note = f"all accepted; p99 under {ANSWER_MS_MAX:g} ms: {holds}"
    return figure("storm: right alert → answered", times, limit="no storm", beside=quiet, note=note)


def _strangers(seen: dict[str, int], seconds: float) -> Figure:
    rate = sum(count for status, count in seen.items() if status.isdigit()) / seconds
    reported = ", ".join(f"{name} {count}" for name, count in sorted(seen.items()))
    note = f"of {RATE:g}/s offered; {reported}"
    return Figure(case="storm: wrong secrets refused", median=rate, p99=rate, unit="1/s", count=1, note=note)


def _left(before: Look, after: Look) -> list[Figure]:
    """What the storm left behind."""
    grown = after.resident_mb - before.resident_mb
    change = f"{before.resident_mb:.1f} → {after.resident_mb:.1f}"
    found = [
        Figure(
            case="storm: resident memory, growth",
            median=grown,
            p99=grown,
            unit="MB",
            count=1,
            note=f"{change}; at most {GROWTH_MB_MAX:g}: {grown <= GROWTH_MB_MAX}",
        )
    ]
    for name in ("threads", "descriptors", "connections"):
        first, last = getattr(before, name), getattr(after, name)
        note = f"{first} → {last}; none left behind: {last <= first}"
        found.append(
            Figure(case=f"storm: {name}", median=last - first, p99=last - first, unit="more", count=1, note=note)
        )
    return found
