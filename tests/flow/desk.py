"""A relay and a paper exchange, and what the exchange itself says of the orders that came to it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from pybit.unified_trading import HTTP

from relay.domain.instrument import plain
from tests.paper_server import Control, PaperServer
from tests.relay_process import DEADLINE_S, RelayProcess


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """An instrument as an alert names it. `lot`: the size that tests count in; `price`: the exchange's start price."""

    ticker: str
    symbol: str
    category: str = "linear"
    lot: str = "0.1"
    price: str = "100000"

    @property
    def where(self) -> dict[str, str]:
        return {"category": self.category, "symbol": self.symbol}

    @property
    def is_inverse(self) -> bool:
        return self.category == "inverse"

    def quote(self, lots: str) -> str:
        """What so many lots are worth in the quote coin."""
        return plain(Decimal(lots) * Decimal(self.lot) * (1 if self.is_inverse else Decimal(self.price)))


BTC = Market(ticker="BTCUSDT.P", symbol="BTCUSDT")
BTC_USDC = Market(ticker="BTCUSDC.P", symbol="BTCPERP")
BTC_INVERSE = Market(ticker="BYBIT:BTCUSD.P", symbol="BTCUSD", category="inverse", lot="1000")
MARKETS = (BTC, BTC_USDC, BTC_INVERSE)


class AccountApi:
    """Everything about one account: alerts go in by the webhook, the exchange is asked with the real client library."""

    def __init__(self, paper: PaperServer, relay: RelayProcess) -> None:
        self.relay = relay
        self._session: HTTP = paper.session()
        self.control: Control = paper.control

    def send(self, market: Market, action: str, **fields: object) -> dict[str, Any]:
        """What became of the alert: the finished signal. After a 503 it is sent again, as TradingView does."""
        alert = {"action": action, "ticker": market.ticker, "id": uuid.uuid4().hex, **fields}
        until = time.monotonic() + DEADLINE_S
        while (answer := self.relay.post(alert, wait_s=10)).status_code == 503 and time.monotonic() < until:
            pass
        assert answer.status_code in (200, 202), answer.text
        signal: dict[str, Any] = answer.json()
        return signal if answer.status_code == 200 else self.relay.wait_for(signal["signal_id"])

    def hold(self, market: Market, size: Decimal | str) -> None:
        """Somebody brings the position to the signed `size`, with an order that is not the relay's."""
        change = Decimal(size) - self.position(market)
        if change:
            self.place(market, "Buy" if change > 0 else "Sell", abs(change))

    def place(self, market: Market, side: str, qty: Decimal | str, **more: object) -> str:
        """Somebody's own order; a limit order where it has a `price`."""
        fields = {
            **market.where,
            "side": side,
            "orderType": "Limit" if "price" in more else "Market",
            "qty": str(qty),
            "positionIdx": 0,
        }
        return str(self._session.place_order(**fields, **more)["result"]["orderId"])

    def protect(self, market: Market, stop_loss: str) -> None:
        """Somebody gives the position a stop loss."""
        self._session.set_trading_stop(**market.where, stopLoss=stop_loss, tpslMode="Full", positionIdx=0)

    def position_row(self, market: Market) -> dict[str, Any]:
        return dict(self._session.get_positions(**market.where)["result"]["list"][0])

    def position(self, market: Market) -> Decimal:
        """Signed."""
        row = self.position_row(market)
        return Decimal(row["size"]) * (-1 if row["side"] == "Sell" else 1)

    def held(self, market: Market) -> str:
        """The position as text."""
        return plain(self.position(market))

    def resting(self, market: Market) -> list[dict[str, Any]]:
        """The orders on the book, whoever's, without the position's own stops."""
        rows = self._session.get_open_orders(**market.where, openOnly=0)["result"]["list"]
        return [dict(row) for row in rows if row["orderStatus"] in ("New", "PartiallyFilled", "Untriggered")]

    def arrived(self, market: Market, signal: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The signal's orders as the exchange has them, in the order in which they were sent."""
        rows = []
        for order in signal["orders"]:
            which = {**market.where, "orderLinkId": order["client_order_id"]}
            rows += self._session.get_open_orders(**which)["result"]["list"]
        return rows

    def shown(self, market: Market, signal: Mapping[str, Any]) -> list[str]:
        """The signal's orders as the exchange has them, each as `side lots` or `side lots reduce-only`."""
        lot = Decimal(market.lot)
        return [
            f"{row['side'].lower()} {plain(Decimal(row['qty']) / lot)}{' reduce-only' if row['reduceOnly'] else ''}"
            for row in self.arrived(market, signal)
        ]


@contextmanager
def open_account_api(folder: Path, paper: PaperServer, **environment: str) -> Iterator[AccountApi]:
    relay = RelayProcess(folder, paper.url, environment=environment)
    try:
        relay.start()
        yield AccountApi(paper, relay)
    finally:
        relay.stop()
