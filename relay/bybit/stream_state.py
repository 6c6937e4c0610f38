"""An account as its streams tell it: positions, balances, resting orders, and what became of orders that somebody
awaits."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from relay.bybit import wire_account, wire_orders
from relay.bybit.wire_account import NOT_UNDERSTOOD, CoinBalance, Row, ledger_entry_from
from relay.bybit.wire_orders import (
    OpenOrder,
    ReportedExecution,
    ReportedOrder,
    ReportedPosition,
    open_order_from,
    reported_execution,
    reported_order,
    reported_position,
)
from relay.domain.instrument import Category
from relay.domain.order import Reason
from relay.domain.position import Fill, OrderReport, Position
from relay.domain.trades import LedgerEntry

_CATEGORIES = {each.value: each for each in Category}
"""The relay has nothing to do with others: options."""
_REMEMBERED = 2000
"""How many executions are kept in mind: to know a repeat for one, and to add up while nobody asks for the balance."""
_EXACT = Decimal("0.0000001")
"""Each amount is told to eight decimals: what is apart by less is the same."""
_CLOCK_MS = 1000
_MOVED = Decimal("0.005")
"""So far prices may move between two readings that belong together: a share of what is held."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceReading:
    """A reading that has begun: what had been told then. `era`: one that a cut outran is worthless."""

    era: int
    exec_ids: frozenset[str]
    begun_at_ms: int


class KnownBalance:
    """One coin of one account."""

    def __init__(self) -> None:
        self._base: Decimal | None = None
        self._last: Decimal | None = None
        self._reported_at_ms = 0
        self._read_at_ms = 0
        self._era = 0
        self.row: CoinBalance | None = None
        """What was told or read last of the coin, its locked part among it; good while the balance is known."""
        self._earned: dict[str, Decimal] = {}
        self._seen: OrderedDict[str, None] = OrderedDict()

    def executed(self, take_report: ReportedExecution, earned: Decimal) -> None:
        if take_report.exec_id in self._seen:
            return
        self._seen[take_report.exec_id] = None
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        if take_report.at_ms >= self._read_at_ms - _CLOCK_MS:
            self._earned[take_report.exec_id] = earned
        if len(self._earned) > _REMEMBERED:
            # Nobody has asked for so long that one reading is cheaper than keeping what came since.
            self.forget()
            self._earned.clear()

    def take_report(self, balance: Decimal, at_ms: int, row: CoinBalance | None = None) -> None:
        """A wallet event, made at `at_ms` of the exchange's clock; an older one says nothing."""
        if at_ms >= self._reported_at_ms:
            self._last, self._reported_at_ms = balance, at_ms
            self.row = row

    def forget(self) -> None:
        self._base = self._last = None
        self._era += 1

    def begin(self, now_ms: int) -> BalanceReading:
        return BalanceReading(era=self._era, exec_ids=frozenset(self._earned), begun_at_ms=now_ms)

    def read(self, reading: BalanceReading, balance: Decimal, row: CoinBalance | None = None) -> None:
        if reading.era != self._era:
            return
        self._base = self._last = balance
        self.row = row
        self._read_at_ms = reading.begun_at_ms
        self._reported_at_ms = max(self._reported_at_ms, reading.begun_at_ms - _CLOCK_MS)
        self._earned = {key: earned for key, earned in self._earned.items() if key not in reading.exec_ids}

    def known(self) -> Decimal | None:
        """The balance with every execution that was told in it; None if it must be read."""
        if self._base is None or self._last is None:
            return None
        expected = self._base + sum(self._earned.values(), Decimal(0))
        if abs(expected - self._last) > _EXACT * (1 + len(self._earned)):
            return None
        self._base = self._last
        self._earned.clear()
        return self._last


# The orders that rest at the exchange, as streams and readings report them. Pure.
#
# For what is only said, never for what is done: an order event that was lost leaves an order standing here until the
# next connection. Source: docs/v5/websocket/private/order.mdx.


_OPEN = frozenset({"New", "PartiallyFilled", "Untriggered"})
_ENDED_STORED = 2000


