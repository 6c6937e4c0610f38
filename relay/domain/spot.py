"""What an alert means where coins are bought and sold: nothing is ever short, borrowed, or held on margin; and
which of the coins there are the relay's own."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Protocol

from relay.domain.instrument import Category, Instrument, TradedMarket
from relay.domain.order import Reason, Side, TriggerBy
from relay.domain.position import Fill, Position
from relay.domain.rules import Rules, ShortOnSpot
from relay.domain.signal import Action, MarketSide, QtyUnit, Signal

_ZERO = Decimal(0)
_UNITS = (QtyUnit.CONTRACTS, QtyUnit.MARGIN_PCT, QtyUnit.MARGIN_QUOTE)
_SHORT_IS_FLAT = "the strategy is short, and a spot market has no short side: nothing is to be held"
_SELL = "`sell`, `close` or `flat` sells the coins that are held"


def market_of(signal: Signal, rules: Rules) -> TradedMarket:
    """Of its instrument where that is known, else the alert's own word, else the strategy's."""
    return signal.category.market if signal.category is not None else signal.market or rules.market


def spot_problem(signal: Signal, rules: Rules) -> tuple[str, str] | None:
    """What an alert asks for that no spot market has: the field, and what is wrong with it; None if it is all there.

    An alert that only sells is refused for nothing but what says how much.
    """
    if market_of(signal, rules) is not TradedMarket.SPOT:
        return None
    if signal.action in (Action.SHORT, Action.REVERSE):
        return "action", f"`{signal.action}` needs a perpetual: in a spot market nothing can be short; {_SELL}"
    if signal.qty is not None and signal.qty_unit in _UNITS:
        return "qty_unit", f"`{signal.qty_unit}` is a size of perpetuals; a spot order's is `base`, `quote` or a share"
    if signal.reduce_only and signal.action in (Action.BUY, Action.LONG):
        return "reduce_only", f"is for perpetuals: in a spot market a `{signal.action}` only adds; {_SELL}"
    if signal.action is Action.SELL or signal.only_exits:
        return None
    if signal.leverage is not None:
        return "leverage", "is for perpetuals: in a spot market nothing is borrowed; leave it out"
    if signal.trailing_stop is not None:
        return "trailing_stop", "is for perpetuals: the exchange has none in its spot markets; use `stop_loss`"
    if signal.type.is_conditional and signal.trigger_by is not TriggerBy.LAST:
        return "trigger_by", "must be `last`: in a spot market the last price alone triggers"
    return None


def in_market(signal: Signal, rules: Rules) -> Signal:
    """The signal as it is planned: in a spot market a `sell` only sells what is held, and short means flat.

    Where the strategy refuses that, only the exit of what is held goes out (`short_refusal`). Repeated it is the same.
    """
    if market_of(signal, rules) is not TradedMarket.SPOT:
        return signal
    is_short = signal.strategy_sign == -1
    if is_short and rules.short is ShortOnSpot.FLAT:
        signal = replace(
            signal,
            market_position=MarketSide.FLAT,
            market_position_size=_ZERO,
            position_size=None,
            notes=(*signal.notes, _SHORT_IS_FLAT),
        )
    if signal.leverage is not None:
        signal = replace(signal, leverage=None, notes=(*signal.notes, "`leverage` ignored: nothing is borrowed here"))
    sells = signal.action is Action.SELL
    only_sells = sells and not (is_short and rules.short is ShortOnSpot.REFUSE)
    return replace(
        signal,
        reduce_only=only_sells or signal.reduce_only,
        frees_coins=sells or (signal.action is Action.BUY and signal.market_position is MarketSide.FLAT),
    )


def short_refusal(side: Side, instrument: Instrument) -> Reason | None:
    """Why nothing may be opened by a sale."""
    if not instrument.is_held or side is Side.BUY:
        return None
    message = f"{instrument.symbol} is a spot market, where nothing can be short"
    return Reason(code="DIRECTION_NOT_ALLOWED", message=message)


# The coins of a pair that are the relay's own: what its fills bought, less fees in that coin, less what they sold.


_FEE_MAX = Decimal("0.01")
"""No exchange takes a larger share: of what was sold down to dust, no fee is left to tell."""
SETTLED_MS = 10_000
"""So long after the last fill the account's balance may still lack it."""


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
        return Position(
            category=Category.SPOT,
            symbol=self.symbol,
            size=size,
            avg_price=self.avg_price if size else None,
            mark_price=price,
            unrealised_pnl=size * (price - self.avg_price) if size and price and self.avg_price else None,
            gross=size + self.fees if size else size,
            free=free,
        )


class ReadOwnCoins(Protocol):
    """By pair, which of an account's coins are the relay's own: the exchange knows no position of coins."""

    def __call__(self, lacking_at: Collection[str], *, asks: bool = True) -> Mapping[str, OwnCoins]:
        """`lacking_at`: pairs of whose coins the account has fewer, so that what rests to sell them may have done so.

        `asks`: the exchange is asked for what is not counted yet; else that is returned as `uncounted`.
        """
