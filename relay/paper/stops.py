"""Take profit, stop loss and trailing stop of a position.

As on Bybit they are conditional, closing orders that the system makes: they show up among the open orders, follow the
position's size, and go when it is closed (trading-stop.mdx). "Full" ones belong to the whole position and are replaced;
"Partial" ones have a size of their own, add up, and come in pairs of which one cancels the other."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from relay.paper.orders import (
    NO_EXITS,
    PARTIAL_STOPS,
    SPOT,
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
from relay.paper.state import Instrument, Position, State

MAX_PARTIAL_STOPS = 20
SCALE = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """Where one stop stands. `limit_price` None: it closes at the market."""

    kind: StopKind
    price: Decimal | None
    by: TriggerBy = TriggerBy.LAST
    qty: Decimal | None = None
    limit_price: Decimal | None = None
    distance: Decimal | None = None


def side_of(position: Position) -> Side:
    return Side.BUY if position.size > 0 else Side.SELL


def standing(state: State, symbol: str, idx: int, kind: StopKind) -> Order | None:
    """The open stop of a kind, the newest if there are several."""
    found = [o for o in state.orders_of(symbol) if o.stop_kind is kind and o.position_idx == idx]
    return found[-1] if found else None


def _scaled(price: Decimal) -> int:
    return int(price * SCALE)


def check_levels(instrument: Instrument, side: Side, exits: Exits, base: Decimal) -> Refusal | None:
    """The levels must lie on their own side of `base`, for a position on `side`. 10001 with Bybit's words."""
    for name, price, above in (
        ("TakeProfit", exits.take_profit, side is Side.BUY),
        ("StopLoss", exits.stop_loss, side is Side.SELL),
    ):
        if not price:
            continue
        if price < 0 or price % instrument.tick_size:
            return Refusal(code=10001, message=f"{name} invalid")
        if price == base or (price > base) is not above:
            word = "higher" if above else "lower"
            return Refusal(
                code=10001,
                message=f"{name}:{_scaled(price)} set for {side} position should be {word} than "
                f"base_price:{_scaled(base)}??LastPrice",
            )
    return None


def _make(state: State, position: Position, level: Level, now_ms: int, parent: str, pair: str) -> None:
    side = side_of(position).opposite
    profit = level.kind in {StopKind.TAKE_PROFIT, StopKind.PARTIAL_TAKE_PROFIT}
    last = state.quotes[position.symbol].last
    order = Order(
        id=state.new_id(),
        link_id="",
        category=state.instruments[position.symbol].category,
        symbol=position.symbol,
        side=side,
        order_type=OrderType.LIMIT if level.limit_price else OrderType.MARKET,
        qty=min(level.qty or abs(position.size), abs(position.size)),
        price=level.limit_price,
        time_in_force=TimeInForce.GTC if level.limit_price else TimeInForce.IOC,
        position_idx=position.idx,
        reduce_only=True,
        close_on_trigger=True,
        status=Status.UNTRIGGERED,
        create_type=f"CreateBy{level.kind}",
        stop_kind=level.kind,
        trigger_price=level.price,
        trigger_direction=1 if profit is (side is Side.SELL) else 2,
        trigger_by=level.by,
        exits=NO_EXITS,
        last_price_on_created=last,
        created_ms=now_ms,
        updated_ms=now_ms,
        seq=state.next_seq(),
        parent_link_id=parent,
        pair_id=pair,
        trail_distance=level.distance,
        trail_peak=last if level.distance and level.price is None else None,
    )
    state.note_order(order, now_ms)


def cancel(state: State, order: Order, now_ms: int, *, cancel_type: str, reason: str = "EC_PerCancelRequest") -> None:
    """Ends an open order; before its trigger it is `Deactivated` (enum.mdx)."""
    filled = order.category == SPOT and order.cum_qty
    ended = Status.PARTIALLY_FILLED_CANCELED if filled else Status.CANCELLED
    order.status = Status.DEACTIVATED if order.status is Status.UNTRIGGERED else ended
    order.cancel_type = cancel_type
    order.reject_reason = reason
    state.note_order(order, now_ms)


def _replace(state: State, position: Position, level: Level, now_ms: int, parent: str = "") -> bool:
    """Puts a Full stop where `level` says; true if that changed anything."""
    current = standing(state, position.symbol, position.idx, level.kind)
    gone = not (level.distance if level.kind is StopKind.TRAILING_STOP else level.price)
    if current is None:
        if not gone:
            _make(state, position, level, now_ms, parent, "")
        return not gone
    if gone:
        cancel(state, current, now_ms, cancel_type="CancelByUser")
        return True
    before = (current.trigger_price, current.trigger_by, current.trail_distance)
    if before == (level.price, level.by, level.distance):
        return False
    current.trigger_price, current.trigger_by, current.trail_distance = level.price, level.by, level.distance
    last = state.quotes[position.symbol].last
    current.trail_peak = last if level.distance and level.price is None else None
    state.note_order(current, now_ms)
    return True


