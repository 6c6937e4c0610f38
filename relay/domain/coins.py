"""The coins of a pair that are the relay's own: what its fills bought, less fees in that coin, less what they sold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from relay.domain.instrument import Category
from relay.domain.order import Side
from relay.domain.position import Fill, Position

_FEE_MAX = Decimal("0.01")
"""No exchange takes a larger share: of what was sold down to dust, no fee is left to tell."""
SETTLED_MS = 10_000
"""So long after the last fill the account's balance may still lack it."""
_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnCoins:
    """By the relay's own fills alone: the owner's coins are never in it.

    `fees`: what was taken of the coins since nothing was held. `avg_price`: of the fills that bought.
    `moved_at_ms`: of the last fill, by the exchange's clock. `uncounted`: signed, what orders are told to have filled
    beyond the fills that are known; while it is not zero, `size` is not certain.
    """

    symbol: str
    size: Decimal = _ZERO
    fees: Decimal = _ZERO
    avg_price: Decimal | None = None
    moved_at_ms: int = 0
    uncounted: Decimal = _ZERO

    def after(self, fills: Sequence[Fill], side: Side) -> OwnCoins:
        """With these fills of one order."""
        now = self
        for fill in sorted(fills, key=lambda each: (each.at_ms, each.exec_id)):
            now = now._after(fill, side)
        return now

    def _after(self, fill: Fill, side: Side) -> OwnCoins:
        fee = fill.base_fee
        before, size = max(self.size, _ZERO), self.size + side.sign * fill.qty - fee
        fees, avg_price = self.fees + max(fee, _ZERO), self.avg_price
        if side is Side.BUY:
            avg_price = (before * (avg_price or fill.price) + fill.qty * fill.price) / (before + fill.qty)
        return replace(
            self,
            size=size,
            fees=min(fees, max(size, _ZERO) * _FEE_MAX),
            avg_price=avg_price if size > 0 else None,
            moved_at_ms=max(self.moved_at_ms, fill.at_ms),
        )

    def lacks(self, owned: Decimal | None, *, at_ms: int) -> bool:
        """Whether the account has less of the coin (`owned`, as told at `at_ms`) than this: some have left it, or were
        sold by a resting order that has not told its end yet."""
        return owned is not None and owned < self._size and at_ms > self.moved_at_ms + SETTLED_MS

    @property
    def _size(self) -> Decimal:
        """What has been sold certainly and is not counted yet is held no more."""
        return max(self.size + min(self.uncounted, _ZERO), _ZERO)

    def position(self, owned: Decimal | None, free: Decimal | None, price: Decimal | None, *, at_ms: int) -> Position:
        """As a position: long, and never more than the account has of the coin (`owned`, as told at `at_ms`)."""
        size = max(owned, _ZERO) if owned is not None and self.lacks(owned, at_ms=at_ms) else self._size
        has_pnl = size and price is not None and self.avg_price is not None
        return Position(
            category=Category.SPOT,
            symbol=self.symbol,
            size=size,
            avg_price=self.avg_price if size else None,
            mark_price=price,
            unrealised_pnl=size * (price - self.avg_price) if has_pnl and price and self.avg_price else None,
            gross=size + self.fees if size else size,
            free=free,
        )
