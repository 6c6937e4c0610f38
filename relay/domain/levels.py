"""Where a take profit or a stop loss stands: at a price, or at a distance that counts from the entry."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from relay.domain.account import Rules
from relay.domain.order import Reason, Side
from relay.domain.rounding import ceil_to, floor_to, plain
from relay.domain.signal import Level, LevelKind, Signal, TakeProfit

_PERCENT = Decimal(100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """What an entry's alert, or else its strategy's defaults, say of protecting the position."""

    stop_loss: Level | None = None
    take_profits: tuple[TakeProfit, ...] = ()
    trailing_stop: Level | None = None
    trailing_start: Level | None = None

    @property
    def is_empty(self) -> bool:
        return self == _NONE

    @property
    def is_ladder(self) -> bool:
        """Its take profits rest as orders of their own; else the one there is belongs to the whole position."""
        return len(self.take_profits) > 1 or any(
            each.share_pct != _PERCENT or each.moves_stop_to_entry for each in self.take_profits
        )

    @property
    def whole_profit(self) -> Level | None:
        """The one take profit of the whole position, which rides on the entry."""
        return self.take_profits[0].at if self.take_profits and not self.is_ladder else None


_NONE = Levels()


def levels_of(signal: Signal, rules: Rules) -> Levels:
    """The signal's own levels; where it brings none of a kind, the strategy's default one."""
    default = rules.default_take_profit
    return Levels(
        stop_loss=signal.stop_loss or rules.default_stop_loss,
        take_profits=signal.take_profits or ((TakeProfit(at=default),) if default else ()),
        trailing_stop=signal.trailing_stop,
        trailing_start=signal.trailing_start,
    )


def level_price(level: Level, *, side: Side, reference: Decimal, is_stop: bool) -> Decimal:
    """The level as a price, not rounded. `side`: of the position, buy for a long one.

    `reference`: what distances count from. A distance without a sign lies on its field's natural side: a stop loss
    (`is_stop`) towards loss, a take profit towards profit.
    """
    if level.kind is LevelKind.PRICE:
        return level.value
    away = level.value if level.sign_given else abs(level.value) * (-1 if is_stop else 1)
    if level.kind is LevelKind.PERCENT:
        away = reference * away / _PERCENT
    return reference + side.sign * away


def stop_price(level: Level, *, side: Side, reference: Decimal, tick: Decimal) -> Decimal:
    """A stop loss on the price grid, away from the position: never nearer than was asked."""
    price = level_price(level, side=side, reference=reference, is_stop=True)
    return floor_to(price, tick) if side is Side.BUY else ceil_to(price, tick)


def profit_price(level: Level, *, side: Side, reference: Decimal, tick: Decimal) -> Decimal:
    """A take profit on the price grid, away from the taker: never less than was asked."""
    price = level_price(level, side=side, reference=reference, is_stop=False)
    return ceil_to(price, tick) if side is Side.BUY else floor_to(price, tick)


def trail_distance(level: Level, *, reference: Decimal, tick: Decimal) -> Decimal:
    """How far a trailing stop follows, in price: at least one tick, rounded away from the position."""
    distance = reference * level.value / _PERCENT if level.kind is LevelKind.PERCENT else level.value
    return max(ceil_to(abs(distance), tick), tick)


def wrong_side(
    levels: Levels, *, side: Side, reference: Decimal, tick: Decimal, price: Decimal | None = None
) -> Reason | None:
    """Why the exchange would refuse the levels of a position on `side`, whose price is `price`.

    `price` None: it is the `reference` itself.
    """
    price = price or reference
    stop = levels.stop_loss
    stands = [("stop_loss", stop_price(stop, side=side, reference=reference, tick=tick), -side.sign)] if stop else []
    for each in levels.take_profits:
        stands.append(("take_profit", profit_price(each.at, side=side, reference=reference, tick=tick), side.sign))
    for name, stand, sign in stands:
        # A level that rounds to zero would be sent as no level at all.
        if (stand - price) * sign <= 0 or stand < tick:
            where = "below" if sign < 0 else "above"
            message = f"{name} {plain(stand)} must be {where} the price {plain(price)} of a {side.value}"
            return Reason(code="STOP_WRONG_SIDE", message=message)
    return None
