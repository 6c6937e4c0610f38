"""All that the exchange knows: instruments, quotes, wallets, positions; and what has changed since it was last
written down. Pure."""

from __future__ import annotations

import json
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Any

from relay.paper.orders import SPOT, ZERO, Execution, Order, Side, Status, StopKind, Transaction, TriggerBy

# The contracts that can be traded, from the table shipped beside this file.


TABLE = Path(__file__).with_name("instruments.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """One contract or spot pair with its rules. Quantities are coins on linear and spot, USD contracts on inverse.

    A pair has no `settle_coin`; its `qty_step` and `quote_step` are the base's and the quote coin's.
    `published` is what `/v5/market/instruments-info` shows of it, word for word.
    """

    symbol: str
    category: str
    contract_type: str
    status: str
    base_coin: str
    quote_coin: str
    settle_coin: str
    tick_size: Decimal
    min_price: Decimal
    max_price: Decimal
    qty_step: Decimal
    min_qty: Decimal
    max_limit_qty: Decimal
    max_market_qty: Decimal
    min_notional: Decimal
    max_leverage: Decimal
    start_price: Decimal
    funding_rate: Decimal
    published: Mapping[str, Any]
    quote_step: Decimal = ZERO
    max_post_only_qty: Decimal = ZERO

    @property
    def key(self) -> str:
        """Its name on this exchange: a pair and a perpetual may have the same symbol."""
        return key_of(self.category, self.symbol)

    @property
    def is_spot(self) -> bool:
        return self.category == SPOT

    @property
    def inverse(self) -> bool:
        return self.category == "inverse"

    @property
    def can_hedge(self) -> bool:
        """Only USDT perpetuals know hedge mode (position-mode.mdx)."""
        return self.contract_type == "LinearPerpetual" and self.settle_coin == "USDT"

    def value(self, qty: Decimal, price: Decimal) -> Decimal:
        """What `qty` is worth in the settle coin at `price`."""
        return qty / price if self.inverse else qty * price


def key_of(category: str, symbol: str) -> str:
    return f"{SPOT}:{symbol}" if category == SPOT else symbol


def _pair(row: Mapping[str, Any]) -> Instrument:
    """instrument.mdx, Spot: `minOrderQty`, `maxOrderQty` and `maxOrderAmt` are not looked at any more."""
    shown = row["instrument"]
    lot = shown["lotSizeFilter"]
    return Instrument(
        symbol=shown["symbol"],
        category=SPOT,
        contract_type="",
        status=shown["status"],
        base_coin=shown["baseCoin"],
        quote_coin=shown["quoteCoin"],
        settle_coin="",
        tick_size=Decimal(shown["priceFilter"]["tickSize"]),
        min_price=ZERO,
        max_price=Decimal("Infinity"),
        qty_step=Decimal(lot["basePrecision"]),
        quote_step=Decimal(lot["quotePrecision"]),
        min_qty=ZERO,
        max_limit_qty=Decimal(lot["maxLimitOrderQty"]),
        max_post_only_qty=Decimal(lot["postOnlyMaxLimitOrderSize"]),
        max_market_qty=Decimal(lot["maxMarketOrderQty"]),
        min_notional=Decimal(lot["minOrderAmt"]),
        max_leverage=ZERO,
        start_price=Decimal(row["startPrice"]),
        funding_rate=ZERO,
        published=shown,
    )


def _instrument(row: Mapping[str, Any]) -> Instrument:
    if row["category"] == SPOT:
        return _pair(row)
    shown = row["instrument"]
    price, lot = shown["priceFilter"], shown["lotSizeFilter"]
    return Instrument(
        symbol=shown["symbol"],
        category=row["category"],
        contract_type=shown["contractType"],
        status=shown["status"],
        base_coin=shown["baseCoin"],
        quote_coin=shown["quoteCoin"],
        settle_coin=shown["settleCoin"],
        tick_size=Decimal(price["tickSize"]),
        min_price=Decimal(price["minPrice"]),
        max_price=Decimal(price["maxPrice"]),
        qty_step=Decimal(lot["qtyStep"]),
        min_qty=Decimal(lot["minOrderQty"]),
        max_limit_qty=Decimal(lot["maxOrderQty"]),
        max_market_qty=Decimal(lot["maxMktOrderQty"]),
        min_notional=Decimal(lot["minNotionalValue"] or "0"),
        max_leverage=Decimal(shown["leverageFilter"]["maxLeverage"]),
        start_price=Decimal(row["startPrice"]),
        funding_rate=Decimal(row["fundingRate"] or "0"),
        published=shown,
    )


def with_filters(instrument: Instrument, filters: Mapping[str, str]) -> Instrument:
    """The same under other rules. Raises KeyError.

    `filters`: fields of `priceFilter` and `lotSizeFilter`, and `status` and `deliveryTime`.
    """
    shown = {name: dict(value) if isinstance(value, dict) else value for name, value in instrument.published.items()}
    for name, value in filters.items():
        if name in ("status", "deliveryTime"):
            shown[name] = value
            continue
        holder = next((shown[each] for each in ("priceFilter", "lotSizeFilter") if name in shown[each]), None)
        if holder is None:
            raise KeyError(name)
        holder[name] = value
    return _instrument(
        {
            "instrument": shown,
            "category": instrument.category,
            "startPrice": instrument.start_price,
            "fundingRate": instrument.funding_rate,
        }
    )


def load(path: Path = TABLE) -> dict[str, Instrument]:
    """The table's instruments by their keys, in its order."""
    found = map(_instrument, json.loads(path.read_text(encoding="utf-8")))
    return {instrument.key: instrument for instrument in found}


# A position's arithmetic: average price, realised profit, margin. Pure.


CENT = Decimal("0.00000001")
DEFAULT_LEVERAGE = Decimal(10)
MAINTENANCE_RATE = Decimal("0.005")


def cents(amount: Decimal) -> Decimal:
    """To the eight decimals in which wallets are kept."""
    return amount.quantize(CENT, rounding=ROUND_HALF_EVEN)


@dataclass(slots=True, kw_only=True)
class Position:
    """`size` is signed: positive long, negative short. Money is in the settle coin.

    `idx` 0 is one-way; 1 the buy and 2 the sell side of hedge mode. `open_fee` is what opening the present size cost.
    """

    symbol: str
    idx: int
    size: Decimal = ZERO
    avg_price: Decimal = ZERO
    leverage: Decimal = DEFAULT_LEVERAGE
    open_fee: Decimal = ZERO
    current_realised: Decimal = ZERO
    total_realised: Decimal = ZERO
    opened_ms: int = 0
    created_ms: int = 0
    updated_ms: int = 0
    seq: int = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """The part of a fill that reduced the position. `pnl` is gross of fees; `close_fee` is its share of the fill's."""

    qty: Decimal = ZERO
    pnl: Decimal = ZERO
    entry_value: Decimal = ZERO
    exit_value: Decimal = ZERO
    open_fee: Decimal = ZERO
    close_fee: Decimal = ZERO


def profit(instrument: Instrument, size: Decimal, entry: Decimal, exit_: Decimal) -> Decimal:
    """What a signed `size` earned from `entry` to `exit_`: quote coins on linear, base coins on inverse.

    Inverse: contracts * (1/entry - 1/exit), as in Bybit's "P&L calculations (inverse contracts)".
    """
    if instrument.inverse:
        return size * (1 / entry - 1 / exit_)
    return size * (exit_ - entry)


def maintenance_margin(position: Position, instrument: Instrument) -> Decimal:
    """Below this much equity a position is liquidated: a share of its value when it was opened."""
    return instrument.value(abs(position.size), position.avg_price) * MAINTENANCE_RATE if position.size else ZERO


def apply_fill(
    position: Position, instrument: Instrument, side: Side, qty: Decimal, price: Decimal, fee: Decimal
) -> Closed:
    """Changes `position` by a fill and tells what it closed; one fill may close, then open the other side."""
    signed = qty * side.sign
    closing = min(qty, abs(position.size)) if position.size * signed < 0 else ZERO
    closed = _close(position, instrument, closing, price, cents(fee * closing / qty)) if closing else Closed()
    opening = qty - closing
    if opening:
        _open(position, instrument, opening * side.sign, price, fee - closed.close_fee)
    return closed


def _close(position: Position, instrument: Instrument, qty: Decimal, price: Decimal, fee: Decimal) -> Closed:
    part = qty.copy_sign(position.size)
    share = position.open_fee if qty == abs(position.size) else cents(position.open_fee * qty / abs(position.size))
    closed = Closed(
        qty=qty,
        pnl=cents(profit(instrument, part, position.avg_price, price)),
        entry_value=instrument.value(qty, position.avg_price),
        exit_value=instrument.value(qty, price),
        open_fee=share,
        close_fee=fee,
    )
    position.size -= part
    position.open_fee -= share
    position.current_realised += closed.pnl - fee
    position.total_realised += closed.pnl - fee
    if not position.size:
        position.size, position.avg_price = ZERO, ZERO
    return closed


def _open(position: Position, instrument: Instrument, signed: Decimal, price: Decimal, fee: Decimal) -> None:
    if not position.size:
        position.avg_price = price
        position.open_fee = position.current_realised = ZERO
    elif instrument.inverse:
        worth = position.size / position.avg_price + signed / price
        position.avg_price = (position.size + signed) / worth
    else:
        position.avg_price = (position.size * position.avg_price + signed * price) / (position.size + signed)
    position.size += signed
    position.open_fee += fee
    position.current_realised -= fee
    position.total_realised -= fee


RECENT_CLOSED = 500
DOLLARS = frozenset({"USDT", "USDC", "USD"})
TAKER_FEE = Decimal("0.00055")
MAKER_FEE = Decimal("0.0002")
SPOT_FEE = Decimal("0.001")
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
    """One coin's balance. `realised` sums profits less fees and funding, for good; of spot it has the fees alone."""

    coin: str
    balance: Decimal = ZERO
    realised: Decimal = ZERO


@dataclass(slots=True, kw_only=True)
class Changes:
    """What one action changed; each order, position and wallet once, executions in order."""

    orders: dict[str, Order] = field(default_factory=dict)
    executions: list[Execution] = field(default_factory=list)
    transactions: list[Transaction] = field(default_factory=list)
    positions: dict[tuple[str, int], Position] = field(default_factory=dict)
    wallets: dict[str, Wallet] = field(default_factory=dict)
    quotes: dict[str, Quote] = field(default_factory=dict)
    minutes: dict[str, Candle] = field(default_factory=dict)
    modes: dict[str, bool] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return any((self.orders, self.executions, self.positions, self.wallets, self.quotes, self.modes))


def _uuid() -> str:
    return str(uuid.uuid4())


class State:
    """`open_orders` by the instrument's key, then by id; `recent` the newest closed ones; `links` every orderLinkId.

    What is called a symbol here and in orders and positions is that key, which is the symbol but for spot.
    """

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
        self.spot_taker_fee = self.spot_maker_fee = SPOT_FEE
        self.fee_coin, self.fee_coin_price, self.tax_rate = "", Decimal(1), ZERO
        """Fees are taken in that coin where it is named; a tax comes on top of each, in the settle coin."""
        self.new_id = new_id
        self.open_orders: dict[str, dict[str, Order]] = {symbol: {} for symbol in instruments}
        self.recent: dict[str, OrderedDict[str, Order]] = {
            category: OrderedDict() for category in ("linear", "inverse", SPOT)
        }
        self.links: dict[str, str] = {}
        self.positions: dict[tuple[str, int], Position] = {}
        self.hedged: set[str] = set()
        self.wallets = {coin: Wallet(coin=coin, balance=amount) for coin, amount in balances.items()}
        self.quotes = {
            symbol: Quote.flat(instrument.start_price, funding_rate=instrument.funding_rate)
            for symbol, instrument in instruments.items()
        }
        self.minutes: dict[str, Candle] = {}
        """The last in which the price moved."""
        self.seq = 0
        self.borrowed: dict[str, Decimal] = {}
        """For spot, by coin: what `walletBalance` shows beside the wallet's own; set by hand."""
        self.refuses_prices = False
        """Whether a limit price beyond the bound is refused (`lpaPerp`), or moved to it."""
        self.moves_spot_prices = False
        """The same of spot (`lpaSpot`), where they are refused by default."""
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
        if order.category == SPOT:
            self._note_locked(order)
        if order.is_open:
            self.open_orders[order.symbol][order.id] = order
            return
        self.open_orders[order.symbol].pop(order.id, None)
        closed = self.recent[order.category]
        closed[order.id] = order
        if len(closed) > RECENT_CLOSED:
            closed.popitem(last=False)

    def _note_locked(self, order: Order) -> None:
        """A spot order changes what is locked of the coin that it pays with; a waiting StopOrder locks nothing."""
        instrument = self.instruments[order.symbol]
        wallet = self.wallets.get(instrument.quote_coin if order.side is Side.BUY else instrument.base_coin)
        if wallet is not None and (order.status, order.stop_kind) != (Status.UNTRIGGERED, StopKind.STOP):
            self.changes.wallets[wallet.coin] = wallet

    def note_position(self, position: Position, now_ms: int) -> None:
        position.updated_ms = now_ms
        position.created_ms = position.created_ms or now_ms
        self.changes.positions[(position.symbol, position.idx)] = position

    def book(self, execution: Execution, coin: str, flow: Decimal) -> None:
        """What an execution does to a wallet, and its line in the transaction log: paid are the balance's own coins.

        `flow`: what came in (below zero: went out) of the coin, fees apart.
        """
        funds = execution.kind == "Funding"
        taxed = coin == (self.instruments[execution.order.symbol].settle_coin or execution.fee_coin)
        fee = (execution.fee if coin == execution.fee_coin else ZERO) + (execution.extra_fee if taxed else ZERO)
        wallet = self.wallets.setdefault(coin, Wallet(coin=coin))
        change = flow - fee
        wallet.balance += change
        wallet.realised += -fee if execution.order.category == SPOT else change
        self.changes.wallets[coin] = wallet
        self.changes.transactions.append(
            Transaction(
                id=self.new_id(),
                seq=self.next_seq(),
                execution=execution,
                coin=coin,
                balance=wallet.balance,
                cash_flow=flow,
                funding=-fee if funds else ZERO,
                fee=ZERO if funds else fee,
            )
        )

    def usd_price(self, coin: str) -> Decimal:
        """What a coin is worth in dollars by its perpetual's index, else its pair's; a stablecoin is a dollar."""
        if coin in DOLLARS:
            return Decimal(1)
        names = (f"{coin}USDT", f"{coin}USD", key_of(SPOT, f"{coin}USDT"))
        return next((self.quotes[name].index for name in names if name in self.quotes), ZERO)

    def set_quote(self, symbol: str, quote: Quote, *, moved_ms: int | None = None) -> None:
        """`moved_ms`: when the price moved; None where only the depth has changed."""
        if moved_ms is not None:
            minute = traced(self.minutes.get(symbol), self.quotes[symbol].last, quote.last, moved_ms)
            self.minutes[symbol] = self.changes.minutes[symbol] = minute
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


# The path that a symbol's last price took, by the minute, and candles of any length made of it. Pure.


MINUTE_MS = 60_000
STORED_MS = 7 * 1440 * MINUTE_MS
"""So long a path is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candle:
    """`begins_ms`: Unix milliseconds."""

    begins_ms: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal

    def then(self, price: Decimal) -> Candle:
        """With one more price in it."""
        return replace(self, high=max(self.high, price), low=min(self.low, price), close=price)


def flat(begins_ms: int, price: Decimal) -> Candle:
    return Candle(begins_ms=begins_ms, open=price, high=price, low=price, close=price)


def traced(known: Candle | None, before: Decimal, price: Decimal, now_ms: int) -> Candle:
    """The minute of now, in which the price went from `before` to `price`. `known`: the last one that it moved in."""
    begins_ms = now_ms - now_ms % MINUTE_MS
    minute = known if known is not None and known.begins_ms == begins_ms else flat(begins_ms, before)
    return minute.then(price)


def candles_of(
    path: Iterable[Candle], *, span_ms: int, first_ms: int, last_ms: int, now: Decimal
) -> tuple[Candle, ...]:
    """A candle for each span from `first_ms` to `last_ms`, both of which begin one, the oldest first.

    `path`: minutes in which the price moved, in order, the last one before `first_ms` among them. Where it did not move
    a candle is flat, at the price before; `now`: the price of now, where nothing is known of the path.
    """
    made: dict[int, Candle] = {}
    before: Decimal | None = None
    begun: Decimal | None = None
    for minute in path:
        begun = minute.open if begun is None else begun
        if minute.begins_ms < first_ms:
            before = minute.close
            continue
        begins_ms = minute.begins_ms - minute.begins_ms % span_ms
        known = made.get(begins_ms)
        made[begins_ms] = replace(minute, begins_ms=begins_ms) if known is None else _joined(known, minute)
    price = before or begun or now
    found = []
    for begins_ms in range(first_ms, last_ms + 1, span_ms):
        candle = made.get(begins_ms) or flat(begins_ms, price)
        found.append(candle)
        price = candle.close
    return tuple(found)


def _joined(first: Candle, later: Candle) -> Candle:
    return replace(first, high=max(first.high, later.high), low=min(first.low, later.low), close=later.close)
