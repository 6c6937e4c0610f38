"""How an order meets the market: checked, filled, resting, triggered, cut or cancelled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import ROUND_DOWN, ROUND_UP, Decimal

from relay.paper import margin, stops
from relay.paper.orders import (
    FULL_STOPS,
    SPOT,
    ZERO,
    Ask,
    Execution,
    Order,
    OrderType,
    Refusal,
    Side,
    Status,
    StopKind,
    TimeInForce,
)
from relay.paper.state import Closed, Instrument, Position, Quote, State, apply_fill, cents, key_of


def price_bound(state: State, instrument: Instrument, side: Side) -> Decimal:
    """The highest price of a buy, or the lowest of a sell: around mark and index, by the instrument's two ratios.

    get-user-setting-config.mdx, without the premium, which the paper market has not. A market order is an IOC limit
    order at this price.
    """
    quote, ratios = state.quotes[instrument.symbol], instrument.published.get("riskParameters") or {}
    near, far = (Decimal(ratios.get(name) or other) for name, other in _RATIOS)
    sign = side.sign
    best = max if side is Side.BUY else min
    worst = min if side is Side.BUY else max
    bound = worst(best(quote.index, quote.mark * (1 + near * sign)), quote.mark * (1 + far * sign))
    rounding = ROUND_DOWN if side is Side.BUY else ROUND_UP
    steps = (bound / instrument.tick_size).to_integral_value(rounding)
    return min(max(steps * instrument.tick_size, instrument.min_price), instrument.max_price)


_RATIOS = (("priceLimitRatioX", "0.05"), ("priceLimitRatioY", "0.1"))


def bounded(state: State, instrument: Instrument, side: Side, price: Decimal) -> Decimal:
    """A limit price as it is taken where prices beyond the bound are moved to it."""
    bound = price_bound(state, instrument, side)
    return min(price, bound) if side is Side.BUY else max(price, bound)


def refuse_price(state: State, instrument: Instrument, side: Side, price: Decimal) -> Refusal | None:
    """Where prices beyond the bound are refused: 110121 for a buy, 110120 for a sell (error.mdx)."""
    bound = price_bound(state, instrument, side)
    if not state.refuses_prices or bounded(state, instrument, side, price) == price:
        return None
    code, word = (110121, "higher") if side is Side.BUY else (110120, "smaller")
    return Refusal(code=code, message=f"Order price cannot be {word} than {bound}, the price limitation")


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
        rest_or_cancel(state, order, now_ms)
    elif order.time_in_force is TimeInForce.POST_ONLY:
        turn_away(state, order, now_ms, "EC_PostOnlyWillTakeLiquidity")
    else:
        _take(state, order, now_ms)


def turn_away(state: State, order: Order, now_ms: int, reason: str) -> None:
    order.status = Status.NEW
    stops.cancel(state, order, now_ms, cancel_type="UNKNOWN", reason=reason)


def rest_or_cancel(state: State, order: Order, now_ms: int) -> None:
    if order.time_in_force is TimeInForce.IOC:
        turn_away(state, order, now_ms, "EC_NoImmediateQtyToFill")
    elif order.time_in_force is TimeInForce.FOK:
        turn_away(state, order, now_ms, "EC_CancelForNoFullFill")
    else:
        order.status = Status.PARTIALLY_FILLED if order.cum_qty else Status.NEW
        state.note_order(order, now_ms)


def bounded_out(quote: Quote, side: Side, bound: Decimal) -> bool:
    """Nothing is offered within the price that protects a market order."""
    taker = quote.taker_price(side)
    return taker > bound if side is Side.BUY else taker < bound


def _take(state: State, order: Order, now_ms: int) -> None:
    quote = state.quotes[order.symbol]
    qty = order.leaves if quote.depth is None else min(order.leaves, quote.depth)
    if order.time_in_force is TimeInForce.FOK and qty < order.leaves:
        turn_away(state, order, now_ms, "EC_CancelForNoFullFill")
        return
    if order.order_type is OrderType.MARKET and order.price and bounded_out(quote, order.side, order.price):
        qty = ZERO
    if qty:
        fill(state, order, qty, quote.taker_price(order.side), maker=False, now_ms=now_ms)
    if not order.leaves:
        return
    if order.order_type is OrderType.MARKET or order.time_in_force is TimeInForce.IOC:
        turn_away(state, order, now_ms, "EC_NoImmediateQtyToFill")
    else:
        rest_or_cancel(state, order, now_ms)


def fill(
    state: State, order: Order, qty: Decimal, price: Decimal, *, maker: bool, now_ms: int, kind: str = "Trade"
) -> None:
    """One execution with all that follows: position, wallet, the order itself, stops and the other closing orders."""
    instrument = state.instruments[order.symbol]
    position = state.position(order.symbol, order.position_idx)
    value = instrument.value(qty, price)
    rate = state.maker_fee if maker else state.taker_fee
    fee, fee_coin = cents(value * rate), instrument.settle_coin
    tax = cents(fee * state.tax_rate)
    if state.fee_coin:
        dollars = qty if instrument.inverse else value
        fee, fee_coin = cents(dollars * rate / state.fee_coin_price), state.fee_coin
    own_fee = (fee if fee_coin == instrument.settle_coin else ZERO) + tax
    was_open = bool(position.size)
    closed = apply_fill(position, instrument, order.side, qty, price, own_fee)
    if position.size and (not was_open or closed.qty and position.size * order.side.sign > 0):
        position.opened_ms = now_ms
    consume(state, order.symbol, qty)
    _book_fill(order, position, qty, value, closed)
    order.add_fee(fee, fee_coin)
    position.seq = state.next_seq()
    execution = Execution(
        id=state.new_id(),
        seq=position.seq,
        order=replace(order),
        kind=kind,
        price=price,
        qty=qty,
        value=value,
        fee=fee,
        fee_rate=rate,
        fee_coin=fee_coin,
        is_maker=maker,
        mark_price=state.quotes[order.symbol].mark,
        closed_qty=closed.qty,
        pnl=closed.pnl,
        leaves=order.leaves,
        at_ms=now_ms,
        extra_fee=tax,
    )
    state.changes.executions.append(execution)
    for coin in dict.fromkeys((instrument.settle_coin, fee_coin)):
        state.book(execution, coin, closed.pnl if coin == instrument.settle_coin else ZERO)
    state.note_order(order, now_ms)
    state.note_position(position, now_ms)
    stops.sync(state, position, now_ms)
    stops.attach(state, order, qty, now_ms)
    trim(state, position, now_ms)


TAKEOVERS = {
    "BustTrade": "CreateByTakeOver_PassThrough",
    "AdlTrade": "CreateByAdl_PassThrough",
    "Delivery": "CreateBySettle",
}
"""How the exchange itself closes positions: `execType` and `createType` (enum.mdx)."""


def take_over(state: State, instrument: Instrument, kind: str, wanted: Decimal | None, now_ms: int) -> Decimal:
    """The exchange closes so much of the one-way position, or all of it. Returns how much."""
    position = state.position(instrument.symbol, 0)
    qty = abs(position.size) if wanted is None else min(wanted, abs(position.size))
    if qty:
        order = margin.order_of_exchange(state, position, now_ms, create_type=TAKEOVERS[kind])
        order.side, order.qty, order.status = order.side.opposite, qty, Status.NEW
        fill(state, order, qty, state.quotes[instrument.symbol].mark, maker=False, now_ms=now_ms, kind=kind)
    return qty


def consume(state: State, symbol: str, qty: Decimal) -> None:
    quote = state.quotes[symbol]
    if quote.depth is not None:
        state.set_quote(symbol, replace(quote, depth=max(quote.depth - qty, ZERO)))


def _book_fill(order: Order, position: Position, qty: Decimal, value: Decimal, closed: Closed) -> None:
    order.cum_qty += qty
    order.cum_value += value
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


# What a new price sets off: resting limits fill, conditionals and the positions' stops trigger.


Act = Callable[[State, Order, int], None]


def move(state: State, symbol: str, quote: Quote, now_ms: int, act: Act) -> None:
    """Sets the market of a symbol and does what follows, in the order in which a steady move meets each price.

    Limits fill at their own price; stops close at the new one, as in a gap.
    """
    origin = state.quotes[symbol].last
    state.set_quote(symbol, quote, moved_ms=now_ms)
    _trail(state, symbol, now_ms)
    settle(state, symbol, now_ms, act, origin)


def settle(state: State, symbol: str, now_ms: int, act: Act, origin: Decimal | None = None) -> None:
    """Fills and triggers whatever the present price calls for, by `act`, until nothing is left to do."""
    origin = state.quotes[symbol].last if origin is None else origin
    while True:
        hits = [order for order in state.orders_of(symbol) if _is_hit(state, order)]
        if not hits:
            return
        for order in sorted(hits, key=lambda hit: (abs(_level(hit) - origin), hit.seq)):
            if order.is_open and _is_hit(state, order):
                act(state, order, now_ms)


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


def act(state: State, order: Order, now_ms: int) -> None:
    """What the price calls for, of a contract's order."""
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
        order.price = price_bound(state, instrument, order.side)
    elif order.price is not None:
        price = order.price = bounded(state, instrument, order.side, order.price)
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


