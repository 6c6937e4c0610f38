"""The smallest round of orders that proves the whole way to the exchange and back: what is sent, and what must follow.

Pure: from an instrument and a price to steps."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from relay.domain.instrument import Instrument, ceil_to, floor_to, plain
from relay.domain.order import OrderType, PlannedOrder, Purpose, Side
from relay.domain.position import Position

_DISTANCE = Decimal("0.05")
"""How far stops are from the price: far enough that none is reached within the seconds that this takes."""
_NOTIONAL_MARGIN = Decimal("1.1")
"""Above the least notional by so much, since the price moves between the steps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One order, and the position that must be there once it has filled."""

    name: str
    order: PlannedOrder
    size_after: Decimal
    take_profit_after: Decimal | None
    stop_loss_after: Decimal | None


def plan_smoke_trade(instrument: Instrument, price: Decimal) -> tuple[Step, ...]:
    """Open with stops, flip with stops, exit in part, close. From nothing open to nothing open.

    The flip leaves two lots, so that an exit in part leaves one that can still be closed by itself.
    """
    lot = smallest_order(instrument, price)
    above = ceil_to(price * (1 + _DISTANCE), instrument.tick_size)
    below = floor_to(price * (1 - _DISTANCE), instrument.tick_size)
    return (
        _step("entry with stops", instrument, 0, Side.BUY, lot, lot, take_profit=above, stop_loss=below),
        _step("flip with stops", instrument, 1, Side.SELL, 3 * lot, -2 * lot, take_profit=below, stop_loss=above),
        _step("exit in part", instrument, 2, Side.BUY, lot, -lot, take_profit=below, stop_loss=above, is_exit=True),
        _step("close", instrument, 3, Side.BUY, lot, Decimal(0), take_profit=None, stop_loss=None, is_exit=True),
    )


def smallest_order(instrument: Instrument, price: Decimal) -> Decimal:
    """The least quantity that the exchange takes at about this price, in its own unit."""
    worth_of_one = instrument.notional(Decimal(1), price)
    wanted = max(instrument.qty_min, instrument.notional_min * _NOTIONAL_MARGIN / worth_of_one)
    return ceil_to(wanted, instrument.qty_step)


def closing_order(instrument: Instrument, position: Position) -> PlannedOrder:
    """All of `position`, which is open, reduce-only: to clean up with."""
    return PlannedOrder(
        leg=9,
        category=instrument.category,
        symbol=instrument.symbol,
        side=Side.towards(-position.size),
        type=OrderType.MARKET,
        qty=abs(position.size),
        purpose=Purpose.EXIT,
        reduce_only=True,
    )


def differences(step: Step, position: Position) -> tuple[str, ...]:
    """What the exchange reports otherwise than it should be after the step; empty: all is as asked."""
    wanted = {
        "position": (step.size_after, position.size),
        "take profit": (step.take_profit_after, position.take_profit),
        "stop loss": (step.stop_loss_after, position.stop_loss),
    }
    return tuple(
        f"{name} is {_shown(found)} instead of {_shown(requested)}"
        for name, (requested, found) in wanted.items()
        if requested != found
    )


def _shown(value: Decimal | None) -> str:
    return "none" if value is None else plain(value)


def _step(
    name: str,
    instrument: Instrument,
    leg: int,
    side: Side,
    qty: Decimal,
    size_after: Decimal,
    *,
    take_profit: Decimal | None,
    stop_loss: Decimal | None,
    is_exit: bool = False,
) -> Step:
    """A reduce-only order cannot carry stops: the position's own stay until it is closed."""
    order = PlannedOrder(
        leg=leg,
        category=instrument.category,
        symbol=instrument.symbol,
        side=side,
        type=OrderType.MARKET,
        qty=qty,
        purpose=Purpose.EXIT if is_exit else Purpose.ENTRY if leg == 0 else Purpose.FLIP,
        reduce_only=is_exit,
        take_profit=None if is_exit else take_profit,
        stop_loss=None if is_exit else stop_loss,
    )
    return Step(name=name, order=order, size_after=size_after, take_profit_after=take_profit, stop_loss_after=stop_loss)
