"""The exchange with its private stream beside it: what the stream tells needs not be read."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from typing import Any

from relay.bybit import wire_account, wire_orders
from relay.bybit.account_api import REALTIME
from relay.bybit.client import ALL_ORDERS, Exchange, balance_in
from relay.bybit.http import signer
from relay.bybit.limiter import Address
from relay.bybit.market import Prices
from relay.bybit.stream import LinkState, StreamGreeting, StreamLink
from relay.bybit.stream_state import LiveAccount, Received, Where
from relay.bybit.wire_account import Row, problem_of
from relay.bybit.wire_orders import ReportedExecution, ReportedPosition, reported_position
from relay.domain.instrument import Category
from relay.domain.order import ErrorKind, NotSent, OrderRejected, Outcome, PlannedOrder, Reason, RequestSignature
from relay.domain.position import OrderReport, Position
from relay.domain.spot import OwnCoins
from relay.domain.trades import LedgerEntry
from relay.errors import ExchangeAnswered, ExchangeUnreachable, FactsUnreadable
from relay.settings.environment import NO_STREAMS, AccountSettings
from relay.settings.network import public_stream_url

log = logging.getLogger(__name__)

PRIVATE_PATH = "/v5/private"
TOPICS = ["order", "execution", "position", "wallet"]
AUTH_MS = 10_000
"""How long a signature of the stream is good for, by the exchange's clock."""
_SETTLE_S = 2.0
"""What is still unknown after so long is read, so that the next alert finds it known."""
_READS_A_ROUND = 20
_ALERTS_S = 3600.0
"""So long after an alert another one is to be expected."""
_OPEN_S = 3 * _SETTLE_S


@dataclass(frozen=True, slots=True, kw_only=True)
class NowPosition:
    """A position that needs no asking. `at_ms`: the exchange's time of what moved or set it last."""

    position: Position
    at_ms: int


