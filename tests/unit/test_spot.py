"""Coins: what an alert can ask for where nothing is ever short, and which coins are the relay's own."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from relay.domain.instrument import Category, TradedMarket
from relay.domain.order import Side
from relay.domain.position import Fill
from relay.domain.rules import ShortOnSpot
from relay.domain.signal import MarketSide
from relay.domain.spot import OwnCoins, in_market, market_of, spot_problem
from tests.builders import level, rules, signal

SPOT = rules(market=TradedMarket.SPOT)
PERPETUAL = rules()


@pytest.mark.parametrize(
    ("category", "own_word", "strategy", "expected"),
    [
        (None, None, "perpetual", "perpetual"),
        (None, None, "spot", "spot"),
        (None, "spot", "perpetual", "spot"),
        (None, "perpetual", "spot", "perpetual"),
        (Category.LINEAR, "spot", "spot", "perpetual"),
        (Category.INVERSE, "spot", "spot", "perpetual"),
        (Category.SPOT, "perpetual", "perpetual", "spot"),
    ],
)
def test_the_market_is_its_instrument_s_else_the_alert_s_word_else_the_strategy_s(
    category: Category | None, own_word: str | None, strategy: str, expected: str
) -> None:
    asked = signal(category=category, market=TradedMarket(own_word) if own_word else None)
    assert market_of(asked, rules(market=TradedMarket(strategy))) == expected


PROBLEMS: list[tuple[str, dict[str, Any], str | None]] = [
    ("buy", {"qty": 1}, None),
    ("short", {"qty": 1}, "action"),
    ("reverse", {}, "action"),
    ("long", {"qty": 1}, None),
    ("buy", {"qty": 1, "qty_unit": "contracts"}, "qty_unit"),
    ("buy", {"qty": 1, "qty_unit": "margin_pct"}, "qty_unit"),
    ("buy", {"qty": 1, "qty_unit": "margin_quote"}, "qty_unit"),
    ("sell", {"qty": 1, "qty_unit": "contracts"}, "qty_unit"),
    ("buy", {"qty_unit": "contracts"}, None),
    ("buy", {"qty": 1, "qty_unit": "quote"}, None),
    ("buy", {"qty": 1, "qty_unit": "base"}, None),
    ("buy", {"qty": 1, "reduce_only": True}, "reduce_only"),
    ("long", {"qty": 1, "reduce_only": True}, "reduce_only"),
    ("sell", {"qty": 1, "reduce_only": True}, None),
    ("buy", {"qty": 1, "leverage": 3}, "leverage"),
    ("sell", {"qty": 1, "leverage": 3}, None),
    ("close", {"leverage": 3}, None),
    ("buy", {"qty": 1, "trailing_stop": level(5)}, "trailing_stop"),
    ("close", {"trailing_stop": level(5)}, None),
    ("buy", {"qty": 1, "type": "stop_market", "trigger_price": 1, "trigger_by": "mark"}, "trigger_by"),
    ("buy", {"qty": 1, "type": "stop_market", "trigger_price": 1, "trigger_by": "last"}, None),
    ("buy", {"qty": 1, "trigger_by": "mark"}, None),
    ("sell", {"qty": 1, "type": "stop_market", "trigger_price": 1, "trigger_by": "mark"}, None),
]


@pytest.mark.parametrize(("action", "fields", "named"), PROBLEMS)
def test_what_no_spot_market_has_is_named_by_its_field_and_no_sale_is_refused_for_it(
    action: str, fields: dict[str, Any], named: str | None
) -> None:
    asked = signal(action, category=None, **fields)
    found = spot_problem(asked, SPOT)
    assert (found[0] if found else None) == named
    assert spot_problem(asked, PERPETUAL) is None


def test_short_means_flat_unless_the_strategy_refuses_it() -> None:
    short = signal("sell", category=None, market_position="short", market_position_size=3, position_size=-3)
    flat = in_market(short, SPOT)
    assert (flat.market_position, flat.market_position_size, flat.position_size) == (MarketSide.FLAT, Decimal(0), None)
    assert flat.reduce_only and flat.frees_coins and len(flat.notes) == 1 and "no short side" in flat.notes[0]
    assert in_market(flat, SPOT) == flat
    refused = in_market(short, rules(market=TradedMarket.SPOT, short=ShortOnSpot.REFUSE))
    assert (refused.market_position, refused.reduce_only, refused.frees_coins) == (MarketSide.SHORT, False, True)
    assert in_market(short, PERPETUAL) is short


@pytest.mark.parametrize(
    ("action", "fields", "reduces", "frees"),
    [
        ("buy", {"qty": 1}, False, False),
        ("buy", {"qty": 1, "market_position": "long"}, False, False),
        ("buy", {"market_position": "flat"}, False, True),
        ("sell", {"qty": 1}, True, True),
        ("sell", {"qty": 1, "market_position": "long"}, True, True),
        ("close", {"market_position": "flat"}, False, False),
        ("close", {"reduce_only": True}, True, False),
    ],
)
def test_a_sale_only_sells_what_is_held(action: str, fields: dict[str, Any], reduces: bool, frees: bool) -> None:
    for rule in (SPOT, rules(market=TradedMarket.SPOT, short=ShortOnSpot.REFUSE)):
        found = in_market(signal(action, category=None, **fields), rule)
        assert (found.reduce_only, found.frees_coins) == (reduces, frees)


def test_a_leverage_is_left_out_and_told_once() -> None:
    found = in_market(signal("sell", category=None, leverage=3), SPOT)
    assert found.leverage is None and found.notes == ("`leverage` ignored: nothing is borrowed here",)
    assert in_market(found, SPOT) == found


# The relay's own coins.


def fill(qty: str, price: str, *, fee: str = "0", at: int = 1, exec_id: str = "e") -> Fill:
    return Fill(
        exec_id=exec_id,
        client_order_id="o",
        qty=Decimal(qty),
        price=Decimal(price),
        fee=abs(Decimal(fee)),
        fee_coin="BTC",
        is_maker=False,
        at_ms=at,
        base_fee=Decimal(fee),
    )


def own(
    size: str = "0", *, fees: str = "0", avg_price: str | None = None, moved_at_ms: int = 0, uncounted: str = "0"
) -> OwnCoins:
    return OwnCoins(
        symbol="BTCUSDT",
        size=Decimal(size),
        fees=Decimal(fees),
        avg_price=Decimal(avg_price) if avg_price else None,
        moved_at_ms=moved_at_ms,
        uncounted=Decimal(uncounted),
    )


def test_what_buys_bring_is_counted_less_the_fees_in_the_coin_and_averaged_by_price() -> None:
    bought = own().after([fill("3", "130", fee="0.01", at=9, exec_id="b"), fill("1", "90", at=5)], Side.BUY)
    assert (bought.size, bought.fees, bought.avg_price, bought.moved_at_ms) == (
        Decimal("3.99"),
        Decimal("0.01"),
        Decimal(120),
        9,
    )
    sold = bought.after([fill("1.99", "500", at=7)], Side.SELL)
    assert (sold.size, sold.fees, sold.avg_price, sold.moved_at_ms) == (Decimal(2), Decimal("0.01"), Decimal(120), 9)
    given = own("1", avg_price="100").after([fill("1", "100", fee="-0.1", at=2)], Side.BUY)
    assert (given.size, given.fees) == (Decimal("2.1"), Decimal(0)), "a rebate is no fee"


def test_of_what_is_sold_nothing_is_left_and_of_dust_no_more_fees_than_an_exchange_takes() -> None:
    held = own("2", fees="0.02", avg_price="100")
    over = held.after([fill("2", "100")], Side.SELL)
    assert (over.size, over.fees, over.avg_price) == (Decimal(0), Decimal(0), None)
    dust = held.after([fill("1.9", "100")], Side.SELL)
    assert (dust.size, dust.fees, dust.avg_price) == (Decimal("0.1"), Decimal("0.001"), Decimal(100))
    short = own("1", avg_price="100").after([fill("3", "50")], Side.SELL)
    assert (short.size, short.avg_price) == (Decimal(-2), None)
    again = short.after([fill("4", "70")], Side.BUY)
    assert (again.size, again.avg_price) == (Decimal(2), Decimal(70))
    unpriced = own("1").after([fill("1", "40")], Side.BUY)
    assert unpriced.avg_price == Decimal(40)


@pytest.mark.parametrize(
    ("owned", "at_ms", "lacks"),
    [
        ("2", 11_001, False),
        ("1.999", 11_001, True),
        ("1.999", 11_000, False),
        (None, 99_999, False),
    ],
)
def test_coins_are_missed_once_the_balance_must_have_told_of_the_last_fill(
    owned: str | None, at_ms: int, lacks: bool
) -> None:
    held = own("2", moved_at_ms=1_000)
    has = Decimal(owned) if owned else None
    assert held.lacks(has, at_ms=at_ms) is lacks
    found = held.position(has, None, None, at_ms=at_ms)
    assert found.size == (Decimal("1.999") if lacks else Decimal(2))


def test_what_was_sold_certainly_and_is_not_counted_yet_is_held_no_more() -> None:
    for uncounted, size in (("-0.5", "1.5"), ("0.5", "2"), ("-3", "0")):
        assert own("2", uncounted=uncounted).position(None, None, None, at_ms=1).size == Decimal(size)
    assert not own("2", uncounted="-0.5").lacks(Decimal("1.5"), at_ms=99_999)


def test_coins_as_a_position_are_worth_what_the_price_makes_of_them() -> None:
    held = own("2", fees="0.1", avg_price="100")
    found = held.position(Decimal(5), Decimal(4), Decimal(130), at_ms=1)
    assert (found.category, found.symbol, found.size, found.avg_price) == (
        Category.SPOT,
        "BTCUSDT",
        Decimal(2),
        Decimal(100),
    )
    assert (found.mark_price, found.unrealised_pnl, found.gross, found.free) == (
        Decimal(130),
        Decimal(60),
        Decimal("2.1"),
        Decimal(4),
    )
    assert (found.nominal, found.closable) == (Decimal("2.1"), Decimal(2))
    assert held.position(None, Decimal(1), None, at_ms=1).unrealised_pnl is None
    assert held.position(None, Decimal(1), None, at_ms=1).closable == 1
    assert own("2").position(None, None, Decimal(130), at_ms=1).unrealised_pnl is None
    gone = held.position(Decimal(-1), Decimal(0), Decimal(130), at_ms=99_999)
    assert (gone.size, gone.avg_price, gone.gross, gone.unrealised_pnl) == (Decimal(0), None, Decimal(0), None)
