"""How closely fills followed their alerts."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from relay.domain.order import Side
from relay.domain.performance import Equity, FillRow, equity_curve, percentile, tallies, worth_of

D = Decimal


def _fill_row(side: Side, price: str, **more: Any) -> FillRow:
    return FillRow(strategy="trend", side=side, price=D(price), signal_price=D(100), **more)


def test_slippage_is_above_zero_where_it_cost_and_an_alert_has_one_delay() -> None:
    rows = [
        _fill_row(Side.BUY, "101", signal_id="a", submitted_after_ms=7),
        _fill_row(Side.SELL, "102", signal_id="b", submitted_after_ms=9),
        _fill_row(Side.SELL, "98", signal_id="b", submitted_after_ms=9),
    ]
    tally = tallies(rows)["trend"]
    assert (tally.fills, tally.slippages_pct, tally.latencies_ms) == (3, [D(1), D(-2), D(2)], [7, 9])


@pytest.mark.parametrize("price", [None, D(0)])
def test_a_fill_whose_alert_named_no_price_has_no_slippage(price: Decimal | None) -> None:
    bare = FillRow(strategy="trend", side=Side.BUY, price=D(5), signal_price=price, signal_id="a", submitted_after_ms=3)
    tally = tallies([bare])["trend"]
    assert (tally.fills, tally.slippages_pct, tally.latencies_ms) == (1, [], [3])


def test_a_percentile_is_a_value_that_occurs() -> None:
    assert percentile([], 50) is None
    assert [percentile([3, 1, 2, 4], share) for share in (1, 50, 75, 99, 100)] == [1, 2, 3, 4, 4]


def _equity(at_ms: int, coin: str, amount: str, usd: str | None = None) -> Equity:
    return Equity(coin=coin, equity=D(amount), unrealised=D(0), usd=None if usd is None else D(usd), at_ms=at_ms)


def test_what_coins_are_worth_is_what_the_exchange_says_and_a_dollars_coin_counts_as_one_without() -> None:
    points = [
        _equity(0, "USDT", "10", "9.99"),
        _equity(0, "USDC", "5"),
        _equity(0, "BTC", "1", "70"),
        _equity(0, "X", "8"),
    ]
    assert worth_of(points) == D("84.99")
    assert [each.worth for each in points] == [D("9.99"), D(5), D(70), None]


def test_a_curve_adds_up_all_accounts_and_an_account_that_begins_later_is_no_gain() -> None:
    points = {
        "one": [_equity(1, "USDT", "100"), _equity(31, "USDT", "90"), _equity(31, "BTC", "1", "20")],
        "two": [_equity(21, "USDT", "1000"), _equity(41, "USDT", "1001")],
        "none": [],
    }
    assert equity_curve(points, every_ms=10) == [(1, D(1100)), (21, D(1100)), (31, D(1110)), (41, D(1111))]


def test_of_each_span_the_last_look_counts_and_of_no_other_look_a_part() -> None:
    # What was thinned out keeps of a coin that was sold its own last row, beside the others' later one.
    points = {"one": [_equity(11, "BTC", "1", "500"), _equity(14, "USDT", "70"), _equity(21, "USDT", "71")]}
    assert equity_curve(points, every_ms=10) == [(14, D(70)), (21, D(71))]
    assert equity_curve({}, every_ms=10) == []
