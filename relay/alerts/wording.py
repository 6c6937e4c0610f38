"""How messages speak of what an alert said: bounded, printable, and with the nearest thing that would be right."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Final

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


def mistyped(word: str, candidates: Iterable[str]) -> str | None:
    """The candidate that `word` is but for a slip of a finger: a hint that is followed must order what was meant.

    `sell_short` is no `close_short`, `none` no `long`, and `stop` more than `stops` without its last letter.
    """
    known = {_bare(each): each for each in candidates if _bare(each) != f"{_bare(word)}s"}
    own = _bare(word[:SHOWN_LENGTH_MAX])
    alike = [each for each in known if abs(len(each) - len(own)) <= 1]
    cutoff = 0.66 if len(own) <= 3 else 0.75 if len(own) == 4 else 0.8
    found = difflib.get_close_matches(own, alike, n=1, cutoff=cutoff)
    return known[found[0]] if found else None


def _bare(word: str) -> str:
    return "".join(filter(str.isalnum, word.lower()))


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


# Messages to paste into TradingView, with every placeholder that tells repeats, gaps and slippage.


STAND_IN: Final = "YOUR-WEBHOOK-SECRET"
"""What stands in the secret's place in messages to paste."""


class Kind(StrEnum):
    """`strategy`, `target` and `direction` (its side with a size of your own) are for a strategy's alert; all others
    for an indicator's or a price alert.
    """

    TARGET = "target"
    STRATEGY = "strategy"
    DIRECTION = "direction"
    LONG = "long"
    SHORT = "short"
    CLOSE = "close"
    BUY = "buy"
    SELL = "sell"
    LIMIT = "limit"
    REVERSE = "reverse"
    STOPS = "stops"
    CANCEL = "cancel"
    HEARTBEAT = "heartbeat"


_TICKER: Final = {"ticker": "{{ticker}}", "exchange": "{{exchange}}"}
_STRATEGY_FILL: Final = {
    "market_position": "{{strategy.market_position}}",
    "market_position_size": "{{strategy.market_position_size}}",
    "prev_market_position": "{{strategy.prev_market_position}}",
    "prev_market_position_size": "{{strategy.prev_market_position_size}}",
    "order_id": "{{strategy.order.id}}",
    "signal_price": "{{strategy.order.price}}",
}
"""The chain of positions shows a lost alert, and tells two fills of one second apart."""
# `{{timenow}}`, not `{{time}}`: that is when the bar opened, and would make entries look too old.
_TIME: Final = {"time": "{{timenow}}"}
SIZED: Final = (Kind.LONG, Kind.SHORT, Kind.BUY, Kind.SELL, Kind.LIMIT)
FOR_STRATEGIES: Final = (Kind.STRATEGY, Kind.TARGET, Kind.DIRECTION)
_LIMIT: Final = {"action": "buy", "type": "limit", "price": "{{close}}", "time_in_force": "PostOnly"}
_EXAMPLE_MONEY: Final = {"qty": "100", "qty_unit": "quote"}
_PERCENT_SIZE: Final = re.compile(r"([\d.]+)\s*%", re.ASCII)
_MONEY_SIZE: Final = re.compile(r"([\d.]+)\s*(usdt|usdc|usd|\$)", re.ASCII | re.IGNORECASE)


def size_fields(text: str) -> dict[str, str]:
    """A size as people write it: `0.01` (coins), `1%` (of the equity) or `100 USDT`; what it is none of, as it is."""
    text = text.strip()
    if percent := _PERCENT_SIZE.fullmatch(text):
        return {"qty": percent[1], "qty_unit": "equity_pct"}
    if money := _MONEY_SIZE.fullmatch(text):
        return {"qty": money[1], "qty_unit": "quote"}
    return {"qty": text} if text else {}


_EXAMPLE_QTY: Final = "0.001"


def message(kind: Kind, *, has_default_size: bool = False) -> dict[str, str]:
    """The message's fields without the secret. `has_default_size`: entries need not bring a size."""
    if kind is Kind.HEARTBEAT:
        return {"action": kind.value, **_TIME}
    if kind is Kind.STRATEGY:
        own = {"action": "{{strategy.order.action}}", "qty": "{{strategy.order.contracts}}", **_STRATEGY_FILL}
    elif kind is Kind.TARGET:
        own = {"action": kind.value, **_STRATEGY_FILL}
    elif kind is Kind.DIRECTION:
        own = {"action": "target", **_STRATEGY_FILL, **({} if has_default_size else _EXAMPLE_MONEY)}
    elif kind is Kind.STOPS:
        own = {"action": kind.value, "stop_loss": "2%"}
    else:
        size = {"qty": _EXAMPLE_QTY} if kind in SIZED and not has_default_size else {}
        price = {} if kind is Kind.CANCEL else {"signal_price": "{{close}}"}
        own = {**(_LIMIT if kind is Kind.LIMIT else {"action": kind.value}), **size, **price}
    return {**_TICKER, **own, **_TIME}


def as_text(fields: Mapping[str, object]) -> str:
    """JSON, a field a line."""
    return json.dumps(fields, indent=2, ensure_ascii=False)
