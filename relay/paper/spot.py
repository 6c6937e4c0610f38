"""The spot pairs' side of the trading engine: coins change hands, nothing is a position.

What an order gives away is locked while it is open; fees are taken in the coin that is received."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import ROUND_DOWN, ROUND_UP, Decimal

from relay.paper import margin, matching, stops
from relay.paper.orders import (
    NO_EXITS,
    SPOT,
    ZERO,
    Ask,
    Execution,
    Exits,
    Order,
    OrderType,
    Refusal,
    Side,
    Status,
    StopKind,
    TimeInForce,
    TriggerBy,
)
from relay.paper.state import Instrument, State, cents

MAX_ORDERS = 500
MAX_WAITING = 30
"""create-order.mdx, "Open orders up limit": 500 in all, of which 30 TP/SL and 30 conditional ones a symbol."""
TRIGGER_FROM, TRIGGER_TO = Decimal("0.9"), Decimal("1.1")
LOCKING = frozenset({StopKind.TPSL, StopKind.BIDIRECTIONAL})


def place(state: State, instrument: Instrument, ask: Ask, now_ms: int) -> Order | Refusal:
    """A new order. It may be filled, resting, waiting for its trigger or already cancelled when this returns."""
    for rule in RULES:
        refusal = rule(state, instrument, ask)
        if refusal:
            return refusal
    order = _make(state, instrument, ask, now_ms)
    if order.link_id:
        state.links[order.link_id] = order.id
    if ask.trigger_price is None:
        _submit(state, order, now_ms)
    else:
        state.note_order(order, now_ms)
    return order


def _make(state: State, instrument: Instrument, ask: Ask, now_ms: int) -> Order:
    last, waits = state.quotes[instrument.key].last, ask.trigger_price is not None
    price = ask.price if waits or ask.price is None else _bounded(state, instrument, ask.side, ask.price)
    return Order(
        id=state.new_id(),
        link_id=ask.link_id,
        category=SPOT,
        symbol=instrument.key,
        side=ask.side,
        order_type=ask.order_type,
        qty=ask.qty,
        price=price,
        time_in_force=ask.time_in_force,
        position_idx=0,
        reduce_only=False,
        close_on_trigger=False,
        status=Status.UNTRIGGERED if waits else Status.NEW,
        create_type="",
        stop_kind=ask.stop_kind if waits else StopKind.NONE,
        trigger_price=ask.trigger_price,
        trigger_direction=_direction(ask.trigger_price, last),
        trigger_by=TriggerBy.LAST,
        exits=ask.exits,
        last_price_on_created=last,
        created_ms=now_ms,
        updated_ms=now_ms,
        seq=state.next_seq(),
        market_unit=ask.market_unit,
    )


def _direction(trigger: Decimal | None, last: Decimal) -> int:
    """Spot is not told which way the price must go: it is the way from the last price to the trigger."""
    return 0 if trigger is None else 1 if trigger > last else 2


# What fills.


def act(state: State, order: Order, now_ms: int) -> None:
    """What the price calls for."""
    if order.status is Status.UNTRIGGERED:
        _trigger(state, order, now_ms)
        return
    assert order.price is not None
    depth = state.quotes[order.symbol].depth
    _fill(state, order, order.leaves if depth is None else min(order.leaves, depth), order.price, True, now_ms)


def _submit(state: State, order: Order, now_ms: int) -> None:
    """An order arrives at the market: new, amended or triggered. It ends filled, resting or cancelled."""
    if not matching.crosses(state, order):
        matching.rest_or_cancel(state, order, now_ms)
    elif order.time_in_force is TimeInForce.POST_ONLY:
        matching.turn_away(state, order, now_ms, "EC_PostOnlyWillTakeLiquidity")
    else:
        _take(state, order, now_ms)
    if not order.is_open:
        _attach(state, order, now_ms)


def _take(state: State, order: Order, now_ms: int) -> None:
    """Of an order by value that is bought which fits into whole steps: less than one may be left, and is cancelled."""
    quote, instrument = state.quotes[order.symbol], state.instruments[order.symbol]
    price, market = quote.taker_price(order.side), order.order_type is OrderType.MARKET
    wanted = margin.floor(order.leaves / price, instrument.qty_step) if order.is_by_value else order.leaves
    qty = wanted if quote.depth is None else min(wanted, quote.depth)
    if order.time_in_force is TimeInForce.FOK and qty < wanted:
        matching.turn_away(state, order, now_ms, "EC_CancelForNoFullFill")
        return
    if market and _deviates(state, instrument, price):
        matching.turn_away(state, order, now_ms, "EC_ReachRiskPriceLimit")
        return
    if qty:
        _fill(state, order, qty, price, False, now_ms)
    if not order.leaves:
        return
    if market or order.time_in_force is TimeInForce.IOC:
        reason = "EC_CancelForNoFullFill" if qty else "EC_NoImmediateQtyToFill"
        matching.turn_away(state, order, now_ms, reason)
    else:
        matching.rest_or_cancel(state, order, now_ms)


def _deviates(state: State, instrument: Instrument, price: Decimal) -> bool:
    """Help page "Spot Trading Rules": what would fill too far from the last price is cancelled. Here: ratio Y."""
    last = state.quotes[instrument.key].last
    return abs(price - last) > last * _ratios(instrument)[1]


def _fill(state: State, order: Order, qty: Decimal, price: Decimal, maker: bool, now_ms: int) -> None:
    """One execution with all that follows: both coins' wallets, the order itself, and what hangs on it."""
    instrument, value = state.instruments[order.symbol], qty * price
    rate = state.spot_maker_fee if maker else state.spot_taker_fee
    fee, fee_coin = _fee(state, instrument, order.side, qty, value, rate, maker)
    matching.consume(state, order.symbol, qty)
    order.cum_qty += qty
    order.cum_value += value
    order.fill_count += 1
    order.add_fee(fee, fee_coin)
    order.status = Status.PARTIALLY_FILLED if order.leaves else Status.FILLED
    execution = Execution(
        id=state.new_id(),
        seq=state.next_seq(),
        order=replace(order),
        kind="Trade",
        price=price,
        qty=qty,
        value=value,
        fee=fee,
        fee_rate=rate,
        fee_coin=fee_coin,
        is_maker=maker,
        mark_price=ZERO,
        closed_qty=ZERO,
        pnl=ZERO,
        leaves=ZERO if order.is_by_value else order.leaves,
        at_ms=now_ms,
        extra_fee=cents(fee * state.tax_rate),
    )
    state.changes.executions.append(execution)
    flows = {instrument.base_coin: qty * order.side.sign, instrument.quote_coin: -value * order.side.sign}
    for coin in dict.fromkeys((*flows, fee_coin)):
        state.book(execution, coin, flows.get(coin, ZERO))
    state.note_order(order, now_ms)
    if maker and not order.is_open:
        _attach(state, order, now_ms)


