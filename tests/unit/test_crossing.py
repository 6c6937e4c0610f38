"""A limit exit whose price the market has passed already is told from one that rests."""

from __future__ import annotations

import pytest

from tests.builders import facts, plan, rules, signal


@pytest.mark.parametrize(
    ("position", "price", "fills_at_once"),
    [("2", "50001", False), ("2", "50000", True), ("2", "49000", True), ("-2", "49999", False), ("-2", "51000", True)],
)
def test_a_limit_exit_that_would_fill_at_once_is_noted_and_sent(position: str, price: str, fills_at_once: bool) -> None:
    made = plan(signal("close", type="limit", price=price), rules(), facts(p=position))
    assert len(made.orders) == 1
    assert any("fills at once" in note for note in made.notes) is fills_at_once


def test_the_mark_price_of_the_position_tells_where_no_other_was_read() -> None:
    made = plan(signal("close", type="limit", price="49000"), rules(), facts(p="2", price=None))
    assert [note for note in made.notes if "(50000)" in note and "fills at once" in note]


def test_a_maker_order_there_is_said_to_be_cancelled() -> None:
    made = plan(signal("close", type="limit", price="49000", time_in_force="PostOnly"), rules(), facts(p="2"))
    assert [note for note in made.notes if "`PostOnly` it is likely not to rest" in note]


def test_nothing_is_said_of_entries_and_of_market_orders() -> None:
    for requested in (signal("close"), signal("buy", qty="1", type="limit", price="51000")):
        made = plan(requested, rules(), facts(p="2"))
        assert not [note for note in made.notes if "at once" in note]
