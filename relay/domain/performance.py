"""What fills came to, and how TradingView's list of trades compares with the round trips. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Context, Decimal
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

from relay.domain.instrument import Category
from relay.domain.order import Side, SignalStatus
from relay.domain.trades import Trade

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


# What should have been, by what TradingView lets people download, held against what was. Pure.


_CENT: Final = Decimal("1E-8")
_EARLY_MS: Final = 2_000
"""An alert's time is in whole seconds, and clocks differ."""
ANSWER_MS: Final = 600_000
"""What comes later is no answer to it: TradingView tries for some 20 seconds."""
_BEFORE: Final = timedelta(minutes=2)
_AFTER: Final = timedelta(minutes=30)
"""So far from the time in the list a fill may be: that time is in whole minutes, and may be the bar's."""
_ZONES: Final = (
    *("UTC", "America/New_York", "America/Chicago", "America/Los_Angeles", "Europe/London", "Europe/Berlin"),
    *("Europe/Moscow", "Europe/Istanbul", "Asia/Dubai", "Asia/Kolkata", "Asia/Bangkok", "Asia/Shanghai", "Asia/Tokyo"),
    *("Australia/Sydney", "America/Sao_Paulo"),
)


class AlertOutcome(StrEnum):
    """What became of an alert that fired."""

    ARRIVED = "arrived"
    TWICE = "arrived twice"
    REPEAT = "taken for a repeat"
    BY_MAIL = "arrived by mail only"
    NEVER = "never arrived"
    UNKNOWN = "not known"
    REJECTED = "rejected"
    DENIED = "denied"
    FAILED = "failed"
    EXPIRED = "expired"
    ATTENTION = "attention"


