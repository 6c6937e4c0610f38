"""What the signal bots of several services have in common: entries, a strategy's fills, and how old a signal may be."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from relay.alerts.dialects.message import Message
from relay.domain.signal import QtyUnit

SIDES = {name: name for name in ("long", "short", "flat")}
_ENTERED = {"buy": "long", "sell": "short"}
_LEFT = {"buy": "close_short", "sell": "close_long"}


def enter(message: Message, side: str, *, action: str, size: str) -> None:
    """Leave the other side if it is open, then open `long` or `short`, or add to it, by the size alone.

    As a fill of a strategy that stands on that side afterwards: with the other side open, the native reading goes to
    the size itself, else it is ordered. `action` and `size`: the paths of the two.
    """
    message.give("action", "buy" if side == "long" else "sell", action)
    message.give("market_position", side, action)
    message.internal["has_synthetic_position"] = True
    unit = message.native.get("qty_unit", QtyUnit.BASE)
    if "qty" in message.native and unit in (QtyUnit.BASE, QtyUnit.CONTRACTS):
        message.give("market_position_size", message.native["qty"], size)


def fill(
    message: Message, action: str, *, market: Mapping[str, str], unit: str, read_size: Callable[[Message], None]
) -> None:
    """A strategy's `buy` or `sell`, with where the strategy stands: `market` has the paths, to their native names.

    `read_size` reads the size, whose unit stands at `unit`; a strategy that is flat afterwards needs none. A size in
    percent of the position reduces, and nothing else.
    """
    path = next(own for own, native in market.items() if native == "market_position")
    message.need(path, "`long`, `short` or `flat`, as `{{strategy.market_position}}` is")
    side = message.choice(path, SIDES)
    if side != "flat":
        read_size(message)
    if message.native.get("qty_unit") == QtyUnit.POSITION_PCT:
        if side == _ENTERED[action]:
            message.refuse(unit, "is for exits, and this order opens or adds")
        message.give("action", _LEFT[action], "action")
        return
    message.give("action", action, "action")
    for own, native in market.items():
        message.copy(own, native)


def lag(message: Message, path: str) -> None:
    """The age in seconds above which the service drops a signal: here an entry only, and SIGNAL_MAX_AGE counts, too."""
    if not message.has(path) or message.is_blank(path):
        return
    seconds = message.number(path)
    if seconds is not None:
        message.mean("max_age_s", seconds, path)
