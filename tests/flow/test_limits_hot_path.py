"""What limits cost: nothing that the streams have told is asked for. The exchange counts the calls."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.faults.stage import until
from tests.flow.test_streams_hot_path import CREATE, DEADLINE_S, NOT_FOR_AN_ALERT
from tests.paper_server import PaperServer
from tests.relay_server import RelayServer, running_relay

pytestmark = pytest.mark.slow

BY_VARIABLES = {"MAX_ORDER_NOTIONAL": "50000", "MAX_POSITION_NOTIONAL": "60000"}
BY_FILE = """
[limits]
max_order_notional = 50000
max_position_notional = 60000
max_exposure = 100000
max_positions = 2
entries_per_minute = 60
"""


@pytest.fixture(scope="module", params=["variables", "file"])
def limited(
    request: pytest.FixtureRequest, paper: PaperServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RelayServer]:
    """With positions open in two symbols, whose prices are followed."""
    paper.control.reset()
    paper.control.prices(BTCUSDT="100000", ETHUSDT="4000")
    folder = tmp_path_factory.mktemp("limited")
    (folder / "relay.toml").write_text(BY_FILE)
    environment = BY_VARIABLES if request.param == "variables" else {"RELAY_CONFIG": str(folder / "relay.toml")}
    with running_relay(folder, paper.url, **environment) as server:
        for ticker, qty in (("BTCUSDT.P", "0.2"), ("ETHUSDT.P", "1")):
            assert send(server, ticker, "buy", qty)["status"] == "done"
        until(lambda: {"tickers.BTCUSDT", "tickers.ETHUSDT"} <= followed(paper))
        live = server.relay.services.accounts["default"].live
        assert live is not None
        until(lambda: live.positions_now() is not None)
        yield server


def followed(paper: PaperServer) -> set[str]:
    """The topics that any connection has subscribed to."""
    found = requests.get(f"{paper.url}/paper/streams", timeout=DEADLINE_S).json()["connections"]
    return {topic for each in found for topic in each["topics"]}


def send(relay: RelayServer, ticker: str, action: str, qty: str) -> dict[str, Any]:
    return relay.done({"ticker": ticker, "action": action, "qty": qty, "id": uuid.uuid4().hex})


def test_a_warm_entry_within_its_limits_makes_one_call(limited: RelayServer, paper: PaperServer) -> None:
    paper.control.clear_calls()
    for ticker, qty in (("BTCUSDT.P", "0.1"), ("ETHUSDT.P", "1")):
        signal = send(limited, ticker, "buy", qty)
        assert (signal["status"], [order["status"] for order in signal["orders"]]) == ("done", ["filled"])
    assert [call["path"] for call in paper.control.calls() if call["path"] not in NOT_FOR_AN_ALERT] == [CREATE, CREATE]


def test_what_the_streams_reported_counts_as_what_was_read_would(limited: RelayServer, paper: PaperServer) -> None:
    paper.control.clear_calls()
    signal = send(limited, "BTCUSDT.P", "buy", "0.45")
    assert (signal["status"], signal["reason"]["code"]) == ("denied", "LIMIT_POSITION_NOTIONAL")
    assert [call["path"] for call in paper.control.calls() if call["path"] not in NOT_FOR_AN_ALERT] == []


def test_what_somebody_else_opened_counts_too(limited: RelayServer, paper: PaperServer) -> None:
    fields = {"category": "linear", "symbol": "SOLUSDT", "orderType": "Market", "positionIdx": 0}
    live = limited.relay.services.accounts["default"].live
    assert live is not None
    paper.session().place_order(**fields, side="Buy", qty="1")
    until(lambda: {each.symbol for each in live.positions_now() or ()} == {"BTCUSDT", "ETHUSDT", "SOLUSDT"})
    paper.session().place_order(**fields, side="Sell", qty="1")
    until(lambda: {each.symbol for each in live.positions_now() or ()} == {"BTCUSDT", "ETHUSDT"})
