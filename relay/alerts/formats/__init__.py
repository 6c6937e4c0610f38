"""Alerts that were written for another service, read as that service reads them.

A message that fits the native schema is native. Else it is recognised by its shape, or by the name of its format.
What it says is kept as it came, with the format's name; it is translated into native fields each time it is read, so
that the same rules judge it. What cannot be done here is refused by the sender's own name of the field."""

from __future__ import annotations

from collections.abc import Mapping

from relay.alerts.formats.base import AlertFormat, Translation
from relay.alerts.formats.bots import BOT, STRATEGY_BOT
from relay.alerts.formats.okx import OKX
from relay.alerts.formats.threecommas import THREECOMMAS
from relay.alerts.formats.traderspost import TRADERSPOST
from relay.alerts.formats.wundertrading import WUNDERTRADING

NATIVE = "native"
ALERT_FORMATS = (STRATEGY_BOT, THREECOMMAS, OKX, WUNDERTRADING, BOT, TRADERSPOST)
"""In the order in which their shapes are tried."""
FORMATS = (NATIVE, *(alert_format.name for alert_format in ALERT_FORMATS))


def alert_format_of(name: str) -> AlertFormat | None:
    """The format of this name; None for the native one, and for a name that is none of FORMATS."""
    return next((alert_format for alert_format in ALERT_FORMATS if alert_format.name == name), None)


def recognise(fields: Mapping[str, object], named: str | None) -> AlertFormat | None:
    """In which format `fields`, with lower-case names, are written; None means the native one.

    `named`: what the sender said, if anything; it is taken at its word. No shape fits what the native schema takes:
    each has a name, or a value, that is not a native one.
    """
    if named is not None:
        return alert_format_of(named)
    message = {name: value for name, value in fields.items() if name not in ("secret", "format")}
    action = str(message.get("action")).strip().lower()
    for each in ALERT_FORMATS:
        is_marked = not each.marks.isdisjoint(message) or action in each.own_actions
        if is_marked and (each.is_shape is None or each.is_shape(message)):
            return each
    return None


__all__ = ["ALERT_FORMATS", "FORMATS", "NATIVE", "AlertFormat", "Translation", "alert_format_of", "recognise"]
