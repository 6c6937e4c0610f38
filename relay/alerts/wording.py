"""How problems are worded for people, and alerts as messages to paste into TradingView, with its placeholders."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import partial
from typing import Final

from relay.domain.instrument import plain

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


# An alert's template, with TradingView's placeholders still in it: filled with what they would plausibly say.


_NAMED_PLACEHOLDER = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")
_STRATEGYS = "strategy."
_PLOT = "plot"
TICKER = "BTCUSDT.P"


class Scenario(StrEnum):
    """What a strategy does between one alert and the next."""

    ENTRY = "entry"
    ADD = "add"
    PARTIAL = "partial exit"
    REVERSAL = "reversal"
    FLAT = "flat"


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionChange:
    """A strategy's fill, in signed multiples of its size: `before` and `after` it."""

    before: Decimal
    after: Decimal


_HALF = Decimal("0.5")
_MOVES = {
    Scenario.ENTRY: PositionChange(before=Decimal(0), after=Decimal(1)),
    Scenario.ADD: PositionChange(before=Decimal(1), after=1 + _HALF),
    Scenario.PARTIAL: PositionChange(before=Decimal(2), after=Decimal(1)),
    Scenario.REVERSAL: PositionChange(before=Decimal(1), after=Decimal(-1)),
    Scenario.FLAT: PositionChange(before=Decimal(1), after=Decimal(0)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """The message as it would arrive. `before`: the signed position then, in the exchange's unit."""

    scenario: Scenario
    before: Decimal
    text: str


def is_template(text: str) -> bool:
    """Whether TradingView has something to replace in it."""
    return _NAMED_PLACEHOLDER.search(text) is not None


def of_strategy(text: str) -> bool:
    """Whether it says what a strategy does, so that it means nothing without a move of the strategy's."""
    return any(found.startswith(_STRATEGYS) for found in _NAMED_PLACEHOLDER.findall(text))


def filled(text: str, *, size: Decimal, price: Decimal, now: datetime, ticker: str = TICKER) -> tuple[Filled, ...]:
    """`text` once for each of the scenarios. `size`: the strategy's; `price`: the market's; `now` is aware UTC."""
    common = _chart(price, now, ticker)
    found = []
    for scenario, move in _MOVES.items():
        values = common | _fill(move, size, price)
        filled_in = _NAMED_PLACEHOLDER.sub(partial(_value, values=values, price=price), text)
        found.append(Filled(scenario=scenario, before=move.before * size, text=filled_in))
    return tuple(found)


def _value(found: re.Match[str], *, values: Mapping[str, str], price: Decimal) -> str:
    """A placeholder that TradingView does not know stays as it is, as it would there."""
    name = found[1]
    return plain(price) if name.startswith(_PLOT) else values.get(name, found[0])


def _chart(price: Decimal, now: datetime, ticker: str) -> dict[str, str]:
    at_price = dict.fromkeys(("open", "high", "low", "close"), plain(price))
    return at_price | {
        "ticker": ticker,
        "exchange": "BYBIT",
        "volume": "1234.5",
        "time": _as_time(now - timedelta(hours=1)),
        "timenow": _as_time(now),
        "interval": "60",
        "syminfo.currency": "USDT",
        "syminfo.basecurrency": ticker.partition("USDT")[0],
    }


def _as_time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _fill(move: PositionChange, size: Decimal, price: Decimal) -> dict[str, str]:
    before, after = move.before * size, move.after * size
    words = {
        "order.action": "buy" if after > before else "sell",
        "order.contracts": plain(abs(after - before)),
        "order.price": plain(price),
        "order.id": "Long" if after > 0 else "Short" if after < 0 else "Close",
        "order.comment": "",
        "order.alert_message": "",
        "position_size": plain(after),
        "market_position": _side(after),
        "market_position_size": plain(abs(after)),
        "prev_market_position": _side(before),
        "prev_market_position_size": plain(abs(before)),
    }
    return {f"{_STRATEGYS}{name}": value for name, value in words.items()}


def _side(size: Decimal) -> str:
    return "long" if size > 0 else "short" if size < 0 else "flat"