def _fee(
    state: State, instrument: Instrument, side: Side, qty: Decimal, value: Decimal, rate: Decimal, maker: bool
) -> tuple[Decimal, str]:
    """How much of which coin (enum.mdx, "Spot Fee Currency Instruction"): what is received, but a maker's rebate.

    Exact, as far as the coins' own steps go: nobody has to round to know what is left.
    """
    if state.fee_coin:
        dollars = value * state.usd_price(instrument.quote_coin)
        return cents(dollars * rate / state.fee_coin_price), state.fee_coin
    received = (side is Side.BUY) is not (maker and state.spot_maker_fee <= 0)
    return (qty * rate, instrument.base_coin) if received else (value * rate, instrument.quote_coin)


# Orders that wait for a price.


def _trigger(state: State, order: Order, now_ms: int) -> None:
    """It becomes an active one; without the coins for it, or beyond the price limit, it is cancelled."""
    instrument = state.instruments[order.symbol]
    free = margin.spendable(state, margin.pays_with(instrument, order.side)) + margin.lock(instrument, order)
    _end_twin(state, order, now_ms, by_trigger=True)
    order.status = Status.TRIGGERED
    at = order.price or state.quotes[order.symbol].taker_price(order.side)
    beyond = order.price is not None and _bounded(state, instrument, order.side, order.price) != order.price
    short = margin.cost(instrument, order.side, order.leaves, at, order.market_unit) > free
    if short or (beyond and not state.moves_spot_prices):
        stops.cancel(state, order, now_ms, cancel_type="UNKNOWN", reason="EC_Others")
        return
    if order.price is not None:
        order.price = _bounded(state, instrument, order.side, order.price)
    _submit(state, order, now_ms)


