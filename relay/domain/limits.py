"""What may hold back an entry: the limits of a strategy and of the account as a whole. Exits pass always; no rule
here sees one."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache, reduce
from typing import Any, Final

from relay.domain.instrument import Instrument, plain
from relay.domain.limit_checks import (
    Candidate,
    LimitVerdict,
    check_cooldown,
    check_daily_loss,
    check_distance,
    check_entries,
    check_exposure,
    check_hours,
    check_leverage,
    check_order_notional,
    check_position_notional,
    check_positions,
    check_symbols,
    periods,
)
from relay.domain.order import FACTS_UNREADABLE, Reason, Side
from relay.domain.plan import Facts, LimitFacts, LimitNeed
from relay.domain.rules import Direction, Rules, type_refusal
from relay.domain.signal import Signal, SignalAge, age_of, span

_FORBIDDEN = {Direction.LONG_ONLY: Side.SELL, Direction.SHORT_ONLY: Side.BUY}


class LimitUnit(StrEnum):
    """The unit of a limit's bound, which says how the bound is read and shown."""

    MONEY = "money"
    COUNT = "count"
    LEVERAGE = "leverage"
    PERCENT = "percent"
    SECONDS = "seconds"
    SYMBOLS = "symbols"
    HOURS = "hours"


class LimitStage(StrEnum):
    """When a limit can be checked, from the cheapest on."""

    ALERT = "alert"
    """Before anything is read."""
    FACTS = "facts"
    """Once position and price are known."""
    SIZE = "size"
    """Once the entry has its size."""
    ACCOUNT = "account"
    """Once it is known what else the account has open and has done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A row of the table. Its bound is None where it is not set; `none` is the word for that, wherever it is read."""

    field: str
    """The name of its field in `Rules`."""
    key: str
    """Its key in a `limits` table of RELAY_CONFIG, or in a strategy's table."""
    variable: str | None = None
    """Its environment variable, which holds for every strategy whose table does not name the limit."""
    is_strategys_key: bool = False
    """Whether the key stands in the strategy's table itself, not in its `limits`."""
    words: str
    """What the greeting calls it."""
    unit: LimitUnit
    least: int = 1
    most: int = 0
    """The least and the greatest bound that may be set, of a count, a span of time (seconds) or a percentage."""
    stage: LimitStage
    stricter: Callable[[Any, Any], Any] = min
    """Of two bounds makes the one that lets through only what both let through."""
    reads_position: bool = True
    """The position is read before the decision, because the exit goes out even where the entry may not."""
    reads_price: Callable[[Signal, Instrument], bool] = lambda signal, instrument: False
    counts: frozenset[LimitNeed] = frozenset()
    """Which facts it needs besides position and price."""
    check: Callable[[Any, Candidate], LimitVerdict | None]
    """Checks an entry against the bound; returns None if the limit does not apply to it."""

    @property
    def name(self) -> str:
        """What `plan` and the reasons call it."""
        return self.variable or self.key

    def bound(self, rules: Rules) -> Any:
        return getattr(rules, self.field)

    def shown(self, bound: Any) -> str:
        """The bound, for people."""
        match self.unit:
            case LimitUnit.SYMBOLS:
                return ", ".join(sorted(bound))
            case LimitUnit.HOURS:
                return " and ".join(periods(group) for group in bound)
            case LimitUnit.PERCENT:
                return f"{plain(bound)} %"
            case LimitUnit.SECONDS:
                return f"{bound} s"
            case _:
                return plain(Decimal(bound))


def _not_inverse(signal: Signal, instrument: Instrument) -> bool:
    return not instrument.is_inverse


def _is_priced(signal: Signal, instrument: Instrument) -> bool:
    return signal.signal_price is not None


