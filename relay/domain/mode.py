"""`mode = position`: the strategy's position is the target, whatever the alert's action says."""

from __future__ import annotations

from dataclasses import replace

from relay.domain.account import Mode, Rules
from relay.domain.order import Reason
from relay.domain.signal import Action, Signal

_FOLLOWED = (Action.BUY, Action.SELL, Action.LONG, Action.SHORT, Action.REVERSE)


def in_mode(signal: Signal, rules: Rules) -> Signal:
    """The signal as it is to be planned: in position mode, a `target` where it says where the strategy stands.

    The strategy's own size counts. A size of the user's own (the default one, or one in money or percent) gives the
    side only: the position is opened with it, and otherwise left as large as it is, but for the share that the
    strategy closes.
    """
    if rules.mode is not Mode.POSITION or not _says_where(signal) or signal.action not in _FOLLOWED:
        return signal
    return as_target(signal, rules)


def as_target(signal: Signal, rules: Rules) -> Signal:
    """`signal`, which says where the strategy stands, as the wish to stand there."""
    default = rules.default_size
    if signal.qty is None and default is not None:
        return replace(signal, action=Action.TARGET, qty=default.qty, qty_unit=default.unit, is_side_only=True)
    unit = signal.qty_unit or rules.size_unit
    if signal.qty is not None and unit is not None and not unit.is_absolute:
        return replace(signal, action=Action.TARGET, is_side_only=True)
    return replace(signal, action=Action.TARGET, qty=None)


def mode_refusal(signal: Signal, rules: Rules) -> Reason | None:
    """Why the signal may open nothing in position mode; what it exits, it exits."""
    if rules.mode is not Mode.POSITION or signal.action.is_close or _says_where(signal):
        return None
    return Reason(
        code="POSITION_MISSING",
        message="the strategy runs with mode = position, and the alert does not say where the strategy stands; add "
        '"market_position": "{{strategy.market_position}}" and '
        '"market_position_size": "{{strategy.market_position_size}}"',
    )


def is_strategys(signal: Signal) -> bool:
    """Whether the alert follows a strategy, and says where that stands afterwards."""
    return _says_where(signal) and signal.action in (Action.BUY, Action.SELL, Action.TARGET)


def sizes_are_own(signal: Signal, *, is_own: bool) -> bool:
    """Whether only the side of the strategy's position can be compared with the account's."""
    is_users_target = signal.action is Action.TARGET and signal.qty is not None
    return is_own or is_users_target or signal.strategy_size is None


def _says_where(signal: Signal) -> bool:
    return signal.strategy_sign is not None and not signal.has_synthetic_position
