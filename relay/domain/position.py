"""The one signed position of an instrument in one-way mode, and what a report about an order says."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from relay.domain.instrument import Category, plain
from relay.domain.order import OrderStatus, Reason

_HUNDREDTH: Final = Decimal("0.01")


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
    trailing_stop: Decimal | None = None
    """A distance in price."""
    liq_price: Decimal | None = field(default=None, compare=False)
    """Where the exchange would liquidate it; None where that is nowhere, or not told."""
    margin: Decimal | None = field(default=None, compare=False)
    """What it ties up, in the settle coin."""
    adl_rank: int | None = field(default=None, compare=False)
    """From 1 to 5: how early the exchange would reduce it by auto-deleveraging, 5 first."""
    opened_at_ms: int | None = field(default=None, compare=False)
    """Since when it is open, by the exchange's clock."""
    changed_at_ms: int | None = field(default=None, compare=False)
    """When the exchange last changed it, by its own clock; None if it does not say, as where nothing ever was."""
    is_hedge: bool = False
    """The symbol is in hedge mode, in which the relay orders nothing."""
    gross: Decimal | None = None
    """Of spot: with the coins that fees took; what a strategy, which knows of no fees, believes to hold."""
    free: Decimal | None = None
    """Of spot: what the account could sell of the coin now, the owner's own coins among it."""
    no_entry: Reason | None = None
    """Why nothing may be opened or added here: it is not wholly understood, or the exchange lets it only be reduced."""

    @property
    def nominal(self) -> Decimal:
        """What is compared with a strategy's position: fees that were taken in the coin are not bought again."""
        return self.size if self.gross is None else self.gross

    @property
    def closable(self) -> Decimal:
        """What an exit may ask for once the exchange has refused more; all of it while it says nothing of use."""
        return min(self.size, self.free) if self.free else self.size

    @property
    def roe_pct(self) -> Decimal | None:
        """Open profit in percent of the margin, to two places; None where either is not known."""
        if self.unrealised_pnl is None or not self.margin:
            return None
        return (self.unrealised_pnl / self.margin * 100).quantize(_HUNDREDTH)


@dataclass(frozen=True, slots=True, kw_only=True)
class StopLevels:
    """What is to become of a position's own levels: None leaves one as it is, zero takes it away."""

    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    trailing_stop: Decimal | None = None
    """A distance in price."""
    trailing_start: Decimal | None = None
    """Where the trailing stop begins; None means that it follows at once."""

    @property
    def is_empty(self) -> bool:
        return self.stop_loss is None and self.take_profit is None and self.trailing_stop is None

    def as_words(self) -> dict[str, str]:
        """For the journal and for people: what is named."""
        named = {name: getattr(self, name) for name in ("stop_loss", "take_profit", "trailing_stop", "trailing_start")}
        return {name: plain(level) for name, level in named.items() if level is not None}


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
    price: Decimal | None = None
    """The limit price that the order has at the exchange, which may have moved it into its own bounds."""
    rests: bool = False
    """Open at the exchange: on the book, or waiting for its trigger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """One execution of one order. `at_ms`: Unix milliseconds of the exchange's clock; `fee` in `fee_coin`.

    `base_fee`: of spot, what of the fee was taken of the coins themselves; below zero what was given.
    """

    exec_id: str
    client_order_id: str
    qty: Decimal
    price: Decimal
    fee: Decimal
    fee_coin: str
    is_maker: bool
    at_ms: int
    base_fee: Decimal = Decimal(0)
