"""The strategy's position against the account's."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from relay.domain.instrument import Instrument
from relay.domain.intent import Intent, size_needs
from relay.domain.move import Sizes
from relay.domain.order import Reason
from relay.domain.plan import Facts, Need
from relay.domain.rounding import plain
from relay.domain.sizing import sizes_of

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


def expected_after(intent: Intent, target: Sizes | None) -> Expected | None:
    """Where the account should stand once the signal is done; None where the alert does not say, or cannot be sized.

    `target`: the sizes of `intent.target`, where they can be worked out.
    """
    sign = intent.signal.strategy_sign
    if sign is None or not intent.is_strategys:
        return None
    return _expected(sign, intent, target, target.strategy if target else None)


def expected_before(intent: Intent, target: Sizes | None) -> Expected | None:
    """The same from before the strategy's order."""
    before = intent.signal.prev_market_position
    if before is None or not intent.is_strategys:
        return None
    return _expected(before.sign, intent, target, target.prev_strategy if target else None)


def needs_healing(intent: Intent, facts: Facts, target: Sizes | None) -> Expected | None:
    """Where the account should stand now and does not, if that is to be mended with this signal.

    Never while resting orders of the relay may explain the difference, nor for an alert that a later one overtook.
    """
    if not intent.heals or facts.size is None or facts.has_resting or facts.is_overtaken:
        return None
    expected = expected_before(intent, target)
    return expected if expected and expected.differs(facts.size, facts.instrument) else None


def target_sizes(intent: Intent, facts: Facts) -> Sizes | None:
    """Those with which it stands where the strategy does; None: they cannot be known, or are not the strategy's."""
    target = intent.target
    if (
        target is None
        or intent.compares_sides_only
        or (Need.PRICE in size_needs(target) and not (facts.price or intent.order_price))
    ):
        return None
    return sizes_of(target, facts)


def _expected(sign: int, intent: Intent, target: Sizes | None, size: Decimal | Reason | None) -> Expected | None:
    if sign == 0:
        return Expected(sign=0, size=_ZERO)
    if intent.compares_sides_only:
        return Expected(sign=sign, size=None)
    if target is None or isinstance(size, Reason):
        return None
    return Expected(sign=sign, size=None if size is None else sign * size)


def _side_of(position: Decimal, least: Decimal) -> int:
    """A rest under the minimum is flat."""
    if abs(position) < least:
        return 0
    return 1 if position > 0 else -1
