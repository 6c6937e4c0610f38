"""Orders, reports, fills and error codes, to and from Bybit's spelling. Source: Bybit V5 documentation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from relay.bybit.wire_account import (
    Lenient,
    Row,
    RowUnreadable,
    balance_changes,
    coins_of,
    fee_coin_of,
    number_but_zero,
    number_or_zero,
    order_fee,
    position_from,
    required,
)
from relay.domain.instrument import Category, floor_to, plain
from relay.domain.order import (
    EXCHANGE_RESTRICTED,
    ErrorKind,
    OrderRejected,
    OrderStatus,
    OrderType,
    PlannedOrder,
    Side,
    TriggerBy,
)
from relay.domain.position import Fill, OrderReport, Position, StopLevels

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
_SPOT_STOPS = frozenset({"tpslOrder", "OcoOrder", "BidirectionalTpslOrder"})
_POSITION_STOPS = frozenset(
    {"TakeProfit", "StopLoss", "TrailingStop", "PartialTakeProfit", "PartialStopLoss", "MmRateClose"}
)
_PROFITS = frozenset({"TakeProfit", "PartialTakeProfit"})
_NO_FILLS = frozenset({"Funding", "Delivery", "Settle", "SessionSettlePnL", "CorporateAction"})
_PLAIN_FILLS = frozenset({"Trade", "BlockTrade", "FutureSpread"})
_CASH_ONLY = frozenset({"Funding", "SessionSettlePnL"})


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenOrder:
    """An order that rests at the exchange, the relay's or anybody's."""

    category: Category
    symbol: str
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
    is_partial: bool = False
    """Of those one with a size of its own; the others go with the whole position, which shows them."""
    is_profit: bool = False
    """Of those a take profit."""
    type: OrderType = OrderType.LIMIT
    created_at_ms: int | None = None

    @property
    def open_qty(self) -> Decimal:
        """What may still fill."""
        return self.qty - self.filled_qty


_CENT = Decimal("0.01")


def create_params(order: PlannedOrder, client_order_id: str) -> dict[str, object]:
    """The body of `POST /v5/order/create`. Source: docs/v5/order/create-order.mdx.

    `positionIdx` 0 always: the relay orders in one-way mode only, and anything else is refused there.
    """
    if order.category is Category.SPOT:
        return _spot_params(order, client_order_id)
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


def _spot_params(order: PlannedOrder, client_order_id: str) -> dict[str, object]:
    """The same for coins: with the account's own money alone, whatever it could borrow.

    `marketUnit` always, since what is left out differs by side. Source: docs/v5/order/batch-place.mdx, `marketUnit`.
    """
    assert not order.closes_all, "coins are sold by their number"
    unit, qty = ("baseCoin", order.qty) if order.spend is None else ("quoteCoin", order.spend)
    params: dict[str, object] = {
        "category": order.category.value,
        "symbol": order.symbol,
        "side": _SIDES[order.side],
        "orderType": "Limit" if order.type.has_limit else "Market",
        "qty": plain(qty),
        "isLeverage": 0,
        "orderFilter": order_filter(order),
        "orderLinkId": client_order_id,
    }
    if order.type.has_limit:
        assert order.price is not None, "a limit order has a price"
        params |= {"price": plain(order.price), "timeInForce": order.time_in_force.value}
    else:
        params["marketUnit"] = unit
    if order.type.is_conditional:
        assert order.trigger_price is not None, "a conditional order has a trigger price"
        params["triggerPrice"] = plain(order.trigger_price)
    return params | _slippage_params(order)


def order_filter(order: PlannedOrder) -> str:
    """In which of spot's lists an order rests; another one's cancel does not find it there."""
    return "tpslOrder" if order.locks else "StopOrder" if order.type.is_conditional else "Order"


def cancel_params(
    category: Category, symbol: str, client_order_id: str, order: PlannedOrder | None
) -> dict[str, object]:
    """The body of `POST /v5/order/cancel`. Source: docs/v5/order/cancel-order.mdx, `orderFilter`."""
    named = named_params(category, symbol, client_order_id)
    return named | ({"orderFilter": order_filter(order)} if order and category is Category.SPOT else {})


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


def report_from(row: Row, category: Category = Category.LINEAR) -> OrderReport:
    """From a row of `/v5/order/realtime`, `/v5/order/history` or the `order` stream.

    Source: docs/v5/enum.mdx, orderStatus, rejectReason, cancelType. The fee is in the coin that `fill_from` tells.
    """
    status, lenient = _status(row), Lenient()
    return OrderReport(
        client_order_id=row.get("orderLinkId") or "",
        venue_order_id=row["orderId"],
        status=status,
        filled_qty=number_or_zero(row, "cumExecQty"),
        avg_price=lenient.read(number_but_zero, row, "avgPrice", instead=None),
        price=lenient.read(number_but_zero, row, "price", instead=None),
        fee=lenient.read(order_fee, row, category, instead=Decimal(0)),
        reason=_word_for_the_end(row) if status.is_ended else None,
        rests=_rests(row),
    )


def _status(row: Row) -> OrderStatus:
    status = _STATUSES.get(row["orderStatus"]) or _by_its_fills(row)
    if status is OrderStatus.CANCELED and _ended_by_its_terms(row):
        return OrderStatus.EXPIRED
    return status


def _by_its_fills(row: Row) -> OrderStatus:
    """Of a status that is not documented only the fills are certain: it neither rests nor has ended, until it is full.

    Such an order is looked up again and again, and then a person is called.
    """
    filled = number_or_zero(row, "cumExecQty")
    if filled and filled == number_or_zero(row, "qty"):
        return OrderStatus.FILLED
    return OrderStatus.PARTIALLY_FILLED if filled else OrderStatus.ACCEPTED


def _ended_by_its_terms(row: Row) -> bool:
    """Nobody cancelled it: its time in force did."""
    if row.get("rejectReason") in _ENDED_BY_ITS_TERMS:
        return True
    says_nothing = _word_for_the_end(row) is None
    return says_nothing and row.get("timeInForce") in _AT_ONCE and row["orderStatus"] != "Deactivated"


def _word_for_the_end(row: Row) -> str | None:
    words = (row.get("rejectReason") or "", row.get("cancelType") or "")
    return next((word for word in words if word not in _NO_WORD), None)


def _rests(row: Row) -> bool:
    """On the book or waiting for its trigger; an order that fills at once or not at all is only passing through."""
    if row["orderStatus"] == "Untriggered":
        return True
    return row["orderStatus"] in ("New", "PartiallyFilled") and row.get("timeInForce") not in _AT_ONCE


def fill_from(row: Row, category: Category = Category.LINEAR) -> Fill | None:
    """From a row of `/v5/execution/list` or the `execution` stream; None for what is no fill, as funding.

    Source: docs/v5/order/execution.mdx. `feeCurrency` is empty on perpetuals unless the fee was paid in another coin.
    Which coin it is on spot: docs/v5/enum.mdx, "Spot Fee Currency Instruction".
    """
    if row.get("execType") in _NO_FILLS:
        return None
    fee, fee_coin, base = number_or_zero(row, "execFee"), fee_coin_of(row, category), ""
    if not category.has_positions:
        base = coins_of(category, row["symbol"])[0]
    return Fill(
        exec_id=row["execId"],
        client_order_id=row.get("orderLinkId") or "",
        qty=required(row, "execQty"),
        price=required(row, "execPrice"),
        fee=fee,
        fee_coin=fee_coin,
        base_fee=fee if fee_coin and fee_coin == base else Decimal(0),
        is_maker=bool(row.get("isMaker")),
        at_ms=int(row["execTime"]),
    )


def open_order_from(row: Row, category: Category) -> OpenOrder:
    """From a row of `/v5/order/realtime`."""
    if row["side"] not in _SIDES_BACK:
        raise RowUnreadable(f"`side` is {str(row['side'])[:40]!r}")
    kind = row.get("stopOrderType")
    return OpenOrder(
        category=category,
        symbol=row["symbol"],
        client_order_id=row.get("orderLinkId") or "",
        venue_order_id=row["orderId"],
        side=_SIDES_BACK[row["side"]],
        qty=required(row, "qty"),
        filled_qty=number_or_zero(row, "cumExecQty"),
        price=number_but_zero(row, "price"),
        trigger_price=number_but_zero(row, "triggerPrice"),
        reduce_only=bool(row.get("reduceOnly") or row.get("closeOnTrigger")),
        is_stop=kind in _POSITION_STOPS | _SPOT_STOPS,
        is_partial=kind in _POSITION_STOPS and str(kind).startswith("Partial"),
        is_profit=kind in _PROFITS,
        type=_type(row),
        created_at_ms=Lenient().read(lambda: int(row.get("createdTime") or 0) or None, instead=None),
    )


def _type(row: Row) -> OrderType:
    """A trigger that lies where the price is worse is a stop's; one where it is better, an order's that is touched."""
    has_limit = row.get("orderType") == "Limit"
    if not Lenient().read(number_but_zero, row, "triggerPrice", instead=None):
        return OrderType.LIMIT if has_limit else OrderType.MARKET
    rises_for_buy = row.get("triggerDirection") == (_RISES if row["side"] == "Buy" else _FALLS)
    if rises_for_buy or not row.get("triggerDirection"):
        return OrderType.STOP_LIMIT if has_limit else OrderType.STOP_MARKET
    return OrderType.LIMIT_IF_TOUCHED if has_limit else OrderType.MARKET_IF_TOUCHED


# What Bybit's return codes mean. Source: V5 documentation, "Error Codes" (docs/v5/error.mdx), section UTA.
#
# Told by the code, never by the words, but for 10001, which the documentation gives to any bad parameter.


HTTP_FORBIDDEN = 403
RATE_LIMIT = 10006
ADDRESS_LIMIT = 10018
"""Struck from the documentation in favour of HTTP 403, which means the same."""

_UNCERTAIN = frozenset(
    {
        429,  # the trading service is under high load
        10000,  # server timeout
        10016,  # server error, or the service is restarting
        10019,  # the trading service is restarting
        10429,  # system level frequency protection
        110079,  # the order is processing: whatever it comes to is not known yet
        170001,  # internal error
        170007,  # timeout waiting for the backend
        170032,  # network error
        170035,  # submitted for processing
        170146,  # order creation timeout
        170147,  # order cancellation timeout
        170149,  # creating the order failed, and how far it came is not said
        170234,  # system error
        3400214,  # server error, please try again later
    }
)

_REFUSALS = {
    RATE_LIMIT: ErrorKind.RATE,
    ADDRESS_LIMIT: ErrorKind.RATE,
    -1: ErrorKind.CLOCK,
    10002: ErrorKind.CLOCK,
    170222: ErrorKind.RATE,
    10014: ErrorKind.ALREADY_THERE,
    110030: ErrorKind.ALREADY_THERE,
    110072: ErrorKind.ALREADY_THERE,
    170141: ErrorKind.ALREADY_THERE,
    110017: ErrorKind.NOTHING_TO_REDUCE,
    110034: ErrorKind.NOTHING_TO_REDUCE,
    30208: ErrorKind.RULES,  # the price is above the highest that a buy may have
    30209: ErrorKind.RULES,  # below the lowest that a sell may have
    30228: ErrorKind.RULES,  # no new positions while the contract is being delisted
    110003: ErrorKind.RULES,  # the price is outside the allowable range
    110023: ErrorKind.RULES,  # the contract's positions can only be reduced
    110042: ErrorKind.RULES,  # the same, shortly before its delivery
    110063: ErrorKind.RULES,  # the contract is being settled
    110074: ErrorKind.RULES,  # the contract is not live
    110094: ErrorKind.RULES,  # under the minimum order value
    110120: ErrorKind.RULES,  # the price is below the limit
    110121: ErrorKind.RULES,  # the price is above the limit
    110001: ErrorKind.GONE,
    110008: ErrorKind.GONE,
    110010: ErrorKind.GONE,
    **dict.fromkeys((170139, 170142, 170143, 170190, 170213), ErrorKind.GONE),
    **dict.fromkeys((170121, 170151, 170157), ErrorKind.RULES),  # unknown, not open yet, or not for programs
    **dict.fromkeys((170136, 170137, 170140), ErrorKind.RULES),  # too little, or on no grid
    **dict.fromkeys((170124, 170341, 170381, 170382), ErrorKind.RULES),  # too much
    34040: ErrorKind.UNCHANGED,
    110025: ErrorKind.UNCHANGED,
    110026: ErrorKind.UNCHANGED,
    110027: ErrorKind.UNCHANGED,
    110043: ErrorKind.UNCHANGED,
}

_REASONS = {
    "EXCHANGE_KEY": (-2015, 10003, 10004, 10005, 10007, 10010, 10029, 33004),
    "EXCHANGE_REGION": (HTTP_FORBIDDEN, 10009, 10024, 110132, 170209, 170348, 170358, 170359),
    "EXCHANGE_BALANCE": (
        *(110004, 110006, 110007, 110012, 110014, 110044, 110045, 110051, 110052, 110053, 110101),
        *(170033, 170131),
    ),
    "EXCHANGE_PRICE": (
        *(30208, 30209, 110003, 110120, 110121),
        *(170132, 170133, 170192, 170193, 170194, 170371, 170372),
    ),
    "EXCHANGE_TERMS": (110123, 110125, 170224, 170241),
    EXCHANGE_RESTRICTED: (10008, 10027, 110066, 110069, 110124),
    "QTY_BELOW_MIN": (170136,),
    "NOTIONAL_BELOW_MIN": (110094, 170140),
    "SYMBOL_NOT_TRADING": (30228, 110023, 110042, 110063, 110074, 110095, 170121, 170151, 170157),
}
_REASON_OF = {code: reason for reason, codes in _REASONS.items() for code in codes}

BAD_PARAMETER = 10001
_HEDGE_WORDS = "position idx not match position mode"
_RULE_WORDS = ("qty", "quantity", "number of contracts", "price", "symbol")


def is_uncertain(code: int) -> bool:
    """Whether the exchange says with this code that it could not tell itself: the order may be live."""
    return code in _UNCERTAIN


def refusal_of(code: int, words: str, *, retry_at_ms: int | None = None) -> OrderRejected:
    """What a certain refusal means. `code` is neither 0 nor uncertain; `retry_at_ms` as the exchange named it."""
    assert code != 0, "zero is no refusal"
    assert not is_uncertain(code), f"{code} says nothing for certain"
    return OrderRejected(
        code=code,
        words=words,
        refusal=_kind(code, words),
        reason_code=_reason_code(code, words),
        retry_at_ms=retry_at_ms,
    )


def _kind(code: int, words: str) -> ErrorKind:
    # 10001 is every kind of bad parameter: only the words tell which.
    if code == BAD_PARAMETER and any(word in words.lower() for word in _RULE_WORDS):
        return ErrorKind.RULES
    return _REFUSALS.get(code, ErrorKind.FINAL)


def _reason_code(code: int, words: str) -> str:
    if code == BAD_PARAMETER and _HEDGE_WORDS in words.lower():
        return "POSITION_MODE_HEDGE"
    return _REASON_OF.get(code, "EXCHANGE_REFUSED")


# What the streams tell, from Bybit's spelling. Source: docs/v5/websocket/private/ and public/ticker.mdx.


_ONE_WAY = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedOrder:
    """`key`: the client order id, or the exchange's own where whoever placed the order gave none."""

    category: Category
    symbol: str
    key: str
    report: OrderReport


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedExecution:
    """`moved`: the signed change of the position. `earned`: the change of the balances, by coin."""

    category: Category
    symbol: str
    key: str
    exec_id: str
    seq: int
    at_ms: int
    moved: Decimal
    earned: Mapping[str, Decimal]
    fill: Fill | None
    kind: str = "Trade"
    """The exchange's `execType`."""
    text: str = ""
    """For people: how much at which price."""

    @property
    def is_outside(self) -> bool:
        """What happened to the position without an order of anybody's: a liquidation, a delivery, a split."""
        return self.kind not in _PLAIN_FILLS and self.kind not in _CASH_ONLY

    @property
    def is_certain(self) -> bool:
        """Whether it says all of what it did to the position; else that must be read."""
        return self.fill is not None or self.kind in _CASH_ONLY


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedPosition:
    """`seq` orders it among the symbol's executions; settings such as leverage keep it and renew `at_ms`.

    `pnl_price`: what open PnL counts from: the session's price where profits are settled in sessions (USDC).
    """

    position: Position
    seq: int
    at_ms: int
    pnl_price: Decimal | None
    is_one_way: bool


