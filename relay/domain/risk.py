"""What a stop loss would cost, and what margin an entry takes: which entry price, stop and leverage they go by."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_UP, Context, Decimal

from relay.domain.instrument import Instrument
from relay.domain.intent import Intent
from relay.domain.levels import stop_price
from relay.domain.order import Reason, Side
from relay.domain.plan import Facts, Need
from relay.domain.rounding import plain
from relay.domain.signal import Action, Signal

_DOWN = Context(prec=28, rounding=ROUND_DOWN)
_UP = Context(prec=28, rounding=ROUND_UP)


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """The price that an entry is reckoned with, and its stop loss as it will be sent, on the grid."""

    entry: Decimal
    stop: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class References:
    """What an entry's levels count from until it has filled; None: no price is known."""

    for_stop: Decimal | None
    for_profit: Decimal | None


def references_of(intent: Intent, facts: Facts, side: Side) -> References:
    """Take profits count from the order's own price, else the exchange's mark price. `side`: the entry's.

    A limit price is only the worst that is taken: on the far side of the market the order fills at the market's price
    or, once it is triggered, at about its trigger price, and a stop between the two would be on the fill's wrong side.
    """
    own = intent.order_price
    for_profit = own or facts.price or facts.reference_price
    met = intent.signal.trigger_price if intent.signal.type.is_conditional else facts.price
    if own is None or met is None:
        return References(for_stop=for_profit, for_profit=for_profit)
    return References(for_stop=min(own, met) if side is Side.BUY else max(own, met), for_profit=for_profit)


def entry_side(signal: Signal, size: Decimal | None) -> Side | None:
    """On which side the signal would open, with the signed position `size`; None where it would not."""
    if signal.action is Action.REVERSE:
        return Side.towards(-size) if size else None
    if signal.action is Action.ADD:
        return Side.towards(size) if size else None
    if signal.action is Action.TARGET:
        sign = signal.strategy_sign
        return Side.towards(Decimal(sign)) if sign else None
    return signal.action.side


def entry_basis(intent: Intent, facts: Facts) -> Basis | Reason:
    """The price that the stop counts from; the alert's stop, else the default one."""
    level = intent.levels.stop_loss
    if level is None:
        return Reason(
            code="STOP_MISSING",
            message="a size by risk is what the stop loss would cost: "
            "put `stop_loss` into the alert, or set DEFAULT_STOP_LOSS",
        )
    side = entry_side(intent.signal, facts.size)
    if side is None:
        return Reason(code="POSITION_NONE", message="there is no position to reverse or to add to")
    if Need.PRICE in facts.unread:
        return facts.unread[Need.PRICE]
    entry, tick = references_of(intent, facts, side).for_stop, facts.instrument.tick_size
    assert entry is not None and entry > 0, "a size by risk needs a price"
    stop = stop_price(level, side=side, reference=entry, tick=tick)
    if stop <= 0 or (entry - stop) * side.sign <= 0:
        where = "below" if side is Side.BUY else "above"
        return Reason(
            code="STOP_WRONG_SIDE",
            message=f"stop_loss {plain(stop)} must be above zero and {where} the price {plain(entry)} "
            f"of a {side.value}",
        )
    return Basis(entry=entry, stop=stop)


def risked(money: Decimal, basis: Basis, instrument: Instrument) -> Decimal:
    """The quantity whose loss at the stop is `money`, in the settle coin; fees are left out.

    Inverse: a contract loses |1/entry - 1/stop| coins. Source: the exchange's help, "Inverse contract P&L".
    """
    distance = _UP.subtract(max(basis.entry, basis.stop), min(basis.entry, basis.stop))
    if not instrument.is_inverse:
        return _DOWN.divide(money, distance)
    product = _DOWN.multiply(basis.entry, basis.stop)
    return _DOWN.divide(_DOWN.multiply(money, product), distance)


def entry_leverage(intent: Intent, facts: Facts) -> Decimal | Reason:
    """The leverage that the entry will have: the alert's, else the default, else the one set at the exchange."""
    shown = facts.position.leverage if facts.position else None
    leverage = intent.leverage or shown
    if leverage is None:
        return Reason(
            code="LEVERAGE_MISSING",
            message="a size by margin needs the leverage, and the exchange shows none: "
            "put `leverage` into the alert, or set DEFAULT_LEVERAGE",
        )
    return leverage