@dataclass(frozen=True, slots=True, kw_only=True)
class FiredAlert:
    """A row of the alerts log. `digests`: of its message, as it may have arrived; `webhook`: TradingView's own word."""

    id: str
    ticker: str
    name: str
    at_ms: int
    digests: frozenset[str]
    webhook: str | None = None
    message: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A signal as the journal has it. `repeats`: how often the same came again.

    `may_open`: the sides that its action may open; both where that hangs on the position or could not be read.
    """

    signal_id: str
    strategy: str | None
    symbol: str | None
    digest: str
    received_ms: int
    status: SignalStatus
    reason: str | None = None
    repeats: int = 0
    is_by_mail: bool = False
    text: str | None = None
    """The digest of what it says, the same by webhook and by mail; None where there is no mailbox."""
    may_open: frozenset[Side] = frozenset(Side)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertVerdict:
    fired: FiredAlert
    outcome: AlertOutcome
    signal_id: str | None = None
    delay_ms: int | None = None
    why: str | None = None


def judge_alerts(
    fired: Iterable[FiredAlert], arrivals: Iterable[Arrival], *, known_since_ms: int = 0
) -> list[AlertVerdict]:
    """Each alert that fired, the earliest first. `known_since_ms`: of what fired before, nothing may be known."""
    rows = sorted(fired, key=lambda each: each.at_ms)
    by_digest: defaultdict[str, list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        for digest in row.digests:
            by_digest[digest].append(index)
    found: defaultdict[int, list[Arrival]] = defaultdict(list)
    for arrival in sorted(arrivals, key=lambda each: each.received_ms):
        index_of = _fired_as(rows, by_digest.get(arrival.digest, []), arrival, found)
        if index_of is not None:
            found[index_of].append(arrival)
    repeats = _taken_for_repeats(rows, found)
    spent = Counter(arrival.signal_id for arrival in repeats.values())
    return [
        _repeated(row, repeats[index])
        if index in repeats
        else _verdict(row, found.get(index, []), spent, known_since_ms)
        for index, row in enumerate(rows)
    ]


def _fired_as(
    rows: Sequence[FiredAlert], same: Sequence[int], arrival: Arrival, found: Mapping[int, Sequence[Arrival]]
) -> int | None:
    """The latest with that message that can have been it; of several of one second the one that lacks it most."""
    place = bisect_right(same, arrival.received_ms + _EARLY_MS, key=lambda index: rows[index].at_ms)
    if not place or arrival.received_ms - rows[same[place - 1]].at_ms > ANSWER_MS:
        return None
    begin = bisect_left(same, rows[same[place - 1]].at_ms, key=lambda index: rows[index].at_ms)
    return min(same[begin:place], key=lambda index: len(found.get(index, ())))


def _taken_for_repeats(rows: Sequence[FiredAlert], found: Mapping[int, Sequence[Arrival]]) -> dict[int, Arrival]:
    """Those that lack an arrival of their own, and came as a repeat of one that is near before them."""
    taken: dict[int, Arrival] = {}
    last: dict[frozenset[str], Arrival] = {}
    left: dict[str, int] = {}
    for index, row in enumerate(rows):
        if found.get(index):
            last[row.digests] = found[index][-1]
            continue
        before = last.get(row.digests)
        if before is None or row.at_ms - before.received_ms > ANSWER_MS:
            continue
        spare = left.setdefault(before.signal_id, before.repeats)
        if spare:
            left[before.signal_id] = spare - 1
            taken[index] = before
    return taken


def _repeated(row: FiredAlert, first: Arrival) -> AlertVerdict:
    return AlertVerdict(
        fired=row,
        outcome=AlertOutcome.REPEAT,
        signal_id=first.signal_id,
        why="the same text had come shortly before, and was taken for one alert: an id, or a time, tells them apart",
    )


_NOT_DONE: Final = {
    SignalStatus.REJECTED: AlertOutcome.REJECTED,
    SignalStatus.DENIED: AlertOutcome.DENIED,
    SignalStatus.FAILED: AlertOutcome.FAILED,
    SignalStatus.EXPIRED: AlertOutcome.EXPIRED,
    SignalStatus.ATTENTION: AlertOutcome.ATTENTION,
}


def _verdict(
    row: FiredAlert, arrivals: Sequence[Arrival], spent: Mapping[str, int], known_since_ms: int
) -> AlertVerdict:
    """`spent`: of each signal the repeats that were other alerts."""
    if not arrivals and row.at_ms < known_since_ms:
        return AlertVerdict(fired=row, outcome=AlertOutcome.UNKNOWN, why="the journal does not reach back so far")
    if not arrivals:
        return AlertVerdict(fired=row, outcome=AlertOutcome.NEVER, why=row.webhook)
    first = arrivals[0]
    outcome = _NOT_DONE.get(first.status, AlertOutcome.ARRIVED)
    if outcome is AlertOutcome.ARRIVED and all(each.is_by_mail for each in arrivals):
        outcome = AlertOutcome.BY_MAIL
    elif outcome is AlertOutcome.ARRIVED and (len(arrivals) > 1 or first.repeats > spent.get(first.signal_id, 0)):
        outcome = AlertOutcome.TWICE
    delay_ms = max(first.received_ms - row.at_ms, 0)
    return AlertVerdict(fired=row, outcome=outcome, signal_id=first.signal_id, delay_ms=delay_ms, why=first.reason)


# A strategy's list of trades.


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedTrade:
    """A trade of the strategy tester. Times are those of the chart, without a zone; `exit_at` None: it is open."""

    number: str
    side: Side
    qty: Decimal
    entry_at: datetime
    entry_price: Decimal
    exit_at: datetime | None
    exit_price: Decimal | None
    profit: Decimal | None
    """As the strategy reckons it, with the costs that it was told to assume."""

    @property
    def has_result(self) -> bool:
        return self.profit is not None and self.exit_price is not None

    @property
    def gross(self) -> Decimal:
        """Without costs; of one that has ended."""
        return ((self.exit_price or self.entry_price) - self.entry_price) * self.qty * self.side.sign


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """`own`: of which one may belong to several of the list: to what a strategy added, and to each part that it closed
    by itself."""

    listed: ListedTrade
    own: Trade
    late_s: int
    """How much later than in the list it was opened, or added to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Missed:
    listed: ListedTrade
    why: str
    signal_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """`profit` − `slippage` − `fees` − `funding` − `missed` − `size` − `extra` = `yours`, exactly.

    All in the list's currency. `fees`: beyond those that the strategy assumed; `size`: what was earned less because
    less was held; `extra`: what trades that are not in the list lost.
    """

    profit: Decimal
    slippage: Decimal
    fees: Decimal
    funding: Decimal
    missed: Decimal
    size: Decimal
    extra: Decimal
    yours: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeComparison:
    """`zone`: of the chart; `is_found`: not given, but the one that fits best. `still_open`: have no result yet."""

    zone: str
    is_found: bool
    pairs: tuple[Pair, ...]
    missed: tuple[Missed, ...]
    own: tuple[Trade, ...]
    """Those that belong to the list, open ones among them."""
    extra: tuple[Trade, ...]
    still_open: int
    money: Money


def zone_of(name: str) -> tzinfo:
    """`Europe/Berlin`, `UTC` or `+05:30`. ValueError if it is none."""
    try:
        if name[:1] in ("+", "-"):
            return datetime.strptime(name.replace(":", ""), "%z").tzinfo or UTC
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"{name[:60]!r} is no time zone such as Europe/Berlin, UTC or +05:30") from error


