"""Streams that are cut, half open, late, repeated, out of order and lossy while alerts run: the end is right."""

from __future__ import annotations

import random
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.faults import audit
from tests.faults.stage import CREATE, HISTORY, REALTIME, position, until
from tests.paper_server import PaperServer
from tests.relay_server import RelayServer, running_relay

pytestmark = pytest.mark.slow

DEADLINE_S = 60
HALF_OPEN_S = 60
"""A half-open stream is noticed within about 15 s; a busy machine may take longer."""
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "ADAUSDT", "DOGEUSDT")
ALERTS = 30
"""For each symbol."""


@pytest.fixture
def relay(tmp_path: Path, paper: PaperServer) -> Iterator[RelayServer]:
    with running_relay(tmp_path, paper.url) as made:
        yield made


def steer(paper: PaperServer, **requested: object) -> dict[str, Any]:
    answer = requests.post(f"{paper.url}/paper/streams", json=requested, timeout=DEADLINE_S)
    assert answer.status_code == 200, answer.text
    reported: dict[str, Any] = answer.json()
    return reported


def is_live(relay: RelayServer) -> bool:
    return relay.relay.services.streams.state()["default"].is_live


def generation(relay: RelayServer) -> int:
    return relay.relay.services.streams.state()["default"].generation


def send(relay: RelayServer, symbol: str, action: str, **fields: object) -> dict[str, Any]:
    answer = relay.post({"ticker": symbol, "action": action, "id": uuid.uuid4().hex, **fields}, wait_s=10)
    if answer.status_code == 200:
        signal: dict[str, Any] = answer.json()
        return signal
    return relay.wait_for(answer.json()["signal_id"])


def lot_of(symbol: str) -> str:
    return {"XRPUSDT": "10", "ADAUSDT": "20", "DOGEUSDT": "100"}.get(symbol, "0.1")


class Nuisance:
    """Treats the streams badly until it is told to stop."""

    def __init__(self, paper: PaperServer, seed: int) -> None:
        self._server, self._chance = paper, random.Random(seed)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Nuisance:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(DEADLINE_S)
        steer(self._server, manners={})

    def _run(self) -> None:
        manners: tuple[dict[str, object], ...] = (
            {},
            {"duplicate": 0.5},
            {"jitter_ms": 150, "duplicate": 0.2},
            {"delay_ms": 100, "drop": 0.1},
            {"drop": 0.3},
            {"drop": 1, "topics": ["position"]},
            {"delay_ms": 400, "topics": ["execution"]},
        )
        while not self._stop.wait(0.2 + self._chance.random() * 0.3):
            steer(self._server, manners={**self._chance.choice(manners), "seed": self._chance.randrange(1000)})
            deed = self._chance.random()
            if deed < 0.25:
                steer(self._server, cut=True)
            elif deed < 0.35:
                steer(self._server, mute="private")


def run_lane(relay: RelayServer, paper: PaperServer, symbol: str, seed: int) -> list[str]:
    """Alerts of one symbol, each after the other's end; what is wrong with any of them, by the exchange's own word."""
    chance, lot, wrong = random.Random(seed), Decimal(lot_of(symbol)), []
    size = {"qty": str(lot), "qty_unit": "contracts"}
    for _ in range(ALERTS):
        before = position(paper, symbol)
        action = chance.choice(("long", "short", "close", "reverse", "buy", "sell"))
        signal = send(relay, symbol, action, **({} if action in ("close", "reverse") else size))
        after = position(paper, symbol)
        expected = {
            "close": Decimal(0),
            "reverse": -before,
            "buy": before + lot,
            "sell": before - lot,
            "long": max(before, lot),
            "short": min(before, -lot),
        }[action]
        if after != expected or signal["status"] not in ("done", "denied"):
            wrong.append(f"{symbol}: {action} at {before} came to {after}: {signal['status']} {signal['reason']}")
    return wrong


