"""Random alerts for the chaos, and what the positions must be if all of them take effect once and in order."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from relay.domain.instrument import Category, ceil_to, plain
from relay.paper import state
from tests.relay_process import WEBHOOK_SECRET

SYMBOLS_MAX = 20
_UNIT_NOTIONAL = 20
"""What the smallest size is worth in USDT: above the exchange's minimum, and many fit into the balance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """One alert. `number` is in its `comment`; `size` is signed where the action has a direction."""

    number: int
    symbol: str
    action: str
    size: Decimal
    body: bytes

    def after(self, p: Decimal) -> Decimal:
        """The position after it, when it was `p` before."""
        match self.action:
            case "buy" | "sell":
                return p + self.size
            case "target":
                return self.size
            case "close":
                return Decimal(0)
            case "long":
                return max(p, self.size)
            case "short":
                return min(p, self.size)
        raise AssertionError(self.action)


def draw(count: int, dice: random.Random) -> list[Shot]:
    """`count` alerts over all symbols."""
    units = _units()
    return [_shot(number, dice.choice(list(units)), units, dice) for number in range(count)]


def _units() -> dict[str, Decimal]:
    known = [
        each
        for each in state.load().values()
        if each.category == Category.LINEAR and each.settle_coin == "USDT" and each.status == "Trading"
        if each.contract_type == "LinearPerpetual"
    ]
    return {each.symbol: ceil_to(_UNIT_NOTIONAL / each.start_price, each.qty_step) for each in known[:SYMBOLS_MAX]}


def _shot(number: int, symbol: str, units: dict[str, Decimal], dice: random.Random) -> Shot:
    action = dice.choices(("buy", "sell", "target", "close", "long", "short"), (30, 30, 15, 10, 8, 7))[0]
    size = units[symbol] * dice.randint(1, 9)
    alert = {"secret": WEBHOOK_SECRET, "ticker": f"{symbol}.P", "action": action, "comment": str(number)}
    match action:
        case "target":
            side = dice.choice(("long", "short"))
            alert |= {"market_position": side, "market_position_size": plain(size)}
            signed = size if side == "long" else -size
        case "close":
            signed = Decimal(0)
        case _:
            alert |= {"qty": plain(size)}
            signed = size if action in ("buy", "long") else -size
    body = json.dumps(alert | _identity(number, dice, is_exit=action == "close")).encode()
    return Shot(number=number, symbol=symbol, action=action, size=signed, body=body)


def _identity(number: int, dice: random.Random, *, is_exit: bool) -> dict[str, str]:
    """`id` and `time`, an `id` alone, or nothing but the body: a `close` without any closes again behind another."""
    both, alone = {"id": f"shot-{number}", "time": datetime.now(UTC).isoformat()}, {"id": f"shot-{number}"}
    return dice.choice((both, alone) if is_exit else (both, alone, {}))