# Whether the exchange takes an order: one rule a function, each with Bybit's code and words, tried in order.


MAX_ACTIVE = 500
MAX_CONDITIONAL = 10
QTY_SCALE = 100_000_000
PRICE_SCALE = 10_000


def refuse(state: State, instrument: Instrument, ask: Ask) -> Refusal | None:
    """The first rule that the order breaks, or None."""
    for rule in RULES:
        refusal = rule(state, instrument, ask)
        if refusal:
            return refusal
    return None


def find_instrument(state: State, category: str, symbol: str) -> Instrument | Refusal:
    """The instrument, or the refusal of an unknown category or symbol."""
    if category not in ("linear", "inverse", SPOT):
        return Refusal(code=10001, message="params error: category invalid")
    found = state.instruments.get(key_of(category, symbol))
    if found is not None and found.category == category:
        return found
    if category == SPOT:
        return Refusal(code=170121, message="Invalid symbol.")
    return Refusal(code=10001, message=f"params error: symbol invalid {symbol}")


def is_live(state: State, instrument: Instrument, ask: Ask) -> Refusal | None:
    if instrument.status == "Trading" or (instrument.status == "Delivering" and ask.reduce_only):
        return None
    if instrument.status == "Delivering":
        return Refusal(code=30228, message="No new positions during delisting")
    return Refusal(code=110074, message="This contract is not live")