class StreamedExchange(Exchange):
    """One account. What it answers without asking is proven to hold every fill of the relay's own orders.

    Its threads are daemons: the stream's own, and one that reads what the stream has left open.
    """

    def __init__(
        self, *, name: str, stream_url: str, prices: Prices, url: str, api_key: str, api_secret: str, **more: Any
    ) -> None:
        """`stream_url`: `ws` or `wss`, without a path. Raises SettingsInvalid as Exchange does."""
        super().__init__(url=url, api_key=api_key, api_secret=api_secret, **more)
        self._api_key, self._sign = api_key, signer(api_secret)
        self.marks = prices
        self.on_opened: Callable[[], None] = lambda: None
        self.on_outside: Callable[[ReportedExecution], None] = lambda execution: None
        """Called with what moves a position without an order: a liquidation, a delivery, a split."""
        self._name, self._stream_url = name, stream_url.rstrip("/") + PRIVATE_PATH
        self._begin_anew()

    def _begin_anew(self) -> None:
        """Nothing is known, and nothing listens."""
        self._live = live = LiveAccount()
        live.on_unreadable, live.on_position = self._unreadable, self.note_position
        live.on_outside = lambda execution: self.on_outside(execution)
        self._stop_healing = stop = threading.Event()
        self.link = StreamLink(
            name=self._name,
            url=self._stream_url,
            greet=self._greet,
            received=live.hear,
            opened=partial(self._seed, live),
            closed=live.forget,
        )
        self._reader = threading.Thread(
            target=self._heal, args=(live, self.link, stop), name=f"reader of {self._name}", daemon=True
        )

    def _unreadable(self, what: str, row: Row, error: Exception) -> None:
        self.odd_rows.report(what, row, problem_of(error))

    def listen(self, *, on_wake: Callable[[Category, str], None], on_unmatched: Callable[[Received], None]) -> None:
        """Start the stream, once until `hush`. `on_wake`: an awaited order of this instrument may be taken with
        `received`."""
        self._live.on_wake, self._live.on_unmatched = on_wake, on_unmatched
        self.link.start()
        self._reader.start()

    def send_ledger_to(self, hear: Callable[[LedgerEntry], None]) -> None:
        """From now on every execution that the stream tells is told there, too; `hear` must not block."""
        self._live.on_booked = hear

    def hush(self) -> None:
        """Another process may trade here from now on: the stream ends, and all that is known is forgotten."""
        link, stop = self.link, self._stop_healing
        self._begin_anew()
        stop.set()
        link.stop()

    def close(self) -> None:
        self._stop_healing.set()
        self.link.stop()
        super().close()

    def awaited_stream(self, timeout_s: float) -> LinkState | None:
        """How the stream stands once it is there, or was waited for so long; None if nobody listens."""
        if not self._reader.is_alive():
            return None
        self.link.wait_live(timeout_s)
        return self.link.state()

    def stream_state(self) -> LinkState:
        return self.link.state()

    def _greet(self, greeting: StreamGreeting) -> None:
        expires = self.now_ms() + AUTH_MS
        greeting.ask("auth", [self._api_key, expires, self._sign(f"GET/realtime{expires}".encode())])
        greeting.ask("subscribe", TOPICS)

    def _seed(self, live: LiveAccount) -> None:
        """What happened while no stream was there: read once the subscriptions are confirmed.

        What was read before that is forgotten: a position that was closed meanwhile is not among the open ones.
        """
        live.forget()
        readings = {where: live.begin_position(where) for where in live.symbols()}
        for where, rows in self._open_position_rows().items():
            # What cannot be read stays unknown: an alert that needs it asks again, and opens nothing.
            with suppress(FactsUnreadable):
                read = self._reported(rows, where)
                live.position_read(where, readings.get(where) or live.begin_position(where), read)
            self.marks.want(*where)
        for row, category in self._open_order_rows():
            self.odd_rows.read("order", (row,), partial(live.open_order, category=category))
        # What was known before and is not among the open ones: until it is read, no equity could be worked out.
        for where in live.unknown()[:_READS_A_ROUND]:
            self._try_to_read(where, live)
        self._read_balances(live)
        live.seeded()
        self.on_opened()

    def _open_order_rows(self) -> Iterator[tuple[Row, Category]]:
        """All that rests at the account, as `open_orders` has it of one symbol."""
        for category, narrowed in ALL_ORDERS:
            for row in self._calls.pages(
                self._session.get_open_orders, REALTIME, category=category.value, openOnly=0, limit=50, **narrowed
            ):
                yield row, category

    def _read_balances(self, live: LiveAccount) -> wire_account.Wallet:
        now_ms = self.now_ms()
        readings = live.begin_balances(now_ms)
        wallet = self.wallet()
        live.balances_read(readings, wallet.coins, now_ms, self.marks.mark)
        return wallet

    # What changes or asks.

    def place(
        self, order: PlannedOrder, *, client_order_id: str, signature: RequestSignature, is_exit: bool
    ) -> Outcome:
        where, live = (order.category, order.symbol), self._live
        live.sending(where, client_order_id)
        outcome = super().place(order, client_order_id=client_order_id, signature=signature, is_exit=is_exit)
        match outcome:
            case NotSent():
                live.not_sent(where, client_order_id)
            case OrderRejected() if outcome.refusal is not ErrorKind.ALREADY_THERE:
                live.not_sent(where, client_order_id)
        return outcome

    def look_up(self, *, category: Category, symbol: str, client_order_id: str) -> OrderReport | None:
        report = super().look_up(category=category, symbol=symbol, client_order_id=client_order_id)
        if report is not None:
            self._live.looked_up((category, symbol), report)
        return report

    def position(self, *, category: Category, symbol: str) -> Position:
        if not category.has_positions:
            return super().position(category=category, symbol=symbol)
        return self._read_position((category, symbol), self._live).position

    def _read_position(self, where: Where, live: LiveAccount) -> ReportedPosition:
        reading = live.begin_position(where)
        read = self._reported(self._position_rows(*where), where)
        live.position_read(where, reading, read)
        return read

    def _reported(self, rows: Sequence[Row], where: Where) -> ReportedPosition:
        """Raises FactsUnreadable."""
        self._understood(rows, *where)
        return reported_position(tuple(rows), *where)

    def _balances(self) -> wire_account.Wallet:
        return self._read_balances(self._live)

    def equity(self, coin: str, category: Category = Category.LINEAR) -> Decimal:
        return balance_in(self._read_balances(self._live), coin).funds(category)

    # What is known without asking.

    @property
    def is_listening(self) -> bool:
        """Whether an order's end is told by itself."""
        return self.link.is_live

    def received(self, client_order_id: str) -> Received | None:
        """What the stream told of an awaited order, once that is whole; it is told once."""
        found = self._live.take(client_order_id)
        if found is None and self.link.is_current():
            found = self._live.take(client_order_id)
        return found

    def use(self, category: Category, symbol: str) -> None:
        """An alert of the symbol is to be expected: its position and price are kept known."""
        self._live.begin_position((category, symbol))
        self.marks.want(category, symbol)

    def position_now(self, category: Category, symbol: str) -> NowPosition | None:
        """Returns None if it must be read."""
        self.marks.want(category, symbol)
        self._expect_alerts(category)
        if not category.has_positions:
            return self._held_now(symbol)
        reported = self._live.position((category, symbol)) if self.link.is_fresh() else None
        if reported is None:
            return None
        mark = self.marks.mark(category, symbol)
        return NowPosition(position=replace(reported.position, mark_price=mark), at_ms=reported.at_ms)

    def _held_now(self, symbol: str) -> NowPosition | None:
        """The relay's own coins, by the journal, and what the account has of them, by the stream."""
        holding = self.own_coins((), asks=False).get(symbol) or OwnCoins(symbol=symbol)
        at_ms = self.now_ms()
        if holding.uncounted:
            return None
        balance = self._live.balance(wire_account.coins_of(Category.SPOT, symbol)[0]) if self.link.is_fresh() else None
        if holding.size and balance is None:
            return None
        price = self.marks.mark(Category.SPOT, symbol)
        owned, free = (balance.owned, balance.free) if balance is not None else (None, None)
        if holding.lacks(owned, at_ms=at_ms):
            return None
        return NowPosition(position=holding.position(owned, free, price, at_ms=at_ms), at_ms=at_ms)

    def _expect_alerts(self, category: Category) -> None:
        """One has come: what the next one needs is kept fresh."""
        self.link.hurry(_ALERTS_S)
        self.marks.hurry(category, _ALERTS_S)

    def entry_bar(self, category: Category, symbol: str) -> Reason | None:
        return super().entry_bar(category, symbol) or self._live.no_entry((category, symbol))

    def positions_now(self) -> tuple[Position, ...] | None:
        """All that are open, whoever opened them; None if they must be read."""
        found = self._live.positions(self.marks.mark) if self.link.is_fresh() else None
        own = self.own_coins((), asks=False) if found is not None else {}
        held = [None if each.uncounted else self._held_now(symbol) for symbol, each in own.items()]
        if found is None or any(each is None or each.position.mark_price is None for each in held):
            return None
        return (*found, *(each.position for each in held if each is not None and each.position.size))

    def price_now(self, category: Category, symbol: str) -> Decimal | None:
        self._expect_alerts(category)
        return self.marks.mark(category, symbol)

    def open_orders_now(self, category: Category, symbol: str) -> tuple[wire_orders.OpenOrder, ...] | None:
        """For what is said, not for what is done: see known_orders."""
        return self._live.orders_at((category, symbol)) if self.link.is_current() else None

    def equity_now(self, coin: str, category: Category = Category.LINEAR) -> Decimal | None:
        if not self.link.is_fresh():
            return None
        if category.has_positions:
            return self._live.equity(coin, self.marks.mark)
        balance = self._live.balance(coin)
        return balance.funds(category) if balance is not None else None

    # What the stream leaves open, read beside everything else.

    def _heal(self, live: LiveAccount, link: StreamLink, stop: threading.Event) -> None:
        before: set[Where] = set()
        while not stop.wait(_SETTLE_S):
            self._keep_fresh(live, link)
            unknown = set(live.unknown()) if link.is_live else set()
            for where in sorted(unknown & before)[:_READS_A_ROUND]:
                self._try_to_read(where, live)
            before = unknown

    def _keep_fresh(self, live: LiveAccount, link: StreamLink) -> None:
        """Where something is open an alert may come at any time."""
        for category in {category for category, _ in live.open_at()}:
            link.hurry(_OPEN_S)
            self.marks.hurry(category, _OPEN_S)

    def _try_to_read(self, where: Where, live: LiveAccount) -> None:
        try:
            self._read_position(where, live)
        except (ExchangeUnreachable, ExchangeAnswered) as error:
            log.info("the position of %s could not be read just now: %s", where[1], error)
        except Exception:
            log.exception("the position of %s could not be read just now", where[1])


# The way to the exchange that an account's settings name, with streams where they are not turned off.


class SharedPrices:
    """One set of public streams a host, however many accounts are there."""

    def __init__(self) -> None:
        self._prices: dict[str, Prices] = {}

    def at(self, stream_url: str) -> Prices:
        return self._prices.setdefault(stream_url, Prices(public_stream_url(stream_url)))


def exchange_of(account: AccountSettings, address: Address, prices: SharedPrices) -> Exchange:
    """Not used yet. Raises SettingsInvalid for a PEM that cannot sign."""
    key, secret, url = account.api_key, account.api_secret, account.url
    assert key is not None and secret is not None and url is not None, "settings without a key do not load"
    shared: dict[str, Any] = {
        "url": url,
        "api_key": key.reveal(),
        "api_secret": secret.reveal(),
        "recv_window_ms": account.recv_window_ms,
        "referer": account.referer,
        "address": address,
    }
    stream_url = account.stream_url
    if stream_url is None or stream_url == NO_STREAMS:
        return Exchange(**shared)
    return StreamedExchange(name=account.name, stream_url=stream_url, prices=prices.at(stream_url), **shared)
