"""Which of an account's coins are the relay's own: by its journal, in which every fill of its orders must be known."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from relay.domain.coins import OwnCoins
from relay.execution.ports import ExchangePort, to_ms, utc_now
from relay.journal.journal import Journal


def own_coins_of(account: str, *, journal: Journal, exchange: ExchangePort) -> Callable[[], Mapping[str, OwnCoins]]:
    """What it returns raises ExchangeUnreachable, ExchangeAnswered where fills must be asked for, JournalUnavailable.

    Where the exchange lists an order's fills later than its end, `uncounted` says so: then nothing is certain.
    """

    def own_coins() -> Mapping[str, OwnCoins]:
        held = journal.holdings(account)
        lacking = [each for each in held.values() if each.uncounted]
        for holding in lacking:
            for order in journal.uncounted_orders(account, holding.symbol):
                planned, name = order.state.planned, order.state.client_order_id
                fills = exchange.fills(category=planned.category, symbol=planned.symbol, client_order_id=name)
                journal.record_report(name, None, fills, now_ms=to_ms(utc_now()))
        return journal.holdings(account) if lacking else held

    return own_coins
