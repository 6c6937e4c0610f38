"""Funding payments between longs and shorts of a perpetual."""

from __future__ import annotations

from decimal import Decimal

from relay.paper.orders import (
    NO_EXITS,
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
from relay.paper.positions import Position, cents
from relay.paper.state import State


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
        state.credit(instrument.settle_coin, -paid)
        state.note_position(position, now_ms)
        state.changes.executions.append(
            Execution(
                id=state.new_id(),
                seq=position.seq,
                order=_order(state, position, now_ms),
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
        )


def _order(state: State, position: Position, now_ms: int) -> Order:
    """The order that a funding execution names: none that was ever placed."""
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
        create_type="",
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
