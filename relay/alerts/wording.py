"""How messages speak of what an alert said: bounded, printable, and with the nearest thing that would be right."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from decimal import Decimal

SHOWN_LENGTH_MAX = 60
_PLACEHOLDER = re.compile(r"\{\{([^{}]*)\}\}")

PLACEHOLDERS = (
    *("ticker", "exchange", "open", "high", "low", "close", "volume", "time", "timenow", "interval"),
    *("syminfo.currency", "syminfo.basecurrency", "strategy.position_size", "strategy.order.action"),
    *("strategy.order.contracts", "strategy.order.price", "strategy.order.id", "strategy.order.comment"),
    *("strategy.order.alert_message", "strategy.market_position", "strategy.market_position_size"),
    *("strategy.prev_market_position", "strategy.prev_market_position_size"),
    *(f"plot_{index}" for index in range(20)),
)
"""What TradingView replaces in a message. Source: its help page on alert variables."""

EMPTY_HINT = "a `{{strategy.…}}` placeholder becomes empty in an alert that is not a strategy's"


def shown(value: object) -> str:
    """`value` for a message: at most 60 characters of it. The secret must have been taken out before."""
    if isinstance(value, bool):
        return "`true`" if value else "`false`"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, dict):
        return "an object"
    if value is None:
        return "nothing"
    text = format(value, "f") if isinstance(value, Decimal) else str(value)
    cut = text[:SHOWN_LENGTH_MAX]
    legible = "".join(letter if letter.isprintable() else "·" for letter in cut)
    return f"`{legible}{'…' if len(text) > len(cut) else ''}`"


def nearest(word: str, candidates: Iterable[str]) -> str | None:
    """The candidate most like `word`, or None where none is alike."""
    found = difflib.get_close_matches(word[:SHOWN_LENGTH_MAX].lower(), candidates, n=1, cutoff=0.5)
    return found[0] if found else None


def placeholder_in(text: str) -> str | None:
    """What is wrong with a text that still holds a `{{…}}`; None where it holds none."""
    if "{{" not in text:
        return None
    found = _PLACEHOLDER.search(text)
    if found is None:
        return None
    name = found.group(1).strip()
    if len(found.group()) > SHOWN_LENGTH_MAX:
        return "still holds an unreplaced `{{…}}` that TradingView does not know"
    if name in PLACEHOLDERS or name.startswith("plot("):
        return (
            f"still holds the unreplaced {shown(found.group())}: only TradingView replaces it, "
            "and only in an alert's own message; write a value"
        )
    likely = nearest(name, PLACEHOLDERS)
    suggestion = f"; the nearest is `{{{{{likely}}}}}`" if likely else ""
    return f"still holds {shown(found.group())}, a placeholder that TradingView does not know{suggestion}"


def joined(words: Iterable[str]) -> str:
    """`a`, `b` and `c`."""
    quoted = [f"`{word}`" for word in words]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"
