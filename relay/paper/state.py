"""All that the exchange knows, and what has changed of it since it was last written down. Pure: no I/O, no clock."""

from __future__ import annotations

import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from relay.paper.instruments import Instrument
from relay.paper.orders import ZERO, Execution, Order, Side, TriggerBy
from relay.paper.positions import Position

RECENT_CLOSED = 500
TAKER_FEE = Decimal("0.00055")
MAKER_FEE = Decimal("0.0002")
START_BALANCES: Mapping[str, Decimal] = {
    "USDT": Decimal(100_000),
    "USDC": Decimal(100_000),
    "BTC": Decimal(2),
    "ETH": Decimal(20),
    "XRP": Decimal(5_000),
    "SOL": Decimal(100),
    "LTC": Decimal(100),
    "DOT": Decimal(1_000),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """The market of one symbol. `depth` is how much can still be taken at this price; None means any amount."""

    last: Decimal
    mark: Decimal
    index: Decimal
    bid: Decimal
    ask: Decimal
    funding_rate: Decimal = ZERO
    depth: Decimal | None = None

    @classmethod
    def flat(cls, price: Decimal, *, funding_rate: Decimal = ZERO, depth: Decimal | None = None) -> Quote:
        """Without a spread, which is how the paper market starts."""
        return cls(last=price, mark=price, index=price, bid=price, ask=price, funding_rate=funding_rate, depth=depth)

    def taker_price(self, side: Side) -> Decimal:
        return self.ask if side is Side.BUY else self.bid

    def by(self, kind: TriggerBy) -> Decimal:
        return {TriggerBy.LAST: self.last, TriggerBy.INDEX: self.index, TriggerBy.MARK: self.mark}[kind]


@dataclass(slots=True, kw_only=True)
class Wallet:
    """One coin's balance. `realised` sums profits less fees and funding, for good."""

    coin: str
    balance: Decimal = ZERO
    realised: Decimal = ZERO


@dataclass(slots=True, kw_only=True)
class Changes:
    """What one action changed; each order, position and wallet once, executions in order."""

    orders: dict[str, Order] = field(default_factory=dict)
    executions: list[Execution] = field(default_factory=list)
    positions: dict[tuple[str, int], Position] = field(default_factory=dict)
    wallets: dict[str, Wallet] = field(default_factory=dict)
    quotes: dict[str, Quote] = field(default_factory=dict)
    modes: dict[str, bool] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return any((self.orders, self.executions, self.positions, self.wallets, self.quotes, self.modes))


def _uuid() -> str:
    return str(uuid.uuid4())


class State:
    """`open_orders` by symbol, then by id; `recent` the newest closed ones; `links` every orderLinkId ever used."""

    def __init__(
        self,
        instruments: Mapping[str, Instrument],
        *,
        balances: Mapping[str, Decimal] = START_BALANCES,
        taker_fee: Decimal = TAKER_FEE,
        maker_fee: Decimal = MAKER_FEE,
        new_id: Callable[[], str] = _uuid,
    ) -> None:
        self.instruments = instruments
        self.taker_fee = taker_fee
        self.maker_fee = maker_fee
        self.new_id = new_id
        self.open_orders: dict[str, dict[str, Order]] = {symbol: {} for symbol in instruments}
        self.recent: dict[str, OrderedDict[str, Order]] = {"linear": OrderedDict(), "inverse": OrderedDict()}
        self.links: dict[str, str] = {}
        self.positions: dict[tuple[str, int], Position] = {}
        self.hedged: set[str] = set()
        self.wallets = {coin: Wallet(coin=coin, balance=amount) for coin, amount in balances.items()}
        self.quotes = {
            symbol: Quote.flat(instrument.start_price, funding_rate=instrument.funding_rate)
            for symbol, instrument in instruments.items()
        }
        self.seq = 0
        self.changes = Changes()

    def next_seq(self) -> int:
        self.seq += 1
        return self.seq

    def take_changes(self) -> Changes:
        """What changed since the last call."""
        changes, self.changes = self.changes, Changes()
        return changes

    def note_order(self, order: Order, now_ms: int) -> None:
        """Files an order that is new or has changed under open or closed."""
        order.updated_ms = now_ms
        self.changes.orders[order.id] = order
        if order.is_open:
            self.open_orders[order.symbol][order.id] = order
            return
        self.open_orders[order.symbol].pop(order.id, None)
        closed = self.recent[order.category]
        closed[order.id] = order
        if len(closed) > RECENT_CLOSED:
            closed.popitem(last=False)

    def note_position(self, position: Position, now_ms: int) -> None:
        position.updated_ms = now_ms
        position.created_ms = position.created_ms or now_ms
        self.changes.positions[(position.symbol, position.idx)] = position

    def credit(self, coin: str, amount: Decimal) -> None:
        """Adds a profit (or takes a loss or fee) to a wallet."""
        wallet = self.wallets.setdefault(coin, Wallet(coin=coin))
        wallet.balance += amount
        wallet.realised += amount
        self.changes.wallets[coin] = wallet

    def set_quote(self, symbol: str, quote: Quote) -> None:
        self.quotes[symbol] = quote
        self.changes.quotes[symbol] = quote

    def position(self, symbol: str, idx: int) -> Position:
        """The position at an index, an empty one if it never was open."""
        found = self.positions.get((symbol, idx))
        if found is None:
            found = self.positions[(symbol, idx)] = Position(symbol=symbol, idx=idx)
        return found

    def indices(self, symbol: str) -> tuple[int, ...]:
        """The position indices of the symbol's present mode."""
        return (1, 2) if symbol in self.hedged else (0,)

    def orders_of(self, symbol: str) -> Iterable[Order]:
        """A copy, because acting on one order may end others."""
        return list(self.open_orders[symbol].values())

    def find(self, category: str, order_id: str, link_id: str) -> Order | None:
        """An open or recently closed order; the id wins over the link id (open-order.mdx)."""
        wanted = order_id or self.links.get(link_id, "")
        for symbol, orders in self.open_orders.items():
            if wanted in orders and self.instruments[symbol].category == category:
                return orders[wanted]
        return self.recent[category].get(wanted)
