"""Orders, reports and fills, to and from Bybit's spelling."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from relay.domain.instrument import Category
from relay.domain.order import OrderStatus, OrderType, PlannedOrder, Side, TriggerBy
from relay.domain.position import Fill, OrderReport, StopLevels
from relay.domain.rounding import floor_to, plain
from relay.exchange.wire.account import settle_coin_of
from relay.exchange.wire.numbers import Row, number_but_zero, number_or_zero

_SIDES = {Side.BUY: "Buy", Side.SELL: "Sell"}
_SIDES_BACK = {spelled: side for side, spelled in _SIDES.items()}
_TRIGGERS = {TriggerBy.LAST: "LastPrice", TriggerBy.MARK: "MarkPrice", TriggerBy.INDEX: "IndexPrice"}
_RISES, _FALLS = 1, 2

_STATUSES = {
    "New": OrderStatus.ACCEPTED,
    "Untriggered": OrderStatus.ACCEPTED,
    "Triggered": OrderStatus.ACCEPTED,
    "PartiallyFilled": OrderStatus.PARTIALLY_FILLED,
    "Filled": OrderStatus.FILLED,
    "Cancelled": OrderStatus.CANCELED,
    "PartiallyFilledCanceled": OrderStatus.CANCELED,
    "Deactivated": OrderStatus.CANCELED,
    "Rejected": OrderStatus.REJECTED,
}
_AT_ONCE = frozenset({"IOC", "FOK"})
_NO_WORD = frozenset({"", "UNKNOWN", "EC_NoError"})
_ENDED_BY_ITS_TERMS = frozenset(
    {
        "EC_NoImmediateQtyToFill",
        "EC_NoEnoughQtyToFill",
        "EC_CancelForNoFullFill",
        "EC_PostOnlyWillTakeLiquidity",
    }
)
_POSITION_STOPS = frozenset(
    {"TakeProfit", "StopLoss", "TrailingStop", "PartialTakeProfit", "PartialStopLoss", "MmRateClose"}
)
_NO_FILLS = frozenset({"Funding", "Delivery", "Settle"})


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenOrder:
    """An order that rests at the exchange, the relay's or anybody's."""

    client_order_id: str
    """Empty where whoever placed it gave none."""
    venue_order_id: str
    side: Side
    qty: Decimal
    """As placed; zero where the exchange closes whatever is open."""
    filled_qty: Decimal
    price: Decimal | None
    trigger_price: Decimal | None
    reduce_only: bool
    is_stop: bool
    """A take profit, stop loss or trailing stop of the position."""


_CENT = Decimal("0.01")


def create_params(order: PlannedOrder, client_order_id: str) -> dict[str, object]:
    """The body of `POST /v5/order/create`. Source: docs/v5/order/create-order.mdx.

    `positionIdx` 0 always: the relay orders in one-way mode only, and anything else is refused there.
    """
    closes = order.reduce_only or order.closes_all
    assert not (closes and (order.take_profit or order.stop_loss)), "a reduce-only order cannot carry stops"
    params: dict[str, object] = {
        "category": order.category.value,
        "symbol": order.symbol,
        "side": _SIDES[order.side],
        "orderType": "Limit" if order.type.has_limit else "Market",
        "qty": "0" if order.closes_all else plain(order.qty),
        "positionIdx": 0,
        "orderLinkId": client_order_id,
    }
    if order.type.has_limit:
        assert order.price is not None, "a limit order has a price"
        # A market order is IOC whatever is sent.
        params |= {"price": plain(order.price), "timeInForce": order.time_in_force.value}
    if closes:
        params["reduceOnly"] = True
    if order.closes_all:
        params["closeOnTrigger"] = True
    return params | _trigger_params(order) | _stop_params(order) | _slippage_params(order)


def _trigger_params(order: PlannedOrder) -> dict[str, object]:
    if not order.type.is_conditional:
        return {}
    assert order.trigger_price is not None, "a conditional order has a trigger price"
    assert order.trigger_rises is not None, "a conditional order says from where its trigger price is reached"
    return {
        "triggerPrice": plain(order.trigger_price),
        "triggerDirection": _RISES if order.trigger_rises else _FALLS,
        "triggerBy": _TRIGGERS[order.trigger_by],
    }


def _stop_params(order: PlannedOrder) -> dict[str, object]:
    stops: dict[str, object] = {}
    if order.take_profit is not None:
        stops["takeProfit"] = plain(order.take_profit)
    if order.stop_loss is not None:
        stops["stopLoss"] = plain(order.stop_loss)
    return {**stops, "tpslMode": "Full"} if stops else {}


def named_params(category: Category, symbol: str, client_order_id: str) -> dict[str, object]:
    """Which order is meant."""
    return {"category": category.value, "symbol": symbol, "orderLinkId": client_order_id}


def amend_params(order: PlannedOrder, client_order_id: str, qty: Decimal, price: Decimal) -> dict[str, object]:
    """The body of `POST /v5/order/amend`. Source: docs/v5/order/amend-order.mdx."""
    named = named_params(order.category, order.symbol, client_order_id)
    return named | {"qty": plain(qty), "price": plain(price)}


def leverage_params(category: Category, symbol: str, leverage: Decimal) -> dict[str, object]:
    """The body of `POST /v5/position/set-leverage`: in one-way mode both sides are alike."""
    both = plain(leverage)
    return {"category": category.value, "symbol": symbol, "buyLeverage": both, "sellLeverage": both}


def stops_params(category: Category, symbol: str, levels: StopLevels) -> dict[str, object]:
    """The body of `POST /v5/position/trading-stop`. Source: docs/v5/position/trading-stop.mdx."""
    spelled = {
        "stopLoss": levels.stop_loss,
        "takeProfit": levels.take_profit,
        "trailingStop": levels.trailing_stop,
        "activePrice": levels.trailing_start,
    }
    named = {name: plain(level) for name, level in spelled.items() if level is not None}
    return {"category": category.value, "symbol": symbol, "tpslMode": "Full", "positionIdx": 0, **named}


def _slippage_params(order: PlannedOrder) -> dict[str, object]:
    # Conditional orders do not support it, limit orders have no use for it.
    if order.slippage_pct is None or order.type is not OrderType.MARKET:
        return {}
    # Two decimals at most, and no more than was said.
    return {"slippageToleranceType": "Percent", "slippageTolerance": plain(floor_to(order.slippage_pct, _CENT))}


def report_from(row: Row) -> OrderReport:
    """From a row of `/v5/order/realtime`, `/v5/order/history` or the `order` stream.

    Source: docs/v5/enum.mdx, orderStatus, rejectReason, cancelType. The fee is in the coin that `fill_from` tells.
    """
    status = _status(row)
    return OrderReport(
        client_order_id=row["orderLinkId"],
        venue_order_id=row["orderId"],
        status=status,
        filled_qty=number_or_zero(row, "cumExecQty"),
        avg_price=number_but_zero(row, "avgPrice"),
        fee=_fee(row),
        reason=_word_for_the_end(row) if status.is_ended else None,
        rests=_rests(row),
    )


def _status(row: Row) -> OrderStatus:
    spelled = row["orderStatus"]
    assert spelled in _STATUSES, f"an order status that is not documented: {spelled}"
    status = _STATUSES[spelled]
    if status is OrderStatus.CANCELED and _ended_by_its_terms(row):
        return OrderStatus.EXPIRED
    return status


def _ended_by_its_terms(row: Row) -> bool:
    """Nobody cancelled it: its time in force did."""
    if row.get("rejectReason") in _ENDED_BY_ITS_TERMS:
        return True
    untold = row.get("rejectReason", "") in _NO_WORD and row.get("cancelType", "") in _NO_WORD
    return untold and row.get("timeInForce") in _AT_ONCE and row["orderStatus"] != "Deactivated"


def _word_for_the_end(row: Row) -> str | None:
    words = (row.get("rejectReason", ""), row.get("cancelType", ""))
    return next((word for word in words if word not in _NO_WORD), None)


def _rests(row: Row) -> bool:
    """On the book or waiting for its trigger; an order that fills at once or not at all is only passing through."""
    if row["orderStatus"] == "Untriggered":
        return True
    return row["orderStatus"] in ("New", "PartiallyFilled") and row.get("timeInForce") not in _AT_ONCE


def _fee(row: Row) -> Decimal:
    """On linear `cumFeeDetail` has taken the place of `cumExecFee`; of several coins the settle coin's counts."""
    by_coin = row.get("cumFeeDetail") or {}
    if len(by_coin) == 1:
        return Decimal(next(iter(by_coin.values())))
    settled = by_coin.get(settle_coin_of(row["symbol"]))
    return number_or_zero(row, "cumExecFee") if settled is None else Decimal(settled)


