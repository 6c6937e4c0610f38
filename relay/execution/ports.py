"""What the execution needs of the exchange and of the market, whoever provides it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final, Protocol

from relay.bybit.stream_state import Received
from relay.bybit.wire_account import ClosedPnl
from relay.bybit.wire_orders import OpenOrder
from relay.domain.instrument import Category, Instrument, PriceBounds, SymbolIndex
from relay.domain.order import Outcome, PlannedOrder, Reason, RequestSignature
from relay.domain.order_lifecycle import Bounds
from relay.domain.position import Fill, OrderReport, Position, StopLevels
from relay.journal.records import from_ms as from_ms
from relay.journal.records import to_ms as to_ms


class ExchangePort(Protocol):
    """One account at the exchange. Questions raise ExchangeUnreachable or ExchangeAnswered; orders come to outcomes."""

    def now_ms(self) -> int:
        """The exchange's clock, as far as it is known here."""

    @property
    def is_clock_measured(self) -> bool:
        """Whether it was measured; else `now_ms` is this machine's."""

    def signature(self) -> RequestSignature: ...

    def measure_clock(self) -> int: ...

    def place(
        self, order: PlannedOrder, *, client_order_id: str, signature: RequestSignature, is_exit: bool
    ) -> Outcome: ...

    def cancel(
        self,
        *,
        category: Category,
        symbol: str,
        client_order_id: str,
        is_exit: bool = False,
        order: PlannedOrder | None = None,
    ) -> Outcome: ...

    def set_leverage(self, *, category: Category, symbol: str, leverage: Decimal) -> Outcome: ...

    def set_stops(self, *, category: Category, symbol: str, levels: StopLevels) -> Outcome: ...

    def amend(self, order: PlannedOrder, *, client_order_id: str, qty: Decimal, price: Decimal) -> Outcome: ...

    def look_up(self, *, category: Category, symbol: str, client_order_id: str) -> OrderReport | None: ...

    def fills(self, *, category: Category, symbol: str, client_order_id: str) -> tuple[Fill, ...]: ...

    def open_orders(self, *, category: Category, symbol: str) -> tuple[OpenOrder, ...]: ...

    def closed_pnl(self, *, since_ms: int) -> tuple[ClosedPnl, ...]: ...

    def stopped_at_ms(self, *, category: Category, symbol: str, since_ms: int) -> int | None: ...

    def position(self, *, category: Category, symbol: str) -> Position: ...

    def positions(self) -> tuple[Position, ...]: ...

    def price(self, *, category: Category, symbol: str) -> Decimal: ...

    def equity(self, coin: str, category: Category = Category.LINEAR) -> Decimal: ...

    def instrument(self, *, category: Category, symbol: str) -> Instrument | None: ...


class KnownPositionView(Protocol):
    """A position known from the streams; `at_ms`: the exchange's time of what moved or set it last."""

    @property
    def position(self) -> Position: ...

    @property
    def at_ms(self) -> int: ...


class LivePort(Protocol):
    """What one account's streams report. None always means that it is not known for certain and must be read."""

    @property
    def is_listening(self) -> bool:
        """Whether the stream is there, so that an order's end is told by itself."""

    def position_now(self, category: Category, symbol: str) -> KnownPositionView | None: ...

    def positions_now(self) -> tuple[Position, ...] | None: ...

    def price_now(self, category: Category, symbol: str) -> Decimal | None: ...

    def equity_now(self, coin: str, category: Category = Category.LINEAR) -> Decimal | None: ...

    def open_orders_now(self, category: Category, symbol: str) -> tuple[OpenOrder, ...] | None: ...

    def received(self, client_order_id: str) -> Received | None:
        """An awaited order's end, or that it rests, with all its fills; once."""


class MarketPort(Protocol):
    """What is known of the market without a request to the exchange."""

    symbol_index: SymbolIndex | None
    """Of the perpetuals there are; None until they are loaded."""

    def instrument(self, category: Category, symbol: str) -> Instrument | None: ...

    def keep_instrument(self, instrument: Instrument) -> None:
        """Its rules as they were read just now."""

    def last_price(self, category: Category, symbol: str) -> Decimal | None:
        """The last price heard of, seconds old at most, or None."""

    def hint(self, category: Category, symbol: str, price: Decimal) -> None:
        """A price that an alert named: the paper exchange goes by it where it has no market to look at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One configured account: its name, its way to the exchange, and the market of that exchange.

    `environment`, `key_tail`: for people; of the key only its last characters are.
    """

    name: str
    exchange: ExchangePort
    market: MarketPort
    environment: str = "paper"
    key_tail: str = ""
    bounds: Bounds
    live: LivePort | None = None
    """None if there are no streams; then the exchange is asked for everything."""
    entry_bar: Callable[[Category, str], Reason | None] = lambda category, symbol: None
    """Why nothing may be opened there, by what is known without asking: of the key, or of the position."""
    price_bounds: Callable[[Category, str], PriceBounds | None] = lambda category, symbol: None
    """Asks between which limit prices the exchange takes orders now; None where it does not say."""
    taker_fee: Callable[[Category, str], Decimal | None] = lambda category, symbol: None
    """Asks which share of its notional an order costs that takes; None where the exchange does not say."""


# The relay's own clock, passed in wherever it matters; `to_ms` and `from_ms` go with it.


Now = Callable[[], datetime]
utc_now: Final[Now] = functools.partial(datetime.now, UTC)
