"""What is open at an account just now, and whose it is: positions with all that is to take their profit, and the
orders that rest. Read for people; nothing is decided by it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final, Protocol, TypeVar

from relay.bybit.client import Exchange
from relay.bybit.wire_account import CoinBalance
from relay.bybit.wire_orders import OpenOrder
from relay.domain.bracket import BracketStatus
from relay.domain.instrument import Category
from relay.domain.order import Side
from relay.domain.position import Position
from relay.domain.protection import OwnLevels, own_levels
from relay.domain.trades import Trade
from relay.engine.lease_guard import LeaseLost
from relay.errors import ExchangeAnswered, ExchangeUnreachable, FactsUnreadable, JournalUnavailable
from relay.execution.gather import FactSource
from relay.execution.ports import Account, MarketPort
from relay.journal.journal import Journal
from relay.journal.ledger import Ledger
from relay.journal.orders import BracketRecord
from relay.journal.ownership import report_of, write_report
from relay.journal.records import from_json, to_json

log = logging.getLogger(__name__)
T = TypeVar("T")

_HUNDREDTH: Final = Decimal("0.01")
_REPORT_FRESH_MS: Final = 2000
_REPORT_WAIT_S: Final = 1.5
_REPORT_LOOK_S: Final = 0.05
_REPORT_SILENT_S: Final = 5.0
"""After an owner has not answered, no page waits for it for so long."""
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


class AccountView(Protocol):
    """What is at an account: as the exchange tells it now, or as the account's owner wrote it down.

    Raises ExchangeUnreachable or ExchangeAnswered, of which FactsUnreadable has what can be read.
    """

    def positions(self) -> tuple[Position, ...]: ...

    def open_orders(self) -> tuple[OpenOrder, ...]: ...

    def coins(self) -> tuple[CoinBalance, ...]: ...


class LiveView:
    """Asks the exchange."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def positions(self) -> tuple[Position, ...]:
        return self._exchange.positions()

    def open_orders(self) -> tuple[OpenOrder, ...]:
        return self._exchange.account_api.open_orders()

    def coins(self) -> tuple[CoinBalance, ...]:
        return self._exchange.wallet().coins


def held_at(account: Account, view: AccountView, ledger: Ledger, journal: Journal) -> Held:
    """The account's open positions, by category and symbol. What cannot be read of one costs no other."""
    problem: ExchangeUnreachable | ExchangeAnswered | None = None
    try:
        positions = view.positions()
    except FactsUnreadable as error:
        positions, problem = error.readable, error
    except (ExchangeUnreachable, ExchangeAnswered) as error:
        return Held(problem=error)
    if not positions:
        return Held(problem=problem)
    orders: tuple[OpenOrder, ...] | None = None
    with suppress(ExchangeUnreachable, ExchangeAnswered):
        orders = view.open_orders()
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
    account: Account, view: AccountView, *, symbol: str | None = None, own: Iterable[tuple[Category, str]] = ()
) -> OrdersAtRest:
    """What rests there, whoever placed it; what stands with the position as a whole is left to the position.

    `own`: where the journal has orders of the relay's, coins among them, whose prices are wanted, too.
    """
    try:
        found = view.open_orders()
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


# With several processes: what is at an account is written down by its owner, when a page of another process asks.


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountReport:
    """What its owner found at an account. None: that could not be read, for the reason in `problem`."""

    positions: tuple[Position, ...] | None = None
    open_orders: tuple[OpenOrder, ...] | None = None
    coins: tuple[CoinBalance, ...] | None = None
    problem: str | None = None


def reported(view: AccountView) -> AccountReport:
    """What can be read is reported, whatever cannot."""
    problems: list[str] = []

    def read(ask: Callable[[], tuple[T, ...]]) -> tuple[T, ...] | None:
        try:
            return ask()
        except FactsUnreadable as error:
            problems.append(str(error))
            return error.readable
        except (ExchangeUnreachable, ExchangeAnswered) as error:
            problems.append(str(error))
            return None

    return AccountReport(
        positions=read(view.positions),
        open_orders=read(view.open_orders),
        coins=read(view.coins),
        problem=problems[0] if problems else None,
    )


