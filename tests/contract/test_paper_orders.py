"""Orders over a socket with the real client library: what V5 says of them afterwards."""

from __future__ import annotations

from typing import Any

import pytest
from pybit.unified_trading import HTTP

from tests.paper_server import PaperServer

LINEAR = {"category": "linear", "symbol": "BTCUSDT"}


@pytest.fixture
def session(paper: PaperServer) -> HTTP:
    return paper.session()


def place(session: HTTP, side: str, qty: str, **more: Any) -> str:
    """Places an order on BTCUSDT (or what `more` says) and returns its id."""
    kind = "Limit" if "price" in more else "Market"
    fields = {**LINEAR, "side": side, "orderType": kind, "qty": qty, "positionIdx": 0, **more}
    answer = session.place_order(**fields)
    return str(answer["result"]["orderId"])


def order(session: HTTP, order_id: str, **where: Any) -> dict[str, Any]:
    found = session.get_open_orders(**{**LINEAR, "orderId": order_id, **where})["result"]["list"]
    assert len(found) == 1
    return dict(found[0])


def position(session: HTTP, **where: Any) -> dict[str, Any]:
    return dict(session.get_positions(**{**LINEAR, **where})["result"]["list"][0])


def wallet(session: HTTP, coin: str = "USDT") -> dict[str, Any]:
    return dict(session.get_wallet_balance(accountType="UNIFIED", coin=coin)["result"]["list"][0]["coin"][0])


def test_a_market_order_is_acknowledged_with_its_ids_and_found_filled(session: HTTP) -> None:
    answer = session.place_order(**LINEAR, side="Buy", orderType="Market", qty="0.5", orderLinkId="first-1")
    assert answer["retCode"] == 0
    assert answer["retMsg"] == "OK"
    assert answer["result"]["orderLinkId"] == "first-1"
    found = order(session, answer["result"]["orderId"])
    assert (found["orderStatus"], found["cumExecQty"], found["avgPrice"]) == ("Filled", "0.500", "100000")
    assert (found["timeInForce"], found["leavesQty"], found["rejectReason"]) == ("IOC", "0.000", "EC_NoError")


def test_a_fill_is_listed_as_an_execution_with_its_taker_fee(session: HTTP) -> None:
    placed = place(session, "Buy", "0.5")
    (fill,) = session.get_executions(category="linear", orderId=placed)["result"]["list"]
    assert (fill["execPrice"], fill["execQty"], fill["execFee"]) == ("100000.00", "0.500", "27.5")
    assert (fill["feeCurrency"], fill["isMaker"], fill["execType"], fill["closedSize"]) == ("USDT", False, "Trade", "")


def test_the_average_price_and_the_open_profit_show_in_the_position(paper: PaperServer, session: HTTP) -> None:
    place(session, "Buy", "0.1")
    paper.control.prices(BTCUSDT="110000")
    place(session, "Buy", "0.1")
    held = position(session)
    assert (held["side"], held["size"], held["avgPrice"]) == ("Buy", "0.200", "105000")
    assert (held["unrealisedPnl"], held["positionIdx"], held["markPrice"]) == ("1000", 0, "110000.00")


def test_closing_realises_the_profit_less_both_fees(paper: PaperServer, session: HTTP) -> None:
    place(session, "Sell", "0.1")
    paper.control.prices(BTCUSDT="90000")
    closing = place(session, "Buy", "0.1", reduceOnly=True)
    assert wallet(session)["walletBalance"] == "100989.55"
    (row,) = session.get_closed_pnl(category="linear", symbol="BTCUSDT")["result"]["list"]
    assert (row["orderId"], row["closedPnl"], row["closedSize"]) == (closing, "989.55", "0.100")
    assert (row["avgEntryPrice"], row["avgExitPrice"]) == ("100000", "90000")


def test_an_inverse_position_earns_and_pays_in_its_coin(paper: PaperServer, session: HTTP) -> None:
    where = {"category": "inverse", "symbol": "BTCUSD"}
    place(session, "Buy", "100000", **where)
    paper.control.prices(BTCUSD="125000")
    place(session, "Sell", "100000", reduceOnly=True, **where)
    # 100000 contracts: 1/100000 - 1/125000 = 0.2 BTC, less 0.055 % of 1 BTC and of 0.8 BTC.
    assert wallet(session, "BTC")["walletBalance"] == "2.19901"
    assert wallet(session, "BTC")["cumRealisedPnl"] == "0.19901"


def test_a_usdc_perpetual_settles_in_usdc(session: HTTP) -> None:
    place(session, "Buy", "0.1", symbol="BTCPERP")
    assert wallet(session, "USDC")["walletBalance"] == "99994.5"
    assert wallet(session)["walletBalance"] == "100000"


def test_one_order_flips_the_position(session: HTTP) -> None:
    place(session, "Buy", "0.1")
    flip = place(session, "Sell", "0.3")
    assert (position(session)["side"], position(session)["size"]) == ("Sell", "0.200")
    (fill,) = session.get_executions(category="linear", orderId=flip)["result"]["list"]
    assert fill["closedSize"] == "0.100"


