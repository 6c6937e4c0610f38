"""What the exchange refuses, with its codes and words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pybit.exceptions import InvalidRequestError
from pybit.unified_trading import HTTP

from relay.paper.state import TABLE
from tests.paper_server import PaperServer

LINEAR = {"category": "linear", "symbol": "BTCUSDT"}
GOOD = {**LINEAR, "side": "Buy", "orderType": "Market", "qty": "0.1", "positionIdx": 0}


@pytest.fixture
def session(paper: PaperServer) -> HTTP:
    return paper.session()


def refused(call: Any, **fields: Any) -> tuple[int, str]:
    """The code and the words of a call that must be refused."""
    with pytest.raises(InvalidRequestError) as caught:
        call(**fields)
    return int(caught.value.status_code), str(caught.value.message)


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"symbol": "NOPEUSDT"}, 10001, "symbol invalid"),
        ({"category": "inverse"}, 10001, "symbol invalid"),
        ({"category": "option"}, 10001, "category invalid"),
        ({"side": "Long"}, 10001, "Side invalid"),
        ({"orderType": "Stop"}, 10001, "OrderType invalid"),
        ({"qty": "0.0005"}, 10001, "Qty invalid"),
        ({"qty": "0.1005"}, 10001, "Qty invalid"),
        ({"qty": "-1"}, 10001, "Qty invalid"),
        ({"qty": "1E-1"}, 10001, "Qty invalid"),
        ({"qty": "0"}, 10001, "exceeds minimum limit"),
        (
            {"qty": "120"},
            10001,
            "exceeds maximum limit allowed: too large, order_qty:12000000000 > max_qty:11900000000",
        ),
        ({"positionIdx": 1}, 10001, "position idx not match position mode"),
        ({"orderLinkId": "x" * 37}, 10001, "OrderLinkedID"),
        ({"orderLinkId": "no spaces"}, 10001, "OrderLinkedID"),
        ({"symbol": "XRPUSDT", "qty": "1.9"}, 110094, "minimum order value 5USDT"),
        ({"symbol": "FTTUSDT", "qty": "10"}, 110074, "not live"),
        ({"orderType": "Limit"}, 10001, "Price invalid"),
        ({"orderType": "Limit", "price": "99000.05"}, 110003, "allowable range"),
        ({"orderType": "Limit", "price": "2000000"}, 110003, "allowable range"),
        ({"orderType": "Limit", "price": "99000", "qty": "1191"}, 10001, "exceeds maximum limit"),
        ({"orderType": "Limit", "price": "99000", "timeInForce": "DAY"}, 10001, "TimeInForce invalid"),
        ({"reduceOnly": True}, 110017, "current position is zero, cannot fix reduce-only order qty"),
        ({"triggerPrice": "105000"}, 10001, "TriggerDirection invalid"),
        ({"triggerPrice": "95000", "triggerDirection": 1}, 110092, "expect Rising"),
        ({"triggerPrice": "105000", "triggerDirection": 2}, 110093, "expect Falling"),
        ({"stopLoss": "101000"}, 10001, "StopLoss:1010000000 set for Buy position should be lower"),
        ({"takeProfit": "99000"}, 10001, "TakeProfit:990000000 set for Buy position should be higher"),
        ({"tpslMode": "Full", "tpOrderType": "Limit", "takeProfit": "110000"}, 10001, "must be Market"),
        ({"slippageToleranceType": "Percent", "slippageTolerance": "20"}, 110109, "0.01% to 10%"),
        ({"slippageToleranceType": "TickSize", "slippageTolerance": "0.5"}, 110108, "1 to 10000"),
        ({"qty": "50"}, 110007, "ab not enough for new order"),
    ],
)
def test_a_bad_order_is_refused_and_changes_nothing(
    session: HTTP, change: dict[str, Any], code: int, words: str
) -> None:
    got = refused(session.place_order, **{**GOOD, **change})
    assert got[0] == code
    assert words in got[1]
    assert session.get_open_orders(category="linear", settleCoin="USDT", openOnly=1)["result"]["list"] == []


def test_a_link_id_can_be_used_once_and_a_refused_order_does_not_use_it(session: HTTP) -> None:
    refused(session.place_order, **{**GOOD, "qty": "0", "orderLinkId": "once"})
    session.place_order(**GOOD, orderLinkId="once")
    assert refused(session.place_order, **GOOD, orderLinkId="once") == (110072, "OrderLinkedID is duplicate")


def test_reduce_only_orders_carry_no_stops_and_need_no_minimum_value(session: HTTP) -> None:
    session.place_order(**GOOD)
    closing = {**GOOD, "side": "Sell", "reduceOnly": True}
    assert refused(session.place_order, **closing, stopLoss="120000")[0] == 10001
    assert refused(session.place_order, **{**closing, "side": "Buy"}) == (110017, "Reduce-only rule not satisfied")
    session.place_order(**{**closing, "qty": "0.001"})


def test_reduce_only_limits_beyond_the_position_are_cut_then_refused(session: HTTP) -> None:
    session.place_order(**GOOD)
    closing = {**GOOD, "side": "Sell", "reduceOnly": True, "orderType": "Limit", "price": "110000", "qty": "0.08"}
    session.place_order(**closing)
    session.place_order(**closing)
    resting = session.get_open_orders(**LINEAR)["result"]["list"]
    assert sorted(row["qty"] for row in resting) == ["0.020", "0.080"]
    assert refused(session.place_order, **closing) == (110017, "orderQty will be truncated to zero.")


def test_an_unknown_order_can_be_neither_cancelled_nor_amended(session: HTTP) -> None:
    assert refused(session.cancel_order, **LINEAR, orderLinkId="never") == (
        110001,
        "order not exists or too late to cancel",
    )
    assert refused(session.amend_order, **LINEAR, orderId="never", qty="1") == (
        110001,
        "order not exists or too late to replace",
    )
    assert refused(session.cancel_order, **LINEAR)[0] == 10001


def test_a_filled_order_is_too_late_to_cancel(session: HTTP) -> None:
    placed = session.place_order(**GOOD)["result"]["orderId"]
    assert refused(session.cancel_order, **LINEAR, orderId=placed)[0] == 110001


def test_an_amendment_must_change_something_and_keep_the_rules(session: HTTP) -> None:
    placed = session.place_order(**{**GOOD, "orderType": "Limit", "price": "99000"})["result"]["orderId"]
    which = {**LINEAR, "orderId": placed}
    assert refused(session.amend_order, **which, qty="0.1")[0] == 10001
    assert refused(session.amend_order, **which, qty="0.1005") == (10001, "Qty invalid")
    assert refused(session.amend_order, **which, price="99000.05")[0] == 110003
    assert refused(session.amend_order, **which, qty="100")[0] == 110007


def test_ten_conditional_orders_a_symbol_are_the_most(session: HTTP) -> None:
    waiting = {**GOOD, "triggerPrice": "105000", "triggerDirection": 1}
    for _ in range(10):
        session.place_order(**waiting)
    assert refused(session.place_order, **waiting)[0] == 110009
    session.place_order(**{**waiting, "symbol": "ETHUSDT", "triggerPrice": "4100"})


def test_five_hundred_active_orders_a_symbol_are_the_most(session: HTTP) -> None:
    resting = {**GOOD, "orderType": "Limit", "price": "90000", "qty": "0.001"}
    for _ in range(500):
        session.place_order(**resting)
    assert refused(session.place_order, **resting)[0] == 110020


def test_leverage_must_be_even_within_bounds_and_new(session: HTTP) -> None:
    assert refused(session.set_leverage, **LINEAR, buyLeverage="10", sellLeverage="10") == (
        110043,
        "leverage not modified",
    )
    assert refused(session.set_leverage, **LINEAR, buyLeverage="5", sellLeverage="6")[0] == 10001
    assert refused(session.set_leverage, **LINEAR, buyLeverage="101", sellLeverage="101")[0] == 110013
    session.set_leverage(**LINEAR, buyLeverage="50", sellLeverage="50")
    session.place_order(**{**GOOD, "qty": "40"})
    assert session.get_positions(**LINEAR)["result"]["list"][0]["leverage"] == "50"


def test_the_position_mode_switches_only_on_usdt_perpetuals_without_position_or_orders(session: HTTP) -> None:
    assert refused(session.switch_position_mode, **LINEAR, mode=0)[0] == 110025
    for symbol, category in (("BTCPERP", "linear"), ("BTCUSD", "inverse"), ("BTCUSDT-25JUN27", "linear")):
        assert refused(session.switch_position_mode, category=category, symbol=symbol, mode=3)[0] == 110029
    resting = session.place_order(**{**GOOD, "orderType": "Limit", "price": "99000"})["result"]["orderId"]
    assert refused(session.switch_position_mode, **LINEAR, mode=3)[0] == 110028
    session.cancel_order(**LINEAR, orderId=resting)
    session.place_order(**GOOD)
    assert refused(session.switch_position_mode, **LINEAR, mode=3)[0] == 110024


def test_hedge_mode_refuses_one_way_orders(session: HTTP) -> None:
    session.switch_position_mode(category="linear", coin="USDT", mode=3)
    assert refused(session.place_order, **GOOD) == (10001, "position idx not match position mode")
    session.place_order(**{**GOOD, "positionIdx": 1})


def test_trading_stop_without_a_position_is_refused(session: HTTP) -> None:
    fields = {**LINEAR, "tpslMode": "Full", "positionIdx": 0}
    assert refused(session.set_trading_stop, **fields, stopLoss="90000") == (
        10001,
        "can not set tp/sl/ts for zero position",
    )
    session.place_order(**GOOD)
    session.set_trading_stop(**fields, stopLoss="90000")
    assert refused(session.set_trading_stop, **fields, stopLoss="90000") == (34040, "not modified")


def test_linear_lists_want_a_symbol_or_a_coin(session: HTTP) -> None:
    assert refused(session.get_open_orders, category="linear", orderLinkId="a")[0] == 10001
    assert refused(session.get_positions, category="linear")[0] == 10001
    assert session.get_positions(category="inverse")["result"]["list"] == []


def test_a_pre_check_tells_the_refusal_without_placing(session: HTTP) -> None:
    checked = session.pre_check_order(**GOOD)["result"]
    assert checked["postImrE4"] > checked["preImrE4"]
    assert refused(session.pre_check_order, **{**GOOD, "qty": "50"})[0] == 110007
    assert session.get_positions(**LINEAR)["result"]["list"][0]["size"] == "0"


def test_the_instruments_of_a_table_that_is_named_are_listed_instead(tmp_path: Path) -> None:
    row = next(each for each in json.loads(TABLE.read_text()) if each["instrument"]["symbol"] == "ETHUSDT")
    row["instrument"] |= {"symbol": "MINEUSDT", "baseCoin": "MINE"}
    table = tmp_path / "mine.json"
    table.write_text(json.dumps([row]))
    paper = PaperServer(tmp_path, arguments=("--instruments", str(table)))
    try:
        listed = paper.session().get_instruments_info(category="linear")["result"]["list"]
        assert [each["symbol"] for each in listed] == ["MINEUSDT"]
        assert refused(paper.session().place_order, **GOOD) == (10001, "params error: symbol invalid BTCUSDT")
    finally:
        paper.close()


def test_a_market_order_is_protected_by_a_price_around_the_mark(session: HTTP, paper: PaperServer) -> None:
    paper.control.prices(BTCUSDT={"price": "100000", "ask": "120000"})
    placed = session.place_order(**LINEAR, side="Buy", orderType="Market", qty="0.01", positionIdx=0)["result"]
    (order,) = session.get_order_history(**LINEAR, orderId=placed["orderId"])["result"]["list"]
    assert (order["orderStatus"], order["cumExecQty"], order["price"]) == ("Cancelled", "0.000", "101000.00")
    paper.control.prices(BTCUSDT="100000")


def test_a_limit_price_beyond_the_bound_is_moved_or_refused(session: HTTP, paper: PaperServer) -> None:
    paper.control.prices(BTCUSDT={"price": "100000", "bid": "80000"})
    sell = {**LINEAR, "side": "Sell", "orderType": "Limit", "qty": "0.01", "price": "90000", "positionIdx": 0}
    placed = session.place_order(**sell)["result"]
    (order,) = session.get_open_orders(**LINEAR, orderId=placed["orderId"])["result"]["list"]
    assert (order["orderStatus"], order["price"]) == ("New", "99000.00")
    limit = session.get_price_limit(**LINEAR)["result"]
    assert (limit["buyLmt"], limit["sellLmt"]) == ("101000.00", "99000.00")
    assert session.get_user_setting_config()["result"]["lpaPerp"] is False
    paper.control.account(lpaPerp=True)
    assert refused(session.place_order, **sell)[0] == 110120
    assert refused(session.place_order, **{**sell, "side": "Buy", "price": "111000"})[0] == 110121
    assert session.get_user_setting_config()["result"]["lpaPerp"] is True


def test_what_is_delisted_loses_its_orders_and_then_itself(session: HTTP, paper: PaperServer) -> None:
    sol = {"category": "linear", "symbol": "SOLUSDT"}
    rests = session.place_order(**sol, side="Buy", orderType="Limit", qty="1", price="150", positionIdx=0)["result"]
    paper.control.rules("SOLUSDT", status="Delivering", deliveryTime="1900000000000")
    assert refused(session.place_order, **sol, side="Buy", orderType="Market", qty="1", positionIdx=0)[0] == 30228
    paper.control.rules("SOLUSDT", status="Closed")
    (order,) = session.get_order_history(**sol, orderId=rests["orderId"])["result"]["list"]
    assert (order["orderStatus"], order["cancelType"]) == ("Cancelled", "CancelBySettle")
    assert session.get_instruments_info(**sol, status="Trading")["result"]["list"] == []


def test_leverage_and_mode_are_told_without_a_position_but_not_in_portfolio_margin(
    session: HTTP, paper: PaperServer
) -> None:
    paper.control.account(leverage={"BTCUSDT": 7}, positionMode={"BTCUSDT": 3})
    url = f"{paper.url}/v5/position/symbol-info"
    rows = session._submit_request(method="GET", path=url, query=LINEAR, auth=True)["result"]["list"]
    assert [(each["leverage"], each["positionIdx"]) for each in rows] == [("7", 1), ("7", 2)]
    paper.control.account(marginMode="PORTFOLIO_MARGIN")
    assert refused(session._submit_request, method="GET", path=url, query=LINEAR, auth=True)[0] == 110077
