"""Orders at the symbol that the relay did not place: left alone, and said to be there."""

from __future__ import annotations

from relay.domain.instrument import Category
from relay.errors import ExchangeAnswered, ExchangeUnreachable
from relay.exchange.wire import OpenOrder
from relay.journal.journal import Journal
from relay.pipeline.ports import Account
from relay.pipeline.work import Work


def foreign_notes(work: Work, journal: Journal) -> tuple[str, ...]:
    """For a signal that cancels the relay's own resting orders: how many of somebody else's rest beside them.

    Looked for once the signal's orders are done, so that it delays none. The position's stops do not count. Where the
    exchange cannot be asked there is no note.
    """
    signal = work.signal
    if not signal.clears_resting:
        return ()
    assert signal.category is not None and signal.symbol is not None
    try:
        resting = _resting(work.account, signal.category, signal.symbol)
    except (ExchangeUnreachable, ExchangeAnswered):
        return ()
    count = sum(1 for each in resting if not each.is_stop and journal.order(each.client_order_id) is None)
    if count == 0:
        return ()
    orders = "1 order" if count == 1 else f"{count} orders"
    return (f"{orders} of {signal.symbol} that the relay did not place {'was' if count == 1 else 'were'} left alone",)


def _resting(account: Account, category: Category, symbol: str) -> tuple[OpenOrder, ...]:
    told = account.live.open_orders_now(category, symbol) if account.live else None
    return account.exchange.open_orders(category=category, symbol=symbol) if told is None else told
