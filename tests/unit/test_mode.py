"""`mode = position`: which alerts become the strategy's target, with whose size, and which may open nothing."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from relay.domain.intent import in_mode, is_strategys, mode_refusal, sizes_are_own
from relay.domain.rules import Mode
from relay.domain.signal import Action, QtyUnit
from tests.builders import rules, signal

STANDS: dict[str, Any] = {"market_position": "long", "market_position_size": "3"}
POSITION = rules(mode=Mode.POSITION)


@pytest.mark.parametrize("action", ["buy", "sell", "long", "short", "reverse"])
def test_an_alert_that_says_where_the_strategy_stands_is_a_target(action: str) -> None:
    made = in_mode(signal(action, qty="1", **STANDS), POSITION)
    assert (made.action, made.qty, made.is_side_only) == (Action.TARGET, None, False)


@pytest.mark.parametrize(
    "action", ["close", "close_long", "close_short", "flat", "exit", "cancel", "stops", "heartbeat", "target", "add"]
)
def test_every_other_action_keeps_its_meaning(action: str) -> None:
    requested = signal(action, **STANDS)
    assert in_mode(requested, POSITION) is requested


def test_in_order_mode_and_without_a_position_an_alert_stays_what_it_is() -> None:
    for requested, by in ((signal(**STANDS), rules()), (signal(qty="1"), POSITION)):
        assert in_mode(requested, by) is requested


def test_a_position_that_a_format_made_up_is_no_target() -> None:
    requested = signal(has_synthetic_position=True, **STANDS)
    assert in_mode(requested, POSITION) is requested
    assert not is_strategys(requested) and mode_refusal(requested, POSITION) is not None


def test_a_size_of_ones_own_gives_the_side_only() -> None:
    money = in_mode(signal(qty="100", qty_unit="quote", **STANDS), POSITION)
    assert (money.qty, money.qty_unit, money.is_side_only) == (Decimal(100), QtyUnit.QUOTE, True)
    default = in_mode(signal(**STANDS), rules(mode=Mode.POSITION, default_size=("5", "equity_pct")))
    assert (default.qty, default.qty_unit, default.is_side_only) == (Decimal(5), QtyUnit.EQUITY_PCT, True)
    by_rule = in_mode(signal(qty="5", **STANDS), rules(mode=Mode.POSITION, size_unit="quote"))
    assert by_rule.is_side_only


def test_without_the_strategys_position_nothing_opens_and_exits_do() -> None:
    refused = mode_refusal(signal(qty="1"), POSITION)
    assert refused is not None and refused.code == "POSITION_MISSING"
    assert mode_refusal(signal("close"), POSITION) is None
    assert mode_refusal(signal(**STANDS), POSITION) is None
    assert mode_refusal(signal(qty="1"), rules()) is None


@pytest.mark.parametrize(
    ("action", "fields", "is_own", "expected"),
    [
        ("buy", STANDS, False, False),
        ("buy", STANDS, True, True),
        ("target", {**STANDS, "qty": "1"}, False, True),
        ("target", STANDS, False, False),
        ("buy", {"market_position": "long"}, False, True),
    ],
)
def test_sizes_are_compared_only_where_they_are_the_strategys(
    action: str, fields: dict[str, Any], is_own: bool, expected: bool
) -> None:
    assert sizes_are_own(signal(action, **fields), is_own=is_own) is expected
