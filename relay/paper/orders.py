"""An order as the exchange keeps it, what a client asked for, and how that is read from a V5 request."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any, TypeVar

ZERO = Decimal(0)
SPOT = "spot"
QUOTE_COIN = "quoteCoin"
"""The unit of a spot market order whose `qty` is an amount of the quote coin (create-order.mdx, marketUnit)."""


class Side(StrEnum):
    BUY = "Buy"
    SELL = "Sell"

    @property
    def sign(self) -> int:
        return 1 if self is Side.BUY else -1

    @property
    def opposite(self) -> Side:
        return Side.SELL if self is Side.BUY else Side.BUY


class OrderType(StrEnum):
    MARKET = "Market"
    LIMIT = "Limit"


class TimeInForce(StrEnum):
    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"
    POST_ONLY = "PostOnly"


class Status(StrEnum):
    """enum.mdx, orderStatus: cancelled before its trigger a derivatives order is `Deactivated`."""

    NEW = "New"
    PARTIALLY_FILLED = "PartiallyFilled"
    UNTRIGGERED = "Untriggered"
    TRIGGERED = "Triggered"
    FILLED = "Filled"
    CANCELLED = "Cancelled"
    PARTIALLY_FILLED_CANCELED = "PartiallyFilledCanceled"
    """Only spot has it (enum.mdx)."""
    REJECTED = "Rejected"
    DEACTIVATED = "Deactivated"


class TriggerBy(StrEnum):
    LAST = "LastPrice"
    INDEX = "IndexPrice"
    MARK = "MarkPrice"


class StopKind(StrEnum):
    """enum.mdx, stopOrderType; empty for an active order."""

    NONE = ""
    STOP = "Stop"
    TAKE_PROFIT = "TakeProfit"
    STOP_LOSS = "StopLoss"
    TRAILING_STOP = "TrailingStop"
    PARTIAL_TAKE_PROFIT = "PartialTakeProfit"
    PARTIAL_STOP_LOSS = "PartialStopLoss"
    TPSL = "tpslOrder"
    """Spot: its coins are locked from the start."""
    BIDIRECTIONAL = "BidirectionalTpslOrder"
    """Spot: a take profit and a stop loss on the same coins, of which one ends the other."""


ACTIVE = frozenset({Status.NEW, Status.PARTIALLY_FILLED})
OPEN = ACTIVE | {Status.UNTRIGGERED}
FULL_STOPS = frozenset({StopKind.TAKE_PROFIT, StopKind.STOP_LOSS, StopKind.TRAILING_STOP})
PARTIAL_STOPS = frozenset({StopKind.PARTIAL_TAKE_PROFIT, StopKind.PARTIAL_STOP_LOSS})
POSITION_STOPS = FULL_STOPS | PARTIAL_STOPS


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """The exchange says no: Bybit's code and its words."""

    code: int
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Exits:
    """Take profit and stop loss as asked for, on an order or on a position.

    None means not mentioned; zero takes it away.
    """

    take_profit: Decimal | None = None
    stop_loss: Decimal | None = None
    trailing_stop: Decimal | None = None
    active_price: Decimal | None = None
    tp_trigger_by: TriggerBy = TriggerBy.LAST
    sl_trigger_by: TriggerBy = TriggerBy.LAST
    partial: bool = False
    tp_limit_price: Decimal | None = None
    sl_limit_price: Decimal | None = None
    tp_size: Decimal | None = None
    sl_size: Decimal | None = None


NO_EXITS = Exits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A parsed request for a new order. `qty` zero closes the position, with both closing flags set."""

    category: str
    symbol: str
    side: Side
    order_type: OrderType
    qty: Decimal
    price: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    position_idx: int = 0
    link_id: str = ""
    reduce_only: bool = False
    close_on_trigger: bool = False
    trigger_price: Decimal | None = None
    trigger_direction: int = 0
    trigger_by: TriggerBy = TriggerBy.LAST
    exits: Exits = NO_EXITS
    stop_kind: StopKind = StopKind.STOP
    """What it is while it waits for its trigger."""
    market_unit: str = ""
    borrows: bool = False
    """Spot's `isLeverage`."""

    @property
    def closes(self) -> bool:
        """Close-on-trigger can only reduce, like reduce-only (create-order.mdx)."""
        return self.reduce_only or self.close_on_trigger


