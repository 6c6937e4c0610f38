"""A row of the table: an alert, the position it finds, and what the exchange must have of it afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Fields = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """An instrument of the paper exchange at its start price. `ticker`: as TradingView spells it."""

    ticker: str
    symbol: str
    category: str = "linear"

    @property
    def where(self) -> dict[str, str]:
        return {"category": self.category, "symbol": self.symbol}


BTC = Place(ticker="BTCUSDT.P", symbol="BTCUSDT")
"""At 100000; steps of 0.001; ticks of 0.1."""
ETH = Place(ticker="BYBIT:ETHUSDT.P", symbol="ETHUSDT")
"""At 4000; steps of 0.01; ticks of 0.01."""
PEPE = Place(ticker="1000PEPEUSDT.P", symbol="1000PEPEUSDT")
USDC = Place(ticker="BTCUSDC.P", symbol="BTCPERP")
"""At 100000; settled in USDC."""
INV = Place(ticker="BYBIT:BTCUSD.P", symbol="BTCUSD", category="inverse")
"""At 100000; contracts of one USD; settled in BTC."""
ETH_INV = Place(ticker="ETHUSD.P", symbol="ETHUSD", category="inverse")
"""At 4000."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """`orders`: the signal's own, as the exchange has them, in their order. `after`: the position, with its stops."""

    name: str
    place: Place
    before: str
    alert: Fields
    orders: tuple[str, ...]
    after: str
    status: str = "done"
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows that share an instrument."""

    place: Place
    rows: list[Row] = field(default_factory=list)

    def row(
        self,
        name: str,
        before: str,
        alert: Fields,
        orders: str,
        after: str,
        *,
        status: str = "done",
        reason: str | None = None,
    ) -> None:
        """`orders`: separated by `; `, empty for none."""
        wanted = tuple(filter(None, orders.split("; ")))
        row = Row(
            name=f"{self.place.symbol}: {name}",
            place=self.place,
            before=before,
            alert=alert,
            orders=wanted,
            after=after,
            status=status,
            reason=reason,
        )
        self.rows.append(row)


def a(action: str, qty: str | None = None, **fields: Any) -> dict[str, Any]:
    """A native alert."""
    return {"action": action, **({} if qty is None else {"qty": qty}), **fields}