_WORKING: Final = frozenset({LimitNeed.WORKING})
_ALL_POSITIONS: Final = frozenset({LimitNeed.WORKING, LimitNeed.POSITIONS})
LIMITS: Final = (
    Limit(
        field="allowed_symbols",
        key="symbols",
        variable="ALLOWED_SYMBOLS",
        is_strategys_key=True,
        words="symbols",
        unit=LimitUnit.SYMBOLS,
        stage=LimitStage.ALERT,
        stricter=operator.and_,
        reads_position=False,
        check=check_symbols,
    ),
    Limit(
        field="hours",
        key="hours",
        words="hours",
        unit=LimitUnit.HOURS,
        stage=LimitStage.ALERT,
        stricter=operator.add,
        check=check_hours,
    ),
    Limit(
        field="max_leverage",
        key="max_leverage",
        variable="MAX_LEVERAGE",
        words="leverage",
        unit=LimitUnit.LEVERAGE,
        stage=LimitStage.FACTS,
        check=check_leverage,
    ),
    Limit(
        field="max_distance_pct",
        key="max_distance",
        words="distance",
        unit=LimitUnit.PERCENT,
        least=0,
        most=100,
        stage=LimitStage.FACTS,
        reads_price=_is_priced,
        check=check_distance,
    ),
    Limit(
        field="max_order_notional",
        key="max_order_notional",
        variable="MAX_ORDER_NOTIONAL",
        words="order",
        unit=LimitUnit.MONEY,
        stage=LimitStage.SIZE,
        reads_price=_not_inverse,
        check=check_order_notional,
    ),
    Limit(
        field="max_position_notional",
        key="max_position_notional",
        variable="MAX_POSITION_NOTIONAL",
        words="position",
        unit=LimitUnit.MONEY,
        stage=LimitStage.SIZE,
        reads_price=_not_inverse,
        counts=_WORKING,
        check=check_position_notional,
    ),
    Limit(
        field="max_entries_per_minute",
        key="entries_per_minute",
        words="entries per minute",
        unit=LimitUnit.COUNT,
        most=10_000,
        stage=LimitStage.ACCOUNT,
        counts=frozenset({LimitNeed.RATE}),
        check=check_entries,
    ),
    Limit(
        field="cooldown_s",
        key="cooldown",
        words="cooldown",
        unit=LimitUnit.SECONDS,
        most=30 * 86_400,
        stage=LimitStage.ACCOUNT,
        stricter=max,
        counts=frozenset({LimitNeed.STOPS}),
        check=check_cooldown,
    ),
    Limit(
        field="daily_loss_limit",
        key="daily_loss",
        variable="DAILY_LOSS_LIMIT",
        words="daily loss",
        unit=LimitUnit.MONEY,
        stage=LimitStage.ACCOUNT,
        counts=frozenset({LimitNeed.DAY}),
        check=check_daily_loss,
    ),
    Limit(
        field="max_positions",
        key="max_positions",
        words="open symbols",
        unit=LimitUnit.COUNT,
        most=1000,
        stage=LimitStage.ACCOUNT,
        counts=_ALL_POSITIONS,
        check=check_positions,
    ),
    Limit(
        field="max_exposure",
        key="max_exposure",
        words="exposure",
        unit=LimitUnit.MONEY,
        stage=LimitStage.ACCOUNT,
        reads_price=_not_inverse,
        counts=_ALL_POSITIONS,
        check=check_exposure,
    ),
)
"""In the order in which an entry is held against them."""
_CODES: Final = {
    LimitNeed.WORKING: "LIMIT_POSITION_NOTIONAL",
    LimitNeed.POSITIONS: "LIMIT_EXPOSURE",
    LimitNeed.RATE: "LIMIT_RATE",
    LimitNeed.DAY: "LIMIT_DAILY_LOSS",
    LimitNeed.STOPS: "LIMIT_COOLDOWN",
}


def strictest(strategy: Rules, *others: Rules) -> Rules:
    """The strategy's rules with each limit the strictest of all: what passes every one passes it, and nothing else.

    What is no limit stays the strategy's.
    """
    return replace(strategy, **{limit.field: _strictest(limit, (strategy, *others)) for limit in LIMITS})


def _strictest(limit: Limit, every: tuple[Rules, ...]) -> Any:
    bounds = [bound for bound in map(limit.bound, every) if bound is not None]
    return reduce(limit.stricter, bounds) if bounds else None


def over_limit(stage: LimitStage, requested: Candidate) -> Reason | None:
    """Why the entry may not go out by the limits of one stage."""
    for limit, bound in _set_by(requested.rules):
        if limit.stage is stage and (check := limit.check(bound, requested)) is not None and check.refused is not None:
            return check.refused
    return None


@lru_cache(maxsize=256)
def _set_by(rules: Rules) -> tuple[tuple[Limit, Any], ...]:
    """The limits that these rules set, each with its bound."""
    return tuple((each, bound) for each in LIMITS if (bound := getattr(rules, each.field)) is not None)


def limit_needs(rules: Rules) -> frozenset[LimitNeed]:
    """What these rules must know of the account before an entry."""
    return frozenset[LimitNeed]().union(*[limit.counts for limit, _ in _set_by(rules)])