def best_zone(
    listed: Sequence[ListedTrade], own: Sequence[Trade], adds: Mapping[str, Sequence[int]] | None = None
) -> str | None:
    """In which most trades of the list have one of their own at the same time; None where none has."""
    fixed = [f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
             for minutes in range(-720, 841, 15)]  # fmt: skip
    openings = _openings(own, adds or {})
    rows = _sample(listed, openings)
    best: tuple[int, int] | None = None
    named = None
    for name in (*_ZONES, *fixed):
        pairs = _pairs(rows, openings, zone_of(name))
        score = (len(pairs), -sum(abs(late_ms) // 1000 for _, _, late_ms in pairs))
        if pairs and (best is None or score > best):
            best, named = score, name
    return named


_SAMPLE: Final = 400
_ZONE_MAX_MS: Final = 14 * 3_600_000
_Openings = Mapping[Side, Sequence[tuple[int, str]]]


def _openings(own: Iterable[Trade], adds: Mapping[str, Sequence[int]]) -> _Openings:
    """When each trade was opened, and when it was added to; in order."""
    found: dict[Side, list[tuple[int, str]]] = {side: [] for side in Side}
    for trade in own:
        if trade.opened_at_ms is not None:
            found[trade.side] += [(at_ms, trade.id) for at_ms in (trade.opened_at_ms, *adds.get(trade.id, ()))]
    return {side: sorted(each) for side, each in found.items()}


def _sample(listed: Sequence[ListedTrade], openings: _Openings) -> list[ListedTrade]:
    """As many as tell the zone, from all of the time, of those that have one of their own within any zone's reach."""
    near = []
    for row in listed:
        at_ms, of_side = _ms(row.entry_at, UTC), openings[row.side]
        place = bisect_left(of_side, (at_ms - _ZONE_MAX_MS - _millis(_BEFORE), ""))
        if place < len(of_side) and of_side[place][0] <= at_ms + _ZONE_MAX_MS + _millis(_AFTER):
            near.append(row)
    return near[:: -(-len(near) // _SAMPLE) or 1]


def pair_up(
    listed: Sequence[ListedTrade],
    own: Sequence[Trade],
    zone: tzinfo,
    adds: Mapping[str, Sequence[int]] | None = None,
) -> list[Pair]:
    """Each trade of the list with the nearest own one of its side whose opening, or adding, nothing else has taken.

    `adds`: by trade, when it was added to. Those of the list with one entry are parts of one, closed one by one.
    """
    by_id = {each.id: each for each in own}
    return [
        Pair(listed=row, own=by_id[trade_id], late_s=round(late_ms / 1000))
        for row, trade_id, late_ms in _pairs(listed, _openings(own, adds or {}), zone)
    ]


def _pairs(listed: Sequence[ListedTrade], openings: _Openings, zone: tzinfo) -> list[tuple[ListedTrade, str, int]]:
    taken: set[tuple[Side, int]] = set()
    entries: dict[tuple[Side, datetime, Decimal], int | None] = {}
    pairs = []
    for row in sorted(listed, key=lambda each: each.entry_at):
        entry, of_side, at_ms = (row.side, row.entry_at, row.entry_price), openings[row.side], _ms(row.entry_at, zone)
        if entry not in entries:
            places = range(
                bisect_left(of_side, (at_ms - _millis(_BEFORE), "")),
                bisect_right(of_side, (at_ms + _millis(_AFTER), "~")),
            )
            free = (place for place in places if (row.side, place) not in taken)
            nearest = min(free, key=lambda place: (abs(of_side[place][0] - at_ms), of_side[place]), default=None)
            entries[entry] = nearest
            if nearest is not None:
                taken.add((row.side, nearest))
        found = entries[entry]
        if found is not None:
            opened_ms, trade_id = of_side[found]
            pairs.append((row, trade_id, opened_ms - at_ms))
    return pairs


def _millis(span: timedelta) -> int:
    return span // timedelta(milliseconds=1)


def _ms(at: datetime, zone: tzinfo) -> int:
    return int(at.replace(tzinfo=zone).timestamp() * 1000)


def compare_trades(
    listed: Sequence[ListedTrade],
    own: Sequence[Trade],
    *,
    zone: str,
    is_found: bool,
    why_missed: Callable[[int, Side], tuple[str, str | None]],
    adds: Mapping[str, Sequence[int]] | None = None,
) -> TradeComparison:
    """`own`: of that strategy and symbol; those opened before the list's first trade or after its last do not count.

    `why_missed`: why there is no trade of that side at that moment, and which signal was it. `adds`: by trade, when it
    was added to.
    """
    place = zone_of(zone)
    first, last = (_ms(f(each.entry_at for each in listed), place) for f in (min, max))
    within = range(first - _millis(_BEFORE), last + _millis(_AFTER) + 1)
    own = [each for each in own if (each.opened_at_ms or each.first_at_ms) in within]
    paired = pair_up(listed, own, place, adds)
    of_trade: defaultdict[str, list[Pair]] = defaultdict(list)
    for pair in paired:
        of_trade[pair.own.id].append(pair)
    unfinished = {trade_id for trade_id, pairs in of_trade.items() if _is_unfinished(pairs)}
    matched = {pair.listed.number for pair in paired}
    missed = [
        Missed(listed=pair.listed, why="it was entered, and yours is still open")
        for trade_id in unfinished
        for pair in of_trade[trade_id]
    ]
    for row in listed:
        if row.number not in matched:
            why, signal_id = why_missed(_ms(row.entry_at, place), row.side)
            missed.append(Missed(listed=row, why=why, signal_id=signal_id))
    extra = tuple(each for each in own if each.id not in of_trade)
    return TradeComparison(
        zone=zone,
        is_found=is_found,
        pairs=tuple(pair for pair in paired if pair.own.id not in unfinished),
        missed=tuple(sorted(missed, key=lambda each: each.listed.entry_at)),
        own=tuple(pairs[0].own for pairs in of_trade.values()),
        extra=extra,
        still_open=sum(not each.has_result for each in listed),
        money=_money(listed, of_trade.values(), missed, extra),
    )


def _is_unfinished(pairs: Sequence[Pair]) -> bool:
    """The strategy has left the position, and yours is still open."""
    return pairs[0].own.closed_at_ms is None and all(pair.listed.has_result for pair in pairs)


def _money(
    listed: Sequence[ListedTrade],
    of_trades: Iterable[Sequence[Pair]],
    missed: Sequence[Missed],
    extra: Sequence[Trade],
) -> Money:
    """What is open on either side has no result yet: its partial results count as extra."""
    slippage = fees = funding = size = more = yours = _ZERO
    for pairs in of_trades:
        own, ended = pairs[0].own, [pair.listed for pair in pairs if pair.listed.has_result]
        net, realised, paid, carried = (
            _in_quote(amount, own) for amount in (own.net, own.realised, own.fees, own.funding)
        )
        profit = sum((row.profit or _ZERO for row in ended), _ZERO)
        yours += net
        if _is_unfinished(pairs):
            more -= net
            continue
        if not ended or (len(ended) < len(pairs) and own.closed_at_ms is not None):
            more += profit - net
            continue
        gross = sum((row.gross for row in ended), _ZERO)
        held, meant = _coins(own), sum((pair.listed.qty for pair in pairs), _ZERO)
        at_own_size = gross if held == meant else (gross * held / meant).quantize(_CENT)
        size += gross - at_own_size
        slippage += at_own_size - realised
        fees += paid - (gross - profit)
        funding += carried
    lost = sum((each.listed.profit or _ZERO for each in missed), _ZERO)
    for trade in extra:
        yours += _in_quote(trade.net, trade)
        more -= _in_quote(trade.net, trade)
    total = sum((row.profit or _ZERO for row in listed), _ZERO)
    # What rounding leaves is slippage.
    slippage += total - slippage - fees - funding - lost - size - more - yours
    return Money(
        profit=total,
        slippage=slippage,
        fees=fees,
        funding=funding,
        missed=lost,
        size=size,
        extra=more,
        yours=yours,
    )


def _in_quote(amount: Decimal, own: Trade) -> Decimal:
    """In the chart's currency: inverse contracts settle in coins."""
    if own.category is not Category.INVERSE:
        return amount
    return (amount * (own.exit_price or own.entry_price or _ZERO)).quantize(_CENT)


def _coins(own: Trade) -> Decimal:
    """All that was ever entered."""
    return own.entry_qty if own.category is not Category.INVERSE else own.entry_value.quantize(_CENT)


def counted(verdicts: Iterable[AlertVerdict]) -> dict[str, int]:
    """How many of each outcome, those that occur."""
    return {outcome.value: count for outcome, count in sorted(Counter(each.outcome for each in verdicts).items())}


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreadableRow:
    """`row`: its number in the file, from 1."""

    file: str
    row: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """What a file holds: one of the two, or nothing that can be read. `notes`: how it was read."""

    file: str
    alerts: tuple[FiredAlert, ...] = ()
    trades: tuple[ListedTrade, ...] = ()
    currency: str | None = None
    unreadable: tuple[UnreadableRow, ...] = ()
    notes: tuple[str, ...] = field(default=())
