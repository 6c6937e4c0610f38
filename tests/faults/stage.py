"""What the tests of faults share: waiting for something to come true, and questions about the exchange."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import requests

from tests.faults import audit
from tests.paper_server import PaperServer
from tests.relay_process import RelayProcess

CREATE, CANCEL = "/v5/order/create", "/v5/order/cancel"
REALTIME, HISTORY = "/v5/order/realtime", "/v5/order/history"
POSITIONS = "/v5/position/list"
DEADLINE_S = 60


def until(condition: Callable[[], bool], deadline_s: float = DEADLINE_S) -> None:
    """Returns once the condition holds."""
    give_up_at = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < give_up_at, "it never came true"
        time.sleep(0.02)


@contextmanager
def running(folder: Path, server: PaperServer, environment: Mapping[str, str] | None = None) -> Iterator[RelayProcess]:
    """A relay that is ready, in a folder of its own; killed at the end, which is quicker than stopping it.

    Without streams, which would tell what the faulty requests do not: `test_streams` is about those.
    """
    folder.mkdir(exist_ok=True)
    relay = RelayProcess(folder, server.url, environment={"BYBIT_STREAM_URL": "off", **(environment or {})})
    relay.start()
    try:
        yield relay
    finally:
        relay.kill()


def faults_waiting(server: PaperServer) -> int:
    """How many faults have not met their call yet."""
    answer = requests.get(f"{server.url}/paper/faults", timeout=DEADLINE_S)
    waiting: int = answer.json()["waiting"]
    return waiting


def taken_for(server: PaperServer, signal_id: str) -> list[audit.Order]:
    """The orders that the exchange took for a signal, in the order in which they ended, then the open ones."""
    return [order for order in audit.at_exchange(server) if order.client_order_id.startswith(signal_id)]


def open_at(server: PaperServer, symbol: str) -> list[audit.Order]:
    """What rests at the exchange."""
    return [order for order in audit.at_exchange(server) if order.symbol == symbol and order.is_open]


def position(server: PaperServer, symbol: str) -> Decimal:
    """Signed."""
    return audit.positions(server).get(symbol, Decimal(0))


def creates(server: PaperServer, symbol: str) -> list[dict[str, Any]]:
    """The calls that asked for an order of the symbol."""
    return [call for call in server.control.calls(CREATE) if call["symbol"] == symbol]


def event_names(signal: Mapping[str, Any]) -> list[str]:
    return [event["name"] for event in signal["events"]]
