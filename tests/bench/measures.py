"""What must hold, as ratios in one run: beside a bare client, an empty view, and another checkout's relay."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from tests.bench import journals
from tests.bench.against import processor_ns
from tests.bench.figures import Figure, figure, percentile
from tests.bench.latency import BARE, Sender, at_once, bare_order, kinds, ms_between, post_together
from tests.bench.rate import CONNECTIONS, accepts
from tests.bench.rig import SYMBOLS, Rig, rig
from tests.bench.scale import place
from tests.bench.watch import look, web_process
from tests.relay_process import ROOT

_PACE_S = 0.12
_RUNS, _PACED = 3, 340
_ROUND_TRIP_MS = 100.0
_BURST, _BURSTS = 50, 6
_QUIET_S = 1.0
"""By then a burst has come to its end."""
_BACK_TO_BACK, _ROUNDS = 200, 3
_FLOOD = 1_500


def measures(folder: Path, other: Path, *, one_core: bool) -> list[Figure]:
    """`other`: the checkout that is measured beside this one. `one_core`: this one's relay keeps to one core."""
    keeps: Callable[[Rig], None] = _keep_to_one_core if one_core else lambda made: None
    parts: tuple[Callable[[], list[Figure]], ...] = (
        lambda: _lone(folder / "lone", keeps),
        lambda: _bursts(folder / "bursts", other, keeps),
        lambda: _back_to_back(folder / "back-to-back", other, keeps),
        lambda: [_must(each, "ratio ≥", each.ratio, 0.45) for each in accepts(folder / "accepts", 15, keeps)],
        lambda: _limited(folder / "limited", keeps),
        lambda: _postgres(folder / "postgres"),
        lambda: _memory(folder / "memory", keeps),
        lambda: _starts(folder / "start"),
    )
    found: list[Figure] = []
    for part in parts:
        begun = time.monotonic()
        found += part()
        sys.stderr.write(f"{found[-1].case}: {time.monotonic() - begun:.0f} s\n")  # it takes ten minutes
    return found


def _must(found: Figure, what: str, value: float | None, bound: float) -> Figure:
    assert value is not None, f"{found.case} was measured beside nothing"
    holds = value >= bound if "≥" in what else value <= bound
    said = f"{what} {bound:g}: {'holds' if holds else 'MISSED'} ({value:.2f})"
    return replace(found, note=f"{said}; {found.note}" if found.note else said)


def _keep_to_one_core(made: Rig) -> None:
    """As `taskset -c` does it: the threads that it has, and with them those that they start."""
    core = max(os.sched_getaffinity(0))
    for pid in made.relay.pids():
        for thread in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), {core})


@contextmanager
def _two(folder: Path, other: Path, keeps: Callable[[Rig], None], round_trip_ms: float = 0) -> Iterator[list[Rig]]:
    """This checkout's relay and the other's, each at an exchange of its own."""
    with (
        rig(folder / "ours", round_trip_ms=round_trip_ms) as ours,
        rig(folder / "theirs", round_trip_ms=round_trip_ms, PYTHONPATH=str(other)) as theirs,
    ):
        keeps(ours)
        yield [ours, theirs]


def _lone(folder: Path, keeps: Callable[[Rig], None]) -> list[Figure]:
    """Alerts and a bare client's orders in turns, each paced alike; then the other kinds of alert."""
    ours, bare = list[float](), list[float]()
    for run in range(_RUNS):
        with rig(folder / str(run)) as made:
            keeps(made)
            alerts, orders = _paced(made, _PACED)
            ours += alerts
            bare += orders
    lone = figure("lone warm alert → order, paced 120 ms", ours, limit=BARE, beside=bare)
    tail, beside = percentile(ours, 0.99), percentile(bare, 0.99)
    p99 = Figure(case="its p99", median=tail, p99=tail, limit=f"{BARE}'s", limit_median=beside, count=len(ours))
    found = [_must(lone, "ratio ≤", lone.ratio, 3.1), _must(p99, "ratio ≤", p99.ratio, 4)]
    for each in kinds(folder / "kinds", round_trip_ms=0, count=20, prepare=keeps):
        paced = replace(each, limit=f"{BARE}, paced", limit_median=lone.limit_median)
        if not each.case.startswith("buy"):
            found.append(_must(paced, "ratio ≤", paced.ratio, 4.2))
    return found