def _end_twin(state: State, order: Order, now_ms: int, *, by_trigger: bool) -> None:
    """A take profit and a stop loss on the same coins are one order to their owner: either goes with the other."""
    profit = (order.trigger_direction == 1) is (order.side is Side.SELL)
    why = "CancelByOCOSlCanceledByTpTriggered" if profit else "CancelByOCOTpCanceledBySlTriggered"
    for other in state.orders_of(order.symbol):
        if order.pair_id and other.pair_id == order.pair_id and other.id != order.id:
            stops.cancel(state, other, now_ms, cancel_type=why if by_trigger else "CancelByUser")


def _attach(state: State, order: Order, now_ms: int) -> None:
    """The take profit and stop loss of a limit order that has ended, on what it brought less the fee.

    No page says when they come or what they are called. By what users show they come with the last fill, as
    `BidirectionalTpslOrder`, over the quantity less its fee.
    """
    if order.exits == NO_EXITS or not order.cum_qty:
        return
    instrument, exits, side = state.instruments[order.symbol], order.exits, order.side.opposite
    net = order.cum_qty - (order.fees.get(instrument.base_coin, ZERO) if order.side is Side.BUY else ZERO)
    qty = margin.floor(net, instrument.qty_step)
    rises, falls = (1, 2) if side is Side.SELL else (2, 1)
    profit = (rises, exits.take_profit, exits.tp_limit_price)
    loss = (falls, exits.stop_loss, exits.sl_limit_price)
    legs = [(direction, trigger, limit) for direction, trigger, limit in (profit, loss) if trigger]
    free = margin.spendable(state, margin.pays_with(instrument, side))
    if not qty or any(margin.cost(instrument, side, qty, limit or at, "") > free for _, at, limit in legs):
        return
    kind, pair = (StopKind.BIDIRECTIONAL, state.new_id()) if len(legs) == 2 else (StopKind.TPSL, "")
    for direction, trigger, limit in legs:
        leg = Ask(
            category=SPOT,
            symbol=instrument.symbol,
            side=side,
            order_type=OrderType.LIMIT if limit else OrderType.MARKET,
            qty=qty,
            price=limit,
            time_in_force=TimeInForce.GTC if limit else TimeInForce.IOC,
            trigger_price=trigger,
            stop_kind=kind,
            market_unit="" if limit else "baseCoin",
        )
        made = _make(state, instrument, leg, now_ms)
        made.pair_id, made.trigger_direction = pair, direction
        state.note_order(made, now_ms)


def cancel(state: State, order: Order, now_ms: int) -> None:
    """By its owner."""
    stops.cancel(state, order, now_ms, cancel_type="CancelByUser")
    _end_twin(state, order, now_ms, by_trigger=False)
    _attach(state, order, now_ms)


def amend(
    state: State,
    order: Order,
    *,
    qty: Decimal,
    price: Decimal | None,
    trigger: Decimal | None,
    exits: Exits,
    now_ms: int,
) -> Refusal | None:
    """New terms for an open order. It may fill at once."""
    instrument = state.instruments[order.symbol]
    trigger = order.trigger_price if order.is_active else trigger
    ask = _asked(order, qty, price, trigger, exits)
    refusal = None
    if qty <= order.cum_qty:
        words = "The modified contract quantity cannot be less than to the filled quantity"
        refusal = Refusal(code=170313, message=words)
    elif exits != order.exits and order.exits == NO_EXITS:
        refusal = Refusal(code=170312, message="The current order does not support modification")
    rules = (precision, most, price_limit, least, trigger_price, levels)
    refusal = refusal or next(filter(None, (rule(state, instrument, ask) for rule in rules)), None)
    if refusal:
        return refusal
    changed = replace(order, qty=qty, price=price, trigger_price=trigger, exits=exits)
    more = margin.lock(instrument, changed) - margin.lock(instrument, order)
    if more > max(margin.spendable(state, margin.pays_with(instrument, order.side)), ZERO):
        return NO_COINS
    if order.is_active and price is not None:
        price = _bounded(state, instrument, order.side, price)
    if trigger != order.trigger_price:
        order.trigger_direction = _direction(trigger, state.quotes[order.symbol].last)
    order.qty, order.price, order.trigger_price, order.exits = qty, price, trigger, exits
    if order.is_active:
        _submit(state, order, now_ms)
    else:
        state.note_order(order, now_ms)
    return None


