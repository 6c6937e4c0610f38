"""The snapshot of instruments."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from relay.bybit.market import Catalog
from relay.domain.instrument import Category, Instrument
from relay.errors import ExchangeUnreachable


def instrument(symbol: str, category: Category = Category.LINEAR) -> Instrument:
    return Instrument(
        category=category,
        symbol=symbol,
        base_coin="BTC",
        quote_coin="USDT",
        settle_coin="USDT",
        is_trading=True,
        tick_size=Decimal("0.1"),
        price_min=Decimal("0.1"),
        price_max=Decimal(1000000),
        qty_step=Decimal("0.001"),
        qty_min=Decimal("0.001"),
        qty_max=Decimal(100),
        qty_max_market=Decimal(10),
        notional_min=Decimal(5),
        leverage_max=Decimal(100),
    )


def test_a_new_catalog_is_empty_and_says_so() -> None:
    catalog = Catalog()
    assert (catalog.loaded, catalog.age, len(catalog)) == (False, None, 0)
    assert catalog.get(Category.LINEAR, "BTCUSDT") is None


def test_a_load_replaces_everything() -> None:
    catalog = Catalog()
    assert catalog.load(lambda: [instrument("BTCUSDT"), instrument("ETHUSDT")]) == 2
    catalog.load(lambda: [instrument("SOLUSDT"), instrument("BTCUSD", Category.INVERSE)])
    assert {found.symbol for found in catalog} == {"SOLUSDT", "BTCUSD"}
    assert catalog.get(Category.LINEAR, "BTCUSDT") is None
    assert catalog.get(Category.INVERSE, "BTCUSD") == instrument("BTCUSD", Category.INVERSE)
    assert catalog.get(Category.LINEAR, "BTCUSD") is None


def test_a_failed_load_keeps_the_old_ones() -> None:
    catalog = Catalog()
    catalog.load(lambda: [instrument("BTCUSDT")])

    def fail() -> list[Instrument]:
        raise ExchangeUnreachable("down")

    with pytest.raises(ExchangeUnreachable):
        catalog.load(fail)
    with pytest.raises(ExchangeUnreachable, match="no instruments"):
        catalog.load(list)
    assert [found.symbol for found in catalog.all()] == ["BTCUSDT"]
    assert catalog.loaded


def test_who_reads_during_a_load_sees_the_old_ones_whole() -> None:
    catalog = Catalog()
    catalog.load(lambda: [instrument("BTCUSDT"), instrument("ETHUSDT")])
    reading = iter(catalog)
    first = next(reading)
    catalog.load(lambda: [instrument("SOLUSDT")])
    assert [first.symbol, *(found.symbol for found in reading)] == ["BTCUSDT", "ETHUSDT"]


def test_age_counts_from_the_last_load_that_succeeded() -> None:
    at = [100.0]
    catalog = Catalog(monotonic=lambda: at[0])
    catalog.load(lambda: [instrument("BTCUSDT")])
    at[0] += 61
    assert catalog.age == timedelta(seconds=61)
