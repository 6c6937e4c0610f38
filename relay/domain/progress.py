"""How one account's part of a signal goes on once each of its orders is settled, and what it comes to in the end."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from relay.domain.instrument import Instrument, plain
from relay.domain.move import exits_anew
from relay.domain.order import (
    ErrorKind,
    OrderRejected,
    OrderStatus,
    OrderType,
    PlannedOrder,
    Purpose,
    Reason,
    Side,
    SignalStatus,
    is_marketable,
)
from relay.domain.order_lifecycle import OrderState, is_final

_ZERO = Decimal(0)
MAX_REMAINDERS = 3
NOTHING_FILLED = "NOTHING_FILLED"
UNCLEARED = "CANCEL_INCOMPLETE"
STOPS_INCOMPLETE = "STOPS_INCOMPLETE"
OF_THE_POSITION = frozenset({UNCLEARED, STOPS_INCOMPLETE})
"""Trouble with what rests beside the signal's own orders."""
ENDED_UNFILLED = (OrderStatus.CANCELED, OrderStatus.EXPIRED)
_ENDS_AS = {"TIME_TOO_OLD": SignalStatus.EXPIRED, "HALTED": SignalStatus.DENIED}
_AT_MARKET = "; `close` without `price`, or `flatten`, closes it at the market"
_POINTLESS = ("EXCHANGE_KEY", "EXCHANGE_REGION", "POSITION_MODE_HEDGE")
"""Refused for what the account is, not for what the order was: its exit would be refused as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Advance:
    """Work on this order next."""

    order: OrderState


@dataclass(frozen=True, slots=True, kw_only=True)
class AddOrders:
    """More orders are needed to keep what the plan promised."""

    planned: tuple[PlannedOrder, ...]
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LookAtPosition:
    """The next step depends on what is open now, so the position is to be read from the exchange."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DenyRest:
    """The legs that are still planned may not follow a leg that failed."""

    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """`carried`: signed as the position, what an exit had to leave for the next one."""

    status: SignalStatus
    reason: Reason | None = None
    notes: tuple[str, ...] = ()
    carried: Decimal = _ZERO


Progress = Advance | AddOrders | LookAtPosition | DenyRest | Finish


def progress(
    orders: tuple[OrderState, ...],
    *,
    size: Decimal | None = None,
    mark: Decimal | None = None,
    instrument: Instrument | None = None,
) -> Progress:
    """The next step for a plan's orders.

    `size`, `mark`: the signed position and its mark price as they were read after the last of the exits. `instrument`:
    by its rules an exit that was refused for others is planned anew.
    """
    orders = _in_sequence(orders)
    for position, order in enumerate(orders):
        if not order.is_settled:
            failed = None if order.is_exit else _failure_among(orders[:position], orders, size)
            return DenyRest(reason=failed) if failed and not order.attempts else Advance(order=order)
        if size is None and _wants_position(order, orders):
            return LookAtPosition()
        if added := _promised(order, orders, size, mark, instrument):
            return added
    return _finish(orders, size, instrument)


def _in_sequence(orders: tuple[OrderState, ...]) -> tuple[OrderState, ...]:
    """By leg, each fallback and remainder right behind the leg it stands in for."""
    parents = {each.planned.leg: each.planned.replaces_leg for each in orders}

    def key(order: OrderState) -> tuple[int, int]:
        root = order.planned.leg
        while (parent := parents[root]) is not None:
            root = parent
        return root, order.planned.leg

    return tuple(sorted(orders, key=key))


def _wants_position(order: OrderState, orders: tuple[OrderState, ...]) -> bool:
    """Whether what its refusal means hangs on the position. It is read once, when no exit can change it any more."""
    if _is_replaced(order, orders) or any(each.is_exit and not each.is_settled for each in orders):
        return False
    return _is_spent(order) or _is_cut(order) or _is_outdated(order) or (_is_withheld(order) and _is_blind(order))


