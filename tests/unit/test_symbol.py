"""Which perpetual a ticker means: every venue's spelling, and no guesses."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path

import pytest

from relay import paper
from relay.domain.instrument import (
    PERPETUALS,
    Category,
    Instrument,
    PriceBounds,
    SymbolIndex,
    SymbolUnknown,
    TradedMarket,
    plain,
    shown_symbol,
    symbol_of_filter,
)
from tests.builders import inverse, linear, usdc

_TABLE = Path(paper.__file__).with_name("instruments.json")
_PERPETUALS = ("LinearPerpetual", "InversePerpetual")


@cache
def _book() -> SymbolIndex:
    """The real perpetuals, as the exchange's own list has them."""
    rows = json.loads(_TABLE.read_text(encoding="utf-8"))
    return SymbolIndex.of(_listed(row) for row in rows if row["instrument"].get("contractType") in _PERPETUALS)


def _listed(row: dict[str, object]) -> Instrument:
    shown = row["instrument"]
    assert isinstance(shown, dict)
    return linear(
        category=row["category"],
        symbol=shown["symbol"],
        base_coin=shown["baseCoin"],
        quote_coin=shown["quoteCoin"],
        settle_coin=shown["settleCoin"],
        is_trading=shown["status"] == "Trading",
        tick_size=Decimal(shown["priceFilter"]["tickSize"]),
    )


def _found(ticker: str, exchange: str | None = None, book: SymbolIndex | None = None) -> tuple[str, str]:
    resolved = (book or _book()).resolve(ticker, exchange)
    assert isinstance(resolved, Instrument), resolved.message
    return resolved.symbol, resolved.category.value


def _refused(ticker: str, exchange: str | None = None, book: SymbolIndex | None = None) -> SymbolUnknown:
    resolved = (book or _book()).resolve(ticker, exchange)
    assert isinstance(resolved, SymbolUnknown), f"{ticker} is taken for {resolved.symbol}"
    return resolved


@pytest.mark.parametrize(
    "ticker",
    [
        "BTCUSDT.P",
        "BYBIT:BTCUSDT.P",
        "BINANCE:BTCUSDT.P",
        "OKX:BTCUSDT.P",
        "BINANCE:BTCUSDTPERP",
        "BTCUSDTPERP",
        "BTC-USDT-SWAP",
        "OKX:BTC-USDT-SWAP",
        "BTC/USDT:USDT",
        "BTC/USDT",
        "BYBIT:BTC/USDT:USDT",
        "BTCUSDT",
        "BYBIT:BTCUSDT",
        "BINANCE:BTCUSDT",
        "BTC-USDT",
        "BTC_USDT",
        "BTCUSDT_PERP",
        "XBTUSDT.P",
        "btcusdt.p",
        " bybit:btcusdt.p ",
    ],
)
def test_every_spelling_of_the_usdt_perpetual_means_linear_btcusdt(ticker: str) -> None:
    assert _found(ticker) == ("BTCUSDT", "linear")


@pytest.mark.parametrize(
    "ticker",
    [
        "BTCUSD.P",
        "BYBIT:BTCUSD.P",
        "XBTUSD.P",
        "BITMEX:XBTUSD.P",
        "BTCUSD",
        "BYBIT:BTCUSD",
        "BINANCE:BTCUSD.P",
        "BINANCE:BTCUSDPERP",
        "BINANCE:BTCUSD_PERP",
        "BTC-USD-SWAP",
        "BTC/USD:BTC",
        "XBT/USD:XBT",
        "xbtusd.p",
    ],
)
def test_every_spelling_of_the_coin_settled_perpetual_means_inverse_btcusd(ticker: str) -> None:
    assert _found(ticker) == ("BTCUSD", "inverse")


