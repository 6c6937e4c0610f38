"""A ladder, an entry limit and a conditional rest while the position is closed, set or turned round under them.

No entry may rest behind a closed position, and no exit may fail because resting exits hold its quantity.
"""

from __future__ import annotations

import itertools
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.faults import audit
from tests.faults.scale import FULL
from tests.faults.stage import (
    CANCEL,
    CREATE,
    HISTORY,
    REALTIME,
    creates,
    event_names,
    faults_waiting,
    open_at,
    position,
    running,
    until,
)
from tests.paper_server import PaperServer
from tests.relay_process import RelayProcess

pytestmark = pytest.mark.slow

HELD = Decimal(20)
RESTING = 4
PAST_OUR_TIMEOUT_MS = 4000
NO_ORDERS = '{"retCode": 0, "retMsg": "OK", "result": {"list": []}, "retExtInfo": {}, "time": 1}'
_ids = itertools.count()


def done(relay: RelayProcess, symbol: str, **alert: str) -> dict[str, Any]:
    reported = relay.done({"ticker": f"{symbol}.P", "id": f"own-{next(_ids)}", **alert})
    signal = relay.wait_for(reported["signal_id"])
    assert signal["status"] == "done", signal
    return signal


def build(relay: RelayProcess, server: PaperServer, symbol: str) -> None:
    """A long with two rungs of a ladder over it, an entry limit under it, and a conditional entry over all."""
    price = Decimal(server.control.prices()[symbol])

    def at(percent: int) -> str:
        return str(price * (100 + percent) / 100)

    done(relay, symbol, action="buy", qty="20")
    for percent in (10, 20):
        tp_leg = {"type": "limit", "reduce_only": "true", "qty": "10", "price": at(percent)}
        done(relay, symbol, action="sell", **tp_leg)
    done(relay, symbol, action="buy", type="limit", qty="10", price=at(-10))
    done(relay, symbol, action="buy", type="stop_market", qty="10", trigger_price=at(30))
    assert len(open_at(server, symbol)) == RESTING
    assert position(server, symbol) == HELD


def assert_nothing_rests(relay: RelayProcess, server: PaperServer, symbol: str) -> None:
    """At the exchange, and as far as the relay knows."""
    assert open_at(server, symbol) == []
    orders = relay.api(f"orders?symbol={symbol}&limit=100")["orders"]
    assert {order["status"] for order in orders} <= {"filled", "canceled"}, orders
    assert len([order for order in orders if order["status"] == "canceled"]) >= RESTING - 1


@pytest.mark.parametrize(
    ("symbol", "alert", "left"),
    [
        ("SOLUSDT", {"action": "close"}, 0),
        ("XRPUSDT", {"action": "flat"}, 0),
        ("ADAUSDT", {"action": "exit"}, 0),
        ("LINKUSDT", {"action": "close_long"}, 0),
        ("AVAXUSDT", {"action": "close", "qty": "15"}, 5),
        ("LTCUSDT", {"action": "target", "position_size": "5"}, 5),
        ("BCHUSDT", {"action": "target", "market_position": "flat"}, 0),
        ("DOTUSDT", {"action": "target", "position_size": "-10"}, -10),
        ("UNIUSDT", {"action": "reverse"}, -20),
        ("AAVEUSDT", {"action": "short", "qty": "10"}, -10),
        ("ATOMUSDT", {"action": "long", "qty": "30"}, 30),
    ],
    ids=lambda value: " ".join(value.values()) if isinstance(value, dict) else "",
)
def test_what_rests_is_gone_and_the_position_is_what_was_asked_for(
    relay: RelayProcess, server: PaperServer, symbol: str, alert: dict[str, str], left: int
) -> None:
    build(relay, server, symbol)
    signal = done(relay, symbol, **alert)
    assert [order["status"] for order in signal["orders"]] == ["filled"]
    assert position(server, symbol) == left
    assert_nothing_rests(relay, server, symbol)


def test_a_cancel_takes_the_entries_and_leaves_the_exits(relay: RelayProcess, server: PaperServer) -> None:
    build(relay, server, "ETCUSDT")
    done(relay, "ETCUSDT", action="cancel")
    assert sorted(order.side for order in open_at(server, "ETCUSDT")) == ["sell", "sell"]
    assert position(server, "ETCUSDT") == HELD


