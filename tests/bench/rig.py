"""What is measured: an exchange that notes when each order arrives, a distance to it, and a relay, as processes."""

from __future__ import annotations

import contextlib
import copy
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests

from relay.paper.state import TABLE
from tests.paper_server import PaperServer
from tests.relay_process import ROOT, RelayProcess

CREATE = "/v5/order/create"
CREATE_BATCH = "/v5/order/create-batch"
SYMBOLS = tuple(f"BENCH{number:02d}USDT" for number in range(50))
"""Instruments of the bench's own."""
EXCHANGE = "the.rigs.own.exchange"
"""In what a relay is configured with, the address of that one."""
_WARM_UP = 20


def arrivals(paper: PaperServer, count: int, relay: RelayProcess, deadline_s: float = 60) -> list[int]:
    """When the orders arrived, nanoseconds, once there are so many; and forgets them."""
    until = time.monotonic() + deadline_s
    while True:
        calls = paper.control.calls()
        found = [call["at_ns"] for call in calls if call["path"] == CREATE]
        found += [call["at_ns"] for call in calls if call["path"] == CREATE_BATCH for _ in call["batch"]]
        if len(found) >= count:
            paper.control.clear_calls()
            return sorted(found)
        assert time.monotonic() < until, f"{len(found)} of {count} orders have arrived: {relay.tail()}"
        time.sleep(0.005)


class Rig:
    """One exchange, one relay. Arrival times are the exchange's, on this machine's one clock."""

    def __init__(self, folder: Path, *, round_trip_ms: float = 0, limiter: bool = False, **environment: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        table = folder / "instruments.json"
        table.write_text(json.dumps(_many_instruments()))
        self.paper = PaperServer(folder, arguments=("--instruments", str(table)))
        self.paper.control.account(limiter={"on": limiter}, balances={"USDT": "1000000000", "BTC": "100000"})
        self._distance: subprocess.Popen[str] | None = None
        self._is_started = False
        self.url = self.paper.url
        if round_trip_ms:
            self.url = self._set_apart(round_trip_ms)
        settings = {name: value.replace(EXCHANGE, self.url) for name, value in environment.items()}
        self.relay = RelayProcess(folder, self.url, environment={"BYBIT_RECV_WINDOW": "5000", **settings})

    def _set_apart(self, round_trip_ms: float) -> str:
        command = [sys.executable, "-m", "tests.bench.distance", "--to", str(self.paper.port)]
        self._distance = subprocess.Popen(
            [*command, "--round-trip-ms", str(round_trip_ms)], stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        assert self._distance.stdout is not None
        return f"http://127.0.0.1:{self._distance.stdout.readline().strip()}"

    def start(self) -> None:
        self._is_started = True
        self.relay.start()

    def warm_up(self) -> None:
        """What has to be done once was done: connections, caches, first imports."""
        for number in range(_WARM_UP):
            self.relay.post({"ticker": "BTCUSDT.P", "action": "buy", "qty": "0.001", "id": f"w{number}"}, wait_s=10)
        self.paper.control.clear_calls()

    def arrivals(self, count: int, deadline_s: float = 60) -> list[int]:
        return arrivals(self.paper, count, self.relay, deadline_s)

    def close(self) -> None:
        if self._is_started:
            self.relay.kill()
        if self._distance is not None:
            self._distance.kill()
            self._distance.wait()
            assert self._distance.stdout is not None
            self._distance.stdout.close()
        self.paper.close()


def _many_instruments() -> list[dict[str, Any]]:
    """The paper exchange's own, and enough copies of one under other names that each alert of many has a symbol."""
    rows: list[dict[str, Any]] = json.loads(TABLE.read_text())
    one = next(row for row in rows if row["instrument"]["symbol"] == "ETHUSDT")
    copies = [copy.deepcopy(one) for _ in SYMBOLS]
    for row, symbol in zip(copies, SYMBOLS, strict=True):
        row["instrument"] |= {"symbol": symbol, "baseCoin": symbol.removesuffix("USDT")}
    return [*rows, *copies]


@contextlib.contextmanager
def rig(folder: Path, *, round_trip_ms: float = 0, limiter: bool = False, **environment: str) -> Iterator[Rig]:
    """Ready and warm."""
    made = Rig(folder, round_trip_ms=round_trip_ms, limiter=limiter, **environment)
    try:
        made.start()
        made.warm_up()
        yield made
    finally:
        made.close()


def empty_view(folder: Path) -> contextlib.AbstractContextManager[RelayProcess]:
    """The view that does nothing."""
    return _view(folder, "tests.bench.empty")


def simple_bot(folder: Path, exchange_url: str) -> contextlib.AbstractContextManager[RelayProcess]:
    """The view that sends the order and keeps nothing."""
    return _view(folder, "tests.bench.bot", BENCH_EXCHANGE=exchange_url)


@contextlib.contextmanager
def _view(folder: Path, module: str, **environment: str) -> Iterator[RelayProcess]:
    folder.mkdir(parents=True, exist_ok=True)
    command = (sys.executable, "-m", "gunicorn", "-c", f"python:{module}", f"{module}:app")
    process = RelayProcess(folder, None, command=command, environment=environment)
    process.start(wait=False)
    try:
        until = time.monotonic() + 20
        while True:
            with contextlib.suppress(requests.RequestException):
                if requests.get(f"{process.url}/readyz", timeout=1).status_code == 200:
                    break
            assert time.monotonic() < until, process.tail()
            time.sleep(0.02)
        yield process
    finally:
        process.kill()