def _asked(order: Order, qty: Decimal, price: Decimal | None, trigger: Decimal | None, exits: Exits) -> Ask:
    """The order as if it were asked for anew under these terms. An active one is past its trigger."""
    return Ask(
        category=SPOT,
        symbol=order.symbol,
        side=order.side,
        order_type=order.order_type,
        qty=qty,
        price=price,
        time_in_force=order.time_in_force,
        trigger_price=None if order.is_active else trigger,
        stop_kind=order.stop_kind,
        exits=exits,
        market_unit=order.market_unit,
    )


# Whether the exchange takes an order: one rule a function, each with Bybit's code and words (error.mdx, Spot Trade).


NO_COINS = Refusal(code=170131, message="Insufficient balance.")


def is_live(state: State, instrument: Instrument, ask: Ask) -> Refusal | None:
    """A pair that has stopped trading is no longer listed at all (instrument.mdx, status)."""
    if instrument.status == "Trading":
        return None
    if instrument.status == "PreLaunch":
        return Refusal(code=170151, message="The trading pair is not open yet")
    return Refusal(code=170121, message="Invalid symbol.")


def borrowing(state: State, instrument: Instrument, ask: Ask) -> Refusal | None:
    """This account has margin trading switched off."""
    words = (
        "You haven't enabled Cross Margin Trading yet. To do so, please head to the PC trading site or the Bybit app"
    )
    return Refusal(code=170036, message=words) if ask.borrows else None


def link(state: State, instrument: Instrument, ask: Ask) -> Refusal | None:
    if ask.link_id and ask.link_id in state.links:
        return Refusal(code=170141, message="Duplicate clientOrderId")
    return None


def precision(state: State, instrument: Instrument, ask: Ask) -> Refusal | None:
    by_value = ask.market_unit == "quoteCoin"
    if not ask.qty:
        return Refusal(code=170136, message="Order quantity lower than the minimum.")
    if ask.qty % (instrument.quote_step if by_value else instrument.qty_step):
        if by_value:
            return Refusal(code=170148, message="Market order amount decimal too long")
        return Refusal(code=170137, message="Order volume decimal too long")
    if ask.price is not None and ask.price <= 0:
        return Refusal(code=170133, message="Order price lower than the minimum.")
    prices = (ask.price, ask.trigger_price, ask.exits.tp_limit_price, ask.exits.sl_limit_price)
    if any(price is not None and price % instrument.tick_size for price in prices):
        return Refusal(code=170134, message="Order price decimal too long.")
    return None


def most(state: State, instrument: Instrument, ask: Ask) -> Refusal | None:
    if ask.order_type is OrderType.LIMIT:
        post_only = ask.time_in_force is TimeInForce.POST_ONLY
        limit = instrument.max_post_only_qty if post_only else instrument.max_limit_qty
        return Refusal(code=170381, message="Order quantity too large.") if ask.qty > limit else None
    if ask.market_unit == "quoteCoin":
        value = instrument.max_market_qty * _about(state, instrument, ask)
        return Refusal(code=170124, message="Order amount too large.") if ask.qty > value else None
    return Refusal(code=170382, message="Order quantity too large.") if ask.qty > instrument.max_market_qty else None


def _about(state: State, instrument: Instrument, ask: Ask) -> Decimal:
    """The price that an order is valued at."""
    return ask.price or ask.trigger_price or state.quotes[instrument.key].last


def least(state: State, instrument: Instrument, ask: Ask) -> Refusal | None:
    value = ask.qty if ask.market_unit == "quoteCoin" else ask.qty * _about(state, instrument, ask)
    if value < instrument.min_notional:
        return Refusal(code=170140, message="Order value exceeded lower limit")
    return None


