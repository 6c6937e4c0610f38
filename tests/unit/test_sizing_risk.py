"""Sizes by margin and by risk, the account's scale, and what is told of how a size came about."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from relay.domain.instrument import Instrument
from relay.domain.intent import References, Sizes, intent_of, references_of, sizes_of
from relay.domain.order import Side
from relay.domain.plan import Facts, Plan, PlanStatus
from relay.domain.rules import Rules
from relay.domain.signal import Level, LevelKind, Signal
from tests.builders import facts, inverse, level, linear, plan, position, rules, signal


def _qty(made: Plan) -> Decimal:
    (order,) = made.orders
    return order.qty


def _sizes(requested: Signal, limits: Rules, known: Facts) -> Sizes:
    return sizes_of(intent_of(requested, limits, known), known)


def _code(made: Plan) -> str:
    assert made.status is PlanStatus.DENIED and made.reason is not None
    return made.reason.code


@pytest.mark.parametrize(
    ("instrument", "equity", "qty"), [(linear(), "10000", "0.1"), (inverse(), "0.2", "5000")], ids=["linear", "inverse"]
)
def test_a_size_in_margin_is_that_share_of_the_equity_times_the_leverage_set_at_the_exchange(
    instrument: Instrument, equity: str, qty: str
) -> None:
    held = position(0, instrument, leverage=5)
    known = facts(instrument, position=held, equity=equity)
    assert _qty(plan(signal("buy", qty=10, qty_unit="margin_pct"), rules(), known)) == Decimal(qty)


def test_a_size_in_margin_goes_by_the_alerts_leverage_before_the_default_one_and_that_before_the_exchanges() -> None:
    requested = signal("buy", qty=10, qty_unit="margin_pct")
    known = facts(position=position(0, leverage=5), equity=10000)
    default = rules(default_leverage=2)
    assert _sizes(requested, default, known).qty == Decimal("0.04")
    assert _sizes(signal("buy", qty=10, qty_unit="margin_pct", leverage=3), default, known).qty == Decimal("0.06")


def test_a_size_in_margin_without_any_leverage_is_refused() -> None:
    made = plan(signal("buy", qty=10, qty_unit="margin_pct"), rules(), facts(p=0, equity=10000))
    assert _code(made) == "LEVERAGE_MISSING"


@pytest.mark.parametrize(
    ("instrument", "requested", "qty"),
    [
        (linear(), {"qty": 1, "qty_unit": "risk_pct", "stop_loss": level(49000)}, "0.1"),
        (linear(), {"qty": 100, "qty_unit": "risk_quote", "stop_loss": level(49000)}, "0.1"),
        (inverse(), {"qty": 1, "qty_unit": "risk_pct", "stop_loss": level(40000)}, "20000"),
        (inverse(), {"qty": 100, "qty_unit": "risk_quote", "stop_loss": level(40000)}, "400"),
    ],
    ids=["percent", "money", "inverse percent", "inverse money"],
)
def test_a_size_by_risk_is_what_the_stop_would_cost(
    instrument: Instrument, requested: dict[str, Any], qty: str
) -> None:
    equity = "10" if instrument.is_inverse else "10000"
    assert _qty(plan(signal("buy", **requested), rules(), facts(instrument, p=0, equity=equity))) == Decimal(qty)


def test_a_size_by_risk_counts_from_a_limit_orders_own_price_and_from_the_rounded_stop() -> None:
    limit = signal("buy", qty=100, qty_unit="risk_quote", type="limit", price=40000, stop_loss=level("39900.09"))
    sized = _sizes(limit, rules(), facts(p=0))
    assert sized.qty == Decimal(1)


@pytest.mark.parametrize("action", ["buy", "sell"])
@pytest.mark.parametrize("kind", [LevelKind.PERCENT, LevelKind.DISTANCE])
def test_a_size_by_risk_takes_a_stop_that_is_a_distance_and_the_default_one(action: str, kind: LevelKind) -> None:
    value = Decimal(2) if kind is LevelKind.PERCENT else Decimal(-1000)
    default = rules(default_stop_loss=Level(kind=kind, value=value, sign_given=kind is LevelKind.DISTANCE))
    sized = _sizes(signal(action, qty=100, qty_unit="risk_quote"), default, facts(p=0))
    assert sized.qty == Decimal("0.1")


def test_a_size_by_risk_without_any_stop_says_what_to_add() -> None:
    made = plan(signal("buy", qty=1, qty_unit="risk_quote"), rules(), facts(p=0))
    assert _code(made) == "STOP_MISSING"
    assert made.reason is not None and "DEFAULT_STOP_LOSS" in made.reason.message


@pytest.mark.parametrize(("action", "stop"), [("buy", 50000), ("buy", 60000), ("sell", 49999), ("buy", "0.05")])
def test_a_size_by_risk_with_a_stop_on_the_wrong_side_is_refused(action: str, stop: object) -> None:
    requested = signal(action, qty=1, qty_unit="risk_quote", stop_loss=level(str(stop)))
    assert _code(plan(requested, rules(), facts(p=0))) == "STOP_WRONG_SIDE"


def test_without_a_stop_the_exit_of_a_change_of_sides_still_goes() -> None:
    made = plan(signal("long", qty=1, qty_unit="risk_quote"), rules(), facts(p=-1))
    assert [(each.qty, each.reduce_only) for each in made.orders] == [(Decimal(1), True)]


@pytest.mark.parametrize(
    ("requested", "qty"),
    [
        (signal("buy", qty=1), "0.5"),
        (signal("buy", qty=1000, qty_unit="quote"), "0.01"),
        (signal("target", market_position="long", market_position_size=3), "1.5"),
        (signal("target", market_position="long", qty=2), "1"),
        (signal("buy"), "0.1"),
    ],
    ids=["own", "money", "target", "target with a size", "default"],
)
def test_an_account_at_half_takes_half_of_every_size_and_of_the_strategys_position(requested: Any, qty: str) -> None:
    half = rules(size_scale_pct=50, default_size=("0.2", "base"))
    assert _qty(plan(requested, half, facts(p=0))) == Decimal(qty)


def test_a_share_of_the_position_is_not_scaled() -> None:
    closing = signal("close", qty=50, qty_unit="position_pct")
    assert _qty(plan(closing, rules(size_scale_pct=50), facts(p=1))) == Decimal("0.5")


def test_what_a_size_was_worked_out_from_is_stored_with_the_plan() -> None:
    requested = signal("buy", qty=2, qty_unit="risk_pct", stop_loss=level(49000))
    made = plan(requested, rules(size_scale_pct=50), facts(p=0, equity=10000))
    reported = {
        name: made.inputs[name] for name in ("size", "unit", "size_scale_pct", "equity", "price", "stop", "qty")
    }
    assert reported == {
        "size": "1",
        "unit": "risk_pct",
        "size_scale_pct": "50",
        "equity": "10000",
        "price": "50000",
        "stop": "49000",
        "qty": "0.1",
    }


@pytest.mark.parametrize(
    ("side", "own", "market", "stop", "profit"),
    [
        (Side.BUY, "100", "90", "90", "100"),
        (Side.BUY, "100", "110", "100", "100"),
        (Side.SELL, "100", "110", "110", "100"),
        (Side.SELL, "100", "90", "100", "100"),
        (Side.BUY, "100", None, "100", "100"),
        (Side.BUY, None, "90", "90", "90"),
        (Side.BUY, None, None, None, None),
    ],
)
def test_a_stop_counts_from_whichever_of_limit_and_market_the_order_will_fill_at(
    side: Side, own: str | None, market: str | None, stop: str | None, profit: str | None
) -> None:
    known = facts(p=0, price=market)
    more = {} if own is None else {"type": "limit", "price": own}
    found = references_of(intent_of(signal(side.value, qty=1, **more), rules(), known), known, side)
    for_stop, for_profit = (None if each is None else Decimal(each) for each in (stop, profit))
    assert found == References(for_stop=for_stop, for_profit=for_profit)
