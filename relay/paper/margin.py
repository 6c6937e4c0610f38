"""What positions and orders tie up of a wallet, and funding payments."""

from __future__ import annotations

from dataclasses import replace
from decimal import ROUND_DOWN, Decimal

from relay.paper import stops
from relay.paper.orders import (
    NO_EXITS,
    QUOTE_COIN,
    ZERO,
    Execution,
    Order,
    OrderType,
    Side,
    Status,
    StopKind,
    TimeInForce,
    TriggerBy,
)
from relay.paper.state import Instrument, Position, State, cents, maintenance_margin, profit


def unrealised(state: State, symbol: str, idx: int) -> Decimal:
    """The open profit of a position at the mark price, in the settle coin."""
    position = state.positions.get((symbol, idx))
    if position is None or not position.size:
        return ZERO
    return profit(state.instruments[symbol], position.size, position.avg_price, state.quotes[symbol].mark)


def liquidation_price(state: State, symbol: str, idx: int) -> Decimal | None:
    """The price at which the coin's equity would be down to what its positions must keep, if only this one moved.

    None where no price of the instrument's does that, as the exchange leaves it empty. Source: position.mdx, liqPrice.
    """
    position, instrument = state.position(symbol, idx), state.instruments[symbol]
    if not position.size:
        return None
    coin = instrument.settle_coin
    wallet = state.wallets.get(coin)
    short = -(wallet.balance if wallet else ZERO)
    for (name, at), held in state.positions.items():
        if held.size and state.instruments[name].settle_coin == coin:
            short += maintenance_margin(held, state.instruments[name])
            short -= unrealised(state, name, at) if held is not position else ZERO
    away = short / position.size
    if not instrument.inverse:
        price = position.avg_price + away
    else:
        turned = 1 / position.avg_price - away
        price = 1 / turned if turned > 0 else ZERO
    return price if instrument.min_price < price < instrument.max_price else None


def position_value(state: State, symbol: str, idx: int) -> Decimal:
    """The unsigned value of a position at the mark price, in the settle coin."""
    position = state.positions.get((symbol, idx))
    if position is None or not position.size:
        return ZERO
    return state.instruments[symbol].value(abs(position.size), state.quotes[symbol].mark)


def _resting_value(state: State, instrument: Instrument, idx: int, side: Side) -> Decimal:
    total = ZERO
    for order in state.open_orders[instrument.symbol].values():
        if order.side is side and order.position_idx == idx and order.is_active and not order.closes and order.price:
            total += instrument.value(order.leaves, order.price)
    return total


def _margin_at(
    state: State, instrument: Instrument, idx: int, extra: Decimal = ZERO, extra_side: Side = Side.BUY
) -> Decimal:
    position = state.position(instrument.symbol, idx)
    held = position_value(state, instrument.symbol, idx).copy_sign(position.size)
    long = held + _resting_value(state, instrument, idx, Side.BUY) + (extra if extra_side is Side.BUY else ZERO)
    short = -held + _resting_value(state, instrument, idx, Side.SELL) + (extra if extra_side is Side.SELL else ZERO)
    return max(long, short, ZERO) / position.leverage


def initial_margin(state: State, symbol: str) -> Decimal:
    """Of all positions and resting orders of the symbol: the costlier of its two sides, over the leverage."""
    instrument = state.instruments[symbol]
    if not state.open_orders[symbol] and not any((symbol, idx) in state.positions for idx in state.indices(symbol)):
        return ZERO
    return sum((_margin_at(state, instrument, idx) for idx in state.indices(symbol)), ZERO)


def coin_totals(state: State, coin: str) -> tuple[Decimal, Decimal, Decimal]:
    """(unrealised profit, initial margin of everything, initial margin of positions alone) in the coin."""
    profits = margins = held = ZERO
    for symbol, instrument in state.instruments.items():
        if instrument.settle_coin != coin:
            continue
        margins += initial_margin(state, symbol)
        for idx in state.indices(symbol):
            profits += unrealised(state, symbol, idx)
            value = position_value(state, symbol, idx)
            held += value / state.position(symbol, idx).leverage if value else ZERO
    return profits, margins, held


def available(state: State, coin: str) -> Decimal:
    """What a new order of a contract may still tie up."""
    wallet = state.wallets.get(coin)
    profits, margins, _ = coin_totals(state, coin)
    return (wallet.balance if wallet else ZERO) + profits - margins - locked(state, coin)


def spendable(state: State, coin: str) -> Decimal:
    """What a spot order may pay with: own coins, less what is locked or tied up; open losses count, profits do not."""
    return available(state, coin) - max(coin_totals(state, coin)[0], ZERO)


def locked(state: State, coin: str) -> Decimal:
    """What open spot orders hold back of the coin (wallet-balance.mdx). Of a pair that ends itself one side counts."""
    total, pairs = ZERO, dict[str, Decimal]()
    for symbol, orders in state.open_orders.items():
        instrument = state.instruments[symbol]
        for order in orders.values():
            amount = lock(instrument, order) if pays_with(instrument, order.side) == coin else ZERO
            if order.pair_id:
                pairs[order.pair_id] = max(pairs.get(order.pair_id, ZERO), amount)
            else:
                total += amount
    return total + sum(pairs.values(), ZERO)


