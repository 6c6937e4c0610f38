"""When, on which side, at which leverage and how far from its signal an entry may go out."""

from __future__ import annotations

from datetime import UTC, datetime, time
from decimal import Decimal
from typing import Any

import pytest

from relay.domain.limit_checks import is_open
from relay.domain.order import Reason
from relay.domain.plan import Plan, PlanStatus
from relay.domain.rules import Direction, TradingHours
from tests.builders import facts, plan, position, rules, signal

WEEK = frozenset(range(7))
FRIDAY = frozenset({4})


def _reason(made: Plan) -> Reason:
    assert (made.status, made.orders) == (PlanStatus.DENIED, ()) and made.reason is not None
    return made.reason


def _hours(zone: str, opens: str, closes: str, weekdays: frozenset[int] = WEEK) -> TradingHours:
    return TradingHours(
        zone=zone, weekdays=weekdays, opens=time.fromisoformat(opens), closes=time.fromisoformat(closes)
    )


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("hours", "now", "open_"),
    [
        (_hours("UTC", "09:00", "17:00"), "2026-01-05T09:00", True),
        (_hours("UTC", "09:00", "17:00"), "2026-01-05T08:59:59", False),
        (_hours("UTC", "09:00", "17:00"), "2026-01-05T17:00", False),
        (_hours("UTC", "22:00", "02:00", FRIDAY), "2026-01-09T23:00", True),
        (_hours("UTC", "22:00", "02:00", FRIDAY), "2026-01-10T01:59", True),
        (_hours("UTC", "22:00", "02:00", FRIDAY), "2026-01-10T02:00", False),
        (_hours("UTC", "22:00", "02:00", FRIDAY), "2026-01-09T01:00", False),
        (_hours("UTC", "00:00", "00:00", FRIDAY), "2026-01-09T00:00", True),
        (_hours("UTC", "00:00", "00:00", FRIDAY), "2026-01-10T00:00", False),
        (_hours("Europe/Berlin", "09:00", "10:00"), "2026-01-05T08:30", True),
        (_hours("Europe/Berlin", "09:00", "10:00"), "2026-07-06T08:30", False),
        (_hours("Europe/Berlin", "09:00", "10:00"), "2026-07-06T07:30", True),
        (_hours("Europe/Berlin", "02:00", "03:00"), "2026-10-25T00:30", True),
        (_hours("Europe/Berlin", "02:00", "03:00"), "2026-10-25T01:30", True),
        (_hours("Europe/Berlin", "02:00", "03:00"), "2026-03-29T01:30", False),
    ],
)
def test_hours_go_by_the_zones_wall_clock_past_midnight_and_over_changes_of_it(
    hours: TradingHours, now: str, open_: bool
) -> None:
    assert is_open(hours, _utc(now)) is open_


def test_out_of_hours_an_entry_is_denied_saying_when_it_may_go() -> None:
    limits = rules(hours=((_hours("Europe/Berlin", "14:00", "15:00", FRIDAY),),))
    reason = _reason(plan(signal("buy", qty=1), limits, facts(p=0)))
    assert reason.code == "LIMIT_HOURS"
    assert "Mon 13:00" in reason.message and "Fri 14:00-15:00 Europe/Berlin" in reason.message
    assert plan(signal("close"), limits, facts(p=1)).reason is None


@pytest.mark.parametrize(("direction", "action"), [(Direction.LONG_ONLY, "sell"), (Direction.SHORT_ONLY, "buy")])
def test_the_forbidden_side_neither_opens_nor_adds_and_of_a_flip_the_exit_goes_alone(
    direction: Direction, action: str
) -> None:
    limits = rules(direction=direction)
    assert _reason(plan(signal(action, qty=1), limits, facts(p=0))).code == "DIRECTION_NOT_ALLOWED"
    held = 1 if action == "sell" else -1
    made = plan(signal(action, qty=3), limits, facts(p=held))
    assert [(each.qty, each.reduce_only) for each in made.orders] == [(Decimal(1), True)]
    assert made.reason is not None and made.reason.code == "ENTRY_WITHHELD"
    opposite = "buy" if action == "sell" else "sell"
    assert plan(signal(opposite, qty=1), limits, facts(p=0)).status is PlanStatus.PLANNED


@pytest.mark.parametrize(
    ("requested", "p", "shown", "passes"),
    [
        ({"leverage": 5}, 0, 20, True),
        ({"leverage": 6}, 0, 1, False),
        ({"leverage": 5}, 1, 20, False),
        ({}, 0, 5, True),
        ({}, 0, 6, False),
        ({}, 0, None, False),
        ({"leverage": 101}, 0, 1, False),
    ],
)
def test_leverage_is_bounded_whether_asked_for_or_set_at_the_exchange(
    requested: dict[str, Any], p: int, shown: int | None, passes: bool
) -> None:
    known = facts(position=position(p, leverage=shown))
    made = plan(signal("buy", qty=1, **requested), rules(max_leverage=5), known)
    if passes:
        assert made.status is PlanStatus.PLANNED
    else:
        assert _reason(made).code == "LIMIT_LEVERAGE"


@pytest.mark.parametrize(("reported", "passes"), [("49505", True), ("49504", False), ("50506", False), (None, True)])
def test_an_entry_far_from_its_signals_price_is_denied(reported: str | None, passes: bool) -> None:
    made = plan(signal("buy", qty=1, signal_price=reported), rules(max_distance_pct=1), facts(p=0))
    if passes:
        assert made.status is PlanStatus.PLANNED
    else:
        reason = _reason(made)
        assert reason.code == "LIMIT_DISTANCE" and "max_distance 1 %" in reason.message