class KnownOrders:
    """All of one account's."""

    def __init__(self) -> None:
        self._open: dict[str, tuple[int, OpenOrder]] = {}
        self._ended: OrderedDict[str, None] = OrderedDict()

    def take_report(self, row: Row, category: Category) -> None:
        """A row of the `order` stream or of `/v5/order/realtime`; what has ended stays ended."""
        order_id, at_ms = row["orderId"], int(row.get("updatedTime") or 0)
        if row["orderStatus"] not in _OPEN:
            self._open.pop(order_id, None)
            self._ended[order_id] = None
            if len(self._ended) > _ENDED_STORED:
                self._ended.popitem(last=False)
            return
        known = self._open.get(order_id)
        if order_id not in self._ended and (known is None or known[0] <= at_ms):
            self._open[order_id] = (at_ms, open_order_from(row, category))

    def forget(self) -> None:
        self._open.clear()

    def places(self) -> set[tuple[Category, str]]:
        return {(order.category, order.symbol) for _, order in self._open.values()}

    def at(self, category: Category, symbol: str) -> tuple[OpenOrder, ...]:
        return tuple(order for _, order in self._open.values() if (order.category, order.symbol) == (category, symbol))


# When a position that the streams told may be acted upon. Pure: no I/O, no clock, no lock.
#
# The rule: never act on a position that may be older than the relay's own last fill. The position is the last one
# proven plus every execution reported since, and it is used only while all reports agree:
#
# - no order of the relay is on its way, or has an end that nobody has told yet;
# - of every order told to be filled, the executions add up to what was filled;
# - the position told last is not older (`seq`) than any of those executions;
# - its size is the proven one plus all executions since.
#
# Anything else, an event lost or late among it, makes the position unknown, and one reading settles it. Source for
# `seq`: docs/v5/websocket/private/position.mdx, "used to associate each fill and each position update".


@dataclass(slots=True, kw_only=True)
class _Open:
    """An order whose effect is not yet proven to be in the position."""

    take_report: Decimal = Decimal(0)
    executed: Decimal = Decimal(0)
    is_under_way: bool = False
    version: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionReading:
    """A reading that has begun: what was open then, and at which version. `era`: one that a cut outran is worthless."""

    era: int
    versions: dict[str, int]


