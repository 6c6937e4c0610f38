"""The exchange changes an instrument's rules while the relay runs, and tells nobody: exits go out all the same."""

from __future__ import annotations

from typing import Any

import pytest

from tests.paper_server import PaperServer
from tests.relay_server import RelayServer

pytestmark = pytest.mark.slow

SYMBOL = "SOLUSDT"


def position(relay: RelayServer) -> list[str]:
    return [row["size"] for row in relay.api("positions")["positions"]]


def opened(relay: RelayServer, qty: str) -> None:
    assert relay.done({"ticker": f"{SYMBOL}.P", "action": "buy", "qty": qty})["status"] == "done"


@pytest.mark.parametrize(
    "more",
    [{}, {"action": "flat"}, {"action": "sell", "qty": "12.3", "market_position": "flat"}],
    ids=["close", "flat", "the strategy's own exit"],
)
def test_a_whole_exit_closes_all_there_is_when_the_step_has_grown_coarser(
    own: RelayServer, paper: PaperServer, more: dict[str, Any]
) -> None:
    opened(own, "12.3")
    paper.control.rules(SYMBOL, qtyStep="1", minOrderQty="1")
    closed = own.done({"ticker": f"{SYMBOL}.P", "action": "close", **more})
    assert (closed["status"], closed["reason"]) == ("done", None)
    assert position(own) == []
    assert [order["status"] for order in closed["orders"]] == ["rejected", "filled"]


def test_a_part_is_closed_by_the_step_that_holds_now(own: RelayServer, paper: PaperServer) -> None:
    opened(own, "12.3")
    paper.control.rules(SYMBOL, qtyStep="1", minOrderQty="1")
    closed = own.done({"ticker": f"{SYMBOL}.P", "action": "close", "qty": "5.5"})
    assert (closed["status"], closed["orders"][-1]["qty"], position(own)) == ("done", "5", ["7.3"])


def test_a_part_that_the_new_step_makes_too_small_is_closed_with_the_next_exit(
    own: RelayServer, paper: PaperServer
) -> None:
    opened(own, "12.3")
    paper.control.rules(SYMBOL, qtyStep="1", minOrderQty="1")
    small, next_one = (own.done({"ticker": f"{SYMBOL}.P", "action": "close", "qty": qty}) for qty in ("0.8", "1.2"))
    assert (small["status"], position(own)) == ("done", ["10.3"])
    assert any("0.8 is less than the exchange takes by now" in note for note in small["notes"])
    assert [order["qty"] for order in next_one["orders"]] == ["2"]


@pytest.mark.parametrize("code", [30209, 110003, 110120])
def test_an_exit_whose_limit_is_beyond_the_exchanges_band_goes_at_the_market(
    own: RelayServer, paper: PaperServer, code: int
) -> None:
    opened(own, "12.3")
    paper.control.fault(
        "/v5/order/create", "code", retCode=code, retMsg="price out of the band", match={"orderType": "Limit"}, times=3
    )
    limit = {"ticker": f"{SYMBOL}.P", "action": "close", "qty": "5", "type": "limit"}
    passive = own.done({**limit, "price": "100000"})
    assert (passive["status"], position(own)) == ("attention", ["12.3"])
    closed = own.done({**limit, "price": "1"})
    assert (closed["status"], position(own)) == ("done", ["7.3"])
    assert [(order["type"], order["status"]) for order in closed["orders"]] == [
        ("limit", "rejected"),
        ("market", "filled"),
    ]


def test_an_exit_in_legs_leaves_nothing_though_each_leg_is_rounded_anew(own: RelayServer, paper: PaperServer) -> None:
    paper.control.rules(SYMBOL, maxMktOrderQty="7")
    own.relay.services.markets["default"].load_instruments(own.relay.services.exchanges["default"])
    opened(own, "12.3")
    paper.control.rules(SYMBOL, qtyStep="1", minOrderQty="1", maxMktOrderQty="4")
    closed = own.done({"ticker": f"{SYMBOL}.P", "action": "close"})
    assert (closed["status"], position(own)) == ("done", [])


def test_the_exit_of_a_flip_goes_by_the_step_that_holds_now(own: RelayServer, paper: PaperServer) -> None:
    opened(own, "12.3")
    paper.control.rules(SYMBOL, qtyStep="1", minOrderQty="1")
    own.done({"ticker": f"{SYMBOL}.P", "action": "reverse", "qty": "3"})
    assert position(own) == []


def test_the_exchanges_own_close_is_repeated_until_nothing_is_left(own: RelayServer, paper: PaperServer) -> None:
    """It closes no more than one order may be large, and that has shrunk unseen."""
    opened(own, "12.3")
    paper.control.rules(SYMBOL, qtyStep="1", minOrderQty="1")
    own.relay.services.markets["default"].load_instruments(own.relay.services.exchanges["default"])
    paper.control.rules(SYMBOL, maxMktOrderQty="5")
    closed = own.done({"ticker": f"{SYMBOL}.P", "action": "close"})
    assert (closed["status"], position(own)) == ("done", [])
    assert [order["filled_qty"] for order in closed["orders"]] == ["5", "5", "2.3"]


def test_what_the_exchanges_own_close_leaves_time_and_again_is_told(own: RelayServer, paper: PaperServer) -> None:
    opened(own, "12.3")
    paper.control.rules(SYMBOL, qtyStep="1", minOrderQty="1")
    own.relay.services.markets["default"].load_instruments(own.relay.services.exchanges["default"])
    paper.control.rules(SYMBOL, maxMktOrderQty="2")
    closed = own.done({"ticker": f"{SYMBOL}.P", "action": "close"})
    assert (closed["status"], closed["reason"]["code"]) == ("attention", "POSITION_REMAINS")
    assert position(own) == ["4.3"]


def test_after_an_entry_was_refused_for_its_size_the_next_one_goes_by_the_new_rules(
    own: RelayServer, paper: PaperServer
) -> None:
    paper.control.rules(SYMBOL, qtyStep="1", minOrderQty="1")
    first = own.done({"ticker": f"{SYMBOL}.P", "action": "buy", "qty": "2.5"})
    assert (first["status"], first["reason"]["code"]) == ("failed", "EXCHANGE_REFUSED")
    second = own.done({"ticker": f"{SYMBOL}.P", "action": "buy", "qty": "3.5"})
    assert (second["status"], position(own)) == ("done", ["3"])


def test_a_limit_exit_is_priced_by_the_tick_that_holds_now(own: RelayServer, paper: PaperServer) -> None:
    opened(own, "2")
    paper.control.rules(SYMBOL, tickSize="1")
    closed = own.done({"ticker": f"{SYMBOL}.P", "action": "close", "type": "limit", "price": "900.25"})
    assert (closed["status"], closed["orders"][-1]["price"]) == ("done", "901")
