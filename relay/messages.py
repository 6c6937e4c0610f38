"""Messages to paste into TradingView, with every placeholder that tells repeats, gaps and slippage."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """`strategy` and `target` are for a strategy's alert; all others for an indicator's or a price alert."""

    STRATEGY = "strategy"
    TARGET = "target"
    LONG = "long"
    SHORT = "short"
    CLOSE = "close"
    BUY = "buy"
    SELL = "sell"
    REVERSE = "reverse"
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
SIZED: Final = (Kind.LONG, Kind.SHORT, Kind.BUY, Kind.SELL)
FOR_STRATEGIES: Final = (Kind.STRATEGY, Kind.TARGET)
_EXAMPLE_QTY: Final = "0.001"


def message(kind: Kind, *, has_default_size: bool = False) -> dict[str, str]:
    """The message's fields without the secret. `has_default_size`: entries need not bring a size."""
    if kind is Kind.HEARTBEAT:
        return {"action": kind.value, **_TIME}
    if kind is Kind.STRATEGY:
        own = {"action": "{{strategy.order.action}}", "qty": "{{strategy.order.contracts}}", **_STRATEGY_FILL}
    elif kind is Kind.TARGET:
        own = {"action": kind.value, **_STRATEGY_FILL}
    else:
        size = {"qty": _EXAMPLE_QTY} if kind in SIZED and not has_default_size else {}
        price = {} if kind is Kind.CANCEL else {"signal_price": "{{close}}"}
        own = {"action": kind.value, **size, **price}
    return {**_TICKER, **own, **_TIME}


def as_text(fields: Mapping[str, str]) -> str:
    """JSON, a field a line."""
    return json.dumps(fields, indent=2, ensure_ascii=False)
