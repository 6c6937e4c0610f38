"""Where the account should stand, what counts as a difference, and when one is mended."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from relay.domain.intent import intent_of
from relay.domain.plan import Facts
from relay.domain.planning import Expected, expected_before, needs_healing, target_sizes
from relay.domain.rules import Drift, Mode, Rules
from relay.domain.signal import Signal
from tests.builders import facts, linear, proposal, rules, signal

FILL: dict[str, Any] = {
    "qty": "1",
    "market_position": "long",
    "market_position_size": "3",
    "prev_market_position": "long",
    "prev_market_position_size": "2",
}
HEAL = rules(drift=Drift.HEAL)


def _after(requested: Signal, limits: Rules, known: Facts) -> Expected | None:
    return proposal(requested, limits, known).expected


def _before(requested: Signal, limits: Rules, known: Facts) -> Expected | None:
    intent = intent_of(requested, limits, known)
    return expected_before(intent, target_sizes(intent, known))


def _drifted_from(requested: Signal, limits: Rules, known: Facts) -> Expected | None:
    intent = intent_of(requested, limits, known)
    return needs_healing(intent, known, target_sizes(intent, known))


@pytest.mark.parametrize(
    ("fields", "after", "before"),
    [
        (FILL, "3", "2"),
        (FILL | {"market_position": "short"}, "-3", "2"),
        (FILL | {"market_position": "flat"}, "0", "long"),
        (FILL | {"prev_market_position": "flat"}, "3", "0"),
        (FILL | {"qty": "100", "qty_unit": "quote"}, "long", "long"),
        (FILL | {"market_position_size": None}, "long", "long"),
    ],
)
def test_the_account_should_stand_where_the_strategy_does(fields: dict[str, Any], after: str, before: str) -> None:
    requested, known = signal(**fields), facts(p=0)
    assert str(_after(requested, rules(), known)) == after
    assert str(_before(requested, rules(), known)) == before


def test_an_account_takes_its_share_of_the_strategys_size() -> None:
    assert str(_after(signal(**FILL), rules(size_scale_pct="50"), facts(p=0))) == "1.5"


def test_an_alert_that_does_not_say_where_the_strategy_stands_expects_nothing() -> None:
    for requested in (signal(qty="1"), signal("close"), signal(has_synthetic_position=True, **FILL)):
        assert _after(requested, rules(), facts(p=0)) is None
        assert _before(requested, rules(), facts(p=0)) is None


@pytest.mark.parametrize(
    ("expected", "position", "differs"),
    [
        (Expected(sign=1, size=Decimal(3)), "3", False),
        (Expected(sign=1, size=Decimal(3)), "2.999", False),
        (Expected(sign=1, size=Decimal(3)), "2.998", True),
        (Expected(sign=1, size=Decimal(3)), "-3", True),
        (Expected(sign=1, size=None), "7", False),
        (Expected(sign=1, size=None), "-7", True),
        (Expected(sign=0, size=None), "0.0005", False),
        (Expected(sign=1, size=None), "0.0005", True),
    ],
)
def test_what_rounding_leaves_is_no_difference(expected: Expected, position: str, differs: bool) -> None:
    assert expected.differs(Decimal(position), linear()) is differs


def test_a_drift_is_the_same_for_as_long_as_the_difference_is() -> None:
    one, two = Expected(sign=1, size=Decimal(3)), Expected(sign=-1, size=Decimal(-1))
    assert one.gap(Decimal(2)) == two.gap(Decimal(-2)) == "-1"
    assert one.gap(Decimal(1)) != one.gap(Decimal(2))
    side = Expected(sign=1, size=None)
    assert side.gap(Decimal(-1)) == side.gap(Decimal(-9)) != side.gap(Decimal(0))


def test_a_drift_is_mended_where_that_is_wished_and_certain() -> None:
    requested = signal(**FILL)
    assert _drifted_from(requested, HEAL, facts(p="0.5")) is not None
    assert _drifted_from(requested, HEAL, facts(p="2")) is None
    assert _drifted_from(requested, rules(), facts(p="0.5")) is None
    assert _drifted_from(requested, HEAL, facts(p="0.5", has_resting=True)) is None
    assert _drifted_from(requested, HEAL, facts(p="0.5", is_overtaken=True)) is None
    assert _drifted_from(requested, HEAL, facts()) is None


@pytest.mark.parametrize(
    "fields", [{"action": "target"}, {"action": "long"}, {"reduce_only": True}, {"has_synthetic_position": True}]
)
def test_what_is_no_plain_fill_of_the_strategy_mends_nothing(fields: dict[str, Any]) -> None:
    assert not intent_of(signal(**{**FILL, **fields}), HEAL, facts()).heals
    assert not intent_of(signal(**FILL), rules(drift=Drift.HEAL, mode=Mode.POSITION), facts()).heals
