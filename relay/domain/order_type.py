"""A strategy's own order type, for entries whose alert names none."""

from __future__ import annotations

from dataclasses import replace

from relay.domain.account import Rules
from relay.domain.order import OrderType, Reason
from relay.domain.signal import Action, Signal

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
