"""What fills came to: profit by average cost, fees, slippage, and what moves an account's money. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Context, Decimal
from typing import Final

from relay.domain.instrument import Category
from relay.domain.order import Side

_ZERO = Decimal(0)
_EXACT = Context(prec=40)


@dataclass(frozen=True, slots=True, kw_only=True)
class FillRow:
    """One fill with its signal. `qty` in the exchange's unit, `fee` in the settle coin; times in milliseconds."""

    signal_id: str
    strategy: str
    account: str
    category: Category
    symbol: str
    side: Side
    qty: Decimal
    price: Decimal
    fee: Decimal
    at_ms: int
    signal_price: Decimal | None = None
    submitted_after_ms: int | None = None
    """From receipt to the order's leaving."""
    client_order_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one fill realised, before fees, in the quote coin: zero for one that opens or adds."""

    at_ms: int
    strategy: str
    realised: Decimal
    fee: Decimal
    """In the quote coin."""
    closed: bool


@dataclass(slots=True, kw_only=True)
class Tally:
    """A strategy's sum."""

    fills: int = 0
    wins: int = 0
    losses: int = 0
    realised: Decimal = _ZERO
    fees: Decimal = _ZERO
    slippages_pct: list[Decimal] = field(default_factory=list)
    latencies_ms: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Book:
    """A signed quantity and its average price."""

    size: Decimal = _ZERO
    price: Decimal = _ZERO


def results(fill_rows: Iterable[FillRow]) -> list[Result]:
    """Each fill's own result, in their order. A position that was open before the first fill counts as none.

    Inverse contracts gain contracts × (1/entry − 1/exit) coins, reckoned here at the exit price.
    """
    books: dict[tuple[str, str, Category, str], _Book] = {}
    found = []
    for each in fill_rows:
        where = (each.strategy, each.account, each.category, each.symbol)
        book, realised = _after(books.get(where, _Book()), each)
        closed = realised is not None
        books[where] = book
        fee = _EXACT.multiply(each.fee, each.price) if each.category is Category.INVERSE else each.fee
        found.append(
            Result(at_ms=each.at_ms, strategy=each.strategy, realised=realised or _ZERO, fee=fee, closed=closed)
        )
    return found


def _after(book: _Book, fill_row: FillRow) -> tuple[_Book, Decimal | None]:
    signed = fill_row.qty * fill_row.side.sign
    if book.size * signed >= 0:
        return _added(book, fill_row, signed), None
    closing = min(abs(signed), abs(book.size))
    realised = _gain(book, fill_row, closing)
    left = book.size + signed
    if left * book.size > 0:
        return replace(book, size=left), realised
    return _Book(size=left, price=fill_row.price if left else _ZERO), realised


def _added(book: _Book, fill_row: FillRow, signed: Decimal) -> _Book:
    size = book.size + signed
    if fill_row.category is Category.INVERSE:
        # Contracts are worth one USD each, so what averages is the coins behind them.
        coins = (_EXACT.divide(abs(book.size), book.price) if book.size else _ZERO) + _EXACT.divide(
            fill_row.qty, fill_row.price
        )
        return _Book(size=size, price=_EXACT.divide(abs(size), coins))
    cost = _EXACT.add(_EXACT.multiply(abs(book.size), book.price), _EXACT.multiply(fill_row.qty, fill_row.price))
    return _Book(size=size, price=_EXACT.divide(cost, abs(size)))


def _gain(book: _Book, fill_row: FillRow, qty: Decimal) -> Decimal:
    side = 1 if book.size > 0 else -1
    if fill_row.category is Category.INVERSE:
        coins = _EXACT.divide(qty, book.price) - _EXACT.divide(qty, fill_row.price)
        return _EXACT.multiply(coins * side, fill_row.price)
    return _EXACT.multiply(fill_row.price - book.price, qty) * side


def open_sizes(fill_rows: Iterable[FillRow]) -> dict[tuple[str, str], Decimal]:
    """By account and symbol what the relay's own fills leave open, signed; nothing of what others did there."""
    sizes: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for each in fill_rows:
        sizes[each.account, each.symbol] += each.qty * each.side.sign
    return dict(sizes)


def order_result(fill_rows: Iterable[FillRow], client_order_id: str, qty: Decimal) -> Decimal | None:
    """What it realised before fees, in the quote coin; None where it closed nothing, or its fills are not `qty`."""
    rows = list(fill_rows)
    own = [made for row, made in zip(rows, results(rows), strict=True) if row.client_order_id == client_order_id]
    filled = sum((row.qty for row in rows if row.client_order_id == client_order_id), _ZERO)
    if filled != qty or not any(each.closed for each in own):
        return None
    return sum((each.realised for each in own), _ZERO)


