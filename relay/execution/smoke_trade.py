"""The smoke trade: the smallest round of orders that proves the whole way to the exchange and back.

First, pure, what is sent and what must follow; then carrying it out, each step compared with what the exchange shows.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from relay.domain.instrument import Instrument, ceil_to, floor_to, plain
from relay.domain.order import (
    Accepted,
    NotSent,
    OrderRejected,
    OrderStatus,
    OrderType,
    PlannedOrder,
    Purpose,
    RequestSignature,
    Side,
    Unknown,
)
from relay.domain.position import OrderReport, Position
from relay.errors import ExchangeAnswered, ExchangeUnreachable, RelayError
from relay.execution.ports import ExchangePort

_DISTANCE = Decimal("0.05")
"""How far stops are from the price: far enough that none is reached within the seconds that this takes."""
_NOTIONAL_MARGIN = Decimal("1.1")
"""Above the least notional by so much, since the price moves between the steps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SmokeTradeStep:
    """One order, and the position that must be there once it has filled."""

    name: str
    order: PlannedOrder
    size_after: Decimal
    take_profit_after: Decimal | None
    stop_loss_after: Decimal | None


def plan_smoke_trade(instrument: Instrument, price: Decimal) -> tuple[SmokeTradeStep, ...]:
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


def differences(step: SmokeTradeStep, position: Position) -> tuple[str, ...]:
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
) -> SmokeTradeStep:
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
    return SmokeTradeStep(
        name=name, order=order, size_after=size_after, take_profit_after=take_profit, stop_loss_after=stop_loss
    )


PREFIX = "check-"
"""Of these orders' ids: no signal's order begins so."""
_END_S = 10.0
"""How long an order may take to fill, and the position to show it."""
_POLL_S = 0.1
_CLOSE_TRIES = 3


class SmokeTradeImpossible(RelayError):
    """The smoke trade cannot begin; nothing was ordered."""


