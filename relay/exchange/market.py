"""What is known of the market without asking: the instruments, and prices as of the last look."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from decimal import Decimal

from relay.domain.instrument import Category, Instrument
from relay.domain.symbol import SymbolBook
from relay.exchange.client import Exchange
from relay.exchange.instruments import Catalog

PRICE_AGE_MAX_S = 180.0
"""A price is used without asking only to tell that a notional is far from a bound; older than this, not even that."""

Hint = Callable[[Category, str, Decimal], None]


class Market:
    """Replaced whole at each refresh, so readers need no lock."""

    def __init__(
        self,
        *,
        hint: Hint | None = None,
        symbols: Mapping[str, str] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`hint`: tells the paper exchange a price; None where there is a real market.

        `symbols`: tickers that mean another symbol than they would be read as.
        """
        self._overrides = symbols or {}
        self._catalog = Catalog()
        self._book: SymbolBook | None = None
        self._prices: Mapping[tuple[Category, str], Decimal] = {}
        self._priced_at = 0.0
        self._hint = hint
        self._monotonic = monotonic

    def load_instruments(self, exchange: Exchange) -> int:
        """Read all instruments anew; how many. Raises ExchangeUnreachable or ExchangeAnswered, and keeps the old."""
        count = self._catalog.load(exchange.instruments)
        self._book = SymbolBook.of(self._catalog.all(), self._overrides)
        return count

    def load_prices(self, exchange: Exchange) -> None:
        """Read the price of everything, in one call each category. Raises like `load_instruments`."""
        self._prices = {
            (category, symbol): price for category in Category for symbol, price in exchange.prices(category).items()
        }
        self._priced_at = self._monotonic()

    @property
    def book(self) -> SymbolBook | None:
        return self._book

    def instrument(self, category: Category, symbol: str) -> Instrument | None:
        return self._catalog.get(category, symbol)

    def last_price(self, category: Category, symbol: str) -> Decimal | None:
        if self._monotonic() - self._priced_at > PRICE_AGE_MAX_S:
            return None
        return self._prices.get((category, symbol))

    def hint(self, category: Category, symbol: str, price: Decimal) -> None:
        if self._hint is not None:
            self._hint(category, symbol, price)
