"""The path that a symbol's last price took, by the minute, and candles of any length made of it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal

MINUTE_MS = 60_000
STORED_MS = 7 * 1440 * MINUTE_MS
"""So long a path is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candle:
    """`begins_ms`: Unix milliseconds."""

    begins_ms: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal

    def then(self, price: Decimal) -> Candle:
        """With one more price in it."""
        return replace(self, high=max(self.high, price), low=min(self.low, price), close=price)


def flat(begins_ms: int, price: Decimal) -> Candle:
    return Candle(begins_ms=begins_ms, open=price, high=price, low=price, close=price)


def traced(known: Candle | None, before: Decimal, price: Decimal, now_ms: int) -> Candle:
    """The minute of now, in which the price went from `before` to `price`. `known`: the last one that it moved in."""
    begins_ms = now_ms - now_ms % MINUTE_MS
    minute = known if known is not None and known.begins_ms == begins_ms else flat(begins_ms, before)
    return minute.then(price)


def candles_of(
    path: Iterable[Candle], *, span_ms: int, first_ms: int, last_ms: int, now: Decimal
) -> tuple[Candle, ...]:
    """A candle for each span from `first_ms` to `last_ms`, both of which begin one, the oldest first.

    `path`: minutes in which the price moved, in order, the last one before `first_ms` among them. Where it did not move
    a candle is flat, at the price before; `now`: the price of now, where nothing is known of the path.
    """
    made: dict[int, Candle] = {}
    before: Decimal | None = None
    begun: Decimal | None = None
    for minute in path:
        begun = minute.open if begun is None else begun
        if minute.begins_ms < first_ms:
            before = minute.close
            continue
        begins_ms = minute.begins_ms - minute.begins_ms % span_ms
        known = made.get(begins_ms)
        made[begins_ms] = replace(minute, begins_ms=begins_ms) if known is None else _joined(known, minute)
    price = before or begun or now
    found = []
    for begins_ms in range(first_ms, last_ms + 1, span_ms):
        candle = made.get(begins_ms) or flat(begins_ms, price)
        found.append(candle)
        price = candle.close
    return tuple(found)


def _joined(first: Candle, later: Candle) -> Candle:
    return replace(first, high=max(first.high, later.high), low=min(first.low, later.low), close=later.close)
