"""What a signal's fields bear on: where it says the strategy stands, and which sizes have a part in its orders."""

from __future__ import annotations

from decimal import Decimal

from relay.domain.order import Side
from relay.domain.signal import Action, MarketSide, Signal


def strategy_sign(signal: Signal) -> int | None:
    """The side on which the strategy stands after the alert: 1, -1, 0 for flat; None where the alert does not say."""
    if signal.market_position is not None:
        return signal.market_position.sign
    size = signal.position_size
    return None if size is None else (size > 0) - (size < 0)


def strategy_size(signal: Signal) -> Decimal | None:
    """The size of the strategy's own position after the alert, without sign, as the alert has it."""
    if signal.market_position_size is not None or signal.position_size is None:
        return signal.market_position_size
    return abs(signal.position_size)


def only_exits(signal: Signal) -> bool:
    """Whether the signal opens nothing, whatever is open."""
    if signal.action.is_close or signal.reduce_only:
        return True
    if signal.action is Action.TARGET:
        return strategy_sign(signal) == 0
    market = signal.market_position
    return signal.action in (Action.BUY, Action.SELL) and market is not None and market.sign != side_of(signal).sign


def depends_on_qty(signal: Signal, *, is_own: bool) -> bool:
    """Whether the alert's size, or the default one, has a part in what is ordered."""
    action = signal.action
    if action in (Action.FLAT, Action.EXIT):
        return False
    if action.is_close or action is Action.REVERSE:
        return signal.qty is not None
    if action is Action.TARGET:
        return signal.qty is not None and strategy_sign(signal) != 0
    if signal.market_position is None or action in (Action.LONG, Action.SHORT, Action.ADD):
        return True
    if signal.market_position is MarketSide.FLAT:
        return False
    return signal.market_position.sign == side_of(signal).sign or not is_own


def depends_on_strategy_size(signal: Signal, *, is_own: bool) -> bool:
    """Whether the size of the strategy's own position has a part in what is ordered, other than as a share."""
    if signal.action is Action.TARGET:
        return signal.qty is None and strategy_sign(signal) != 0
    if signal.action not in (Action.BUY, Action.SELL) or signal.market_position is None or is_own:
        return False
    return signal.market_position.sign == side_of(signal).sign


def side_of(signal: Signal) -> Side:
    """The side that the action names; it has one."""
    side = signal.action.side
    assert side is not None, f"{signal.action} has no side"
    return side
