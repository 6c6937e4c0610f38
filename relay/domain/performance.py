"""How closely fills followed their alerts, and what moves an account's money. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Context, Decimal
from typing import Final

from relay.domain.instrument import Category
from relay.domain.order import Side

_ZERO = Decimal(0)
_EXACT = Context(prec=40)


@dataclass(frozen=True, slots=True, kw_only=True)
class FillRow:
    """One fill with its signal."""

    signal_id: str
    strategy: str
    side: Side
    price: Decimal
    signal_price: Decimal | None = None
    submitted_after_ms: int | None = None
    """From receipt to the order's leaving."""


@dataclass(slots=True, kw_only=True)
class Tally:
    """How closely and how soon a strategy's fills followed its alerts."""

    fills: int = 0
    slippages_pct: list[Decimal] = field(default_factory=list)
    latencies_ms: list[int] = field(default_factory=list)


def tallies(fill_rows: Iterable[FillRow]) -> dict[str, Tally]:
    """Each strategy's, by its name."""
    found: defaultdict[str, Tally] = defaultdict(Tally)
    first_of: set[str] = set()
    for fill_row in fill_rows:
        tally = found[fill_row.strategy]
        tally.fills += 1
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
    return sum((each.worth or Decimal(0) for each in points), Decimal(0))


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
        curve[at_ms // every_ms] = at_ms, sum(worth.values(), Decimal(0))
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
