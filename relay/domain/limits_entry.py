"""Limits on when, on which side, at which leverage and how far from its signal an entry may go out."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import ROUND_UP, Decimal
from functools import lru_cache
from zoneinfo import ZoneInfo

from relay.domain.account import Direction, Rules, TradingHours
from relay.domain.leverage import asked_leverage
from relay.domain.order import Reason, Side
from relay.domain.plan import Facts
from relay.domain.rounding import plain
from relay.domain.signal import Signal

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_FORBIDDEN = {Direction.LONG_ONLY: Side.SELL, Direction.SHORT_ONLY: Side.BUY}


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def is_open(hours: TradingHours, now: datetime) -> bool:
    """By the wall clock of the zone: what is repeated when the clock goes back is open twice."""
    local = now.astimezone(_zone(hours.zone))
    clock, today = local.time(), local.weekday()
    if hours.opens < hours.closes:
        return today in hours.weekdays and hours.opens <= clock < hours.closes
    yesterday = (local.date() - timedelta(days=1)).weekday()
    return (today in hours.weekdays and clock >= hours.opens) or (yesterday in hours.weekdays and clock < hours.closes)


def hours_refusal(hours: tuple[TradingHours, ...], now: datetime) -> Reason | None:
    """`now`: aware. No hours at all: always open."""
    if not hours or any(is_open(each, now) for each in hours):
        return None
    local = now.astimezone(_zone(hours[0].zone))
    return Reason(
        code="LIMIT_HOURS",
        message=f"it is {_DAYS[local.weekday()]} {local:%H:%M} in {hours[0].zone}, "
        f"and the strategy's hours are {'; '.join(_shown(each) for each in hours)}",
    )


def _shown(hours: TradingHours) -> str:
    days = " ".join(_DAYS[day] for day in sorted(hours.weekdays))
    return f"{days} {hours.opens:%H:%M}-{hours.closes:%H:%M} {hours.zone}"


def manner_refusal(side: Side, signal: Signal, rules: Rules, facts: Facts) -> Reason | None:
    """`side`: on which the entry would open or add."""
    return _wrong_direction(side, rules) or _over_leverage(signal, rules, facts) or _too_far(signal, rules, facts)


def _wrong_direction(side: Side, rules: Rules) -> Reason | None:
    if _FORBIDDEN.get(rules.direction) is not side:
        return None
    return Reason(
        code="DIRECTION_NOT_ALLOWED", message=f"a {side.value} would open or add, and direction is {rules.direction}"
    )


def _over_leverage(signal: Signal, rules: Rules, facts: Facts) -> Reason | None:
    """What is asked is set only while nothing is open; else the exchange's own is the entry's leverage."""
    most, shown = rules.max_leverage, facts.position.leverage if facts.position else None
    if most is None or (asked_leverage(signal, rules) is not None and not facts.size):
        return None
    if shown is None:
        return _leverage(f"the exchange shows no leverage, so MAX_LEVERAGE {plain(most)} cannot be checked")
    if shown > most:
        return _leverage(f"the leverage set at the exchange is {plain(shown)}, over MAX_LEVERAGE {plain(most)}")
    return None


def _leverage(message: str) -> Reason:
    return Reason(code="LIMIT_LEVERAGE", message=message)


def _too_far(signal: Signal, rules: Rules, facts: Facts) -> Reason | None:
    most, told = rules.max_distance_pct, signal.signal_price
    if most is None or told is None or told <= 0:
        return None
    assert facts.price is not None, "a distance limit needs the price"
    away = abs(facts.price - told) * 100
    if away <= most * told:
        return None
    shown = (away / told).quantize(Decimal("0.01"), rounding=ROUND_UP)
    return Reason(
        code="LIMIT_DISTANCE",
        message=f"the market at {plain(facts.price)} is {plain(shown)} % from the signal_price {plain(told)}, "
        f"over max_distance {plain(most)} %",
    )