@pytest.mark.parametrize(
    "ticker",
    [
        "BTCUSDC.P",
        "BYBIT:BTCUSDC.P",
        "BINANCE:BTCUSDC.P",
        "BTCUSDC",
        "BTCPERP",
        "BYBIT:BTCPERP",
        "BTC-USDC-SWAP",
        "BTC/USDC:USDC",
    ],
)
def test_every_spelling_of_the_usdc_perpetual_means_linear_btcperp(ticker: str) -> None:
    assert _found(ticker) == ("BTCPERP", "linear")


@pytest.mark.parametrize(
    ("ticker", "exchange"), [("COINBASE:BTCUSD", None), ("BTCUSD", "COINBASE"), ("XBTUSD", "KRAKEN")]
)
def test_another_venues_spot_like_inverse_name_is_refused_naming_the_candidates(
    ticker: str, exchange: str | None
) -> None:
    refused = _refused(ticker, exchange)
    assert refused.candidates == ("BTCPERP", "BTCUSD", "BTCUSDT")
    assert "BTCUSDT" in refused.message and "BTCUSD or" in refused.message


@pytest.mark.parametrize("ticker", ["COINBASE:BTC-USD", "COINBASE:BTC/USD"])
def test_a_dash_or_slash_does_not_hide_a_spot_name(ticker: str) -> None:
    assert "BTCUSD" in _refused(ticker).candidates


@pytest.mark.parametrize(
    ("ticker", "exchange"), [("BTCUSD", "BYBIT"), ("BTCUSD", "bybit"), ("BTCUSD", ""), ("BTCUSD", None)]
)
def test_the_bare_inverse_name_is_the_exchanges_own(ticker: str, exchange: str | None) -> None:
    assert _found(ticker, exchange) == ("BTCUSD", "inverse")


def test_the_venue_in_the_ticker_counts_more_than_the_exchange_field() -> None:
    assert _found("BYBIT:BTCUSD", "COINBASE") == ("BTCUSD", "inverse")
    _refused("COINBASE:BTCUSD", "BYBIT")


@pytest.mark.parametrize("ticker", ["BTC/USDT:BTC", "BTC/USD:USDT", "BTC/USD:USDC", "BTC/USDC:USDT"])
def test_a_settle_coin_that_the_exchange_does_not_settle_in_is_not_ignored(ticker: str) -> None:
    assert _refused(ticker).candidates


@pytest.mark.parametrize(
    ("ticker", "symbol"),
    [
        ("1000PEPEUSDT.P", "1000PEPEUSDT"),
        ("BINANCE:1000PEPEUSDT.P", "1000PEPEUSDT"),
        ("1000SHIBUSDT", "SHIB1000USDT"),
        ("BINANCE:1000SHIBUSDT.P", "SHIB1000USDT"),
        ("SHIB1000USDT.P", "SHIB1000USDT"),
        ("1000BONK-USDT-SWAP", "1000BONKUSDT"),
        ("10000SATSUSDT.P", "10000SATSUSDT"),
    ],
)
def test_the_same_multiplier_matches_wherever_the_venue_puts_it(ticker: str, symbol: str) -> None:
    assert _found(ticker) == (symbol, "linear")


@pytest.mark.parametrize(
    ("ticker", "near"),
    [
        ("PEPEUSDT", "1000PEPEUSDT"),
        ("PEPEUSDT.P", "1000PEPEUSDT"),
        ("SHIBUSDT", "SHIB1000USDT"),
        ("1000SATSUSDT.P", "10000SATSUSDT"),
        ("1000BTCUSDT", "BTCUSDT"),
    ],
)
def test_another_multiplier_is_refused_naming_the_one_that_there_is(ticker: str, near: str) -> None:
    refused = _refused(ticker)
    assert near in refused.candidates
    assert near in refused.message


def test_a_digit_in_a_coins_name_is_no_multiplier() -> None:
    book = SymbolIndex.of([linear(symbol="1INCHUSDT", base_coin="1INCH"), linear(symbol="PERPUSDT", base_coin="PERP")])
    assert _found("BINANCE:1INCHUSDT.P", book=book)[0] == "1INCHUSDT"
    assert _found("PERPUSDTPERP", book=book)[0] == "PERPUSDT"
    _refused("INCHUSDT", book=book)


