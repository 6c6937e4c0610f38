"""Carry out the smoke trade: a handful of the smallest orders, each compared with what the exchange shows."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from relay.domain.instrument import Instrument, plain
from relay.domain.order import Accepted, NotSent, OrderRejected, OrderStatus, PlannedOrder, RequestSignature, Unknown
from relay.domain.position import OrderReport, Position
from relay.domain.smoke_trade import Step, closing_order, differences, plan_smoke_trade
from relay.errors import ExchangeAnswered, ExchangeUnreachable, RelayError
from relay.execution.ports import ExchangePort

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
        """Each step as it ends, up to the first that fails. Raises ProofImpossible before anything is ordered."""
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

    def _take(self, step: Step) -> StepResult:
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

    def _settled(self, step: Step) -> Position:
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


def _reported(step: Step, report: OrderReport, position: Position) -> str:
    price = f" at {plain(report.avg_price)}" if report.avg_price is not None else ""
    stops = [
        f"{name} {plain(value)}"
        for name, value in (("take profit", position.take_profit), ("stop loss", position.stop_loss))
        if value is not None
    ]
    now = f"position {plain(position.size)}" if position.size else "nothing is open"
    return f"{step.order.side} {plain(report.filled_qty)}{price}; {', '.join([now, *stops])}: as asked"
