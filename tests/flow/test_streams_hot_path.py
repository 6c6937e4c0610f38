"""What a warm alert costs: one exchange call, the order itself. The exchange counts."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.faults.stage import until
from tests.paper_server import PaperServer
from tests.relay_server import ADMIN_TOKEN, RelayServer, running_relay

CREATE, CANCEL, REALTIME = "/v5/order/create", "/v5/order/cancel", "/v5/order/realtime"
NOT_FOR_AN_ALERT = ("/v5/market/time", "/v5/account/transaction-log")
"""What keeps connections and clocks warm beside everything else."""
DEADLINE_S = 60
ADMIN = {"Authorization": f"Bearer {ADMIN_TOKEN}"}


@pytest.fixture(scope="module")
def warm(relay: RelayServer, paper: PaperServer) -> RelayServer:
    """The symbol has been traded once, and its price is followed."""
    send(relay, "long", qty="0.1")
    until(lambda: any("tickers.BTCUSDT" in each["topics"] for each in connections(paper)))
    assert relay.relay.services.accounts["default"].live is not None
    return relay


@pytest.fixture(autouse=True)
def open_position(warm: RelayServer) -> Iterator[None]:
    send(warm, "target", market_position="long", market_position_size="0.2")
    yield


def connections(paper: PaperServer) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = requests.get(f"{paper.url}/paper/streams", timeout=DEADLINE_S).json()["connections"]
    return found


def send(relay: RelayServer, action: str, **fields: object) -> dict[str, Any]:
    return relay.done({"ticker": "BTCUSDT.P", "action": action, "id": uuid.uuid4().hex, **fields})


def calls(paper: PaperServer) -> list[str]:
    return [call["path"] for call in paper.control.calls() if call["path"] not in NOT_FOR_AN_ALERT]


@pytest.mark.parametrize(
    ("action", "fields"),
    [
        ("close", {}),
        ("close", {"qty": "0.1"}),
        ("close_long", {}),
        ("reverse", {}),
        ("long", {"qty": "0.5"}),
        ("short", {"qty": "0.1"}),
        ("target", {"market_position": "short", "market_position_size": "0.3"}),
        ("buy", {"qty": "1", "qty_unit": "equity_pct"}),
        ("buy", {"qty": "500", "qty_unit": "quote"}),
        ("sell", {"qty": "50", "qty_unit": "position_pct"}),
        ("buy", {"qty": "0.1", "stop_loss": "2%", "take_profit": "4%"}),
        ("buy", {"qty": "0.1"}),
    ],
)
def test_a_warm_alert_makes_one_call(
    warm: RelayServer, paper: PaperServer, action: str, fields: dict[str, Any]
) -> None:
    paper.control.clear_calls()
    signal = send(warm, action, **fields)
    assert (signal["status"], [order["status"] for order in signal["orders"]]) == ("done", ["filled"])
    assert calls(paper) == [CREATE]


def test_a_preview_asks_for_nothing_but_the_fee(warm: RelayServer, paper: PaperServer) -> None:
    paper.control.clear_calls()
    planned = warm.api("plan", "POST", json={"ticker": "BTCUSDT.P", "action": "close", "id": "preview"})
    assert [order["qty"] for order in planned["orders"]] == ["0.2"]
    assert calls(paper) == ["/v5/account/fee-rate"], "which the account's streams do not tell"


def test_a_close_cancels_the_relays_resting_orders_first(warm: RelayServer, paper: PaperServer) -> None:
    send(warm, "buy", qty="0.1", type="limit", price="50000")
    paper.control.clear_calls()
    signal = send(warm, "close")
    assert [order["qty"] for order in signal["orders"]] == ["0.2"]
    assert [path for path in calls(paper) if path != REALTIME] == [CANCEL, CREATE]


def test_a_fill_of_somebody_elses_is_known_before_the_next_plan(warm: RelayServer, paper: PaperServer) -> None:
    fields = {"category": "linear", "symbol": "BTCUSDT", "orderType": "Market", "positionIdx": 0}
    for side, qty in (("Buy", "0.3"), ("Sell", "0.1")):
        paper.session().place_order(**fields, side=side, qty=qty)
    paper.control.clear_calls()
    signal = send(warm, "close")
    assert [order["qty"] for order in signal["orders"]] == ["0.4"]
    assert calls(paper) == [CREATE]


def test_a_plan_says_where_its_facts_came_from(warm: RelayServer) -> None:
    signal = send(warm, "buy", qty="1", qty_unit="equity_pct", stop_loss="2%")
    (planned,) = [event for event in signal["events"] if event["name"] == "planned"]
    reported = {name: where for name, where in planned["detail"]["inputs"].items() if name.endswith("_from")}
    assert reported == {"position_from": "stream", "price_from": "stream", "equity_from": "stream"}


def way_of(signal: dict[str, Any]) -> str:
    """How its first order left, as its plan says."""
    (planned,) = [event for event in signal["events"] if event["name"] == "planned"]
    way: str = planned["detail"]["inputs"]["sent"]
    return way


LONE_MAX = 20
"""What the relay does of its own accord may be writing just as an alert comes: then that one leaves in turn."""


@pytest.mark.parametrize(
    ("action", "fields"),
    [
        ("close", {}),
        ("reverse", {}),
        ("target", {"market_position": "short", "market_position_size": "0.3"}),
        ("buy", {"qty": "0.1"}),
        ("buy", {"qty": "1", "qty_unit": "equity_pct", "stop_loss": "2%", "take_profit": "4%"}),
    ],
)
def test_the_order_of_a_lone_warm_alert_leaves_with_the_commit_that_accepts_it(
    warm: RelayServer, action: str, fields: dict[str, Any]
) -> None:
    ways = list[str]()
    while "at once" not in ways and len(ways) < LONE_MAX:
        signal = send(warm, action, **fields)
        assert signal["status"] == "done"
        ways.append(way_of(signal))
        send(warm, "target", market_position="long", market_position_size="0.2")
    assert ways[-1] == "at once"
    assert 'relay_first_orders_total{sent="at once"}' in warm.request("GET", "/metrics", headers=ADMIN).text


def test_what_has_to_ask_or_to_cancel_first_leaves_in_turn(
    warm: RelayServer, paper: PaperServer, tmp_path: Path
) -> None:
    send(warm, "buy", qty="0.1", type="limit", price="50000")
    assert way_of(send(warm, "close")) == "in turn"
    send(warm, "buy", qty="0.1")
    with running_relay(tmp_path, paper.url, BYBIT_STREAM_URL="off") as deaf:
        assert way_of(send(deaf, "close")) == "in turn"


def test_an_entry_that_is_halted_is_denied_and_its_exit_leaves_all_the_same(warm: RelayServer) -> None:
    warm.api("halt", "POST")
    try:
        assert send(warm, "buy", qty="0.1")["reason"]["code"] == "HALTED"
        assert [order["reduce_only"] for order in send(warm, "reverse")["orders"]] == [True]
    finally:
        warm.api("resume", "POST")