@pytest.mark.parametrize(("ticker", "near"), [("BTCUSTD", "BTCUSDT"), ("BTCEUR", "BTCUSD"), ("ETHPREP", "ETHPERP")])
def test_an_unknown_symbol_names_the_nearest(ticker: str, near: str) -> None:
    refused = _refused(ticker)
    assert near in refused.candidates
    assert ticker in refused.message and "did you mean" in refused.message


@pytest.mark.parametrize(
    "ticker", ["", ":", "/", ".P", "PERP", "USDT", "BYBIT:", "-SWAP", "/USDT:USDT", "{{ticker}}", "⌘"]
)
def test_nonsense_is_refused_and_breaks_nothing(ticker: str) -> None:
    _refused(ticker)


def test_no_name_is_guessed_where_the_coin_has_no_such_perpetual() -> None:
    book = SymbolIndex.of([linear(), usdc()])
    assert _refused("BTCUSD.P", book=book).candidates == ("BTCPERP", "BTCUSDT")


def test_every_listed_perpetual_is_found_by_its_own_name_and_by_tradingviews() -> None:
    for symbol, instrument in _book().by_symbol.items():
        assert _book().resolve(symbol) is instrument
        name = symbol.removesuffix("PERP") + "USDC" if symbol.endswith("PERP") else symbol
        assert _book().resolve(f"BYBIT:{name}.P") is instrument


def test_a_delisted_perpetual_gives_way_to_one_that_trades() -> None:
    old = linear(symbol="1000SHIBUSDT", is_trading=False)
    new = linear(symbol="SHIB1000USDT")
    for listed in ([old, new], [new, old]):
        assert _found("SHIB1000USDT.P", book=SymbolIndex.of(listed))[0] == "SHIB1000USDT"


def test_overrides_come_first_in_any_case_and_with_the_venue_in_either_field() -> None:
    overrides = {"coinbase:btcusd": "BTCUSDT", "MYPEPE": "1000pepeusdt"}
    book = SymbolIndex.of(_book().by_symbol.values(), overrides)
    assert _found("COINBASE:BTCUSD", book=book)[0] == "BTCUSDT"
    assert _found("BTCUSD", "COINBASE", book=book)[0] == "BTCUSDT"
    assert _found("mypepe", book=book)[0] == "1000PEPEUSDT"
    _refused("KRAKEN:BTCUSD", book=book)


def test_an_override_to_a_symbol_that_does_not_exist_is_refused() -> None:
    book = SymbolIndex.of([linear(), inverse()], {"GOLD": "XAUUSDT"})
    assert "GOLD" in _refused("GOLD", book=book).message


def test_the_category_comes_from_the_instrument() -> None:
    book = SymbolIndex.of([linear(), usdc(), inverse()])
    found = book.resolve("BTC-USD-SWAP")
    assert isinstance(found, Instrument) and found.category is Category.INVERSE


@pytest.mark.parametrize(
    ("typed", "symbol"),
    [("btcusdc.p", "BTCPERP"), (" BYBIT:ETHUSDT.P ", "ETHUSDT"), ("BTCUSD", "BTCUSD"), ("btcperp", "BTCPERP")],
)
def test_what_a_person_types_to_find_a_symbol_is_spelled_as_the_exchange_does(typed: str, symbol: str) -> None:
    assert symbol_of_filter(typed) == symbol


@pytest.mark.parametrize(
    ("number", "text"), [("-0", "0"), ("-0.000", "0"), ("0E+3", "0"), ("1E+2", "100"), ("-1.50", "-1.5"), (".5", "0.5")]
)
def test_a_number_has_one_spelling(number: str, text: str) -> None:
    assert plain(Decimal(number)) == text


