"""From the alert's leaving to the order's arrival at the exchange: alone, back to back, many at once, far away."""

from __future__ import annotations

import json
import socket
import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pybit.unified_trading import HTTP

from tests.bench.figures import Figure, figure
from tests.bench.rig import EXCHANGE, SYMBOLS, Rig, arrivals, rig, simple_bot
from tests.catcher import Catcher
from tests.paper_server import PaperServer
from tests.relay_process import WEBHOOK_SECRET

BARE = "bare pybit"
_ORDERS_PER_SECOND = 20
"""Ten by themselves and ten in batches."""
_BURSTS = 5
_ONE_SECRET = "the-secret-of-one-account-0123"
_TWO_ACCOUNTS = """
[accounts.main]
url = "{first}"

[accounts.second]
url = "{second}"

[strategies.default]
secret_env = "WEBHOOK_SECRET"
accounts = {{ main = 100, second = 100 }}
shared = true

[strategies.one]
secret_env = "ONE_SECRET"
accounts = "main"
shared = true
"""
_BUY: dict[str, Any] = {"ticker": "BTCUSDT.P", "action": "buy", "qty": "0.001"}
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "buy": ("0", {"action": "buy", "qty": "0.01"}),
    "close": ("0.01", {"action": "close"}),
    "reverse": ("0.01", {"action": "reverse"}),
    "target": ("0", {"action": "target", "market_position": "long", "market_position_size": "0.01"}),
    "equity_pct with stops": (
        "0",
        {"action": "long", "qty": "0.001", "qty_unit": "equity_pct", "stop_loss": "2%", "take_profit": "4%"},
    ),
}