class _StepFailed(Exception):
    """Why a step did not come to what it should have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """What one step came to. `message` is for people."""

    name: str
    passed: bool
    message: str


class SmokeTrade:
    """One run on one symbol."""

    def __init__(
        self, exchange: ExchangePort, instrument: Instrument, *, wait: Callable[[float], object] = time.sleep
    ) -> None:
        """`wait`: seconds."""
        self._exchange = exchange
        self._instrument = instrument
        self._wait = wait
        self._run = secrets.token_hex(8)

    def run(self) -> Iterator[StepResult]:
        """Each step as it ends, up to the first that fails. Raises SmokeTradeImpossible before anything is ordered."""
        steps = plan_smoke_trade(self._instrument, self._require_nothing_open())
        is_clean = False
        try:
            for step in steps:
                result = self._take(step)
                yield result
                if not result.passed:
                    break
            else:
                is_clean = True
        finally:
            if not is_clean:
                cleaned = self._clean_up()
        if not is_clean:
            yield cleaned

    def _require_nothing_open(self) -> Decimal:
        """The price, of a symbol where nothing is open: else the smoke trade's own position could not be told apart."""
        where = {"category": self._instrument.category, "symbol": self._instrument.symbol}
        try:
            position = self._exchange.position(**where)  # type: ignore[arg-type]
            orders = self._exchange.open_orders(**where)  # type: ignore[arg-type]
            price = self._exchange.price(**where)  # type: ignore[arg-type]
        except (ExchangeUnreachable, ExchangeAnswered) as error:
            raise SmokeTradeImpossible(f"nothing was ordered: {error}") from error
        symbol = self._instrument.symbol
        if position.is_hedge:
            raise SmokeTradeImpossible(
                f"nothing was ordered: {symbol} is in hedge mode, and the relay orders in one-way mode"
            )
        if position.size or orders:
            raise SmokeTradeImpossible(
                f"nothing was ordered: a position or an order of {symbol} is open; name another symbol with --symbol"
            )
        return price

    def _take(self, step: SmokeTradeStep) -> StepResult:
        try:
            report = self._send(step.order)
            position = self._settled(step)
        except _StepFailed as failure:
            return StepResult(name=step.name, passed=False, message=str(failure))
        except (ExchangeUnreachable, ExchangeAnswered) as error:
            return StepResult(name=step.name, passed=False, message=str(error))
        return StepResult(name=step.name, passed=True, message=_reported(step, report, position))

    def _send(self, order: PlannedOrder) -> OrderReport:
        """The order once it has ended, filled. Raises _StepFailed."""
        client_order_id, signature = f"{PREFIX}{self._run}-{order.leg}", self._exchange.signature()
        came_to = self._exchange.place(
            order, client_order_id=client_order_id, signature=signature, is_exit=order.reduce_only
        )
        match came_to:
            case OrderRejected():
                raise _StepFailed(f"the exchange answered {came_to.code}: {came_to.words}")
            case NotSent():
                raise _StepFailed(f"not sent: {came_to.why}")
            case Accepted() | Unknown():
                report = self._ended(client_order_id, signature)
        if report is None:
            raise _StepFailed("the order did not reach the exchange")
        if report.status is not OrderStatus.FILLED:
            raise _StepFailed(f"the order ended as {report.status} with {plain(report.filled_qty)} filled")
        return report

    def _ended(self, client_order_id: str, signature: RequestSignature) -> OrderReport | None:
        """Returns None if it is not found by a look-up begun after the request could no longer arrive."""
        where = {"category": self._instrument.category, "symbol": self._instrument.symbol}
        until = time.monotonic() + _END_S
        while True:
            is_last = time.monotonic() > until and self._exchange.now_ms() > signature.dead_at_ms
            report = self._exchange.look_up(**where, client_order_id=client_order_id)  # type: ignore[arg-type]
            if is_last or (report is not None and report.status.is_ended):
                return report
            self._wait(_POLL_S)

    def _settled(self, step: SmokeTradeStep) -> Position:
        """The position once it is as the step wants it. Raises _StepFailed."""
        until = time.monotonic() + _END_S
        while True:
            position = self._position()
            wrong = differences(step, position)
            if not wrong:
                return position
            if time.monotonic() > until:
                raise _StepFailed("; ".join(wrong))
            self._wait(_POLL_S)

    def _position(self) -> Position:
        return self._exchange.position(category=self._instrument.category, symbol=self._instrument.symbol)

    def _clean_up(self) -> StepResult:
        why = "it was tried again and again"
        for attempt in range(_CLOSE_TRIES):
            try:
                position = self._position()
                if position.size == 0:
                    return StepResult(name="clean up", passed=True, message="nothing is open any more")
                order = closing_order(self._instrument, position)
                came_to = self._exchange.place(
                    order,
                    client_order_id=f"{PREFIX}{self._run}-c{attempt}",
                    signature=self._exchange.signature(),
                    is_exit=True,
                )
                why = getattr(came_to, "words", None) or getattr(came_to, "why", None) or why
            except (ExchangeUnreachable, ExchangeAnswered) as error:
                why = str(error)
            self._wait(1.0)
        return self._left(why)

    def _left(self, why: str) -> StepResult:
        try:
            if self._position().size == 0:
                return StepResult(name="clean up", passed=True, message="nothing is open any more")
        except (ExchangeUnreachable, ExchangeAnswered) as error:
            why = str(error)
        return StepResult(
            name="clean up",
            passed=False,
            message=f"CLOSE THE POSITION OF {self._instrument.symbol} BY HAND: it could not be closed ({why})",
        )


def _reported(step: SmokeTradeStep, report: OrderReport, position: Position) -> str:
    price = f" at {plain(report.avg_price)}" if report.avg_price is not None else ""
    stops = [
        f"{name} {plain(value)}"
        for name, value in (("take profit", position.take_profit), ("stop loss", position.stop_loss))
        if value is not None
    ]
    now = f"position {plain(position.size)}" if position.size else "nothing is open"
    return f"{step.order.side} {plain(report.filled_qty)}{price}; {', '.join([now, *stops])}: as asked"
