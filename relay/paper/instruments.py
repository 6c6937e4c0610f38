"""The contracts that can be traded, from the table shipped beside this file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

TABLE = Path(__file__).with_name("instruments.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """One contract with its rules. Quantities are coins on linear and USD contracts on inverse.

    `published` is what `/v5/market/instruments-info` shows of it, word for word.
    """

    symbol: str
    category: str
    contract_type: str
    status: str
    base_coin: str
    quote_coin: str
    settle_coin: str
    tick_size: Decimal
    min_price: Decimal
    max_price: Decimal
    qty_step: Decimal
    min_qty: Decimal
    max_limit_qty: Decimal
    max_market_qty: Decimal
    min_notional: Decimal
    max_leverage: Decimal
    start_price: Decimal
    funding_rate: Decimal
    published: Mapping[str, Any]

    @property
    def inverse(self) -> bool:
        return self.category == "inverse"

    @property
    def can_hedge(self) -> bool:
        """Only USDT perpetuals know hedge mode (position-mode.mdx)."""
        return self.contract_type == "LinearPerpetual" and self.settle_coin == "USDT"

    def value(self, qty: Decimal, price: Decimal) -> Decimal:
        """What `qty` is worth in the settle coin at `price`."""
        return qty / price if self.inverse else qty * price


def _instrument(row: Mapping[str, Any]) -> Instrument:
    shown = row["instrument"]
    price, lot = shown["priceFilter"], shown["lotSizeFilter"]
    return Instrument(
        symbol=shown["symbol"],
        category=row["category"],
        contract_type=shown["contractType"],
        status=shown["status"],
        base_coin=shown["baseCoin"],
        quote_coin=shown["quoteCoin"],
        settle_coin=shown["settleCoin"],
        tick_size=Decimal(price["tickSize"]),
        min_price=Decimal(price["minPrice"]),
        max_price=Decimal(price["maxPrice"]),
        qty_step=Decimal(lot["qtyStep"]),
        min_qty=Decimal(lot["minOrderQty"]),
        max_limit_qty=Decimal(lot["maxOrderQty"]),
        max_market_qty=Decimal(lot["maxMktOrderQty"]),
        min_notional=Decimal(lot["minNotionalValue"] or "0"),
        max_leverage=Decimal(shown["leverageFilter"]["maxLeverage"]),
        start_price=Decimal(row["startPrice"]),
        funding_rate=Decimal(row["fundingRate"] or "0"),
        published=shown,
    )


def load(path: Path = TABLE) -> dict[str, Instrument]:
    """The table's instruments by symbol, in its order."""
    rows = json.loads(path.read_text(encoding="utf-8"))
    return {row["instrument"]["symbol"]: _instrument(row) for row in rows}
