"""Mark prices as the public ticker streams tell them, of the symbols that somebody wanted. Thread-safe."""

from __future__ import annotations

import threading
from decimal import Decimal

from relay.domain.instrument import Category
from relay.exchange import wire
from relay.exchange.streams_link import Greeting, Link, LinkState, Message

PATHS = {Category.LINEAR: "/v5/public/linear", Category.INVERSE: "/v5/public/inverse"}
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
        """The mark price of now; None: it is not followed (from now on it is), or its stream is not there."""
        return self._feeds[category].mark(symbol)

    def state(self) -> dict[str, LinkState]:
        """Of the streams that anybody uses."""
        return {each.link.name: each.link.state() for each in self._feeds.values() if each.is_used}

    def stop(self) -> None:
        for feed in self._feeds.values():
            feed.link.stop()


class _Feed:
    def __init__(self, category: Category, url: str) -> None:
        self._lock = threading.Lock()
        self._wanted: set[str] = set()
        self._marks: dict[str, Decimal] = {}
        self.link = Link(
            name=f"prices {category.value}",
            url=url,
            greet=self._greet,
            heard=self._heard,
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
        if not self.link.is_current():
            return None
        with self._lock:
            return self._marks.get(symbol)

    def _greet(self, greeting: Greeting) -> None:
        with self._lock:
            topics = [f"tickers.{symbol}" for symbol in sorted(self._wanted)]
        for first in range(0, len(topics), _ARGS_MAX):
            greeting.ask("subscribe", topics[first : first + _ARGS_MAX])

    def _heard(self, message: Message) -> None:
        row = message.get("data")
        if not isinstance(row, dict):
            return
        mark = wire.mark_price_from(row)
        if mark is not None:
            with self._lock:
                self._marks[row["symbol"]] = mark

    def _forget(self) -> None:
        with self._lock:
            self._marks.clear()


def _nothing() -> None:
    """There is nothing to read: the first thing a ticker stream tells is all of it."""