def reported_order(row: Row, category: Category) -> ReportedOrder:
    key = row.get("orderLinkId") or row["orderId"]
    return ReportedOrder(category=category, symbol=row["symbol"], key=key, report=report_from(row, category))


def reported_execution(row: Row, category: Category) -> ReportedExecution:
    """Funding moves the wallet and no position; its fee is positive where it was paid."""
    fill = fill_from(row, category)
    moved = Decimal(0)
    if fill is not None:
        if row["side"] not in _SIDES_BACK:
            raise RowUnreadable(f"`side` is {str(row['side'])[:40]!r}")
        moved = fill.qty * _SIDES_BACK[row["side"]].sign
    return ReportedExecution(
        category=category,
        symbol=row["symbol"],
        key=row.get("orderLinkId") or row["orderId"],
        exec_id=row["execId"],
        seq=int(row.get("seq") or 0),
        at_ms=int(row["execTime"]),
        moved=moved,
        earned=balance_changes(row, category),
        fill=fill,
        kind=str(row.get("execType") or "Trade"),
        text=f"{row.get('side') or 'no side'} {row.get('execQty') or '0'} at {row.get('execPrice') or 'no price'}",
    )


def reported_position(rows: tuple[Row, ...], category: Category, symbol: str) -> ReportedPosition:
    """From all rows of one symbol: of `/v5/position/list`, or of one message."""
    row: Row = rows[0] if rows else {}
    position = position_from(rows, category=category, symbol=symbol)
    return ReportedPosition(
        position=position,
        seq=int(row.get("seq") or -1),
        at_ms=position.changed_at_ms or 0,
        pnl_price=Lenient().read(number_but_zero, row, "sessionAvgPrice", instead=None) or position.avg_price,
        is_one_way=len(rows) <= 1 and int(row.get("positionIdx") or _ONE_WAY) == _ONE_WAY,
    )
