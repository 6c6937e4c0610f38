"""Several processes, each account owned by one: what an order costs beside one process on SQLite, how soon an account
has another owner, and what a worker takes that owns fifty idle accounts."""

from __future__ import annotations

import os
import signal
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench import journals
from tests.bench.figures import Figure, figure, table
from tests.bench.latency import Sender, ms_between
from tests.bench.rig import arrivals
from tests.bench.scale import exchange
from tests.bench.watch import CpuMeter, look
from tests.fleet import Fleet, running_fleet
from tests.paper_server import PaperServer
from tests.postgres import Server
from tests.relay_process import RelayProcess

_SYMBOLS, _BURST, _POSTERS, _BURSTS = 16, 160, 16, 4
_SETTLED_S = 0.06
_IDLE_ACCOUNTS = 50
_HANDED = ("one", "two", "three", "four")
_ALIVE = "SELECT name FROM process WHERE expires_at > extract(epoch from now()) * 1000"


@dataclass(slots=True, kw_only=True)
class Side:
    """A relay with two accounts, the processes that do its work, and what was measured of it."""

    web: RelayProcess
    papers: Mapping[str, PaperServer]
    roots: Mapping[str, list[int]]
    lone_ms: list[float] = field(default_factory=list)
    order_ms: list[dict[str, float]] = field(default_factory=list)
    """By kind of process."""

    def burst(self, name: str) -> None:
        """At once, half of them for each account; what an order costs of the processor, all processes together."""
        alerts = [(number, "main" if number % 2 else "second") for number in range(_BURST)]
        meter = CpuMeter(self.roots)
        with ThreadPoolExecutor(_POSTERS) as threads:
            list(threads.map(lambda first: self._post(name, alerts[first::_POSTERS]), range(_POSTERS)))
        for paper in self.papers.values():
            arrivals(paper, _BURST // len(self.papers), self.web, deadline_s=120)
        self.order_ms.append({part: spent / _BURST for part, spent in meter.spent_ms().items()})

    def _post(self, name: str, alerts: list[tuple[int, str]]) -> None:
        sender = Sender(self.web.port)
        for number, account in alerts:
            symbol = f"L{number // 2 % _SYMBOLS}USDT.P"
            alert = {"ticker": symbol, "action": "buy", "qty": "0.001", "id": f"{name} {number}"}
            sender.send(alert, path=f"/webhook/{account}")
        sender.close()

    def lone(self, name: str) -> None:
        sender = Sender(self.web.port)
        alert = {"ticker": "L0USDT.P", "action": "buy", "qty": "0.001", "id": name}
        left, _ = sender.send(alert, path="/webhook/main")
        time.sleep(_SETTLED_S)
        self.lone_ms.append(ms_between(arrivals(self.papers["main"], 1, self.web)[0], left))
        sender.close()


def owners(folder: Path, *, count: int, seconds: float) -> list[Figure]:
    """`count`: lone alerts, and a tenth of it changes of hands; `seconds`: how long idleness is looked at."""
    with journals.durable_server() as server:
        parts: tuple[Callable[[], list[Figure]], ...] = (
            lambda: hand_overs(folder / "handed", server, max(1, count // 10)),
            lambda: idle(folder / "idle", server, seconds),
            lambda: beside_one_process(folder, server, count),
        )
        found: list[Figure] = []
        for part in parts:
            made = part()
            sys.stderr.write(f"{table(made)}\n")  # it is a long run
            found += made
    return found


def beside_one_process(folder: Path, server: Server, count: int) -> list[Figure]:
    """In turns, each with two accounts, and an exchange for each of them."""
    with ExitStack() as stack:
        ours = stack.enter_context(_on_postgres(folder / "postgres", server))
        theirs = stack.enter_context(_on_sqlite(folder / "sqlite"))
        for number in range(_BURSTS):
            for side in (ours, theirs):
                side.burst(f"burst {number}")
                time.sleep(1)
        for number in range(count):
            for side in (ours, theirs):
                side.lone(f"lone {number}")
    for side in (ours, theirs):
        del side.order_ms[0]  # it was cold
    note = f"{statistics.median(ours.lone_ms) - statistics.median(theirs.lone_ms):+.1f} ms"
    what = f"an order, {_BURST} at once on {_SYMBOLS} symbols of 2 accounts: processor"
    return [
        figure(
            f"Postgres: {what}",
            [sum(each.values()) for each in ours.order_ms],
            limit="SQLite",
            beside=[sum(each.values()) for each in theirs.order_ms],
            note=", ".join(
                f"{part} {statistics.median(each[part] for each in ours.order_ms):.1f}" for part in ours.roots
            ),
        ),
        figure("Postgres: lone warm alert → order", ours.lone_ms, limit="SQLite", beside=theirs.lone_ms, note=note),
    ]


@contextmanager
def _on_postgres(folder: Path, server: Server) -> Iterator[Side]:
    with _two_exchanges(folder) as papers:
        environment = _configured({name: paper.url for name, paper in papers.items()})
        with running_fleet(folder, papers["main"], server.migrated(), webs=1, workers=2, **environment) as fleet:
            workers = [each.process.pid for each in fleet.workers]
            roots = {"web": [fleet.web.process.pid], "workers": workers, "database": [journals.postmaster(server)]}
            yield Side(web=fleet.web, papers=papers, roots=roots)


@contextmanager
def _on_sqlite(folder: Path) -> Iterator[Side]:
    with _two_exchanges(folder) as papers:
        environment = _configured({name: paper.url for name, paper in papers.items()})
        relay = RelayProcess(folder, papers["main"].url, environment=environment)
        try:
            relay.start()
            yield Side(web=relay, papers=papers, roots={"all": [relay.process.pid]})
        finally:
            relay.kill()


@contextmanager
def _two_exchanges(folder: Path) -> Iterator[dict[str, PaperServer]]:
    with ExitStack() as stack:
        yield {name: stack.enter_context(exchange(folder / name, _SYMBOLS)) for name in ("main", "second")}


def _configured(urls: Mapping[str, str]) -> dict[str, str]:
    """A relay with an account at each, and a strategy for each that has its name."""
    keys = 'environment = "paper"\napi_key_env = "BYBIT_API_KEY"\napi_secret_env = "BYBIT_API_SECRET"'
    tables = [f'[accounts.{name}]\nurl = "{url}"\n{keys}' for name, url in urls.items()]
    secret = 'secret_env = "WEBHOOK_SECRET"\nshared = true'
    tables += [f'[strategies.{name}]\naccounts = ["{name}"]\n{secret}' for name in urls]
    return {"BYBIT_RECV_WINDOW": "5000", "RELAY_CONFIG": "\n".join(tables)}


def idle(folder: Path, server: Server, seconds: float) -> list[Figure]:
    """One worker that owns fifty accounts, in which nothing happens; its share of a core, and its connections."""
    shares = []
    with exchange(folder, _SYMBOLS) as paper:
        environment = _configured({f"account{number}": paper.url for number in range(_IDLE_ACCOUNTS)})
        url = server.migrated()
        with running_fleet(folder, paper, url, webs=1, workers=1, **environment) as fleet:
            worker = fleet.workers[0].process.pid
            time.sleep(seconds)  # what is done once at the start is over
            for _ in range(5):
                meter, begun = CpuMeter({"worker": [worker]}), time.monotonic()
                time.sleep(seconds)
                shares.append(meter.spent_ms()["worker"] / (time.monotonic() - begun) / 10)
            opened = fleet.ask("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'relay%%'")[0][0]
            note = f"{opened} connections with the web process's, {look(worker).threads} threads"
    return [figure(f"a worker that owns {_IDLE_ACCOUNTS} idle accounts: of a core", shares, unit="%", note=note)]


def hand_overs(folder: Path, server: Server, count: int) -> list[Figure]:
    """Real workers: from a kill, a stop, or a newcomer's first row until the account's owner is another one that lives,
    and from a kill until the order of an alert that waits has arrived."""
    killed, ordered, stopped, joined = list[float](), list[float](), list[float](), list[float]()
    with exchange(folder, _SYMBOLS) as paper:
        environment = _configured(dict.fromkeys(_HANDED, paper.url))
        with running_fleet(folder, paper, server.migrated(), webs=1, workers=2, **environment) as fleet:
            living = list(fleet.workers)
            for number in range(count):
                _wait_for(fleet, lambda: _is_even(fleet))
                begun, doomed = time.monotonic(), living.pop(0)
                os.killpg(doomed.process.pid, signal.SIGKILL)
                doomed.process.wait()
                sender = Sender(fleet.web.port)
                for name in _HANDED:
                    alert = {"ticker": "L0USDT.P", "action": "buy", "qty": "0.001", "id": f"{name} {number}"}
                    sender.send(alert, path=f"/webhook/{name}")
                sender.close()
                killed.append(_wait_for(fleet, lambda doomed=doomed: _are_others(fleet, doomed)) - begun)
                arrivals(paper, len(_HANDED), fleet.web)
                ordered.append(time.monotonic() - begun)
                newcomer = fleet.add_worker()
                begun = time.monotonic()
                joined.append(_wait_for(fleet, lambda: _is_even(fleet)) - begun)
                begun = time.monotonic()
                newcomer.process.terminate()
                stopped.append(_wait_for(fleet, lambda newcomer=newcomer: _are_others(fleet, newcomer)) - begun)
                newcomer.process.wait()
                living.append(fleet.add_worker())
    return [
        figure("kill -9 → others own all", killed, unit="s", note=f"most {max(killed):.2f}"),
        figure("kill -9 → the last waiting order has arrived", ordered, unit="s", note=f"most {max(ordered):.2f}"),
        figure("a newcomer is alive → it has its share", joined, unit="s", note=f"most {max(joined):.2f}"),
        figure("SIGTERM → others own all", stopped, unit="s", note=f"most {max(stopped):.2f}"),
    ]


def _are_others(fleet: Fleet, worker: RelayProcess) -> bool:
    """Each account has an owner that lives, and none has this one."""
    owned = [fleet.owner(name) for name in _HANDED]
    return all(owned) and not any(f" {worker.process.pid} " in name for name in owned)


def _is_even(fleet: Fleet) -> bool:
    """Two processes live, and each owns as many."""
    alive = {name for (name,) in fleet.ask(_ALIVE)}
    owned = [fleet.owner(name) for name in _HANDED]
    return len(alive) == 2 and all(owned.count(name) == len(_HANDED) // 2 for name in alive)


def _wait_for(fleet: Fleet, condition: object) -> float:
    fleet.until(condition, "it does not come to that")
    return time.monotonic()