def test_orders_that_the_relay_did_not_place_stay(relay: RelayProcess, server: PaperServer) -> None:
    build(relay, server, "NEARUSDT")
    session = server.session()
    session.place_order(
        category="linear", symbol="NEARUSDT", side="Buy", orderType="Limit", qty="20", price="3", orderLinkId="by-hand"
    )
    done(relay, "NEARUSDT", action="close")
    assert [order.client_order_id for order in open_at(server, "NEARUSDT")] == ["by-hand"]
    assert position(server, "NEARUSDT") == 0


CANCEL_FAULTS: dict[str, dict[str, object]] = {
    "reply cut": {"kind": "drop_reply"},
    "request cut": {"kind": "drop_request"},
    "502 before the effect": {"kind": "http", "status": 502},
    "502 after the effect": {"kind": "http", "status": 502, "after_effect": True},
    "a page with status 200": {"kind": "html"},
    "10000": {"kind": "code", "retCode": 10000},
    "10016 after the effect": {"kind": "code", "retCode": 10016, "after_effect": True},
    "10006": {"kind": "code", "retCode": 10006},
    "10002": {"kind": "code", "retCode": 10002},
    "110001 though it rests": {"kind": "code", "retCode": 110001},
}
if FULL:
    CANCEL_FAULTS["arrives after our timeout"] = {"kind": "delay_before", "ms": PAST_OUR_TIMEOUT_MS}
    CANCEL_FAULTS["answered after our timeout"] = {"kind": "delay_after", "ms": PAST_OUR_TIMEOUT_MS}


@pytest.mark.parametrize("fault", CANCEL_FAULTS)
def test_a_fault_on_cancel_leaves_nothing_behind(relay: RelayProcess, server: PaperServer, fault: str) -> None:
    symbol = "APTUSDT"
    build(relay, server, symbol)
    server.control.fault(CANCEL, times=RESTING if FULL else 1, **CANCEL_FAULTS[fault])  # type: ignore[arg-type]
    signal = done(relay, symbol, action="close")
    assert faults_waiting(server) == 0
    assert [order["status"] for order in signal["orders"]] == ["filled"]
    assert position(server, symbol) == 0
    assert_nothing_rests(relay, server, symbol)


def test_look_ups_that_fail_after_a_cancel_hold_the_exit_up_and_lose_nothing(
    relay: RelayProcess, server: PaperServer
) -> None:
    build(relay, server, "ARBUSDT")
    server.control.fault(CANCEL, "drop_reply", times=2)
    server.control.fault(REALTIME, "http", times=6)
    done(relay, "ARBUSDT", action="close")
    assert position(server, "ARBUSDT") == 0
    assert_nothing_rests(relay, server, "ARBUSDT")


def test_an_order_that_the_exchange_forgets_after_its_cancel_does_not_hold_the_exit_up_for_ever(
    relay: RelayProcess, server: PaperServer
) -> None:
    done(relay, "BNBUSDT", action="buy", qty="1")
    done(relay, "BNBUSDT", action="buy", qty="1", type="limit", price="800")
    for path in (REALTIME, HISTORY):
        of_symbol = {"match": {"symbol": "BNBUSDT"}}
        server.control.fault(path, "http", status=200, body=NO_ORDERS, times=None, **of_symbol)
    server.control.clear_calls()
    signal_id = relay.post({"ticker": "BNBUSDT.P", "action": "close"}).json()["signal_id"]
    until(lambda: len(creates(server, "BNBUSDT")) == 1)
    server.control.clear_faults()
    assert relay.wait_for(signal_id)["status"] == "done"
    assert position(server, "BNBUSDT") == 0
    assert open_at(server, "BNBUSDT") == []


@pytest.mark.parametrize(
    ("symbol", "kind", "order"),
    [
        ("HYPEUSDT", "drop_reply", {"type": "stop_market", "trigger_price": "50"}),
        ("DOGEUSDT", "drop_request", {"type": "limit", "price": "0.18"}),
    ],
    ids=["a conditional, reply cut", "a limit, request cut"],
)
def test_a_fault_on_create_leaves_a_resting_order_exactly_once(
    relay: RelayProcess, server: PaperServer, symbol: str, kind: str, order: dict[str, str]
) -> None:
    server.control.fault(CREATE, kind, match={"symbol": symbol})
    signal = done(relay, symbol, action="buy", qty="100", **order)
    assert [each["status"] for each in signal["orders"]] == ["accepted"]
    assert [each.client_order_id for each in open_at(server, symbol)] == [signal["orders"][0]["client_order_id"]]
    assert event_names(signal).count("order_unknown") == 1


