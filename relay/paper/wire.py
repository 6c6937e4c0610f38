"""The state's entities in Bybit's field names and formats, in pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, TypeVar
from urllib.parse import unquote

from relay.paper.orders import ZERO, Execution, Order, StopKind, Transaction, Unreadable, whole
from relay.paper.state import CENT, Instrument, Position, Quote, maintenance_margin

Fields = dict[str, Any]


def plain(number: Decimal) -> str:
    """At most eight decimals, no trailing zeros, never an exponent."""
    rounded = number.quantize(CENT, rounding=ROUND_HALF_EVEN) if number.as_tuple().exponent not in (0, -1) else number
    return exact(rounded)


def exact(number: Decimal) -> str:
    """Every decimal there is, no trailing zeros, never an exponent."""
    text = format(number, "f")
    return (text.rstrip("0").rstrip(".") if "." in text else text) or "0"


def on_grid(number: Decimal, grid: Decimal) -> str:
    """With as many decimals as the instrument's tick or step is written with."""
    return format(number.quantize(grid, rounding=ROUND_HALF_EVEN), "f")


def _qty(number: Decimal, instrument: Instrument) -> str:
    """What was traded by an earlier, finer step is shown as it is."""
    return plain(number) if number % instrument.qty_step else on_grid(number, instrument.qty_step)


def _price(number: Decimal | None, instrument: Instrument, empty: str = "") -> str:
    return on_grid(number, instrument.tick_size) if number else empty


def order(found: Order, instrument: Instrument) -> Fields:
    """A row of `/v5/order/realtime` and `/v5/order/history`."""
    row = _order(found, instrument)
    return _as_spot(row, found, instrument) if instrument.is_spot else row


def _as_spot(row: Fields, found: Order, instrument: Instrument) -> Fields:
    """What is otherwise on spot: keys that it has not, zero for no price, and a market order's quantity in either coin.

    The zeros are those of rows that users have shown; so is the reason why an order by value ends (`spot`).
    """
    kept = {name: value for name, value in row.items() if name not in _NOT_OF_SPOT}
    by_value, nothing = found.is_by_value, on_grid(ZERO, instrument.tick_size)
    return {
        **kept,
        "qty": exact(found.qty) if by_value else row["qty"],
        "leavesQty": on_grid(ZERO, instrument.qty_step) if by_value else row["leavesQty"],
        "leavesValue": exact(found.leaves) if by_value else row["leavesValue"],
        "cumExecValue": exact(found.cum_value),
        "cumExecFee": exact(found.cum_fee),
        "isLeverage": "0",
        "lastPriceOnCreated": "",
        "basePrice": row["lastPriceOnCreated"],
        **{name: row[name] or nothing for name in ("triggerPrice", "takeProfit", "stopLoss")},
        "price": row["price"] if found.price else "0",
        "triggerDirection": 0,
        "triggerBy": "",
        "tpTriggerBy": "",
        "slTriggerBy": "",
    }


_NOT_OF_SPOT = frozenset({"createType", "parentOrderLinkId", "tpslMode"})


def _order(found: Order, instrument: Instrument) -> Fields:
    return {
        "orderId": found.id,
        "orderLinkId": found.link_id,
        "parentOrderLinkId": found.parent_link_id,
        "blockTradeId": "",
        "symbol": instrument.symbol,
        "price": _price(found.price, instrument, on_grid(ZERO, instrument.tick_size)),
        "qty": _qty(found.qty, instrument),
        "side": found.side.value,
        "isLeverage": "",
        "positionIdx": found.position_idx,
        "orderStatus": found.status.value,
        "createType": found.create_type,
        "cancelType": found.cancel_type,
        "rejectReason": found.reject_reason,
        "timeInForce": found.time_in_force.value,
        "orderType": found.order_type.value,
        "orderIv": "",
        "marketUnit": found.market_unit,
        "lastPriceOnCreated": on_grid(found.last_price_on_created, instrument.tick_size),
        "basePrice": "",
        "reduceOnly": found.reduce_only,
        "closeOnTrigger": found.close_on_trigger,
        "placeType": "",
        "smpType": "None",
        "smpGroup": 0,
        "smpOrderId": "",
        "createdTime": str(found.created_ms),
        "updatedTime": str(found.updated_ms),
        **_order_fills(found, instrument),
        **_order_levels(found, instrument),
    }


