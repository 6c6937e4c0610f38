"""Alerts that were written for another service, read as that service reads them.

A message that fits the native schema is native. Else it is recognised by its shape, or by the name of its format.
What it says is kept as it came, with the format's name; it is translated into native fields each time it is read, so
that the same rules judge it. What cannot be done here is refused by the sender's own name of the field.
"""

from __future__ import annotations

from collections.abc import Mapping

from relay.alerts.dialects.bot import BOT
from relay.alerts.dialects.dialect import Dialect, Translation
from relay.alerts.dialects.okx import OKX
from relay.alerts.dialects.strategy_bot import STRATEGY_BOT
from relay.alerts.dialects.threecommas import THREECOMMAS
from relay.alerts.dialects.traderspost import TRADERSPOST
from relay.alerts.dialects.wundertrading import WUNDERTRADING

__all__ = ["DIALECTS", "FORMATS", "NATIVE", "Dialect", "Translation", "dialect_of", "recognise"]

NATIVE = "native"
DIALECTS = (STRATEGY_BOT, THREECOMMAS, OKX, WUNDERTRADING, BOT, TRADERSPOST)
"""In the order in which their shapes are tried."""
FORMATS = (NATIVE, *(dialect.name for dialect in DIALECTS))


def dialect_of(name: str) -> Dialect | None:
    """The format of this name; None for the native one, and for a name that is none of FORMATS."""
    return next((dialect for dialect in DIALECTS if dialect.name == name), None)


def recognise(fields: Mapping[str, object], named: str | None) -> Dialect | None:
    """In which format `fields`, with lower-case names, are written; None: the native one.

    `named`: what the sender said, if anything; it is taken at its word. No shape fits what the native schema takes:
    each has a name, or a value, that is not a native one.
    """
    if named is not None:
        return dialect_of(named)
    message = {name: value for name, value in fields.items() if name not in ("secret", "format")}
    for dialect in DIALECTS:
        if dialect.is_shape(message):
            return dialect
    return None
