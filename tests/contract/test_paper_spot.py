"""Spot on the paper exchange, over a socket with pybit: coins, locks, fees, triggers, and what V5 says of them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from pybit.exceptions import InvalidRequestError
from pybit.unified_trading import HTTP

from tests.paper_server import PaperServer

SPOT = {"category": "spot", "symbol": "BTCUSDT"}
ENDED = ("Filled", "Cancelled", "PartiallyFilledCanceled", "Deactivated")


@pytest.fixture
def session(paper: PaperServer) -> HTTP:
    return paper.session()


def place(session: HTTP, side: str, qty: str, **more: Any) -> str:
    kind = "Limit" if "price" in more else "Market"
    fields = {**SPOT, "side": side, "orderType": kind, "qty": qty, "isLeverage": 0, **more}
    if kind == "Market":
        fields.setdefault("marketUnit", "baseCoin")
    return str(session.place_order(**fields)["result"]["orderId"])


def code(call: Any, **fields: Any) -> int:
    with pytest.raises(InvalidRequestError) as caught:
        call(**fields)
    return int(caught.value.status_code)


def order(session: HTTP, order_id: str) -> dict[str, Any]:
    (found,) = session.get_open_orders(category="spot", orderId=order_id)["result"]["list"]
    return dict(found)


def legs(session: HTTP) -> list[dict[str, Any]]:
    """What waits for a price, the lowest first."""
    rows = session.get_open_orders(**SPOT)["result"]["list"]
    waiting = [row for row in rows if Decimal(row["triggerPrice"])]
    return sorted(waiting, key=lambda row: Decimal(row["triggerPrice"]))


def coin(session: HTTP, name: str, field: str = "walletBalance") -> str:
    (wallet,) = session.get_wallet_balance(accountType="UNIFIED", coin=name)["result"]["list"]
    return str(wallet["coin"][0][field])


def test_a_pair_shows_its_rules_and_no_perpetuals(session: HTTP) -> None:
    (row,) = session.get_instruments_info(**SPOT)["result"]["list"]
    lot = row["lotSizeFilter"]
    assert (lot["basePrecision"], lot["quotePrecision"], lot["minOrderAmt"]) == ("0.000001", "0.0000001", "5")
    assert "settleCoin" not in row and "leverageFilter" not in row and "qtyStep" not in lot
    listed = session.get_instruments_info(category="spot", limit=2, baseCoin="SOL")["result"]["list"]
    assert {"BTCUSDT", "ETHBTC", "MNTUSDT"} <= {each["symbol"] for each in listed}


def test_a_buy_by_value_never_costs_more_and_its_fee_is_taken_of_the_coin(paper: PaperServer, session: HTTP) -> None:
    paper.control.spot_prices(BTCUSDT="99999.9")
    found = order(session, place(session, "Buy", "200", marketUnit="quoteCoin", orderLinkId="by-value"))
    assert (found["qty"], found["marketUnit"], found["orderStatus"]) == ("200", "quoteCoin", "PartiallyFilledCanceled")
    assert (found["cumExecQty"], found["cumExecValue"], found["leavesValue"]) == ("0.002000", "199.9998", "0.0002")
    assert (found["cumFeeDetail"], found["rejectReason"]) == ({"BTC": "0.000002"}, "EC_CancelForNoFullFill")
    assert (found["price"], found["triggerPrice"], found["takeProfit"]) == ("0", "0.0", "0.0")
    assert (coin(session, "BTC"), coin(session, "USDT")) == ("2.001998", "99800.0002")
    (fill,) = session.get_executions(category="spot", orderLinkId="by-value")["result"]["list"]
    assert (fill["orderQty"], fill["execQty"]) == ("0.000000", "0.002000")
    assert (fill["execFee"], fill["feeCurrency"], fill["feeRate"], fill["isMaker"]) == (
        "0.000002",
        "BTC",
        "0.001",
        False,
    )


def test_a_buy_that_comes_out_even_is_filled(session: HTTP) -> None:
    assert order(session, place(session, "Buy", "500", marketUnit="quoteCoin"))["orderStatus"] == "Filled"


def test_without_a_unit_a_market_buy_is_by_value_and_a_sell_by_quantity(session: HTTP) -> None:
    bought = order(session, place(session, "Buy", "100", marketUnit=None))
    sold = order(session, place(session, "Sell", "0.01", marketUnit=None))
    assert (bought["cumExecValue"], sold["cumExecQty"]) == ("100", "0.010000")


def test_a_sale_pays_in_the_quote_coin_and_is_charged_there(session: HTTP) -> None:
    found = order(session, place(session, "Sell", "0.5"))
    assert (found["orderStatus"], found["cumFeeDetail"]) == ("Filled", {"USDT": "50"})
    assert (coin(session, "BTC"), coin(session, "USDT")) == ("1.5", "149950")
    by_value = order(session, place(session, "Sell", "30", marketUnit="quoteCoin"))
    assert by_value["cumExecQty"] == "0.000300"


def test_a_fee_is_told_to_its_last_decimal_and_so_is_what_is_left(session: HTTP) -> None:
    found = order(session, place(session, "Buy", "0.000123"))
    assert found["cumFeeDetail"] == {"BTC": "0.000000123"}
    assert (coin(session, "BTC"), coin(session, "BTC", "cumRealisedPnl")) == ("2.000122877", "-0.00000012")


def test_what_was_bought_cannot_be_sold_back_whole(paper: PaperServer, session: HTTP) -> None:
    paper.control.account(balances={"BTC": "0"})
    bought = order(session, place(session, "Buy", "0.1"))["cumExecQty"]
    fields = {**SPOT, "side": "Sell", "orderType": "Market"}
    assert code(session.place_order, **fields, qty=bought) == 170131
    place(session, "Sell", "0.0999")
    assert coin(session, "BTC") == "0"


def test_a_resting_order_locks_what_it_gives_away_and_frees_it_when_it_ends(paper: PaperServer, session: HTTP) -> None:
    buy = place(session, "Buy", "0.5", price="90000")
    sell = place(session, "Sell", "1.5", price="110000")
    assert (coin(session, "USDT", "locked"), coin(session, "BTC", "locked")) == ("45000", "1.5")
    assert (
        code(session.place_order, **SPOT, side="Sell", orderType="Market", qty="0.6", marketUnit="baseCoin") == 170131
    )
    session.cancel_order(**SPOT, orderId=buy)
    paper.control.spot_prices(BTCUSDT="111000")
    assert (coin(session, "USDT", "locked"), coin(session, "BTC", "locked")) == ("0", "0")
    assert order(session, buy)["orderStatus"] == "Cancelled"
    sold = order(session, sell)
    assert (sold["orderStatus"], sold["avgPrice"], sold["cumFeeDetail"]) == ("Filled", "110000", {"USDT": "165"})


def test_the_perpetuals_and_spot_share_their_dollars(session: HTTP) -> None:
    session.place_order(
        category="linear", symbol="BTCUSDT", side="Buy", orderType="Market", qty="5", positionIdx=0
    )  # ties up 50,000 of margin
    assert (
        code(session.place_order, **SPOT, side="Buy", orderType="Market", qty="50000", marketUnit="quoteCoin") == 170131
    )
    place(session, "Buy", "0.49", price="99000")
    assert code(
        session.place_order, category="linear", symbol="BTCUSDT", side="Buy", orderType="Limit", qty="0.5",
        price="90000", positionIdx=0,
    ) == 110007  # fmt: skip
    assert coin(session, "USDT", "totalOrderIM") == "0", "a spot order is no margin"


@pytest.mark.parametrize(
    ("force", "price", "status", "reason"),
    [
        ("PostOnly", "100000", "Cancelled", "EC_PostOnlyWillTakeLiquidity"),
        ("IOC", "99000", "Cancelled", "EC_NoImmediateQtyToFill"),
        ("FOK", "99000", "Cancelled", "EC_CancelForNoFullFill"),
        ("GTC", "99000", "New", "EC_NoError"),
        ("PostOnly", "99000", "New", "EC_NoError"),
        ("IOC", "100000", "Filled", "EC_NoError"),
    ],
)
def test_time_in_force_is_honoured(session: HTTP, force: str, price: str, status: str, reason: str) -> None:
    found = order(session, place(session, "Buy", "0.1", price=price, timeInForce=force))
    assert (found["orderStatus"], found["rejectReason"], found["timeInForce"]) == (status, reason, force)


def test_what_the_market_cannot_take_is_cancelled_by_spots_own_word(paper: PaperServer, session: HTTP) -> None:
    paper.control.spot_prices(BTCUSDT={"price": "100000", "depth": "0.04"})
    found = order(session, place(session, "Buy", "0.1"))
    assert (found["orderStatus"], found["cumExecQty"]) == ("PartiallyFilledCanceled", "0.040000")
    paper.control.spot_prices(BTCUSDT={"price": "100000", "depth": "0.04"})
    found = order(session, place(session, "Buy", "0.1", price="100000", timeInForce="IOC"))
    assert (found["orderStatus"], found["rejectReason"]) == ("PartiallyFilledCanceled", "EC_CancelForNoFullFill")
    rests = place(session, "Buy", "0.1", price="99000")
    paper.control.spot_prices(BTCUSDT={"price": "98500", "depth": "0.03"})
    assert order(session, rests)["orderStatus"] == "PartiallyFilled"
    session.cancel_order(**SPOT, orderId=rests)
    assert order(session, rests)["orderStatus"] == "PartiallyFilledCanceled"
    assert coin(session, "USDT", "locked") == "0"


def test_a_stop_order_locks_nothing_and_can_fail_when_its_price_comes(paper: PaperServer, session: HTTP) -> None:
    stop = place(session, "Sell", "2", triggerPrice="95000", orderFilter="StopOrder")
    found = order(session, stop)
    assert (found["orderStatus"], found["stopOrderType"], found["triggerBy"]) == ("Untriggered", "Stop", "")
    assert coin(session, "BTC", "locked") == "0"
    place(session, "Sell", "0.5")
    paper.control.spot_prices(BTCUSDT="94000")
    assert order(session, stop)["orderStatus"] == "Cancelled"
    later = place(session, "Buy", "0.1", price="96500", triggerPrice="96000", orderFilter="StopOrder")
    paper.control.spot_prices(BTCUSDT="96100")
    assert order(session, later)["orderStatus"] == "Filled"


def test_a_tpsl_order_locks_its_coins_at_once_and_is_deactivated_when_cancelled(
    paper: PaperServer, session: HTTP
) -> None:
    stop = place(session, "Sell", "1.5", triggerPrice="95000", orderFilter="tpslOrder")
    assert order(session, stop)["stopOrderType"] == "tpslOrder"
    assert coin(session, "BTC", "locked") == "1.5"
    assert code(session.cancel_order, **SPOT, orderId=stop) == 170213, "without its filter it is not found"
    assert session.cancel_all_orders(**SPOT)["result"]["list"] == []
    session.cancel_order(**SPOT, orderId=stop, orderFilter="tpslOrder")
    assert order(session, stop)["orderStatus"] == "Deactivated"
    again = place(session, "Sell", "1.5", triggerPrice="95000", orderFilter="tpslOrder")
    paper.control.spot_prices(BTCUSDT="94900")
    found = order(session, again)
    assert (found["orderStatus"], found["avgPrice"], coin(session, "BTC", "locked")) == ("Filled", "94900", "0")


def test_levels_of_a_limit_order_come_with_its_fill_and_one_ends_the_other(paper: PaperServer, session: HTTP) -> None:
    levels = {"takeProfit": "110000", "stopLoss": "90000", "tpOrderType": "Market", "slOrderType": "Market"}
    entry = place(session, "Buy", "0.1", price="99000", **levels)
    assert legs(session) == []
    paper.control.spot_prices(BTCUSDT="98900")
    found = legs(session)
    assert [(leg["side"], leg["qty"], leg["triggerPrice"]) for leg in found] == [
        ("Sell", "0.099900", "90000.0"),
        ("Sell", "0.099900", "110000.0"),
    ]
    assert {leg["stopOrderType"] for leg in found} == {"BidirectionalTpslOrder"}
    assert coin(session, "BTC", "locked") == "0.0999", "both stand for the same coins"
    assert order(session, entry)["takeProfit"] == "110000.0"
    paper.control.spot_prices(BTCUSDT="110100")
    taken, stopped = order(session, found[1]["orderId"]), order(session, found[0]["orderId"])
    assert (taken["orderStatus"], stopped["orderStatus"]) == ("Filled", "Deactivated")
    assert stopped["cancelType"] == "CancelByOCOSlCanceledByTpTriggered"
    assert coin(session, "BTC", "locked") == "0"


def test_an_order_is_amended_within_its_coins(session: HTTP) -> None:
    buy = place(session, "Buy", "0.5", price="90000")
    session.amend_order(**SPOT, orderId=buy, qty="0.6", price="91000")
    assert (order(session, buy)["qty"], coin(session, "USDT", "locked")) == ("0.600000", "54600")
    assert code(session.amend_order, **SPOT, orderId=buy, qty="2") == 170131
    assert code(session.amend_order, **SPOT, orderId=buy, takeProfit="95000") == 170312
    assert code(session.amend_order, **SPOT, orderId=buy, price="91000") == 10001
    stop = place(session, "Sell", "1", triggerPrice="95000", orderFilter="tpslOrder")
    session.amend_order(**SPOT, orderId=stop, triggerPrice="96000")
    assert order(session, stop)["triggerPrice"] == "96000.0"
    assert code(session.amend_order, **SPOT, orderId="nobody", qty="2") == 170213


def test_levels_are_amended_where_the_order_was_placed_with_them(paper: PaperServer, session: HTTP) -> None:
    levels = {"takeProfit": "110000", "tpOrderType": "Limit", "tpLimitPrice": "110100"}
    entry = place(session, "Buy", "0.1", price="99000", **levels)
    session.amend_order(**SPOT, orderId=entry, takeProfit="111000", tpLimitPrice="111100")
    paper.control.spot_prices(BTCUSDT="98900")
    (leg,) = legs(session)
    assert (leg["triggerPrice"], leg["price"], leg["orderType"]) == ("111000.0", "111100.0", "Limit")


GOOD = {**SPOT, "side": "Buy", "orderType": "Limit", "qty": "0.1", "price": "99000"}
MARKET = {**SPOT, "side": "Buy", "orderType": "Market", "qty": "0.1", "marketUnit": "baseCoin"}
LEVELS = {"takeProfit": "110000", "tpOrderType": "Market"}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({**GOOD, "symbol": "NOPEUSDT"}, 170121),
        ({**GOOD, "side": "Long"}, 170117),
        ({**GOOD, "orderType": "Stop"}, 170116),
        ({**GOOD, "timeInForce": "DAY"}, 170115),
        ({**GOOD, "timeInForce": "RPI"}, 170355),
        ({**GOOD, "orderFilter": "Bracket"}, 170201),
        ({**GOOD, "orderFilter": "StopOrder"}, 170202),
        ({**GOOD, "triggerPrice": "98000"}, 170130),
        ({**GOOD, "qty": ""}, 170105),
        ({**GOOD, "price": ""}, 170105),
        ({**GOOD, "qty": "much"}, 170130),
        ({**GOOD, "qty": "0"}, 170136),
        ({**GOOD, "qty": "0.1000001"}, 170137),
        ({**GOOD, "price": "0"}, 170133),
        ({**GOOD, "price": "99000.05"}, 170134),
        ({**GOOD, "price": "100600"}, 170372),
        ({**GOOD, "side": "Sell", "price": "99400"}, 170371),
        ({**GOOD, "qty": "0.00005"}, 170140),
        ({**GOOD, "qty": "84"}, 170381),
        ({**GOOD, "qty": "1.1"}, 170131),
        ({**GOOD, "side": "Sell", "price": "101000", "qty": "2.1"}, 170131),
        ({**GOOD, "isLeverage": 1}, 170036),
        ({**GOOD, "takeProfit": "110000"}, 170003),
        ({**GOOD, **LEVELS, "takeProfit": "98000"}, 170130),
        ({**GOOD, **LEVELS, "tpOrderType": "Limit"}, 170105),
        ({**MARKET, **LEVELS}, 170130),
        ({**MARKET, "marketUnit": "coins"}, 170130),
        ({**MARKET, "qty": "42"}, 170382),
        ({**MARKET, "qty": "4.99", "marketUnit": "quoteCoin"}, 170140),
        ({**MARKET, "qty": "10.00000001", "marketUnit": "quoteCoin"}, 170148),
        ({**MARKET, "qty": "5000000", "marketUnit": "quoteCoin"}, 170124),
        ({**MARKET, "qty": "100000.1", "marketUnit": "quoteCoin"}, 170131),
        ({**GOOD, "orderFilter": "tpslOrder", "triggerPrice": "120000"}, 170203),
        ({**GOOD, "orderFilter": "tpslOrder", "triggerPrice": "80000"}, 170204),
    ],
)
def test_a_bad_order_is_refused_with_spots_own_code_and_changes_nothing(
    session: HTTP, fields: dict[str, Any], expected: int
) -> None:
    assert code(session.place_order, **fields) == expected
    assert session.get_open_orders(category="spot", openOnly=1)["result"]["list"] == []
    assert (coin(session, "USDT", "locked"), coin(session, "BTC", "locked")) == ("0", "0")


def test_a_client_id_is_taken_once_for_all_categories(session: HTTP) -> None:
    place(session, "Buy", "0.1", price="90000", orderLinkId="once")
    assert code(session.place_order, **GOOD, orderLinkId="once") == 170141
    linear = {"category": "linear", "symbol": "BTCUSDT", "side": "Buy", "orderType": "Market", "qty": "0.1"}
    assert code(session.place_order, **linear, orderLinkId="once") == 110072


def test_a_price_beyond_the_bound_is_moved_where_the_account_says_so(paper: PaperServer, session: HTTP) -> None:
    limits = session.get_price_limit(**SPOT)["result"]
    assert (limits["buyLmt"], limits["sellLmt"]) == ("100500.0", "99500.0")
    paper.control.account(lpaSpot=True)
    assert order(session, place(session, "Buy", "0.1", price="120000"))["price"] == "100500.0"


def test_spot_and_the_perpetual_of_the_same_name_do_not_meet(paper: PaperServer, session: HTTP) -> None:
    spot_order = place(session, "Buy", "0.1", price="90000")
    perpetual = {"category": "linear", "symbol": "BTCUSDT"}
    assert session.get_open_orders(**perpetual)["result"]["list"] == []
    assert code(session.cancel_order, **perpetual, orderId=spot_order) == 110001
    paper.control.prices(BTCUSDT="80000")
    assert order(session, spot_order)["orderStatus"] == "New"
    place(session, "Buy", "0.1")
    assert session.get_positions(**perpetual)["result"]["list"][0]["size"] == "0"
    assert code(session.get_positions, category="spot", symbol="BTCUSDT") == 10001


def test_prices_candles_and_the_book_are_those_of_the_pair(paper: PaperServer, session: HTTP) -> None:
    paper.control.spot_prices(BTCUSDT={"price": "99000", "bid": "98999", "ask": "99001"})
    (row,) = session.get_tickers(**SPOT)["result"]["list"]
    assert (row["lastPrice"], row["bid1Price"], row["usdIndexPrice"]) == ("99000.0", "98999.0", "99000")
    assert "markPrice" not in row and "fundingRate" not in row
    book = session.get_orderbook(**SPOT)["result"]
    assert (book["s"], len(book["b"]), book["a"][0][0]) == ("BTCUSDT", 1, "99001.0")
    assert session.get_kline(**SPOT, interval="1", limit=1)["result"]["list"][0][4] == "99000.0"


def test_the_log_of_transactions_has_a_line_for_each_coin(session: HTTP) -> None:
    place(session, "Buy", "0.1")
    rows = session.get_transaction_log(category="spot")["result"]["list"]
    assert [(row["currency"], row["qty"], row["fee"], row["change"], row["cashBalance"]) for row in rows] == [
        ("USDT", "-10000", "0", "-10000", "90000"),
        ("BTC", "0.1", "0.0001", "0.0999", "2.0999"),
    ]
    assert {(row["type"], row["symbol"], row["category"]) for row in rows} == {("TRADE", "BTCUSDT", "spot")}


def test_fees_can_be_another_coins_or_a_makers_rebate(paper: PaperServer, session: HTTP) -> None:
    assert session.get_fee_rates(**SPOT)["result"]["list"][0]["takerFeeRate"] == "0.001"
    paper.control.fees("", spotMaker="-0.0001")
    rests = place(session, "Buy", "0.1", price="99000")
    paper.control.spot_prices(BTCUSDT="98900")
    assert order(session, rests)["cumFeeDetail"] == {"USDT": "-0.99"}
    paper.control.fees("MNT", price="2")
    assert order(session, place(session, "Buy", "0.1"))["cumFeeDetail"] == {"MNT": "4.945"}
    assert (coin(session, "MNT"), coin(session, "BTC")) == ("-4.945", "2.2")


def test_orders_are_found_by_every_filter_open_and_closed(session: HTTP) -> None:
    ids = {
        "Order": place(session, "Buy", "0.1", price="90000"),
        "StopOrder": place(session, "Sell", "0.1", triggerPrice="95000", orderFilter="StopOrder"),
        "tpslOrder": place(session, "Sell", "0.1", triggerPrice="96000", orderFilter="tpslOrder"),
    }
    for name, order_id in ids.items():
        (row,) = session.get_open_orders(category="spot", orderFilter=name)["result"]["list"]
        assert row["orderId"] == order_id
        session.cancel_all_orders(category="spot", orderFilter=name)
        (gone,) = session.get_order_history(category="spot", orderFilter=name)["result"]["list"]
        assert (gone["orderId"], gone["symbol"]) == (order_id, "BTCUSDT")
    assert len(session.get_order_history(**SPOT)["result"]["list"]) == 3
    assert session.get_open_orders(category="spot")["result"]["list"] == []


def test_spot_needs_its_own_right_and_counts_its_own_calls(paper: PaperServer, session: HTTP) -> None:
    paper.control.account(limiter={"on": True, "rate": 1, "spotRate": 2})
    perpetual = {"category": "linear", "symbol": "BTCUSDT", "side": "Buy", "orderType": "Market", "qty": "0.1"}
    session.place_order(**perpetual)
    place(session, "Buy", "0.1", price="90000")
    place(session, "Buy", "0.1", price="90000")
    assert code(session.place_order, **GOOD) == 10006
    paper.control.account(limiter={"on": False}, key={"permissions": {"ContractTrade": ["Order"], "Spot": []}})
    assert code(session.place_order, **GOOD) == 10005
    session.place_order(**perpetual)


def test_a_batch_has_at_most_ten_spot_orders(paper: PaperServer, session: HTTP) -> None:
    entry = {"symbol": "BTCUSDT", "side": "Buy", "orderType": "Limit", "qty": "0.01", "price": "90000"}
    answer = session.place_batch_order(category="spot", request=[entry, {**entry, "qty": "0"}])
    assert [each["code"] for each in answer["retExtInfo"]["list"]] == [0, 170136]
    assert code(session.place_batch_order, category="spot", request=[entry] * 11) == 10001
    paper.control.account(demo=True)
    assert code(session.place_batch_order, category="spot", request=[entry]) == 10032, "not in demo trading"


def test_what_can_be_spent_is_own_and_free(session: HTTP) -> None:
    place(session, "Sell", "0.5", price="110000")
    sell = session.get_borrow_quota(**SPOT, side="Sell")["result"]
    buy = session.get_borrow_quota(**SPOT, side="Buy")["result"]
    assert (sell["spotMaxTradeQty"], buy["spotMaxTradeAmount"], buy["spotMaxTradeQty"]) == ("1.5", "100000", "1")


def test_the_wallet_can_be_late_to_tell_what_was_bought(paper: PaperServer, session: HTTP) -> None:
    paper.control.account(balances={"BTC": "0"}, walletLagMs=1000)
    place(session, "Buy", "0.1")
    assert (coin(session, "BTC"), coin(session, "USDT")) == ("0", "100000")
    place(session, "Sell", "0.0999")
    assert coin(session, "BTC") == "0", "what is traded is not late"
    paper.control.clock(1000)
    assert coin(session, "USDT") == "99980.01"


def test_a_restart_loses_no_coin_and_no_order(paper: PaperServer, session: HTTP) -> None:
    levels = {"takeProfit": "110000", "stopLoss": "90000", "tpOrderType": "Market", "slOrderType": "Market"}
    place(session, "Buy", "0.1", price="100000", **levels)
    rests = place(session, "Buy", "0.2", price="95000", orderLinkId="kept")
    before = [coin(session, name, field) for name in ("BTC", "USDT") for field in ("walletBalance", "locked")]
    paper.kill()
    paper.restart()
    assert before == [coin(session, name, field) for name in ("BTC", "USDT") for field in ("walletBalance", "locked")]
    assert order(session, rests)["orderStatus"] == "New"
    paper.control.spot_prices(BTCUSDT="89900")
    assert order(session, rests)["cumFeeDetail"] == {"BTC": "0.0002"}
    assert coin(session, "BTC", "locked") == "0"
    assert code(session.place_order, **GOOD, orderLinkId="kept") == 170141


def test_nothing_is_traded_any_more_in_a_pair_that_is_not_listed(paper: PaperServer, session: HTTP) -> None:
    rests = place(session, "Buy", "0.1", price="90000")
    paper.control.rules("spot:BTCUSDT", status="Closed")
    assert session.get_instruments_info(**SPOT)["result"]["list"] == []
    assert order(session, rests)["orderStatus"] == "Cancelled"
    assert code(session.place_order, **GOOD) == 170121
