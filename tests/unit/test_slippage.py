"""Slippage is what the fills' average cost against the alert's price; stages are told with the time between them."""

from __future__ import annotations

from decimal import Decimal

import pytest

from relay.domain.instrument import Category
from relay.domain.order import Side
from relay.domain.performance import PricedFill, slippage_pct
from relay.journal.api_queries import shown_timing


def _fill(side: Side, qty: int, price: int, category: Category = Category.LINEAR) -> PricedFill:
    return PricedFill(category=category, side=side, qty=Decimal(qty), price=Decimal(price))


@pytest.mark.parametrize(
    ("fills", "price", "expected"),
    [
        ([_fill(Side.BUY, 1, 101)], 100, "1.0000"),
        ([_fill(Side.SELL, 1, 101)], 100, "-1.0000"),
        ([_fill(Side.BUY, 3, 100), _fill(Side.BUY, 1, 104)], 100, "1.0000"),
        ([_fill(Side.BUY, 100, 100, Category.INVERSE), _fill(Side.BUY, 200, 200, Category.INVERSE)], 100, "50.0000"),
    ],
)
def test_slippage_is_above_zero_where_it_cost(fills: list[PricedFill], price: int, expected: str) -> None:
    assert slippage_pct(fills, Decimal(price)) == Decimal(expected)


def test_slippage_is_unknown_without_a_price_or_a_fill() -> None:
    assert slippage_pct([], Decimal(100)) is None
    assert slippage_pct([_fill(Side.BUY, 1, 101)], None) is None


def test_a_stage_that_never_came_is_null_and_the_next_counts_from_the_last_known() -> None:
    reported = shown_timing(
        {"sent": None, "received": 1000, "durable": None, "submitted": 1010, "acknowledged": 1040, "filled": 1035}
    )
    assert reported["ms"] == {"received": None, "durable": None, "submitted": 10, "acknowledged": 30, "filled": 0}
    assert (reported["sent_at"], reported["received_at"]) == (None, "1970-01-01T00:00:01.000Z")
