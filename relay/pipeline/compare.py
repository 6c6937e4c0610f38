"""Compare what the relay believes of its positions with what the exchange says. What differs is told, never mended."""

from __future__ import annotations

from decimal import Decimal

from relay.domain.instrument import Category
from relay.domain.rounding import plain
from relay.journal.journal import Journal
from relay.pipeline.ports import Account


def changed_outside(before: Decimal, now: Decimal) -> str:
    """For people: a position moved without an order of the relay."""
    return (
        f"the position was changed outside the relay's orders (by hand, a stop, a liquidation or another program): "
        f"it was {plain(before)}, and is {plain(now)}; the relay goes on from what it is"
    )


def compare_positions(account: Account, journal: Journal) -> dict[tuple[Category, str], str]:
    """At the start: each position that is not what it was believed to be, with what to say of it.

    Where something of the relay's is still under way or rests, a difference is to be expected, and nothing is said.
    Raises ExchangeUnreachable or ExchangeAnswered.
    """
    at_ms = account.exchange.now_ms()
    held = {(each.category, each.symbol): each.size for each in account.exchange.positions()}
    busy = {
        (each.state.planned.category, each.state.planned.symbol)
        for each in journal.open_orders()
        if each.account == account.name
    }
    before = journal.write(lambda uow: uow.positions.check_all(account.name, held, busy=busy, at_ms=at_ms))
    return {lane: changed_outside(before[lane], held.get(lane, Decimal(0))) for lane in sorted(before)}
