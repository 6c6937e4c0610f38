"""The exchange's rows in every shape that it documents, and in shapes that it may come to have, through our readers.

The fields are those of its documentation's examples and of what clients have recorded; the values are invented. Every
field is left out, emptied and set to null, and every word of a fixed set is each of the documented ones and one that
nobody knows: a reader then reads, or says that the row cannot be read; a word that is not known is never the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from relay.bybit.account_api import account_mode_from, fee_rate_from, key_rights_from, maintenance_from
from relay.bybit.calls import OddRows
from relay.bybit.stream_state import LiveAccount
from relay.bybit.wire_account import (
    NOT_UNDERSTOOD,
    closed_pnl_from,
    instrument_from,
    mark_price_from,
    position_from,
    stopped_at_ms_from,
    wallet_from,
)
from relay.bybit.wire_orders import (
    fill_from,
    open_order_from,
    report_from,
    reported_execution,
    reported_order,
    reported_position,
)
from relay.domain.instrument import Category

LINEAR = Category.LINEAR
Row = Mapping[str, Any]

ORDER: Row = {
    "category": "linear",
    "symbol": "ETHUSDT",
    "orderId": "f00d-1",
    "orderLinkId": "mine-1",
    "parentOrderLinkId": "",
    "blockTradeId": "",
    "side": "Sell",
    "positionIdx": 0,
    "orderStatus": "New",
    "createType": "CreateByUser",
    "cancelType": "UNKNOWN",
    "rejectReason": "EC_NoError",
    "timeInForce": "GTC",
    "orderType": "Limit",
    "stopOrderType": "",
    "tpslMode": "",
    "price": "3111.5",
    "avgPrice": "",
    "qty": "0.40",
    "leavesQty": "0.40",
    "leavesValue": "1244.6",
    "cumExecQty": "0.00",
    "cumExecValue": "0",
    "cumExecFee": "0",
    "cumFeeDetail": {},
    "triggerPrice": "0.00",
    "triggerDirection": 0,
    "triggerBy": "",
    "takeProfit": "",
    "stopLoss": "2900.00",
    "tpTriggerBy": "",
    "slTriggerBy": "MarkPrice",
    "reduceOnly": False,
    "closeOnTrigger": False,
    "isLeverage": "",
    "orderIv": "",
    "marketUnit": "",
    "smpType": "None",
    "smpGroup": 0,
    "smpOrderId": "",
    "placeType": "",
    "lastPriceOnCreated": "3100.2",
    "rpiTakerAccess": False,
    "rpiMatchedQty": "",
    "createdTime": "1780000000001",
    "updatedTime": "1780000000002",
}
EXECUTION: Row = {
    "category": "linear",
    "symbol": "ETHUSDT",
    "orderId": "f00d-1",
    "orderLinkId": "mine-1",
    "side": "Sell",
    "execId": "beef-1",
    "execType": "Trade",
    "execQty": "0.20",
    "execPrice": "3111.5",
    "execValue": "622.3",
    "execFee": "0.342265",
    "execFeeV2": "",
    "execPnl": "1.5",
    "feeCurrency": "USDT",
    "feeRate": "0.00055",
    "extraFees": "",
    "isMaker": False,
    "closedSize": "0.20",
    "leavesQty": "0.20",
    "orderType": "Limit",
    "stopOrderType": "UNKNOWN",
    "createType": "CreateByUser",
    "orderPrice": "3111.5",
    "orderQty": "0.40",
    "markPrice": "3110",
    "indexPrice": "",
    "blockTradeId": "",
    "marketUnit": "",
    "seq": 41_000_001,
    "execTime": "1780000000003",
}
POSITION: Row = {
    "category": "linear",
    "positionIdx": 0,
    "symbol": "ETHUSDT",
    "side": "Buy",
    "size": "1.25",
    "avgPrice": "3000.4",
    "entryPrice": "3000.4",
    "leverage": "5",
    "markPrice": "3110",
    "liqPrice": "",
    "bustPrice": "",
    "breakEvenPrice": "3003.1",
    "positionValue": "3750.5",
    "positionIM": "750",
    "positionMM": "19",
    "positionBalance": "0",
    "takeProfit": "",
    "stopLoss": "2950",
    "trailingStop": "0",
    "sessionAvgPrice": "",
    "unrealisedPnl": "137",
    "curRealisedPnl": "-2",
    "cumRealisedPnl": "40",
    "positionStatus": "Normal",
    "adlRankIndicator": 2,
    "isReduceOnly": False,
    "autoAddMargin": 0,
    "tradeMode": 0,
    "tpslMode": "Full",
    "riskId": 1,
    "riskLimitValue": "",
    "mmrSysUpdatedTime": "",
    "leverageSysUpdatedTime": "",
    "seq": 41_000_002,
    "openTime": 1_780_000_000_000,
    "createdTime": "1770000000000",
    "updatedTime": "1780000000004",
}
INSTRUMENT: Row = {
    "symbol": "TSLAUSDT",
    "symbolId": 1,
    "contractType": "LinearPerpetual",
    "status": "Trading",
    "baseCoin": "TSLA",
    "quoteCoin": "USDT",
    "settleCoin": "USDT",
    "symbolType": "stock",
    "launchTime": "1776000000000",
    "deliveryTime": "0",
    "deliveryFeeRate": "",
    "priceScale": "2",
    "leverageFilter": {"minLeverage": "1", "maxLeverage": "10.00", "leverageStep": "0.01"},
    "priceFilter": {"minPrice": "0.01", "maxPrice": "19999.98", "tickSize": "0.01"},
    "lotSizeFilter": {
        "maxOrderQty": "9000.00",
        "maxMktOrderQty": "900.00",
        "minOrderQty": "0.01",
        "qtyStep": "0.01",
        "postOnlyMaxOrderQty": "9000.00",
        "minNotionalValue": "5",
    },
    "unifiedMarginTrade": True,
    "fundingInterval": 240,
    "copyTrading": "none",
    "upperFundingRate": "0.005",
    "lowerFundingRate": "-0.005",
    "isPreListing": False,
    "preListingInfo": None,
    "riskParameters": {"priceLimitRatioX": "0.05", "priceLimitRatioY": "0.1"},
    "forbidUplWithdrawal": True,
    "displayName": "",
}
COIN: Row = {
    "coin": "USDT",
    "equity": "812.5",
    "walletBalance": "900",
    "spotBorrow": "90",
    "unrealisedPnl": "2.5",
    "usdValue": "812.6",
    "cumRealisedPnl": "-100",
    "borrowAmount": "90",
    "locked": "0",
    "bonus": "0",
    "colRes": "-1",
    "availableToWithdraw": "",
    "free": "",
}
WALLET: Row = {
    "accountType": "UNIFIED",
    "totalEquity": "812.6",
    "totalWalletBalance": "810.1",
    "totalAvailableBalance": "",
    "totalPerpUPL": "2.5",
    "accountIMRate": "",
    "accountLTV": "",
    "coin": [COIN, {**COIN, "coin": "MNT", "equity": "", "usdValue": ""}],
}
TICKER: Row = {"symbol": "ETHUSDT", "lastPrice": "3110", "markPrice": "3110.2", "fundingRate": "", "bid1Price": ""}
CLOSED: Row = {
    "symbol": "ETHUSDT",
    "orderId": "f00d-2",
    "side": "Sell",
    "execType": "Trade",
    "closedSize": "0.2",
    "closedPnl": "-1.75",
    "openFee": "0.3",
    "closeFee": "0.3",
    "updatedTime": "1780000000005",
}
KEY: Row = {
    "readOnly": 0,
    "type": 1,
    "permissions": {
        "ContractTrade": ["Order", "Position"],
        "Spot": ["SpotTrade"],
        "Wallet": [],
        "Options": [],
        "Derivatives": ["DerivativesTrade"],
        "Exchange": [],
        "FiatGlobalPay": [],
        "ByXPost": [],
    },
    "ips": ["192.0.2.9"],
    "deadlineDay": -2,
    "expiredAt": "1970-01-01T00:00:00Z",
    "uta": 1,
    "isMaster": False,
    "parentUid": "7",
    "userID": 8,
}
ACCOUNT: Row = {"unifiedMarginStatus": 5, "marginMode": "REGULAR_MARGIN", "dcpStatus": "OFF", "updatedTime": "1"}
FEES: Row = {"symbol": "ETHUSDT", "takerFeeRate": "0.00055", "makerFeeRate": "0.0002", "baseCoin": ""}
STATUS: Row = {
    "id": "s-1",
    "title": "engine",
    "state": "scheduled",
    "begin": "1780000000000",
    "end": "1780000600000",
    "serviceTypes": [1, 2],
    "product": [1],
    "uidSuffix": [],
    "maintainType": 1,
    "env": 1,
}

READERS: dict[str, tuple[Row, Callable[[Row], object]]] = {
    "order report": (ORDER, report_from),
    "resting order": (ORDER, lambda row: open_order_from(row, LINEAR)),
    "order event": (ORDER, lambda row: reported_order(row, LINEAR)),
    "fill": (EXECUTION, fill_from),
    "execution event": (EXECUTION, lambda row: reported_execution(row, LINEAR)),
    "a stop's fill": (EXECUTION, stopped_at_ms_from),
    "position": (POSITION, lambda row: position_from((row,), category=LINEAR, symbol="ETHUSDT")),
    "position event": (POSITION, lambda row: reported_position((row,), LINEAR, "ETHUSDT")),
    "instrument": (INSTRUMENT, lambda row: instrument_from(row, category=LINEAR)),
    "wallet": (WALLET, wallet_from),
    "price": (TICKER, mark_price_from),
    "closed profit": (CLOSED, lambda row: closed_pnl_from(row, category=LINEAR)),
    "key": (KEY, key_rights_from),
    "account": (ACCOUNT, account_mode_from),
    "fees": (FEES, fee_rate_from),
    "announcement": (STATUS, maintenance_from),
}

WORDS: dict[str, tuple[Any, ...]] = {
    "orderStatus": (
        *("New", "PartiallyFilled", "Untriggered", "Rejected", "PartiallyFilledCanceled", "Filled", "Cancelled"),
        *("Triggered", "Deactivated", "Active"),
    ),
    "cancelType": (
        *("CancelByUser", "CancelByReduceOnly", "CancelByPrepareLiq", "CancelAllBeforeLiq", "CancelByPrepareAdl"),
        *("CancelAllBeforeAdl", "CancelByAdmin", "CancelBySettle", "CancelByTpSlTsClear", "CancelBySmp", "CancelByDCP"),
        *("CancelByRebalance", "CancelByOCOTpCanceledBySlTriggered", ""),
    ),
    "rejectReason": ("EC_NoError", "EC_Others", "EC_ReachRiskPriceLimit", "EC_InCallAuctionStatus", ""),
    "timeInForce": ("GTC", "IOC", "FOK", "PostOnly", "RPI", ""),
    "orderType": ("Market", "Limit", "UNKNOWN"),
    "stopOrderType": (
        *("", "UNKNOWN", "Stop", "TakeProfit", "StopLoss", "TrailingStop", "PartialTakeProfit", "PartialStopLoss"),
        *("tpslOrder", "OcoOrder", "MmRateClose", "BidirectionalTpslOrder"),
    ),
    "createType": (
        *("CreateByUser", "CreateByAdl_PassThrough", "CreateByLiq", "CreateByTakeOver_PassThrough", "CreateBySettle"),
        *("CreateByTVSignal", "CreateByBboOrder", "CreateByTWAP", "CreateByFGridBot", "CreateByMmRateClose"),
    ),
    "execType": (
        *("Trade", "AdlTrade", "Funding", "BustTrade", "Delivery", "Settle", "BlockTrade", "MovePosition"),
        *("FutureSpread", "CorporateAction", "SessionSettlePnL", "UNKNOWN"),
    ),
    "positionStatus": ("Normal", "Liq", "Adl", ""),
    "status": ("PreLaunch", "Trading", "Delivering", "Closed"),
    "symbolType": ("", "innovation", "stock", "commodity", "forex", "adventure", "xstocks"),
    "marginMode": ("ISOLATED_MARGIN", "REGULAR_MARGIN", "PORTFOLIO_MARGIN"),
    "unifiedMarginStatus": (1, 3, 4, 5, 6),
    "triggerBy": ("LastPrice", "IndexPrice", "MarkPrice", ""),
    "colRes": ("-1", "0", "1", "2"),
    "maintainType": (1, 2, 3),
    "extraFees": (
        "",
        '[{"feeCoin":"USDT","feeType":"GST","subFeeType":"IND_GST","feeRate":"0.0000675","fee":"0.006403779"}]',
        [{"feeCoin": "USDT", "feeType": "WHT", "subFeeType": "", "feeRate": "0.0001", "fee": "0.01"}],
        [],
    ),
}
"""Fields whose values are a fixed set. The documentation names these, and grows."""
NOBODY_KNOWS = "HeardOfByNobody"
NO_WORDS = ("extraFees",)
"""What has several forms, none of which is a word."""


def shapes(row: Row) -> Iterator[tuple[str, Row, bool]]:
    """Of a row every change, and whether it is one of words alone."""
    yield "as it is", row, True
    for field, value in row.items():
        yield f"{field} missing", {name: other for name, other in row.items() if name != field}, False
        yield f"{field} null", {**row, field: None}, False
        yield f"{field} empty", {**row, field: "" if not isinstance(value, list | dict) else type(value)()}, False
        strange = () if field in NO_WORDS else (77,) if isinstance(value, int) else (77, NOBODY_KNOWS)
        for word in (*WORDS[field], *strange) if field in WORDS else ():
            yield f"{field} {word}", {**row, field: word}, True
        if isinstance(value, dict):
            for inner, changed, is_word in shapes(value):
                yield f"{field}.{inner}", {**row, field: changed}, is_word
    yield "and something new", {**row, "fieldOfNextYear": {"deep": [1]}}, True


@pytest.mark.parametrize("name", READERS)
def test_every_shape_is_read_or_said_to_be_unreadable_and_no_word_is_the_reason(name: str) -> None:
    row, read = READERS[name]
    refused = []
    for change, shape, is_word in shapes(row):
        try:
            read(shape)
        except NOT_UNDERSTOOD as error:
            refused.append(f"{change}: {error!r}" if is_word else "")
    assert not [each for each in refused if each]


@pytest.mark.parametrize(
    ("topic", "row"), [("order", ORDER), ("execution", EXECUTION), ("position", POSITION), ("wallet", WALLET)]
)
def test_no_shape_of_a_row_ends_a_stream_and_what_follows_is_heard(topic: str, row: Row) -> None:
    live = LiveAccount()
    unreadable: list[str] = []
    live.on_unreadable = lambda what, row, error: unreadable.append(what)
    for change, shape, is_word in shapes(row):
        before = len(unreadable)
        live.hear({"topic": topic, "creationTime": 1, "data": [shape, row]})
        assert len(unreadable) == before or not is_word, change
    live.hear({"topic": topic, "data": ["a text", None, 7, row]})
    assert live.symbols() or topic == "wallet"


@pytest.mark.parametrize("name", READERS)
def test_what_is_no_row_at_all_takes_no_neighbour_down(name: str) -> None:
    row, read = READERS[name]
    told: list[str] = []
    odd = OddRows()
    odd.tell = told.append
    rows: list[Any] = [row, None, "text", 5, [], row]
    found, problems = odd.read(name, rows, read)
    assert len(found) == 2 and len(problems) == 4
    assert told and all(name in each for each in told)


def test_numbers_that_are_none_are_unreadable() -> None:
    others: list[Any] = ["NaN", "Infinity", "-inf", "1,5", "0x10", "ten", True, [], {"a": 1}]
    for text in others:
        with pytest.raises(NOT_UNDERSTOOD):
            position_from(({**POSITION, "size": text},), category=LINEAR, symbol="ETHUSDT")


def test_a_row_that_could_be_read_meanwhile_is_told_again_when_it_cannot() -> None:
    odd, told = OddRows(), list[str]()
    odd.tell = told.append
    for size in ("many", "many", "1", "many", "few"):
        odd.read(
            "position",
            [{**POSITION, "size": size}],
            lambda row: position_from((row,), category=LINEAR, symbol="ETHUSDT"),
        )
        assert (odd.problem("position", "ETHUSDT") is None) is (size == "1")
    assert ["many" in each for each in told] == [True, True, False]


@pytest.mark.parametrize("missing", [{"symbolType": None}, {"symbolType": ""}, {}])
def test_an_instrument_of_no_special_kind_has_none(missing: dict[str, object]) -> None:
    row = {name: value for name, value in INSTRUMENT.items() if name != "symbolType"} | missing
    pair = row | {"lotSizeFilter": {"basePrecision": "0.001", "quotePrecision": "0.01"}}
    found = (instrument_from(row, category=LINEAR), instrument_from(pair, category=Category.SPOT))
    assert [each.kind for each in found if each is not None] == ["", ""]