def pays_with(instrument: Instrument, side: Side) -> str:
    """The coin that an order of a spot pair gives away; none for a contract."""
    if not instrument.is_spot:
        return ""
    return instrument.quote_coin if side is Side.BUY else instrument.base_coin


def lock(instrument: Instrument, order: Order) -> Decimal:
    """What an open spot order locks; a StopOrder nothing before its trigger (create-order.mdx, orderFilter)."""
    if (order.status, order.stop_kind) == (Status.UNTRIGGERED, StopKind.STOP):
        return ZERO
    return cost(instrument, order.side, order.leaves, order.price or order.trigger_price or ZERO, order.market_unit)


def cost(instrument: Instrument, side: Side, qty: Decimal, price: Decimal, market_unit: str) -> Decimal:
    """What an order of a spot pair gives away at `price`, in the coin that it pays with."""
    by_value = market_unit == QUOTE_COIN
    if side is Side.BUY:
        return qty if by_value else qty * price
    return floor(qty / price, instrument.qty_step) if by_value else qty


def floor(amount: Decimal, step: Decimal) -> Decimal:
    return (amount / step).to_integral_value(ROUND_DOWN) * step


def affordable(state: State, instrument: Instrument, *, idx: int, side: Side, qty: Decimal, price: Decimal) -> bool:
    """Whether the wallet covers the order's margin and taker fee. An order that ties up nothing more always passes."""
    value = instrument.value(qty, price)
    more = _margin_at(state, instrument, idx, value, side) - _margin_at(state, instrument, idx)
    if more <= 0:
        return True
    return more + value * state.taker_fee <= available(state, instrument.settle_coin)


# Funding payments between longs and shorts of a perpetual.


def pay(state: State, symbol: str, rate: Decimal, now_ms: int) -> None:
    """Longs pay `rate` of the position's value at mark, shorts receive it; the other way round when negative."""
    instrument, quote = state.instruments[symbol], state.quotes[symbol]
    for idx in state.indices(symbol):
        position = state.position(symbol, idx)
        if not position.size:
            continue
        value = instrument.value(abs(position.size), quote.mark)
        paid = cents(value * rate) * (1 if position.size > 0 else -1)
        position.current_realised -= paid
        position.total_realised -= paid
        position.seq = state.next_seq()
        state.note_position(position, now_ms)
        execution = Execution(
            id=state.new_id(),
            seq=position.seq,
            order=order_of_exchange(state, position, now_ms),
            kind="Funding",
            price=quote.mark,
            qty=abs(position.size),
            value=value,
            fee=paid,
            fee_rate=rate,
            fee_coin=instrument.settle_coin,
            is_maker=False,
            mark_price=quote.mark,
            closed_qty=ZERO,
            pnl=ZERO,
            leaves=ZERO,
            at_ms=now_ms,
        )
        state.changes.executions.append(execution)
        state.book(execution, instrument.settle_coin, ZERO)


def split(state: State, instrument: Instrument, ratio: Decimal, now_ms: int) -> None:
    """A stock split, as an execution of the kind CorporateAction that no order made (enum.mdx, execType).

    What its rows say beside that, and what becomes of orders, is documented nowhere: here the new size at the new
    price, and orders end.
    """
    symbol, quote = instrument.symbol, state.quotes[instrument.symbol]
    prices = {name: getattr(quote, name) / ratio for name in ("last", "mark", "index", "bid", "ask")}
    for order in state.orders_of(symbol):
        stops.cancel(state, order, now_ms, cancel_type="CancelByAdmin")
    state.set_quote(symbol, replace(quote, **prices), moved_ms=now_ms)
    for idx in state.indices(symbol):
        position = state.position(symbol, idx)
        if not position.size:
            continue
        position.size, position.avg_price = position.size * ratio, position.avg_price / ratio
        position.seq = state.next_seq()
        state.note_position(position, now_ms)
        order = order_of_exchange(state, position, now_ms)
        state.changes.executions.append(
            Execution(
                id=state.new_id(),
                seq=position.seq,
                order=order,
                kind="CorporateAction",
                price=position.avg_price,
                qty=abs(position.size),
                value=instrument.value(abs(position.size), position.avg_price),
                fee=ZERO,
                fee_rate=ZERO,
                fee_coin=instrument.settle_coin,
                is_maker=False,
                mark_price=state.quotes[symbol].mark,
                closed_qty=ZERO,
                pnl=ZERO,
                leaves=ZERO,
                at_ms=now_ms,
            )
        )


def order_of_exchange(state: State, position: Position, now_ms: int, *, create_type: str = "") -> Order:
    """The order that an execution of the exchange's own names: none that was ever placed. On the position's side."""
    return Order(
        id=state.new_id(),
        link_id="",
        category=state.instruments[position.symbol].category,
        symbol=position.symbol,
        side=Side.BUY if position.size > 0 else Side.SELL,
        order_type=OrderType.MARKET,
        qty=abs(position.size),
        price=None,
        time_in_force=TimeInForce.GTC,
        position_idx=position.idx,
        reduce_only=False,
        close_on_trigger=False,
        status=Status.FILLED,
        create_type=create_type,
        stop_kind=StopKind.NONE,
        trigger_price=None,
        trigger_direction=0,
        trigger_by=TriggerBy.LAST,
        exits=NO_EXITS,
        last_price_on_created=state.quotes[position.symbol].last,
        created_ms=now_ms,
        updated_ms=now_ms,
        seq=position.seq,
    )
