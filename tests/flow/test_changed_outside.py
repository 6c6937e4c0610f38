"""A position that was changed by hand is told, at the start and when it next matters, and is never mended."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from tests.paper_server import PaperServer
from tests.relay_server import RelayServer, running_relay


def by_hand(paper: PaperServer, symbol: str, side: str, qty: str) -> None:
    placed = paper.session().place_order(category="linear", symbol=symbol, side=side, orderType="Market", qty=qty)
    assert placed["retCode"] == 0


def position_of(paper: PaperServer, symbol: str) -> str:
    rows = paper.session().get_positions(category="linear", symbol=symbol)["result"]["list"]
    return str(rows[0]["size"])


def test_the_next_signal_that_reads_the_position_says_that_it_was_changed(paper: PaperServer, own: RelayServer) -> None:
    own.done({"action": "buy", "ticker": "ETHUSDT.P", "qty": "0.5", "id": "1"})
    by_hand(paper, "ETHUSDT", "Sell", "0.2")
    closed = own.done({"action": "close", "ticker": "ETHUSDT.P", "id": "2"})
    assert closed["status"] == "done" and closed["orders"][0]["filled_qty"] == "0.3"
    assert any("changed outside" in note and "it was 0.5, and is 0.3" in note for note in closed["notes"])


def test_the_relays_own_orders_are_no_discrepancy(own: RelayServer) -> None:
    for number, alert in enumerate(
        (
            {"action": "buy", "qty": "0.5"},
            {"action": "reverse"},
            {"action": "sell", "qty": "0.1"},
            {"action": "target", "market_position": "long", "market_position_size": "0.3"},
            {"action": "close"},
        )
    ):
        signal = own.done({"ticker": "SOLUSDT.P", "id": str(number), **alert, "qty_unit": "base"})
        assert signal["status"] == "done"
        assert not any("changed outside" in note for note in signal["notes"])


def test_coins_that_the_owner_buys_beside_a_perpetual_of_the_same_name_are_no_discrepancy(
    paper: PaperServer, own: RelayServer
) -> None:
    own.done({"action": "buy", "ticker": "ETHUSDT.P", "qty": "0.5", "id": "1"})
    coins = {"category": "spot", "symbol": "ETHUSDT", "side": "Buy"}
    session = paper.session()
    session.place_order(**coins, orderType="Market", qty="0.7", marketUnit="baseCoin")
    rests = session.place_order(**coins, orderType="Limit", qty="0.7", price="3500")["result"]["orderId"]
    closed = own.done({"action": "close", "ticker": "ETHUSDT.P", "id": "2"})
    assert (closed["status"], closed["orders"][0]["filled_qty"], closed["notes"]) == ("done", "0.5", [])
    (kept,) = session.get_open_orders(category="spot")["result"]["list"]
    assert kept["orderId"] == rests


def test_a_start_tells_what_was_changed_meanwhile_and_leaves_it_alone(
    tmp_path: Path, paper: PaperServer, caplog: pytest.LogCaptureFixture
) -> None:
    paper.control.reset()
    with running_relay(tmp_path, paper.url) as first:
        first.done({"action": "buy", "ticker": "XRPUSDT.P", "qty": "100", "id": "1"})
        first.done({"action": "buy", "ticker": "ADAUSDT.P", "qty": "100", "id": "2"})
    by_hand(paper, "XRPUSDT", "Sell", "100")
    with caplog.at_level(logging.WARNING), running_relay(tmp_path, paper.url):
        reported = [each.getMessage() for each in caplog.records if "changed outside" in each.getMessage()]
    assert len(reported) == 1 and reported[0].startswith("drift: XRPUSDT") and "it was 100, and is 0" in reported[0]
    assert position_of(paper, "XRPUSDT") == "0"
    assert position_of(paper, "ADAUSDT") == "100"
