"""SIGTERM while orders are under way: refused at once, nothing left hanging, nothing lost, gone within 25 s."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.faults import audit
from tests.faults.stage import CREATE, REALTIME, creates, event_names, position, running, taken_for, until
from tests.paper_server import PaperServer
from tests.relay_process import WEBHOOK_SECRET, RelayProcess

pytestmark = pytest.mark.slow

GONE_WITHIN_S = 25
HANGING_S = 10
"""A request that takes longer than this was left hanging."""
SENDERS = 8


@pytest.fixture
def relay(server: PaperServer, tmp_path: Path) -> Iterator[RelayProcess]:
    with running(tmp_path / "relay", server) as process:
        yield process
        server.control.clear_faults()


def buy(symbol: str, qty: str = "20", **more: str) -> dict[str, Any]:
    return {"ticker": f"{symbol}.P", "action": "buy", "qty": qty, **more}


def refuses(relay: RelayProcess) -> bool:
    """Whether a new connection is refused, rather than taken and left waiting."""
    try:
        socket.create_connection(("127.0.0.1", relay.port), timeout=HANGING_S).close()
    except ConnectionRefusedError:
        return True
    return False


class Asking(threading.Thread):
    """Posts an alert and waits for its outcome, as `Prefer: wait` asks for."""

    def __init__(self, relay: RelayProcess, alert: dict[str, Any]) -> None:
        super().__init__()
        self._relay, self._alert = relay, alert
        self.answer: requests.Response | None = None
        self.answered_while_alive = False
        self.start()

    def run(self) -> None:
        body = json.dumps({"secret": WEBHOOK_SECRET, **self._alert}).encode()
        url = f"{self._relay.url}/webhook"
        self.answer = requests.post(url, data=body, headers={"Prefer": "wait=10"}, timeout=HANGING_S)
        self.answered_while_alive = self._relay.process.poll() is None


def test_a_stop_refuses_new_alerts_at_once_lets_waiters_go_and_finishes_what_is_in_flight(
    relay: RelayProcess, server: PaperServer
) -> None:
    server.control.clear_calls()
    server.control.fault(CREATE, "delay_after", ms=2500, match={"symbol": "SOLUSDT"})
    waiter = Asking(relay, buy("SOLUSDT"))
    until(lambda: len(creates(server, "SOLUSDT")) == 1)
    with socket.create_connection(("127.0.0.1", relay.port)) as half, contextlib.suppress(OSError):
        half.sendall(b"POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n")
        relay.process.terminate()
        until(lambda: refuses(relay))
        assert relay.process.poll() is None, "it was to refuse while it is still at work"
        with pytest.raises(requests.ConnectionError, match="refused"):
            requests.post(f"{relay.url}/webhook", data=b"{}", timeout=HANGING_S)
    waiter.join(HANGING_S)
    assert waiter.answer is not None
    assert waiter.answer.status_code == 202
    assert waiter.answered_while_alive
    assert relay.process.wait(GONE_WITHIN_S) == 0
    relay.start()
    signal = relay.wait_for(waiter.answer.json()["signal_id"])
    assert signal["status"] == "done"
    assert len(taken_for(server, signal["id"])) == 1
    assert event_names(signal).count("order_submitted") == 1
    assert position(server, "SOLUSDT") == 20


def test_an_order_of_unknown_outcome_is_parked_and_found_after_the_next_start(
    relay: RelayProcess, server: PaperServer
) -> None:
    server.control.fault(CREATE, "drop_reply", match={"symbol": "XRPUSDT"})
    server.control.fault(REALTIME, "delay_before", ms=20_000, times=None, match={"symbol": "XRPUSDT"})
    signal_id = relay.post(buy("XRPUSDT")).json()["signal_id"]
    until(lambda: "order_unknown" in event_names(relay.signal(signal_id)))
    behind_id = relay.post({"ticker": "XRPUSDT.P", "action": "close"}).json()["signal_id"]
    relay.process.terminate()
    assert relay.process.wait(GONE_WITHIN_S) == 0
    server.control.clear_faults()
    relay.start()
    assert relay.wait_for(signal_id)["status"] == "done"
    assert relay.wait_for(behind_id)["status"] == "done"
    assert len(taken_for(server, signal_id)) == 1
    assert position(server, "XRPUSDT") == 0


class Sender(threading.Thread):
    """Posts one alert after the other over one connection, until one is not accepted."""

    def __init__(self, relay: RelayProcess, number: int) -> None:
        super().__init__()
        self._url, self._number = f"{relay.url}/webhook", number
        self.accepted: list[str] = []
        self.ended: Exception | int | None = None
        self.start()

    def run(self) -> None:
        with requests.Session() as session:
            for count in range(10_000):
                alert = buy("LINKUSDT", "1", id=f"{self._number}-{count}", secret=WEBHOOK_SECRET)
                try:
                    answer = session.post(self._url, json=alert, timeout=HANGING_S)
                except requests.RequestException as error:
                    self.ended = error
                    return
                if answer.status_code != 202:
                    self.ended = answer.status_code
                    return
                self.accepted.append(answer.json()["signal_id"])


def test_of_alerts_that_keep_coming_through_a_stop_each_is_accepted_for_good_or_refused_at_once(
    relay: RelayProcess, server: PaperServer
) -> None:
    senders = [Sender(relay, number) for number in range(SENDERS)]
    until(lambda: all(len(sender.accepted) >= 3 for sender in senders))
    relay.process.terminate()
    for sender in senders:
        sender.join(GONE_WITHIN_S)
        assert isinstance(sender.ended, requests.ConnectionError), f"left hanging, or answered: {sender.ended}"
        assert not isinstance(sender.ended, requests.Timeout)
    assert relay.process.wait(GONE_WITHIN_S) == 0
    relay.start()
    accepted = {signal_id for sender in senders for signal_id in sender.accepted}
    signals = relay.all_signals()
    assert accepted <= {signal["id"] for signal in signals}
    ended = [relay.wait_for(signal["id"]) for signal in signals]
    assert {signal["status"] for signal in ended} == {"done"}
    assert position(server, "LINKUSDT") == len(signals)
    taken = [order for order in audit.at_exchange(server) if order.symbol == "LINKUSDT"]
    assert audit.differences(taken, ended) == []


@pytest.mark.parametrize("is_acknowledged", [False, True], ids=["unknown", "acknowledged"])
def test_after_a_long_time_away_the_relay_looks_before_it_gives_an_order_up(
    relay: RelayProcess, server: PaperServer, is_acknowledged: bool
) -> None:
    """By the exchange's clock the relay comes back an hour later, past every bound, and yet the order is there."""
    symbol = "AVAXUSDT" if is_acknowledged else "LTCUSDT"
    of_symbol = {"match": {"symbol": symbol}}
    if not is_acknowledged:
        server.control.fault(CREATE, "drop_reply", **of_symbol)
    server.control.fault(REALTIME, "http", times=None, **of_symbol)
    signal_id = relay.post(buy(symbol, "10")).json()["signal_id"]
    wanted = "order_accepted" if is_acknowledged else "order_unknown"
    until(lambda: wanted in event_names(relay.signal(signal_id)))
    relay.kill()
    server.control.clear_faults()
    server.control.clock(3_600_000)
    try:
        relay.start()
        signal = relay.wait_for(signal_id)
    finally:
        server.control.clock(0)
    assert signal["status"] == "done", signal["reason"]
    assert len(taken_for(server, signal_id)) == 1