def test_a_limit_rests_and_fills_as_maker_when_the_price_crosses(paper: PaperServer, session: HTTP) -> None:
    placed = place(session, "Buy", "0.1", price="99000")
    assert order(session, placed)["orderStatus"] == "New"
    paper.control.prices(BTCUSDT="98500")
    found = order(session, placed)
    assert (found["orderStatus"], found["avgPrice"], found["cumExecFee"]) == ("Filled", "99000", "1.98")
    (fill,) = session.get_executions(category="linear", orderId=placed)["result"]["list"]
    assert fill["isMaker"] is True


@pytest.mark.parametrize(
    ("force", "price", "reason"),
    [
        ("PostOnly", "100000", "EC_PostOnlyWillTakeLiquidity"),
        ("IOC", "99000", "EC_NoImmediateQtyToFill"),
        ("FOK", "99000", "EC_CancelForNoFullFill"),
    ],
)
def test_time_in_force_is_honoured(session: HTTP, force: str, price: str, reason: str) -> None:
    found = order(session, place(session, "Buy", "0.1", price=price, timeInForce=force))
    assert (found["orderStatus"], found["rejectReason"], found["cumExecQty"]) == ("Cancelled", reason, "0.000")


def test_a_market_order_larger_than_the_depth_ends_cancelled_with_a_fill(paper: PaperServer, session: HTTP) -> None:
    paper.control.prices(BTCUSDT={"price": "100000", "depth": "0.04"})
    found = order(session, place(session, "Buy", "0.1"))
    assert (found["orderStatus"], found["cumExecQty"]) == ("Cancelled", "0.040")
    paper.control.prices(BTCUSDT="100000")
    assert order(session, place(session, "Buy", "0.1"))["orderStatus"] == "Filled"


def test_a_conditional_order_is_untriggered_until_its_price(paper: PaperServer, session: HTTP) -> None:
    placed = place(session, "Sell", "0.1", triggerPrice="95000", triggerDirection=2, triggerBy="MarkPrice")
    found = order(session, placed)
    assert (found["orderStatus"], found["stopOrderType"], found["triggerBy"]) == ("Untriggered", "Stop", "MarkPrice")
    paper.control.prices(BTCUSDT={"price": "94000", "mark": "96000"})
    assert order(session, placed)["orderStatus"] == "Untriggered"
    paper.control.prices(BTCUSDT="94000")
    assert order(session, placed)["orderStatus"] == "Filled"


def test_a_cancelled_conditional_order_is_deactivated(session: HTTP) -> None:
    placed = place(session, "Sell", "0.1", triggerPrice="95000", triggerDirection=2)
    session.cancel_order(**LINEAR, orderId=placed)
    assert order(session, placed)["orderStatus"] == "Deactivated"


def test_an_order_is_cancelled_by_its_link_id_and_leaves_the_open_ones(session: HTTP) -> None:
    place(session, "Buy", "0.1", price="99000", orderLinkId="rest-1")
    assert len(session.get_open_orders(**LINEAR)["result"]["list"]) == 1
    session.cancel_order(**LINEAR, orderLinkId="rest-1")
    assert session.get_open_orders(**LINEAR)["result"]["list"] == []
    (closed,) = session.get_open_orders(**LINEAR, openOnly=1)["result"]["list"]
    assert (closed["orderStatus"], closed["cancelType"]) == ("Cancelled", "CancelByUser")


def test_an_amended_order_keeps_its_id_and_takes_its_new_terms(session: HTTP) -> None:
    placed = place(session, "Buy", "0.1", price="99000")
    session.amend_order(**LINEAR, orderId=placed, qty="0.2", price="98000")
    found = order(session, placed)
    assert (found["qty"], found["price"], found["orderStatus"]) == ("0.200", "98000.00", "New")


def test_cancel_all_of_active_orders_leaves_stops_and_conditionals(session: HTTP) -> None:
    place(session, "Buy", "0.1", stopLoss="95000")
    place(session, "Buy", "0.1", price="99000")
    place(session, "Buy", "0.1", triggerPrice="105000", triggerDirection=1)
    gone = session.cancel_all_orders(**LINEAR, orderFilter="Order")["result"]
    assert (len(gone["list"]), gone["success"]) == (1, "1")
    left = {found["stopOrderType"] for found in session.get_open_orders(**LINEAR)["result"]["list"]}
    assert left == {"Stop", "StopLoss"}


def test_cancel_all_without_a_filter_takes_the_positions_stops_too(session: HTTP) -> None:
    place(session, "Buy", "0.1", stopLoss="95000", takeProfit="120000")
    place(session, "Buy", "0.1", price="99000")
    assert len(session.cancel_all_orders(category="linear", settleCoin="USDT")["result"]["list"]) == 3
    assert position(session)["stopLoss"] == ""