def _order_fills(found: Order, instrument: Instrument) -> Fields:
    leaves = found.leaves if found.is_open else ZERO
    at = found.price or found.trigger_price or found.last_price_on_created
    filled = bool(found.cum_qty)
    return {
        "avgPrice": plain(_average(found.cum_qty, found.cum_value, instrument)) if filled else "",
        "leavesQty": _qty(leaves, instrument),
        "leavesValue": plain(instrument.value(leaves, at)),
        "cumExecQty": _qty(found.cum_qty, instrument),
        "cumExecValue": plain(found.cum_value),
        "cumExecFee": plain(found.cum_fee),
        "cumFeeDetail": {coin: exact(fee) for coin, fee in _fees(found, instrument).items()},
    }


def _fees(found: Order, instrument: Instrument) -> dict[str, Decimal]:
    """By coin; those of an order from before they were kept so were in the settle coin."""
    return found.fees or ({instrument.settle_coin: found.cum_fee} if found.cum_qty else {})


def _order_levels(found: Order, instrument: Instrument) -> Fields:
    exits = found.exits
    return {
        "stopOrderType": found.stop_kind.value,
        "triggerPrice": _price(found.trigger_price, instrument),
        "triggerDirection": found.trigger_direction,
        "triggerBy": found.trigger_by.value if found.stop_kind is not StopKind.NONE else "",
        "takeProfit": _price(exits.take_profit, instrument),
        "stopLoss": _price(exits.stop_loss, instrument),
        "tpslMode": ("Partial" if exits.partial else "Full") if exits.take_profit or exits.stop_loss else "",
        "tpLimitPrice": _price(exits.tp_limit_price, instrument),
        "slLimitPrice": _price(exits.sl_limit_price, instrument),
        "tpTriggerBy": exits.tp_trigger_by.value if exits.take_profit else "",
        "slTriggerBy": exits.sl_trigger_by.value if exits.stop_loss else "",
        "ocoTriggerBy": "",
    }


def _average(qty: Decimal, value: Decimal, instrument: Instrument) -> Decimal:
    if not qty:
        return ZERO
    return qty / value if instrument.inverse else value / qty


def execution(fill: Execution, instrument: Instrument) -> Fields:
    """A row of `/v5/execution/list`."""
    row = _execution(fill, instrument)
    if not instrument.is_spot:
        return row
    return {
        **{name: value for name, value in row.items() if name not in _NOT_OF_SPOT},
        "execFee": exact(fill.fee),
        "execValue": exact(fill.value),
        "orderPrice": row["orderPrice"] if fill.order.price else "0",
        "orderQty": on_grid(ZERO, instrument.qty_step) if fill.order.is_by_value else row["orderQty"],
        "markPrice": "",
    }


def _execution(fill: Execution, instrument: Instrument) -> Fields:
    placed = fill.order
    funding = fill.kind == "Funding"
    return {
        "symbol": instrument.symbol,
        "orderId": placed.id,
        "orderLinkId": placed.link_id,
        "side": placed.side.value,
        "orderPrice": on_grid(placed.price or ZERO, instrument.tick_size),
        "orderQty": _qty(placed.qty, instrument),
        "leavesQty": _qty(fill.leaves, instrument),
        "createType": placed.create_type,
        "orderType": "UNKNOWN" if funding else placed.order_type.value,
        "stopOrderType": placed.stop_kind.value or "UNKNOWN",
        "execFee": plain(fill.fee),
        "execFeeV2": "",
        "execId": fill.id,
        "execPrice": on_grid(fill.price, instrument.tick_size),
        "execQty": _qty(fill.qty, instrument),
        "execType": fill.kind,
        "execValue": plain(fill.value),
        "execTime": str(fill.at_ms),
        "execPnl": plain(fill.pnl),
        "feeCurrency": fill.fee_coin,
        "isMaker": fill.is_maker,
        "feeRate": plain(fill.fee_rate),
        "tradeIv": "",
        "markIv": "",
        "markPrice": on_grid(fill.mark_price, instrument.tick_size),
        "indexPrice": "",
        "underlyingPrice": "",
        "blockTradeId": "",
        "closedSize": _qty(fill.closed_qty, instrument) if fill.closed_qty else "",
        "seq": fill.seq,
        "extraFees": [_tax(fill, instrument)] if fill.extra_fee else "",
    }


def _tax(fill: Execution, instrument: Instrument) -> Fields:
    rate = plain(fill.extra_fee / fill.value) if fill.value else "0"
    return {
        "feeCoin": instrument.settle_coin or fill.fee_coin,
        "feeType": "GST",
        "subFeeType": "IND_GST",
        "feeRate": rate,
        "fee": plain(fill.extra_fee),
    }


LOGGED = {"Trade": "TRADE", "Funding": "SETTLEMENT", "BustTrade": "LIQUIDATION", "AdlTrade": "ADL"}