@dataclass(slots=True, kw_only=True)
class Order:
    """An order and its life so far. `closed_*` and `close_fee` belong to the part that reduced a position."""

    id: str
    link_id: str
    category: str
    symbol: str
    side: Side
    order_type: OrderType
    qty: Decimal
    price: Decimal | None
    time_in_force: TimeInForce
    position_idx: int
    reduce_only: bool
    close_on_trigger: bool
    status: Status
    create_type: str
    stop_kind: StopKind
    trigger_price: Decimal | None
    trigger_direction: int
    trigger_by: TriggerBy
    exits: Exits
    last_price_on_created: Decimal
    created_ms: int
    updated_ms: int
    seq: int
    parent_link_id: str = ""
    pair_id: str = ""
    trail_distance: Decimal | None = None
    trail_peak: Decimal | None = None
    cum_qty: Decimal = ZERO
    cum_value: Decimal = ZERO
    cum_fee: Decimal = ZERO
    reject_reason: str = "EC_NoError"
    cancel_type: str = "UNKNOWN"
    closed_qty: Decimal = ZERO
    closed_entry_value: Decimal = ZERO
    closed_exit_value: Decimal = ZERO
    closed_pnl: Decimal = ZERO
    open_fee: Decimal = ZERO
    close_fee: Decimal = ZERO
    fill_count: int = 0
    leverage: Decimal = ZERO
    market_unit: str = ""
    fees: dict[str, Decimal] = field(default_factory=dict)
    """By coin."""

    @property
    def is_by_value(self) -> bool:
        """`qty` is an amount of the quote coin."""
        return self.market_unit == QUOTE_COIN

    @property
    def leaves(self) -> Decimal:
        """In the unit of `qty`."""
        return self.qty - (self.cum_value if self.is_by_value else self.cum_qty)

    def add_fee(self, fee: Decimal, coin: str) -> None:
        self.cum_fee += fee
        self.fees = {**self.fees, coin: self.fees.get(coin, ZERO) + fee}

    @property
    def is_open(self) -> bool:
        return self.status in OPEN

    @property
    def is_active(self) -> bool:
        return self.status in ACTIVE

    @property
    def closes(self) -> bool:
        return self.reduce_only or self.close_on_trigger

    @property
    def is_position_stop(self) -> bool:
        return self.stop_kind in POSITION_STOPS


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """One fill, or one funding payment (`kind` "Funding", fee paid by the position's holder when positive)."""

    id: str
    seq: int
    order: Order
    kind: str
    price: Decimal
    qty: Decimal
    value: Decimal
    fee: Decimal
    fee_rate: Decimal
    fee_coin: str
    is_maker: bool
    mark_price: Decimal
    closed_qty: Decimal
    pnl: Decimal
    leaves: Decimal
    at_ms: int
    extra_fee: Decimal = ZERO
    """A tax on the fee, in the settle coin; on spot in the fee's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """One change of one coin's balance: `change` = `cash_flow` + `funding` - `fee`; `balance` after it."""

    id: str
    seq: int
    execution: Execution
    coin: str
    balance: Decimal
    cash_flow: Decimal
    funding: Decimal
    fee: Decimal

    @property
    def change(self) -> Decimal:
        return self.cash_flow + self.funding - self.fee


# Reading a V5 request's fields. What cannot be read is refused with 10001 and the field's name, as Bybit does.


_NUMBER = re.compile(r"-?(\d{1,20}(\.\d{0,20})?|\.\d{1,20})\Z")
_LINK = re.compile(r"[A-Za-z0-9_-]{0,36}\Z")
_Word = TypeVar("_Word", bound=StrEnum)


