"""How one account's part of a signal goes on once each of its orders is settled, and what it comes to in the end."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from relay.domain.order import OrderStatus, OrderType, PlannedOrder, Purpose, Reason
from relay.domain.outcome import Refusal, Rejected
from relay.domain.reconciliation import OrderState
from relay.domain.rounding import plain
from relay.domain.status import SignalStatus

MAX_REMAINDERS = 3
_ENDS_AS = {"TIME_TOO_OLD": SignalStatus.EXPIRED, "HALTED": SignalStatus.DENIED}
_POINTLESS = ("EXCHANGE_KEY", "EXCHANGE_REGION", "POSITION_MODE_HEDGE")
"""Refused for what the account is, not for what the order was: its exit would be refused as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Advance:
    """Work on this order next."""

    order: OrderState


@dataclass(frozen=True, slots=True, kw_only=True)
class AddOrder:
    """One more order is needed to keep what the plan promised."""

    planned: PlannedOrder
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DenyRest:
    """The legs that are still planned may not follow a leg that failed."""

    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    status: SignalStatus
    reason: Reason | None = None
    notes: tuple[str, ...] = ()


Progress = Advance | AddOrder | DenyRest | Finish


def progress(orders: tuple[OrderState, ...]) -> Progress:
    """The next thing to do for a plan's orders."""
    orders = _in_sequence(orders)
    for position, order in enumerate(orders):
        if not order.is_settled:
            failed = None if order.is_exit else _failure_among(orders[:position])
            return DenyRest(reason=failed) if failed and not order.attempts else Advance(order=order)
        if added := _promised(order, orders):
            return added
    return _finish(orders)


def _in_sequence(orders: tuple[OrderState, ...]) -> tuple[OrderState, ...]:
    """By leg, each fallback and remainder right behind the leg it stands in for."""
    parents = {each.planned.leg: each.planned.replaces_leg for each in orders}

    def key(order: OrderState) -> tuple[int, int]:
        root = order.planned.leg
        while (parent := parents[root]) is not None:
            root = parent
        return root, order.planned.leg

    return tuple(sorted(orders, key=key))


def _failure_among(earlier: tuple[OrderState, ...]) -> Reason | None:
    """Why no entry may follow: a leg before it was refused or left something open. Exits go all the same."""
    for each in earlier:
        refused = each.status in (OrderStatus.REJECTED, OrderStatus.DENIED) and not _had_nothing_to_reduce(
            each, earlier
        )
        if refused or exit_left(each) > 0:
            why = each.reason.message if each.reason else "it was not complete"
            return Reason(code="LEG_FAILED", message=f"an earlier order of this signal did not do its part: {why}")
    return None


def _promised(order: OrderState, orders: tuple[OrderState, ...]) -> AddOrder | None:
    if any(each.planned.replaces_leg == order.planned.leg for each in orders):
        return None
    leg = max(each.planned.leg for each in orders) + 1
    if order.status in (OrderStatus.REJECTED, OrderStatus.DENIED):
        return _fallback(order, leg)
    return _remainder(order, orders, leg)


def _fallback(order: OrderState, leg: int) -> AddOrder | None:
    """The exit part of an order whose entry may not go out."""
    planned, reason = order.planned, order.reason
    if planned.fallback_qty is None or (reason is not None and reason.code in _POINTLESS):
        return None
    exit_alone = replace(_exit_of(planned, planned.fallback_qty, leg), type=planned.type, price=planned.price)
    return AddOrder(planned=exit_alone, note=f"ENTRY_WITHHELD: only the exit is sent: {reason and reason.message}")


def _remainder(order: OrderState, orders: tuple[OrderState, ...], leg: int) -> AddOrder | None:
    """What a market exit left open when it ended early."""
    left = exit_left(order)
    if left == 0 or order.planned.type is not OrderType.MARKET or _remainders(orders) >= MAX_REMAINDERS:
        return None
    return AddOrder(planned=_exit_of(order.planned, left, leg), note=f"{plain(left)} of the exit was left; sent again")


def exit_left(order: OrderState) -> Decimal:
    """How much of an order's exit part it did not do; one that filled, cut to the position or not, left nothing."""
    wanted = order.planned.exit_qty
    if wanted is None or order.status not in (OrderStatus.CANCELED, OrderStatus.EXPIRED):
        return Decimal(0)
    return max(Decimal(0), wanted - order.filled_qty)


