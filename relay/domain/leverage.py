"""The leverage that an entry asks for: set before it leaves, and only while no position is open."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from relay.domain.account import Rules
from relay.domain.instrument import Instrument
from relay.domain.order import PlannedOrder, Purpose, Reason
from relay.domain.plan import Facts
from relay.domain.rounding import plain
from relay.domain.signal import Signal


def asked_leverage(signal: Signal, rules: Rules) -> Decimal | None:
    """The alert's own, else the strategy's default one; None: the symbol's stays as it is."""
    return signal.leverage or rules.default_leverage


def leverage_refusal(signal: Signal, rules: Rules, instrument: Instrument) -> Reason | None:
    """Why an entry with the leverage that is asked for may not go out."""
    asked = asked_leverage(signal, rules)
    if asked is None:
        return None
    for most, whose in ((instrument.leverage_max, "the exchange's maximum of"), (rules.max_leverage, "MAX_LEVERAGE")):
        if most is not None and asked > most:
            message = f"a leverage of {plain(asked)} is over {whose} {plain(most)} on {instrument.symbol}"
            return Reason(code="LIMIT_LEVERAGE", message=message)
    return None


def with_leverage(
    orders: tuple[PlannedOrder, ...], asked: Decimal | None, facts: Facts
) -> tuple[tuple[PlannedOrder, ...], tuple[str, ...]]:
    """The first order that opens sets the leverage where it differs; with a position open it stays, and a note says so.

    The exchange names the symbol's leverage even where no position is open.
    """
    position = facts.position
    if asked is None or position is None or position.leverage == asked:
        return orders, ()
    first = next((place for place, each in enumerate(orders) if each.purpose is not Purpose.EXIT), None)
    if first is None:
        return orders, ()
    if position.size != 0:
        stands = f" at {plain(position.leverage)}" if position.leverage is not None else ""
        return orders, (f"the leverage stays{stands} while a position is open; {plain(asked)} was asked for",)
    setting = replace(orders[first], leverage=asked)
    return (*orders[:first], setting, *orders[first + 1 :]), ()
