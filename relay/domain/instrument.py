"""What may be ordered and by which rules."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum


class Category(StrEnum):
    """How a perpetual is settled: linear in a stable coin, inverse in the coin itself."""

    LINEAR = "linear"
    INVERSE = "inverse"


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """The trading rules of one perpetual.

    Quantities are in the exchange's unit: coins on linear, USD contracts on inverse. Prices are in the quote coin.
    Source: the exchange's `GET /v5/market/instruments-info` (`priceFilter`, `lotSizeFilter`, `leverageFilter`).
    """

    category: Category
    symbol: str
    base_coin: str
    quote_coin: str
    settle_coin: str
    is_trading: bool
    tick_size: Decimal
    price_min: Decimal
    price_max: Decimal
    qty_step: Decimal
    qty_min: Decimal
    qty_max: Decimal
    """The largest limit order."""
    qty_max_market: Decimal
    notional_min: Decimal
    """In the quote coin; zero where the exchange names none."""
    leverage_max: Decimal

    @property
    def is_inverse(self) -> bool:
        return self.category is Category.INVERSE

    def largest_order(self, *, has_limit: bool) -> Decimal:
        """What one order may be at most, with a limit price or at market."""
        return self.qty_max if has_limit else self.qty_max_market

    def notional(self, qty: Decimal, price: Decimal) -> Decimal:
        """What `qty` is worth in the quote coin; an inverse contract is worth one USD at any price."""
        return qty if self.is_inverse else qty * price