def fill_from(row: Row) -> Fill | None:
    """From a row of `/v5/execution/list` or the `execution` stream; None for what is no fill, as funding.

    Source: docs/v5/order/execution.mdx. `feeCurrency` is empty on perpetuals unless the fee was paid in another coin.
    """
    if row.get("execType") in _NO_FILLS:
        return None
    return Fill(
        exec_id=row["execId"],
        client_order_id=row["orderLinkId"],
        qty=Decimal(row["execQty"]),
        price=Decimal(row["execPrice"]),
        fee=number_or_zero(row, "execFee"),
        fee_coin=row.get("feeCurrency") or settle_coin_of(row["symbol"]),
        is_maker=row["isMaker"],
        at_ms=int(row["execTime"]),
    )


def open_order_from(row: Row) -> OpenOrder:
    """From a row of `/v5/order/realtime`."""
    return OpenOrder(
        client_order_id=row["orderLinkId"],
        venue_order_id=row["orderId"],
        side=_SIDES_BACK[row["side"]],
        qty=Decimal(row["qty"]),
        filled_qty=number_or_zero(row, "cumExecQty"),
        price=number_but_zero(row, "price"),
        trigger_price=number_but_zero(row, "triggerPrice"),
        reduce_only=bool(row.get("reduceOnly") or row.get("closeOnTrigger")),
        is_stop=row.get("stopOrderType") in _POSITION_STOPS,
    )