@pytest.mark.parametrize(
    ("size", "price", "is_dust"),
    [
        ("0.0004", None, True),
        ("0.001", None, False),
        ("0.001", "4000", True),
        ("0.001", "50000", False),
        ("-0.001", "50000", False),
    ],
)
def test_coins_are_dust_where_they_are_certainly_too_few_to_be_sold(
    size: str, price: str | None, is_dust: bool
) -> None:
    at = None if price is None else Decimal(price)
    assert linear(category="spot").is_dust(Decimal(size), at) is is_dust
    assert not linear().is_dust(Decimal(size), at)


@pytest.mark.parametrize(
    ("ticker", "category", "symbol"),
    [
        ("ETHUSDC.P", Category.LINEAR, "ETHPERP"),
        ("BYBIT:ETHUSDT.P", Category.LINEAR, "ETHUSDT"),
        ("BINANCE:1000PEPEUSDC.P", Category.LINEAR, "1000PEPEPERP"),
        ("ETHUSD.P", Category.INVERSE, "ETHUSD"),
    ],
)
def test_what_is_not_listed_yet_is_asked_for_as_the_exchange_would_spell_it(
    ticker: str, category: Category, symbol: str
) -> None:
    assert SymbolIndex.of([linear()]).spellings(ticker) == ((category, symbol),)


_PAIRS = SymbolIndex.of(
    [
        linear(),
        linear(symbol="ETHUSDT"),
        *(linear(category="spot", symbol=each) for each in ("BTCUSDT", "BTCUSDC", "BTCUSDE", "SOLUSDT", "ETHBTC")),
    ],
    {"MY COIN": "solusdt", "binance:odd": "ETHBTC"},
)


@pytest.mark.parametrize(
    ("ticker", "symbol"),
    [
        ("BTCUSDT", "BTCUSDT"),
        (" bybit:btcusdt ", "BTCUSDT"),
        ("BINANCE:BTC/USDC", "BTCUSDC"),
        ("BTC-USDT", "BTCUSDT"),
        ("BTC_USDT", "BTCUSDT"),
        ("XBT/USDT", "BTCUSDT"),
        ("ETH/BTC", "ETHBTC"),
        ("my coin", "SOLUSDT"),
        ("BINANCE:ODD", "ETHBTC"),
    ],
)
def test_a_pair_of_coins_is_found_by_every_spelling_and_never_taken_for_a_perpetual(ticker: str, symbol: str) -> None:
    found = _PAIRS.resolve(ticker, market=TradedMarket.SPOT)
    assert isinstance(found, Instrument) and (found.symbol, found.category) == (symbol, Category.SPOT)
    assert _PAIRS.spellings(ticker, market=TradedMarket.SPOT) == ((Category.SPOT, symbol),)
    assert _found("BTCUSDT", book=_PAIRS) == ("BTCUSDT", "linear")


@pytest.mark.parametrize(
    ("ticker", "plain_name"),
    [
        ("BTCUSDT.P", "BTCUSDT"),
        ("BTC-USDT-SWAP", "BTCUSDT"),
        ("BTC/USDT:USDT", "BTCUSDT"),
        ("BTCUSDTPERP", "BTCUSDTPERP"),
        ("BTCUSDCPERP", "BTCUSDCPERP"),
        ("BTCUSDPERP", "BTCUSDPERP"),
        ("BTC_PERP", "BTCPERP"),
        ("BTC-PERP", "BTCPERP"),
    ],
)
def test_a_perpetual_s_name_is_no_pair_s(ticker: str, plain_name: str) -> None:
    found = _PAIRS.resolve(ticker, market=TradedMarket.SPOT)
    assert isinstance(found, SymbolUnknown) and found.candidates == ()
    assert found.message == f"{ticker} names a perpetual, and the market is spot: write {plain_name}"
    assert _PAIRS.spellings(ticker, market=TradedMarket.SPOT) == ()


