"""Postgres: more processes, a longer journal, more lanes. What grows with each, beside the least of it."""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench import journals
from tests.bench.figures import Figure, figure, percentile, table
from tests.bench.latency import BARE, Sender, bare_order, ms_between
from tests.bench.rate import pressure
from tests.bench.rig import arrivals, empty_view
from tests.bench.watch import CpuMeter
from tests.bench.wide import CONTRACTS
from tests.fleet import Fleet, running_fleet
from tests.paper_server import PaperServer
from tests.postgres import Server

ROWS_LEAST = 1_000
LANES = (1, 100, 10_000)
_PROCESSES = ((1, 1), (1, 2), (2, 1), (2, 2))
_WARM_UP = 30
_SETTLED_S = 0.06
"""A lone alert's order has arrived by then, mostly: to look earlier would be to stand in its way."""
_BURST = 160
_BURST_SYMBOLS = 32
_POSTERS = 16
_PRESS_S = 2.0
_DRAIN_S = 8.0
_ACCOUNTS = tuple(f"account{number}" for number in range(5))
_ENVIRONMENT = {"BYBIT_RECV_WINDOW": "5000"}


@dataclass(frozen=True, slots=True)
class Place:
    """Web and worker processes on one journal, with an exchange of their own."""

    fleet: Fleet
    paper: PaperServer
    sender: Sender
    names: Iterator[str]

    def lone(self) -> float:
        """One warm alert: milliseconds until its order is at the exchange."""
        left, _ = self.sender.send(self.buy())
        time.sleep(_SETTLED_S)
        return ms_between(arrivals(self.paper, 1, self.fleet.web)[0], left)

    def buy(self, symbol: str = "L0USDT") -> dict[str, Any]:
        return {"ticker": f"{symbol}.P", "action": "buy", "qty": "0.001", "id": next(self.names)}

    def press(self, seconds: float) -> tuple[float, float]:
        """Accepts a second, and the answers' 99th percentile in milliseconds."""
        rate, times = pressure(self.fleet.web.port, seconds, next(self.names))
        return rate, percentile(times, 0.99)

    def burst(self) -> float:
        """Orders a second, from the first alert's leaving to the last order's arrival."""
        alerts = [self.buy(f"L{number % _BURST_SYMBOLS}USDT") for number in range(_BURST)]
        begun = time.time_ns()
        with ThreadPoolExecutor(_POSTERS) as threads:
            list(threads.map(self._post_all, [alerts[first::_POSTERS] for first in range(_POSTERS)]))
        arrived = arrivals(self.paper, _BURST, self.fleet.web, deadline_s=120)
        return _BURST * 1000 / ms_between(arrived[-1], begun)

    def _post_all(self, alerts: Sequence[dict[str, Any]]) -> None:
        sender = Sender(self.fleet.web.port)
        for alert in alerts:
            sender.send(alert)
        sender.close()


