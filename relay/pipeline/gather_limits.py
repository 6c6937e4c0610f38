"""Read what an account's limits count. What cannot be read is said so, and then only withholds the entry."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal

from relay.domain.instrument import Category
from relay.domain.limit_facts import DayResult, LimitFacts, LimitNeed, Working
from relay.domain.order import Purpose
from relay.domain.plan import Facts, Plan
from relay.domain.position import Position
from relay.errors import ExchangeAnswered, ExchangeUnreachable
from relay.journal.engine_queries import LimitQueries
from relay.journal.journal import Journal
from relay.pipeline.clock import from_ms, to_ms
from relay.pipeline.ports import ExchangePort
from relay.pipeline.source import Source
from relay.pipeline.work import Work

_MINUTE = timedelta(seconds=60)
_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Planned:
    """Entries of a plan that the journal may not show yet."""

    signal_id: str
    strategy: str
    generation: int
    at: datetime
    working: tuple[Working, ...]


class LimitReader:
    """Between reading and planning nobody else may plan an entry for the account: `turn`, then `note` what was planned.

    Two signals of different symbols run at the same time, and must not both take the last place that a limit leaves.
    """

    def __init__(self, journal: Journal) -> None:
        self._counted = LimitQueries(journal.store)
        self._lock = threading.Lock()
        self._turns: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._planned: defaultdict[str, list[_Planned]] = defaultdict(list)

    def turn(self, account: str) -> AbstractContextManager[object]:
        """Held while an entry of the account is read for and planned."""
        with self._lock:
            return self._turns[account]

    def note(self, work: Work, plan: Plan, facts: Facts) -> None:
        """Within the turn: this plan is going to be written down."""
        entries = tuple(
            Working(
                category=each.category,
                symbol=each.symbol,
                side=each.side,
                qty=each.qty,
                price=each.price or each.trigger_price or facts.price,
            )
            for each in plan.orders
            if each.purpose is not Purpose.EXIT
        )
        if entries:
            planned = _Planned(
                signal_id=work.signal.id,
                strategy=work.signal.strategy,
                generation=work.generation,
                at=facts.now,
                working=entries,
            )
            self._planned[work.account.name].append(planned)

    def read(
        self, work: Work, source: Source, wanted: Iterable[LimitNeed], now: datetime, *, keeps: bool
    ) -> tuple[LimitFacts, ExchangeUnreachable | None]:
        """`keeps`: the day's first reading is written down. The error is one that passes: to ask again may help."""
        reading = _Reading(self._counted, work, source, now, self._not_shown_yet(work, now), keeps=keeps)
        return reading.read(frozenset(wanted))

    def _not_shown_yet(self, work: Work, now: datetime) -> tuple[_Planned, ...]:
        account = work.account.name
        left = [
            each
            for each in self._planned[account]
            if each.signal_id != work.signal.id
            and now - each.at < _MINUTE
            and not self._counted.is_planned(each.signal_id, account, each.generation)
        ]
        self._planned[account] = left
        return tuple(left)


