"""Whether the exchange takes an order: one rule a function, each with Bybit's code and words, tried in order."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from relay.paper import margin, stops
from relay.paper.instruments import Instrument
from relay.paper.orders import ZERO, Ask, Order, OrderType, Refusal, Status, StopKind
from relay.paper.state import State

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
    if category not in ("linear", "inverse"):
        return Refusal(code=10001, message="params error: category invalid")
    found = state.instruments.get(symbol)
    if found is None or found.category != category:
        return Refusal(code=10001, message=f"params error: symbol invalid {symbol}")
    return found


def is_live(state: State, instrument: Instrument, ask: Ask) -> Refusal | None:
    if instrument.status == "Trading":
        return None
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
    return check_price(instrument, ask.price) if ask.price is not None else None


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
    if ask.trigger_price is None and not closing_room(state, ask, abs(size)):
        return Refusal(code=110017, message="orderQty will be truncated to zero.")
    return None


def closing_room(state: State, ask: Ask, size: Decimal) -> Decimal:
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
