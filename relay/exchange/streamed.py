"""The exchange with its private stream beside it: what the stream tells needs not be asked."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, TypeVar

from relay.domain.booking import Booking
from relay.domain.instrument import Category
from relay.domain.order import PlannedOrder
from relay.domain.outcome import NotSent, Outcome, Refusal, Rejected, Stamp
from relay.domain.position import Moved, OrderReport, Position
from relay.errors import ExchangeAnswered, ExchangeUnreachable
from relay.exchange import wire
from relay.exchange.awaited import Heard
from relay.exchange.client import EVERYTHING, REALTIME, Exchange
from relay.exchange.live import LiveAccount, Where
from relay.exchange.prices import Prices
from relay.exchange.session import signer
from relay.exchange.streams_board import Board
from relay.exchange.streams_link import Greeting, Link, LinkState, Message
from relay.exchange.streams_shared import SharedLink
from relay.exchange.wire.numbers import Row
from relay.exchange.wire.streams import ToldPosition, told_position

log = logging.getLogger(__name__)
T = TypeVar("T")

PRIVATE_PATH = "/v5/private"
TOPICS = ["order", "execution", "position", "wallet"]
AUTH_MS = 10_000
"""How long a signature of the stream is good for, by the exchange's clock."""
_SETTLE_S = 2.0
"""What is still unknown after so long is read, so that the next alert finds it known."""
_READS_A_ROUND = 20


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
        self,
        *,
        name: str,
        stream_url: str,
        prices: Prices,
        url: str,
        api_key: str,
        api_secret: str,
        board: Board | None = None,
        **more: Any,
    ) -> None:
        """`stream_url`: `ws` or `wss`, without a path. `board`: where several processes share the account's stream.

        Raises SettingsInvalid as Exchange does.
        """
        super().__init__(url=url, api_key=api_key, api_secret=api_secret, **more)
        self._api_key, self._sign = api_key, signer(api_secret)
        self.marks = prices
        self._live = LiveAccount()
        self._stop_healing = threading.Event()
        self._reader = threading.Thread(target=self._heal, name=f"reader of {name}", daemon=True)
        self.on_opened: Callable[[], None] = lambda: None
        self._name, self._stream_url = name, stream_url.rstrip("/") + PRIVATE_PATH
        hear, seed, forget = self._live.hear, self._seed, self._live.forget
        self.link: Link | SharedLink = (
            self._stream(hear, seed, forget)
            if board is None
            else SharedLink(name=name, board=board, keep=self._stream, heard=hear, opened=seed, closed=forget)
        )

    def _stream(self, heard: Callable[[Message], None], opened: Callable[[], None], closed: Callable[[], None]) -> Link:
        return Link(name=self._name, url=self._stream_url, greet=self._greet, heard=heard, opened=opened, closed=closed)

    def listen(self, *, on_wake: Callable[[Category, str], None], on_overheard: Callable[[Heard], None]) -> None:
        """Start the stream, once. `on_wake`: an awaited order of this instrument may be taken with `heard`.

        Of processes that share a stream only the one that keeps it passes on what it overhears, and what is booked.
        """
        self._live.on_wake, self._live.on_overheard = on_wake, self._if_keeper(on_overheard)
        self.link.start()
        self._reader.start()

    def book_to(self, hear: Callable[[Booking], None]) -> None:
        """From now on every execution that the stream tells is told there, too; `hear` must not block."""
        self._live.on_booked = self._if_keeper(hear)

    def _if_keeper(self, hear: Callable[[T], None]) -> Callable[[T], None]:
        def told(news: T) -> None:
            if self.link.is_keeper:
                hear(news)

        return told

    def catch_up(self, category: Category, symbol: str, orders: Iterable[Moved]) -> None:
        """What other processes have ordered of the instrument, so far as the journal knows."""
        self._live.catch_up((category, symbol), orders)

    def close(self) -> None:
        self._stop_healing.set()
        self.link.stop()
        super().close()

    def awaited_stream(self, timeout_s: float) -> LinkState | None:
        """How the stream stands once it is there, or was waited for so long; None: nobody listens."""
        if not self._reader.is_alive():
            return None
        self.link.wait_live(timeout_s)
        return self.link.state()

    def stream_state(self) -> LinkState:
        return self.link.state()

    def _greet(self, greeting: Greeting) -> None:
        expires = self.now_ms() + AUTH_MS
        greeting.ask("auth", [self._api_key, expires, self._sign(f"GET/realtime{expires}".encode())])
        greeting.ask("subscribe", TOPICS)

    def _seed(self) -> None:
        """What happened while no stream was there: read once the subscriptions are confirmed."""
        live = self._live
        readings = {where: live.begin_position(where) for where in live.symbols()}
        for where, rows in self._open_position_rows().items():
            live.position_read(
                where, readings.get(where) or live.begin_position(where), told_position(tuple(rows), *where)
            )
            self.marks.want(*where)
        for row, category in self._open_order_rows():
            live.open_order(row, category)
        self._read_balances()
        live.seeded()
        self.on_opened()

    def _open_order_rows(self) -> Iterator[tuple[Row, Category]]:
        """All that rests at the account, as `open_orders` has it of one symbol."""
        for category, narrowed in EVERYTHING:
            for row in self._calls.pages(
                self._session.get_open_orders, REALTIME, category=category.value, openOnly=0, limit=50, **narrowed
            ):
                yield row, category

    def _read_balances(self) -> wire.Wallet:
        now_ms = self.now_ms()
        readings = self._live.begin_balances(now_ms)
        wallet = self.wallet()
        self._live.balances_read(readings, {each.coin: each.wallet_balance for each in wallet.coins}, now_ms)
        return wallet

    # What changes or asks.

    def place(self, order: PlannedOrder, *, client_order_id: str, stamp: Stamp, is_exit: bool) -> Outcome:
        where = (order.category, order.symbol)
        self._live.sending(where, client_order_id)
        outcome = super().place(order, client_order_id=client_order_id, stamp=stamp, is_exit=is_exit)
        match outcome:
            case NotSent():
                self._live.not_sent(where, client_order_id)
            case Rejected() if outcome.refusal is not Refusal.ALREADY_THERE:
                self._live.not_sent(where, client_order_id)
        return outcome

    def look_up(self, *, category: Category, symbol: str, client_order_id: str) -> OrderReport | None:
        report = super().look_up(category=category, symbol=symbol, client_order_id=client_order_id)
        if report is not None:
            self._live.looked_up((category, symbol), report)
        return report

    def position(self, *, category: Category, symbol: str) -> Position:
        return self._read_position((category, symbol)).position

    def _read_position(self, where: Where) -> ToldPosition:
        reading = self._live.begin_position(where)
        read = told_position(self._position_rows(*where), *where)
        self._live.position_read(where, reading, read)
        return read

    def equity(self, coin: str) -> Decimal:
        return self._read_balances().equity(coin)

    # What is known without asking.

    @property
    def is_listening(self) -> bool:
        """Whether an order's end is told by itself."""
        return self.link.is_live

    def heard(self, client_order_id: str) -> Heard | None:
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
        """None: it must be read."""
        self.marks.want(category, symbol)
        told = self._live.position((category, symbol)) if self.link.is_current() else None
        if told is None:
            return None
        mark = self.marks.mark(category, symbol) or told.position.mark_price
        return NowPosition(position=replace(told.position, mark_price=mark), at_ms=told.at_ms)

    def positions_now(self) -> tuple[Position, ...] | None:
        """All that are open, whoever opened them; None: they must be read.

        Always read where the stream is shared: what other processes ordered is caught up with lane by lane only.
        """
        if isinstance(self.link, SharedLink):
            return None
        return self._live.positions(self.marks.mark) if self.link.is_current() else None

    def price_now(self, category: Category, symbol: str) -> Decimal | None:
        return self.marks.mark(category, symbol)

    def open_orders_now(self, category: Category, symbol: str) -> tuple[wire.OpenOrder, ...] | None:
        """For what is said, not for what is done: see known_orders."""
        return self._live.orders_at((category, symbol)) if self.link.is_current() else None

    def equity_now(self, coin: str) -> Decimal | None:
        return self._live.equity(coin, self.marks.mark) if self.link.is_current() else None

    # What the stream leaves open, read beside everything else.

    def _heal(self) -> None:
        before: set[Where] = set()
        while not self._stop_healing.wait(_SETTLE_S):
            unknown = set(self._live.unknown()) if self.link.is_live else set()
            for where in sorted(unknown & before)[:_READS_A_ROUND]:
                self._try_to_read(where)
            before = unknown

    def _try_to_read(self, where: Where) -> None:
        try:
            self._read_position(where)
        except (ExchangeUnreachable, ExchangeAnswered) as error:
            log.info("the position of %s could not be read just now: %s", where[1], error)
        except Exception:
            log.exception("the position of %s could not be read just now", where[1])
