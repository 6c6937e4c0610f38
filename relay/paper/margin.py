"""What positions and orders tie up of a wallet.

Each settle coin is the collateral of its own contracts only. Bybit's cross margin would lend against the other coins
too; the paper exchange is stricter, so what it accepts the real one can afford. Source of the formulas: Bybit's help
centre, "Initial margin (Unified Trading Account)"; margins are taken at the mark price.
"""

from __future__ import annotations

from decimal import Decimal

from relay.paper.instruments import Instrument
from relay.paper.orders import ZERO, Side
from relay.paper.positions import profit
from relay.paper.state import State


def unrealised(state: State, symbol: str, idx: int) -> Decimal:
    """The open profit of a position at the mark price, in the settle coin."""
    position = state.positions.get((symbol, idx))
    if position is None or not position.size:
        return ZERO
    return profit(state.instruments[symbol], position.size, position.avg_price, state.quotes[symbol].mark)


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
    """What a new order may still tie up."""
    wallet = state.wallets.get(coin)
    profits, margins, _ = coin_totals(state, coin)
    return (wallet.balance if wallet else ZERO) + profits - margins


def affordable(state: State, instrument: Instrument, *, idx: int, side: Side, qty: Decimal, price: Decimal) -> bool:
    """Whether the wallet covers the order's margin and taker fee. An order that ties up nothing more always passes."""
    value = instrument.value(qty, price)
    more = _margin_at(state, instrument, idx, value, side) - _margin_at(state, instrument, idx)
    if more <= 0:
        return True
    return more + value * state.taker_fee <= available(state, instrument.settle_coin)
