"""What a new price sets off: resting limits fill, conditionals and the positions' stops trigger."""

from __future__ import annotations

from decimal import Decimal

from relay.paper import margin, stops
from relay.paper.matching import crosses, fill, market_limit, reducible, submit
from relay.paper.orders import FULL_STOPS, Order, OrderType, Side, Status, StopKind
from relay.paper.state import Quote, State


def move(state: State, symbol: str, quote: Quote, now_ms: int) -> None:
    """Sets the market of a symbol and does what follows, in the order in which a steady move meets each price.

    Limits fill at their own price; stops close at the new one, as in a gap.
    """
    origin = state.quotes[symbol].last
    state.set_quote(symbol, quote)
    _trail(state, symbol, now_ms)
    settle(state, symbol, now_ms, origin)


def settle(state: State, symbol: str, now_ms: int, origin: Decimal | None = None) -> None:
    """Fills and triggers whatever the present price calls for, until nothing is left to do."""
    origin = state.quotes[symbol].last if origin is None else origin
    while True:
        hits = [order for order in state.orders_of(symbol) if _is_hit(state, order)]
        if not hits:
            return
        for order in sorted(hits, key=lambda hit: (abs(_level(hit) - origin), hit.seq)):
            if order.is_open and _is_hit(state, order):
                _act(state, order, now_ms)


def _level(order: Order) -> Decimal:
    if order.status is Status.UNTRIGGERED:
        return _trail_level(order) or order.trigger_price or Decimal(0)
    return order.price or Decimal(0)


def _trail(state: State, symbol: str, now_ms: int) -> None:
    """Trailing stops start once their activation price is reached, then keep the best price seen."""
    last = state.quotes[symbol].last
    for order in state.orders_of(symbol):
        if order.stop_kind is not StopKind.TRAILING_STOP or order.status is not Status.UNTRIGGERED:
            continue
        up = order.side is Side.SELL
        if order.trail_peak is None:
            start = order.trigger_price
            if start is not None and not (last >= start if up else last <= start):
                continue
            order.trail_peak = last
        elif (last > order.trail_peak) if up else (last < order.trail_peak):
            order.trail_peak = last
        else:
            continue
        state.note_order(order, now_ms)


def _trail_level(order: Order) -> Decimal | None:
    if order.trail_peak is None or order.trail_distance is None:
        return None
    return order.trail_peak - order.trail_distance * order.side.opposite.sign


def _is_hit(state: State, order: Order) -> bool:
    quote = state.quotes[order.symbol]
    if order.is_active:
        return crosses(state, order) and quote.depth != 0
    price = quote.by(order.trigger_by)
    if order.stop_kind is StopKind.TRAILING_STOP:
        level = _trail_level(order)
        return level is not None and (price <= level if order.side is Side.SELL else price >= level)
    if order.trigger_price is None:
        return False
    return price >= order.trigger_price if order.trigger_direction == 1 else price <= order.trigger_price


def _act(state: State, order: Order, now_ms: int) -> None:
    if order.status is Status.UNTRIGGERED:
        trigger(state, order, now_ms)
        return
    assert order.price is not None
    quote = state.quotes[order.symbol]
    qty = order.leaves if quote.depth is None else min(order.leaves, quote.depth)
    if order.closes:
        qty = min(qty, reducible(state, order))
    fill(state, order, qty, order.price, maker=True, now_ms=now_ms)


def trigger(state: State, order: Order, now_ms: int) -> None:
    """A conditional order becomes an active one. Without the margin for it, it is cancelled (create-order.mdx)."""
    instrument = state.instruments[order.symbol]
    price = state.quotes[order.symbol].taker_price(order.side)
    _cancel_twin(state, order, now_ms)
    order.status = Status.TRIGGERED
    if order.stop_kind in FULL_STOPS:
        order.qty = abs(state.position(order.symbol, order.position_idx).size)
    if order.order_type is OrderType.MARKET:
        order.price = market_limit(instrument, order.side, price)
    elif order.price is not None:
        price = order.price
    if not order.closes and not margin.affordable(
        state, instrument, idx=order.position_idx, side=order.side, qty=order.qty, price=price
    ):
        stops.cancel(state, order, now_ms, cancel_type="UNKNOWN", reason="EC_Others")
        return
    submit(state, order, now_ms)


def _cancel_twin(state: State, order: Order, now_ms: int) -> None:
    if not order.pair_id:
        return
    profit = order.stop_kind is StopKind.PARTIAL_TAKE_PROFIT
    why = "CancelByOCOSlCanceledByTpTriggered" if profit else "CancelByOCOTpCanceledBySlTriggered"
    for other in state.orders_of(order.symbol):
        if other.pair_id == order.pair_id and other.id != order.id and other.status is Status.UNTRIGGERED:
            stops.cancel(state, other, now_ms, cancel_type=why)
