"""A strategy's run as TradingView sends it: pyramiding, partial exits, reversals, and sizes with a float's noise."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

LOT = 0.001
_BEGAN = datetime.now(UTC) - timedelta(minutes=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """One alert of the run. `position`: the strategy's, signed and in whole lots, after it."""

    alert: dict[str, str]
    position: int

    @property
    def size(self) -> Decimal:
        """Signed, in coins, without the noise."""
        return Decimal(self.position) * Decimal("0.001")


def run_of(count: int, seed: int) -> list[Fill]:
    """`count` fills in a row from flat. TradingView adds up floats, so its sizes are not whole lots."""
    chance = random.Random(seed)  # noqa: S311 - a fixed seed, and nothing secret
    fills: list[Fill] = []
    lots, noisy = 0, 0.0
    for number in range(count):
        change = _next_change(chance, lots)
        before, before_noisy = lots, noisy
        lots += change
        noisy = sum([change * LOT], noisy) if lots else 0.0
        fills.append(Fill(alert=_alert(number, change, before, before_noisy, lots, noisy), position=lots))
    return fills


def _next_change(chance: random.Random, lots: int) -> int:
    """Signed lots: an entry where it is flat; else more, less, out, or over to the other side."""
    if lots == 0:
        return chance.choice([-1, 1]) * chance.randint(20, 60)
    side = 1 if lots > 0 else -1
    size = abs(lots)
    kind = chance.choices(["add", "reduce", "exit", "reverse"], [35, 35, 15, 15])[0]
    if kind == "add" and size < 300:
        return side * chance.randint(10, 40)
    if kind == "reduce" and size > 20:
        return -side * chance.randint(5, size - 10)
    if kind == "reverse":
        return -side * (size + chance.randint(20, 60))
    return -lots


def _alert(
    number: int, change: int, before: int, before_noisy: float, after: int, after_noisy: float
) -> dict[str, str]:
    return {
        "ticker": "BTCUSDT.P",
        "action": "buy" if change > 0 else "sell",
        "qty": repr(abs(change) * LOT),
        "market_position": _side(after),
        "market_position_size": repr(abs(after_noisy)),
        "prev_market_position": _side(before),
        "prev_market_position_size": repr(abs(before_noisy)),
        "order_id": "entry" if after else "exit",
        "time": (_BEGAN + timedelta(milliseconds=number)).isoformat(),
    }


def _side(lots: int) -> str:
    return "flat" if lots == 0 else "long" if lots > 0 else "short"
