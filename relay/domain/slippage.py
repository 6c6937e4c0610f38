"""What fills cost or saved against the price that an alert named. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Context, Decimal

from relay.domain.instrument import Category
from relay.domain.order import Side

_EXACT = Context(prec=40)
_SHOWN = Decimal("0.0001")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """`qty` in the exchange's unit: coins on linear, contracts of a USD on inverse."""

    category: Category
    side: Side
    qty: Decimal
    price: Decimal


def slippage_pct(fills: Iterable[Fill], signal_price: Decimal | None) -> Decimal | None:
    """Of the fills' average price from `signal_price`, in percent of it: above zero where it cost.

    None where there is no fill or no price. An average is by coins, which on inverse are contracts over price.
    """
    coins, cost = Decimal(0), Decimal(0)
    for fill in fills:
        weight = _EXACT.divide(fill.qty, fill.price) if fill.category is Category.INVERSE else fill.qty
        coins += weight
        if signal_price is not None:
            cost += _EXACT.multiply(weight, fill.price - signal_price) * fill.side.sign
    if not signal_price or not coins:
        return None
    return (_EXACT.divide(cost, coins * signal_price) * 100).quantize(_SHOWN)
