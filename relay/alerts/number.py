"""Numbers of an alert: decimal, from their text, never through binary floating point."""

from __future__ import annotations

import re
from decimal import Decimal

from relay.alerts.wording import shown

DIGITS_MAX = 40
EXPONENT_MAX = 30
_LENGTH_MAX = 90  # every number within the limits above, spelled without an exponent, is shorter
_NUMBER = re.compile(r"[+-]?(\d+(?:\.\d*)?|\.\d+)(?:[eE]([+-]?\d+))?", re.ASCII)
_NOT_A_NUMBER = frozenset({"nan", "n/a", "na", "null", "none", "undefined"})
_INFINITE = frozenset({"inf", "infinity", "∞"})


def read_number(text: str) -> Decimal:
    """The number that `text` spells, exactly. ValueError's words continue a sentence that begins with its name."""
    if len(text) > _LENGTH_MAX:
        digits = sum(letter.isdigit() for letter in text)
        raise ValueError(
            f"is {len(text):,} characters long ({digits:,} digits); a number has at most {DIGITS_MAX} digits"
        )
    found = _NUMBER.fullmatch(text)
    if found is None:
        raise ValueError(_what_it_is_instead(text))
    mantissa, exponent = found.groups()
    if len(mantissa.lstrip("0.").replace(".", "")) > DIGITS_MAX:
        raise ValueError(f"has more than the {DIGITS_MAX} digits that a number may have")
    if exponent is not None and abs(int(exponent)) > EXPONENT_MAX:
        raise ValueError(f"has an exponent beyond ±{EXPONENT_MAX}; write a number such as 0.01")
    value = Decimal(text)
    if not -DIGITS_MAX <= value.adjusted() < DIGITS_MAX:
        raise ValueError("is too large or too small for a number of an order")
    return value


def number_text(value: Decimal) -> str:
    """`value` as `read_number` reads it back: the same number, spelled without an exponent."""
    return format(value, "f") if value else "0"


def _what_it_is_instead(text: str) -> str:
    bare = text.lstrip("+-").lower()
    if bare in _NOT_A_NUMBER:
        return f"is {shown(text)}, which is no number: a plot without a value gives this; leave the field out instead"
    if bare in _INFINITE:
        return f"is {shown(text)}, which is no number; write a finite one"
    if not text:
        return "is empty; it must be a number"
    if "," in text:
        return f"must be a number with a decimal point and no commas, such as 1800.5, not {shown(text)}"
    if text.endswith("%"):
        return f"must be a plain number without `%`, not {shown(text)}"
    return f"must be a number such as 0.01, not {shown(text)}"
