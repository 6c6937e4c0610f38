"""The limits that a plan's entry was held against, in numbers; they say what the plan itself did."""

from __future__ import annotations

from datetime import time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.domain.instrument import Instrument
from relay.domain.limit_checks import Entry, resulting_worth
from relay.domain.plan import DayResult, LimitFacts
from relay.domain.planning import LimitCheck, limit_checks
from relay.domain.rules import Direction, TradingHours
from tests.builders import facts, inverse, linear, plan, proposal, rules, signal

DAY = DayResult(realised=Decimal(-30), unrealised=Decimal(0), worst=Decimal(-30))
KNOWN = LimitFacts(positions=(), entries_last_minute=2, day=DAY)


def checks(limits: dict[str, Any], **fields: Any) -> dict[str, LimitCheck]:
    made = limit_checks(proposal(signal(**{"qty": "1", **fields}), rules(**limits), facts(p=0, limits=KNOWN)))
    return {each.limit: each for each in made}


@pytest.mark.parametrize(
    ("limits", "name", "number", "bound", "passes"),
    [
        ({}, "SIGNAL_MAX_AGE", "0 s", "60 s", True),
        ({"allowed_symbols": frozenset({"ETHUSDT"})}, "ALLOWED_SYMBOLS", "BTCUSDT", "ETHUSDT", False),
        ({"max_order_notional": 50000}, "MAX_ORDER_NOTIONAL", "50000 USDT", "50000", True),
        ({"max_order_notional": 49999}, "MAX_ORDER_NOTIONAL", "50000 USDT", "49999", False),
        ({"max_position_notional": 49999}, "MAX_POSITION_NOTIONAL", "50000 USDT", "49999", False),
        ({"max_exposure": 60000}, "max_exposure", "50000 USD", "60000", True),
        ({"max_positions": 1}, "max_positions", "1", "1", True),
        ({"max_entries_per_minute": 2}, "entries_per_minute", "2", "2", False),
        ({"daily_loss_limit": 31}, "DAILY_LOSS_LIMIT", "30 USD", "31", True),
        ({"daily_loss_limit": 30}, "DAILY_LOSS_LIMIT", "30 USD", "30", False),
        ({"cooldown_s": 60}, "cooldown", "no stop", "60 s", True),
        ({"direction": Direction.SHORT_ONLY}, "direction", "buy", "short_only", False),
        ({"max_leverage": 5, "default_leverage": 3}, "MAX_LEVERAGE", "3", "5", True),
        ({"max_leverage": 2, "default_leverage": 3}, "MAX_LEVERAGE", "3", "2", False),
    ],
)
def test_each_limit_says_what_it_came_to(
    limits: dict[str, Any], name: str, number: str, bound: str, passes: bool
) -> None:
    assert checks(limits)[name] == LimitCheck(limit=name, number=number, bound=bound, passes=passes)


def test_the_distance_is_measured_where_the_alert_brings_a_price() -> None:
    found = checks({"max_distance_pct": 1}, signal_price="40000")["max_distance"]
    assert (found.number, found.bound, found.passes) == ("25 %", "1 %", False)
    assert "max_distance" not in checks({"max_distance_pct": 1})


def test_the_accounts_hours_count_beside_the_strategys() -> None:
    always, sundays = (
        TradingHours(zone="UTC", weekdays=frozenset(days), opens=time(), closes=time()) for days in (range(7), [6])
    )
    assert checks({"hours": ((always,),)})["hours"].passes is True
    found = checks({"hours": ((always,), (sundays,))})["hours"]
    assert (found.number, found.passes) == ("Mon 12:00", False)
    assert found.bound == "Mon Tue Wed Thu Fri Sat Sun 00:00-00:00 UTC and Sun 00:00-00:00 UTC"


def test_what_was_not_read_was_not_looked_at() -> None:
    made = limit_checks(proposal(signal(qty="1"), rules(max_positions=1), facts(p=0, halted="by the test")))
    assert [(each.limit, each.passes) for each in made][-1] == ("max_positions", None)


def test_what_opens_nothing_is_held_against_nothing() -> None:
    for requested in (signal("close"), signal("cancel"), signal("sell", qty="1", reduce_only=True)):
        assert limit_checks(proposal(requested, rules(max_order_notional=1), facts(p=2))) == ()


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    qty=st.integers(1, 3000).map(lambda n: Decimal(n).scaleb(-3)),
    order=st.none() | st.integers(1, 200000),
    position=st.none() | st.integers(1, 200000),
    exposure=st.none() | st.integers(1, 200000),
    rate=st.none() | st.integers(1, 4),
)
def test_the_plan_goes_out_exactly_if_every_limit_passes(
    qty: Decimal, order: int | None, position: int | None, exposure: int | None, rate: int | None
) -> None:
    limits = rules(
        max_order_notional=order, max_position_notional=position, max_exposure=exposure, max_entries_per_minute=rate
    )
    known = facts(p=0, limits=KNOWN)
    requested = signal(qty=qty)
    checked = limit_checks(proposal(requested, limits, known))
    assert bool(plan(requested, limits, known).orders) is all(each.passes for each in checked)


def test_what_a_position_may_come_to_is_worth_the_dearest_of_the_prices_that_are_known() -> None:
    def worth(size: str | None, instrument: Instrument | None = None, **prices: Decimal) -> Decimal | None:
        resulting = None if size is None else Decimal(size)
        known: dict[str, Any] = {"price": None, **prices}
        requested = Entry(qty=Decimal(1), order_max=Decimal(9), resulting_size=resulting, **known)
        return resulting_worth(requested, instrument or linear())

    five, six, seven = Decimal(5), Decimal(6), Decimal(7)
    assert worth(None, price=five) is None
    assert worth("2") is None
    assert worth("2", price=five) == 10
    assert worth("2", price=five, dearest_price=six) == 12
    assert worth("2", price=five, dearest_price=six, market_price=seven) == 14
    assert worth("2", dearest_price=six) == 12
    assert worth("2", inverse()) == 2