def tallies(fill_rows: list[FillRow], *, since_ms: int = 0) -> dict[str, Tally]:
    """Each strategy's sum since then, by its name; the fills before it count for what they opened."""
    found: defaultdict[str, Tally] = defaultdict(Tally)
    first_of: set[str] = set()
    for fill_row, result in zip(fill_rows, results(fill_rows), strict=True):
        if fill_row.at_ms < since_ms:
            continue
        tally = found[fill_row.strategy]
        tally.fills += 1
        tally.realised += result.realised
        tally.fees += result.fee
        tally.wins += result.closed and result.realised > 0
        tally.losses += result.closed and result.realised < 0
        if fill_row.signal_price:
            slip = (fill_row.price - fill_row.signal_price) / fill_row.signal_price * 100 * fill_row.side.sign
            tally.slippages_pct.append(slip)
        if fill_row.submitted_after_ms is not None and fill_row.signal_id not in first_of:
            first_of.add(fill_row.signal_id)
            tally.latencies_ms.append(fill_row.submitted_after_ms)
    return dict(found)


def percentile(values: Sequence[Decimal | int], share: int) -> Decimal | None:
    """The smallest value that `share` percent of them do not exceed; None of none."""
    if not values:
        return None
    ordered = sorted(map(Decimal, values))
    return ordered[max(0, -(-len(ordered) * share // 100) - 1)]


# What fills cost or saved against the price that an alert named. Pure.


_SHOWN = Decimal("0.0001")


@dataclass(frozen=True, slots=True, kw_only=True)
class PricedFill:
    """`qty` in the exchange's unit: coins on linear, contracts of a USD on inverse."""

    category: Category
    side: Side
    qty: Decimal
    price: Decimal


def slippage_pct(fills: Iterable[PricedFill], signal_price: Decimal | None) -> Decimal | None:
    """Of the fills' average price from `signal_price`, in percent of it: above zero where it cost.

    None where there is no fill or no price. An average is by coins, which on inverse are contracts over price.
    """
    coins, cost = Decimal(0), Decimal(0)
    for fill in fills:
        weight = _EXACT.divide(fill.qty, fill.price) if fill.category is Category.INVERSE else fill.qty
        coins += weight
        if signal_price is not None:
            cost += _EXACT.multiply(weight, fill.price - signal_price) * fill.side.sign
    if not signal_price or not coins:
        return None
    return (_EXACT.divide(cost, coins * signal_price) * 100).quantize(_SHOWN)


# What moves an account's money, as the exchange tells it, and what it comes to.


DOLLARS: Final = frozenset({"USD", "USDT", "USDC"})
"""Coins that stand for a dollar, and the dollar."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Equity:
    """One coin of an account at a moment, in that coin. `usd`: the equity's worth then, where the exchange says it."""

    coin: str
    equity: Decimal
    unrealised: Decimal
    usd: Decimal | None
    at_ms: int

    @property
    def worth(self) -> Decimal | None:
        """In USD. A dollar's coin of which the exchange says nothing counts as a dollar; None: nobody knows."""
        return self.equity if self.usd is None and self.coin in DOLLARS else self.usd


def worth_of(points: Iterable[Equity]) -> Decimal:
    """In USD, of all whose worth is known."""
    return sum((each.worth or _ZERO for each in points), _ZERO)


def equity_curve(points: Mapping[str, Sequence[Equity]], *, every_ms: int) -> list[tuple[int, Decimal]]:
    """What the accounts were worth together in USD: of each span of `every_ms` the last moment that one was looked at.

    Each counts as it was last looked at; before its first look, as that found it, so that no account's beginning looks
    like a gain.
    """
    found: list[tuple[int, str, Decimal]] = []
    worth: dict[str, Decimal] = {}
    for account, of_account in points.items():
        looks: defaultdict[int, list[Equity]] = defaultdict(list)
        for each in of_account:
            looks[each.at_ms].append(each)
        last = {at_ms // every_ms: at_ms for at_ms in sorted(looks)}
        own = [(at_ms, account, worth_of(looks[at_ms])) for at_ms in last.values()]
        if own:
            worth[account] = own[0][2]
        found += own
    curve: dict[int, tuple[int, Decimal]] = {}
    for at_ms, account, amount in sorted(found):
        worth[account] = amount
        curve[at_ms // every_ms] = at_ms, sum(worth.values(), _ZERO)
    return list(curve.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class DayTotal:
    """All transactions of one coin on one day (UTC, `YYYY-MM-DD`)."""

    day: str
    coin: str
    realised: Decimal
    fees: Decimal
    funding: Decimal
    fees_other: Mapping[str, Decimal] = field(default_factory=dict)
    """By coin, what was paid in another one."""
