"""Rounding to the exchange's grids, in decimal arithmetic only."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal

_DIGITS = 100
"""Far more than any number of an alert or the exchange has."""


def floor_to(value: Decimal, step: Decimal) -> Decimal:
    """The largest multiple of `step` not above `value`. `step` is positive."""
    return _to_grid(value, step, ROUND_FLOOR)


def ceil_to(value: Decimal, step: Decimal) -> Decimal:
    """The smallest multiple of `step` not below `value`. `step` is positive."""
    return _to_grid(value, step, ROUND_CEILING)


def _to_grid(value: Decimal, step: Decimal, rounding: str) -> Decimal:
    assert step > 0, f"a grid needs a positive step, not {step}"
    # The quotient itself rounds the same way: a long tail of nines must not reach the next step.
    context = Context(prec=_DIGITS, rounding=rounding)
    steps = context.divide(value, step).to_integral_value(rounding=rounding)
    return context.multiply(steps, step)


def is_on_grid(value: Decimal, step: Decimal) -> bool:
    """Whether `value` is a multiple of `step`."""
    return floor_to(value, step) == value


def plain(value: Decimal) -> str:
    """`value` without exponent and without trailing zeros: the only spelling the exchange takes."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text