def _ratios(instrument: Instrument) -> tuple[Decimal, Decimal]:
    found = instrument.published["riskParameters"]
    return Decimal(found["priceLimitRatioX"]), Decimal(found["priceLimitRatioY"])


def price_bound(state: State, instrument: Instrument, side: Side) -> Decimal:
    """The highest price of a limit buy, or the lowest of a sell (set-price-limit.mdx, Spot); the premium is none here.

    That is min(max(I, I(1+x)), I(1+y)) of the index, or its mirror image.
    """
    index, sign = state.quotes[instrument.key].index, side.sign
    near, far = (index * (1 + ratio * sign) for ratio in _ratios(instrument))
    bound = min(max(index, near), far) if side is Side.BUY else max(min(index, near), far)
    steps = (bound / instrument.tick_size).to_integral_value(ROUND_DOWN if side is Side.BUY else ROUND_UP)
    return steps * instrument.tick_size


def _bounded(state: State, instrument: Instrument, side: Side, price: Decimal) -> Decimal:
    bound = price_bound(state, instrument, side)
    return min(price, bound) if side is Side.BUY else max(price, bound)


def price_limit(state: State, instrument: Instrument, ask: Ask) -> Refusal | None:
    """Beyond the bound it is refused, or moved where `lpaSpot` says so. An order that waits is looked at later."""
    if ask.price is None or ask.trigger_price is not None or state.moves_spot_prices:
        return None
    bound = _bounded(state, instrument, ask.side, ask.price)
    if bound == ask.price:
        return None
    code, word = (170372, "higher") if ask.side is Side.BUY else (170371, "lower")
    return Refusal(code=code, message=f"Order price cannot be {word} than {bound:f}, the price limitation")


def trigger_price(state: State, instrument: Instrument, ask: Ask) -> Refusal | None:
    """170203 and 170204: a limit order that waits must have its trigger near its price."""
    if ask.trigger_price is None or ask.price is None:
        return None
    if ask.trigger_price > ask.price * TRIGGER_TO:
        return Refusal(code=170203, message="trigger price cannot be higher than 110% price.")
    if ask.trigger_price < ask.price * TRIGGER_FROM:
        return Refusal(code=170204, message="trigger price cannot be lower than 90% of qty.")
    return None


def levels(state: State, instrument: Instrument, ask: Ask) -> Refusal | None:
    """What a limit order carries must lie on its own side of its price."""
    if ask.price is None or ask.exits == NO_EXITS:
        return None
    refusal = stops.check_levels(instrument, ask.side, ask.exits, ask.price)
    if refusal is None:
        return None
    name = "takeProfit" if refusal.message.startswith("TakeProfit") else "stopLoss"
    return Refusal(code=170130, message=f"Data sent for paramter '{name}' is not valid.")


def counts(state: State, instrument: Instrument, ask: Ask) -> Refusal | None:
    """Every kind has its own limit a symbol, and all together one."""
    everything = sum(len(orders) for key, orders in state.open_orders.items() if state.instruments[key].is_spot)
    waiting = [order for order in state.open_orders[instrument.key].values() if order.status is Status.UNTRIGGERED]
    alike = sum((order.stop_kind in LOCKING) is (ask.stop_kind in LOCKING) for order in waiting)
    if everything < MAX_ORDERS and (ask.trigger_price is None or alike < MAX_WAITING):
        return None
    return Refusal(code=170810, message="Cannot exceed maximum of 500 conditional, TP/SL and active orders.")


def balance(state: State, instrument: Instrument, ask: Ask) -> Refusal | None:
    """Own coins only; a StopOrder is asked for them once it triggers."""
    if ask.trigger_price is not None and ask.stop_kind is StopKind.STOP:
        return None
    at = ask.price or ask.trigger_price or state.quotes[instrument.key].taker_price(ask.side)
    needed = margin.cost(instrument, ask.side, ask.qty, at, ask.market_unit)
    return NO_COINS if needed > margin.spendable(state, margin.pays_with(instrument, ask.side)) else None


RULES: tuple[Callable[[State, Instrument, Ask], Refusal | None], ...] = (
    is_live,
    borrowing,
    link,
    precision,
    most,
    price_limit,
    least,
    trigger_price,
    levels,
    counts,
    balance,
)
