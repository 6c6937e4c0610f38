"""A limit price on the market's far side: the order fills at once, and its price bounds nothing that was meant."""

from __future__ import annotations

from relay.domain.move import Move
from relay.domain.order import OrderType, Side, TimeInForce
from relay.domain.plan import Facts
from relay.domain.rounding import plain
from relay.domain.signal import Signal


def crossing_note(move: Move, signal: Signal, facts: Facts) -> tuple[str, ...]:
    """For a limit exit that would not rest, where a price is known. It is sent all the same: it does exit."""
    market = facts.market_price
    if signal.type is not OrderType.LIMIT or signal.price is None or market is None or move.entry_qty > 0:
        return ()
    is_beyond = signal.price <= market if move.side is Side.SELL else signal.price >= market
    if not is_beyond:
        return ()
    where = f"the limit price {plain(signal.price)} of this {move.side.value} is on the taker's side of the market"
    if signal.time_in_force is TimeInForce.POST_ONLY:
        return (f"{where} ({plain(market)}), so as `PostOnly` it is likely not to rest but to be cancelled at once",)
    return (f"{where} ({plain(market)}), so it fills at once, at the market's price",)
