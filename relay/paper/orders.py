"""An order as the exchange keeps it, and what a client asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

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
