"""Which of an account's coins are the relay's own: by its journal, in which every fill of its orders must be known."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

from relay.domain.coins import OwnCoins
from relay.domain.order import Side
from relay.domain.order_lifecycle import OrderState
from relay.execution.orders import report_of
from relay.execution.ports import ExchangePort, to_ms, utc_now
from relay.journal.journal import Journal


def own_coins_of(
    account: str, *, journal: Journal, exchange: ExchangePort
) -> Callable[[Collection[str]], Mapping[str, OwnCoins]]:
    """What it returns takes the symbols of which the account lacks coins: what rests to sell them may have done so.

    It raises ExchangeUnreachable, ExchangeAnswered where something must be asked for, JournalUnavailable.

    Where the exchange lists an order's fills later than its end, or a sale is under way of which it says nothing yet,
    `uncounted` says so: then nothing is certain.
    """

    def own_coins(lacking_at: Collection[str] = ()) -> Mapping[str, OwnCoins]:
        held = journal.holdings(account)
        lacking = [each for each in held.values() if each.uncounted]
        for holding in lacking:
            for order in journal.uncounted_orders(account, holding.symbol):
                planned, name = order.state.planned, order.state.client_order_id
                fills = exchange.fills(category=planned.category, symbol=planned.symbol, client_order_id=name)
                journal.record_report(name, None, fills, now_ms=to_ms(utc_now()))
        leaving = [each.state for each in journal.open_orders(account) if _is_leaving(each.state, lacking_at)]
        under_way = [each for each in leaving if _is_under_way(each, journal, exchange)]
        return _without(under_way, journal.holdings(account)) if lacking or leaving else held

    return own_coins


def _is_leaving(state: OrderState, lacking_at: Collection[str] = ()) -> bool:
    """A sale of coins that was sent, and has not ended as far as is known; one that rests only where coins lack."""
    planned = state.planned
    is_sale = planned.side is Side.SELL and not planned.category.has_positions
    may_rest = state.rests or planned.type.is_conditional
    return is_sale and bool(state.attempts) and (not may_rest or planned.symbol in lacking_at)


def _is_under_way(order: OrderState, journal: Journal, exchange: ExchangePort) -> bool:
    """Whether it may still sell: it stands at the exchange, or could arrive there yet. What it sold is written down."""
    report, fills = report_of(exchange, order)
    if report is None:
        return exchange.now_ms() <= order.dead_at_ms
    journal.record_report(order.client_order_id, report, fills, now_ms=to_ms(utc_now()))
    return not report.status.is_ended and _is_leaving(order)


def _without(sales: list[OrderState], known: Mapping[str, OwnCoins]) -> Mapping[str, OwnCoins]:
    """What is under way may have been sold at any moment."""
    held = dict(known)
    for order in sales:
        symbol = order.planned.symbol
        holding = held.get(symbol) or OwnCoins(symbol=symbol)
        held[symbol] = replace(holding, uncounted=holding.uncounted - order.planned.qty)
    return held