def _is_replaced(order: OrderState, orders: tuple[OrderState, ...]) -> bool:
    return any(each.planned.replaces_leg == order.planned.leg for each in orders)


def _is_withheld(order: OrderState) -> bool:
    return order.status in (OrderStatus.REJECTED, OrderStatus.DENIED)


def _is_blind(order: OrderState) -> bool:
    """It was planned without knowing the position: there may have been an exit in it."""
    return order.planned.exit_qty is None and order.planned.fallback_qty is not None


def _is_spent(order: OrderState) -> bool:
    """The exchange refused it with what may mean that nothing was left to reduce, or that other orders hold it all."""
    return _refused_for(order) is ErrorKind.NOTHING_TO_REDUCE


def _refused_for(order: OrderState) -> ErrorKind | None:
    outcome = order.attempts[-1].outcome if order.attempts else None
    return outcome.refusal if isinstance(outcome, OrderRejected) else None


def _was_refused(order: OrderState) -> bool:
    """By the exchange, and nothing that was sent before took effect either."""
    outcome = order.attempts[-1].outcome if order.attempts else None
    return isinstance(outcome, OrderRejected) and _is_withheld(order) and is_final(order, outcome)


def _is_outdated(order: OrderState) -> bool:
    """An exit that may have been planned by rules that the exchange has changed, or by coins that are not free."""
    if not (_was_refused(order) and order.is_exit):
        return False
    is_held = not order.planned.category.has_positions
    lacks = is_held and order.reason is not None and order.reason.code == "EXCHANGE_BALANCE"
    return lacks or _refused_for(order) is ErrorKind.RULES


def _is_too_little(order: OrderState) -> bool:
    """Coins whose worth is less than the exchange sells: nobody could sell them, so they stay."""
    code = order.reason.code if order.reason else ""
    is_held = not order.planned.category.has_positions
    return is_held and order.is_exit and _was_refused(order) and code in ("NOTIONAL_BELOW_MIN", "QTY_BELOW_MIN")


def _is_anew(order: OrderState, orders: tuple[OrderState, ...]) -> bool:
    """It stands in for an outdated exit, so that one is not planned anew twice."""
    return any(each.planned.leg == order.planned.replaces_leg and _is_outdated(each) for each in orders)


def _is_cut(order: OrderState) -> bool:
    """The exchange's own close closes no more than one order may be large."""
    wanted = order.planned.exit_qty or _ZERO
    return order.planned.closes_all and order.status is OrderStatus.FILLED and order.filled_qty < wanted


def _open_for(order: OrderState, size: Decimal | None) -> Decimal:
    """How much of the position an exit on the order's side could close."""
    return max(_ZERO, -(size or _ZERO) * order.planned.side.sign)


def _failure_among(
    earlier: tuple[OrderState, ...], orders: tuple[OrderState, ...], size: Decimal | None
) -> Reason | None:
    """Why no entry may follow: a leg before it was refused or left something open. Exits go all the same."""
    for each in earlier:
        refused = _is_withheld(each) and not _is_excused(each, orders, size)
        if refused or exit_left(each) > 0:
            why = each.reason.message if each.reason else "it was not complete"
            return Reason(code="LEG_FAILED", message=f"an earlier order of this signal did not do its part: {why}")
    return None


def _promised(
    order: OrderState,
    orders: tuple[OrderState, ...],
    size: Decimal | None,
    mark: Decimal | None,
    instrument: Instrument | None,
) -> AddOrders | None:
    if _is_replaced(order, orders):
        return None
    leg = max(each.planned.leg for each in orders) + 1
    if _is_spent(order):
        return _close_of_all(order, orders, leg, size)
    if _is_cut(order):
        return _close_of_rest(order, orders, leg, size)
    if _is_outdated(order):
        return _anew(order, orders, leg, size, mark, instrument)
    if _is_withheld(order):
        return _fallback(order, leg, size)
    return _remainder(order, orders, leg)