class KnownPosition:
    """One symbol of one account."""

    def __init__(self) -> None:
        self._base: ReportedPosition | None = None
        self._last: ReportedPosition | None = None
        self._moves: dict[str, tuple[int, Decimal]] = {}
        self._open: dict[str, _Open] = {}
        self._proven: OrderedDict[str, Decimal] = OrderedDict()
        self._seen: OrderedDict[str, Decimal] = OrderedDict()
        self._changes = 0
        self._era = 0

    def _touch(self, key: str) -> _Open:
        self._changes += 1
        found = self._open.setdefault(key, _Open(take_report=self._proven.get(key, Decimal(0))))
        found.version = self._changes
        return found

    def sending(self, key: str) -> None:
        """An order of the relay is about to leave: until its end is told nothing is known."""
        self._touch(key).is_under_way = True

    def certainly_nothing(self, key: str) -> None:
        """It was refused, or never left."""
        found = self._open.get(key)
        if found is not None:
            found.is_under_way = False

    def reported(self, key: str, filled: Decimal, *, is_settled: bool) -> None:
        """How far an order was filled, from any source; `is_settled`: it has ended, or rests."""
        found = self._open.get(key)
        if found is None and filled <= self._proven.get(key, Decimal(0)):
            return
        found = self._touch(key)
        found.take_report = max(found.take_report, filled)
        if is_settled:
            found.is_under_way = False

    def executed(self, take_report: ReportedExecution) -> bool:
        """Counts once, and not at all where the proven position is later than it. Returns whether it is news."""
        if take_report.exec_id in self._seen:
            return False
        _remember(self._seen, take_report.exec_id, take_report.moved)
        if not take_report.moved or (self._base is not None and take_report.seq <= self._base.seq):
            return True
        self._touch(take_report.key).executed += abs(take_report.moved)
        self._moves[take_report.exec_id] = (take_report.seq, take_report.moved)
        return True

    def take_report(self, take_report: ReportedPosition) -> None:
        """A position event. An older one than is had already says nothing."""
        last = self._last
        if not take_report.is_one_way:
            self.forget()
        elif last is None or (take_report.seq, take_report.at_ms) >= (last.seq, last.at_ms):
            self._last = take_report

    def forget(self) -> None:
        """The streams were away, or told what cannot be: only a reading helps."""
        self._base = self._last = None
        self._era += 1

    def begin(self) -> PositionReading:
        return PositionReading(era=self._era, versions={key: each.version for key, each in self._open.items()})

    def read(self, reading: PositionReading, read: ReportedPosition) -> None:
        """What was open when the reading began, and is unchanged since, is in what was read."""
        if not read.is_one_way:
            self.forget()
            return
        if reading.era != self._era or (self._base is not None and read.seq < self._base.seq):
            return
        self._base = read
        if self._last is None or (read.seq, read.at_ms) >= (self._last.seq, self._last.at_ms):
            self._last = read
        self._moves = {key: move for key, move in self._moves.items() if move[0] > read.seq}
        for key, version in reading.versions.items():
            found = self._open.get(key)
            if found is not None and found.version == version and not found.is_under_way:
                self._settle_order(key)

    def _settle_order(self, key: str) -> None:
        found = self._open.pop(key)
        _remember(self._proven, key, max(found.take_report, self._proven.get(key, Decimal(0))))

    @property
    def no_entry(self) -> Reason | None:
        return self._last.position.no_entry if self._last is not None else None

    @property
    def may_be_open(self) -> bool:
        last = self._last
        return bool(self._open) or (last is not None and bool(last.position.size))

    @property
    def is_readable(self) -> bool:
        """Whether a reading would tell: while an order of the relay is on its way, none would."""
        return not any(each.is_under_way for each in self._open.values())

    def known(self) -> ReportedPosition | None:
        """The position, proven to hold every fill that was told; None if it must be read."""
        base, last = self._base, self._last
        if base is None or last is None or not all(map(self._adds_up, self._open)):
            return None
        if any(seq > last.seq for seq, _ in self._moves.values()):
            return None
        if base.position.size + sum((moved for _, moved in self._moves.values()), Decimal(0)) != last.position.size:
            return None
        self._base = last
        self._moves.clear()
        for key in tuple(self._open):
            self._settle_order(key)
        return last

    def _adds_up(self, key: str) -> bool:
        found = self._open[key]
        return not found.is_under_way and found.take_report == self._proven.get(key, Decimal(0)) + found.executed


def _remember(stored: OrderedDict[str, Decimal], key: str, value: Decimal) -> None:
    stored[key] = value
    stored.move_to_end(key)
    if len(stored) > _REMEMBERED:
        stored.popitem(last=False)


# What the streams told of the orders that a lane waits for, until the lane asks. Not thread-safe: its owner locks.


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """An order's report, and fills of it that came with it."""

    client_order_id: str
    report: OrderReport | None
    fills: tuple[Fill, ...]


@dataclass(slots=True, kw_only=True)
class _Waiting:
    report: OrderReport | None = None
    fills: dict[str, Fill] = field(default_factory=dict)

    def is_whole(self) -> bool:
        report = self.report
        if report is None or not (report.rests or report.status.is_ended):
            return False
        return report.filled_qty == sum((fill.qty for fill in self.fills.values()), Decimal(0))


class Awaited:
    """An order's events come in any order, and some twice; they are handed over once they are whole."""

    def __init__(self) -> None:
        self._waiting: dict[str, _Waiting] = {}

    def expect(self, client_order_id: str) -> None:
        self._waiting.setdefault(client_order_id, _Waiting())

    def hear(self, client_order_id: str, report: OrderReport | None, fills: tuple[Fill, ...]) -> bool | None:
        """Whether the order is whole now; None if nobody waits for it."""
        waiting = self._waiting.get(client_order_id)
        if waiting is None:
            return None
        if report is not None and _is_later(report, waiting.report):
            waiting.report = report
        waiting.fills |= {fill.exec_id: fill for fill in fills}
        return waiting.is_whole()

    def take(self, client_order_id: str) -> Received | None:
        """The order's end, or that it rests, with all its fills. Whoever took it waits for it no more."""
        waiting = self._waiting.get(client_order_id)
        return self.drop(client_order_id) if waiting is not None and waiting.is_whole() else None

    def drop(self, client_order_id: str) -> Received | None:
        """Nobody waits for it any more; what was heard of it so far."""
        waiting = self._waiting.pop(client_order_id, None)
        if waiting is None:
            return None
        fills = tuple(sorted(waiting.fills.values(), key=lambda fill: (fill.at_ms, fill.exec_id)))
        return Received(client_order_id=client_order_id, report=waiting.report, fills=fills)


