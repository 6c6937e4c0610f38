"""How well alerts were followed."""

from __future__ import annotations

from decimal import Decimal

from relay.domain.order import Side
from relay.domain.performance import FillRow, percentile, tallies

D = Decimal


def _fill_row(side: Side, price: str, *, signal: str = "s", asked: str | None = None, after: int = 5) -> FillRow:
    return FillRow(
        signal_id=signal,
        strategy="trend",
        side=side,
        price=D(price),
        signal_price=None if asked is None else D(asked),
        submitted_after_ms=after,
    )


def test_slippage_is_above_zero_where_it_cost_and_each_signal_left_once() -> None:
    tally = tallies(
        [
            _fill_row(Side.BUY, "101", asked="100"),
            _fill_row(Side.SELL, "101", asked="100", after=7),
            _fill_row(Side.SELL, "99", signal="t", after=9),
        ]
    )["trend"]
    assert tally.slippages_pct == [1, -1]
    assert tally.latencies_ms == [5, 9]


def test_a_percentile_is_a_value_that_occurs() -> None:
    assert percentile([], 50) is None
    assert [percentile([3, 1, 2, 4], share) for share in (1, 50, 75, 99, 100)] == [1, 2, 3, 4, 4]
