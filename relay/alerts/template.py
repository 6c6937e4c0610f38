"""An alert's template, with TradingView's placeholders still in it: filled with what they would plausibly say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import partial

from relay.domain.instrument import plain

_PLACEHOLDER = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")
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
    return _PLACEHOLDER.search(text) is not None


def of_strategy(text: str) -> bool:
    """Whether it says what a strategy does, so that it means nothing without a move of the strategy's."""
    return any(found.startswith(_STRATEGYS) for found in _PLACEHOLDER.findall(text))


def filled(text: str, *, size: Decimal, price: Decimal, now: datetime, ticker: str = TICKER) -> tuple[Filled, ...]:
    """`text` once for each of the scenarios. `size`: the strategy's; `price`: the market's; `now` is aware UTC."""
    common = _chart(price, now, ticker)
    found = []
    for scenario, move in _MOVES.items():
        values = common | _fill(move, size, price)
        filled_in = _PLACEHOLDER.sub(partial(_value, values=values, price=price), text)
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