def _close_of_all(
    order: OrderState, orders: tuple[OrderState, ...], leg: int, size: Decimal | None
) -> AddOrders | None:
    """The exchange's own close in place of an exit that found "nothing", though all that is open was to be closed."""
    left = _open_for(order, size)
    wanted = sum((each.planned.exit_qty or _ZERO for each in orders if each.is_exit), _ZERO)
    if left == 0 or wanted < left or order.planned.closes_all or order.planned.rests:
        return None
    closing = replace(_exit_of(order.planned, _ZERO, leg), exit_qty=left, closes_all=True)
    note = f"{plain(left)} was open all the same; the exchange is asked to close it all"
    return AddOrders(planned=(closing,), note=note)


def _close_of_rest(
    order: OrderState, orders: tuple[OrderState, ...], leg: int, size: Decimal | None
) -> AddOrders | None:
    left = _open_for(order, size)
    if left == 0 or _remainders(orders) >= MAX_REMAINDERS:
        return None
    closing = replace(order.planned, leg=leg, exit_qty=left, replaces_leg=order.planned.leg)
    return AddOrders(planned=(closing,), note=f"{plain(left)} of the position was left; it is closed on")


def _anew(
    order: OrderState,
    orders: tuple[OrderState, ...],
    leg: int,
    size: Decimal | None,
    mark: Decimal | None,
    instrument: Instrument | None,
) -> AddOrders | None:
    """The same exit by the rules that hold now, where they make another one of it.

    What rounds away of one leg goes with the last; together they close no more than they were to. A limit exit that
    the rules leave as it is was refused for its price: at the market, where it would have been filled at once.
    """
    left = _open_for(order, size)
    if instrument is None or left == 0 or _is_anew(order, orders):
        return None
    waiting = [each for each in orders if _is_outdated(each) and not _is_replaced(each, orders)]
    qty = _owed(orders) if waiting[-1:] == [order] else order.planned.exit_qty or _ZERO
    planned = replace(order.planned, replaces_leg=order.planned.leg)
    legs = exits_anew(planned, min(qty, left), instrument, is_whole=qty >= left, first=leg)
    if not legs:
        return None
    if len(legs) > 1 or replace(legs[0], leg=order.planned.leg) != planned:
        note = "the exchange refused the exit by its rules; it was planned anew by the new ones"
        if order.reason is not None and order.reason.code == "EXCHANGE_BALANCE":
            note = f"the exchange refused the exit: only {plain(left)} are free, and they are sold"
        return AddOrders(planned=legs, note=note)
    if planned.price is None or mark is None or planned.type is not OrderType.LIMIT:
        return None
    if not is_marketable(planned.side, planned.price, mark):
        return None
    note = f"the exchange refused the exit's price {plain(planned.price)}, and the market is at {plain(mark)}"
    return AddOrders(planned=(_exit_of(order.planned, order.planned.qty, leg),), note=f"{note}: it goes at the market")


def _owed(orders: tuple[OrderState, ...]) -> Decimal:
    """What all exits together were to close and have not."""
    exits = {each.planned.leg: each for each in orders if each.is_exit}
    wanted = (each.planned.exit_qty or _ZERO for each in exits.values() if each.planned.replaces_leg not in exits)
    return sum(wanted, _ZERO) - sum((each.filled_qty for each in exits.values()), _ZERO)


def _fallback(order: OrderState, leg: int, size: Decimal | None) -> AddOrders | None:
    """The exit part of an order whose entry may not go out; at the market, where the exchange refused its price."""
    planned, reason, qty = order.planned, order.reason, order.planned.fallback_qty
    if qty is None or (reason is not None and reason.code in _POINTLESS):
        return None
    if _is_blind(order):
        qty = min(qty, _open_for(order, size))
        if qty == 0:
            return None
    exit_alone = _exit_of(planned, qty, leg)
    if not _was_refused(order) and order.status is OrderStatus.DENIED:
        exit_alone = replace(exit_alone, type=planned.type, price=planned.price)
    return AddOrders(planned=(exit_alone,), note=f"ENTRY_WITHHELD: only the exit is sent: {reason and reason.message}")