def _paced(made: Rig, count: int) -> tuple[list[float], list[float]]:
    """Milliseconds from leaving to arrival. The exchange is asked once all is over: to look would be in the way."""
    sender, session, left = Sender(made.relay.port), made.paper.session(), list[int]()
    due = time.monotonic()
    for number in range(count):
        alert = {"ticker": "BTCUSDT.P", "action": "buy", "qty": "0.001", "id": f"p{number}"}
        sends: tuple[Callable[[], int], ...] = (partial(_sent, sender, alert), partial(bare_order, session))
        for send in sends:
            time.sleep(max(0.0, due - time.monotonic()))
            left.append(send())
            due = max(due + _PACE_S / 2, time.monotonic())
    took = [ms_between(at, since) for at, since in zip(made.arrivals(2 * count), left, strict=True)]
    sender.close()
    return took[::2], took[1::2]


def _sent(sender: Sender, alert: dict[str, str]) -> int:
    return sender.send(alert)[0]


def _bursts(folder: Path, other: Path, keeps: Callable[[Rig], None]) -> list[Figure]:
    """All three in turns; what the first burst of each takes does not count. A bare client's come from 50 threads."""
    way_ms = _ROUND_TRIP_MS / 2
    found: list[dict[str, list[float]]] = [{}, {}]
    bare_rig, bare = Rig(folder / "bare", round_trip_ms=_ROUND_TRIP_MS), list[float]()
    try:
        with _two(folder, other, keeps, _ROUND_TRIP_MS) as sides:
            sessions = [bare_rig.paper.session() for _ in range(_BURST)]
            for session in sessions:
                session.endpoint = bare_rig.url
            for number in range(_BURSTS):
                last = _together(bare_rig, [partial(bare_order, each) for each in sessions])
                bare += [last - way_ms] if number else []
                for made, values in zip(sides, found, strict=True):
                    measured = _burst(made, number)
                    for name, value in measured.items() if number else ():
                        values.setdefault(name, []).append(value)
    finally:
        bare_rig.close()
    where, theirs = f"{_BURST} at once on {_BURST} symbols at {_ROUND_TRIP_MS:g} ms", f"the one in {other.name}"
    less = [each - way_ms for each in found[0]["last order"]]
    rows = [_must_ratio(f"{where} → last order, less the way", less, "50 bare sessions", bare, 2.6)]
    for name, bound in (("first order", 0.4), ("last answer", 0.8), ("processor an alert", 0.65), ("last order", None)):
        if bound is None:
            rows.append(figure(f"{where} → {name}", found[0][name], limit=theirs, beside=found[1][name]))
        else:
            rows.append(_must_ratio(f"{where} → {name}", found[0][name], theirs, found[1][name], bound))
    return rows


def _must_ratio(case: str, values: list[float], limit: str, beside: list[float], bound: float) -> Figure:
    made = figure(case, values, limit=limit, beside=beside)
    return _must(made, "ratio ≤", made.ratio, bound)


def _together(made: Rig, sends: list[Callable[[], int]]) -> float:
    """Milliseconds from the first one's leaving to the last one's arrival."""
    gate, left = threading.Barrier(len(sends)), list[int]()

    def send(each: Callable[[], int]) -> None:
        gate.wait()
        left.append(each())

    threads = [threading.Thread(target=send, args=(each,)) for each in sends]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return ms_between(made.arrivals(len(sends))[-1], min(left))


def _burst(made: Rig, number: int) -> dict[str, float]:
    senders = [Sender(made.relay.port) for _ in range(_BURST)]
    before_ns = processor_ns(made)
    times = post_together(senders, _BURST, number)
    time.sleep(_QUIET_S)
    spent_ms = (processor_ns(made) - before_ns) / 1e6
    begun, arrived = min(left for left, _ in times), made.arrivals(_BURST)
    for sender in senders:
        sender.close()
    return {
        "first order": ms_between(arrived[0], begun),
        "last order": ms_between(arrived[-1], begun),
        "last answer": ms_between(max(at for _, at in times), begun),
        "processor an alert": spent_ms / _BURST,
    }


