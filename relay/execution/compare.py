"""Hold what TradingView lets people download against the journal and the ledger."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final, TypeVar

from relay.alerts.signal import read, text_digest
from relay.domain.instrument import plain
from relay.domain.order import Side, SignalStatus
from relay.domain.performance import (
    ANSWER_MS,
    AlertOutcome,
    AlertVerdict,
    Arrival,
    Export,
    FiredAlert,
    ListedTrade,
    TradeComparison,
    best_zone,
    compare_trades,
    counted,
    judge_alerts,
    zone_of,
)
from relay.domain.trades import Trade
from relay.errors import AlertMalformed
from relay.journal.api_queries import DashboardQueries
from relay.journal.ledger import DAY_MS, Ledger
from relay.journal.records import rfc3339
from relay.journal.trades import TradeFilter, plain_by_coin

ARRIVALS_MAX: Final = 200_000
_NEAR_MS: Final = 30 * 60_000
_EARLY_MS: Final = 2 * 60_000
_DONE: Final = (SignalStatus.DONE, SignalStatus.EXECUTING, SignalStatus.ACCEPTED)


class NotComparable(ValueError):
    """Something must be said first, in words for whoever asked. `field`: what must be said."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def compare(
    exports: Sequence[Export],
    *,
    queries: DashboardQueries,
    ledger: Ledger,
    strategy: str | None,
    account: str | None,
    symbol: str | None,
    zone: str | None,
    known_since_ms: int,
) -> dict[str, Any]:
    """Both comparisons, as JSON can hold them. `known_since_ms`: what is older may have been forgotten. Raises
    NotComparable, JournalUnavailable."""
    if zone is not None:
        try:
            zone_of(zone)
        except ValueError as error:
            raise NotComparable("zone", str(error)) from None
    verdicts = _alerts(exports, queries, known_since_ms)
    which = TradeFilter(account=account, strategy=strategy, symbol=symbol)
    lists = [each for each in exports if each.trades]
    if len(lists) > 1:
        raise NotComparable("files", "one list of trades at a time: each belongs to one strategy on one chart")
    return {
        "alerts": _shown_alerts(verdicts) if verdicts else None,
        "trades": _trades(lists[0], which, queries, ledger, zone, verdicts) if lists else None,
        "unreadable": [
            {"file": row.file, "row": row.row, "why": row.why} for each in exports for row in each.unreadable
        ],
        "notes": [f"{each.file}: {note}" for each in exports for note in each.notes],
    }


def _alerts(exports: Sequence[Export], queries: DashboardQueries, known_since_ms: int) -> list[AlertVerdict]:
    """Of logs whose times overlap, each alert once: as often as the one says that has it most."""
    most: Counter[FiredAlert] = Counter()
    for each in exports:
        most |= Counter(each.alerts)
    fired = list(most.elements())
    if not fired:
        return []
    times = [alert.at_ms for alert in fired]
    first_ms = queries.first_arrival_ms()
    known_since_ms = max(known_since_ms, max(times) + 1 if first_ms is None else first_ms - ANSWER_MS)
    arrivals = _arrivals(queries, min(times) - _EARLY_MS, max(times) + DAY_MS)
    return judge_alerts(*_by_text(fired, arrivals), known_since_ms=known_since_ms)


def _by_text(fired: list[FiredAlert], arrivals: list[Arrival]) -> tuple[list[FiredAlert], list[Arrival]]:
    """Mail changes blanks and line ends: what came by it alone, and is no message to the letter, is told by what it
    says."""
    known = {digest for each in fired for digest in each.digests}
    odd = {each.signal_id for each in arrivals if each.is_by_mail and each.text and each.digest not in known}
    if not odd:
        return fired, arrivals
    times = sorted(each.received_ms for each in arrivals if each.signal_id in odd)
    found = []
    for each in fired:
        place = bisect_left(times, each.at_ms - _EARLY_MS)
        if place < len(times) and times[place] <= each.at_ms + ANSWER_MS:
            with suppress(AlertMalformed):
                said = text_digest(read(each.message.encode()).fields)
                each = replace(each, digests=each.digests | {said})  # noqa: PLW2901
        found.append(each)
    return found, [replace(each, digest=each.text or "") if each.signal_id in odd else each for each in arrivals]


