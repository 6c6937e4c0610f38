"""What is known of the market without asking: the listed instruments, and the prices that the public streams tell."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from types import MappingProxyType

from relay.bybit import wire_account
from relay.bybit.client import Exchange
from relay.bybit.stream import LinkState, Message, StreamGreeting, StreamLink
from relay.domain.instrument import NOT_LISTED, PERPETUALS, Category, Instrument, SymbolIndex
from relay.errors import ExchangeAnswered, ExchangeUnreachable

# The instruments that the exchange lists, as they were read last.


_Key = tuple[Category, str]


class Catalog:
    """A snapshot that is replaced whole: readers see the old one or the new one, never a mixture. Thread-safe."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._loading = threading.Lock()
        self._instruments: Mapping[_Key, Instrument] = MappingProxyType({})
        self._loaded_at: float | None = None

    def load(self, fetch: Callable[[], Iterable[Instrument]], needed: Collection[_Key] = ()) -> int:
        """Replace all instruments with what `fetch` brings, the later of two rows of one; how many.

        `needed`: what must not get lost, though the exchange has dropped it.

        What `fetch` raises passes through, and the old ones stay. So they do when it brings none, which is no answer
        that the exchange gives: ExchangeUnreachable.
        """
        with self._loading:
            fresh = {(each.category, each.symbol): self._with_rules(each) for each in fetch()}
            if not fresh:
                raise ExchangeUnreachable("the exchange listed no instruments")
            dropped = {key: self._instruments[key] for key in needed if key in self._instruments and key not in fresh}
            gone = {key: replace(each, is_trading=False, status=NOT_LISTED) for key, each in dropped.items()}
            self._instruments = MappingProxyType({**fresh, **gone})
            self._loaded_at = self._monotonic()
        return len(fresh)

    def keep(self, instrument: Instrument) -> None:
        """One that was read by itself."""
        with self._loading:
            key = (instrument.category, instrument.symbol)
            self._instruments = MappingProxyType({**self._instruments, key: self._with_rules(instrument)})

    def _with_rules(self, instrument: Instrument) -> Instrument:
        """What cannot be read is exited by the rules that were known last."""
        if instrument.unreadable is None:
            return instrument
        known = self._instruments.get((instrument.category, instrument.symbol), instrument)
        return replace(known, unreadable=instrument.unreadable)

    def get(self, category: Category, symbol: str) -> Instrument | None:
        return self._instruments.get((category, symbol))

    def all(self) -> tuple[Instrument, ...]:
        return tuple(self._instruments.values())

    def __iter__(self) -> Iterator[Instrument]:
        return iter(self.all())

    def __len__(self) -> int:
        return len(self._instruments)

    @property
    def loaded(self) -> bool:
        return self._loaded_at is not None

    @property
    def age(self) -> timedelta | None:
        """Since the last successful load; None before the first."""
        return None if self._loaded_at is None else timedelta(seconds=self._monotonic() - self._loaded_at)


CLOSED_S = 900.0
"""How often those that are over are read: they are many, and do not come back."""
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
        self.instrument = self._catalog.get
        self.symbol_index: SymbolIndex | None = None
        """Of the perpetuals there are; None until they are loaded."""
        self._prices: Mapping[tuple[Category, str], Decimal] = {}
        self._priced_at = 0.0
        self._hint = hint
        self._monotonic = monotonic
        self._loading = threading.Lock()
        self._closed: tuple[Instrument, ...] = ()
        self._closed_at: float | None = None

    def load_instruments(self, exchange: Exchange, needed: Collection[_Key] = ()) -> int:
        """Read all instruments anew; how many. `needed`: where something is open, which is known even if it is dropped.

        Raises ExchangeUnreachable or ExchangeAnswered, and keeps the old.
        """

        def fetch() -> Iterator[Instrument]:
            if self._closed_at is None or self._monotonic() - self._closed_at >= CLOSED_S:
                self._closed, self._closed_at = exchange.closed_instruments(), self._monotonic()
            # What trades again under the name of one that is over counts.
            yield from self._closed
            yield from exchange.instruments()
            yield from exchange.pairs()

        count = self._catalog.load(fetch, needed)
        self.symbol_index = SymbolIndex.of(self._catalog.all(), self._overrides)
        return count

    def load_once(self, exchange: Exchange) -> None:
        """Read instruments and prices, unless some account did before. Raises like `load_instruments`."""
        with self._loading:
            if self.symbol_index is None:
                self.load_prices(exchange)
                self.load_instruments(exchange)

    def keep_instrument(self, instrument: Instrument) -> None:
        """One that was read by itself, because its rules seemed to have changed."""
        self._catalog.keep(instrument)
        self.symbol_index = SymbolIndex.of(self._catalog.all(), self._overrides)

    def load_prices(self, exchange: Exchange) -> None:
        """Read the price of everything, in one call each category. Raises like `load_instruments`."""
        prices = {(each, symbol): price for each in PERPETUALS for symbol, price in exchange.prices(each).items()}
        with suppress(ExchangeAnswered):  # of a host without spot markets
            prices |= {(Category.SPOT, symbol): price for symbol, price in exchange.prices(Category.SPOT).items()}
        self._prices = prices
        self._priced_at = self._monotonic()

    def last_price(self, category: Category, symbol: str) -> Decimal | None:
        if self._monotonic() - self._priced_at > PRICE_AGE_MAX_S:
            return None
        return self._prices.get((category, symbol))

    def hint(self, category: Category, symbol: str, price: Decimal) -> None:
        if self._hint is not None:
            self._hint(category, symbol, price)