def test_whatever_the_streams_do_every_alert_ends_right(relay: RelayServer, paper: PaperServer) -> None:
    with Nuisance(paper, 11), ThreadPoolExecutor(len(SYMBOLS)) as threads:
        runs = [threads.submit(run_lane, relay, paper, symbol, seed) for seed, symbol in enumerate(SYMBOLS)]
        wrong = [line for run in runs for line in run.result()]
    assert wrong == []
    stored = {order["client_order_id"]: order for order in relay.api("orders?limit=500")["orders"]}
    for order in audit.at_exchange(paper):
        reported = stored.get(order.client_order_id)
        assert reported is None or Decimal(reported["filled_qty"]) == order.filled_qty, order
    until(lambda: is_live(relay))


def test_a_half_open_stream_is_noticed_and_opened_anew(
    relay: RelayServer, paper: PaperServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.bybit.stream.IDLE_PING_S", 2.0)
    monkeypatch.setattr("relay.bybit.stream.SILENT_S", 4.0)
    before = generation(relay)
    steer(paper, mute=True)
    until(lambda: generation(relay) > before and is_live(relay), HALF_OPEN_S)


def test_without_its_stream_the_relay_asks_and_says_so(relay: RelayServer, paper: PaperServer) -> None:
    send(relay, "BTCUSDT", "long", qty="0.1")
    steer(paper, manners={"refuse_auth": True}, cut=True)
    until(lambda: not is_live(relay))
    signal = send(relay, "BTCUSDT", "close")
    assert signal["status"] == "done" and position(paper, "BTCUSDT") == 0
    assert any("the account's stream is down" in note for note in signal["notes"])
    until(lambda: "API key is invalid" in relay.relay.services.streams.state()["default"].problem)
    steer(paper, manners={})
    until(lambda: is_live(relay))


def test_the_stream_comes_back_after_the_exchange_has_restarted(relay: RelayServer, paper: PaperServer) -> None:
    send(relay, "BTCUSDT", "long", qty="0.1")
    paper.kill()
    until(lambda: not is_live(relay))
    paper.restart()
    until(lambda: is_live(relay), HALF_OPEN_S)
    assert send(relay, "BTCUSDT", "close")["status"] == "done"
    assert position(paper, "BTCUSDT") == 0


def test_streams_that_are_refused_keep_the_relay_from_nothing(tmp_path: Path, paper: PaperServer) -> None:
    steer(paper, manners={"refuse": True})
    with running_relay(tmp_path, paper.url) as relay:
        assert send(relay, "BTCUSDT", "long", qty="0.1")["status"] == "done"
        assert not is_live(relay)


def test_a_resting_order_that_fills_is_reported_by_the_stream(relay: RelayServer, paper: PaperServer) -> None:
    signal = send(relay, "BTCUSDT", "buy", qty="0.1", type="limit", price="90000")
    for path in (REALTIME, HISTORY):
        paper.control.fault(path, "http", status=503, times=None)  # nothing else can tell of it
    paper.control.prices(BTCUSDT="89000")
    until(lambda: relay.api(f"signals/{signal['id']}")["orders"][0]["status"] == "filled")
    paper.control.clear_faults()


@pytest.mark.parametrize("reply", ["acknowledged", "lost"])
def test_a_close_leaves_seconds_after_an_entry_of_which_neither_streams_nor_look_ups_tell_the_end(
    relay: RelayServer, paper: PaperServer, reply: str
) -> None:
    steer(paper, manners={"drop": 1, "topics": ["order", "execution"]})
    for path in (REALTIME, HISTORY):
        paper.control.fault(path, "http", status=503, times=None)
    if reply == "lost":
        paper.control.fault(CREATE, "drop_reply")
    entry = relay.post({"ticker": "BTCUSDT", "action": "buy", "qty": "0.1"}).json()["signal_id"]
    until(lambda: position(paper, "BTCUSDT") > 0)
    closing = relay.post({"ticker": "BTCUSDT", "action": "close"}).json()["signal_id"]
    until(lambda: position(paper, "BTCUSDT") == 0)
    paper.control.clear_faults()
    steer(paper, manners={})
    assert relay.wait_for(closing)["status"] == "done"
    reason = relay.api(f"signals/{entry}")["reason"]
    assert reason["code"] == "OUTCOME_UNKNOWN" and "an exit was waiting" in reason["message"]
