"""The strategy's position against the account's."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from relay.domain.account import Drift, Mode, Rules
from relay.domain.instrument import Instrument
from relay.domain.intent import strategy_sign
from relay.domain.mode import as_target, is_strategys, sizes_are_own
from relay.domain.plan import Facts, Need
from relay.domain.risk import order_price
from relay.domain.rounding import plain
from relay.domain.signal import Action, Signal
from relay.domain.sizing import Size, size_needs, size_of, sizes_of

_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """Where the account should stand. `size`: signed, in the exchange's unit; None: only the side counts."""

    sign: int
    size: Decimal | None

    def differs(self, position: Decimal, instrument: Instrument) -> bool:
        """By more than the exchange's minimum, or on another side; what rounding leaves is no difference."""
        least = max(instrument.qty_min, instrument.qty_step)
        if self.size is not None:
            return abs(self.size - position) > least
        return self.sign != _side_of(position, least)

    def gap(self, position: Decimal) -> str:
        """What the difference is, the same for as long as it lasts: the strategy's orders move both sides alike."""
        return plain(position - self.size) if self.size is not None else f"{self} {(position > 0) - (position < 0)}"

    def __str__(self) -> str:
        if self.size is not None:
            return plain(self.size)
        return {1: "long", -1: "short", 0: "flat"}[self.sign]


def expected_after(signal: Signal, rules: Rules, facts: Facts) -> Expected | None:
    """Where the account should stand once the signal is done; None where the alert does not say, or cannot be sized."""
    sign = strategy_sign(signal)
    if sign is None or not is_strategys(signal):
        return None
    if sign == 0:
        return Expected(sign=0, size=_ZERO)
    return _expected(signal, rules, facts, sign, is_before=False)


def expected_before(signal: Signal, rules: Rules, facts: Facts) -> Expected | None:
    """The same from before the strategy's order."""
    before = signal.prev_market_position
    if before is None or not is_strategys(signal):
        return None
    if before.sign == 0:
        return Expected(sign=0, size=_ZERO)
    return _expected(signal, rules, facts, before.sign, is_before=True)


def needs_healing(signal: Signal, rules: Rules, facts: Facts) -> Expected | None:
    """Where the account should stand now and does not, if that is to be mended with this signal.

    Never while resting orders of the relay may explain the difference, nor for an alert that a later one overtook.
    """
    if not may_heal(signal, rules) or facts.size is None or facts.has_resting or facts.is_overtaken:
        return None
    expected = expected_before(signal, rules, facts)
    return expected if expected and expected.differs(facts.size, facts.instrument) else None


def may_heal(signal: Signal, rules: Rules) -> bool:
    """Whether a drift is mended with this signal, should there be one."""
    return (
        rules.drift is Drift.HEAL
        and rules.mode is Mode.ORDER
        and signal.action in (Action.BUY, Action.SELL)
        and not signal.reduce_only
        and is_strategys(signal)
    )


def healing_needs(signal: Signal, rules: Rules, instrument: Instrument) -> set[Need]:
    """The facts for which the plan asks then."""
    return size_needs(as_target(signal, rules), rules, instrument) if may_heal(signal, rules) else set()


def _expected(signal: Signal, rules: Rules, facts: Facts, sign: int, *, is_before: bool) -> Expected | None:
    size = size_of(signal, rules, is_inverse=facts.instrument.is_inverse)
    if sizes_are_own(signal, is_own=isinstance(size, Size) and size.is_own):
        return Expected(sign=sign, size=None)
    target = as_target(signal, rules)
    if Need.PRICE in size_needs(target, rules, facts.instrument) and not (facts.price or order_price(signal)):
        return None
    sizes = sizes_of(target, rules, facts)
    worked_out = sizes.prev_strategy if is_before else sizes.strategy
    if worked_out is None:
        return Expected(sign=sign, size=None)
    return Expected(sign=sign, size=sign * worked_out) if isinstance(worked_out, Decimal) else None


def _side_of(position: Decimal, least: Decimal) -> int:
    """A rest under the minimum is flat."""
    if abs(position) < least:
        return 0
    return 1 if position > 0 else -1
