"""What must be read before a plan: as little as can be, and never too little."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from relay.domain.instrument import Instrument
from relay.domain.plan import Need, Residual
from relay.domain.signal import Signal
from tests.builders import NOW, PRICE, facts, inverse, level, linear, needs, rules, signal, usdc

POSITION, PRICED, EQUITY = Need.POSITION, Need.PRICE, Need.EQUITY


def _needs(requested: Signal, instrument: Instrument | None = None, **known: Any) -> set[Need]:
    given = {"now": NOW, "halted": None, "reference_price": PRICE, **known}
    limits = given.pop("rules", rules())
    return set(needs(requested, limits, instrument or linear(), **given))


@pytest.mark.parametrize("instrument", [linear(), usdc(), inverse()], ids=["usdt", "usdc", "inverse"])
@pytest.mark.parametrize("action", ["buy", "sell"])
def test_a_plain_order_in_the_exchanges_unit_needs_nothing(action: str, instrument: Instrument) -> None:
    qty = 100 if instrument.is_inverse else 1
    assert _needs(signal(action, qty=qty, qty_unit="contracts"), instrument) == set()


def test_a_plain_order_on_inverse_in_contracts_needs_no_price_at_all() -> None:
    assert _needs(signal("buy", qty=100, qty_unit="contracts"), inverse(), reference_price=None) == set()


@pytest.mark.parametrize(
    "why",
    [
        {"reference_price": None},
        {"halted": "by the command"},
        {"now": NOW + timedelta(seconds=61)},
        {"rules": rules(max_order_notional=1)},
        {"rules": rules(max_position_notional=1)},
        {"rules": rules(allowed_symbols=frozenset({"ETHUSDT"}))},
        {"rules": rules(daily_loss_limit=1)},
        {"residual": Residual(size=PRICE)},
    ],
    ids=["no price heard", "halted", "old", "order limit", "position limit", "not allowed", "unsupported", "carried"],
)
def test_where_an_entry_might_be_refused_its_exit_must_be_known(why: dict[str, Any]) -> None:
    assert POSITION in _needs(signal("sell", qty=1), **why)


@pytest.mark.parametrize("kind", ["stop_market", "stop_limit", "market_if_touched", "limit_if_touched"])
def test_where_a_trigger_may_be_passed_already_the_exit_must_be_known(kind: str) -> None:
    assert _needs(signal("sell", qty=1, type=kind, trigger_price=60000, price=60000)) == {POSITION, PRICED}


@pytest.mark.parametrize("qty", ["0.0001", "0.00019", "1000"])
def test_an_order_near_a_bound_of_the_exchange_needs_the_position(qty: str) -> None:
    assert POSITION in _needs(signal("buy", qty=qty))


@pytest.mark.parametrize(("price", "wanted"), [("9999", {POSITION, PRICED}), ("10000", set())])
def test_a_notional_near_the_minimum_at_the_last_price_received_is_looked_at_again(
    price: str, wanted: set[Need]
) -> None:
    assert _needs(signal("buy", qty="0.001"), reference_price=Decimal(price)) == wanted
    assert _needs(signal("buy", qty="0.001", type="limit", price=price)) == wanted - {PRICED}


@pytest.mark.parametrize(
    ("unit", "also"), [("quote", {PRICED}), ("equity_pct", {PRICED, EQUITY}), ("position_pct", set())]
)
def test_a_size_in_another_unit_needs_what_it_is_worked_out_from(unit: str, also: set[Need]) -> None:
    assert _needs(signal("buy", qty=50, qty_unit=unit)) == {POSITION, *also}


def test_coins_on_inverse_need_the_price() -> None:
    assert _needs(signal("buy", qty=1, qty_unit="base"), inverse()) == {POSITION, PRICED}


@pytest.mark.parametrize("action", ["long", "short", "target", "close", "close_long", "flat", "exit", "reverse"])
def test_what_depends_on_the_position_needs_it_and_nothing_more(action: str) -> None:
    requested = signal(action, qty=1, market_position="long", market_position_size=1)
    assert _needs(requested) == {POSITION}


@pytest.mark.parametrize(
    "requested",
    [
        signal("close"),
        signal("flat", qty=5, qty_unit="quote"),
        signal("exit"),
        signal("close_short"),
        signal("sell", market_position="flat"),
        signal("sell", qty=5, qty_unit="equity_pct", market_position="flat"),
        signal("target", market_position="flat"),
        signal("target", qty=5, qty_unit="equity_pct", market_position="flat"),
        signal("sell", market_position="long", market_position_size=1, prev_market_position_size=2),
        signal("reverse"),
    ],
    ids=[
        "close",
        "flat",
        "exit",
        "close_short",
        "to flat",
        "own to flat",
        "target flat",
        "own target flat",
        "share",
        "reverse",
    ],
)
def test_an_exit_waits_for_no_fact_that_only_an_entry_would_need(requested: Signal) -> None:
    for instrument in (linear(), inverse()):
        limits = rules(default_size=("1", "equity_pct"))
        assert _needs(requested, instrument, rules=limits, reference_price=None) == {POSITION}


@pytest.mark.parametrize("requested", [signal("close"), signal("sell", qty=1, market_position="flat")])
def test_limits_make_no_exit_wait_for_a_price(requested: Signal) -> None:
    assert _needs(requested, rules=rules(max_order_notional=1, max_position_notional=1)) == {POSITION}


def test_stops_are_checked_against_a_price_read_now() -> None:
    assert _needs(signal("buy", qty=1, stop_loss=level(1))) == {POSITION, PRICED}
    assert _needs(signal("buy", qty=1, stop_loss=level(1), type="limit", price=60000)) == {POSITION, PRICED}


def test_a_conditional_order_needs_the_price_to_know_its_direction() -> None:
    assert PRICED in _needs(signal("close", type="stop_market", trigger_price=1))


@pytest.mark.parametrize("size", ["market_position_size", "position_size"])
def test_on_inverse_the_strategys_size_in_coins_needs_the_price(size: str) -> None:
    requested = signal("target", qty_unit="base", market_position="long", **{size: 1})
    assert _needs(requested, inverse()) == {POSITION, PRICED}


def test_stops_need_the_position_that_they_protect() -> None:
    assert _needs(signal("stops", stop_loss=level(1))) == {POSITION}


@pytest.mark.parametrize("action", ["cancel", "heartbeat"])
def test_what_orders_nothing_needs_nothing(action: str) -> None:
    assert _needs(signal(action), halted="by the command", residual=facts(residual="1").residual) == set()


def test_on_linear_the_strategys_size_needs_no_price() -> None:
    requested = signal("target", qty_unit="base", market_position="long", market_position_size=1)
    assert _needs(requested, reference_price=None) == {POSITION}


@pytest.mark.parametrize(
    ("action", "fields", "expected"),
    [
        ("buy", {"qty": 1}, set()),
        ("sell", {"qty": 1, "reduce_only": True}, {POSITION}),
        ("buy", {"qty": 1, "market_position": "flat"}, {POSITION}),
        ("close", {}, {POSITION}),
        ("buy", {"qty": 1, "stop_loss": level(1)}, {POSITION, PRICED}),
        ("buy", {"qty": 100, "qty_unit": "quote"}, {POSITION, PRICED}),
    ],
)
def test_coins_are_looked_at_where_they_are_sold(action: str, fields: dict[str, Any], expected: set[Need]) -> None:
    assert _needs(signal(action, category="spot", **fields), linear(category="spot")) >= expected
    if expected in (set(), {POSITION}):
        assert _needs(signal(action, category="spot", **fields), linear(category="spot")) == expected