def transaction(made: Transaction, instrument: Instrument) -> Fields:
    """A row of `/v5/account/transaction-log`."""
    fill = made.execution
    return {
        "id": made.id,
        "symbol": instrument.symbol,
        "category": instrument.category,
        "side": fill.order.side.value,
        "transactionTime": str(fill.at_ms),
        "type": LOGGED.get(fill.kind, "DELIVERY"),
        "transSubType": "",
        "qty": exact(made.cash_flow) if instrument.is_spot else _qty(fill.qty, instrument),
        "size": "",
        "currency": made.coin,
        "tradePrice": on_grid(fill.price, instrument.tick_size),
        "funding": plain(made.funding) if fill.kind == "Funding" else "",
        "fee": exact(made.fee),
        "cashFlow": exact(made.cash_flow),
        "change": exact(made.change),
        "cashBalance": exact(made.balance),
        "feeRate": plain(fill.fee_rate),
        "bonusChange": "",
        "tradeId": fill.id,
        "orderId": fill.order.id,
        "orderLinkId": fill.order.link_id,
        "extraFees": "",
    }


def position(
    held: Position,
    instrument: Instrument,
    quote: Quote,
    stops: dict[StopKind, Order],
    *,
    margin: Decimal,
    pnl: Decimal,
    liquidated_at: Decimal | None,
) -> Fields:
    """A row of `/v5/position/list`. `margin` and `pnl`: initial margin and open profit in the settle coin."""
    is_open = bool(held.size)
    return {
        "positionIdx": held.idx,
        "riskId": 1,
        "riskLimitValue": "2000000",
        "symbol": held.symbol,
        "side": ("Buy" if held.size > 0 else "Sell") if is_open else "",
        "size": _qty(abs(held.size), instrument) if is_open else "0",
        "avgPrice": plain(held.avg_price),
        "tradeMode": 0,
        "positionStatus": "Normal",
        "autoAddMargin": 0,
        "adlRankIndicator": 2 if is_open else 0,
        "leverage": plain(held.leverage),
        "breakEvenPrice": "",
        "markPrice": on_grid(quote.mark, instrument.tick_size),
        "liqPrice": _price(liquidated_at, instrument),
        "bustPrice": "",
        "unrealisedPnl": plain(pnl) if is_open else "",
        "curRealisedPnl": plain(held.current_realised),
        "cumRealisedPnl": plain(held.total_realised),
        "seq": held.seq,
        "isReduceOnly": False,
        "mmrSysUpdatedTime": "",
        "leverageSysUpdatedTime": "",
        "createdTime": str(held.created_ms) if held.created_ms else "",
        "updatedTime": str(held.updated_ms) if held.updated_ms else "",
        "openTime": held.opened_ms,
        **dict.fromkeys(("sessionAvgPrice", "delta", "gamma", "vega", "theta"), ""),
        **_position_margin(held, instrument, margin),
        **_position_stops(instrument, stops),
    }


def _position_margin(held: Position, instrument: Instrument, margin: Decimal) -> Fields:
    value = instrument.value(abs(held.size), held.avg_price) if held.size else ZERO
    maintenance = plain(maintenance_margin(held, instrument))
    return {
        "positionValue": plain(value) if held.size else "",
        "positionBalance": plain(margin),
        "positionIM": plain(margin),
        "positionIMByMp": plain(margin),
        "positionMM": maintenance,
        "positionMMByMp": maintenance,
    }


def _position_stops(instrument: Instrument, stops: dict[StopKind, Order]) -> Fields:
    trailing = stops.get(StopKind.TRAILING_STOP)
    profit, loss = stops.get(StopKind.TAKE_PROFIT), stops.get(StopKind.STOP_LOSS)
    return {
        "tpslMode": "Full",
        "takeProfit": _price(profit.trigger_price if profit else None, instrument),
        "stopLoss": _price(loss.trigger_price if loss else None, instrument),
        "trailingStop": _price(trailing.trail_distance if trailing else None, instrument, "0"),
    }


def closed_pnl(found: Order, instrument: Instrument) -> Fields:
    """A row of `/v5/position/closed-pnl`: what an order closed. `closedPnl` is net of both fees."""
    step = instrument.qty_step
    return {
        "symbol": found.symbol,
        "orderId": found.id,
        "side": found.side.value,
        "qty": on_grid(found.qty, step),
        "orderPrice": on_grid(found.price or ZERO, instrument.tick_size),
        "orderType": found.order_type.value,
        "execType": "Trade",
        "closedSize": on_grid(found.closed_qty, step),
        "cumEntryValue": plain(found.closed_entry_value),
        "avgEntryPrice": plain(_average(found.closed_qty, found.closed_entry_value, instrument)),
        "cumExitValue": plain(found.closed_exit_value),
        "avgExitPrice": plain(_average(found.closed_qty, found.closed_exit_value, instrument)),
        "closedPnl": plain(found.closed_pnl),
        "fillCount": str(found.fill_count),
        "leverage": plain(found.leverage),
        "openFee": plain(found.open_fee),
        "closeFee": plain(found.close_fee),
        "createdTime": str(found.created_ms),
        "updatedTime": str(found.updated_ms),
    }