class AccountReporter:
    """The owner's side. Costs nothing while no page asks."""

    def __init__(
        self,
        journal: Journal,
        exchanges: Mapping[str, Exchange],
        *,
        acting_for: Callable[[str], AbstractContextManager[None] | None],
    ) -> None:
        """`acting_for`: by whose right this process writes of an account; None: it is another's."""
        self._journal = journal
        self._exchanges = exchanges
        self._acting_for = acting_for
        self._lock = threading.Lock()
        self._under_way: set[str] = set()
        self._threads = ThreadPoolExecutor(4, thread_name_prefix="reporter")

    def want(self, account: str) -> None:
        """Returns at once. Asked for again while it is under way, it is done once."""
        with self._lock:
            if account in self._under_way or account not in self._exchanges:
                return
            self._under_way.add(account)
        self._threads.submit(self._write, account)

    def _write(self, account: str) -> None:
        try:
            right = self._acting_for(account)
            if right is not None:
                with right:
                    found = reported(LiveView(self._exchanges[account]))
                    write_report(self._journal.store, account, to_json(found), at_ms=self._journal.steady_ms())
        except (JournalUnavailable, LeaseLost) as error:
            log.info("what is at %s could not be written down: %s", account, error)
        finally:
            with self._lock:
                self._under_way.discard(account)


class AccountReports:
    """The reader's side. Thread-safe."""

    def __init__(self, journal: Journal, *, ask_owner: Callable[[str], None]) -> None:
        """`ask_owner`: returns at once; the answer is a report."""
        self._journal = journal
        self._ask_owner = ask_owner
        self._at_ms: dict[str, int] = {}
        self._silent_until: dict[str, float] = {}

    def view(self, account: str) -> AccountView:
        return _ReportedView(lambda: self.latest(account))

    def age_s(self, account: str) -> int | None:
        """Of what was last read here; None: nothing was."""
        at_ms = self._at_ms.get(account)
        return None if at_ms is None else max(0, (self._journal.steady_ms() - at_ms) // 1000)

    def latest(self, account: str) -> AccountReport:
        """Waited for a moment where it is old, unless nobody answered lately. Raises ExchangeUnreachable if none is."""
        found = report_of(self._journal.store, account)
        if found is None or self._journal.steady_ms() - found[0] > _REPORT_FRESH_MS:
            found = self._requested(account, found)
        if found is None:
            raise ExchangeUnreachable("no process that owns it has written down yet what is there")
        self._at_ms[account] = found[0]
        return from_json(AccountReport, found[1])

    def _requested(self, account: str, before: tuple[int, object] | None) -> tuple[int, object] | None:
        found, until = before, time.monotonic() + _REPORT_WAIT_S
        self._ask_owner(account)
        if until < self._silent_until.get(account, 0):
            return before
        while found == before and time.monotonic() < until:
            time.sleep(_REPORT_LOOK_S)
            found = report_of(self._journal.store, account)
        if found == before:
            self._silent_until[account] = time.monotonic() + _REPORT_WAIT_S + _REPORT_SILENT_S
        return found


class _ReportedView:
    """An `AccountView` of a report."""

    def __init__(self, read: Callable[[], AccountReport]) -> None:
        self._read = read

    def positions(self) -> tuple[Position, ...]:
        report = self._read()
        return _known(report.positions, report)

    def open_orders(self) -> tuple[OpenOrder, ...]:
        report = self._read()
        return _known(report.open_orders, report)

    def coins(self) -> tuple[CoinBalance, ...]:
        report = self._read()
        return _known(report.coins, report)


def _known(found: tuple[T, ...] | None, report: AccountReport) -> tuple[T, ...]:
    if found is None:
        raise ExchangeUnreachable(report.problem or "its owner could not read it")
    return found
