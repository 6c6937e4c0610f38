"""How many alerts a second become durable, beside a view that does nothing; and what the relay costs to run."""

from __future__ import annotations

import json
import socket
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

from relay.domain.signal import first_id_at
from tests.bench.figures import Figure, figure, percentile
from tests.bench.latency import Sender, status_of_answer
from tests.bench.rig import Rig, empty_view, rig
from tests.catcher import Catcher
from tests.relay_process import WEBHOOK_SECRET

CONNECTIONS = 16
_BODY_AT = "{id:>24}"


def accepts(folder: Path, seconds: float, prepare: Callable[[Rig], None] = lambda made: None) -> list[Figure]:
    """Unique alerts from 16 connections; the relay and the empty view take turns."""
    rates, empty_rates, answers = [], [], []
    rounds = max(1, int(seconds // 5))
    with rig(folder / "relay") as made, empty_view(folder / "empty") as empty:
        prepare(made)
        for number in range(rounds):
            rate, times = pressure(made.relay.port, seconds / rounds, f"r{number}")
            rates.append(rate)
            answers += times
            empty_rates.append(pressure(empty.port, seconds / rounds, f"e{number}")[0])
    note = f"answer p99 {percentile(answers, 0.99):.1f} ms"
    return [figure("durable accepts", rates, limit="empty view", beside=empty_rates, unit="1/s", note=note)]


def accepts_while_away(folder: Path, seconds: float) -> list[Figure]:
    """The same while the exchange is down: what is accepted waits."""
    with rig(folder) as made:
        made.paper.kill()
        rate, times = pressure(made.relay.port, seconds, "d")
    return [
        figure(
            "durable accepts, exchange down", [rate], unit="1/s", note=f"answer p99 {percentile(times, 0.99):.1f} ms"
        )
    ]


def pressure(port: int, seconds: float, mark: str) -> tuple[float, list[float]]:
    """Accepts a second, and each answer's milliseconds."""
    until = time.monotonic() + seconds
    times: list[list[float]] = [[] for _ in range(CONNECTIONS)]

    def press(number: int) -> None:
        connection = socket.create_connection(("127.0.0.1", port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sent = 0
        while time.monotonic() < until:
            begun = time.perf_counter()
            connection.sendall(_request(f"{mark}-{number}-{sent}"))
            status = status_of_answer(connection)
            assert status == 202, status
            times[number].append((time.perf_counter() - begun) * 1000)
            sent += 1
        connection.close()

    threads = [threading.Thread(target=press, args=(number,)) for number in range(CONNECTIONS)]
    begun = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    every = [each for mine in times for each in mine]
    return len(every) / (time.monotonic() - begun), every


def _request(identity: str) -> bytes:
    # A heartbeat is kept like any alert, and costs the exchange nothing: what is measured is the accepting.
    body = json.dumps({"secret": WEBHOOK_SECRET, "action": "heartbeat", "id": identity}).encode()
    head = f"POST /webhook HTTP/1.1\r\nHost: bench\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def start_up(folder: Path, count: int) -> list[Figure]:
    """From the command to ready, and to the first order; memory once it is warm."""
    ready, first, memory = [], [], []
    for number in range(count):
        made = Rig(folder / str(number))
        try:
            begun = time.time_ns()
            made.start()
            ready.append((time.time_ns() - begun) / 1e6)
            sender = Sender(made.relay.port)
            sender.send({"ticker": "BTCUSDT.P", "action": "buy", "qty": "0.001", "id": "first"})
            first.append((made.arrivals(1)[0] - begun) / 1e6)
            sender.close()
            made.warm_up()
            memory.append(max(map(_resident_mb, made.relay.pids())))
        finally:
            made.close()
    return [
        figure("cold start → ready", ready),
        figure("cold start → first order", first),
        figure("resident memory, embedded", memory, unit="MB"),
        figure("resident memory, with Sentry and notifications", [_memory_with_all(folder / "all")], unit="MB"),
    ]


def _memory_with_all(folder: Path) -> float:
    """Where errors are reported and people are told."""
    service = Catcher()
    here = f"127.0.0.1:{service.port}"
    try:
        with rig(folder, SENTRY_DSN=f"http://key@{here}/1", NOTIFY_URLS=f"all=json://{here}/") as made:
            assert service.arrived.wait(30), "nothing was told"
            return max(map(_resident_mb, made.relay.pids()))
    finally:
        service.close()


def _resident_mb(pid: int) -> float:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS")), 0.0)


def history(folder: Path, rows: int, count: int) -> list[Figure]:
    """A lone alert with a long journal behind it, beside one with a short one."""
    short = _lone(folder / "short", 1_000, count)
    long = _lone(folder / "long", rows, count)
    return [figure(f"lone alert at {rows:,} signals", long, limit="1,000 signals", beside=short)]


def _lone(folder: Path, rows: int, count: int) -> list[float]:
    made = Rig(folder)
    try:
        made.start()
        made.relay.stop()
        fill(folder / "relay.db", rows)
        made.start()
        made.warm_up()
        sender, values = Sender(made.relay.port), []
        for number in range(count):
            left, _ = sender.send({"ticker": "BTCUSDT.P", "action": "buy", "qty": "0.001", "id": f"h{number}"})
            values.append((made.arrivals(1)[0] - left) / 1e6)
            time.sleep(0.02)
        sender.close()
        return values
    finally:
        made.close()


def fill(journal: Path, rows: int) -> None:
    """Finished signals of a busy year, each with its identity, its assignment, an order and five events."""
    now_ms = int(time.time() * 1000)
    connection = sqlite3.connect(journal)
    with connection:
        connection.execute("PRAGMA synchronous=OFF")
        for statement, make in _ROWS:
            connection.executemany(
                statement, (each for n in range(rows) for each in make(n, now_ms - APART_MS * (rows - n)))
            )
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


APART_MS = 31_536
"""So far apart, a million of them make a year."""
_EVENTS = ("accepted", "executing", "planned", "order_submitted", "done")
_ROWS: tuple[tuple[str, Callable[[int, int], list[tuple[object, ...]]]], ...] = (
    (
        "INSERT INTO signals (id, strategy, action, ticker, category, symbol, status, generation, notes, received_at, "
        "finished_at, alert, body_digest) VALUES (?,'default','buy','BTCUSDT.P','linear',?,'done',0,'[]',?,?,?,?)",
        lambda n, at: [(first_id_at(at), f"SYM{n % 10}USDT", at, at + 20, '{"action": "buy", "qty": "0.01"}', f"d{n}")],
    ),
    (
        "INSERT INTO identities (strategy, kind, key, signal_id, digest, first_at) VALUES ('default','body',?,?,?,?)",
        lambda n, at: [(f"k{n}", first_id_at(at), f"d{n}", at)],
    ),
    (
        "INSERT INTO assignments (signal_id, account, seq, category, symbol, generation, status, opened_at) "
        "VALUES (?,'default',?,'linear',?,0,'done',?)",
        lambda n, at: [(first_id_at(at), n, f"SYM{n % 10}USDT", at)],
    ),
    (
        "INSERT INTO orders (client_order_id, signal_id, account, generation, leg, category, symbol, side, type, qty, "
        "reduce_only, purpose, planned, status, filled_qty, avg_price, fee, rests, created_at, updated_at) "
        "VALUES (?,?,'default',0,0,'linear',?,'buy','market','0.01',0,'entry','{}','filled','0.01','100','0',0,?,?)",
        lambda n, at: [(f"{first_id_at(at)}-q2zs00000", first_id_at(at), f"SYM{n % 10}USDT", at, at)],
    ),
    (
        "INSERT INTO events (signal_id, at, name) VALUES (?,?,?)",
        lambda n, at: [(first_id_at(at), at, name) for name in _EVENTS],
    ),
)
