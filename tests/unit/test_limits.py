"""What holds back an entry, with which code and which words."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from relay.domain.instrument import Instrument
from relay.domain.order import Reason
from relay.domain.plan import Plan, PlanStatus
from relay.domain.signal import Level, LevelKind
from tests.builders import NOW, facts, inverse, level, linear, plan, profit, rules, signal, usdc

OLD = {"received_at": NOW - timedelta(seconds=61)}
PERCENT = Level(kind=LevelKind.PERCENT, value=Decimal(-2))


def _reason(made: Plan, status: PlanStatus = PlanStatus.DENIED) -> Reason:
    assert (made.status, made.orders) == (status, ())
    assert made.reason is not None
    return made.reason


def test_halted_says_by_whom_and_how_to_resume() -> None:
    reason = _reason(plan(signal("buy", qty=1), rules(), facts(p=0, halted="by the command, at noon")))
    assert reason.code == "HALTED"
    assert "by the command, at noon" in reason.message and "resume" in reason.message


def test_an_entry_that_waited_too_long_expires() -> None:
    reason = _reason(plan(signal("buy", qty=1, **OLD), rules(), facts(p=0)), PlanStatus.EXPIRED)
    assert reason.code == "TIME_TOO_OLD"
    assert "61 s" in reason.message and "timenow" not in reason.message


def test_an_entry_that_was_old_when_it_arrived_names_the_bars_time() -> None:
    stale = signal("buy", qty=1, sent_at=NOW - timedelta(hours=4))
    reason = _reason(plan(stale, rules(), facts(p=0)), PlanStatus.EXPIRED)
    assert reason.code == "TIME_TOO_OLD"
    assert "{{time}}" in reason.message and "{{timenow}}" in reason.message


@pytest.mark.parametrize("age_s", [0, 59, 60, -30])
def test_an_entry_of_the_age_that_is_allowed_goes_out(age_s: int) -> None:
    fresh = signal("buy", qty=1, sent_at=NOW - timedelta(seconds=age_s), received_at=NOW)
    assert plan(fresh, rules(), facts(p=0)).status is PlanStatus.PLANNED


def test_the_strategy_says_how_old_an_entry_may_be() -> None:
    assert plan(signal("buy", qty=1, **OLD), rules(signal_max_age_s=61), facts(p=0)).status is PlanStatus.PLANNED


def test_a_symbol_that_is_not_among_the_allowed_is_refused_naming_them() -> None:
    made = plan(signal("buy", qty=1), rules(allowed_symbols=frozenset({"ETHUSDT", "BTCPERP"})), facts(p=0))
    reason = _reason(made)
    assert reason.code == "SYMBOL_NOT_ALLOWED" and "BTCPERP, ETHUSDT" in reason.message


def test_a_symbol_that_is_not_trading_is_refused() -> None:
    assert (
        _reason(plan(signal("buy", qty=1), rules(), facts(linear(is_trading=False), p=0))).code == "SYMBOL_NOT_TRADING"
    )


def test_a_default_level_gives_way_to_the_alerts_own() -> None:
    made = plan(signal("buy", qty=1, stop_loss=level(40000)), rules(default_stop_loss=PERCENT), facts(p=0))
    assert [each.stop_loss for each in made.orders] == [Decimal(40000)]


# The exchange's own minima


@pytest.mark.parametrize(
    ("instrument", "qty"),
    [(linear(), "0.0009"), (usdc(), "0.0009"), (inverse(), "0.9"), (linear(qty_min="0.01"), "0.0099")],
)
def test_an_entry_under_the_minimum_is_denied_and_never_rounded_up(instrument: Instrument, qty: str) -> None:
    reason = _reason(plan(signal("buy", qty=qty, qty_unit="contracts"), rules(), facts(instrument, p=0)))
    assert reason.code == "QTY_BELOW_MIN" and "never rounded up" in reason.message


@pytest.mark.parametrize(("price", "status"), [("4999", PlanStatus.DENIED), ("5000", PlanStatus.PLANNED)])
def test_an_entry_under_the_minimum_notional_is_denied(price: str, status: PlanStatus) -> None:
    made = plan(signal("buy", qty="0.001"), rules(), facts(p=0, price=price))
    assert made.status is status
    if status is PlanStatus.DENIED:
        assert _reason(made).code == "NOTIONAL_BELOW_MIN"


def test_a_notional_just_under_the_minimum_is_not_shown_as_the_minimum() -> None:
    reason = _reason(plan(signal("buy", qty="0.001"), rules(), facts(p=0, price="4999.9")))
    assert "worth 4.99 USDT" in reason.message


def test_the_minimum_notional_counts_after_rounding_down() -> None:
    made = plan(signal("buy", qty="0.0019"), rules(), facts(p=0, price="3000"))
    assert _reason(made).code == "NOTIONAL_BELOW_MIN"


def test_the_notional_of_a_limit_order_is_at_its_own_price() -> None:
    limit = signal("buy", qty="0.001", type="limit", price=4000)
    assert _reason(plan(limit, rules(), facts(p=0, price=50000))).code == "NOTIONAL_BELOW_MIN"


def test_inverse_has_no_minimum_notional() -> None:
    made = plan(signal("buy", qty=1, qty_unit="contracts"), rules(), facts(inverse(), p=0, price=None))
    assert made.status is PlanStatus.PLANNED


def test_a_quantity_beyond_all_measure_is_denied_and_not_cut_into_thousands_of_orders() -> None:
    for limits in (rules(), rules(max_order_notional=100)):
        reason = _reason(plan(signal("buy", qty="1E+30"), limits, facts(p=0)))
        assert reason.code in ("QTY_ABOVE_MAX", "LIMIT_ORDER_NOTIONAL")


# The user's limits, in the quote coin


@pytest.mark.parametrize(("most", "passes"), [("50000", True), ("49999.99", False)])
@pytest.mark.parametrize("instrument", [linear(), usdc(), inverse()], ids=["usdt", "usdc", "inverse"])
def test_an_order_over_the_order_limit_is_denied(most: str, passes: bool, instrument: Instrument) -> None:
    qty = 50000 if instrument.is_inverse else 1
    made = plan(signal("buy", qty=qty, qty_unit="contracts"), rules(max_order_notional=most), facts(instrument, p=0))
    assert (made.status is PlanStatus.PLANNED) is passes
    if not passes:
        assert _reason(made).code == "LIMIT_ORDER_NOTIONAL" and instrument.quote_coin in _reason(made).message


@pytest.mark.parametrize("p", ["1", "-1"])
@pytest.mark.parametrize(("most", "passes"), [("100000", True), ("99999", False)])
def test_the_position_limit_counts_what_is_open_already(p: str, most: str, passes: bool) -> None:
    action = "buy" if p == "1" else "sell"
    made = plan(signal(action, qty=1), rules(max_position_notional=most), facts(p=p))
    assert (made.status is PlanStatus.PLANNED) is passes
    if not passes:
        assert _reason(made).code == "LIMIT_POSITION_NOTIONAL"


def test_of_a_flip_only_the_new_side_counts_against_the_limits() -> None:
    limits = rules(max_order_notional=50000, max_position_notional=50000)
    (order,) = plan(signal("buy", qty=4), limits, facts(p=-3)).orders
    assert (order.qty, order.fallback_qty) == (Decimal(4), Decimal(3))


def test_a_limit_price_far_from_the_market_does_not_make_the_position_look_small() -> None:
    far = signal("buy", qty="0.5", type="limit", price=10000)
    made = plan(far, rules(max_position_notional=60000), facts(p=1))
    assert _reason(made).code == "LIMIT_POSITION_NOTIONAL"


@pytest.mark.parametrize("kind", ["limit", "stop_limit"])
def test_a_sell_far_under_the_market_fills_at_the_markets_price_and_counts_so(kind: str) -> None:
    trigger = {"trigger_price": 49000} if kind == "stop_limit" else {}
    far = signal("sell", qty=1, type=kind, price=100, **trigger)
    made = plan(far, rules(max_order_notional=40000), facts(p=0))
    assert _reason(made).code == "LIMIT_ORDER_NOTIONAL"


def test_a_buy_limit_counts_at_the_most_that_it_can_cost() -> None:
    under = signal("buy", qty=1, type="limit", price=30000)
    assert plan(under, rules(max_order_notional=30000), facts(p=0)).status is PlanStatus.PLANNED


# Stops on the entry


@pytest.mark.parametrize(
    ("action", "levels"),
    [
        ("buy", {"stop_loss": level(50001)}),
        ("buy", {"stop_loss": level(50000)}),
        ("buy", {"take_profits": (profit(49999),)}),
        ("sell", {"stop_loss": level(49999)}),
        ("sell", {"take_profits": (profit(50001),)}),
    ],
)
def test_a_stop_on_the_wrong_side_of_the_price_is_denied(action: str, levels: dict[str, Any]) -> None:
    reason = _reason(plan(signal(action, qty=1, **levels), rules(), facts(p=0)))
    assert reason.code == "STOP_WRONG_SIDE"


def test_the_stops_of_a_limit_order_are_measured_from_its_price() -> None:
    limit = {"qty": 1, "type": "limit", "price": 40000}
    assert _reason(plan(signal("buy", stop_loss=level(45000), **limit), rules(), facts(p=0))).code == "STOP_WRONG_SIDE"
    assert plan(signal("buy", take_profits=(profit(45000),), **limit), rules(), facts(p=0)).reason is None


def test_a_stop_that_rounds_to_zero_would_be_no_stop_and_is_denied() -> None:
    reason = _reason(plan(signal("buy", qty=1, stop_loss=level("0.05")), rules(levels_any_distance=True), facts(p=0)))
    assert reason.code == "STOP_WRONG_SIDE"