def scale(folder: Path, *, rows: int, seconds: float, count: int) -> list[Figure]:
    """All of it. `seconds`: how long accepts are pressed; `count`: how many lone alerts of each kind."""
    found: list[Figure] = []
    with journals.durable_server() as server:
        parts: tuple[Callable[[], list[Figure]], ...] = (
            lambda: processes(folder, server, seconds, count),
            lambda: lanes(folder, server, seconds, count),
            lambda: backlog(folder, server),
            lambda: history(folder, server, [ROWS_LEAST, rows // 10, rows], seconds, count),
        )
        for part in parts:
            made = part()
            sys.stderr.write(f"{table(made)}\n")  # it is a long run
            found += made
    return found


def processes(folder: Path, server: Server, seconds: float, count: int) -> list[Figure]:
    """Each number of web and worker processes, beside the limits of this machine."""
    found = []
    for webs, workers in _PROCESSES:
        here = folder / f"processes-{webs}-{workers}"
        name = f"{webs} web, {workers} worker"
        with (
            empty_view(here / "empty") as empty,
            place(here, server.migrated(), webs=webs, workers=workers) as made,
        ):
            found += [
                _accepts(name, made, empty.port, seconds),
                _lone(name, made, count),
                _orders(name, made, journals.postmaster(server)),
            ]
    return found


def _accepts(name: str, made: Place, empty_port: int, seconds: float) -> Figure:
    rates, empty_rates, answers = [], [], []
    rounds = max(1, int(seconds // (2 * _PRESS_S)))
    for number in range(rounds):
        rate, answer_ms = made.press(seconds / rounds / 2)
        rates.append(rate)
        answers.append(answer_ms)
        empty_rates.append(pressure(empty_port, seconds / rounds / 2, f"empty {number}")[0])
    note = f"answer p99 {percentile(answers, 0.5):.0f} ms"
    return figure(f"{name}: accepts", rates, limit="empty view", beside=empty_rates, unit="1/s", note=note)


def _lone(name: str, made: Place, count: int) -> Figure:
    session, ours, theirs = made.paper.session(), [], []
    for _ in range(count):
        ours.append(made.lone())
        left = bare_order(session)
        theirs.append(ms_between(arrivals(made.paper, 1, made.fleet.web)[0], left))
    return figure(f"{name}: lone warm alert → order", ours, limit=BARE, beside=theirs)


def _orders(name: str, made: Place, postmaster: int) -> Figure:
    """The note says what an order costs: so many milliseconds of a core in each kind of process."""
    made.burst()
    roots = {"web": [made.fleet.web.process.pid], "database": [postmaster]}
    meter = CpuMeter(roots | {"worker": [each.process.pid for each in made.fleet.workers]})
    rates = [made.burst() for _ in range(3)]
    spent = meter.spent_ms()
    note = ", ".join(f"{part} {spent[part] / len(rates) / _BURST:.1f} ms" for part in ("web", "worker", "database"))
    return figure(f"{name}: orders, {_BURST} at once on {_BURST_SYMBOLS} lanes", rates, unit="1/s", note=note)


def history(folder: Path, server: Server, rows: Sequence[int], seconds: float, count: int) -> list[Figure]:
    """With so many finished signals in the journal, the first number's beside."""
    kinds = [(f"{each:,} signals", each, 50) for each in rows]
    return _side_by_side(folder / "history", server, kinds, seconds, count)


def lanes(folder: Path, server: Server, seconds: float, count: int) -> list[Figure]:
    """With so many lanes that have been worked in, the first number's beside."""
    kinds = [(f"{each:,} lanes" if each > 1 else "1 lane", max(LANES), each) for each in LANES]
    return _side_by_side(folder / "lanes", server, kinds, seconds, count)


def _side_by_side(
    folder: Path, server: Server, kinds: Sequence[tuple[str, int, int]], seconds: float, count: int
) -> list[Figure]:
    """All at once, each with one web and one worker process; they take turns."""
    urls = {name: server.migrated() for name, _, _ in kinds}
    for name, rows, lanes in kinds:
        journals.fill(urls[name], rows, lanes)
    with ExitStack() as stack:
        made = {
            name: stack.enter_context(place(folder / name.replace(" ", "-"), url, webs=1, workers=1))
            for name, url in urls.items()
        }
        lone = _in_turns(made, count, Place.lone)
        pressed = _in_turns(made, max(1, int(seconds // _PRESS_S) // len(made)), lambda each: each.press(_PRESS_S)[0])
    return _beside_first(lone, "lone warm alert → order", "ms") + _beside_first(pressed, "accepts", "1/s")


def _beside_first(values: Mapping[str, Sequence[float]], case: str, unit: str) -> list[Figure]:
    first, *others = values
    return [
        figure(f"{first}: {case}", values[first], unit=unit),
        *(figure(f"{each}: {case}", values[each], unit=unit, limit=first, beside=values[first]) for each in others),
    ]


def _in_turns(made: dict[str, Place], count: int, measure: Callable[[Place], float]) -> dict[str, list[float]]:
    values: dict[str, list[float]] = {name: [] for name in made}
    for _, (name, each) in itertools.product(range(count), made.items()):
        values[name].append(measure(each))
    return values


def backlog(folder: Path, server: Server) -> list[Figure]:
    """How fast two workers get through what waits: as much in many lanes as in few.

    The lanes are those of five accounts: one that lists all of the contracts would be slower than any.
    """
    found: dict[str, list[float]] = {}
    for lanes in LANES[1:]:
        url = server.migrated()
        symbols = lanes // len(_ACCOUNTS)
        journals.leave_waiting(url, max(LANES), symbols, _ACCOUNTS)
        here = folder / f"backlog-{lanes}"
        with (
            exchange(here, symbols) as paper,
            running_fleet(here, paper, url, webs=1, workers=2, **_many(paper)) as fleet,
        ):
            found[f"{lanes:,} lanes with work"] = [_rate(paper, fleet)]
    return _beside_first(found, f"orders, {max(LANES):,} waiting, 2 workers", "1/s")


def _many(paper: PaperServer) -> dict[str, str]:
    """The environment of a relay with all of the accounts, which are one at the exchange."""
    keys = 'api_key_env = "BYBIT_API_KEY"\napi_secret_env = "BYBIT_API_SECRET"'
    tables = (f'[accounts.{each}]\nenvironment = "paper"\nurl = "{paper.url}"\n{keys}' for each in _ACCOUNTS)
    return _ENVIRONMENT | {"RELAY_CONFIG": "\n".join(tables), "SIGNAL_MAX_AGE": "3600"}


def _rate(paper: PaperServer, fleet: Fleet) -> float:
    """Orders a second, once the first have come and everything is warm."""
    arrivals(paper, 2 * _BURST_SYMBOLS, fleet.web, deadline_s=120)
    begun = time.monotonic()
    time.sleep(_DRAIN_S)
    return len(arrivals(paper, 1, fleet.web)) / (time.monotonic() - begun)


@contextmanager
def place(folder: Path, url: str, *, webs: int, workers: int) -> Iterator[Place]:
    """Ready and warm."""
    with (
        exchange(folder, max(_BURST_SYMBOLS, 100)) as paper,
        running_fleet(folder, paper, url, webs=webs, workers=workers, **_ENVIRONMENT) as fleet,
    ):
        names = (f"{folder.name} {number}" for number in itertools.count())
        made = Place(fleet, paper, Sender(fleet.web.port), names)
        for _ in range(_WARM_UP):
            made.sender.send(made.buy(), wait_s=10)
        paper.control.clear_calls()
        yield made
        made.sender.close()


@contextmanager
def exchange(folder: Path, contracts: int) -> Iterator[PaperServer]:
    """With so many contracts of one kind, no limit, and money enough."""
    folder.mkdir(parents=True, exist_ok=True)
    paper = PaperServer(folder, module="tests.bench.wide", environment={CONTRACTS: str(contracts)})
    try:
        paper.control.account(limiter={"on": False}, balances={"USDT": "1000000000000"})
        yield paper
    finally:
        paper.close()
