"""Positions, instruments and balances from Bybit's spelling."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from relay.bybit.wire_account import (
    instrument_from,
    mark_price_from,
    position_from,
    settle_coin_of,
    stopped_at_ms_from,
    wallet_from,
)
from relay.domain.instrument import Category
from relay.domain.position import Position


def row(**changes: object) -> dict[str, object]:
    return {
        "positionIdx": 0,
        "symbol": "BTCUSDT",
        "side": "Buy",
        "size": "0.015",
        "avgPrice": "98000.5",
        "leverage": "10",
        "markPrice": "99000.00",
        "takeProfit": "110000.00",
        "stopLoss": "",
        "unrealisedPnl": "15.0",
        **changes,
    }


def read(*rows: dict[str, object]) -> Position:
    return position_from(rows, category=Category.LINEAR, symbol="BTCUSDT")


def test_a_long_position_is_above_zero() -> None:
    assert read(row()) == Position(
        category=Category.LINEAR,
        symbol="BTCUSDT",
        size=Decimal("0.015"),
        avg_price=Decimal("98000.5"),
        mark_price=Decimal(99000),
        unrealised_pnl=Decimal(15),
        leverage=Decimal(10),
        take_profit=Decimal(110000),
        stop_loss=None,
    )


def test_a_short_position_is_below_zero() -> None:
    assert read(row(side="Sell")).size == Decimal("-0.015")


@pytest.mark.parametrize("size", ["0", "0.000", ""])
def test_a_row_without_a_position_still_tells_leverage_and_mode(size: str) -> None:
    position = read(row(side="", size=size, avgPrice="0", unrealisedPnl="", takeProfit="0.00"))
    assert (position.size, position.avg_price, position.take_profit) == (Decimal(0), None, None)
    assert (position.leverage, position.unrealised_pnl, position.is_hedge) == (Decimal(10), None, False)


def test_no_row_at_all_is_no_position() -> None:
    assert read() == Position(category=Category.LINEAR, symbol="BTCUSDT", size=Decimal(0))


def test_hedge_mode_shows_even_without_a_position() -> None:
    both = (row(positionIdx=1, side="", size="0"), row(positionIdx=2, side="", size="0"))
    assert read(*both).is_hedge
    assert read(*both).size == 0


def test_a_hedged_position_is_the_net_of_both_sides() -> None:
    position = read(row(positionIdx=1, size="0.02"), row(positionIdx=2, side="Sell", size="0.05"))
    assert (position.size, position.is_hedge) == (Decimal("-0.03"), True)


def test_portfolio_margin_names_no_leverage() -> None:
    assert read(row(leverage="")).leverage is None


def test_the_streams_word_for_the_average_price_is_understood() -> None:
    streamed = {key: value for key, value in row(entryPrice="97000").items() if key != "avgPrice"}
    assert read(streamed).avg_price == Decimal(97000)


def instrument(**changes: Any) -> dict[str, Any]:
    return {
        "symbol": "BTCUSDT",
        "contractType": "LinearPerpetual",
        "status": "Trading",
        "baseCoin": "BTC",
        "quoteCoin": "USDT",
        "settleCoin": "USDT",
        "leverageFilter": {"minLeverage": "1", "maxLeverage": "100.00", "leverageStep": "0.01"},
        "priceFilter": {"minPrice": "0.10", "maxPrice": "1999999.80", "tickSize": "0.10"},
        "lotSizeFilter": {
            "maxOrderQty": "1190.000",
            "minOrderQty": "0.001",
            "qtyStep": "0.001",
            "maxMktOrderQty": "119.000",
            "minNotionalValue": "5",
        },
        **changes,
    }


def test_an_instruments_rules_are_read() -> None:
    found = instrument_from(instrument(), category=Category.LINEAR)
    assert found is not None
    assert (found.symbol, found.base_coin, found.quote_coin, found.settle_coin) == ("BTCUSDT", "BTC", "USDT", "USDT")
    assert (found.tick_size, found.price_min, found.price_max) == (Decimal("0.1"), Decimal("0.1"), Decimal("1999999.8"))
    assert (found.qty_step, found.qty_min) == (Decimal("0.001"), Decimal("0.001"))
    assert (found.qty_max, found.qty_max_market) == (Decimal(1190), Decimal(119))
    assert (found.notional_min, found.leverage_max, found.is_trading) == (Decimal(5), Decimal(100), True)


@pytest.mark.parametrize("kind", ["LinearFutures", "InverseFutures"])
def test_what_expires_is_no_perpetual(kind: str) -> None:
    assert instrument_from(instrument(contractType=kind), category=Category.LINEAR) is None


@pytest.mark.parametrize("status", ["PreLaunch", "Delivering", "Closed"])
def test_an_instrument_that_is_not_trading_says_so(status: str) -> None:
    found = instrument_from(instrument(status=status), category=Category.LINEAR)
    assert found is not None
    assert not found.is_trading


def test_an_inverse_instrument_may_name_no_minimum_notional() -> None:
    lot = {key: value for key, value in instrument()["lotSizeFilter"].items() if key != "minNotionalValue"}
    found = instrument_from(
        instrument(symbol="BTCUSD", contractType="InversePerpetual", lotSizeFilter=lot), category=Category.INVERSE
    )
    assert found is not None
    assert (found.notional_min, found.is_inverse) == (Decimal(0), True)


@pytest.mark.parametrize(
    ("symbol", "coin"), [("BTCUSDT", "USDT"), ("BTCPERP", "USDC"), ("BTCUSD", "BTC"), ("1000PEPEUSDT", "USDT")]
)
def test_the_settle_coin_is_in_the_name(symbol: str, coin: str) -> None:
    assert settle_coin_of(symbol) == coin


def test_a_ticker_without_a_mark_price_has_none() -> None:
    assert mark_price_from({"markPrice": ""}) is None
    assert mark_price_from({"markPrice": "0.5"}) == Decimal("0.5")


def test_a_wallet_knows_each_coins_equity() -> None:
    wallet = wallet_from(
        {
            "totalEquity": "1000.5",
            "totalAvailableBalance": "",
            "coin": [{"coin": "USDT", "equity": "900.25", "walletBalance": "890", "unrealisedPnl": "10.25"}],
        }
    )
    assert (wallet.total_equity, wallet.total_available) == (Decimal("1000.5"), None)
    assert wallet.equity("USDT") == Decimal("900.25")
    assert wallet.equity("BTC") == 0
    assert wallet.coins[0].unrealised_pnl == Decimal("10.25")


@pytest.mark.parametrize(
    ("kind", "is_stop"),
    [
        *(("StopLoss", True), ("PartialStopLoss", True), ("TrailingStop", True)),
        *(("TakeProfit", False), ("PartialTakeProfit", False), ("Stop", False), ("UNKNOWN", False), ("", False)),
    ],
)
def test_a_fill_of_each_kind_of_stop_loss_is_told_with_its_time_and_no_other_is(kind: str, is_stop: bool) -> None:
    execution = {"stopOrderType": kind, "execType": "Trade", "execTime": "1700000000123"}
    assert stopped_at_ms_from(execution) == (1_700_000_000_123 if is_stop else None)
    assert stopped_at_ms_from({**execution, "execType": "Funding"}) is None


def test_what_is_borrowed_for_spot_is_no_part_of_the_balance() -> None:
    coin = {"coin": "USDT", "walletBalance": "950", "spotBorrow": "150", "unrealisedPnl": "20", "equity": "820"}
    (balance,) = wallet_from({"coin": [coin]}).coins
    assert balance.wallet_balance + balance.unrealised_pnl == balance.equity == Decimal(820)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"isReduceOnly": True}, "only be reduced"),
        ({"positionStatus": "Liq"}, "being liquidated"),
        ({"positionStatus": "Adl"}, "auto-deleveraging"),
    ],
)
def test_a_position_that_the_exchange_winds_down_takes_no_entry(fields: dict[str, object], words: str) -> None:
    reason = read(row(**fields)).no_entry
    assert reason is not None and reason.code == "EXCHANGE_RESTRICTED" and words in reason.message
