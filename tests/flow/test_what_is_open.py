"""What is open, and whose it is: positions with all that protects them, and the orders that rest."""

from __future__ import annotations

import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.faults.stage import until
from tests.flow.cli_support import environment, run
from tests.paper_server import PaperServer
from tests.relay_server import DEADLINE_S, RelayServer

pytestmark = pytest.mark.slow

BUY = {"action": "buy", "ticker": "BTCUSDT.P"}
LADDER = [{"at": "103000", "share": 30}, {"at": "105000", "share": 30}, {"at": "110000", "share": 40}]


@pytest.fixture
def own(own: RelayServer, paper: PaperServer) -> RelayServer:
    paper.control.prices(BTCUSDT="100000", ETHUSDT="4000")
    return own


def position_of(relay: RelayServer, symbol: str, fits: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The position once it is as it should be: ladder and ledger follow the fills."""
    until = time.monotonic() + DEADLINE_S
    while True:
        found: list[dict[str, Any]] = relay.api(f"positions?symbol={symbol}")["positions"]
        if found and fits(found[0]):
            return found[0]
        assert time.monotonic() < until, found
        time.sleep(0.02)


def test_a_position_shows_every_rung_that_rests_and_whose_it_is(own: RelayServer, paper: PaperServer) -> None:
    levels = {"take_profit": LADDER[:2], "stop_loss": "98000", "trailing_stop": "500"}
    before = own.done(BUY | {"qty": "0.1", "id": "a"} | levels)
    held = position_of(own, "BTCUSDT", lambda each: len(each["take_profits"]) == 2 and each["strategy"] is not None)
    assert held["take_profits"] == [{"price": "103000", "qty": "0.03"}, {"price": "105000", "qty": "0.03"}]
    assert (held["take_profit"], held["stop_loss"], held["trailing_stop"]) == (None, "98000", "500")
    assert (held["strategy"], held["margin"], held["leverage"]) == ("default", "1000", "10")
    assert before["received_at"][:16] <= held["opened_at"][:16] and held["opened_at"].endswith("Z")
    hand = paper.session()
    hand.place_order(
        category="linear", symbol="BTCUSDT", side="Sell", orderType="Limit", qty="0.01", price="101000", reduceOnly=True
    )
    hand.set_trading_stop(
        category="linear", symbol="BTCUSDT", positionIdx=0, tpslMode="Partial",
        takeProfit="102000", tpSize="0.02", tpOrderType="Market",
    )  # fmt: skip
    held = position_of(own, "BTCUSDT", lambda each: len(each["take_profits"]) == 4)
    nearest = [(each["price"], each["qty"]) for each in held["take_profits"]][:2]
    assert nearest == [("101000", "0.01"), ("102000", "0.02")]


def test_a_rung_is_shown_with_what_it_may_still_take(own: RelayServer, paper: PaperServer) -> None:
    own.done(BUY | {"qty": "0.1", "take_profit": LADDER, "id": "a"})
    position_of(own, "BTCUSDT", lambda each: len(each["take_profits"]) == 3)
    own.done(BUY | {"qty": "0.1", "id": "more"})
    held = position_of(own, "BTCUSDT", lambda each: each["take_profits"] and each["take_profits"][0]["qty"] == "0.06")
    paper.control.prices(BTCUSDT="103000")
    held = position_of(own, "BTCUSDT", lambda each: each["size"] == "0.14" and len(each["take_profits"]) == 2)
    assert [each["qty"] for each in held["take_profits"]] == ["0.06", "0.08"]


def test_the_take_profit_of_the_whole_position_is_a_rung_too_and_a_shorts_nearest_comes_first(
    own: RelayServer, paper: PaperServer
) -> None:
    own.done({"action": "sell", "ticker": "ETHUSDT.P", "qty": "2", "take_profit": "3500", "id": "short"})
    paper.session().place_order(
        category="linear", symbol="ETHUSDT", side="Buy", orderType="Limit", qty="0.5", price="3800", reduceOnly=True
    )
    held = position_of(own, "ETHUSDT", lambda each: len(each["take_profits"]) == 2)
    assert held["take_profits"] == [{"price": "3800", "qty": "0.5"}, {"price": "3500", "qty": "2"}]
    assert held["take_profit"] == "3500"


def test_what_nobody_here_opened_is_by_hand_and_what_cannot_be_read_is_null(
    own: RelayServer, paper: PaperServer
) -> None:
    paper.session().place_order(category="linear", symbol="ETHUSDT", side="Buy", orderType="Market", qty="1")
    held = position_of(own, "ETHUSDT", lambda each: each["strategy"] is not None)
    assert held["strategy"] == "by hand"
    paper.control.fault("/v5/order/realtime", "http", status=502, times=None)
    odd = {"positionIM": "", "liqPrice": "", "leverage": "", "openTime": 0, "unrealisedPnl": ""}
    paper.control.fault("/v5/position/list", "rows", where={"symbol": "ETHUSDT"}, set=odd, times=None)
    held = position_of(own, "ETHUSDT", lambda each: each["take_profits"] is None)
    assert [held[name] for name in ("margin", "liq_price", "leverage", "roe_pct", "unrealised_pnl")] == [None] * 5
    assert held["opened_at"] is not None, "the ledger knows when it was opened"


def test_a_position_that_can_be_liquidated_says_where(own: RelayServer) -> None:
    own.done(BUY | {"qty": "5", "leverage": "20", "id": "large"})
    held = position_of(own, "BTCUSDT", lambda each: each["liq_price"] is not None)
    # 100,000 less the fee and half a percent of 500,000 are lost once the price has fallen by about 19,445.
    assert Decimal(80_500) < Decimal(held["liq_price"]) < Decimal(80_600)
    assert held["margin"] == "25000"


def orders_of(relay: RelayServer, fits: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
    until = time.monotonic() + DEADLINE_S
    while True:
        found: list[dict[str, Any]] = relay.api("orders?open=1")["orders"]
        if fits(found):
            return found
        assert time.monotonic() < until, found
        time.sleep(0.02)


def test_what_rests_is_listed_with_its_amended_quantity_whose_it_is_how_far_away_and_since_when(
    own: RelayServer, paper: PaperServer
) -> None:
    own.done(BUY | {"qty": "0.1", "take_profit": LADDER, "id": "a"})
    own.done(
        {"action": "buy", "ticker": "ETHUSDT.P", "qty": "1", "type": "stop_market", "trigger_price": "4400", "id": "b"}
    )
    paper.session().place_order(
        category="inverse", symbol="BTCUSD", side="Sell", orderType="Limit", qty="100", price="110000"
    )
    own.done(BUY | {"qty": "0.1", "id": "more"})
    found = orders_of(own, lambda rows: {"0.06", "0.08"} <= {row["qty"] for row in rows} and len(rows) == 5)
    by_price = {row["price"] or row["trigger_price"]: row for row in found}
    assert [by_price[price]["qty"] for price in ("103000", "105000", "110000", "4400")][:2] == ["0.06", "0.06"]
    rung, conditional = by_price["103000"], by_price["4400"]
    assert (rung["strategy"], rung["purpose"], rung["distance_pct"], rung["reduce_only"]) == (
        "default", "take_profit", "3", True,
    )  # fmt: skip
    assert (conditional["type"], conditional["trigger_price"], conditional["price"]) == ("stop_market", "4400", None)
    assert (conditional["purpose"], conditional["distance_pct"]) == ("entry", "10")
    assert own.api(f"signals/{conditional['signal_id']}")["id"] == conditional["signal_id"]
    (hand,) = [row for row in found if row["strategy"] == "by hand"]
    assert (hand["category"], hand["symbol"], hand["side"], hand["qty"]) == ("inverse", "BTCUSD", "sell", "100")
    assert (hand["client_order_id"], hand["signal_id"], hand["fee"]) == (None, None, None)
    assert all(row["created_at"].endswith("Z") for row in found)
    # The journal has the amended quantity, too, after the order has ended as well.
    listed = {row["client_order_id"]: row["qty"] for row in own.api("orders")["orders"]}
    assert listed[rung["client_order_id"]] == "0.06" and hand["client_order_id"] not in listed
    paper.control.prices(BTCUSDT="103000")
    position_of(own, "BTCUSDT", lambda each: each["size"] == "0.14")
    assert len(orders_of(own, lambda rows: len(rows) == 4)) == 4
    filled = own.api("orders?status=filled")["orders"]
    assert ("0.06", "0.06") in [(row["qty"], row["filled_qty"]) for row in filled]


def test_the_stops_of_the_whole_position_are_the_positions_and_no_orders(own: RelayServer) -> None:
    own.done(BUY | {"qty": "0.1", "stop_loss": "97000", "take_profit": "110000", "trailing_stop": "900", "id": "a"})
    assert own.api("orders?open=1") == {"orders": [], "unreadable": []}


def test_an_order_that_a_person_amended_is_shown_as_it_rests(own: RelayServer, paper: PaperServer) -> None:
    signal = own.done(BUY | {"qty": "0.01", "type": "limit", "price": "90000", "id": "a"})
    paper.session().amend_order(
        category="linear",
        symbol="BTCUSDT",
        orderLinkId=signal["orders"][0]["client_order_id"],
        qty="0.02",
        price="80000",
    )
    (row,) = own.api("orders?open=1&symbol=btcusdt.p")["orders"]
    assert (row["qty"], row["price"], row["distance_pct"]) == ("0.02", "80000", "-20")
    assert own.api("orders?open=1&symbol=ETHUSDT")["orders"] == []
    assert own.api("orders?open=1&status=partially_filled")["orders"] == []


def test_what_an_exchange_that_does_not_answer_holds_is_told_from_the_journal(
    own: RelayServer, paper: PaperServer
) -> None:
    own.done(BUY | {"qty": "0.01", "type": "limit", "price": "90000", "id": "a"})
    paper.control.fault("/v5/order/realtime", "http", status=502, times=None)
    shown = own.api("orders?open=1")
    assert [(row["qty"], row["distance_pct"]) for row in shown["orders"]] == [("0.01", None)]
    assert [each["account"] for each in shown["unreadable"]] == ["default"]


def test_coins_and_a_perpetual_of_one_name_are_told_apart_and_closed_by_themselves(
    own: RelayServer, paper: PaperServer, tmp_path: Path
) -> None:
    own.done(BUY | {"qty": "0.02", "id": "perpetual"})
    own.done({"action": "buy", "ticker": "BTCUSDT", "market": "spot", "qty": "0.01", "id": "coins"})
    environ = environment(tmp_path, own.url)
    names = [line.split()[1:3] for line in run(environ, "positions").output.splitlines()[1:]]
    assert sorted(names) == [["BTCUSDT", "long"], ["BTCUSDT", "spot"]]
    unclear = run(environ, "close", "BTCUSDT")
    assert unclear.exit_code == 2 and "held as perpetual and spot; say which" in unclear.output
    assert run(environ, "close", "BTCUSDT", "--market", "spot").exit_code == 0
    (left,) = own.api("positions")["positions"]
    assert (left["category"], left["size"]) == ("linear", "0.02")
    until(lambda: "BTCUSDT spot" in run(environ, "trades").output)
