"""Positions, instruments and balances from Bybit's spelling."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from relay.bybit.account_api import KeyRights, maintenance_from, time_left
from relay.bybit.wire_account import (
    balance_changes,
    category_of_symbol,
    coins_of,
    fee_coin_of,
    instrument_from,
    ledger_entry_from,
    log_entry_from,
    mark_price_from,
    own_entry,
    position_from,
    settle_coin_of,
    stopped_at_ms_from,
    wallet_from,
)
from relay.bybit.wire_orders import reported_position
from relay.domain.instrument import Category
from relay.domain.order import Side
from relay.domain.position import Position
from relay.domain.trades import ExitReason


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


def test_a_position_tells_when_it_was_opened_and_changed() -> None:
    position = read(row(openTime="1700000000001", updatedTime="1700000000005"))
    assert (position.opened_at_ms, position.changed_at_ms) == (1_700_000_000_001, 1_700_000_000_005)
    untold = read(row(openTime="0", updatedTime=""))
    assert (untold.opened_at_ms, untold.changed_at_ms) == (None, None)


@pytest.mark.parametrize(("rows", "is_one_way"), [((0,), True), ((1,), False), ((2,), False), ((1, 2), False)])
def test_one_side_of_a_hedge_is_no_one_way_position(rows: tuple[int, ...], is_one_way: bool) -> None:
    found = tuple(row(positionIdx=each) for each in rows)
    reported = reported_position(found, Category.LINEAR, "BTCUSDT")
    assert (reported.is_one_way, reported.seq) == (is_one_way, -1)


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
    ("symbol", "coin"),
    [
        *(("BTCUSDT", "USDT"), ("BTCPERP", "USDC"), ("BTCUSD", "BTC"), ("1000PEPEUSDT", "USDT")),
        *(("BTCUSDZ26", "BTC"), ("ETHUSDH27", "ETH"), ("BTCUSDT-25DEC26", "USDT"), ("BTC-25DEC26", "USDC")),
    ],
)
def test_the_settle_coin_and_with_it_the_category_are_in_the_name(symbol: str, coin: str) -> None:
    assert settle_coin_of(symbol) == coin
    assert category_of_symbol(symbol) is (Category.LINEAR if coin in ("USDT", "USDC") else Category.INVERSE)


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


def execution(**changes: object) -> dict[str, object]:
    return {
        "symbol": "BTCUSDT",
        "execId": "e",
        "execType": "Trade",
        "execTime": "1700000000123",
        "side": "Sell",
        "execQty": "0.1",
        "execPrice": "101000",
        "execValue": "10100",
        "execFee": "5.555",
        "feeRate": "0.00055",
        "feeCurrency": "",
        "execPnl": "100",
        "closedSize": "0.1",
        "seq": 7,
        **changes,
    }


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({"createType": "CreateByUser"}, ExitReason.HAND),
        ({"createType": "CreateByStopOrder", "stopOrderType": "Stop"}, ExitReason.HAND),
        ({"stopOrderType": "StopLoss"}, ExitReason.STOP_LOSS),
        ({"createType": "CreateByPartialStopLoss", "stopOrderType": "UNKNOWN"}, ExitReason.STOP_LOSS),
        ({"stopOrderType": "PartialTakeProfit"}, ExitReason.TAKE_PROFIT),
        ({"createType": "CreateByTrailingStop", "stopOrderType": ""}, ExitReason.TRAILING_STOP),
        ({"createType": "CreateByLiq"}, ExitReason.LIQUIDATION),
        ({"execType": "BustTrade"}, ExitReason.LIQUIDATION),
        ({"execType": "AdlTrade", "createType": "CreateByAdl_PassThrough"}, ExitReason.ADL),
        ({"execType": "Delivery", "createType": "CreateBySettle"}, ExitReason.DELIVERY),
    ],
)
def test_what_made_an_execution_is_in_its_words(told: dict[str, object], reason: ExitReason) -> None:
    entry = ledger_entry_from(execution(**told), Category.LINEAR)
    assert (entry.reason, entry.qty, entry.closed_qty) == (reason, Decimal("0.1"), Decimal("0.1"))
    assert entry.realised == 100


def test_funding_moves_money_and_no_position() -> None:
    entry = ledger_entry_from(execution(execType="Funding", execFee="-3", execPnl="", closedSize=""), Category.LINEAR)
    assert [entry.qty, entry.funding, entry.fee, entry.realised or 0] == [0, -3, 0, 0]


def test_a_fee_in_another_coin_is_never_taken_for_the_settle_coin() -> None:
    row = execution(symbol="BTCUSD", feeCurrency="MNT", execFee="0.05", execValue="0.0002", execPrice="100000")
    entry = ledger_entry_from(row, Category.INVERSE)
    assert (entry.coin, entry.fee, dict(entry.fees_other)) == ("BTC", Decimal(0), {"MNT": Decimal("0.05")})
    assert entry.fees_other_usd == Decimal("0.00055") * Decimal("0.0002") * 100000
    assert ledger_entry_from({**row, "feeRate": ""}, Category.INVERSE).fees_other_usd is None


@pytest.mark.parametrize("is_text", [True, False])
def test_taxes_count_as_fees_in_the_coin_that_they_are_paid_in(is_text: bool) -> None:
    taxes = [
        {"feeCoin": "USDT", "feeType": "GST", "feeRate": "0.0001", "fee": "1.01"},
        {"feeCoin": "MNT", "feeType": "VAT", "feeRate": "0.0002", "fee": "2"},
    ]
    entry = ledger_entry_from(execution(extraFees=json.dumps(taxes) if is_text else taxes), Category.LINEAR)
    assert (entry.fee, dict(entry.fees_other)) == (Decimal("6.565"), {"MNT": Decimal(2)})
    assert entry.fees_other_usd == Decimal("0.0002") * 10100


def test_a_close_of_which_nothing_is_told_has_no_result_yet() -> None:
    silent = {key: value for key, value in execution().items() if key != "execPnl"}
    assert ledger_entry_from(silent, Category.LINEAR).realised is None
    assert ledger_entry_from({**silent, "closedSize": ""}, Category.LINEAR).realised == 0


@pytest.mark.parametrize(
    ("kind", "category", "counts"),
    [
        *((each, "linear", True) for each in ("TRADE", "SETTLEMENT", "DELIVERY", "LIQUIDATION", "ADL", "FEE_REFUND")),
        *((each, "linear", False) for each in ("TRANSFER_IN", "INTEREST", "BONUS", "AIRDROP", "CURRENCY_BUY")),
        *(("TRADE", "inverse", True), ("TRADE", "spot", False), ("DELIVERY", "option", False)),
    ],
)
def test_only_trade_and_what_belongs_to_it_proves_the_ledger(kind: str, category: str, counts: bool) -> None:
    row = {"id": "1", "type": kind, "category": category, "currency": "USDT", "change": "-1.5", "transactionTime": "9"}
    entry = log_entry_from(row)
    assert (entry is not None) is counts
    assert entry is None or (entry.coin, entry.change, entry.at_ms) == ("USDT", Decimal("-1.5"), 9)


def test_a_session_of_usdc_contracts_pays_out_and_a_close_waits_for_what_the_log_says() -> None:
    row = {
        "id": "5",
        "type": "SETTLEMENT",
        "category": "linear",
        "currency": "USDC",
        "symbol": "BTCPERP",
        "side": "Buy",
    }
    row |= {"cashFlow": "12.5", "funding": "-0.25", "change": "12.25", "transactionTime": "9"}
    logged = log_entry_from(row)
    assert logged is not None and logged.session is not None
    paid = logged.session
    assert [paid.realised, paid.qty, paid.fee, paid.funding, paid.at_ms] == [Decimal("12.5"), 0, 0, 0, 9]
    for other in ({"cashFlow": "0"}, {"currency": "USDT", "symbol": "BTCUSDT"}, {"type": "TRADE"}):
        told = log_entry_from({**row, **other})
        assert told is not None and told.session is None
    perp = {"symbol": "BTCPERP", "execPnl": "4.5"}
    assert ledger_entry_from(execution(**perp), Category.LINEAR).realised is None
    for kind in ("Funding", "SessionSettlePnL"):
        assert ledger_entry_from(execution(**perp, execType=kind), Category.LINEAR).realised == 0
    assert balance_changes(execution(**perp, execFee="0"), Category.LINEAR) == {"USDC": Decimal("4.5")}


def test_rows_of_one_moment_are_told_apart_though_they_share_their_id() -> None:
    row = {"id": "7_A_3", "type": "TRADE", "category": "linear", "currency": "USDT", "change": "1", "tradeId": "x"}
    rows = [{**row, "transactionTime": "9", **other} for other in ({}, {}, {"tradeId": "y"}, {"currency": "MNT"})]
    entries = [log_entry_from(each) for each in rows]
    assert [each.id for each in entries if each].index(entries[1].id if entries[1] else "") == 0
    assert len({each.id for each in entries if each}) == 3


def test_a_sale_is_told_from_a_purchase() -> None:
    sides = [ledger_entry_from(execution(side=side), Category.LINEAR).side for side in ("Buy", "Sell")]
    assert sides == ["buy", "sell"]


@pytest.mark.parametrize(
    ("category", "side", "maker_rate", "coin"),
    [
        (Category.LINEAR, "Buy", None, "USDT"),
        (Category.LINEAR, "Sell", None, "USDT"),
        (Category.SPOT, "Buy", None, "BTC"),
        (Category.SPOT, "Sell", None, "USDT"),
        (Category.SPOT, "Buy", "-0.0001", "USDT"),
        (Category.SPOT, "Sell", "-0.0001", "BTC"),
        (Category.SPOT, "Buy", "0.0001", "BTC"),
    ],
)
def test_a_fee_whose_coin_is_not_named_is_paid_as_documented(
    category: Category, side: str, maker_rate: str | None, coin: str
) -> None:
    made = {} if maker_rate is None else {"isMaker": True, "feeRate": maker_rate}
    assert fee_coin_of(execution(side=side, **made), category) == coin


def test_a_result_counts_whatever_is_said_to_be_closed() -> None:
    assert ledger_entry_from(execution(execPnl="4.5", closedSize=""), Category.LINEAR).realised == Decimal("4.5")


def test_an_execution_changes_the_wallet_by_its_result_less_what_it_cost() -> None:
    assert balance_changes(execution(), Category.LINEAR) == {"USDT": Decimal("94.445")}
    funding = execution(execType="Funding", execFee="-3", execPnl="", closedSize="")
    assert balance_changes(funding, Category.LINEAR) == {"USDT": Decimal(3)}
    bought = execution(side="Buy", execPnl="", closedSize="", execFee="0.0001")
    assert balance_changes(bought, Category.SPOT) == {"BTC": Decimal("0.0999"), "USDT": Decimal(-10100)}


@pytest.mark.parametrize(
    ("symbol", "coins"),
    [
        ("NEWCOINUSDT", ("NEWCOIN", "USDT")),
        ("NEWCOINEUR", ("NEWCOIN", "EUR")),
        ("NEWCOINBTC", ("NEWCOIN", "BTC")),
        ("NEWCOINWXYZ", ("NEWCOIN", "WXYZ")),
    ],
)
def test_the_coins_of_a_pair_that_is_not_listed_yet_are_told_by_its_name(symbol: str, coins: tuple[str, str]) -> None:
    assert coins_of(Category.SPOT, symbol) == coins


def test_a_listed_pair_tells_its_coins_whatever_it_is_called() -> None:
    spot = {"contractType": None, "symbol": "XYZABUSDT", "baseCoin": "XYZ", "quoteCoin": "ABUSDT"}
    lot = {"basePrecision": "0.01", "quotePrecision": "0.01", "minOrderQty": "0.01", "minOrderAmt": "1"}
    instrument_from(instrument(**spot, lotSizeFilter=instrument()["lotSizeFilter"] | lot), category=Category.SPOT)
    assert coins_of(Category.SPOT, "XYZABUSDT") == ("XYZ", "ABUSDT")


NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("by_date", "days_left", "left"),
    [
        (None, None, None),
        (timedelta(days=9), None, timedelta(days=9)),
        (None, 7, timedelta(days=7)),
        (timedelta(days=2), 7, timedelta(days=2)),
        (timedelta(days=7, hours=23), 7, timedelta(days=7, hours=23)),
        (timedelta(days=40), 7, timedelta(days=7)),
        (timedelta(days=-1), 0, timedelta(days=-1)),
    ],
)
def test_the_earlier_of_a_keys_two_ends_counts(
    by_date: timedelta | None, days_left: int | None, left: timedelta | None
) -> None:
    key = KeyRights(
        read_only=False,
        contract_permissions=frozenset(),
        wallet_permissions=frozenset(),
        addresses=(),
        expires_at=None if by_date is None else NOW + by_date,
        days_left=days_left,
    )
    assert time_left(key, NOW) == left


def test_an_announcement_says_what_is_away_and_where() -> None:
    announced = {"id": 5, "title": "t", "state": "scheduled", "begin": "1750000000000", "end": "1750000600000"}
    found = [maintenance_from({**announced, "env": env, "serviceTypes": [1, 2, 3, 4, 5, 9]}) for env in (None, 1, 2)]
    assert [each and each.is_demo for each in found] == [False, False, True]
    assert found[0] is not None
    services = "trading, trading by HTTP, trading by WebSocket, private streams, market data, another service"
    assert found[0].what == f"maintenance of {services} (t)"
    assert maintenance_from({**announced, "state": "completed"}) is None


@pytest.mark.parametrize(("category", "fee_coin"), [(Category.LINEAR, "USDT"), (Category.LINEAR, "MNT")])
def test_a_fill_of_the_relays_own_costs_its_fee_in_the_coin_that_it_was_paid_in_and_no_funding(
    category: Category, fee_coin: str
) -> None:
    row = SimpleNamespace(exec_id="e", category=category, symbol="BTCUSDT", side=Side.BUY, at=9, client_order_id="o")
    vars(row).update(qty=Decimal(2), price=Decimal(100), fee=Decimal("0.1"), fee_coin=fee_coin)
    entry = own_entry(row)
    paid = {"USDT": entry.fee, **entry.fees_other}
    assert {coin: fee for coin, fee in paid.items() if fee} == {fee_coin: Decimal("0.1")}
    assert (entry.qty, entry.price, entry.funding, entry.at_ms) == (Decimal(2), Decimal(100), Decimal(0), 9)
    assert entry.fees_other_usd == (0 if fee_coin == "USDT" else None)