def test_stops_on_create_show_on_the_position_and_fire(paper: PaperServer, session: HTTP) -> None:
    place(session, "Buy", "0.1", takeProfit="110000", stopLoss="95000", orderLinkId="with-stops")
    held = position(session)
    assert (held["takeProfit"], held["stopLoss"]) == ("110000.00", "95000.00")
    stops = session.get_open_orders(**LINEAR, orderFilter="StopOrder")["result"]["list"]
    assert {(s["stopOrderType"], s["parentOrderLinkId"], s["reduceOnly"]) for s in stops} == {
        ("TakeProfit", "with-stops", True),
        ("StopLoss", "with-stops", True),
    }
    paper.control.prices(BTCUSDT="94000")
    assert (position(session)["size"], position(session)["side"]) == ("0", "")


def test_trading_stop_sets_moves_and_removes_the_positions_stops(session: HTTP) -> None:
    place(session, "Sell", "0.1")
    base = {**LINEAR, "tpslMode": "Full", "positionIdx": 0}
    session.set_trading_stop(**base, takeProfit="90000", stopLoss="105000", trailingStop="500")
    held = position(session)
    assert (held["takeProfit"], held["stopLoss"], held["trailingStop"]) == ("90000.00", "105000.00", "500.00")
    session.set_trading_stop(**base, takeProfit="0", stopLoss="104000")
    held = position(session)
    assert (held["takeProfit"], held["stopLoss"], held["trailingStop"]) == ("", "104000.00", "500.00")


def test_history_lists_closed_orders_only_newest_first(session: HTTP) -> None:
    first, second = place(session, "Buy", "0.1"), place(session, "Sell", "0.1")
    place(session, "Buy", "0.1", price="99000")
    found = session.get_order_history(**LINEAR)["result"]["list"]
    assert [row["orderId"] for row in found] == [second, first]


def test_history_can_lag_behind(paper: PaperServer, session: HTTP) -> None:
    paper.control.account(historyLagMs=60_000)
    place(session, "Buy", "0.1", orderLinkId="late-1")
    assert session.get_order_history(category="linear", orderLinkId="late-1")["result"]["list"] == []
    assert len(session.get_open_orders(**LINEAR, orderLinkId="late-1")["result"]["list"]) == 1


def pages(call: Any, **where: Any) -> list[list[str]]:
    """The ids on each page until the cursor ends."""
    found: list[list[str]] = []
    cursor = ""
    while True:
        result = call(**where, **({"cursor": cursor} if cursor else {}))["result"]
        found.append([row.get("orderId") or row["symbol"] for row in result["list"]])
        cursor = result["nextPageCursor"]
        if not cursor:
            return found


def test_open_orders_page_through_their_cursor(session: HTTP) -> None:
    placed = [place(session, "Buy", "0.01", price=str(90_000 + n)) for n in range(5)]
    found = pages(session.get_open_orders, **LINEAR, limit=2)
    assert [row for page in found for row in page] == placed[::-1]
    assert max(map(len, found)) == 2


def test_history_and_executions_page_through_their_cursors(session: HTTP) -> None:
    placed = [place(session, "Buy", "0.01") for _ in range(5)]
    for call in (session.get_order_history, session.get_executions):
        found = pages(call, **LINEAR, limit=2)
        assert [row for page in found for row in page] == placed[::-1]


def test_positions_page_by_twenty(session: HTTP) -> None:
    symbols = [row["symbol"] for row in session.get_instruments_info(category="linear")["result"]["list"]]
    usdt = [symbol for symbol in symbols if symbol.endswith("USDT")][:23]
    for symbol in usdt:
        rules = session.get_instruments_info(category="linear", symbol=symbol)["result"]["list"][0]["lotSizeFilter"]
        price = session.get_tickers(category="linear", symbol=symbol)["result"]["list"][0]["lastPrice"]
        step = float(rules["qtyStep"])
        place(session, "Buy", f"{(int(6 / float(price) / step) + 1) * step:.6g}", symbol=symbol)
    found = pages(session.get_positions, category="linear", settleCoin="USDT")
    assert [len(page) for page in found] == [20, 3]
    assert {symbol for page in found for symbol in page} == set(usdt)


def test_a_position_row_comes_back_without_a_position_and_two_in_hedge_mode(session: HTTP) -> None:
    held = position(session)
    assert (held["positionIdx"], held["size"], held["side"]) == (0, "0", "")
    session.switch_position_mode(**LINEAR, mode=3)
    rows = session.get_positions(**LINEAR)["result"]["list"]
    assert [row["positionIdx"] for row in rows] == [1, 2]


def test_funding_moves_the_wallet_and_is_an_execution(paper: PaperServer, session: HTTP) -> None:
    place(session, "Buy", "0.1")
    paper.control.funding("BTCUSDT", "0.0001")
    (paid,) = session.get_executions(category="linear", symbol="BTCUSDT", execType="Funding")["result"]["list"]
    assert (paid["execFee"], paid["orderType"]) == ("1", "UNKNOWN")
    assert wallet(session)["walletBalance"] == "99993.5"
