"""This checkout's relay beside another checkout's, in turns, each at an exchange of its own."""

from __future__ import annotations

import time
from pathlib import Path

from tests.bench.figures import Figure, figure, percentile
from tests.bench.latency import Sender, ms_between
from tests.bench.rate import pressure
from tests.bench.rig import Rig, rig

_BLOCK = 20
"""Alerts in a row at one of them."""
_PRESSED_S = 5.0
UNITS = {
    "lone warm alert → order": "ms",
    "lone warm alert → answered": "ms",
    "processor a lone alert": "ms",
    "durable accepts": "1/s",
    "processor an accept": "ms",
}
Found = dict[str, list[float]]


def against(folder: Path, other: Path, count: int, seconds: float) -> list[Figure]:
    """Lone alerts and what of the processor they cost; then accepts, and what they cost."""
    found: tuple[Found, Found] = ({name: [] for name in UNITS}, {name: [] for name in UNITS})
    with rig(folder / "ours") as ours, rig(folder / "theirs", PYTHONPATH=str(other)) as theirs:
        sides = [(ours, found[0]), (theirs, found[1])]
        for number in range(max(1, count // _BLOCK)):
            for made, values in sides[:: 1 if number % 2 else -1]:
                _lone(made, values, f"b{number}")
        for number in range(max(1, int(seconds // (2 * _PRESSED_S)))):
            for made, values in sides[:: 1 if number % 2 else -1]:
                _press(made, values, f"p{number}")
    limit = f"the one in {other.name}"
    return [
        figure(
            *(name, found[0][name]),
            limit=limit,
            beside=found[1][name],
            unit=unit,
            note=f"its p99 {percentile(found[1][name], 0.99):.2f}",
        )
        for name, unit in UNITS.items()
    ]


def _lone(made: Rig, values: Found, block: str) -> None:
    sender, before_ns = Sender(made.relay.port), processor_ns(made)
    for number in range(_BLOCK):
        left, acknowledged = sender.send(
            {"ticker": "BTCUSDT.P", "action": "buy", "qty": "0.001", "id": f"{block}-{number}"}
        )
        values["lone warm alert → order"].append(ms_between(made.arrivals(1)[0], left))
        values["lone warm alert → answered"].append(ms_between(acknowledged, left))
        time.sleep(0.02)
    values["processor a lone alert"].append((processor_ns(made) - before_ns) / 1e6 / _BLOCK)
    sender.close()


def _press(made: Rig, values: Found, name: str) -> None:
    before_ns = processor_ns(made)
    rate, times = pressure(made.relay.port, _PRESSED_S, name)
    values["durable accepts"].append(rate)
    values["processor an accept"].append((processor_ns(made) - before_ns) / 1e6 / len(times))


def processor_ns(made: Rig) -> int:
    """What all of the relay's processes have had of the processor: Linux has a clock for each of them."""
    return sum(time.clock_gettime_ns((~pid << 3) | 2) for pid in made.relay.pids())