def test_a_pair_that_there_is_not_is_told_with_the_nearest_ones() -> None:
    found = _PAIRS.resolve("BTCUSD", market=TradedMarket.SPOT)
    assert isinstance(found, SymbolUnknown) and sorted(found.candidates) == ["BTCUSDC", "BTCUSDE", "BTCUSDT"]
    assert found.message == f"the exchange has no spot pair BTCUSD; did you mean {' or '.join(found.candidates)}?"
    nothing = _PAIRS.resolve("XYZ", market=TradedMarket.SPOT)
    assert isinstance(nothing, SymbolUnknown) and nothing.message == "the exchange has no spot pair XYZ"
    assert _PAIRS.spellings("A" * 30, market=TradedMarket.SPOT) == ((Category.SPOT, "A" * 30),)
    for odd in ("A" * 31, "BTC USDT", "BTCÜSDT"):
        assert _PAIRS.spellings(odd, market=TradedMarket.SPOT) == () == _PAIRS.spellings(odd)
    assert _PAIRS.spellings("A" * 30) == ((Category.LINEAR, "A" * 30),)


@pytest.mark.parametrize(
    ("is_buy", "price", "note"),
    [
        (True, "110", None),
        (True, "110.5", "a buy's limit price is at most 110 at the exchange just now: 110.5"),
        (True, "50", None),
        (False, "90", None),
        (False, "89.5", "a sell's limit price is at least 90 at the exchange just now: 89.5"),
        (False, "150", None),
    ],
)
def test_a_limit_price_beyond_the_exchange_s_bounds_is_told(is_buy: bool, price: str, note: str | None) -> None:
    becomes = {True: "would be moved there", False: "would be refused", None: "would be moved there or refused"}
    for moves, end in becomes.items():
        bounds = PriceBounds(buy_max=Decimal(110), sell_min=Decimal(90), moves=moves)
        assert bounds.note(is_buy=is_buy, price=Decimal(price)) == (f"{note} {end}" if note else None)


def test_a_pair_is_shown_with_its_market_and_a_perpetual_without() -> None:
    assert shown_symbol("BTCUSDT", "spot") == shown_symbol("BTCUSDT", Category.SPOT) == "BTCUSDT spot"
    assert [shown_symbol("BTCUSDT", each) for each in ("linear", "inverse", "?", None)] == ["BTCUSDT"] * 4
    assert [each.value for each in PERPETUALS] == ["linear", "inverse"]


def test_what_an_order_is_worth_and_how_large_it_may_be_hangs_on_the_kind_of_contract() -> None:
    assert linear().notional(Decimal(3), Decimal(50)) == 150
    assert inverse().notional(Decimal(3), Decimal(50)) == 3
    both = linear(qty_max=7, qty_max_market=4)
    assert (both.largest_order(has_limit=True), both.largest_order(has_limit=False)) == (Decimal(7), Decimal(4))
    delisted = linear(status="Closed", delivery_at=datetime(2026, 3, 1, 8, 5, tzinfo=UTC))
    assert delisted.state == (
        "BTCUSDT is not open for trading at the exchange (Closed); what is open is delivered at 2026-03-01 08:05 UTC"
    )
    assert linear().state == "BTCUSDT is not open for trading at the exchange (Trading)"


@pytest.mark.parametrize(
    ("size", "price", "is_dust"),
    [
        ("0.00099", None, True),
        ("0.001", "4761", True),
        ("0.001", "4762", False),
        ("0.0019", "4761", True),
        ("-0.002", "4761", False),
    ],
)
def test_dust_is_what_a_price_five_percent_better_would_not_lift_over_the_minimum(
    size: str, price: str | None, is_dust: bool
) -> None:
    assert linear(category="spot").is_dust(Decimal(size), Decimal(price) if price else None) is is_dust
    assert linear(category="spot", qty_min=0).is_dust(Decimal("0.0009"), None) is True
