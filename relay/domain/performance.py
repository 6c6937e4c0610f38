"""What a run of fills came to: profit by average cost, fees, slippage. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Context, Decimal

from relay.domain.instrument import Category
from relay.domain.order import Side

_ZERO = Decimal(0)
_EXACT = Context(prec=40)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stroke:
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

    @property
    def win_rate_pct(self) -> Decimal | None:
        """Of the fills that closed something with a profit or a loss."""
        closed = self.wins + self.losses
        return None if closed == 0 else (Decimal(100) * self.wins / closed).quantize(Decimal("0.1"))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Book:
    """A signed quantity and its average price."""

    size: Decimal = _ZERO
    price: Decimal = _ZERO


def results(strokes: Iterable[Stroke]) -> list[Result]:
    """Each fill's own result, in their order. A position that was open before the first fill counts as none.

    Inverse contracts gain contracts × (1/entry − 1/exit) coins, reckoned here at the exit price.
    """
    books: dict[tuple[str, str, Category, str], _Book] = {}
    found = []
    for each in strokes:
        where = (each.strategy, each.account, each.category, each.symbol)
        book, realised = _after(books.get(where, _Book()), each)
        closed = realised is not None
        books[where] = book
        fee = _EXACT.multiply(each.fee, each.price) if each.category is Category.INVERSE else each.fee
        found.append(
            Result(at_ms=each.at_ms, strategy=each.strategy, realised=realised or _ZERO, fee=fee, closed=closed)
        )
    return found


def _after(book: _Book, stroke: Stroke) -> tuple[_Book, Decimal | None]:
    signed = stroke.qty * stroke.side.sign
    if book.size * signed >= 0:
        return _added(book, stroke, signed), None
    closing = min(abs(signed), abs(book.size))
    realised = _gain(book, stroke, closing)
    left = book.size + signed
    if left * book.size > 0:
        return replace(book, size=left), realised
    return _Book(size=left, price=stroke.price if left else _ZERO), realised


def _added(book: _Book, stroke: Stroke, signed: Decimal) -> _Book:
    size = book.size + signed
    if stroke.category is Category.INVERSE:
        # Contracts are worth one USD each, so what averages is the coins behind them.
        coins = (_EXACT.divide(abs(book.size), book.price) if book.size else _ZERO) + _EXACT.divide(
            stroke.qty, stroke.price
        )
        return _Book(size=size, price=_EXACT.divide(abs(size), coins))
    cost = _EXACT.add(_EXACT.multiply(abs(book.size), book.price), _EXACT.multiply(stroke.qty, stroke.price))
    return _Book(size=size, price=_EXACT.divide(cost, abs(size)))


def _gain(book: _Book, stroke: Stroke, qty: Decimal) -> Decimal:
    side = 1 if book.size > 0 else -1
    if stroke.category is Category.INVERSE:
        coins = _EXACT.divide(qty, book.price) - _EXACT.divide(qty, stroke.price)
        return _EXACT.multiply(coins * side, stroke.price)
    return _EXACT.multiply(stroke.price - book.price, qty) * side


def tallies(strokes: list[Stroke]) -> dict[str, Tally]:
    """Each strategy's sum, by its name."""
    found: defaultdict[str, Tally] = defaultdict(Tally)
    first_of: set[str] = set()
    for stroke, result in zip(strokes, results(strokes), strict=True):
        tally = found[stroke.strategy]
        tally.fills += 1
        tally.realised += result.realised
        tally.fees += result.fee
        tally.wins += result.closed and result.realised > 0
        tally.losses += result.closed and result.realised < 0
        if stroke.signal_price:
            slip = (stroke.price - stroke.signal_price) / stroke.signal_price * 100 * stroke.side.sign
            tally.slippages_pct.append(slip)
        if stroke.submitted_after_ms is not None and stroke.signal_id not in first_of:
            first_of.add(stroke.signal_id)
            tally.latencies_ms.append(stroke.submitted_after_ms)
    return dict(found)


def percentile(values: Sequence[Decimal | int], share: int) -> Decimal | None:
    """The smallest value that `share` percent of them do not exceed; None of none."""
    if not values:
        return None
    ordered = sorted(map(Decimal, values))
    return ordered[max(0, -(-len(ordered) * share // 100) - 1)]
