"""The one signed position of an instrument in one-way mode, and what a report about an order says."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from relay.domain.instrument import Category
from relay.domain.order import OrderStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """`size` is signed: long above zero, short below; in the exchange's unit. Prices and PnL are the exchange's own."""

    category: Category
    symbol: str
    size: Decimal
    avg_price: Decimal | None = None
    mark_price: Decimal | None = None
    unrealised_pnl: Decimal | None = None
    leverage: Decimal | None = None
    take_profit: Decimal | None = None
    stop_loss: Decimal | None = None
    is_hedge: bool = False
    """The symbol is in hedge mode, in which the relay orders nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderReport:
    """What the exchange says of one order. `status` is never `planned`, `submitted` or `denied`."""

    client_order_id: str
    venue_order_id: str
    status: OrderStatus
    filled_qty: Decimal
    avg_price: Decimal | None
    fee: Decimal
    reason: str | None = None
    """The exchange's word for why it ended, where it gave one."""
    rests: bool = False
    """Open at the exchange: on the book, or waiting for its trigger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """One execution of one order. `at_ms`: Unix milliseconds of the exchange's clock; `fee` in `fee_coin`."""

    exec_id: str
    client_order_id: str
    qty: Decimal
    price: Decimal
    fee: Decimal
    fee_coin: str
    is_maker: bool
    at_ms: int
