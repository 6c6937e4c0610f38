"""Rows of positions, wallets and instruments in the exchange's spelling, each documented field by what it comes to."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from relay.bybit.wire_account import (
    Candle,
    ClosedPnl,
    CoinBalance,
    RowUnreadable,
    Wallet,
    candle_from,
    closed_pnl_from,
    instrument_from,
    mark_price_from,
    moves_prices,
    name_of,
    position_from,
    problem_of,
    wallet_from,
)
from relay.bybit.wire_orders import (
    reported_position,
)
from relay.domain.instrument import Category, Instrument
from relay.domain.position import Position

D = Decimal


POSITION: dict[str, object] = {
    **{"symbol": "BTCUSDT", "side": "Sell", "size": "2", "avgPrice": "90", "markPrice": "91", "leverage": "5"},
    **{"unrealisedPnl": "-2", "takeProfit": "80", "stopLoss": "95", "trailingStop": "3", "liqPrice": "120"},
    **{"positionIM": "36", "adlRankIndicator": 2, "openTime": "7", "updatedTime": "8", "positionIdx": 0, "seq": 77},
    **{"sessionAvgPrice": "", "positionStatus": "Normal", "isReduceOnly": False},
}


def test_a_position_s_row_is_read_field_by_field() -> None:
    found = position_from([POSITION], category=Category.LINEAR, symbol="BTCUSDT")
    assert found == Position(
        category=Category.LINEAR,
        symbol="BTCUSDT",
        size=D(-2),
        avg_price=D(90),
        mark_price=D(91),
        unrealised_pnl=D(-2),
        leverage=D(5),
        take_profit=D(80),
        stop_loss=D(95),
        trailing_stop=D(3),
    )
    shown = (found.liq_price, found.margin, found.adl_rank, found.opened_at_ms, found.changed_at_ms)
    assert shown == (D(120), D(36), 2, 7, 8)
    assert found.roe_pct == D("-5.56") and replace(found, margin=None).roe_pct is None
    assert replace(found, unrealised_pnl=None).roe_pct is None and replace(found, margin=D(0)).roe_pct is None
    reported = reported_position((POSITION,), Category.LINEAR, "BTCUSDT")
    assert (reported.seq, reported.at_ms, reported.pnl_price, reported.is_one_way) == (77, 8, D(90), True)
    in_session = reported_position((POSITION | {"sessionAvgPrice": "88"},), Category.LINEAR, "BTCPERP")
    assert in_session.pnl_price == 88
    none = reported_position((), Category.LINEAR, "BTCUSDT")
    assert (none.seq, none.at_ms, none.pnl_price, none.is_one_way, none.position.size) == (-1, 0, None, True, D(0))
    hedged = position_from(
        [POSITION | {"size": "0", "side": "", "positionIdx": 1}, POSITION | {"positionIdx": 2, "updatedTime": "5"}],
        category=Category.LINEAR,
        symbol="BTCUSDT",
    )
    assert (hedged.size, hedged.avg_price, hedged.changed_at_ms, hedged.is_hedge) == (D(-2), D(90), 8, True)


@pytest.mark.parametrize("field", ["avgPrice", "markPrice", "unrealisedPnl", "leverage", "takeProfit", "stopLoss"])
def test_a_field_that_plans_go_by_and_cannot_be_read_forbids_entries(field: str) -> None:
    found = position_from([POSITION | {field: "much"}], category=Category.LINEAR, symbol="BTCUSDT")
    assert found.no_entry is not None and found.size == -2
    assert (found.no_entry.code, f"`{field}` is 'much'" in found.no_entry.message) == ("FACTS_UNREADABLE", True)


@pytest.mark.parametrize("field", ["liqPrice", "positionIM", "adlRankIndicator", "openTime"])
def test_a_field_that_is_only_shown_and_cannot_be_read_is_not_shown(field: str) -> None:
    found = position_from([POSITION | {field: "much"}], category=Category.LINEAR, symbol="BTCUSDT")
    assert found.no_entry is None


def test_a_position_without_a_size_or_a_side_cannot_be_read() -> None:
    sizeless = {name: value for name, value in POSITION.items() if name != "size"}
    for row, said in ((sizeless, "`size` is missing"), (POSITION | {"side": "Both"}, "`side` is 'Both'")):
        with pytest.raises(RowUnreadable, match=said):
            position_from([POSITION, row], category=Category.LINEAR, symbol="BTCUSDT")


COIN: dict[str, object] = {
    **{"coin": "USDT", "equity": "10", "walletBalance": "11", "unrealisedPnl": "-1", "usdValue": "9.9"},
    **{"spotBorrow": "2", "locked": "3", "totalOrderIM": "1", "totalPositionIM": "0.5"},
}


def test_a_wallet_is_read_field_by_field() -> None:
    row = {"totalEquity": "20", "totalAvailableBalance": "15", "coin": [COIN, {"coin": "BTC", "equity": "x"}, {}]}
    usdt = CoinBalance(
        coin="USDT",
        equity=D(10),
        wallet_balance=D(11),
        unrealised_pnl=D(-1),
        usd=D("9.9"),
        borrowed=D(2),
        locked=D(3),
        pledged=D("1.5"),
    )
    wallet = wallet_from(row)
    assert wallet == Wallet(
        total_equity=D(20),
        total_available=D(15),
        coins=(usdt,),
        unreadable={"BTC": "`equity` is 'x'", "a row without a symbol": "`coin` is missing"},
    )
    assert (wallet.equity("USDT"), wallet.equity("DOGE"), wallet.balance("DOGE").owned) == (D(10), D(0), D(0))
    assert (usdt.owned, usdt.free, usdt.funds(Category.LINEAR), usdt.funds(Category.SPOT)) == (
        D(9),
        D("4.5"),
        D(10),
        D("4.5"),
    )
    assert replace(usdt, locked=D(30)).free == 0
    unclear = wallet_from({"coin": [COIN | {"usdValue": "?"}], "totalEquity": "?", "totalAvailableBalance": ""})
    assert (unclear.total_equity, unclear.total_available, unclear.coins[0].usd) == (None, None, None)


@pytest.mark.parametrize(
    ("equity", "borrowed", "beside"),
    [("10", "0", "0"), ("8", "2", "-2"), ("10.000001", "0", "0"), ("10.0000011", "0", None), ("8", "0", None)],
)
def test_beside_balance_and_open_profit_an_equity_has_a_debt_or_something_that_moves_by_itself(
    equity: str, borrowed: str, beside: str | None
) -> None:
    of = CoinBalance(coin="C", equity=D(equity), wallet_balance=D(11), unrealised_pnl=D(-1), borrowed=D(borrowed))
    assert of.beside_balance == (None if beside is None else D(beside))


PRICE = {"minPrice": "0.5", "maxPrice": "900", "tickSize": "0.1"}
LOT = {"maxOrderQty": "100", "minOrderQty": "0.02", "qtyStep": "0.01", "maxMktOrderQty": "50", "minNotionalValue": "5"}
LISTED: dict[str, Any] = {
    **{"symbol": "AUSDT", "contractType": "LinearPerpetual", "status": "Settling", "baseCoin": "A", "quoteCoin": "U"},
    **{"settleCoin": "V", "leverageFilter": {"maxLeverage": "25"}, "priceFilter": PRICE, "lotSizeFilter": LOT},
    **{"deliveryTime": "1750000000000", "symbolType": "innovation"},
}
MADE = Instrument(
    category=Category.LINEAR,
    symbol="AUSDT",
    base_coin="A",
    quote_coin="U",
    settle_coin="V",
    is_trading=False,
    tick_size=D("0.1"),
    price_min=D("0.5"),
    price_max=D(900),
    qty_step=D("0.01"),
    qty_min=D("0.02"),
    qty_max=D(100),
    qty_max_market=D(50),
    notional_min=D(5),
    leverage_max=D(25),
    status="Settling",
    delivery_at=datetime(2025, 6, 15, 15, 6, 40, tzinfo=UTC),
    kind="innovation",
)


def test_an_instrument_s_row_is_read_field_by_field() -> None:
    assert instrument_from(LISTED, category=Category.LINEAR) == MADE
    plain = instrument_from(
        LISTED | {"status": "Trading", "deliveryTime": "0", "symbolType": ""}, category=Category.LINEAR
    )
    assert plain == replace(MADE, status="Trading", is_trading=True, delivery_at=None, kind="")
    inverse = LISTED | {"contractType": "InversePerpetual"}
    assert instrument_from(inverse, category=Category.INVERSE) == replace(MADE, category=Category.INVERSE)
    with pytest.raises(RowUnreadable, match="`contractType` is 'Option'"):
        instrument_from(LISTED | {"contractType": "Option"}, category=Category.LINEAR)


@pytest.mark.parametrize("wrong", ["", "0", "-1", "much"])
@pytest.mark.parametrize(
    ("section", "key", "field", "instead"),
    [
        ("priceFilter", "tickSize", "tick_size", D("1E-8")),
        ("priceFilter", "maxPrice", "price_max", D(10) ** 12),
        ("lotSizeFilter", "qtyStep", "qty_step", D("1E-8")),
        ("lotSizeFilter", "minOrderQty", "qty_min", D("0.01")),
        ("lotSizeFilter", "maxMktOrderQty", "qty_max_market", D(100)),
        ("leverageFilter", "maxLeverage", "leverage_max", D(1)),
    ],
)
def test_a_rule_that_cannot_be_read_holds_back_no_exit_and_forbids_entries(
    wrong: str, section: str, key: str, field: str, instead: Any
) -> None:
    found = instrument_from(LISTED | {section: LISTED[section] | {key: wrong}}, category=Category.LINEAR)
    assert found is not None and found.unreadable is not None and f"`{key}` is" in found.unreadable
    instead_of: dict[str, Any] = {field: instead}
    assert found == replace(MADE, unreadable=found.unreadable, **instead_of)


def test_rules_that_are_missing_altogether_are_told_each_once() -> None:
    found = instrument_from({**LISTED, "lotSizeFilter": None, "deliveryTime": "soon"}, category=Category.LINEAR)
    assert found is not None and found.unreadable is not None
    finest = D("1E-8")
    assert (found.qty_step, found.qty_min, found.qty_max, found.qty_max_market, found.notional_min) == (
        *(finest, finest, D(10) ** 12, D(10) ** 12, D(0)),
    )
    assert found.delivery_at is None and found.unreadable.count("`qtyStep`") == 1
    low = instrument_from(LISTED | {"priceFilter": PRICE | {"minPrice": "?"}}, category=Category.LINEAR)
    assert low is not None and low.price_min == D("0.1")


PAIR_LOT = {
    **{"basePrecision": "0.01", "quotePrecision": "0.001", "minOrderQty": "0.05", "maxOrderQty": "100"},
    **{"maxLimitOrderQty": "80", "maxMarketOrderQty": "40", "minOrderAmt": "6"},
}
PAIR: dict[str, Any] = {
    **{"symbol": "AUSDT", "status": "Trading", "baseCoin": "A", "quoteCoin": "USDT", "symbolType": "x"},
    **{"priceFilter": {"tickSize": "0.1"}, "lotSizeFilter": PAIR_LOT},
}


def test_a_pair_s_row_is_read_field_by_field() -> None:
    made = replace(
        MADE,
        category=Category.SPOT,
        quote_coin="USDT",
        settle_coin="USDT",
        is_trading=True,
        price_min=D("0.1"),
        price_max=D(10) ** 12,
        qty_min=D("0.05"),
        qty_max=D(80),
        qty_max_market=D(40),
        notional_min=D(6),
        leverage_max=D(1),
        status="Trading",
        delivery_at=None,
        kind="x",
        money_step=D("0.001"),
    )

    def pair(**lot: object) -> Instrument:
        found = instrument_from(PAIR | {"lotSizeFilter": PAIR_LOT | lot}, category=Category.SPOT)
        assert found is not None
        return replace(found, unreadable=None)

    assert pair() == made
    assert pair(maxLimitOrderQty="", maxMarketOrderQty="0") == replace(made, qty_max=D(100), qty_max_market=D(100))
    assert pair(maxLimitOrderQty="", maxOrderQty="") == replace(made, qty_max=D(10) ** 12)
    assert pair(minOrderQty="0.001") == replace(made, qty_min=D("0.01"))
    assert pair(minOrderQty="?") == replace(made, qty_min=D("0.01"))
    assert pair(quotePrecision="?") == replace(made, money_step=D("0.01"))
    nameless = instrument_from(
        {name: each for name, each in PAIR.items() if name != "symbolType"}, category=Category.SPOT
    )
    assert nameless == replace(made, kind="")
    assert pair(minOrderAmt="?") == replace(made, notional_min=D(0))
    for wrong in ({"basePrecision": "0"}, {"maxOrderQty": "?"}, {"quotePrecision": ""}):
        found = instrument_from(PAIR | {"lotSizeFilter": PAIR_LOT | wrong}, category=Category.SPOT)
        assert found is not None and found.unreadable is not None


def test_prices_candles_and_results_are_read() -> None:
    row = {"markPrice": "5", "lastPrice": "6"}
    assert [mark_price_from(row, each) for each in Category] == [D(5), D(5), D(6)]
    assert candle_from(["9", "1", "3", "0.5", "2", "100", "200"]) == Candle(
        at_ms=9, open=D(1), high=D(3), low=D("0.5"), close=D(2)
    )
    closed = closed_pnl_from({"symbol": "S", "closedPnl": "-1"}, category=Category.LINEAR)
    assert closed == ClosedPnl(category=Category.LINEAR, symbol="S", amount=D(-1))
    for flag in (True, False):
        settings = {"lpaPerp": flag, "lpaSpot": not flag}
        assert (
            moves_prices(settings, Category.LINEAR) is (not flag) and moves_prices(settings, Category.SPOT) is not flag
        )
    assert moves_prices({"lpaPerp": "yes"}, Category.LINEAR) is None and moves_prices({}, Category.SPOT) is None


def test_a_row_is_named_by_what_it_goes_by_and_its_problem_told() -> None:
    for key in ("symbol", "coin", "orderId", "execId", "id"):
        assert name_of({key: "x" * 50, "another": "y"}) == "x" * 40
    assert name_of({"symbol": "", "coin": "c", "id": "i"}) == "c"
    assert name_of("text") == name_of({}) == "a row without a symbol"
    assert problem_of(KeyError("qty")) == "`qty` is missing"
    assert problem_of(RowUnreadable("odd")) == "odd"
    assert problem_of(TypeError("?")) == "it has another form (TypeError)"