def position_idx(state: State, instrument: Instrument, ask: Ask) -> Refusal | None:
    if ask.position_idx in state.indices(instrument.symbol):
        return None
    return Refusal(code=10001, message="position idx not match position mode")


def link(state: State, instrument: Instrument, ask: Ask) -> Refusal | None:
    if ask.link_id and ask.link_id in state.links:
        return Refusal(code=110072, message="OrderLinkedID is duplicate")
    return None


def check_qty(instrument: Instrument, qty: Decimal, *, market: bool, closes: bool) -> Refusal | None:
    """create-order.mdx: a reduce-only order over the maximum is split by the exchange, so it passes."""
    if qty % instrument.qty_step:
        return Refusal(code=10001, message="Qty invalid")
    if qty < instrument.min_qty:
        return Refusal(code=10001, message="The number of contracts exceeds minimum limit allowed")
    most = instrument.max_market_qty if market else instrument.max_limit_qty
    if qty > most and not closes:
        return Refusal(
            code=10001,
            message="The number of contracts exceeds maximum limit allowed: too large, "
            f"order_qty:{int(qty * QTY_SCALE)} > max_qty:{int(most * QTY_SCALE)}",
        )
    return None


def quantity(state: State, instrument: Instrument, ask: Ask) -> Refusal | None:
    if not ask.qty and ask.reduce_only and ask.close_on_trigger:
        return None
    return check_qty(instrument, ask.qty, market=ask.order_type is OrderType.MARKET, closes=ask.closes)


def check_price(instrument: Instrument, price: Decimal) -> Refusal | None:
    if price % instrument.tick_size or not instrument.min_price <= price <= instrument.max_price:
        return Refusal(code=110003, message="Order price exceeds the allowable range.")
    return None


def price(state: State, instrument: Instrument, ask: Ask) -> Refusal | None:
    if ask.price is None:
        return None
    refusal = check_price(instrument, ask.price)
    if refusal is None and ask.trigger_price is None:
        refusal = refuse_price(state, instrument, ask.side, ask.price)
    return refusal


def check_trigger(instrument: Instrument, trigger: Decimal, direction: int, current: Decimal) -> Refusal | None:
    """A trigger must lie ahead of the price it watches: 110092 when rising, 110093 when falling."""
    refusal = check_price(instrument, trigger)
    if refusal:
        return refusal
    if direction not in (1, 2):
        return Refusal(code=10001, message="TriggerDirection invalid")
    shown = f"trigger_price[{int(trigger * PRICE_SCALE)}]", f"current[{int(current * PRICE_SCALE)}]??LastPrice"
    if direction == 1 and trigger <= current:
        return Refusal(code=110092, message=f"expect Rising, but {shown[0]} <= {shown[1]}")
    if direction == 2 and trigger >= current:
        return Refusal(code=110093, message=f"expect Falling, but {shown[0]} >= {shown[1]}")
    return None


def conditional(state: State, instrument: Instrument, ask: Ask) -> Refusal | None:
    if ask.trigger_price is None:
        return None
    current = state.quotes[instrument.symbol].by(ask.trigger_by)
    return check_trigger(instrument, ask.trigger_price, ask.trigger_direction, current)


