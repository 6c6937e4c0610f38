"""Follows a real host's public tickers, where one can be reached. It is quiet, and tries seldom where it cannot."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_UP, Decimal, InvalidOperation
from typing import Any

import requests

from relay.paper.book import Book
from relay.paper.exchange import Exchange
from relay.paper.state import Quote

log = logging.getLogger(__name__)
POLL_S = 1.0
RETRY_S = 60.0
TIMEOUT_S = (3.0, 5.0)


class Feed:
    """Polls `url` from a background thread. Symbols whose price was set by hand are left alone."""

    def __init__(self, exchange: Exchange, url: str) -> None:
        self._exchange = exchange
        self._url = url.rstrip("/")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="paper-feed", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread; a call that is under way is not waited for."""
        self._stop.set()

    def _run(self) -> None:
        with requests.Session() as session:
            while not self._stop.is_set():
                live = self.poll(session)
                self._stop.wait(POLL_S if live else RETRY_S)

    def poll(self, session: requests.Session) -> bool:
        """One round over both categories; false if the host could not be understood."""
        live = all(self._follow(session, category) for category in ("linear", "inverse"))
        if live != self._exchange.market_is_live:
            log.info("paper prices %s %s", "follow" if live else "no longer follow", self._url)
        self._exchange.market_is_live = live
        return live

    def _follow(self, session: requests.Session, category: str) -> bool:
        try:
            answer = session.get(
                f"{self._url}/v5/market/tickers", params={"category": category}, timeout=TIMEOUT_S
            ).json(parse_float=Decimal)
            rows = answer["result"]["list"]
        except (requests.RequestException, ValueError, KeyError, TypeError):
            return False
        self._exchange.act(lambda book, now_ms: self._apply(book, category, rows, now_ms))
        return True

    def _apply(self, book: Book, category: str, rows: list[Mapping[str, Any]], now_ms: int) -> None:
        for row in rows:
            symbol = row.get("symbol", "")
            instrument = self._exchange.instruments.get(symbol)
            if instrument is None or instrument.category != category or symbol in self._exchange.pinned:
                continue
            quote = read_ticker(row, instrument.tick_size)
            if quote is not None and quote != book.state.quotes[symbol]:
                book.move(symbol, quote, now_ms)


def read_ticker(row: Mapping[str, Any], tick: Decimal) -> Quote | None:
    """A row of `/v5/market/tickers`; None if it lacks a usable price. An empty side of the book is the last price.

    What can be traded at is put on our table's grid, should the real one have become finer.
    """
    try:
        last = _on_grid(Decimal(row["lastPrice"]), tick, ROUND_HALF_EVEN)
        quote = Quote(
            last=last,
            mark=Decimal(row["markPrice"]),
            index=Decimal(row["indexPrice"]),
            bid=_on_grid(Decimal(row.get("bid1Price") or last), tick, ROUND_DOWN) or last,
            ask=_on_grid(Decimal(row.get("ask1Price") or last), tick, ROUND_UP) or last,
            funding_rate=Decimal(row.get("fundingRate") or 0),
        )
    except (KeyError, TypeError, InvalidOperation):
        return None
    prices = (quote.last, quote.mark, quote.index, quote.bid, quote.ask)
    return quote if all(price.is_finite() and price > 0 for price in prices) else None


def _on_grid(price: Decimal, tick: Decimal, rounding: str) -> Decimal:
    return (price / tick).to_integral_value(rounding) * tick