def _full_levels(exits: Exits) -> list[Level]:
    levels = []
    if exits.take_profit is not None:
        levels.append(Level(kind=StopKind.TAKE_PROFIT, price=exits.take_profit, by=exits.tp_trigger_by))
    if exits.stop_loss is not None:
        levels.append(Level(kind=StopKind.STOP_LOSS, price=exits.stop_loss, by=exits.sl_trigger_by))
    if exits.trailing_stop is not None:
        start = exits.active_price or None
        levels.append(Level(kind=StopKind.TRAILING_STOP, price=start, distance=exits.trailing_stop))
    return levels


def _add_partial(state: State, position: Position, exits: Exits, qty: Decimal, now_ms: int, parent: str) -> None:
    pair = state.new_id() if exits.take_profit and exits.stop_loss else ""
    for kind, price, by, limit, size in (
        (
            StopKind.PARTIAL_TAKE_PROFIT,
            exits.take_profit,
            exits.tp_trigger_by,
            exits.tp_limit_price,
            exits.tp_size,
        ),
        (StopKind.PARTIAL_STOP_LOSS, exits.stop_loss, exits.sl_trigger_by, exits.sl_limit_price, exits.sl_size),
    ):
        if price:
            level = Level(kind=kind, price=price, by=by, qty=size or qty, limit_price=limit or None)
            _make(state, position, level, now_ms, parent, pair)


def attach(state: State, order: Order, filled: Decimal, now_ms: int) -> None:
    """An order's take profit and stop loss come to life with its fill, if the position is now on its side."""
    position = state.position(order.symbol, order.position_idx)
    if order.exits == NO_EXITS or not position.size or side_of(position) is not order.side:
        return
    if order.exits.partial:
        _add_partial(state, position, order.exits, filled, now_ms, order.link_id)
        return
    for level in _full_levels(order.exits):
        _replace(state, position, level, now_ms, order.link_id)


def sync(state: State, position: Position, now_ms: int) -> None:
    """After the position has changed: its stops take its size, and go if it was closed or turned."""
    for order in state.orders_of(position.symbol):
        if not order.is_position_stop or order.position_idx != position.idx:
            continue
        if not position.size or order.side is side_of(position):
            if order.status is Status.UNTRIGGERED:
                cancel(state, order, now_ms, cancel_type="CancelByTpSlTsClear")
        elif order.status is Status.UNTRIGGERED:
            size = abs(position.size)
            wanted = min(order.qty, size) if order.stop_kind in PARTIAL_STOPS else size
            if wanted != order.qty:
                order.qty = wanted
                state.note_order(order, now_ms)


def set_stops(state: State, instrument: Instrument, idx: int, exits: Exits, now_ms: int) -> Refusal | None:
    """`/v5/position/trading-stop`. 10001 without a position or with a level on the wrong side, 34040 for no change."""
    position = state.position(instrument.symbol, idx)
    if not position.size:
        return Refusal(code=10001, message="can not set tp/sl/ts for zero position")
    refusal = check_levels(instrument, side_of(position), exits, state.quotes[instrument.symbol].last)
    if refusal:
        return refusal
    if exits.partial:
        return _set_partial(state, instrument, position, exits, now_ms)
    if exits.trailing_stop is not None and (exits.trailing_stop < 0 or exits.trailing_stop % instrument.tick_size):
        return Refusal(code=10001, message="TrailingStop invalid")
    changed = [_replace(state, position, level, now_ms) for level in _full_levels(exits)]
    return None if any(changed) else Refusal(code=34040, message="not modified")


def _set_partial(state: State, instrument: Instrument, position: Position, exits: Exits, now_ms: int) -> Refusal | None:
    if exits.tp_size and exits.sl_size and exits.tp_size != exits.sl_size:
        return Refusal(code=10001, message="tpSize and slSize must be equal")
    size = exits.tp_size or exits.sl_size or abs(position.size)
    if size % instrument.qty_step or size > abs(position.size):
        return Refusal(code=110058, message="You can't set take profit and stop loss due to insufficient size")
    there = sum(order.stop_kind in PARTIAL_STOPS for order in state.orders_of(instrument.symbol))
    if there + bool(exits.take_profit) + bool(exits.stop_loss) > MAX_PARTIAL_STOPS:
        return Refusal(code=110061, message="Not allowed to have more than 20 TP/SLs under Partial tpSlMode")
    _add_partial(state, position, exits, size, now_ms, "")
    return None
