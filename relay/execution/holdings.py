"""What is open at an account just now, and whose it is: positions with all that is to take their profit, and the
orders that rest. Read for people; nothing is decided by it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

from relay.bybit.client import Exchange
from relay.bybit.wire_orders import OpenOrder
from relay.domain.bracket import BracketStatus
from relay.domain.instrument import Category
from relay.domain.order import Side
from relay.domain.position import Position
from relay.domain.protection import OwnLevels, own_levels
from relay.domain.trades import Trade
from relay.errors import ExchangeAnswered, ExchangeUnreachable, FactsUnreadable, JournalUnavailable
from relay.execution.gather import FactSource
from relay.execution.ports import Account, MarketPort
from relay.journal.journal import Journal
from relay.journal.ledger import Ledger
from relay.journal.positions import BracketRecord

_HUNDREDTH: Final = Decimal("0.01")
_PRICES_MAX: Final = 20
"""So many prices are read for a list of orders where no stream tells them; of further symbols it stays unsaid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeProfitAtRest:
    """`qty`: what it may still take of the position."""

    price: Decimal
    qty: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """None is what is not known. `strategy`: those that hold a part of it, the largest first, with commas between."""

    position: Position
    take_profits: tuple[TakeProfitAtRest, ...] | None = None
    """Orders and the position's own, the nearest first."""
    strategy: str | None = None
    opened_at_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """`problem`: why not all of it could be read."""

    holdings: tuple[Holding, ...] = ()
    problem: ExchangeUnreachable | ExchangeAnswered | None = None


def held_at(account: Account, exchange: Exchange, ledger: Ledger, journal: Journal) -> Held:
    """The account's open positions, by category and symbol. What cannot be read of one costs no other."""
    problem: ExchangeUnreachable | ExchangeAnswered | None = None
    try:
        positions = exchange.positions()
    except FactsUnreadable as error:
        positions, problem = error.readable, error
    except (ExchangeUnreachable, ExchangeAnswered) as error:
        return Held(problem=error)
    if not positions:
        return Held(problem=problem)
    orders: tuple[OpenOrder, ...] | None = None
    with suppress(ExchangeUnreachable, ExchangeAnswered):
        orders = exchange.account_api.open_orders()
    trades: list[Trade] = []
    brackets: tuple[BracketRecord, ...] | None = None
    with suppress(JournalUnavailable):
        trades, brackets = ledger.open_trades(account.name), journal.live_brackets(account.name)
    held = [
        holding_of(each, orders, trades)
        if each.category.has_positions
        else _with_own_levels(holding_of(each, None, trades), brackets, account.market)
        for each in sorted(positions, key=lambda each: (each.category, each.symbol))
    ]
    return Held(holdings=tuple(held), problem=problem)


def _with_own_levels(holding: Holding, brackets: Iterable[BracketRecord] | None, market: MarketPort) -> Holding:
    """Of coins, which the exchange knows no levels of: those that the relay keeps."""
    position = holding.position
    instrument = market.instrument(position.category, position.symbol)
    if brackets is None or instrument is None:
        return holding
    where = (position.category, position.symbol)
    own = [each.bracket for each in brackets if (each.category, each.symbol) == where]
    active = next((each for each in own if each.status is BracketStatus.ACTIVE), None)
    levels = OwnLevels() if active is None else own_levels(active, position, instrument)
    return replace(
        holding,
        position=replace(position, stop_loss=levels.stop_loss),
        take_profits=tuple(TakeProfitAtRest(price=price, qty=qty) for price, qty in levels.take_profits),
    )


def holding_of(position: Position, orders: Iterable[OpenOrder] | None, trades: Iterable[Trade]) -> Holding:
    """`orders`: all that rest at the account, None where they could not be read; `trades`: its open ones."""
    where, side = (position.category, position.symbol), Side.towards(position.size)
    own = [each for each in trades if (each.category, each.symbol) == where and each.side is side and each.open_qty]
    own.sort(key=lambda trade: trade.open_qty, reverse=True)
    begun = [each.opened_at_ms for each in own]
    since = None if None in begun else min((at for at in begun if at is not None), default=None)
    return Holding(
        position=position,
        take_profits=None if orders is None else _take_profits(position, side, orders),
        strategy=", ".join(dict.fromkeys(each.strategy for each in own)) or None,
        opened_at_ms=position.opened_at_ms or since,
    )


def _take_profits(position: Position, side: Side, orders: Iterable[OpenOrder]) -> tuple[TakeProfitAtRest, ...]:
    found = []
    if position.take_profit is not None:
        found.append(TakeProfitAtRest(price=position.take_profit, qty=abs(position.size)))
    for each in orders:
        if (each.category, each.symbol, each.side) != (position.category, position.symbol, side.opposite):
            continue
        is_profit = each.is_profit and each.is_partial
        if not is_profit and (each.is_stop or each.type.is_conditional or not each.reduce_only):
            continue
        price = each.trigger_price if is_profit else each.price
        if price is not None:
            found.append(TakeProfitAtRest(price=price, qty=each.open_qty))
    return tuple(sorted(found, key=lambda level: level.price, reverse=side is Side.SELL))


@dataclass(frozen=True, slots=True, kw_only=True)
class OrdersAtRest:
    """All that rest at an account, and how far each is from the market in percent of it, where that is known."""

    orders: tuple[OpenOrder, ...] = ()
    prices: Mapping[tuple[Category, str], Decimal]
    problem: ExchangeUnreachable | ExchangeAnswered | None = None

    def by_client_order_id(self) -> dict[str, OpenOrder]:
        return {each.client_order_id: each for each in self.orders if each.client_order_id}

    def distance_pct(self, category: Category, symbol: str, price: Decimal | None) -> Decimal | None:
        """Of a price from the market's, above zero where it is above it."""
        market = self.prices.get((category, symbol))
        if market is None or price is None:
            return None
        return ((price - market) / market * 100).quantize(_HUNDREDTH)


def resting_at(
    account: Account, exchange: Exchange, *, symbol: str | None = None, own: Iterable[tuple[Category, str]] = ()
) -> OrdersAtRest:
    """What rests there, whoever placed it; what stands with the position as a whole is left to the position.

    `own`: where the journal has orders of the relay's, coins among them, whose prices are wanted, too.
    """
    try:
        found = exchange.account_api.open_orders()
    except (ExchangeUnreachable, ExchangeAnswered) as error:
        return OrdersAtRest(prices={}, problem=error)
    shown = [each for each in found if symbol in (None, each.symbol) and (each.is_partial or not each.is_stop)]
    wanted = dict.fromkeys([*((each.category, each.symbol) for each in shown), *own])
    return OrdersAtRest(orders=tuple(shown), prices=_prices(account, list(wanted)))


def _prices(account: Account, wanted: Sequence[tuple[Category, str]]) -> dict[tuple[Category, str], Decimal]:
    source, found = FactSource(account), {}
    for where in wanted[:_PRICES_MAX]:
        with suppress(ExchangeUnreachable, ExchangeAnswered):
            found[where] = source.price(*where)
    return found