def _remainders(orders: tuple[OrderState, ...]) -> int:
    """How many of the orders stand in for one that ended early, rather than for one that was refused."""
    ended = {each.planned.leg for each in orders if each.status in (OrderStatus.CANCELED, OrderStatus.EXPIRED)}
    return sum(1 for each in orders if each.planned.replaces_leg in ended)


def _exit_of(planned: PlannedOrder, qty: Decimal, leg: int) -> PlannedOrder:
    return replace(
        planned,
        leg=leg,
        qty=qty,
        exit_qty=qty,
        purpose=Purpose.EXIT,
        reduce_only=True,
        fallback_qty=None,
        take_profit=None,
        stop_loss=None,
        leverage=None,
        valid_for_s=None,
        type=OrderType.MARKET,
        price=None,
        replaces_leg=planned.leg,
    )


def _had_nothing_to_reduce(order: OrderState, orders: tuple[OrderState, ...]) -> bool:
    """Of a resting order the same refusal may mean that other resting exits hold all of the position."""
    outcome = order.last.outcome if order.last else None
    if not isinstance(outcome, Rejected) or outcome.refusal is not Refusal.NOTHING_TO_REDUCE:
        return False
    return not order.planned.rests or _is_precaution(order, orders)


def _is_precaution(order: OrderState, orders: tuple[OrderState, ...]) -> bool:
    """It stands in for an order that was sent without knowing the position: there may never have been an exit in it."""
    return any(each.planned.leg == order.planned.replaces_leg and each.planned.exit_qty is None for each in orders)


def _finish(orders: tuple[OrderState, ...]) -> Finish:
    notes = tuple(note for each in orders if (note := _note(each, orders)))
    stood_in_for = {each.planned.replaces_leg for each in orders}
    for order in orders:
        if order.planned.leg not in stood_in_for and (missing := _missing_exit(order, orders)):
            return Finish(
                status=SignalStatus.ATTENTION, reason=missing, notes=(*notes, "the position may still be open")
            )
    refused = [o for o in orders if o.status is OrderStatus.REJECTED and not _had_nothing_to_reduce(o, orders)]
    if refused:
        return Finish(status=SignalStatus.FAILED, reason=refused[0].reason, notes=notes)
    denied = [o for o in orders if o.status is OrderStatus.DENIED]
    if denied:
        return _finish_denied(denied[0], orders, notes)
    return Finish(status=SignalStatus.DONE, notes=notes)


def _missing_exit(order: OrderState, orders: tuple[OrderState, ...]) -> Reason | None:
    """An exit that was refused, dropped or left incomplete leaves a position that the strategy has left."""
    if not order.planned.exit_qty:
        return None
    if order.status in (OrderStatus.REJECTED, OrderStatus.DENIED) and not _had_nothing_to_reduce(order, orders):
        return order.reason
    if (left := exit_left(order)) > 0:
        return Reason(code="POSITION_REMAINS", message=f"{plain(left)} of what was to be closed remains open")
    return None


def _finish_denied(order: OrderState, orders: tuple[OrderState, ...], notes: tuple[str, ...]) -> Finish:
    """An entry dropped with certainty before it had an effect: too old, halted, or the exchange away for too long."""
    if any(each.filled_qty > 0 or each.rests for each in orders):
        message = f"not all of it was sent: {order.reason and order.reason.message}"
        return Finish(status=SignalStatus.DONE, reason=Reason(code="ENTRY_WITHHELD", message=message), notes=notes)
    code = order.reason.code if order.reason else ""
    return Finish(status=_ENDS_AS.get(code, SignalStatus.FAILED), reason=order.reason, notes=notes)


def _note(order: OrderState, orders: tuple[OrderState, ...]) -> str:
    if _had_nothing_to_reduce(order, orders):
        return "nothing was open any more when the exit arrived"
    if order.status not in (OrderStatus.CANCELED, OrderStatus.EXPIRED):
        return ""
    return f"the exchange ended the order with {plain(order.filled_qty)} of {plain(order.planned.qty)} filled"