def limits_entries(rules: Rules) -> bool:
    """Whether anything here could hold back an entry once it is looked at: then its exit must be known."""
    return rules.direction is not Direction.BOTH or any(limit.reads_position for limit, _ in _set_by(rules))


def limits_by_price(signal: Signal, rules: Rules, instrument: Instrument) -> bool:
    """Whether a limit wants the exchange's price."""
    return any(limit.reads_price(signal, instrument) for limit, _ in _set_by(rules))


def unread_refusal(rules: Rules, facts: LimitFacts) -> Reason | None:
    """A limit that cannot be checked is not passed."""
    return unread(limit_needs(rules), facts)


def unread(needed: frozenset[LimitNeed], facts: LimitFacts) -> Reason | None:
    """Why one of these facts could not be had; None if all are there."""
    known = {
        LimitNeed.WORKING: True,
        LimitNeed.POSITIONS: facts.positions is not None,
        LimitNeed.RATE: facts.entries_last_minute is not None,
        LimitNeed.DAY: facts.day is not None,
        LimitNeed.STOPS: True,
    }
    for need in sorted(needed):
        if need in facts.unread or not known[need]:
            why = facts.unread.get(need, "it was not asked for")
            return Reason(code=_CODES[need], message=f"{need.value} could not be read, so no entry is placed: {why}")
    return None


def standing_refusal(
    signal: Signal, rules: Rules, instrument: Instrument, *, now: datetime, halted: str | None, age: SignalAge | None
) -> Reason | None:
    """What holds back any entry of this signal, whatever its size: these are checked before anything is read."""
    if rules.no_entries is not None:
        return not_configured(rules.no_entries)
    if halted is not None:
        return halt_reason(halted)
    if (reason := too_old(signal, rules, age or age_by(signal, now))) is not None:
        return reason
    requested = Candidate(signal=signal, rules=rules, facts=Facts(instrument=instrument, now=now))
    if (reason := over_limit(LimitStage.ALERT, requested)) is not None:
        return reason
    if instrument.unreadable is not None:
        return Reason(code=FACTS_UNREADABLE, message=instrument.unreadable)
    if not instrument.is_trading:
        return Reason(code="SYMBOL_NOT_TRADING", message=instrument.state)
    if signal.reduce_only:
        return Reason(code="ENTRY_WITHHELD", message="the alert says reduce_only, so nothing is opened")
    return type_refusal(signal, rules)


def halt_reason(halted: str) -> Reason:
    """`halted`: who halted and when."""
    return Reason(code="HALTED", message=f"no new entries: {halted}; `python -m relay resume` allows them again")


def not_configured(why: str) -> Reason:
    """`why`: what RELAY_CONFIG does not name any more."""
    return Reason(code="STRATEGY_NOT_CONFIGURED", message=f"no entries: {why}; exits go on")


def age_by(signal: Signal, now: datetime) -> SignalAge:
    """By one clock alone, which is taken to be right."""
    return age_of(signal, since_receipt=now - signal.received_at, exchange_now=now)


def too_old(signal: Signal, rules: Rules, age: SignalAge) -> Reason | None:
    """Why an entry of this signal is not placed any more. That it was old on arrival already has a likely cause."""
    most = _oldest(signal, rules)
    if _seconds(age.age) <= most:
        return None
    hint = ""
    if signal.sent_at is not None and _seconds(age.on_arrival) > most:
        hint = "; it was that old when it arrived: " + (
            "`{{time}}` is the bar's time, put `{{timenow}}` into `time`"
            if age.is_measured
            else "the exchange's clock could not be measured yet, and this machine's may be wrong"
        )
    return Reason(
        code="TIME_TOO_OLD",
        message=f"the entry is {span(age.age.total_seconds())} old, more than {plain(most)} s{hint}",
    )


def _oldest(signal: Signal, rules: Rules) -> Decimal:
    """In seconds; the alert's own bound may only be the stricter one."""
    most = Decimal(rules.signal_max_age_s)
    return most if signal.max_age_s is None else min(most, signal.max_age_s)


def _seconds(span: timedelta) -> Decimal:
    return Decimal(span // timedelta(microseconds=1)) / 1_000_000


def direction_refusal(side: Side, rules: Rules) -> Reason | None:
    """`side`: on which the entry would open or add."""
    if _FORBIDDEN.get(rules.direction) is not side:
        return None
    return Reason(
        code="DIRECTION_NOT_ALLOWED", message=f"a {side.value} would open or add, and direction is {rules.direction}"
    )