def _arrivals(queries: DashboardQueries, since_ms: int, until_ms: int) -> list[Arrival]:
    arrivals = queries.arrivals(since_ms, until_ms, limit=ARRIVALS_MAX)
    if len(arrivals) == ARRIVALS_MAX:
        raise NotComparable("files", f"more than {ARRIVALS_MAX:,} alerts arrived in that time; take a shorter one")
    return arrivals


def _shown_alerts(verdicts: Sequence[AlertVerdict]) -> dict[str, Any]:
    return {
        "counts": counted(verdicts),
        "rows": [
            {
                "alert_id": each.fired.id,
                "ticker": each.fired.ticker,
                "name": each.fired.name,
                "at": rfc3339(each.fired.at_ms),
                "outcome": each.outcome.value,
                "delay_ms": each.delay_ms,
                "signal_id": each.signal_id,
                "why": each.why,
            }
            for each in verdicts
        ],
    }


def _trades(
    export: Export,
    which: TradeFilter,
    queries: DashboardQueries,
    ledger: Ledger,
    zone: str | None,
    verdicts: Sequence[AlertVerdict],
) -> dict[str, Any]:
    listed = export.trades
    place = zone_of(zone or "UTC")
    since_ms = int(min(each.entry_at for each in listed).replace(tzinfo=place).timestamp() * 1000) - DAY_MS
    until_ms = int(max(each.entry_at for each in listed).replace(tzinfo=place).timestamp() * 1000) + DAY_MS
    own = [each for each in ledger.trades_between(which, since_ms, until_ms) if each.size]
    found = sorted({(each.strategy, each.account, each.symbol) for each in own})
    if len(found) > 1:
        raise NotComparable(
            "strategy",
            "trades of more than one strategy, account or symbol fall into that time; say which with `strategy`, "
            f"`account` and `symbol`: {'; '.join(' '.join(each) for each in found)}"[:500],
        )
    arrivals = _arrivals(queries, since_ms - DAY_MS, until_ms + DAY_MS)
    why = _WhyMissed(arrivals, which, own, verdicts)
    adds = _adds(own, arrivals)
    chosen = zone or best_zone(listed, own, adds)
    if chosen is None and own:
        raise NotComparable("zone", "no trade fits in any time zone; say the chart's with `zone`, as Europe/Berlin")
    compared = compare_trades(
        listed, own, adds=adds, zone=chosen or "UTC", is_found=zone is None and chosen is not None, why_missed=why.of
    )
    return _shown_trades(compared, export)


def _adds(own: Sequence[Trade], arrivals: Sequence[Arrival]) -> dict[str, tuple[int, ...]]:
    """When the alerts came that added to each trade, after the first one: a strategy's list has each as its own."""
    by_id = {each.signal_id: each for each in arrivals}
    return {
        trade.id: tuple(
            known.received_ms
            for signal_id in trade.signals[1:]
            if (known := by_id.get(signal_id)) is not None and trade.side in known.may_open
        )
        for trade in own
    }


