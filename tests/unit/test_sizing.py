"""Sizes in every unit, on linear and inverse, and whose size counts."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from relay.domain.instrument import Category, Instrument
from relay.domain.intent import Size, entry_side, needs_equity, needs_price, quantity, size_of
from relay.domain.order import Reason, Side
from relay.domain.plan import PlanStatus
from relay.domain.signal import QtyUnit, Signal
from tests.builders import facts, inverse, linear, plan, rules, signal, usdc
from tests.unit.journal_builders import planned

OWN_UNITS = ("quote", "equity_pct", "position_pct")


def _quantity(qty: str, unit: str, instrument: Instrument, **facts_read: Any) -> Decimal | Reason:
    read = {"price": None, "position_size": None, "equity": None, **facts_read}
    return quantity(Size(qty=Decimal(qty), unit=QtyUnit(unit)), instrument, **read)


@pytest.mark.parametrize("instrument", [linear(), usdc()], ids=["usdt", "usdc"])
@pytest.mark.parametrize(
    ("qty", "unit", "read", "coins"),
    [
        ("0.5", "base", {}, "0.5"),
        ("0.5", "contracts", {}, "0.5"),
        ("1000", "quote", {"price": Decimal(50000)}, "0.02"),
        ("10", "equity_pct", {"price": Decimal(50000), "equity": Decimal(20000)}, "0.04"),
        ("25", "position_pct", {"position_size": Decimal(-2)}, "0.5"),
    ],
)
def test_on_linear_a_size_comes_to_coins(
    qty: str, unit: str, read: dict[str, Decimal], coins: str, instrument: Instrument
) -> None:
    assert _quantity(qty, unit, instrument, **read) == Decimal(coins)


@pytest.mark.parametrize(
    ("qty", "unit", "read", "contracts"),
    [
        ("0.5", "base", {"price": Decimal(50000)}, "25000"),
        ("500", "contracts", {}, "500"),
        ("1000", "quote", {}, "1000"),
        ("10", "equity_pct", {"price": Decimal(50000), "equity": Decimal("0.4")}, "2000"),
        ("25", "position_pct", {"position_size": Decimal(2000)}, "500"),
    ],
)
def test_on_inverse_a_size_comes_to_contracts(qty: str, unit: str, read: dict[str, Decimal], contracts: str) -> None:
    assert _quantity(qty, unit, inverse(), **read) == Decimal(contracts)


def test_a_size_in_money_is_never_worth_more_than_requested() -> None:
    coins = _quantity("100", "quote", linear(), price=Decimal(3))
    assert isinstance(coins, Decimal)
    assert Fraction(coins) * 3 <= 100 < Fraction(coins) * 3 + Fraction(1, 10**20)


@pytest.mark.parametrize("equity", ["0", "-250"])
@pytest.mark.parametrize("instrument", [linear(), inverse()], ids=["linear", "inverse"])
def test_a_share_of_no_equity_is_nothing_and_never_negative(equity: str, instrument: Instrument) -> None:
    assert _quantity("10", "equity_pct", instrument, equity=Decimal(equity), price=Decimal(50000)) == 0


def test_on_inverse_a_bare_quantity_is_refused_saying_what_to_write() -> None:
    made = plan(signal("buy", qty=100), rules(), facts(inverse(), p=0))
    assert made.status is PlanStatus.DENIED
    assert made.reason is not None and made.reason.code == "QTY_UNIT_NEEDED"
    assert "contracts" in made.reason.message and "base" in made.reason.message


@pytest.mark.parametrize(("unit", "qty"), [("contracts", "100"), ("base", "5000000")])
def test_on_inverse_the_strategys_own_unit_says_what_a_bare_quantity_is(unit: str, qty: str) -> None:
    made = plan(signal("buy", qty=100), rules(size_unit=unit), facts(inverse(), p=0))
    assert [each.qty for each in made.orders] == [Decimal(qty)]


def test_the_alerts_unit_counts_more_than_the_strategys() -> None:
    size = size_of(signal("buy", qty=1, qty_unit="base"), rules(size_unit="quote"), is_inverse=False)
    assert size == Size(qty=Decimal(1), unit=QtyUnit.BASE)


def test_on_linear_a_bare_quantity_is_coins_unless_the_strategy_says_otherwise() -> None:
    coins = size_of(signal("buy", qty=1), rules(), is_inverse=False)
    money = size_of(signal("buy", qty=1), rules(size_unit="quote"), is_inverse=False)
    assert isinstance(coins, Size) and coins.unit is QtyUnit.BASE
    assert isinstance(money, Size) and money.unit is QtyUnit.QUOTE


def test_an_entry_without_a_size_takes_the_default_one() -> None:
    made = plan(signal("buy"), rules(default_size=("1000", "quote")), facts(p=0))
    assert [each.qty for each in made.orders] == [Decimal("0.02")]


@pytest.mark.parametrize(
    ("unit", "on_linear", "on_inverse"),
    [
        ("base", False, True),
        ("contracts", False, False),
        ("quote", True, False),
        ("equity_pct", True, True),
        ("margin_pct", True, True),
        ("risk_pct", True, True),
        ("risk_quote", True, True),
        ("position_pct", False, False),
    ],
)
def test_a_price_is_read_only_where_the_unit_needs_it(unit: str, on_linear: bool, on_inverse: bool) -> None:
    size = Size(qty=Decimal(1), unit=QtyUnit(unit))
    assert (needs_price(size, is_inverse=False), needs_price(size, is_inverse=True)) == (on_linear, on_inverse)
    assert needs_equity(size) is (unit in ("equity_pct", "margin_pct", "risk_pct"))


# Whose size counts: the strategy's own can be compared with its position, the user's cannot.


@pytest.mark.parametrize("unit", OWN_UNITS)
@pytest.mark.parametrize("action", ["long", "short"])
def test_any_long_is_enough_where_the_size_is_in_another_unit(unit: str, action: str) -> None:
    p = "0.001" if action == "long" else "-0.001"
    made = plan(signal(action, qty=90, qty_unit=unit), rules(), facts(p=p, equity=1_000_000))
    assert (made.status, made.orders) == (PlanStatus.DONE, ())
    assert any(f"already {action}" in note for note in made.notes)


def test_a_default_size_in_coins_tops_up_a_smaller_long() -> None:
    made = plan(signal("long"), rules(default_size=("0.5", "base")), facts(p="0.2"))
    assert [each.qty for each in made.orders] == [Decimal("0.3")]


@pytest.mark.parametrize(
    ("sizes", "default"),
    [({"qty": "1000", "qty_unit": "quote"}, None), ({}, ("1000", "quote")), ({}, ("0.02", "base"))],
    ids=["own unit", "default in money", "default in coins"],
)
def test_a_reversal_with_your_own_size_is_that_size_on_the_new_side(
    sizes: dict[str, Any], default: tuple[str, str] | None
) -> None:
    reversal = signal("buy", market_position="long", market_position_size=7, prev_market_position="short", **sizes)
    (order,) = plan(reversal, rules(default_size=default), facts(p="-0.05")).orders
    assert (order.side.value, order.qty, order.exit_qty) == ("buy", Decimal("0.07"), Decimal("0.05"))


@pytest.mark.parametrize("instrument", [linear(), usdc(), inverse()], ids=["usdt", "usdc", "inverse"])
@pytest.mark.parametrize(
    ("sizes", "default"),
    [({"qty": "1000", "qty_unit": "quote"}, None), ({}, ("1000", "quote")), ({}, ("1", "base"))],
    ids=["own unit", "default in money", "default in coins"],
)
def test_a_reduction_with_your_own_size_closes_the_share_that_the_strategy_closed(
    sizes: dict[str, Any], default: tuple[str, str] | None, instrument: Instrument
) -> None:
    reduction = signal(
        "sell",
        market_position="long",
        market_position_size=3,
        prev_market_position="long",
        prev_market_position_size=4,
        **sizes,
    )
    (order,) = plan(reduction, rules(default_size=default), facts(instrument, p=40)).orders
    assert (order.side.value, order.qty, order.reduce_only) == ("sell", Decimal(10), True)


def test_a_share_that_is_not_known_is_refused_saying_what_to_add() -> None:
    made = plan(signal("sell", qty=100, qty_unit="quote", market_position="long"), rules(), facts(p=1))
    assert made.status is PlanStatus.DENIED
    assert made.reason is not None and "prev_market_position_size" in made.reason.message


def test_a_target_with_a_quantity_takes_the_strategys_side_and_your_size() -> None:
    target = signal("target", market_position="short", market_position_size=9, qty=1000, qty_unit="quote")
    (order,) = plan(target, rules(), facts(p="0.01")).orders
    assert (order.side.value, order.qty) == ("sell", Decimal("0.03"))


def test_a_target_without_a_quantity_never_takes_the_default_size() -> None:
    target = signal("target", market_position="long", market_position_size=2)
    (order,) = plan(target, rules(default_size=("1000", "quote")), facts(p=0)).orders
    assert order.qty == 2


def test_on_inverse_the_strategys_size_may_be_in_coins() -> None:
    target = signal("target", market_position="long", market_position_size="0.5", qty_unit="base")
    (order,) = plan(target, rules(), facts(inverse(), p=5000)).orders
    assert (order.side.value, order.qty) == ("buy", Decimal(20000))


def test_on_inverse_the_strategys_size_needs_a_unit_too() -> None:
    made = plan(signal("target", market_position="long", market_position_size=2), rules(), facts(inverse(), p=0))
    assert made.reason is not None and made.reason.code == "QTY_UNIT_NEEDED"


def test_a_limit_orders_own_price_turns_money_into_coins() -> None:
    made = plan(signal("buy", type="limit", price=40000, qty=1000, qty_unit="quote"), rules(), facts(p=0))
    assert [each.qty for each in made.orders] == [Decimal("0.025")]


def test_close_in_percent_of_the_position_closes_that_much() -> None:
    made = plan(signal("close", qty=50, qty_unit="position_pct"), rules(), facts(p="-0.5"))
    assert [(each.side.value, each.qty) for each in made.orders] == [("buy", Decimal("0.25"))]


def test_a_triggers_price_turns_money_into_coins() -> None:
    requested = signal("buy", qty=30000, qty_unit="quote", type="stop_market", trigger_price=60000)
    assert [each.qty for each in plan(requested, rules(), facts(p=0)).orders] == [Decimal("0.5")]


@pytest.mark.parametrize(
    ("requested", "p", "side"),
    [
        (signal("reverse"), 2, Side.SELL),
        (signal("reverse"), -2, Side.BUY),
        (signal("reverse"), 0, None),
        (signal("add"), 2, Side.BUY),
        (signal("add"), -2, Side.SELL),
        (signal("add"), 0, None),
        (signal("target", market_position="short"), 2, Side.SELL),
        (signal("target", market_position="flat"), 2, None),
        (signal("buy"), -2, Side.BUY),
    ],
)
def test_on_which_side_a_signal_opens(requested: Signal, p: int, side: Side | None) -> None:
    assert entry_side(requested, Decimal(p)) is side


@pytest.mark.parametrize(("asked", "spent"), [("5", "5"), ("5.019", "5.01"), ("100.037", "100.03"), ("4.99", None)])
def test_coins_bought_for_money_cost_that_money_to_the_cent_and_its_least_is_enough(
    asked: str, spent: str | None
) -> None:
    fine = {"money_step": "0.01", "qty_step": "0.000001", "qty_min": "0.000001", "notional_min": 5}
    pair = linear(category=Category.SPOT, **fine)
    bought = signal(qty=asked, qty_unit="quote", category=Category.SPOT)
    # At this price no whole number of steps costs five.
    made = plan(bought, rules(), facts(pair, p=0, price=Decimal("49999.7")))
    assert [each.spend for each in made.orders] == ([] if spent is None else [Decimal(spent)])
    assert spent is not None or (made.reason is not None and made.reason.code == "NOTIONAL_BELOW_MIN")


@pytest.mark.parametrize("spend", [None, "100"])
def test_an_order_is_filled_once_no_step_more_of_it_can_be_bought(spend: str | None) -> None:
    order = planned(qty=Decimal("0.010"), spend=None if spend is None else Decimal(spend), spend_rest=Decimal("0.4"))
    price = None if spend is None else Decimal(10_000)
    exact, short = Decimal("0.010"), Decimal("0.00995")
    assert order.is_filled_by(exact, price) and order.is_filled_by(exact * 2, price)
    assert not order.is_filled_by(short, price) and not order.is_filled_by(Decimal(0), price)