def _back_to_back(folder: Path, other: Path, keeps: Callable[[Rig], None]) -> list[Figure]:
    rates: list[list[float]] = [[], []]
    with _two(folder, other, keeps) as sides:
        for number in range(_ROUNDS):
            for made, found in zip(sides, rates, strict=True):
                sender = Sender(made.relay.port)
                alerts = [
                    {"ticker": "BTCUSDT.P", "action": "buy", "qty": "0.001", "id": f"b{number}-{each}"}
                    for each in range(_BACK_TO_BACK)
                ]
                begun = time.time_ns()
                for alert in alerts:
                    sender.send(alert)
                found.append(_BACK_TO_BACK * 1000 / ms_between(made.arrivals(_BACK_TO_BACK)[-1], begun))
                sender.close()
    case = f"{_BACK_TO_BACK} back to back on one symbol: orders a second"
    made_of = figure(case, rates[0], limit=f"the one in {other.name}", beside=rates[1], unit="1/s")
    return [_must(made_of, "ratio ≥", made_of.ratio, 2)]


def _limited(folder: Path, keeps: Callable[[Rig], None]) -> list[Figure]:
    last = at_once(folder, count=30, symbols=50, round_trip_ms=0, limiter=True, prepare=keeps)[0]
    return [_must(last, "ms ≤", last.median, 1200)]


def _postgres(folder: Path) -> list[Figure]:
    """In turns with the embedded one."""
    ours, embedded = list[float](), list[float]()
    with (
        journals.durable_server() as server,
        place(folder / "processes", server.migrated(), webs=1, workers=1) as made,
        rig(folder / "embedded") as beside,
    ):
        sender = Sender(beside.relay.port)
        for number in range(150):
            ours.append(made.lone())
            left, _ = sender.send({"ticker": "BTCUSDT.P", "action": "buy", "qty": "0.001", "id": f"e{number}"})
            time.sleep(_PACE_S / 2)
            embedded.append(ms_between(beside.arrivals(1)[0], left))
        sender.close()
    found = figure("lone alert on Postgres, web and worker", ours, limit="embedded", beside=embedded)
    return [_must(found, "more ms ≤", found.median - percentile(embedded, 0.5), 4)]


def _memory(folder: Path, keeps: Callable[[Rig], None]) -> list[Figure]:
    """Resident, of the process that takes alerts and executes them."""
    with rig(folder) as made:
        keeps(made)
        time.sleep(3 * _QUIET_S)
        pid = web_process(made.relay)
        rest = look(pid).resident_mb
        for number in range(20):
            _burst(made, number)
        _flood(made)
        made.arrivals(_FLOOD, deadline_s=120)
        time.sleep(3 * _QUIET_S)
        after = look(pid).resident_mb
    return [
        _must(figure("resident memory at rest", [rest], unit="MB"), "MB ≤", rest, 80),
        _must(
            figure(f"the same after 1,000 in bursts and {_FLOOD:,} in a flood", [after], unit="MB"), "MB ≤", after, 130
        ),
    ]


def _flood(made: Rig) -> None:
    def pour(first: int) -> None:
        sender = Sender(made.relay.port)
        for number in range(first, _FLOOD, CONNECTIONS):
            ticker = f"{SYMBOLS[number % len(SYMBOLS)]}.P"
            sender.send({"ticker": ticker, "action": "buy", "qty": "1", "id": f"f{number}"})
        sender.close()

    threads = [threading.Thread(target=pour, args=(first,)) for first in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _starts(folder: Path) -> list[Figure]:
    """Of `serve`, each in a new folder, and of commands beside the last of them."""
    ready, commands = list[float](), dict[str, list[float]]()
    for number in range(5):
        made = Rig(folder / str(number))
        try:
            begun = time.monotonic()
            made.start()
            ready.append((time.monotonic() - begun) * 1000)
            for words in ("--help", "signals", "alert"):
                begun = time.monotonic()
                command = [sys.executable, "-m", "relay", words]
                subprocess.run(command, cwd=ROOT, env=made.relay.environment, check=True, capture_output=True)
                commands.setdefault(f"relay {words}", []).append((time.monotonic() - begun) * 1000)
        finally:
            made.close()
    found = [_must(figure("serve → ready", ready), "ms ≤", percentile(ready, 0.5), 1200)]
    for name, values in commands.items():
        found.append(_must(figure(name, values), "ms ≤", percentile(values, 0.5), 350))
    return found
