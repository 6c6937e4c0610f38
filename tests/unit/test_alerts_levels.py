"""Times, take profits, stop losses and trailing stops as alerts spell them."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from relay.domain.signal import Level, LevelKind, TakeProfit
from tests.unit.test_alerts_fields import RECEIVED_AT, problem, signal


@pytest.mark.parametrize(
    "spelled",
    [
        "2025-01-31T12:00:00Z",
        "2025-01-31t12:00:00.000z",
        "2025-01-31 12:00:00",
        "2025-01-31T13:00:00+01:00",
        "2025-01-31T12:00:00.000999999Z",
        1738324800,
        "1738324800",
        "1738324800.0",
        1738324800000,
        "1738324800000",
    ],
)
def test_a_time_may_be_rfc_3339_or_unix_seconds_or_milliseconds(spelled: Any) -> None:
    assert signal(time=spelled).sent_at == RECEIVED_AT


def test_a_time_keeps_its_milliseconds() -> None:
    assert signal(time=1738324800123).sent_at == datetime(2025, 1, 31, 12, 0, 0, 123000, tzinfo=UTC)
    assert signal(time="1738324800.5").sent_at == datetime(2025, 1, 31, 12, 0, 0, 500000, tzinfo=UTC)


@pytest.mark.parametrize(
    "spelled",
    ["0", 5, 1738324800000000, "9" * 20, "2009-12-31T23:59:59Z", "2100-01-01T00:00:00Z", "2025-02-30T00:00:00Z"]
    + ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2025-01-31T12:00:60Z"],
)
def test_an_absurd_time_is_refused(spelled: Any) -> None:
    assert "no time between 2010 and 2100" in problem("time", spelled)


@pytest.mark.parametrize(
    ("spelled", "level"),
    [
        ("65000", Level(kind=LevelKind.PRICE, value=Decimal(65000))),
        (65000.5, Level(kind=LevelKind.PRICE, value=Decimal("65000.5"))),
        ("1.5%", Level(kind=LevelKind.PERCENT, value=Decimal("1.5"))),
        ("1.5 %", Level(kind=LevelKind.PERCENT, value=Decimal("1.5"))),
        ("+1%", Level(kind=LevelKind.PERCENT, value=Decimal(1), sign_given=True)),
        ("-1%", Level(kind=LevelKind.PERCENT, value=Decimal(-1), sign_given=True)),
        ("+40", Level(kind=LevelKind.DISTANCE, value=Decimal(40), sign_given=True)),
        ("-40", Level(kind=LevelKind.DISTANCE, value=Decimal(-40), sign_given=True)),
        (-40, Level(kind=LevelKind.DISTANCE, value=Decimal(-40), sign_given=True)),
        ("+0", Level(kind=LevelKind.DISTANCE, value=Decimal(0), sign_given=True)),
    ],
)
def test_a_level_is_a_price_or_a_distance(spelled: Any, level: Level) -> None:
    """On an open position either may stand on any side of its average price."""
    assert signal(action="stops", stop_loss=spelled).stop_loss == level
    assert signal(action="stops", take_profit=spelled).take_profits == (TakeProfit(at=level),)
    assert signal(action="stops", trailing_stop=1, trailing_start=spelled).trailing_start == level


def test_a_trailing_distance_is_in_price_or_percent() -> None:
    assert signal(trailing_stop=40).trailing_stop == Level(kind=LevelKind.DISTANCE, value=Decimal(40))
    assert signal(trailing_stop="0.5%").trailing_stop == Level(kind=LevelKind.PERCENT, value=Decimal("0.5"))


@pytest.mark.parametrize(
    "spelled", [{"at": "1%"}, [{"at": "1%"}], ["1%"], '[{"at": "1%", "share": 100}]', '{"AT": "1%"}']
)
def test_one_take_profit_takes_the_whole_position(spelled: Any) -> None:
    level = Level(kind=LevelKind.PERCENT, value=Decimal(1))
    assert signal(take_profit=spelled).take_profits == (TakeProfit(at=level, share_pct=Decimal(100)),)


@pytest.mark.parametrize(
    ("tp_legs", "said"),
    [
        ([{"at": "1%", "share": 60}, {"at": "2%", "share": 60}], "shares of `120` percent together"),
        ([{"at": "1%", "share": 50}, {"at": "2%"}], "take profit 2 needs `share`"),
        (["1%", "2%"], "take profit 1 needs `share`"),
        ([{"share": 50}], "take profit 1 needs `at`"),
        ([{"at": "", "share": 50}], "take profit 1 is empty"),
        ([{"at": "{{plot_0}}", "share": 50}], "take profit 1 still holds the unreplaced `{{plot_0}}`"),
        ([{"at": "x", "share": 50}], "take profit 1 must be a number"),
        ([{"at": "1%", "share": 0}], "above 0 and up to 100"),
        ([{"at": "1%", "share": 101}], "above 0 and up to 100"),
        ([{"at": "1%", "share": "half"}], "has a `share` that must be a number"),
        ([{"at": "1%", "shares": 50}], "unknown field `shares`; the nearest is `share`"),
        ([{"at": "1%", "then": "close"}], '`then` that must be "breakeven"'),
        ([{"at": "1%", "share": 1}] * 21, "1 to 20"),
        ("[1%]", "broken JSON"),
        ('[{"at": NaN}]', "no number"),
    ],
)
def test_a_ladder_that_is_wrong_is_refused_by_the_tp_leg(tp_legs: Any, said: str) -> None:
    assert said in problem("take_profit", tp_legs)