class Sender:
    """A connection that is open already, as a front end's is; what it sends is ready to go."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, alert: dict[str, Any], *, wait_s: int = 0, path: str = "/webhook") -> tuple[int, int]:
        """When it left and when it was answered, nanoseconds."""
        body = json.dumps({"secret": WEBHOOK_SECRET, **alert}).encode()
        prefer = f"Prefer: wait={wait_s}\r\n" if wait_s else ""
        head = f"POST {path} HTTP/1.1\r\nHost: bench\r\n{prefer}Content-Length: {len(body)}\r\n\r\n"
        left = time.time_ns()
        self._socket.sendall(head.encode() + body)
        status = status_of_answer(self._socket)
        answered = time.time_ns()
        assert status in (200, 202), status
        return left, answered

    def close(self) -> None:
        self._socket.close()


def status_of_answer(connection: socket.socket) -> int:
    """Of the next answer, which is read whole: it may come in pieces."""
    got = b""
    while b"\r\n\r\n" not in got:
        piece = connection.recv(65536)
        assert piece, "the relay hung up"
        got += piece
    head, _, rest = got.partition(b"\r\n\r\n")
    lines = head.decode().lower().split("\r\n")
    length = next(int(line.split(":")[1]) for line in lines if line.startswith("content-length"))
    while len(rest) < length:
        rest += connection.recv(65536)
    return int(lines[0].split()[1])


def ms_between(later_ns: int, earlier_ns: int) -> float:
    return (later_ns - earlier_ns) / 1e6


def bare_order(session: HTTP) -> int:
    left = time.time_ns()
    session.place_order(category="linear", symbol="BTCUSDT", side="Buy", orderType="Market", qty="0.001", positionIdx=0)
    return left


def alone(folder: Path, count: int) -> list[Figure]:
    """One warm alert at a time, with a pause, beside a bare client's order and a simple bot's; alternating."""
    with rig(folder / "relay") as made, simple_bot(folder / "bot", made.url) as simple:
        session, sender, to_bot = made.paper.session(), Sender(made.relay.port), Sender(simple.port)
        for _ in range(20):
            to_bot.send(_BUY)
        made.arrivals(20)
        ours, theirs, acknowledged, bots = [], [], [], []
        for number in range(count):
            left, answered = sender.send({"ticker": "BTCUSDT.P", "action": "buy", "qty": "0.001", "id": f"a{number}"})
            ours.append(ms_between(made.arrivals(1)[0], left))
            acknowledged.append(ms_between(answered, left))
            time.sleep(0.02)
            left = bare_order(session)
            theirs.append(ms_between(made.arrivals(1)[0], left))
            time.sleep(0.02)
            left, _ = to_bot.send(_BUY)
            bots.append(ms_between(made.arrivals(1)[0], left))
            time.sleep(0.02)
        sender.close()
        to_bot.close()
    return [
        figure("a bot without a journal: alert → order at the exchange", bots, limit=BARE, beside=theirs),
        figure("lone warm alert → order at the exchange", ours, limit=BARE, beside=theirs),
        figure("lone warm alert → answered", acknowledged),
    ]


def two_accounts(folder: Path, count: int) -> list[Figure]:
    """An alert for two accounts, each at an exchange of its own, beside one for the first of them alone."""
    folder.mkdir(parents=True, exist_ok=True)
    second = PaperServer(folder)
    try:
        config = _TWO_ACCOUNTS.format(first=EXCHANGE, second=second.url)
        with rig(folder / "relay", RELAY_CONFIG=config, ONE_SECRET=_ONE_SECRET) as made:
            second.control.account(balances={"USDT": "1000000000"})
            second.control.clear_calls()
            sender, both, alone = Sender(made.relay.port), [], []
            for number in range(count):
                left, _ = sender.send({**_BUY, "id": f"t{number}"})
                last = max(made.arrivals(1)[0], arrivals(second, 1, made.relay)[0])
                both.append(ms_between(last, left))
                time.sleep(0.03)
                left, _ = sender.send({**_BUY, "secret": _ONE_SECRET, "id": f"o{number}"}, path="/webhook/one")
                alone.append(ms_between(made.arrivals(1)[0], left))
                time.sleep(0.03)
            sender.close()
    finally:
        second.close()
    case = "lone warm alert for two accounts → the second order"
    return [figure(case, both, limit="one account", beside=alone)]


def unheard(folder: Path, count: int) -> list[Figure]:
    """The same with a notification service that takes each message and never answers, beside telling nobody."""
    service = Catcher()
    service.free.clear()
    try:
        with (
            rig(folder / "told", NOTIFY_URLS=f"all=json://127.0.0.1:{service.port}/") as reported,
            rig(folder / "untold") as unavailable,
        ):
            values: dict[int, list[float]] = {}
            senders = [
                (each, Sender(each.relay.port), values.setdefault(id(each), [])) for each in (reported, unavailable)
            ]
            for number in range(count):
                for made, sender, found in senders:
                    alert = {"ticker": "BTCUSDT.P", "action": "buy", "qty": "0.001", "id": f"u{number}"}
                    left, _ = sender.send(alert)
                    found.append(ms_between(made.arrivals(1)[0], left))
                    time.sleep(0.02)
            for _, sender, _ in senders:
                sender.close()
            assert service.arrived.is_set(), "nothing was told"
    finally:
        service.close()
    case = "lone warm alert → order, a dead notification service"
    return [figure(case, values[id(reported)], limit="nobody told", beside=values[id(unavailable)])]


def back_to_back(folder: Path, count: int) -> list[Figure]:
    """The next alert as soon as the one before is answered."""
    with rig(folder) as made:
        sender = Sender(made.relay.port)
        left = [
            sender.send({"ticker": "BTCUSDT.P", "action": "buy", "qty": "0.001", "id": f"b{number}"})[0]
            for number in range(count)
        ]
        values = [ms_between(arrived, sent) for arrived, sent in zip(made.arrivals(count), left, strict=True)]
        sender.close()
    return [figure(f"{count} back to back on one symbol → order", values)]


def at_once(
    folder: Path,
    *,
    count: int,
    symbols: int,
    round_trip_ms: float,
    limiter: bool = False,
    prepare: Callable[[Rig], None] = lambda made: None,
) -> list[Figure]:
    """All at one instant, each on a connection of its own; the last order counts. Several times, the first one cold."""
    last: list[float] = []
    spread: list[float] = []
    answered: list[float] = []
    with rig(folder, round_trip_ms=round_trip_ms, limiter=limiter) as made:
        prepare(made)
        senders = [Sender(made.relay.port) for _ in range(count)]
        for burst in range(_BURSTS):
            time.sleep(2)  # what came before is finished, and counts no more against the limit
            times = post_together(senders, symbols, burst)
            begun, arrived = min(left for left, _ in times), made.arrivals(count)
            last.append(ms_between(arrived[-1], begun))
            spread.append(ms_between(arrived[-1], arrived[0]))
            answered += [ms_between(at, left) for left, at in times]
        for sender in senders:
            sender.close()
    where = f"{count} at once on {symbols} symbols at {round_trip_ms:g} ms"
    where += ", the account's limit on" if limiter else ""
    found = [figure(f"{where} → last order", last), figure(f"{where} → answered", answered)]
    if limiter:
        whole_ms = (count - 1) // _ORDERS_PER_SECOND * 1000.0
        found.append(figure(f"{where} → first to last order", spread, limit="the two limits alone", beside=[whole_ms]))
    return found


def post_together(senders: list[Sender], symbols: int, number: int) -> list[tuple[int, int]]:
    """When each alert left and was answered."""
    gate, times = threading.Barrier(len(senders)), [(0, 0)] * len(senders)

    def post(place: int) -> None:
        ticker = f"{SYMBOLS[place % symbols]}.P"
        gate.wait()
        times[place] = senders[place].send({"ticker": ticker, "action": "buy", "qty": "1", "id": f"o{number}-{place}"})

    threads = [threading.Thread(target=post, args=(place,)) for place in range(len(senders))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times


def kinds(
    folder: Path, *, round_trip_ms: float, count: int, prepare: Callable[[Rig], None] = lambda made: None
) -> list[Figure]:
    """Each kind of alert, warm, from a position that it needs; beside a bare client's order over the same distance."""
    found = []
    with rig(folder, round_trip_ms=round_trip_ms) as made:
        prepare(made)
        session = made.paper.session()
        session.endpoint = made.url
        sender, bare = Sender(made.relay.port), []
        for _ in range(count):
            left = bare_order(session)
            bare.append(ms_between(made.arrivals(1)[0], left))
        sender.send({"ticker": "BTCUSDT.P", "action": "close", "id": "clean"}, wait_s=10)
        for name, (before, alert) in KINDS.items():
            values, calls = [], []
            for number in range(count):
                sender.send({"ticker": "BTCUSDT.P", "action": "close", "id": f"{name}c{number}"}, wait_s=10)
                if before != "0":
                    entry = {"ticker": "BTCUSDT.P", "action": "buy", "qty": before, "id": f"{name}e{number}"}
                    sender.send(entry, wait_s=10)
                time.sleep(0.3 + round_trip_ms / 200)
                made.paper.control.clear_calls()
                left, _ = sender.send({"ticker": "BTCUSDT.P", "id": f"{name}{number}", **alert}, wait_s=10)
                made_calls = made.paper.control.calls()
                first = next(i for i, call in enumerate(made_calls) if call["path"] == "/v5/order/create")
                values.append(ms_between(made_calls[first]["at_ns"], left))
                calls.append(first)
            # The relay also keeps its connections warm and its facts fresh: such a call may come first by chance.
            note = f"{statistics.median_low(calls)} calls before it"
            found.append(figure(f"{name} at {round_trip_ms:g} ms → order", values, limit=BARE, beside=bare, note=note))
        sender.close()
    return found