class Unreadable(Exception):
    """A field of the request cannot be read; carries the refusal."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.refusal = Refusal(code=10001, message=message)


def number(params: Mapping[str, Any], name: str) -> Decimal | None:
    """A decimal field; None if it is missing or empty. Exponents are not accepted: Bybit does not read them either."""
    value = params.get(name)
    if value is None or value == "":
        return None
    text = str(value)
    if isinstance(value, bool) or not _NUMBER.match(text):
        raise Unreadable(f"{name[0].upper()}{name[1:]} invalid")
    try:
        return Decimal(text)
    except InvalidOperation as error:
        raise Unreadable(f"{name[0].upper()}{name[1:]} invalid") from error


def word(params: Mapping[str, Any], name: str, kind: type[_Word], default: _Word | None = None) -> _Word:
    """A field with a fixed set of words."""
    value = params.get(name)
    if value in (None, "") and default is not None:
        return default
    try:
        return kind(str(value))
    except ValueError as error:
        raise Unreadable(f"{name[0].upper()}{name[1:]} invalid") from error


def whole(params: Mapping[str, Any], name: str, default: int) -> int:
    """An integer field, bare or quoted."""
    value = params.get(name)
    if value in (None, ""):
        return default
    try:
        return int(str(value))
    except ValueError as error:
        raise Unreadable(f"{name} invalid") from error


def flag(params: Mapping[str, Any], name: str) -> bool:
    """A boolean field, bare or quoted."""
    value = params.get(name)
    if isinstance(value, bool):
        return value
    if value in (None, ""):
        return False
    if str(value).lower() in ("true", "false"):
        return str(value).lower() == "true"
    raise Unreadable(f"{name} invalid")


def category(params: Mapping[str, Any], *, spot: bool = True) -> str:
    """Linear, inverse or spot: the paper exchange has no options. `spot` false: what only contracts have."""
    found = str(params.get("category") or "")
    if found not in ("linear", "inverse") and not (spot and found == SPOT):
        raise Unreadable("params error: category invalid")
    return found


def link_id(params: Mapping[str, Any]) -> str:
    """At most 36 letters, digits, dashes and underscores (create-order.mdx)."""
    value = str(params.get("orderLinkId") or "")
    if not _LINK.match(value):
        raise Unreadable("OrderLinkedID invalid: at most 36 of letters, digits, dashes and underscores")
    return value


def exits(params: Mapping[str, Any]) -> Exits:
    """The take profit and stop loss fields of create, amend and trading-stop; spot's amend has the prices alone."""
    if params.get("category") == SPOT:
        return Exits(
            take_profit=number(params, "takeProfit"),
            stop_loss=number(params, "stopLoss"),
            tp_limit_price=number(params, "tpLimitPrice"),
            sl_limit_price=number(params, "slLimitPrice"),
        )
    partial = str(params.get("tpslMode") or "Full")
    if partial not in ("Full", "Partial"):
        raise Unreadable("TpslMode invalid")
    tp_type = word(params, "tpOrderType", OrderType, OrderType.MARKET)
    sl_type = word(params, "slOrderType", OrderType, OrderType.MARKET)
    if partial == "Full" and OrderType.LIMIT in (tp_type, sl_type):
        raise Unreadable("tpOrderType and slOrderType must be Market in Full mode")
    return Exits(
        take_profit=number(params, "takeProfit"),
        stop_loss=number(params, "stopLoss"),
        trailing_stop=number(params, "trailingStop"),
        active_price=number(params, "activePrice"),
        tp_trigger_by=word(params, "tpTriggerBy", TriggerBy, TriggerBy.LAST),
        sl_trigger_by=word(params, "slTriggerBy", TriggerBy, TriggerBy.LAST),
        partial=partial == "Partial",
        tp_limit_price=number(params, "tpLimitPrice") if tp_type is OrderType.LIMIT else None,
        sl_limit_price=number(params, "slLimitPrice") if sl_type is OrderType.LIMIT else None,
        tp_size=number(params, "tpSize"),
        sl_size=number(params, "slSize"),
    )


def _slippage(params: Mapping[str, Any]) -> Refusal | None:
    """create-order.mdx: TickSize 1..10000, whole; Percent 0.01..10. Without a spread it changes nothing here."""
    kind, value = params.get("slippageToleranceType"), number(params, "slippageTolerance")
    if kind in (None, "", "UNKNOWN") or value is None:
        return None
    if kind == "TickSize":
        fits = 1 <= value <= 10_000 and value == int(value)
        return None if fits else Refusal(code=110108, message="Allowable range: 1 to 10000 tick size")
    if kind == "Percent":
        fits = Decimal("0.01") <= value <= 10
        return None if fits else Refusal(code=110109, message="Allowable range: 0.01% to 10%")
    raise Unreadable("SlippageToleranceType invalid")


def order(params: Mapping[str, Any]) -> Ask | Refusal:
    """The body of `/v5/order/create`. Raises Unreadable."""
    if params.get("category") == SPOT:
        return spot_order(params)
    side = word(params, "side", Side)
    order_type = word(params, "orderType", OrderType)
    qty = number(params, "qty")
    if qty is None or qty < 0:
        raise Unreadable("Qty invalid")
    limit = order_type is OrderType.LIMIT
    price = number(params, "price") if limit else None
    if limit and not price:
        raise Unreadable("Price invalid")
    refusal = _slippage(params)
    if refusal:
        return refusal
    return Ask(
        category=str(params.get("category") or ""),
        symbol=str(params.get("symbol") or ""),
        side=side,
        order_type=order_type,
        qty=qty,
        price=price,
        time_in_force=word(params, "timeInForce", TimeInForce, TimeInForce.GTC) if limit else TimeInForce.IOC,
        position_idx=whole(params, "positionIdx", 0),
        link_id=link_id(params),
        reduce_only=flag(params, "reduceOnly"),
        close_on_trigger=flag(params, "closeOnTrigger"),
        trigger_price=number(params, "triggerPrice") or None,
        trigger_direction=whole(params, "triggerDirection", 0),
        trigger_by=word(params, "triggerBy", TriggerBy, TriggerBy.LAST),
        exits=_set_levels(exits(params)),
    )


