"""The stricter of several sets of limits: it lets through what all of them let through, and nothing else."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from relay.domain.limit_checks import hours_refusal
from relay.domain.limits import LIMITS, strictest
from relay.domain.rules import Direction, Rules, TradingHours

MOST = (
    *("max_order_notional", "max_position_notional", "max_exposure", "max_positions", "max_leverage"),
    *("max_entries_per_minute", "daily_loss_limit", "max_distance_pct"),
)
"""Limits that a number may not be over."""
WHOLE = ("max_positions", "max_entries_per_minute")

hours = st.builds(
    TradingHours,
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York"]),
    weekdays=st.frozensets(st.integers(0, 6), min_size=1),
    opens=st.times().map(lambda each: time(each.hour)),
    closes=st.times().map(lambda each: time(each.hour)),
)
limits = st.builds(
    Rules,
    allowed_symbols=st.none() | st.frozensets(st.sampled_from(["BTCUSDT", "ETHUSDT", "SOLUSDT"])),
    hours=st.none() | st.lists(hours, min_size=1, max_size=2).map(lambda group: (tuple(group),)),
    cooldown_s=st.none() | st.integers(1, 1000),
    **{name: st.none() | st.integers(1, 9) for name in WHOLE},
    **{name: st.none() | st.integers(1, 9).map(Decimal) for name in MOST if name not in WHOLE},
)
moments = st.integers(1_767_225_600, 1_798_761_600).map(lambda each: datetime.fromtimestamp(each, UTC))


def passes(rules: Rules, number: int, symbol: str, since: timedelta, now: datetime) -> bool:
    """Whether an entry whose every measure is `number` would be let through, `since` after a stop."""
    return (
        all(bound is None or number <= bound for bound in (getattr(rules, name) for name in MOST))
        and (rules.allowed_symbols is None or symbol in rules.allowed_symbols)
        and (rules.cooldown_s is None or since >= timedelta(seconds=rules.cooldown_s))
        and all(hours_refusal(group, now) is None for group in rules.hours or ())
    )


@given(
    every=st.lists(limits, min_size=1, max_size=4),
    number=st.integers(0, 10),
    symbol=st.sampled_from(["BTCUSDT", "ETHUSDT", "XRPUSDT"]),
    since=st.timedeltas(timedelta(0), timedelta(seconds=1100)),
    now=moments,
)
def test_an_entry_passes_the_strictest_exactly_if_it_passes_every_one(
    every: list[Rules], number: int, symbol: str, since: timedelta, now: datetime
) -> None:
    each_lets_it = all(passes(rules, number, symbol, since, now) for rules in every)
    assert passes(strictest(*every), number, symbol, since, now) == each_lets_it


@given(one=limits, other=limits)
def test_the_order_of_the_others_does_not_matter_and_repeats_change_nothing(one: Rules, other: Rules) -> None:
    both = strictest(Rules(), one, other)
    assert _without_hours(both) == _without_hours(strictest(Rules(), other, one))
    assert _without_hours(both) == _without_hours(strictest(both, one, other))


def _without_hours(rules: Rules) -> Rules:
    return replace(rules, hours=None)


@given(account=limits)
def test_what_is_no_limit_is_the_strategys(account: Rules) -> None:
    own: dict[str, Any] = {"direction": Direction.LONG_ONLY, "signal_max_age_s": 300, "default_leverage": Decimal(5)}
    made = strictest(Rules(**own), account)
    assert {name: getattr(made, name) for name in own} == own


def test_every_limit_is_looked_at() -> None:
    known = {each.field for each in LIMITS}
    stored = {"no_entries", "direction", "mode", "drift", "signal_max_age_s", "size_unit", "size_scale_pct"}
    stored |= {"levels_any_distance", "subtract_exit", "if_passed", "breakeven_passed", "market", "short"}
    defaults = {field.name for field in fields(Rules) if field.name.startswith("default_")}
    assert {field.name for field in fields(Rules)} == known | stored | defaults