def test_a_clock_that_was_off_does_not_keep_a_cancel_from_its_order(relay: RelayProcess, server: PaperServer) -> None:
    build(relay, server, "OPUSDT")
    server.control.clock(90_000)
    try:
        done(relay, "OPUSDT", action="close")
    finally:
        server.control.clock(0)
    assert position(server, "OPUSDT") == 0
    assert_nothing_rests(relay, server, "OPUSDT")


def test_an_entry_that_fills_while_it_is_being_cancelled_is_closed_as_well(
    relay: RelayProcess, server: PaperServer
) -> None:
    build(relay, server, "INJUSDT")
    price = Decimal(server.control.prices()["INJUSDT"])
    server.control.fault(CANCEL, "delay_before", ms=600)
    server.control.clear_calls()
    signal_id = relay.post({"ticker": "INJUSDT.P", "action": "close"}).json()["signal_id"]
    until(lambda: bool(server.control.calls(CANCEL)))
    server.control.prices(INJUSDT=str(price * 89 / 100))
    signal = relay.wait_for(signal_id)
    assert signal["status"] == "done", signal
    assert Decimal(signal["orders"][0]["filled_qty"]) == HELD + 10
    assert position(server, "INJUSDT") == 0
    assert open_at(server, "INJUSDT") == []


def slow_cancels(server: PaperServer) -> None:
    server.control.clear_calls()
    server.control.clear_faults()
    server.control.fault(CANCEL, "delay_after", ms=200, times=RESTING)


@pytest.mark.parametrize(("action", "kills"), [("close", 2), ("reverse", 1)] + [("reverse", 2), ("target", 2)] * FULL)
def test_a_kill_while_what_rests_is_being_cancelled_changes_nothing_in_the_end(
    server: PaperServer, tmp_path: Path, action: str, kills: int
) -> None:
    symbol = {"close": "TIAUSDT", "reverse": "FILUSDT" if kills == 1 else "SUIUSDT", "target": "TONUSDT"}[action]
    alert = {"ticker": f"{symbol}.P", "action": action, **({"position_size": "5"} if action == "target" else {})}
    with running(tmp_path / "killed", server) as relay:
        build(relay, server, symbol)
        slow_cancels(server)
        signal_id = relay.post(alert).json()["signal_id"]
        for _ in range(kills):
            until(lambda: len(server.control.calls(CANCEL)) >= 2)
            relay.kill()
            slow_cancels(server)
            relay.start()
        signal = relay.wait_for(signal_id)
        assert signal["status"] == "done", signal
        assert position(server, symbol) == {"close": 0, "reverse": -20, "target": 5}[action]
        assert_nothing_rests(relay, server, symbol)
        own = [order for order in audit.at_exchange(server) if order.symbol == symbol]
        assert audit.differences(own, relay.all_signals()) == []


def test_an_entry_that_was_under_way_at_a_kill_does_not_rest_behind_the_close_that_follows(
    server: PaperServer, tmp_path: Path
) -> None:
    with running(tmp_path / "killed", server) as relay:
        done(relay, "WLDUSDT", action="buy", qty="20")
        server.control.clear_calls()
        server.control.fault(CREATE, "delay_before", ms=700)
        entry = {"ticker": "WLDUSDT.P", "action": "buy", "type": "limit", "qty": "20", "price": "1.0"}
        entry_id = relay.post(entry).json()["signal_id"]
        until(lambda: bool(server.control.calls(CREATE)))
        relay.kill()
        relay.start()
        done(relay, "WLDUSDT", action="close")
        assert relay.signal(entry_id)["status"] == "done"
        assert event_names(relay.signal(entry_id)).count("order_canceled") == 1
        assert open_at(server, "WLDUSDT") == []
        assert position(server, "WLDUSDT") == 0
