"""The rules by which a strategy's signals are planned on an account: its limits, defaults and modes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import time
from decimal import Decimal
from enum import StrEnum

from relay.domain.instrument import TradedMarket
from relay.domain.order import IfPassed, OrderType, Reason
from relay.domain.signal import Action, Level, QtyUnit, Signal


class Direction(StrEnum):
    """On which side a strategy may open."""

    BOTH = "both"
    LONG_ONLY = "long_only"
    SHORT_ONLY = "short_only"


class Mode(StrEnum):
    """`order`: each alert is an order. `position`: the alert's market position is the target, whatever its action."""

    ORDER = "order"
    POSITION = "position"


class ShortOnSpot(StrEnum):
    """What a strategy's short side means where coins are held: nothing is held, or it is refused."""

    FLAT = "flat"
    REFUSE = "refuse"


class BreakevenPassed(StrEnum):
    """What becomes of a position whose stop is to go to the entry once the price has passed the entry."""

    TELL = "tell"
    CLOSE = "close"


class Drift(StrEnum):
    """What is done when the account's position is not the strategy's."""

    WARN = "warn"
    HEAL = "heal"


@dataclass(frozen=True, slots=True, kw_only=True)
class DefaultSize:
    """For entries that bring no size of their own."""

    qty: Decimal
    unit: QtyUnit


@dataclass(frozen=True, slots=True, kw_only=True)
class TradingHours:
    """When entries may go out: from `opens` to before `closes` on `weekdays` (Monday is 0) in the zone's local time.

    `closes` at or before `opens` is on the next day, so `opens == closes` is a whole day. `zone`: an IANA name.
    """

    zone: str
    weekdays: frozenset[int]
    opens: time
    closes: time


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """A strategy's limits on one account, which hold back entries only, and its defaults.

    None means no limit. Notionals: quote coin; exposure and losses: USD, with stable coins at par.
    """

    no_entries: str | None = None
    """Why no entry may go out at all: the strategy is not, or no longer, one of this account's. None if they may."""
    allowed_symbols: frozenset[str] | None = None
    max_order_notional: Decimal | None = None
    max_position_notional: Decimal | None = None
    max_exposure: Decimal | None = None
    """The worth of all the account's positions and of what rests to open or add to them."""
    max_positions: int | None = None
    """How many symbols may have an open position, those with resting entries counted."""
    max_leverage: Decimal | None = None
    max_entries_per_minute: int | None = None
    daily_loss_limit: Decimal | None = None
    """Realised and unrealised since 00:00 UTC; once it is reached no entry until tomorrow."""
    hours: tuple[tuple[TradingHours, ...], ...] | None = None
    """Entries only while of each of these groups, the strategy's and the account's, one period is open."""
    cooldown_s: int | None = None
    """No entry on a symbol for so long after a stop loss has closed it."""
    max_distance_pct: Decimal | None = None
    """How far the alert's `signal_price` may be from the market."""
    market: TradedMarket = TradedMarket.PERPETUAL
    """What its tickers mean where an alert does not say it."""
    short: ShortOnSpot = ShortOnSpot.FLAT
    direction: Direction = Direction.BOTH
    mode: Mode = Mode.ORDER
    drift: Drift = Drift.WARN
    if_passed: IfPassed = IfPassed.DENY
    breakeven_passed: BreakevenPassed = BreakevenPassed.TELL
    signal_max_age_s: int = 60
    default_size: DefaultSize | None = None
    default_type: OrderType = OrderType.MARKET
    default_leverage: Decimal | None = None
    default_stop_loss: Level | None = None
    default_take_profit: Level | None = None
    levels_any_distance: bool = False
    """An alert's levels may be prices that lie more than half the market's price from it."""
    size_unit: QtyUnit | None = None
    """What a bare `qty` means; None means coins on linear; on inverse the alert must name a unit."""
    subtract_exit: bool | None = None
    """Of TradersPost's reversals: whether their quantity holds the exit, too; None: not said, so nothing is opened."""
    size_scale_pct: Decimal = Decimal(100)
    """This account takes so much of every size that the alert or the default names; `position_pct` is not scaled."""


# A strategy's own order type, for entries whose alert names none.


_ORDERS = (Action.BUY, Action.SELL, Action.LONG, Action.SHORT, Action.REVERSE, Action.TARGET)


def with_default_type(signal: Signal, rules: Rules) -> Signal:
    """The signal with the strategy's order type, at the price that the alert measures slippage against.

    An alert that only exits goes out at market: an exit that waits for its price may never come.
    """
    if not _takes_default(signal, rules) or signal.signal_price is None:
        return signal
    return replace(signal, type=rules.default_type, price=signal.signal_price)


def type_refusal(signal: Signal, rules: Rules) -> Reason | None:
    """Why the strategy's limit order cannot be placed; None where it can be, or none is asked for."""
    if not _takes_default(signal, rules) or signal.signal_price is not None or signal.type.has_limit:
        return None
    return Reason(
        code="PRICE_MISSING",
        message="the strategy's order_type is limit and the alert names no price; "
        'add "signal_price": "{{close}}" (or "{{strategy.order.price}}"), or "type": "market"',
    )


def _takes_default(signal: Signal, rules: Rules) -> bool:
    wants = rules.default_type is OrderType.LIMIT and not signal.names_type
    return wants and signal.action in _ORDERS and not signal.only_exits
