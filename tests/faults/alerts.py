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
COINS_FEE = Decimal("0.01")
"""Of what is bought in a spot market, in coins: it leaves nothing below the step or the exchange's minimum."""
_COINS_NOTIONAL = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """One alert. `number` is in its `comment`; `size` is signed where the action has a direction.

    `symbol`: of a spot pair as the paper exchange's control has it, which is not that of its perpetual.
    """

    number: int
    symbol: str
    action: str
    size: Decimal
    body: bytes

    def ordered(self, p: Decimal) -> Decimal:
        """What it orders where the position is `p`, signed."""
        return self.size if self.action == "buy" else self.after(p) - p

    def after(self, p: Decimal) -> Decimal:
        """The position after it, when it was `p` before. Of coins it is what fees have left, and never below zero."""
        if is_spot(self.symbol) and self.action != "close":
            return p + self.size * (1 - COINS_FEE) if self.size > 0 else max(p + self.size, Decimal(0))
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


def is_spot(symbol: str) -> bool:
    return symbol.startswith("spot:")


def draw(count: int, dice: random.Random, *, is_mixed: bool = False) -> list[Shot]:
    """`count` alerts over all symbols, or over both markets of the coins that have two."""
    units = _units()
    if is_mixed:
        coins = {key: unit for key, unit in _units_of_coins().items() if key.removeprefix("spot:") in units}
        units = {symbol: unit for symbol, unit in units.items() if f"spot:{symbol}" in coins} | coins
    return [_shot(number, dice.choice(list(units)), units, dice) for number in range(count)]


def _units_of_coins() -> dict[str, Decimal]:
    known = {key: each for key, each in state.load().items() if each.is_spot and each.quote_coin == "USDT"}
    step = {key: each.qty_step / COINS_FEE for key, each in known.items()}
    return {key: ceil_to(_COINS_NOTIONAL / each.start_price, step[key]) for key, each in known.items()}


def _units() -> dict[str, Decimal]:
    known = [
        each
        for each in state.load().values()
        if each.category == Category.LINEAR and each.settle_coin == "USDT" and each.status == "Trading"
        if each.contract_type == "LinearPerpetual"
    ]
    return {each.symbol: ceil_to(_UNIT_NOTIONAL / each.start_price, each.qty_step) for each in known[:SYMBOLS_MAX]}


def _shot(number: int, symbol: str, units: dict[str, Decimal], dice: random.Random) -> Shot:
    weights = (50, 35, 0, 15, 0, 0) if is_spot(symbol) else (30, 30, 15, 10, 8, 7)
    action = dice.choices(("buy", "sell", "target", "close", "long", "short"), weights)[0]
    size = units[symbol] * dice.randint(1, 4 if is_spot(symbol) else 9)
    alert = {"secret": WEBHOOK_SECRET, "ticker": f"{symbol}.P", "action": action, "comment": str(number)}
    if is_spot(symbol):
        alert |= {"ticker": symbol.removeprefix("spot:"), "market": "spot"}
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
    is_exit = action == "close" or (action == "sell" and is_spot(symbol))
    body = json.dumps(alert | _identity(number, dice, is_exit=is_exit)).encode()
    return Shot(number=number, symbol=symbol, action=action, size=signed, body=body)


def _identity(number: int, dice: random.Random, *, is_exit: bool) -> dict[str, str]:
    """`id` and `time`, an `id` alone, or nothing but the body: an exit without any exits again behind another."""
    both, alone = {"id": f"shot-{number}", "time": datetime.now(UTC).isoformat()}, {"id": f"shot-{number}"}
    return dice.choice((both, alone) if is_exit else (both, alone, {}))