class _Reading:
    """One reading for one entry: each question is asked at most once."""

    def __init__(
        self,
        counted: LimitQueries,
        work: Work,
        source: Source,
        now: datetime,
        planned: tuple[_Planned, ...],
        *,
        keeps: bool,
    ) -> None:
        self._counted = counted
        self._work = work
        self._source = source
        self._now = now
        self._planned = planned
        self._keeps = keeps
        self._positions: tuple[Position, ...] | None = None
        self._prices: dict[tuple[Category, str], Decimal] = {}

    @property
    def _exchange(self) -> ExchangePort:
        return self._work.account.exchange

    def read(self, wanted: frozenset[LimitNeed]) -> tuple[LimitFacts, ExchangeUnreachable | None]:
        """Own orders before positions: what fills in between is counted twice rather than not at all."""
        steps: tuple[tuple[LimitNeed, Callable[[LimitFacts], LimitFacts]], ...] = (
            (LimitNeed.WORKING, self._working),
            (LimitNeed.POSITIONS, lambda facts: replace(facts, positions=self._all_positions())),
            (LimitNeed.RATE, self._rate),
            (LimitNeed.STOPS, self._stops),
            (LimitNeed.DAY, self._day),
        )
        facts, unread, passing = LimitFacts(), dict[LimitNeed, str](), None
        for need, step in steps:
            if need not in wanted:
                continue
            try:
                facts = step(facts)
            except ExchangeUnreachable as error:
                unread[need], passing = str(error), error
            except ExchangeAnswered as error:
                unread[need] = f"{error.words} (Bybit's code {error.code})"
        return replace(facts, unread=unread), passing

    def _working(self, facts: LimitFacts) -> LimitFacts:
        found = self._counted.working_orders(self._work.account.name)
        found += tuple(order for each in self._planned for order in each.working)
        return replace(facts, working=tuple(self._priced(each) for each in found))

    def _priced(self, order: Working) -> Working:
        if order.price is not None or order.category is Category.INVERSE:
            return order
        return replace(order, price=self._price(order.category, order.symbol))

    def _all_positions(self) -> tuple[Position, ...]:
        if self._positions is None:
            self._positions = self._source.positions()
        return self._positions

    def _rate(self, facts: LimitFacts) -> LimitFacts:
        signal, account = self._work.signal, self._work.account.name
        since_ms = to_ms(self._now - _MINUTE)
        count = self._counted.entries_since(account, signal.strategy, since_ms)
        count += sum(1 for each in self._planned if each.strategy == signal.strategy)
        return replace(facts, entries_last_minute=count)

    def _stops(self, facts: LimitFacts) -> LimitFacts:
        signal, cooldown_s = self._work.signal, self._work.rules.cooldown_s
        assert signal.category is not None and signal.symbol is not None and cooldown_s is not None
        # By the exchange's clock: what it says of the past must not be a moment of the future here.
        asked_at_ms = self._exchange.now_ms()
        at_ms = self._exchange.stopped_at_ms(
            category=signal.category, symbol=signal.symbol, since_ms=asked_at_ms - cooldown_s * 1000
        )
        if at_ms is None:
            return facts
        return replace(facts, stopped_at=from_ms(at_ms + to_ms(self._now) - asked_at_ms))

    def _day(self, facts: LimitFacts) -> LimitFacts:
        account, today = self._work.account.name, self._now.astimezone(UTC).date()
        begin = datetime.combine(today, time(), UTC)
        closed = self._exchange.closed_pnl(since_ms=to_ms(begin))
        realised = sum((self._in_usd(each.category, each.symbol, each.amount) for each in closed), _ZERO)
        open_now = sum(
            (self._in_usd(p.category, p.symbol, p.unrealised_pnl or _ZERO) for p in self._all_positions()), _ZERO
        )
        mark = self._counted.day_mark(account, today.isoformat())
        unrealised = open_now - mark[0] if mark else _ZERO
        result = realised + unrealised
        if self._keeps and (mark is None or result < mark[1]):
            self._counted.mark_day(account, today.isoformat(), unrealised=open_now, result=result)
        worst = min(result, mark[1]) if mark else result
        return replace(facts, day=DayResult(realised=realised, unrealised=unrealised, worst=worst))

    def _in_usd(self, category: Category, symbol: str, amount: Decimal) -> Decimal:
        """Stable coins at par, coins at their perpetual's mark price."""
        if category is Category.LINEAR or not amount:
            return amount
        return amount * self._price(category, f"{symbol.partition('USD')[0]}USD")

    def _price(self, category: Category, symbol: str) -> Decimal:
        key = (category, symbol)
        if key not in self._prices:
            live = self._work.account.live
            known = live.price_now(category, symbol) if live else None
            self._prices[key] = known or self._exchange.price(category=category, symbol=symbol)
        return self._prices[key]