def hedge_side(state: State, instrument: Instrument, ask: Ask) -> Refusal | None:
    """In hedge mode selling the buy side (or the reverse) can only reduce it, marked so or not."""
    opening = {1: "Buy", 2: "Sell"}.get(ask.position_idx, ask.side)
    held = abs(state.position(instrument.symbol, ask.position_idx).size)
    if opening != ask.side and not ask.closes and ask.qty > held:
        return Refusal(code=110017, message="orderQty will be truncated to zero.")
    return None


def closing(state: State, instrument: Instrument, ask: Ask) -> Refusal | None:
    """110017 in its three wordings: no position, its own side, and nothing left by the orders that rest."""
    if not ask.closes:
        return None
    size = state.position(instrument.symbol, ask.position_idx).size
    if not size:
        return Refusal(code=110017, message="current position is zero, cannot fix reduce-only order qty")
    if size * ask.side.sign > 0:
        return Refusal(code=110017, message="Reduce-only rule not satisfied")
    if ask.trigger_price is None and not new_closing_room(state, ask, abs(size)):
        return Refusal(code=110017, message="orderQty will be truncated to zero.")
    return None


def new_closing_room(state: State, ask: Ask, size: Decimal) -> Decimal:
    """What a new closing order may stand for: all of the position at once, or what the resting ones leave of it."""
    taker = state.quotes[ask.symbol].taker_price(ask.side)
    if ask.price is None or (ask.price >= taker if ask.side == "Buy" else ask.price <= taker):
        return size
    resting = [
        order.leaves
        for order in state.open_orders[ask.symbol].values()
        if order.is_active and order.closes and order.side is ask.side and order.position_idx == ask.position_idx
    ]
    return max(size - sum(resting, ZERO), ZERO)


def levels(state: State, instrument: Instrument, ask: Ask) -> Refusal | None:
    """create-order.mdx: "When reduceOnly is true, take profit/stop loss cannot be set"."""
    if not ask.exits.take_profit and not ask.exits.stop_loss:
        return None
    if ask.closes:
        return Refusal(code=10001, message="TakeProfit and StopLoss cannot be set on a reduce-only order")
    base = ask.price or ask.trigger_price or state.quotes[instrument.symbol].last
    return stops.check_levels(instrument, ask.side, ask.exits, base)


def notional(state: State, instrument: Instrument, ask: Ask) -> Refusal | None:
    """The smallest order value, from which reduce-only orders are exempt."""
    if ask.closes:
        return None
    value = ask.qty * (ask.price or ask.trigger_price or state.quotes[instrument.symbol].last)
    if value < instrument.min_notional:
        words = f"Order does not meet minimum order value {instrument.min_notional}{instrument.quote_coin}"
        return Refusal(code=110094, message=words)
    return None


def counts(state: State, instrument: Instrument, ask: Ask) -> Refusal | None:
    """create-order.mdx, "Open orders up limit": 500 active and 10 conditional ones a symbol."""
    orders = state.open_orders[instrument.symbol].values()
    if ask.trigger_price is not None:
        waiting = sum(o.status is Status.UNTRIGGERED and o.stop_kind is StopKind.STOP for o in orders)
        words = "the number of stop orders exceeds the maximum allowable limit"
        return Refusal(code=110009, message=words) if waiting >= MAX_CONDITIONAL else None
    if sum(o.is_active for o in orders) >= MAX_ACTIVE:
        return Refusal(code=110020, message="Not allowed to have more than 500 active orders.")
    return None


def balance(state: State, instrument: Instrument, ask: Ask) -> Refusal | None:
    """A conditional order ties up nothing until it triggers (create-order.mdx)."""
    if ask.closes or ask.trigger_price is not None:
        return None
    quote = state.quotes[instrument.symbol]
    at = ask.price or quote.taker_price(ask.side)
    if margin.affordable(state, instrument, idx=ask.position_idx, side=ask.side, qty=ask.qty, price=at):
        return None
    return Refusal(code=110007, message="ab not enough for new order")


def amend_balance(
    state: State, instrument: Instrument, order: Order, *, qty: Decimal, price: Decimal
) -> Refusal | None:
    """What a raised order ties up on top of its present margin."""
    held = instrument.value(order.leaves, order.price) if order.price else ZERO
    more = instrument.value(qty - order.cum_qty, price) - held
    leverage = state.position(order.symbol, order.position_idx).leverage
    if order.closes or more <= 0 or more / leverage <= margin.available(state, instrument.settle_coin):
        return None
    return Refusal(code=110007, message="ab not enough for new order")


RULES: tuple[Callable[[State, Instrument, Ask], Refusal | None], ...] = (
    is_live,
    position_idx,
    link,
    quantity,
    price,
    conditional,
    hedge_side,
    closing,
    levels,
    notional,
    counts,
    balance,
)
