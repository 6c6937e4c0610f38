"""A position's arithmetic: average price, realised profit, margin. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal

from relay.paper.instruments import Instrument
from relay.paper.orders import ZERO, Side

CENT = Decimal("0.00000001")
DEFAULT_LEVERAGE = Decimal(10)


def cents(amount: Decimal) -> Decimal:
    """To the eight decimals in which wallets are kept."""
    return amount.quantize(CENT, rounding=ROUND_HALF_EVEN)


@dataclass(slots=True, kw_only=True)
class Position:
    """`size` is signed: positive long, negative short. Money is in the settle coin.

    `idx` 0 is one-way; 1 the buy and 2 the sell side of hedge mode. `open_fee` is what opening the present size cost.
    """

    symbol: str
    idx: int
    size: Decimal = ZERO
    avg_price: Decimal = ZERO
    leverage: Decimal = DEFAULT_LEVERAGE
    open_fee: Decimal = ZERO
    current_realised: Decimal = ZERO
    total_realised: Decimal = ZERO
    opened_ms: int = 0
    created_ms: int = 0
    updated_ms: int = 0
    seq: int = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """The part of a fill that reduced the position. `pnl` is gross of fees; `close_fee` is its share of the fill's."""

    qty: Decimal = ZERO
    pnl: Decimal = ZERO
    entry_value: Decimal = ZERO
    exit_value: Decimal = ZERO
    open_fee: Decimal = ZERO
    close_fee: Decimal = ZERO


def profit(instrument: Instrument, size: Decimal, entry: Decimal, exit_: Decimal) -> Decimal:
    """What a signed `size` earned from `entry` to `exit_`: quote coins on linear, base coins on inverse.

    Inverse: contracts * (1/entry - 1/exit), as in Bybit's "P&L calculations (inverse contracts)".
    """
    if instrument.inverse:
        return size * (1 / entry - 1 / exit_)
    return size * (exit_ - entry)


def apply_fill(
    position: Position, instrument: Instrument, side: Side, qty: Decimal, price: Decimal, fee: Decimal
) -> Closed:
    """Changes `position` by a fill and tells what it closed; one fill may close, then open the other side."""
    signed = qty * side.sign
    closing = min(qty, abs(position.size)) if position.size * signed < 0 else ZERO
    closed = _close(position, instrument, closing, price, cents(fee * closing / qty)) if closing else Closed()
    opening = qty - closing
    if opening:
        _open(position, instrument, opening * side.sign, price, fee - closed.close_fee)
    return closed


def _close(position: Position, instrument: Instrument, qty: Decimal, price: Decimal, fee: Decimal) -> Closed:
    part = qty.copy_sign(position.size)
    share = position.open_fee if qty == abs(position.size) else cents(position.open_fee * qty / abs(position.size))
    closed = Closed(
        qty=qty,
        pnl=cents(profit(instrument, part, position.avg_price, price)),
        entry_value=instrument.value(qty, position.avg_price),
        exit_value=instrument.value(qty, price),
        open_fee=share,
        close_fee=fee,
    )
    position.size -= part
    position.open_fee -= share
    position.current_realised += closed.pnl - fee
    position.total_realised += closed.pnl - fee
    if not position.size:
        position.size, position.avg_price = ZERO, ZERO
    return closed


def _open(position: Position, instrument: Instrument, signed: Decimal, price: Decimal, fee: Decimal) -> None:
    if not position.size:
        position.avg_price = price
        position.open_fee = position.current_realised = ZERO
    elif instrument.inverse:
        worth = position.size / position.avg_price + signed / price
        position.avg_price = (position.size + signed) / worth
    else:
        position.avg_price = (position.size * position.avg_price + signed * price) / (position.size + signed)
    position.size += signed
    position.open_fee += fee
    position.current_realised -= fee
    position.total_realised -= fee
