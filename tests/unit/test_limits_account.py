"""What counts the whole account: own orders, exposure, positions, entries, losses and stops."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from relay.domain.instrument import Category
from relay.domain.order import Side
from relay.domain.plan import DayResult, LimitFacts, LimitNeed, Plan, PlanStatus, Working
from relay.domain.position import Position
from relay.domain.rules import Rules
from tests.builders import NOW, entry_needs, facts, inverse, plan, rules, signal

LINEAR, INVERSE = Category.LINEAR, Category.INVERSE


def _working(side: Side, qty: str, price: str | None = "50000", symbol: str = "BTCUSDT") -> Working:
    return Working(category=LINEAR, symbol=symbol, side=side, qty=Decimal(qty), price=Decimal(price) if price else None)


def _held(symbol: str, size: str, mark: str, category: Category = LINEAR) -> Position:
    return Position(category=category, symbol=symbol, size=Decimal(size), mark_price=Decimal(mark))


def _day(worst: str) -> DayResult:
    return DayResult(realised=Decimal(worst), unrealised=Decimal(0), worst=Decimal(worst))


def _code(made: Plan) -> str | None:
    if made.status is PlanStatus.PLANNED:
        return None
    assert made.status is PlanStatus.DENIED and made.reason is not None
    return made.reason.code


@pytest.mark.parametrize(
    ("side", "qty", "code"),
    [(Side.BUY, "1", None), (Side.BUY, "1.001", "LIMIT_POSITION_NOTIONAL"), (Side.SELL, "5", None)],
)
def test_the_position_limit_counts_own_resting_orders_of_its_side(side: Side, qty: str, code: str | None) -> None:
    limits = rules(max_position_notional=150000)
    known = facts(p=1, limits=LimitFacts(working=(_working(side, qty),)))
    assert _code(plan(signal("buy", qty=1), limits, known)) == code


def test_a_dearer_own_order_makes_the_whole_position_count_at_its_price() -> None:
    known = facts(p=0, limits=LimitFacts(working=(_working(Side.BUY, "1", "60000"),)))
    assert _code(plan(signal("buy", qty=1), rules(max_position_notional=119999), known)) == "LIMIT_POSITION_NOTIONAL"


def test_a_flip_that_rests_counts_whole_because_a_stop_may_take_the_position_first() -> None:
    flip = signal("buy", qty=4, type="limit", price=50000)
    made = plan(flip, rules(max_position_notional=150000), facts(p=-3, limits=LimitFacts()))
    assert made.reason is not None and "resting orders included" in made.reason.message
    assert [(each.qty, each.reduce_only) for each in made.orders] == [(Decimal(3), True)]


@pytest.mark.parametrize(("most", "code"), [("205000", None), ("204999", "LIMIT_EXPOSURE")])
def test_the_exposure_is_all_positions_and_own_orders_with_inverse_in_usd(most: str, code: str | None) -> None:
    counted = LimitFacts(
        positions=(_held("ETHUSDT", "-20", "5000"), _held("BTCUSD", "4000", "50000", INVERSE)),
        working=(_working(Side.BUY, "0.2", "5000", "SOLUSDT"),),
    )
    made = plan(signal("buy", qty=2), rules(max_exposure=most), facts(p=0, limits=counted))
    assert _code(made) == code


@pytest.mark.parametrize(("most", "code"), [("150000", None), ("149999", "LIMIT_EXPOSURE")])
def test_a_position_of_which_no_mark_price_is_known_counts_at_its_entry(most: str, code: str | None) -> None:
    unmarked = replace(_held("ETHUSDT", "-20", "5000"), mark_price=None, avg_price=Decimal(5000))
    made = plan(signal("buy", qty=1), rules(max_exposure=most), facts(p=0, limits=LimitFacts(positions=(unmarked,))))
    assert _code(made) == code


def test_on_inverse_the_exposure_needs_no_price() -> None:
    counted = LimitFacts(positions=())
    made = plan(
        signal("buy", qty=100, qty_unit="contracts"),
        rules(max_exposure=99),
        facts(inverse(), p=0, price=None, limits=counted),
    )
    assert _code(made) == "LIMIT_EXPOSURE"


@pytest.mark.parametrize(
    ("positions", "working", "code"),
    [
        ((), (), None),
        ((_held("ETHUSDT", "1", "5"),), (), "LIMIT_POSITIONS"),
        ((), (_working(Side.BUY, "1", "5", "ETHUSDT"),), "LIMIT_POSITIONS"),
        ((_held("BTCUSDT", "1", "5"),), (), None),
        ((), (_working(Side.BUY, "1", "5"),), None),
    ],
    ids=["none", "another", "another's entry", "the same", "the same's entry"],
)
def test_one_more_symbol_than_allowed_is_denied(
    positions: tuple[Position, ...], working: tuple[Working, ...], code: str | None
) -> None:
    counted = LimitFacts(positions=positions, working=working)
    assert _code(plan(signal("buy", qty=1), rules(max_positions=1), facts(p=0, limits=counted))) == code


@pytest.mark.parametrize(
    ("limits", "counted", "code"),
    [
        ({"max_entries_per_minute": 2}, {"entries_last_minute": 1}, None),
        ({"max_entries_per_minute": 2}, {"entries_last_minute": 2}, "LIMIT_RATE"),
        ({"daily_loss_limit": "100"}, {"day": _day("-99.99")}, None),
        ({"daily_loss_limit": "100"}, {"day": _day("-100")}, "LIMIT_DAILY_LOSS"),
        ({"cooldown_s": 60}, {"stopped_at": NOW - timedelta(seconds=60)}, None),
        ({"cooldown_s": 60}, {"stopped_at": NOW - timedelta(seconds=59)}, "LIMIT_COOLDOWN"),
        ({"cooldown_s": 60}, {}, None),
    ],
)
def test_each_count_has_its_bound(limits: dict[str, Any], counted: dict[str, Any], code: str | None) -> None:
    made = plan(signal("buy", qty=1), rules(**limits), facts(p=0, limits=LimitFacts(**counted)))
    assert _code(made) == code


def test_a_loss_that_recovered_still_holds_until_tomorrow() -> None:
    day = DayResult(realised=Decimal(-150), unrealised=Decimal(140), worst=Decimal(-150))
    made = plan(signal("buy", qty=1), rules(daily_loss_limit=100), facts(p=0, limits=LimitFacts(day=day)))
    assert _code(made) == "LIMIT_DAILY_LOSS"


@pytest.mark.parametrize(
    ("limits", "need"),
    [
        (rules(max_position_notional=10**9), LimitNeed.WORKING),
        (rules(max_exposure=10**9), LimitNeed.POSITIONS),
        (rules(max_positions=9), LimitNeed.POSITIONS),
        (rules(max_entries_per_minute=9), LimitNeed.RATE),
        (rules(daily_loss_limit=10**9), LimitNeed.DAY),
        (rules(cooldown_s=9), LimitNeed.STOPS),
    ],
)
def test_what_cannot_be_read_withholds_the_entry_and_never_the_exit(limits: Rules, need: LimitNeed) -> None:
    flip, known = signal("sell", qty=2), facts(p=1)
    assert need in entry_needs(flip, limits, known)
    full = LimitFacts(positions=(), entries_last_minute=0, day=_day("0"))
    unread = LimitFacts(positions=(), entries_last_minute=0, day=_day("0"), unread={need: "refused"})
    assert plan(flip, limits, facts(p=1, limits=full)).reason is None
    made = plan(flip, limits, facts(p=1, limits=unread))
    assert [(each.qty, each.reduce_only) for each in made.orders] == [(Decimal(1), True)]
    assert made.reason is not None and "could not be read" in made.reason.message


@pytest.mark.parametrize("requested", [signal("close"), signal("sell", qty=1), signal("sell", market_position="flat")])
def test_nothing_is_counted_for_an_exit(requested: Any) -> None:
    limits = rules(max_exposure=1, max_positions=1, max_entries_per_minute=1, daily_loss_limit=1, cooldown_s=1)
    assert entry_needs(requested, limits, facts(p=1)) == frozenset()


def test_the_smallest_entry_asks_what_its_limits_count() -> None:
    assert entry_needs(signal("buy", qty="0.001"), rules(max_positions=1), facts(p=0)) >= {LimitNeed.POSITIONS}
