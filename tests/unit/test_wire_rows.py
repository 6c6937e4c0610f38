"""Whole rows and bodies in the exchange's spelling, each documented field by what it comes to."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from relay.bybit.calls import rate_key
from relay.bybit.wire_account import (
    LogEntry,
    RowUnreadable,
    balance_changes,
    is_dated,
    ledger_entry_from,
    log_entry_from,
    own_entry,
)
from relay.bybit.wire_orders import (
    OpenOrder,
    amend_params,
    cancel_params,
    create_params,
    fill_from,
    leverage_params,
    named_params,
    open_order_from,
    report_from,
    reported_execution,
    reported_order,
    stops_params,
)
from relay.domain.instrument import Category
from relay.domain.order import OrderStatus, OrderType, Purpose, Side, TimeInForce, TriggerBy
from relay.domain.position import Fill, OrderReport, StopLevels
from relay.domain.trades import ExitReason, LedgerEntry
from tests.unit.journal_builders import planned

D = Decimal
SPOT: dict[str, Any] = {"category": Category.SPOT, "qty": D("0.50"), "side": Side.SELL}

# Bodies.


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {"orderType": "Market", "qty": "0.5", "orderFilter": "Order", "marketUnit": "baseCoin"}),
        (
            {"spend": D("99.5")},
            {"orderType": "Market", "qty": "99.5", "orderFilter": "Order", "marketUnit": "quoteCoin"},
        ),
        (
            {"type": OrderType.LIMIT, "price": D("10.0"), "time_in_force": TimeInForce.IOC},
            {"orderType": "Limit", "qty": "0.5", "orderFilter": "Order", "price": "10", "timeInForce": "IOC"},
        ),
        (
            {"type": OrderType.STOP_MARKET, "trigger_price": D(9), "trigger_rises": False},
            {
                **{"orderType": "Market", "qty": "0.5", "orderFilter": "StopOrder", "marketUnit": "baseCoin"},
                **{"triggerPrice": "9"},
            },
        ),
        (
            {"type": OrderType.STOP_MARKET, "trigger_price": D(9), "locks": True},
            {
                **{"orderType": "Market", "qty": "0.5", "orderFilter": "tpslOrder", "marketUnit": "baseCoin"},
                **{"triggerPrice": "9"},
            },
        ),
        (
            {"type": OrderType.STOP_LIMIT, "trigger_price": D(9), "price": D(8)},
            {
                **{"orderType": "Limit", "qty": "0.5", "orderFilter": "StopOrder", "price": "8", "timeInForce": "GTC"},
                **{"triggerPrice": "9"},
            },
        ),
        (
            {"slippage_pct": D("0.559")},
            {
                **{"orderType": "Market", "qty": "0.5", "orderFilter": "Order", "marketUnit": "baseCoin"},
                **{"slippageToleranceType": "Percent", "slippageTolerance": "0.55"},
            },
        ),
    ],
)
def test_coins_are_ordered_with_the_account_s_own_money_and_nothing_that_spot_has_not(
    changes: dict[str, Any], expected: dict[str, object]
) -> None:
    always = {"category": "spot", "symbol": "BTCUSDT", "side": "Sell", "isLeverage": 0, "orderLinkId": "o"}
    assert create_params(planned(**SPOT, **changes), "o") == always | expected
    bought = create_params(planned(**{**SPOT, "side": Side.BUY}, **changes), "o")
    assert bought == always | expected | {"side": "Buy"}


@pytest.mark.parametrize("change", [{"closes_all": True}, {"type": OrderType.LIMIT}, {"type": OrderType.STOP_MARKET}])
def test_an_order_of_coins_that_lacks_what_it_needs_is_a_broken_contract(change: dict[str, Any]) -> None:
    with pytest.raises(AssertionError):
        create_params(planned(**SPOT, **change), "o")


def test_a_perpetual_s_order_with_everything_on_it() -> None:
    order = planned(
        type=OrderType.LIMIT_IF_TOUCHED,
        price=D("100.10"),
        trigger_price=D("101.0"),
        trigger_rises=True,
        trigger_by=TriggerBy.INDEX,
        time_in_force=TimeInForce.POST_ONLY,
        take_profit=D("120.0"),
        stop_loss=D("90.50"),
        slippage_pct=D(1),
    )
    assert create_params(order, "o") == {
        **{"category": "linear", "symbol": "BTCUSDT", "side": "Buy", "orderType": "Limit", "qty": "0.01"},
        **{"positionIdx": 0, "orderLinkId": "o", "price": "100.1", "timeInForce": "PostOnly"},
        **{"triggerPrice": "101", "triggerDirection": 1, "triggerBy": "IndexPrice"},
        **{"takeProfit": "120", "stopLoss": "90.5", "tpslMode": "Full"},
    }
    profit = create_params(planned(take_profit=D(120)), "o")
    assert (profit["takeProfit"], profit["tpslMode"], "stopLoss" in profit) == ("120", "Full", False)
    closing = create_params(planned(reduce_only=True), "o")
    assert closing["reduceOnly"] is True and "closeOnTrigger" not in closing
    assert create_params(planned(closes_all=True), "o")["qty"] == "0"
    several: tuple[dict[str, Any], ...] = (
        {"closes_all": True, "stop_loss": D(1)},
        {"reduce_only": True, "take_profit": D(1)},
    )
    for broken in several:
        with pytest.raises(AssertionError):
            create_params(planned(**broken), "o")


def test_what_is_asked_about_one_order_or_symbol_names_it() -> None:
    named = {"category": "linear", "symbol": "BTCUSDT", "orderLinkId": "o"}
    assert named_params(Category.LINEAR, "BTCUSDT", "o") == named
    assert cancel_params(Category.LINEAR, "BTCUSDT", "o", planned()) == named
    spot = named | {"category": "spot"}
    assert cancel_params(Category.SPOT, "BTCUSDT", "o", None) == spot
    stop = planned(**SPOT, type=OrderType.STOP_MARKET)
    for order, where in ((stop, "StopOrder"), (replace(stop, locks=True), "tpslOrder"), (planned(**SPOT), "Order")):
        assert cancel_params(Category.SPOT, "BTCUSDT", "o", order) == spot | {"orderFilter": where}
    assert amend_params(planned(), "o", D("2.0"), D("3.10")) == named | {"qty": "2", "price": "3.1"}
    both = {"category": "inverse", "symbol": "BTCUSD", "buyLeverage": "2.5", "sellLeverage": "2.5"}
    assert leverage_params(Category.INVERSE, "BTCUSD", D("2.50")) == both
    whole = {"category": "linear", "symbol": "BTCUSDT", "tpslMode": "Full", "positionIdx": 0}
    assert stops_params(Category.LINEAR, "BTCUSDT", StopLevels()) == whole
    levels = StopLevels(stop_loss=D("1.0"), take_profit=D(0), trailing_stop=D(3), trailing_start=D(4))
    spelled = {"stopLoss": "1", "takeProfit": "0", "trailingStop": "3", "activePrice": "4"}
    assert stops_params(Category.LINEAR, "BTCUSDT", levels) == whole | spelled
    assert rate_key("/v5/order/create", spot) == "/v5/order/create spot"
    assert rate_key("/v5/order/create", named) == "/v5/order/create"


# Orders and executions.


ORDER: dict[str, object] = {
    **{"orderId": "v-1", "orderLinkId": "o-1", "symbol": "BTCUSDT", "side": "Sell", "orderType": "Limit"},
    **{"orderStatus": "PartiallyFilled", "timeInForce": "GTC", "qty": "2.0", "price": "90.5", "avgPrice": "91"},
    **{"cumExecQty": "0.5", "cumExecFee": "0.7", "cumFeeDetail": {"USDT": "0.6"}, "rejectReason": "EC_NoError"},
    **{"cancelType": "UNKNOWN", "triggerPrice": "0", "reduceOnly": True, "closeOnTrigger": False, "createdTime": "77"},
}


def test_an_order_s_row_is_read_field_by_field() -> None:
    report = OrderReport(
        client_order_id="o-1",
        venue_order_id="v-1",
        status=OrderStatus.PARTIALLY_FILLED,
        filled_qty=D("0.5"),
        avg_price=D(91),
        fee=D("0.6"),
        price=D("90.5"),
        rests=True,
    )
    assert report_from(ORDER) == report
    assert report_from(ORDER | {"orderLinkId": ""}) == replace(report, client_order_id="")
    told = reported_order(ORDER, Category.LINEAR)
    assert (told.category, told.symbol, told.key, told.report) == (Category.LINEAR, "BTCUSDT", "o-1", report)
    assert reported_order(ORDER | {"orderLinkId": ""}, Category.LINEAR).key == "v-1"
    assert open_order_from(ORDER, Category.LINEAR) == OpenOrder(
        category=Category.LINEAR,
        symbol="BTCUSDT",
        client_order_id="o-1",
        venue_order_id="v-1",
        side=Side.SELL,
        qty=D(2),
        filled_qty=D("0.5"),
        price=D("90.5"),
        trigger_price=None,
        reduce_only=True,
        is_stop=False,
        created_at_ms=77,
    )
    assert open_order_from(ORDER, Category.LINEAR).open_qty == D("1.5")
    assert open_order_from(ORDER | {"createdTime": "0"}, Category.LINEAR).created_at_ms is None
    with pytest.raises(RowUnreadable, match="`side` is 'None'"):
        open_order_from(ORDER | {"side": "None"}, Category.LINEAR)


@pytest.mark.parametrize(
    ("kind", "is_stop", "is_partial", "is_profit"),
    [
        ("TakeProfit", True, False, True),
        ("StopLoss", True, False, False),
        ("TrailingStop", True, False, False),
        ("PartialTakeProfit", True, True, True),
        ("PartialStopLoss", True, True, False),
        ("MmRateClose", True, False, False),
        ("tpslOrder", True, False, False),
        ("OcoOrder", True, False, False),
        ("BidirectionalTpslOrder", True, False, False),
        ("Stop", False, False, False),
        ("PartialSomething", False, False, False),
        (None, False, False, False),
    ],
)
def test_each_kind_of_stop_is_told(kind: str | None, is_stop: bool, is_partial: bool, is_profit: bool) -> None:
    found = open_order_from(ORDER | {"stopOrderType": kind}, Category.LINEAR)
    assert (found.is_stop, found.is_partial, found.is_profit) == (is_stop, is_partial, is_profit)


@pytest.mark.parametrize(
    ("symbol", "category", "by_coin", "fee"),
    [
        ("BTCUSDT", Category.LINEAR, {"USDT": "0.6"}, "0.6"),
        ("BTCUSDT", Category.LINEAR, {"MNT": "3"}, "3"),
        ("BTCUSDT", Category.LINEAR, {"MNT": "3", "USDT": "0.6"}, "0.6"),
        ("BTCUSDT", Category.LINEAR, {"MNT": "3", "BTC": "0.6"}, "0.7"),
        ("BTCUSDT", Category.LINEAR, {}, "0.7"),
        ("BTCUSDT", Category.LINEAR, None, "0.7"),
        ("BTCPERP", Category.LINEAR, {"MNT": "3", "USDC": "0.6"}, "0.6"),
        ("BTCUSDT", Category.SPOT, {"BTC": "3", "USDT": "0.6"}, "0.6"),
        ("BTCUSDT", Category.LINEAR, 7, "0"),
    ],
)
def test_an_order_s_fee_is_its_only_coin_s_or_the_settle_coin_s(
    symbol: str, category: Category, by_coin: object, fee: str
) -> None:
    assert report_from(ORDER | {"symbol": symbol, "cumFeeDetail": by_coin}, category).fee == D(fee)


@pytest.mark.parametrize(
    ("status", "in_force", "reject", "cancel", "expected", "reason"),
    [
        ("Cancelled", "GTC", "EC_NoError", "UNKNOWN", OrderStatus.CANCELED, None),
        ("Cancelled", "GTC", "", "CancelByUser", OrderStatus.CANCELED, "CancelByUser"),
        ("Cancelled", "GTC", "EC_NoEnoughQtyToFill", "CancelByUser", OrderStatus.EXPIRED, "EC_NoEnoughQtyToFill"),
        ("Cancelled", "GTC", "EC_PostOnlyWillTakeLiquidity", "", OrderStatus.EXPIRED, "EC_PostOnlyWillTakeLiquidity"),
        ("Cancelled", "FOK", None, None, OrderStatus.EXPIRED, None),
        ("Cancelled", "IOC", "", "CancelByUser", OrderStatus.CANCELED, "CancelByUser"),
        ("Deactivated", "IOC", "", "", OrderStatus.CANCELED, None),
        ("Rejected", "IOC", "EC_PerCancelRequest", "", OrderStatus.REJECTED, "EC_PerCancelRequest"),
        ("New", "GTC", "EC_Others", "", OrderStatus.ACCEPTED, None),
        ("Filled", "IOC", "", "", OrderStatus.FILLED, None),
    ],
)
def test_how_an_order_ended_and_why(
    status: str, in_force: str, reject: str | None, cancel: str | None, expected: OrderStatus, reason: str | None
) -> None:
    row = {"orderStatus": status, "timeInForce": in_force, "rejectReason": reject, "cancelType": cancel}
    found = report_from(ORDER | row)
    assert (found.status, found.reason) == (expected, reason)


EXECUTION: dict[str, object] = {
    **{"symbol": "BTCUSDT", "orderId": "v-1", "orderLinkId": "o-1", "execId": "e-1", "execType": "Trade"},
    **{"side": "Sell", "execQty": "0.5", "execPrice": "90", "execValue": "45", "execFee": "0.3", "feeCurrency": ""},
    **{"feeRate": "0.001", "isMaker": True, "execTime": "123", "seq": "9", "leavesQty": "1.5", "execPnl": "4"},
    **{"closedSize": "0.25", "stopOrderType": "StopLoss"},
}


def test_an_execution_s_row_is_read_field_by_field() -> None:
    fill = Fill(
        exec_id="e-1",
        client_order_id="o-1",
        qty=D("0.5"),
        price=D(90),
        fee=D("0.3"),
        fee_coin="USDT",
        is_maker=True,
        at_ms=123,
    )
    assert fill_from(EXECUTION) == fill
    assert fill_from(EXECUTION | {"isMaker": False, "orderLinkId": None}) == replace(
        fill, is_maker=False, client_order_id=""
    )
    entry = LedgerEntry(
        exec_id="e-1",
        category=Category.LINEAR,
        symbol="BTCUSDT",
        coin="USDT",
        side=Side.SELL,
        qty=D("0.5"),
        price=D(90),
        fee=D("0.3"),
        funding=D(0),
        at_ms=123,
        seq=9,
        leaves=D("1.5"),
        realised=D(4),
        closed_qty=D("0.25"),
        reason=ExitReason.STOP_LOSS,
        client_order_id="o-1",
    )
    assert ledger_entry_from(EXECUTION, Category.LINEAR) == entry
    told = reported_execution(EXECUTION, Category.LINEAR)
    assert (told.category, told.symbol, told.key, told.exec_id) == (Category.LINEAR, "BTCUSDT", "o-1", "e-1")
    assert (told.seq, told.at_ms, told.moved, told.fill) == (9, 123, D("-0.5"), fill)
    assert (told.earned, told.kind, told.text) == ({"USDT": D("3.7")}, "Trade", "Sell 0.5 at 90")
    bare = reported_execution(
        {"symbol": "BTCUSDT", "orderId": "v-1", "execId": "e", "execTime": "1", "execType": "Funding"}, Category.LINEAR
    )
    assert (bare.key, bare.seq, bare.moved, bare.fill, bare.text) == ("v-1", 0, D(0), None, "no side 0 at no price")
    with pytest.raises(RowUnreadable, match="`side` is 'Both'"):
        reported_execution(EXECUTION | {"side": "Both"}, Category.LINEAR)
    for kind in ("Funding", "Delivery", "Settle", "SessionSettlePnL", "CorporateAction"):
        assert fill_from(EXECUTION | {"execType": kind}) is None


@pytest.mark.parametrize(
    ("kind", "symbol", "moves"),
    [
        *((each, "BTCUSDT", True) for each in ("Trade", "AdlTrade", "BustTrade", "BlockTrade", "MovePosition")),
        *((each, "BTCUSDT", True) for each in ("FutureSpread", "Delivery")),
        *((each, "BTCUSDT", False) for each in ("Funding", "SessionSettlePnL", "Settle", "UNKNOWN")),
        ("Settle", "BTCUSDZ26", True),
        ("Settle", "BTC-25DEC26", True),
    ],
)
def test_which_executions_move_a_position(kind: str, symbol: str, moves: bool) -> None:
    entry = ledger_entry_from(EXECUTION | {"execType": kind, "symbol": symbol}, Category.LINEAR)
    assert (entry.qty, entry.closed_qty) == ((D("0.5"), D("0.25")) if moves else (D(0), None))
    is_funding = kind == "Funding"
    if entry.coin == "USDT":
        assert (entry.fee, entry.funding) == ((D(0), D("0.3")) if is_funding else (D("0.3"), D(0)))


@pytest.mark.parametrize(
    ("symbol", "expected"),
    [("BTCUSDT", False), ("BTCUSDZ26", True), ("BTCUSDT-25DEC26", True), ("1000PEPEUSDT", False), ("BTCUSD", False)],
)
def test_a_contract_that_expires_says_so_in_its_name(symbol: str, expected: bool) -> None:
    assert is_dated(symbol) is expected


@pytest.mark.parametrize(
    ("told", "realised"),
    [
        ({"execPnl": "4"}, D(4)),
        ({"execPnl": "0"}, D(0)),
        ({"execPnl": ""}, None),
        ({"execPnl": "", "closedSize": "0"}, D(0)),
    ],
)
def test_a_close_in_usdc_waits_for_what_the_log_says_and_another_does_not(
    told: dict[str, object], realised: Decimal | None
) -> None:
    assert ledger_entry_from(EXECUTION | told, Category.LINEAR).realised == realised
    in_sessions = EXECUTION | told | {"symbol": "BTCPERP"}
    assert ledger_entry_from(in_sessions, Category.LINEAR).realised == (realised if realised == 0 else None)
    assert ledger_entry_from(in_sessions | {"execType": "Funding"}, Category.LINEAR).realised == D(0)


def test_fees_in_the_coins_themselves_lessen_what_was_bought_and_are_valued_at_the_fill() -> None:
    bought = EXECUTION | {"side": "Buy", "feeCurrency": "BTC", "execFee": "0.01"}
    entry = ledger_entry_from(bought, Category.SPOT)
    assert (entry.coin, entry.qty, entry.fee, dict(entry.fees_other)) == ("USDT", D("0.49"), D("0.90"), {})
    assert (entry.realised, entry.closed_qty) == (None, None)
    assert balance_changes(bought, Category.SPOT) == {"BTC": D("0.49"), "USDT": D(-45)}
    sold = EXECUTION | {"feeCurrency": "BTC", "execFee": "0.01"}
    assert ledger_entry_from(sold, Category.SPOT).qty == D("0.51")
    assert balance_changes(sold, Category.SPOT) == {"BTC": D("-0.51"), "USDT": D(45)}
    other = EXECUTION | {"feeCurrency": "MNT", "execFee": "2", "execValue": ""}
    assert balance_changes(other, Category.SPOT) == {"BTC": D("-0.5"), "USDT": D(45), "MNT": D(-2)}
    assert fill_from(bought, Category.SPOT) is not None
    for row, base in ((bought, "0.01"), (EXECUTION, "0"), (other, "0")):
        found = fill_from(row, Category.SPOT)
        assert found is not None and found.base_fee == D(base)


@pytest.mark.parametrize(
    ("change", "worth"),
    [
        ({}, "0.045"),
        ({"execFee": "-2"}, "-0.045"),
        ({"feeRate": "-0.001"}, "0.045"),
        ({"feeRate": ""}, None),
        ({"execValue": "0"}, None),
        ({"extraFees": [{"feeCoin": "USDT", "fee": "1", "feeRate": "0.5"}]}, "0.045"),
        ({"extraFees": [{"feeCoin": "BTC", "fee": "1"}]}, None),
        ({"extraFees": [{"feeCoin": "ABC", "fee": "1", "feeRate": "0.01"}]}, "0.495"),
        ({"extraFees": [{"feeCoin": "ABC", "fee": "0"}]}, "0.045"),
    ],
)
def test_what_fees_in_other_coins_were_worth_is_in_their_rate(change: dict[str, object], worth: str | None) -> None:
    row = EXECUTION | {"feeCurrency": "MNT", "execFee": "2"} | change
    found = ledger_entry_from(row, Category.LINEAR).fees_other_usd
    assert found == (None if worth is None else D(worth))


def test_a_fill_as_the_journal_has_it_is_an_entry_without_a_result() -> None:
    row = SimpleNamespace(exec_id="e", category=Category.SPOT, symbol="BTCUSDT", side=Side.BUY, at=9)
    vars(row).update(client_order_id="o", qty=D(2), price=D(100), fee=D("0.5"), fee_coin="USDT")
    entry = LedgerEntry(
        exec_id="e",
        category=Category.SPOT,
        symbol="BTCUSDT",
        coin="USDT",
        side=Side.BUY,
        qty=D(2),
        price=D(100),
        fee=D("0.5"),
        funding=D(0),
        at_ms=9,
        realised=None,
        client_order_id="o",
    )
    assert own_entry(row) == entry
    row.fee_coin = "BTC"
    assert own_entry(row) == replace(entry, qty=D("1.5"), fee=D(50))
    row.fee_coin = "MNT"
    assert own_entry(row) == replace(entry, fee=D(0), fees_other={"MNT": D("0.5")}, fees_other_usd=None)


LOG: dict[str, object] = {
    **{"id": "i", "type": "TRADE", "category": "linear", "tradeId": "t", "currency": "USDT", "symbol": "BTCUSDT"},
    **{"cashBalance": "100", "change": "-3", "cashFlow": "2", "transactionTime": "55"},
}


def test_a_row_of_the_transaction_log_is_read_field_by_field() -> None:
    name = "i TRADE t USDT BTCUSDT 100"
    assert log_entry_from(LOG) == LogEntry(id=name, coin="USDT", change=D(-3), flow=D(2), exec_id="t", at_ms=55)
    assert log_entry_from(LOG | {"category": "spot"}) is None and log_entry_from(LOG | {"type": "INTEREST"}) is None
    for kind in ("SETTLEMENT", "DELIVERY", "LIQUIDATION", "ADL", "FEE_REFUND"):
        found = log_entry_from(LOG | {"type": kind, "category": "inverse", "tradeId": ""})
        assert found is not None and (found.exec_id, found.session) == ("", None)
    paid = LOG | {"type": "SETTLEMENT", "currency": "USDC", "symbol": "BTCPERP"}
    session = log_entry_from(paid)
    assert session is not None and session.session is not None
    assert (session.session.realised, session.session.qty, session.session.at_ms) == (D(2), D(0), 55)
    assert session.session.exec_id == f"session {session.id}"
    for nothing in ({"cashFlow": "0"}, {"type": "TRADE"}, {"currency": "USDT"}):
        without = log_entry_from(paid | nothing)
        assert without is not None and without.session is None


def test_a_time_in_force_that_fills_at_once_rests_nowhere_and_an_order_of_its_purpose_says_no_more() -> None:
    for in_force, rests in (("IOC", False), ("FOK", False), ("GTC", True), ("PostOnly", True)):
        assert report_from(ORDER | {"timeInForce": in_force}).rests is rests
        assert report_from(ORDER | {"timeInForce": in_force, "orderStatus": "Untriggered"}).rests is True
        assert report_from(ORDER | {"timeInForce": in_force, "orderStatus": "Triggered"}).rests is False
    assert planned().purpose is Purpose.ENTRY


@pytest.mark.parametrize(
    ("is_maker", "rate", "side", "coin"),
    [
        (False, "-0.001", "Buy", "BTC"),
        (True, "-0.001", "Buy", "USDT"),
        (True, "0", "Buy", "BTC"),
        (True, "", "Sell", "USDT"),
    ],
)
def test_only_a_maker_that_is_paid_has_its_fee_in_the_other_coin(
    is_maker: bool, rate: str, side: str, coin: str
) -> None:
    fill = fill_from(EXECUTION | {"isMaker": is_maker, "feeRate": rate, "side": side}, Category.SPOT)
    assert fill is not None and fill.fee_coin == coin