class _WhyMissed:
    """Looks among the signals that led to no trade for the one that should have opened it."""

    def __init__(
        self,
        arrivals: Sequence[Arrival],
        which: TradeFilter,
        own: Sequence[Trade],
        verdicts: Sequence[AlertVerdict],
    ) -> None:
        used = {signal_id for trade in own for signal_id in trade.signals}
        symbols = {trade.symbol for trade in own} | ({which.symbol} if which.symbol else set())
        self._arrivals = [
            each
            for each in sorted(arrivals, key=lambda each: each.received_ms)
            if each.signal_id not in used
            and which.strategy in (None, each.strategy)
            and (not symbols or each.symbol is None or each.symbol in symbols)
        ]
        self._lost = [each for each in verdicts if each.outcome in (AlertOutcome.NEVER, AlertOutcome.REPEAT)]

    def of(self, at_ms: int, side: Side) -> tuple[str, str | None]:
        arrived = _near(self._arrivals, at_ms, lambda each: each.received_ms)
        near = [each for each in arrived if side in each.may_open]
        refused = [each for each in near if each.status not in _DONE]
        if refused:
            nearest = min(refused, key=lambda each: abs(each.received_ms - at_ms))
            word = "late" if nearest.status is SignalStatus.EXPIRED else nearest.status.value
            return f"{word}: {nearest.reason}" if nearest.reason else word, nearest.signal_id
        lost = _near(self._lost, at_ms, lambda each: each.fired.at_ms)
        if lost:
            nearest_lost = min(lost, key=lambda each: abs(each.fired.at_ms - at_ms))
            if nearest_lost.outcome is AlertOutcome.REPEAT:
                return nearest_lost.why or nearest_lost.outcome, nearest_lost.signal_id
            word = f": {nearest_lost.why}" if nearest_lost.why else ""
            return f"the alert never arrived{word}", None
        if near:
            nearest = min(near, key=lambda each: abs(each.received_ms - at_ms))
            return "the alert arrived and opened nothing", nearest.signal_id
        return "no alert arrived", None


_T = TypeVar("_T")


def _near(sorted_: Sequence[_T], at_ms: int, time_of: Callable[[_T], int]) -> Sequence[_T]:
    begin = bisect_left(sorted_, at_ms - _EARLY_MS, key=time_of)
    return sorted_[begin : bisect_right(sorted_, at_ms + _NEAR_MS, key=time_of)]


def _shown_trades(compared: TradeComparison, export: Export) -> dict[str, Any]:
    return {
        "file": export.file,
        "currency": export.currency,
        "zone": compared.zone,
        "zone_found": compared.is_found,
        "still_open": compared.still_open,
        "matched": [
            {
                **_listed_form(pair.listed),
                "trade_id": pair.own.id,
                "late_s": pair.late_s,
                "own_status": "open" if pair.own.closed_at_ms is None else "closed",
                "own_size": plain(pair.own.size),
                "own_entry_price": _number(pair.own.entry_price),
                "own_exit_price": _number(pair.own.exit_price),
                "net": plain(pair.own.net),
            }
            for pair in compared.pairs
        ],
        "missed": [
            {**_listed_form(each.listed), "why": each.why, "signal_id": each.signal_id} for each in compared.missed
        ],
        "extra": [
            {
                "trade_id": each.id,
                "strategy": each.strategy,
                "opened_at": _at(each.opened_at_ms),
                "net": plain(each.net),
            }
            for each in compared.extra
        ],
        "money": {
            name: plain(getattr(compared.money, name))
            for name in ("profit", "slippage", "fees", "funding", "missed", "size", "extra", "yours")
        },
        "fees_other": plain_by_coin(_fees_other(compared)),
    }


def _fees_other(compared: TradeComparison) -> dict[str, Decimal]:
    """By coin, what the trades paid in others than the one that they settle in: no part of the sum."""
    found: Counter[str] = Counter()
    for trade in {each.id: each for each in (*compared.extra, *compared.own)}.values():
        found.update(trade.fees_other)
    return {coin: Decimal(amount) for coin, amount in found.items()}


def _listed_form(row: ListedTrade) -> dict[str, Any]:
    return {
        "number": row.number,
        "side": "long" if row.side is Side.BUY else "short",
        "entry_at": row.entry_at.isoformat(sep=" ", timespec="minutes"),
        "size": plain(row.qty),
        "entry_price": plain(row.entry_price),
        "exit_price": _number(row.exit_price),
        "profit": _number(row.profit),
    }


def _number(value: Decimal | None) -> str | None:
    return None if value is None else plain(value.quantize(Decimal("1E-8")))


def _at(unix_ms: int | None) -> str | None:
    return None if unix_ms is None else rfc3339(unix_ms)
