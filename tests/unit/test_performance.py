"""How closely fills followed their alerts."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from relay.domain.order import Side
from relay.domain.performance import FillRow, percentile, tallies

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


def test_a_percentile_is_a_value_that_occurs() -> None:
    assert percentile([], 50) is None
    assert [percentile([3, 1, 2, 4], share) for share in (1, 50, 75, 99, 100)] == [1, 2, 3, 4, 4]
