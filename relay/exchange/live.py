"""One account as its streams tell it: positions, balances, and what became of orders. Thread-safe, no I/O."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from relay.domain.booking import Booking
from relay.domain.instrument import Category
from relay.domain.position import Fill, Moved, OrderReport, Position
from relay.exchange import wire
from relay.exchange.awaited import Awaited, Heard
from relay.exchange.known_balance import BalanceReading, KnownBalance
from relay.exchange.known_orders import KnownOrders
from relay.exchange.known_position import KnownPosition, Reading
from relay.exchange.wire.bookings import booking_from
from relay.exchange.wire.numbers import Row
from relay.exchange.wire.streams import (
    ToldExecution,
    ToldOrder,
    ToldPosition,
    category_of,
    told_execution,
    told_order,
    told_position,
)

Where = tuple[Category, str]
Overheard = Callable[[Heard], None]
Wake = Callable[[Category, str], None]
Mark = Callable[[Category, str], Decimal | None]


class LiveAccount:
    """`on_wake`: an awaited order of this instrument has ended, or rests. `on_overheard`: news of any other order."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._positions: dict[Where, KnownPosition] = {}
        self._balances: dict[str, KnownBalance] = {}
        self._orders = KnownOrders()
        self._awaited = Awaited()
        self._is_seeded = False
        self.on_wake: Wake = lambda category, symbol: None
        self.on_overheard: Overheard = lambda heard: None
        self.on_booked: Callable[[Booking], None] = lambda booking: None

    # What the streams tell.

    def hear(self, message: Mapping[str, Any]) -> None:
        """One message of a private topic. Raises for what cannot be understood: the stream is then opened anew."""
        self._hear(str(message.get("topic", "")).partition(".")[0], message)

    def _hear(self, topic: str, message: Mapping[str, Any]) -> None:
        rows = message.get("data") or ()
        if topic == "wallet":
            at_ms = int(message.get("creationTime") or 0)
            for row in rows:
                self._wallet(row, at_ms)
            return
        of_category = [(row, category) for row in rows if (category := category_of(row)) is not None]
        match topic:
            case "execution":
                for row, category in of_category:
                    self._execution(told_execution(row, category))
                    if (booking := booking_from(row)) is not None:
                        self.on_booked(booking)
            case "order":
                for row, category in of_category:
                    self.open_order(row, category)
                    self._order(told_order(row, category))
            case "position":
                with self._lock:
                    for row, category in of_category:
                        told = told_position((row,), category, row["symbol"])
                        self._known((category, row["symbol"])).told(told)

    def _execution(self, told: ToldExecution) -> None:
        with self._lock:
            self._balance(wire.settle_coin_of(told.symbol)).executed(told)
            self._known((told.category, told.symbol)).executed(told)
        if told.fill is not None and told.fill.client_order_id:
            self._tell((told.category, told.symbol), told.fill.client_order_id, None, (told.fill,))

    def _order(self, told: ToldOrder) -> None:
        self._report((told.category, told.symbol), told.key, told.report)
        if told.report.client_order_id:
            self._tell((told.category, told.symbol), told.report.client_order_id, told.report, ())

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
            self.on_overheard(Heard(client_order_id=identity, report=report, fills=fills))

    def _wallet(self, row: Row, at_ms: int) -> None:
        balances = wire.wallet_from(row).coins
        with self._lock:
            for each in balances:
                self._balance(each.coin).told(each.wallet_balance, at_ms)

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
                self.on_overheard(left)

    def catch_up(self, where: Where, orders: Iterable[Moved]) -> None:
        """What other processes have ordered there: until all of it is in what the stream told, nothing is known."""
        with self._lock:
            known = self._known(where)
            for each in orders:
                if not each.is_settled:
                    known.sending(each.client_order_id)
                known.reported(each.client_order_id, each.filled_qty, is_settled=each.is_settled)

    def take(self, client_order_id: str) -> Heard | None:
        with self._lock:
            return self._awaited.take(client_order_id)

    # Readings.

    def begin_position(self, where: Where) -> Reading:
        with self._lock:
            return self._known(where).begin()

    def position_read(self, where: Where, reading: Reading, read: ToldPosition) -> None:
        with self._lock:
            self._known(where).read(reading, read)

    def begin_balances(self, now_ms: int) -> dict[str, BalanceReading]:
        with self._lock:
            return {coin: each.begin(now_ms) for coin, each in self._balances.items()}

    def balances_read(
        self, readings: Mapping[str, BalanceReading], balances: Mapping[str, Decimal], now_ms: int
    ) -> None:
        with self._lock:
            for coin, balance in balances.items():
                known = self._balance(coin)
                known.read(readings.get(coin) or known.begin(now_ms), balance)

    def open_order(self, row: Row, category: Category) -> None:
        """An order as it was told, or read since the stream is there."""
        with self._lock:
            self._orders.told(row, category)

    def seeded(self) -> None:
        """All open positions, orders and balances have been read since the stream is there."""
        with self._lock:
            self._is_seeded = True

    # What is known.

    def position(self, where: Where) -> ToldPosition | None:
        """None: it must be read."""
        with self._lock:
            return self._known(where).known() if self._is_seeded else None

    def positions(self, mark: Mark) -> tuple[Position, ...] | None:
        """All that are open, their PnL at mark; None: one of them must be read."""
        with self._lock:
            told = {where: each.known() for where, each in self._positions.items()} if self._is_seeded else None
        if told is None:
            return None
        found = []
        for where, each in told.items():
            if each is None:
                return None
            if each.position.size:
                price, pnl = mark(*where), _open_pnl(where, each, mark)
                if price is None or pnl is None:
                    return None
                found.append(replace(each.position, mark_price=price, unrealised_pnl=pnl))
        return tuple(found)

    def equity(self, coin: str, mark: Mark) -> Decimal | None:
        """The coin's balance and the open PnL at mark of everything settled in it; None: it must be read."""
        with self._lock:
            balance = self._balance(coin).known() if self._is_seeded else None
            held = [(where, each.known()) for where, each in self._positions.items() if _is_of(where, coin)]
        if balance is None:
            return None
        for where, told in held:
            pnl = _open_pnl(where, told, mark)
            if pnl is None:
                return None
            balance += pnl
        return balance

    def orders_at(self, where: Where) -> tuple[wire.OpenOrder, ...] | None:
        """What rests there, whoever placed it, the position's stops included; None: it must be read."""
        with self._lock:
            return self._orders.at(*where) if self._is_seeded else None

    def symbols(self) -> list[Where]:
        """Every instrument that was ever told of or asked for."""
        with self._lock:
            return list(self._positions)

    def unknown(self) -> list[Where]:
        """Of those, what a reading would settle."""
        with self._lock:
            return [where for where, each in self._positions.items() if each.is_readable and each.known() is None]

    def _known(self, where: Where) -> KnownPosition:
        found = self._positions.get(where)
        if found is None:
            found = self._positions[where] = KnownPosition()
        return found

    def _balance(self, coin: str) -> KnownBalance:
        found = self._balances.get(coin)
        if found is None:
            found = self._balances[coin] = KnownBalance()
        return found


def _is_of(where: Where, coin: str) -> bool:
    return wire.settle_coin_of(where[1]) == coin


def _open_pnl(where: Where, told: ToldPosition | None, mark: Mark) -> Decimal | None:
    """In the settle coin: on inverse contracts * (1/entry - 1/mark). Source: Bybit's help centre, P&L calculations."""
    if told is None or told.position.is_hedge:
        return None
    size, entry = told.position.size, told.pnl_price
    if not size:
        return size
    price = mark(*where)
    if price is None or entry is None:
        return None
    return size * (1 / entry - 1 / price) if where[0] is Category.INVERSE else size * (price - entry)