def ticker(instrument: Instrument, quote: Quote, next_funding_ms: int) -> Fields:
    """A row of `/v5/market/tickers`. The paper market has no past: its day is flat and without volume."""
    tick = instrument.tick_size
    perpetual = instrument.contract_type.endswith("Perpetual")
    last = on_grid(quote.last, tick)
    depth = plain(quote.depth if quote.depth is not None else instrument.max_market_qty)
    return {
        "symbol": instrument.symbol,
        "lastPrice": last,
        "indexPrice": on_grid(quote.index, tick),
        "markPrice": on_grid(quote.mark, tick),
        "prevPrice24h": last,
        "price24hPcnt": "0",
        "highPrice24h": last,
        "lowPrice24h": last,
        "prevPrice1h": last,
        "openInterest": "0",
        "openInterestValue": "0",
        "turnover24h": "0",
        "volume24h": "0",
        "fundingRate": plain(quote.funding_rate) if perpetual else "",
        "nextFundingTime": str(next_funding_ms) if perpetual else "0",
        "fundingIntervalHour": "8" if perpetual else "",
        "fundingCap": "0.00375" if perpetual else "",
        "predictedDeliveryPrice": "",
        "basisRate": "",
        "basisRateYear": "",
        "basis": "",
        "deliveryFeeRate": instrument.published.get("deliveryFeeRate", ""),
        "deliveryTime": instrument.published.get("deliveryTime", ""),
        "ask1Size": depth,
        "bid1Price": on_grid(quote.bid, tick),
        "ask1Price": on_grid(quote.ask, tick),
        "bid1Size": depth,
        "preOpenPrice": "",
        "preQty": "",
        "curPreListingPhase": "",
    }


def spot_ticker(instrument: Instrument, quote: Quote) -> Fields:
    """The same of a pair: no mark, no index but its dollars', no funding (tickers.mdx, Spot)."""
    row = ticker(instrument, quote, 0)
    in_dollars = instrument.quote_coin in ("USDT", "USDC")
    return {**{name: row[name] for name in _SPOT_TICKER}, "usdIndexPrice": plain(quote.index) if in_dollars else ""}


_SPOT_TICKER = (
    *("symbol", "bid1Price", "bid1Size", "ask1Price", "ask1Size", "lastPrice", "prevPrice24h", "price24hPcnt"),
    *("highPrice24h", "lowPrice24h", "turnover24h", "volume24h"),
)


# Pages and answers, as V5 gives them.


DAY_MS = 24 * 3600 * 1000
WEEK_MS = 7 * DAY_MS
_Row = TypeVar("_Row")


def limit(params: Mapping[str, Any], *, default: int, most: int) -> int:
    """The page size asked for; beyond the maximum it is the maximum."""
    asked = whole(params, "limit", default)
    if asked < 1:
        raise Unreadable("limit invalid")
    return min(asked, most)


def after(params: Mapping[str, Any]) -> int | None:
    """The number inside a cursor; pybit sends it as it got it, other clients encode it once more."""
    cursor = unquote(unquote(str(params.get("cursor") or "")))
    if not cursor:
        return None
    number = cursor.partition(":")[0]
    if not (number.isascii() and number.isdigit()):
        raise Unreadable("cursor invalid")
    return int(number)


def cursor(number: int) -> str:
    """Encoded, as Bybit's are."""
    return f"{number}%3A{number}"


def page(rows: Sequence[_Row], params: Mapping[str, Any], *, default: int, most: int) -> tuple[list[_Row], str]:
    """A page of a list that has no better key than its order; the cursor is empty at its end."""
    start, size = after(params) or 0, limit(params, default=default, most=most)
    shown = list(rows[start : start + size])
    return shown, cursor(start + size) if start + size < len(rows) else ""


def span(params: Mapping[str, Any], now_ms: int) -> tuple[int, int]:
    """The time range of a history: at most seven days, the last seven by default (order-list.mdx)."""
    start, end = whole(params, "startTime", 0), whole(params, "endTime", 0)
    if start and end:
        if end - start > WEEK_MS or end < start:
            raise Unreadable("The time range between startTime and endTime cannot exceed 7 days")
        return start, end
    if start:
        return start, start + WEEK_MS
    return (end or now_ms) - WEEK_MS, end or now_ms + DAY_MS
