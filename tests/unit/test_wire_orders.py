"""Orders, reports and fills in Bybit's spelling."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from relay.bybit.wire_orders import create_params, fill_from, open_order_from, report_from, reported_execution
from relay.domain.instrument import Category
from relay.domain.order import OrderStatus, OrderType, PlannedOrder, Purpose, Side, TimeInForce, TriggerBy
from relay.domain.spot import OwnCoins


def planned(**changes: Any) -> PlannedOrder:
    fields: dict[str, Any] = {
        "leg": 0,
        "category": Category.LINEAR,
        "symbol": "BTCUSDT",
        "side": Side.BUY,
        "type": OrderType.MARKET,
        "qty": Decimal("0.010"),
        "purpose": Purpose.ENTRY,
    }
    return PlannedOrder(**{**fields, **changes})


def row(**changes: object) -> dict[str, object]:
    """A row of `/v5/order/realtime` as its documentation shows one."""
    return {
        "orderId": "fd4300ae-7847-404e-b947-b46980a4d140",
        "orderLinkId": "id-1",
        "symbol": "ETHUSDT",
        "price": "1600.00",
        "qty": "0.10",
        "side": "Buy",
        "positionIdx": 0,
        "orderStatus": "New",
        "cancelType": "UNKNOWN",
        "rejectReason": "EC_NoError",
        "avgPrice": "",
        "cumExecQty": "0.00",
        "cumExecFee": "0",
        "timeInForce": "GTC",
        "orderType": "Limit",
        "stopOrderType": "UNKNOWN",
        "triggerPrice": "0.00",
        "reduceOnly": False,
        "closeOnTrigger": False,
        "cumFeeDetail": {},
        **changes,
    }


def test_a_market_order_residuals_the_necessary_and_nothing_else() -> None:
    assert create_params(planned(), "id-1") == {
        "category": "linear",
        "symbol": "BTCUSDT",
        "side": "Buy",
        "orderType": "Market",
        "qty": "0.01",
        "positionIdx": 0,
        "orderLinkId": "id-1",
    }


def test_a_limit_order_residuals_its_price_and_time_in_force() -> None:
    params = create_params(
        planned(
            type=OrderType.LIMIT,
            side=Side.SELL,
            price=Decimal("100000.50"),
            time_in_force=TimeInForce.POST_ONLY,
            category=Category.INVERSE,
            symbol="BTCUSD",
            qty=Decimal(100),
        ),
        "id-1",
    )
    assert params["category"] == "inverse"
    assert (params["side"], params["orderType"]) == ("Sell", "Limit")
    assert (params["price"], params["qty"], params["timeInForce"]) == ("100000.5", "100", "PostOnly")


def test_tiny_and_huge_numbers_have_no_exponent() -> None:
    params = create_params(planned(qty=Decimal("1E+6"), type=OrderType.LIMIT, price=Decimal("1E-7")), "id-1")
    assert (params["qty"], params["price"]) == ("1000000", "0.0000001")


@pytest.mark.parametrize(("rises", "direction"), [(True, 1), (False, 2)])
def test_a_conditional_order_says_from_where_its_trigger_is_reached(rises: bool, direction: int) -> None:
    params = create_params(
        planned(
            type=OrderType.STOP_MARKET,
            trigger_price=Decimal(95000),
            trigger_rises=rises,
            trigger_by=TriggerBy.MARK,
        ),
        "id-1",
    )
    assert params["orderType"] == "Market"
    assert "timeInForce" not in params
    assert (params["triggerPrice"], params["triggerDirection"]) == ("95000", direction)
    assert params["triggerBy"] == "MarkPrice"


def test_a_stop_limit_is_a_limit_order_with_a_trigger() -> None:
    params = create_params(
        planned(type=OrderType.STOP_LIMIT, price=Decimal(94000), trigger_price=Decimal(95000), trigger_rises=False),
        "id-1",
    )
    assert (params["orderType"], params["price"], params["triggerPrice"]) == ("Limit", "94000", "95000")
    assert params["timeInForce"] == "GTC"


def test_stops_ride_on_the_entry_for_the_whole_position() -> None:
    params = create_params(planned(stop_loss=Decimal(90000), take_profit=Decimal("110000.0")), "id-1")
    assert (params["stopLoss"], params["takeProfit"], params["tpslMode"]) == ("90000", "110000", "Full")


def test_one_stop_alone_is_sent_alone() -> None:
    params = create_params(planned(stop_loss=Decimal(90000)), "id-1")
    assert "takeProfit" not in params
    assert params["tpslMode"] == "Full"


def test_a_reduce_only_order_says_so() -> None:
    assert create_params(planned(reduce_only=True), "id-1")["reduceOnly"] is True


def test_a_reduce_only_order_with_stops_is_a_broken_contract() -> None:
    with pytest.raises(AssertionError, match="reduce-only"):
        create_params(planned(reduce_only=True, stop_loss=Decimal(1)), "id-1")


def test_closing_everything_is_a_quantity_of_zero_that_can_only_reduce() -> None:
    params = create_params(planned(side=Side.SELL, closes_all=True, qty=Decimal("0.0153")), "id-1")
    assert (params["qty"], params["reduceOnly"], params["closeOnTrigger"]) == ("0", True, True)


def test_slippage_goes_with_plain_market_orders_only() -> None:
    params = create_params(planned(slippage_pct=Decimal("0.50")), "id-1")
    assert (params["slippageToleranceType"], params["slippageTolerance"]) == ("Percent", "0.5")
    resting = planned(
        slippage_pct=Decimal("0.5"), type=OrderType.STOP_MARKET, trigger_price=Decimal(1), trigger_rises=False
    )
    assert "slippageTolerance" not in create_params(resting, "id-1")


@pytest.mark.parametrize(
    ("spelled", "in_force", "status", "rests"),
    [
        ("New", "GTC", OrderStatus.ACCEPTED, True),
        ("New", "PostOnly", OrderStatus.ACCEPTED, True),
        ("New", "IOC", OrderStatus.ACCEPTED, False),
        ("Untriggered", "IOC", OrderStatus.ACCEPTED, True),
        ("Triggered", "GTC", OrderStatus.ACCEPTED, False),
        ("PartiallyFilled", "GTC", OrderStatus.PARTIALLY_FILLED, True),
        ("PartiallyFilled", "IOC", OrderStatus.PARTIALLY_FILLED, False),
        ("Filled", "IOC", OrderStatus.FILLED, False),
        ("Rejected", "GTC", OrderStatus.REJECTED, False),
        ("Deactivated", "IOC", OrderStatus.CANCELED, False),
        ("Cancelled", "GTC", OrderStatus.CANCELED, False),
        ("Cancelled", "IOC", OrderStatus.EXPIRED, False),
        ("PartiallyFilledCanceled", "IOC", OrderStatus.EXPIRED, False),
        ("PartiallyFilledCanceled", "GTC", OrderStatus.CANCELED, False),
    ],
)
def test_each_status_of_the_exchange_has_one_of_ours(
    spelled: str, in_force: str, status: OrderStatus, rests: bool
) -> None:
    report = report_from(row(orderStatus=spelled, timeInForce=in_force))
    assert (report.status, report.rests) == (status, rests)


@pytest.mark.parametrize(
    ("in_force", "word"),
    [
        ("PostOnly", "EC_PostOnlyWillTakeLiquidity"),
        ("IOC", "EC_NoImmediateQtyToFill"),
        ("FOK", "EC_CancelForNoFullFill"),
    ],
)
def test_an_order_that_its_time_in_force_ended_has_expired(in_force: str, word: str) -> None:
    report = report_from(row(orderStatus="Cancelled", timeInForce=in_force, rejectReason=word))
    assert (report.status, report.reason) == (OrderStatus.EXPIRED, word)


def test_an_order_that_somebody_cancelled_is_canceled_whatever_its_time_in_force() -> None:
    report = report_from(row(orderStatus="Cancelled", timeInForce="IOC", cancelType="CancelByReduceOnly"))
    assert (report.status, report.reason) == (OrderStatus.CANCELED, "CancelByReduceOnly")


def test_a_cancelled_order_keeps_what_was_filled() -> None:
    report = report_from(
        row(
            orderStatus="Cancelled",
            cancelType="CancelByUser",
            cumExecQty="0.04",
            avgPrice="1599.5",
            cumFeeDetail={"USDT": "0.035"},
        )
    )
    assert report.status is OrderStatus.CANCELED
    assert (report.filled_qty, report.avg_price, report.fee) == (Decimal("0.04"), Decimal("1599.5"), Decimal("0.035"))


@pytest.mark.parametrize("nothing", ["", "0"])
def test_an_order_without_a_fill_has_no_average_price(nothing: str) -> None:
    assert report_from(row(avgPrice=nothing)).avg_price is None


def test_an_open_order_has_no_reason_to_have_ended() -> None:
    assert report_from(row()).reason is None


def test_the_fee_of_an_inverse_order_is_the_old_field() -> None:
    report = report_from(row(symbol="BTCUSD", orderStatus="Filled", cumExecFee="0.00001", cumFeeDetail=""))
    assert report.fee == Decimal("0.00001")


def test_of_fees_in_several_coins_the_settle_coins_counts() -> None:
    report = report_from(row(cumFeeDetail={"MNT": "0.5", "USDT": "0.02"}))
    assert report.fee == Decimal("0.02")


@pytest.mark.parametrize(
    ("filled", "status"),
    [("0", OrderStatus.ACCEPTED), ("0.0004", OrderStatus.PARTIALLY_FILLED), ("0.001", OrderStatus.FILLED)],
)
def test_of_an_undocumented_status_only_the_fills_are_believed(filled: str, status: OrderStatus) -> None:
    report = report_from(row(orderStatus="Dreaming", qty="0.001", cumExecQty=filled))
    assert (report.status, report.rests) == (status, False)


def execution(**changes: object) -> dict[str, object]:
    return {
        "symbol": "BTCPERP",
        "orderLinkId": "id-1",
        "execId": "e-1",
        "execQty": "0.001",
        "execPrice": "99999.5",
        "execFee": "-0.02",
        "feeCurrency": "",
        "execType": "Trade",
        "isMaker": True,
        "execTime": "1672282722429",
        **changes,
    }


def test_a_fill_is_read_with_the_coin_its_fee_was_paid_in() -> None:
    fill = fill_from(execution())
    assert fill is not None
    assert (fill.exec_id, fill.client_order_id) == ("e-1", "id-1")
    assert (fill.qty, fill.price, fill.fee) == (Decimal("0.001"), Decimal("99999.5"), Decimal("-0.02"))
    assert (fill.fee_coin, fill.is_maker, fill.at_ms) == ("USDC", True, 1672282722429)


def test_a_fee_in_another_coin_is_named() -> None:
    fill = fill_from(execution(feeCurrency="MNT"))
    assert fill is not None
    assert fill.fee_coin == "MNT"


@pytest.mark.parametrize(
    ("symbol", "coin", "taken"),
    [("BTCUSDT", "BTC", "0.002"), ("BTCUSDT", "USDT", "0"), ("MNTUSDT", "MNT", "0.002"), ("MNTXUSDT", "MNT", "0")],
)
def test_a_fee_lessens_the_coins_only_where_it_is_in_their_own(symbol: str, coin: str, taken: str) -> None:
    reported = execution(symbol=symbol, feeCurrency=coin, execFee="0.002", execQty="1")
    fill = fill_from(reported, Category.SPOT)
    assert fill is not None
    assert OwnCoins(symbol=symbol).after((fill,), Side.BUY).size == 1 - Decimal(taken)


def test_funding_is_no_fill() -> None:
    assert fill_from(execution(execType="Funding")) is None


@pytest.mark.parametrize(
    ("kind", "is_outside"),
    [
        *(("Trade", False), ("BlockTrade", False), ("FutureSpread", False), ("Funding", False)),
        *(("SessionSettlePnL", False), ("AdlTrade", True), ("BustTrade", True), ("MovePosition", True)),
    ],
)
def test_what_happens_to_a_position_without_an_order_is_told_from_what_orders_do(kind: str, is_outside: bool) -> None:
    report = reported_execution({**execution(execType=kind), "side": "Buy", "orderId": "o"}, Category.LINEAR)
    assert (report.is_outside, report.seq) == (is_outside, 0)


def test_the_positions_stops_are_told_from_orders() -> None:
    stop = open_order_from(
        row(orderLinkId="", side="Sell", stopOrderType="StopLoss", triggerPrice="1500", price="0.00", reduceOnly=True),
        Category.LINEAR,
    )
    assert (stop.is_stop, stop.reduce_only, stop.side) == (True, True, Side.SELL)
    assert (stop.price, stop.trigger_price) == (None, Decimal(1500))
    conditional = open_order_from(row(stopOrderType="Stop", triggerPrice="1500"), Category.LINEAR)
    assert (conditional.is_stop, conditional.reduce_only) == (False, False)
    assert conditional.client_order_id == "id-1"


def test_an_order_that_closes_on_its_trigger_reduces_only() -> None:
    assert open_order_from(row(closeOnTrigger=True), Category.LINEAR).reduce_only


@pytest.mark.parametrize(
    ("side", "direction", "kind", "expected"),
    [
        ("Buy", 1, "Market", OrderType.STOP_MARKET),
        ("Buy", 2, "Limit", OrderType.LIMIT_IF_TOUCHED),
        ("Sell", 2, "Limit", OrderType.STOP_LIMIT),
        ("Sell", 1, "Market", OrderType.MARKET_IF_TOUCHED),
        ("Sell", 0, "Market", OrderType.STOP_MARKET),
    ],
)
def test_a_resting_conditional_says_of_which_type_it_is(
    side: str, direction: int, kind: str, expected: OrderType
) -> None:
    found = open_order_from(
        row(side=side, orderType=kind, triggerPrice="1500", triggerDirection=direction, createdTime="1690000000123"),
        Category.LINEAR,
    )
    assert (found.type, found.created_at_ms) == (expected, 1690000000123)
    assert open_order_from(row(orderType="Limit", triggerPrice=""), Category.LINEAR).type is OrderType.LIMIT


def test_a_partial_take_profit_is_told_from_the_whole_positions_own() -> None:
    kinds = {
        kind: open_order_from(row(stopOrderType=kind, triggerPrice="1500"), Category.LINEAR)
        for kind in ("TakeProfit", "PartialTakeProfit", "PartialStopLoss", "TrailingStop")
    }
    assert [name for name, each in kinds.items() if each.is_profit] == ["TakeProfit", "PartialTakeProfit"]
    assert [name for name, each in kinds.items() if each.is_partial] == ["PartialTakeProfit", "PartialStopLoss"]


def test_coins_gain_what_their_price_has_moved_for_as_many_as_there_are() -> None:
    own = OwnCoins(symbol="BTCUSDT", size=Decimal(3), avg_price=Decimal(100), fees=Decimal("0.1"), moved_at_ms=1)
    held = own.position(None, None, Decimal(110), at_ms=2)
    assert (held.size, held.gross, held.unrealised_pnl) == (Decimal(3), Decimal("3.1"), Decimal(30))
    less = own.position(Decimal(2), Decimal(2), Decimal(90), at_ms=60_000)
    assert (less.size, less.unrealised_pnl) == (Decimal(2), Decimal(-20))
    assert own.position(None, None, None, at_ms=2).unrealised_pnl is None