# Mark prices from the public ticker streams, for the symbols that were asked for. Thread-safe.


PATHS = {each: f"/v5/public/{each.value}" for each in Category}
_ARGS_MAX = 100
"""Topics in one request; the exchange bounds its length (21,000 characters a connection)."""


class Prices:
    """One connection a category, opened when the first symbol of it is wanted. Shared by the accounts of one host."""

    def __init__(self, url: str) -> None:
        self._feeds = {category: _Feed(category, url.rstrip("/") + path) for category, path in PATHS.items()}

    def want(self, category: Category, symbol: str) -> None:
        """From now on the symbol's price is followed."""
        self._feeds[category].want(symbol)

    def mark(self, category: Category, symbol: str) -> Decimal | None:
        """The mark price of now; None if it is not followed (from now on it is), or its stream was not heard lately."""
        return self._feeds[category].mark(symbol)

    def hurry(self, category: Category, seconds: float) -> None:
        """For so long the category's prices are kept fresh enough to decide an entry."""
        self._feeds[category].link.hurry(seconds)

    def state(self) -> dict[str, LinkState]:
        """Of the streams that anybody uses."""
        return {each.link.name: each.link.state() for each in self._feeds.values() if each.is_used}

    def stop(self) -> None:
        for feed in self._feeds.values():
            feed.link.stop()


class _Feed:
    def __init__(self, category: Category, url: str) -> None:
        self._category = category
        self._lock = threading.Lock()
        self._wanted: set[str] = set()
        self._marks: dict[str, Decimal] = {}
        self.link = StreamLink(
            name=f"prices {category.value}",
            url=url,
            greet=self._greet,
            received=self._received,
            opened=_nothing,
            closed=self._forget,
        )

    @property
    def is_used(self) -> bool:
        return bool(self._wanted)

    def want(self, symbol: str) -> None:
        with self._lock:
            if symbol in self._wanted:
                return
            is_first = not self._wanted
            self._wanted.add(symbol)
        if is_first:
            self.link.start()
        else:
            self.link.send({"op": "subscribe", "args": [f"tickers.{symbol}"]})

    def mark(self, symbol: str) -> Decimal | None:
        self.want(symbol)
        if not self.link.is_fresh():
            return None
        with self._lock:
            return self._marks.get(symbol)

    def _greet(self, greeting: StreamGreeting) -> None:
        with self._lock:
            topics = [f"tickers.{symbol}" for symbol in sorted(self._wanted)]
        for first in range(0, len(topics), _ARGS_MAX):
            greeting.ask("subscribe", topics[first : first + _ARGS_MAX])

    def _received(self, message: Message) -> None:
        row = message.get("data")
        if not isinstance(row, dict):
            return
        symbol = str(row.get("symbol"))
        try:
            mark = wire_account.mark_price_from(row, self._category)
        except wire_account.NOT_UNDERSTOOD:  # it is asked for, then, and whoever asks is told
            with self._lock:
                self._marks.pop(symbol, None)
            return
        if mark is not None:
            with self._lock:
                self._marks[symbol] = mark

    def _forget(self) -> None:
        with self._lock:
            self._marks.clear()


def _nothing() -> None:
    """There is nothing to read: the first thing a ticker stream tells is all of it."""