def _remainder(order: OrderState, orders: tuple[OrderState, ...], leg: int) -> AddOrders | None:
    """What a market exit left open when it ended early."""
    left = exit_left(order)
    if left == 0 or order.planned.type is not OrderType.MARKET or _remainders(orders) >= MAX_REMAINDERS:
        return None
    rest = _exit_of(order.planned, left, leg)
    return AddOrders(planned=(rest,), note=f"{plain(left)} of the exit was left; sent again")


def exit_left(order: OrderState) -> Decimal:
    """How much of an order's exit part it did not do; one that filled, cut to the position or not, left nothing."""
    wanted = order.planned.exit_qty
    if wanted is None or order.status not in (OrderStatus.CANCELED, OrderStatus.EXPIRED):
        return _ZERO
    return max(_ZERO, wanted - order.filled_qty)


def _remainders(orders: tuple[OrderState, ...]) -> int:
    """How many of the orders stand in for one that ended early, rather than for one that was refused."""
    early = (OrderStatus.CANCELED, OrderStatus.EXPIRED)
    ended = {each.planned.leg for each in orders if each.status in early or _is_cut(each)}
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


def _is_excused(order: OrderState, orders: tuple[OrderState, ...], size: Decimal | None) -> bool:
    """Its refusal is no failure: nothing was left for it to do, or another order does it."""
    return _had_nothing_to_reduce(order, orders, size) or _is_done_anew(order, orders)


def _is_done_anew(order: OrderState, orders: tuple[OrderState, ...]) -> bool:
    """By orders in its own stead, or along with a later one, where it would have been rounded to nothing."""
    if not _is_outdated(order):
        return False
    others = orders[orders.index(order) :]
    return any(_is_outdated(each) and _is_replaced(each, orders) for each in others)


def _is_dust(
    order: OrderState, orders: tuple[OrderState, ...], size: Decimal | None, instrument: Instrument | None
) -> bool:
    """An exit of a part that by the rules of now is less than the exchange takes."""
    if _is_too_little(order):
        return True
    if instrument is None or size is None or not _is_outdated(order) or _is_done_anew(order, orders):
        return False
    wanted, left = order.planned.exit_qty or _ZERO, _open_for(order, size)
    return wanted < left and not exits_anew(order.planned, wanted, instrument, is_whole=False, first=0)


def _had_nothing_to_reduce(order: OrderState, orders: tuple[OrderState, ...], size: Decimal | None) -> bool:
    """Whether the exchange refused the order only because nothing was left to reduce, or nothing is in fact.

    An order that replaces it is judged by itself.
    """
    if _is_spent(order):
        return _is_replaced(order, orders) or _open_for(order, size) == 0
    return _is_outdated(order) and size is not None and _open_for(order, size) == 0


def _finish(orders: tuple[OrderState, ...], size: Decimal | None, instrument: Instrument | None = None) -> Finish:
    notes = tuple(note for each in orders if (note := _note(each, orders, size)))
    dust = [each for each in orders if _is_dust(each, orders, size, instrument)]
    if dust and all(each in dust or not _is_withheld(each) for each in orders):
        parts = (each.planned.side.sign * (each.planned.exit_qty or each.planned.qty) for each in dust)
        carried = -sum(parts, _ZERO)
        note = f"{plain(abs(carried))} is less than the exchange takes by now; it is added to the next exit"
        return Finish(status=SignalStatus.DONE, notes=(*notes, note), carried=carried)
    for order in orders:
        is_done = _is_replaced(order, orders) or _is_done_anew(order, orders)
        if not is_done and (missing := _missing_exit(order, orders, size)):
            way_out = _AT_MARKET if order.planned.type.has_limit else ""
            still_open = f"the position may still be open{way_out}"
            return Finish(status=SignalStatus.ATTENTION, reason=missing, notes=(*notes, still_open))
    refused = [
        o for o in orders if (o.status is OrderStatus.REJECTED or _was_refused(o)) and not _is_excused(o, orders, size)
    ]
    if refused:
        return Finish(status=SignalStatus.FAILED, reason=refused[0].reason, notes=notes)
    denied = [o for o in orders if o.status is OrderStatus.DENIED and not _is_excused(o, orders, size)]
    if denied:
        return _finish_denied(denied[0], orders, notes)
    return Finish(status=SignalStatus.DONE, reason=_nothing_filled(orders), notes=notes)