def _is_later(report: OrderReport, before: OrderReport | None) -> bool:
    if before is None:
        return True
    return (report.filled_qty, report.status.is_ended) >= (before.filled_qty, before.status.is_ended)


# One account as its streams tell it: positions, balances, and what became of orders. Thread-safe, no I/O.


Where = tuple[Category, str]
Unmatched = Callable[[Received], None]
Wake = Callable[[Category, str], None]
Mark = Callable[[Category, str], Decimal | None]


class LiveAccount:
    """`on_wake`: an awaited order of this instrument has ended, or rests. `on_unmatched`: news of any other order."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._positions: dict[Where, KnownPosition] = {}
        self._balances: dict[str, KnownBalance] = {}
        self._beside: dict[str, Decimal | None] = {}
        """By coin, what its equity has beside balance and open PnL; None where that does not add up."""
        self._orders = KnownOrders()
        self._awaited = Awaited()
        self._is_seeded = False
        self.on_wake: Wake = lambda category, symbol: None
        self.on_unmatched: Unmatched = lambda received: None
        self.on_booked: Callable[[LedgerEntry], None] = lambda ledger_entry: None
        self.on_outside: Callable[[ReportedExecution], None] = lambda execution: None
        self.on_unreadable: Callable[[str, Row, Exception], None] = lambda what, row, error: None
        self.on_position: Callable[[Position], None] = lambda position: None

    # What the streams tell.

    def hear(self, message: Mapping[str, Any]) -> None:
        """One message of a private topic. A row that cannot be understood costs what is known of its own symbol."""
        topic = str(message.get("topic", "")).partition(".")[0]
        at_ms = int(message.get("creationTime") or 0)
        for row in message.get("data") or ():
            try:
                if topic == "wallet":
                    self._wallet(row, at_ms)
                elif (category := _CATEGORIES.get(str(row.get("category")))) is not None:
                    self._hear(topic, row, category)
            except NOT_UNDERSTOOD as error:
                self._not_understood(topic, row, error)

    def _hear(self, topic: str, row: Row, category: Category) -> None:
        match topic:
            case "execution":
                self._execution(reported_execution(row, category))
                self.on_booked(ledger_entry_from(row, category))
            case "order":
                take_report = reported_order(row, category)
                self.open_order(row, category)
                self._order(take_report)
            case "position":
                reported = reported_position((row,), category, row["symbol"])
                self.on_position(reported.position)
                with self._lock:
                    self._known((category, row["symbol"])).take_report(reported)

    def _not_understood(self, topic: str, row: Any, error: Exception) -> None:
        """It is told, and read anew. Of a row that does not name its symbol nothing is known: all is read."""
        self.on_unreadable(topic, row, error)
        symbol = row.get("symbol") if isinstance(row, Mapping) else None
        with self._lock:
            if topic == "wallet":
                for balance in self._balances.values():
                    balance.forget()
            elif topic != "order":
                for where, known in self._positions.items():
                    if symbol in (None, where[1]):
                        known.forget()

    def _execution(self, take_report: ReportedExecution) -> None:
        with self._lock:
            for coin, earned in take_report.earned.items():
                self._balance(coin).executed(take_report, earned)
            known = self._known((take_report.category, take_report.symbol))
            is_news = known.executed(take_report)
            if not take_report.is_certain:
                known.forget()
        if take_report.is_outside and is_news:
            self.on_outside(take_report)
        if take_report.fill is not None and take_report.fill.client_order_id:
            self._tell(
                (take_report.category, take_report.symbol), take_report.fill.client_order_id, None, (take_report.fill,)
            )

    def _order(self, take_report: ReportedOrder) -> None:
        self._report((take_report.category, take_report.symbol), take_report.key, take_report.report)
        if take_report.report.client_order_id:
            self._tell(
                (take_report.category, take_report.symbol), take_report.report.client_order_id, take_report.report, ()
            )

    def _report(self, where: Where, key: str, report: OrderReport) -> None:
        is_settled = report.rests or report.status.is_ended
        with self._lock:
            self._known(where).reported(key, report.filled_qty, is_settled=is_settled)

    def _tell(self, where: Where, identity: str, report: OrderReport | None, fills: tuple[Fill, ...]) -> None:
        with self._lock:
            whole = self._awaited.hear(identity, report, fills)
        if whole:
            self.on_wake(*where)
        elif whole is None:
            self.on_unmatched(Received(client_order_id=identity, report=report, fills=fills))

    def _wallet(self, row: Row, at_ms: int) -> None:
        wallet = wire_account.wallet_from(row)
        with self._lock:
            for each in wallet.coins:
                self._balance(each.coin).take_report(each.wallet_balance, at_ms, each)
                if self._beside.get(each.coin) is not None:
                    self._beside[each.coin] = each.beside_balance
            for coin in wallet.unreadable:
                self._balance(coin).forget()
        for coin, problem in wallet.unreadable.items():
            self.on_unreadable("balance", {"coin": coin}, wire_account.RowUnreadable(problem))

    def forget(self) -> None:
        """The stream was away: nothing is known until it is read."""
        with self._lock:
            self._is_seeded = False
            self._orders.forget()
            for position in self._positions.values():
                position.forget()
            for balance in self._balances.values():
                balance.forget()

    # What the relay does itself.

    def sending(self, where: Where, client_order_id: str) -> None:
        with self._lock:
            self._awaited.expect(client_order_id)
            self._known(where).sending(client_order_id)

    def not_sent(self, where: Where, client_order_id: str) -> None:
        with self._lock:
            self._known(where).certainly_nothing(client_order_id)

    def looked_up(self, where: Where, report: OrderReport) -> None:
        """The same from a look-up. With it a lane has its answer, and what comes later is told to whoever listens."""
        self._report(where, report.client_order_id, report)
        if report.rests or report.status.is_ended:
            with self._lock:
                left = self._awaited.drop(report.client_order_id)
            if left is not None and left.fills:
                self.on_unmatched(left)

    def take(self, client_order_id: str) -> Received | None:
        with self._lock:
            return self._awaited.take(client_order_id)

    # Readings.

    def begin_position(self, where: Where) -> PositionReading:
        with self._lock:
            return self._known(where).begin()

    def position_read(self, where: Where, reading: PositionReading, read: ReportedPosition) -> None:
        with self._lock:
            self._known(where).read(reading, read)

    def begin_balances(self, now_ms: int) -> dict[str, BalanceReading]:
        with self._lock:
            return {coin: each.begin(now_ms) for coin, each in self._balances.items()}

    def balances_read(
        self, readings: Mapping[str, BalanceReading], balances: Iterable[CoinBalance], now_ms: int, mark: Mark
    ) -> None:
        """An equity is worked out from a balance only where that came to what was read."""
        with self._lock:
            for each in balances:
                known = self._balance(each.coin)
                known.read(readings.get(each.coin) or known.begin(now_ms), each.wallet_balance, each)
                self._beside[each.coin] = each.beside_balance if self._is_all(each, mark) else None

    def _is_all(self, balance: CoinBalance, mark: Mark) -> bool:
        """Whether the positions that are known here are all that the coin's open PnL comes from."""
        pnl = value = Decimal(0)
        for where, each in self._positions.items():
            take_report = each.known() if _is_of(where, balance.coin) else None
            if take_report is not None and take_report.position.size:
                reckoned = _open_pnl(where, take_report, mark)
                pnl += take_report.position.unrealised_pnl or Decimal(0) if reckoned is None else reckoned
                value += _value(where, take_report)
        return abs(pnl - balance.unrealised_pnl) <= _EXACT * 10 + value * _MOVED

    def open_order(self, row: Row, category: Category) -> None:
        """An order as it was told, or read since the stream is there."""
        with self._lock:
            self._orders.take_report(row, category)

    def seeded(self) -> None:
        """All open positions, orders and balances have been read since the stream is there."""
        with self._lock:
            self._is_seeded = True

    # What is known.

    def position(self, where: Where) -> ReportedPosition | None:
        """Returns None if it must be read."""
        with self._lock:
            return self._known(where).known() if self._is_seeded else None

    def no_entry(self, where: Where) -> Reason | None:
        """Why nothing may be opened there, as it was told last."""
        with self._lock:
            known = self._positions.get(where)
            return known.no_entry if known is not None else None

    def positions(self, mark: Mark) -> tuple[Position, ...] | None:
        """All that are open, their PnL at mark; None if one of them must be read."""
        with self._lock:
            take_report = {where: each.known() for where, each in self._positions.items()} if self._is_seeded else None
        if take_report is None:
            return None
        found = []
        for where, each in take_report.items():
            if each is None:
                return None
            if each.position.size:
                price, pnl = mark(*where), _open_pnl(where, each, mark)
                if price is None or pnl is None:
                    return None
                found.append(replace(each.position, mark_price=price, unrealised_pnl=pnl))
        return tuple(found)

    def equity(self, coin: str, mark: Mark) -> Decimal | None:
        """The coin's balance and the open PnL at mark of everything settled in it; None if it must be read."""
        with self._lock:
            balance = self._balance(coin).known() if self._is_seeded else None
            held = [(where, each.known()) for where, each in self._positions.items() if _is_of(where, coin)]
            beside = self._beside.get(coin)
        if balance is None or beside is None:
            return None
        balance += beside
        for where, take_report in held:
            pnl = _open_pnl(where, take_report, mark)
            if pnl is None:
                return None
            balance += pnl
        return balance

    def balance(self, coin: str) -> CoinBalance | None:
        """The coin's balance with every execution that was told in it; None if it must be read."""
        with self._lock:
            found = self._balance(coin) if self._is_seeded else None
            return found.row if found is not None and found.known() is not None else None

    def orders_at(self, where: Where) -> tuple[wire_orders.OpenOrder, ...] | None:
        """What rests there, whoever placed it, the position's stops included; None if it must be read."""
        with self._lock:
            return self._orders.at(*where) if self._is_seeded else None

    def open_at(self) -> set[Where]:
        """Where a position or an order is open, or may be."""
        with self._lock:
            return {where for where, each in self._positions.items() if each.may_be_open} | self._orders.places()

    def symbols(self) -> list[Where]:
        """Every instrument that was ever told of or asked for."""
        with self._lock:
            return list(self._positions)

    def unknown(self) -> list[Where]:
        """Of those, what a reading would settle."""
        with self._lock:
            return [where for where, each in self._positions.items() if each.is_readable and each.known() is None]

    def _known(self, where: Where) -> KnownPosition:
        if not where[0].has_positions:
            return KnownPosition()  # coins are known by the journal: nothing is kept of them here
        found = self._positions.get(where)
        if found is None:
            found = self._positions[where] = KnownPosition()
        return found

    def _balance(self, coin: str) -> KnownBalance:
        found = self._balances.get(coin)
        if found is None:
            found = self._balances[coin] = KnownBalance()
            if self._is_seeded:
                # The wallet was read, and did not list it: there was nothing of it.
                found.read(found.begin(0), Decimal(0))
        return found


def _is_of(where: Where, coin: str) -> bool:
    """Of a perpetual: whether it is settled in the coin."""
    return wire_account.settle_coin_of(where[1]) == coin


def _value(where: Where, take_report: ReportedPosition) -> Decimal:
    """What a position is worth, roughly, in the coin that it settles in."""
    size, price = abs(take_report.position.size), take_report.pnl_price or Decimal(0)
    if where[0] is Category.LINEAR:
        return size * price
    return size / price if price else Decimal(0)


def _open_pnl(where: Where, take_report: ReportedPosition | None, mark: Mark) -> Decimal | None:
    """In the settle coin: on inverse contracts * (1/entry - 1/mark). Source: Bybit's help centre, P&L calculations."""
    if take_report is None or take_report.position.is_hedge:
        return None
    size, entry = take_report.position.size, take_report.pnl_price
    if not size:
        return size
    price = mark(*where)
    if price is None or entry is None:
        return None
    return size * (1 / entry - 1 / price) if where[0] is Category.INVERSE else size * (price - entry)