# Spot, whose refusals have codes of their own (error.mdx, Spot Trade).


class _SpotRefused(Exception):
    """Carries the refusal."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.refusal = Refusal(code=code, message=message)


FILTERS = {"Order": StopKind.NONE, "StopOrder": StopKind.STOP, "tpslOrder": StopKind.TPSL}


def spot_order(params: Mapping[str, Any]) -> Ask | Refusal:
    """The body of `/v5/order/create` with the category spot. What only contracts have (positionIdx, …) is ignored."""
    try:
        return _spot_order(params) if (refusal := _slippage(params)) is None else refusal
    except _SpotRefused as error:
        return error.refusal
    except Unreadable as error:
        name = str(error).partition(" ")[0]
        return Refusal(code=170130, message=f"Data sent for paramter '{name[0].lower()}{name[1:]}' is not valid.")


def _spot_order(params: Mapping[str, Any]) -> Ask:
    side = _spot_word(params, "side", Side, 170117)
    order_type = _spot_word(params, "orderType", OrderType, 170116)
    limit = order_type is OrderType.LIMIT
    stop_kind = FILTERS.get(str(params.get("orderFilter") or "Order"))
    if stop_kind is None:
        raise _SpotRefused(170201, "Invalid orderFilter parameter")
    if params.get("timeInForce") == "RPI":
        raise _SpotRefused(170355, "RPI orders are restricted to approved market makers only")
    trigger = number(params, "triggerPrice")
    if stop_kind is not StopKind.NONE and not trigger:
        raise _SpotRefused(170202, "Please enter the TP/SL price.")
    if stop_kind is StopKind.NONE and trigger:
        raise Unreadable("TriggerPrice invalid")
    if stop_kind is not StopKind.NONE and params.get("slippageTolerance"):
        raise Unreadable("SlippageTolerance invalid")
    return Ask(
        category=SPOT,
        symbol=str(params.get("symbol") or ""),
        side=side,
        order_type=order_type,
        qty=_spot_number(params, "qty"),
        price=_spot_number(params, "price") if limit else None,
        time_in_force=_spot_word(params, "timeInForce", TimeInForce, 170115, "GTC") if limit else TimeInForce.IOC,
        link_id=link_id(params),
        trigger_price=trigger or None,
        exits=_spot_levels(params, allowed=limit and stop_kind is StopKind.NONE),
        stop_kind=stop_kind,
        market_unit="" if limit else _market_unit(params, side),
        borrows=whole(params, "isLeverage", 0) == 1,
    )


def _spot_word(params: Mapping[str, Any], name: str, kind: type[_Word], code: int, default: str = "") -> _Word:
    try:
        return kind(str(params.get(name) or default))
    except ValueError as error:
        raise _SpotRefused(code, f"Invalid {name}.") from error


def _spot_number(params: Mapping[str, Any], name: str) -> Decimal:
    found = number(params, name)
    if found is None:
        raise _SpotRefused(170105, f"Parameter '{name}' was empty.")
    if found < 0:
        raise Unreadable(f"{name} invalid")
    return found


def _market_unit(params: Mapping[str, Any], side: Side) -> str:
    """batch-place.mdx: a market buy is by value unless told otherwise, a market sell by quantity."""
    found = str(params.get("marketUnit") or (QUOTE_COIN if side is Side.BUY else "baseCoin"))
    if found not in (QUOTE_COIN, "baseCoin"):
        raise Unreadable("MarketUnit invalid")
    return found


def _spot_levels(params: Mapping[str, Any], *, allowed: bool) -> Exits:
    """Only a plain limit order may carry any (create-order.mdx), each with its order type: else 170003 in the field."""
    found: dict[str, Decimal | None] = {}
    for name, prefix in (("takeProfit", "tp"), ("stopLoss", "sl")):
        found[name] = found[prefix] = None
        if not number(params, name):
            continue
        if not allowed:
            raise Unreadable(f"{name} invalid")
        if params.get(f"{prefix}OrderType") in (None, ""):
            raise _SpotRefused(170003, "An unknown parameter was sent.")
        found[name] = _spot_number(params, name)
        if word(params, f"{prefix}OrderType", OrderType) is OrderType.LIMIT:
            found[prefix] = _spot_number(params, f"{prefix}LimitPrice")
    return Exits(
        take_profit=found["takeProfit"],
        stop_loss=found["stopLoss"],
        tp_limit_price=found["tp"],
        sl_limit_price=found["sl"],
    )


def _set_levels(asked: Exits) -> Exits:
    """On a new order a zero is no level; only on a position does it take one away."""
    return replace(asked, take_profit=asked.take_profit or None, stop_loss=asked.stop_loss or None, trailing_stop=None)
