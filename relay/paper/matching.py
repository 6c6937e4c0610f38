"""How an order meets the market: it fills, rests, is cut or is cancelled.

Reduce-only, as chosen here where Bybit's pages are silent (create-order.mdx: "your position can only reduce"; error.mdx
110017: "orderQty will be truncated to zero"; enum.mdx: `CancelByReduceOnly`):
- one that executes at once is cut to the position, whatever reduce-only orders rest beside it;
- one that rests is cut to what the resting ones leave of the position, so that their sum never exceeds it;
- after every change of the position the resting ones are cut to fit, the farthest from the market first, the newest
  first among equals; what is cut to nothing ends `Cancelled` with `CancelByReduceOnly`;
- a conditional one is measured when it triggers.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import ROUND_DOWN, ROUND_UP, Decimal

from relay.paper import stops
from relay.paper.instruments import Instrument
from relay.paper.orders import ZERO, Execution, Order, OrderType, Side, Status, TimeInForce
from relay.paper.positions import Closed, Position, apply_fill, cents
from relay.paper.state import State

MARKET_BAND = Decimal("0.05")


def market_limit(instrument: Instrument, side: Side, price: Decimal) -> Decimal:
    """The price shown on a market order, which Bybit turns into an IOC limit order around the market price."""
    rounding = ROUND_DOWN if side is Side.BUY else ROUND_UP
    bound = price * (1 + MARKET_BAND * side.sign)
    steps = (bound / instrument.tick_size).to_integral_value(rounding)
    return min(max(steps * instrument.tick_size, instrument.min_price), instrument.max_price)


def reducible(state: State, order: Order) -> Decimal:
    """How much of the position the order's side could close."""
    size = state.position(order.symbol, order.position_idx).size
    return abs(size) if size * order.side.sign < 0 else ZERO


def resting_closers(state: State, order: Order) -> list[Order]:
    """The other active closing orders of the same position and side."""
    return [
        other
        for other in state.open_orders[order.symbol].values()
        if other.is_active
        and other.closes
        and other.side is order.side
        and other.position_idx == order.position_idx
        and other.id != order.id
    ]


def crosses(state: State, order: Order) -> bool:
    """Whether the order would execute at once."""
    if order.order_type is OrderType.MARKET or order.price is None:
        return True
    taker = state.quotes[order.symbol].taker_price(order.side)
    return order.price >= taker if order.side is Side.BUY else order.price <= taker


def closing_room(state: State, order: Order) -> Decimal:
    """The most that a closing order may stand for now; see the module."""
    room = reducible(state, order)
    if not crosses(state, order):
        room -= sum((other.leaves for other in resting_closers(state, order)), ZERO)
    return max(room, ZERO)


def submit(state: State, order: Order, now_ms: int) -> None:
    """An order arrives at the market: new, amended or triggered. It ends filled, resting or cancelled."""
    if order.closes and order.leaves > (room := closing_room(state, order)):
        if not room:
            stops.cancel(state, order, now_ms, cancel_type="CancelByReduceOnly", reason="EC_NoError")
            return
        order.qty = order.cum_qty + room
    if not crosses(state, order):
        _rest_or_cancel(state, order, now_ms)
    elif order.time_in_force is TimeInForce.POST_ONLY:
        _refuse(state, order, now_ms, "EC_PostOnlyWillTakeLiquidity")
    else:
        _take(state, order, now_ms)


def _refuse(state: State, order: Order, now_ms: int, reason: str) -> None:
    order.status = Status.NEW
    stops.cancel(state, order, now_ms, cancel_type="UNKNOWN", reason=reason)


def _rest_or_cancel(state: State, order: Order, now_ms: int) -> None:
    if order.time_in_force is TimeInForce.IOC:
        _refuse(state, order, now_ms, "EC_NoImmediateQtyToFill")
    elif order.time_in_force is TimeInForce.FOK:
        _refuse(state, order, now_ms, "EC_CancelForNoFullFill")
    else:
        order.status = Status.PARTIALLY_FILLED if order.cum_qty else Status.NEW
        state.note_order(order, now_ms)