def _nothing_filled(orders: tuple[OrderState, ...]) -> Reason | None:
    """Every order was taken, and has ended without a fill."""
    if not orders or any(each.filled_qty or each.status not in ENDED_UNFILLED for each in orders):
        return None
    what = "bought" if orders[0].planned.side is Side.BUY else "sold"
    return Reason(code=NOTHING_FILLED, message=f"nothing was {what}: the order ended before any of it was filled")


def settled(orders: tuple[OrderState, ...], *, reason_code: str | None, size: Decimal, is_clear: bool) -> Finish | None:
    """What a signal in `attention` has come to by now, or None while a person is still needed.

    `reason_code`: why it needed one. `size`: the signed position now. `is_clear`: older orders have ended, and stops
    and take profits are in place.
    """
    if not is_clear or not all(each.is_settled for each in orders):
        return None
    if not orders and reason_code not in OF_THE_POSITION:
        return None
    came_to = _finish(_in_sequence(orders), size, None)
    return came_to if came_to.status is not SignalStatus.ATTENTION else None


def _missing_exit(order: OrderState, orders: tuple[OrderState, ...], size: Decimal | None) -> Reason | None:
    """An exit that was refused, dropped or left incomplete leaves a position that the strategy has left."""
    if not order.planned.exit_qty or (size is not None and _open_for(order, size) == 0):
        return None
    if _is_withheld(order) and not _had_nothing_to_reduce(order, orders, size):
        return _remains(order, size) if _is_spent(order) else order.reason
    left = _open_for(order, size) if _is_cut(order) else exit_left(order)
    if left > 0:
        return Reason(code="POSITION_REMAINS", message=f"{plain(left)} of what was to be closed remains open")
    return None


def _remains(order: OrderState, size: Decimal | None) -> Reason:
    why = order.reason.message if order.reason else "refused"
    return Reason(code="POSITION_REMAINS", message=f"{plain(_open_for(order, size))} remains open: {why}")


def _finish_denied(order: OrderState, orders: tuple[OrderState, ...], notes: tuple[str, ...]) -> Finish:
    """An entry dropped with certainty before it had an effect: too old, halted, or the exchange away for too long."""
    if any(each.filled_qty > 0 or each.rests for each in orders):
        message = f"not all of it was sent: {order.reason and order.reason.message}"
        return Finish(status=SignalStatus.DONE, reason=Reason(code="ENTRY_WITHHELD", message=message), notes=notes)
    code = order.reason.code if order.reason else ""
    return Finish(status=_ENDS_AS.get(code, SignalStatus.FAILED), reason=order.reason, notes=notes)


def _note(order: OrderState, orders: tuple[OrderState, ...], size: Decimal | None) -> str:
    if _is_withheld(order) and (_is_replaced(order, orders) or _is_done_anew(order, orders)):
        return ""
    if _had_nothing_to_reduce(order, orders, size):
        return "nothing was open any more when the exit arrived"
    if order.status not in (OrderStatus.CANCELED, OrderStatus.EXPIRED):
        return ""
    return f"the exchange ended the order with {plain(order.filled_qty)} of {plain(order.planned.qty)} filled"