def _take(state: State, order: Order, now_ms: int) -> None:
    quote = state.quotes[order.symbol]
    qty = order.leaves if quote.depth is None else min(order.leaves, quote.depth)
    if order.time_in_force is TimeInForce.FOK and qty < order.leaves:
        _refuse(state, order, now_ms, "EC_CancelForNoFullFill")
        return
    if qty:
        fill(state, order, qty, quote.taker_price(order.side), maker=False, now_ms=now_ms)
    if not order.leaves:
        return
    if order.order_type is OrderType.MARKET or order.time_in_force is TimeInForce.IOC:
        _refuse(state, order, now_ms, "EC_NoImmediateQtyToFill")
    else:
        _rest_or_cancel(state, order, now_ms)


def fill(state: State, order: Order, qty: Decimal, price: Decimal, *, maker: bool, now_ms: int) -> None:
    """One execution with all that follows: position, wallet, the order itself, stops and the other closing orders."""
    instrument = state.instruments[order.symbol]
    position = state.position(order.symbol, order.position_idx)
    value = instrument.value(qty, price)
    rate = state.maker_fee if maker else state.taker_fee
    fee = cents(value * rate)
    was_open = bool(position.size)
    closed = apply_fill(position, instrument, order.side, qty, price, fee)
    if position.size and (not was_open or closed.qty and position.size * order.side.sign > 0):
        position.opened_ms = now_ms
    _consume(state, order.symbol, qty)
    _book_fill(order, position, qty, value, fee, closed)
    position.seq = state.next_seq()
    state.credit(instrument.settle_coin, closed.pnl - fee)
    state.changes.executions.append(
        Execution(
            id=state.new_id(),
            seq=position.seq,
            order=replace(order),
            kind="Trade",
            price=price,
            qty=qty,
            value=value,
            fee=fee,
            fee_rate=rate,
            fee_coin=instrument.settle_coin,
            is_maker=maker,
            mark_price=state.quotes[order.symbol].mark,
            closed_qty=closed.qty,
            pnl=closed.pnl,
            leaves=order.leaves,
            at_ms=now_ms,
        )
    )
    state.note_order(order, now_ms)
    state.note_position(position, now_ms)
    stops.sync(state, position, now_ms)
    stops.attach(state, order, qty, now_ms)
    trim(state, position, now_ms)


def _consume(state: State, symbol: str, qty: Decimal) -> None:
    quote = state.quotes[symbol]
    if quote.depth is not None:
        state.set_quote(symbol, replace(quote, depth=max(quote.depth - qty, ZERO)))


def _book_fill(order: Order, position: Position, qty: Decimal, value: Decimal, fee: Decimal, closed: Closed) -> None:
    order.cum_qty += qty
    order.cum_value += value
    order.cum_fee += fee
    order.leverage = position.leverage
    order.status = Status.PARTIALLY_FILLED if order.leaves else Status.FILLED
    if closed.qty:
        order.closed_qty += closed.qty
        order.closed_entry_value += closed.entry_value
        order.closed_exit_value += closed.exit_value
        order.closed_pnl += closed.pnl - closed.open_fee - closed.close_fee
        order.open_fee += closed.open_fee
        order.close_fee += closed.close_fee
        order.fill_count += 1


def trim(state: State, position: Position, now_ms: int) -> None:
    """Cuts the resting closing orders to the position; see the module for which go first."""
    last = state.quotes[position.symbol].last
    closers = [
        order
        for order in state.orders_of(position.symbol)
        if order.is_active and order.closes and order.position_idx == position.idx
    ]
    closers.sort(key=lambda order: (abs((order.price or last) - last), order.seq))
    room = {Side.BUY: max(-position.size, ZERO), Side.SELL: max(position.size, ZERO)}
    for order in closers:
        kept = min(order.leaves, room[order.side])
        room[order.side] -= kept
        if not kept:
            stops.cancel(state, order, now_ms, cancel_type="CancelByReduceOnly", reason="EC_NoError")
        elif kept < order.leaves:
            order.qty = order.cum_qty + kept
            state.note_order(order, now_ms)
