"""Gather the facts that a plan needs, and only those: each is a round trip before the order."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal

from relay.bybit.wire_account import coins_of, own_entry
from relay.bybit.wire_orders import refusal_of
from relay.domain.instrument import Category, Instrument
from relay.domain.intent import SIZES_NOTHING, Intent, as_late, intent_of
from relay.domain.limits import unread_refusal
from relay.domain.order import FACTS_UNREADABLE, Purpose, Reason, Side, SignalStatus
from relay.domain.performance import DOLLARS
from relay.domain.plan import DayResult, Facts, LimitFacts, LimitNeed, Need, Plan, PlanStatus, Working
from relay.domain.planning import Proposal, plan_of, proposal_of
from relay.domain.position import Position
from relay.domain.progress import Finish
from relay.domain.signal import Signal, SignalAge, Standing
from relay.domain.trades import LedgerEntry, Maker, replay
from relay.errors import AlertIdReused, ExchangeAnswered, ExchangeUnreachable, FactsUnreadable
from relay.execution.ports import Account, ExchangePort, from_ms, to_ms
from relay.execution.work import PositionSnapshot, Work
from relay.journal.engine_queries import LimitQueries
from relay.journal.journal import Journal
from relay.journal.records import HALT, Switch

# Where a plan's facts come from: what the streams have told, where that is proven to be current, else one reading.


STREAM, READ = "stream", "read"
AT_ONCE, IN_TURN = "at once", "in turn"
"""How a signal's first order left: in one transaction with its acceptance, or by its lane's own turn after it."""


class NotKnown(Exception):  # noqa: N818
    """A fact would have to be asked for, or waited for, where nothing may be."""


class FactSource:
    """The facts for one plan of one account. `reported`: which of them came from where, for the plan's inputs."""

    def __init__(
        self, account: Account, *, asks: bool = True, rests_nothing: bool = False, is_plain: bool = False
    ) -> None:
        """`asks`: whether the exchange may be asked; else NotKnown is raised instead. `rests_nothing`: no order of the
        relay's rests at the instrument, as was just read. `is_plain`: nothing was stored of the signal but that it was
        accepted."""
        self._exchange, self._live = account.exchange, account.live
        self.asks = asks
        self.rests_nothing = rests_nothing
        self.is_plain = is_plain
        self.reported: dict[str, str] = {}

    def position(self, category: Category, symbol: str, *, is_exit: bool = False) -> tuple[Position, int]:
        """The position, and the exchange's time that it is at least as new as. Raises as the exchange's readings do.

        `is_exit`: it is asked for to be closed. That nothing is open is no stream believed: it may be a moment behind.
        """
        known = self._live.position_now(category, symbol) if self._live else None
        if known is not None and (known.position.size or not is_exit):
            self.reported["position_from"] = STREAM
            return known.position, known.at_ms
        self._was_read("position")
        requested_at_ms = self._exchange.now_ms()
        return self._exchange.position(category=category, symbol=symbol), requested_at_ms

    def positions(self) -> tuple[Position, ...]:
        """All that are open on the account. Raises as the exchange's readings do."""
        known = self._live.positions_now() if self._live else None
        if known is not None:
            self.reported["positions_from"] = STREAM
            return known
        self._was_read("positions")
        return self._exchange.positions()

    def price(self, category: Category, symbol: str) -> Decimal:
        """The mark price. Raises as the exchange's readings do."""
        known = self._live.price_now(category, symbol) if self._live else None
        if known is not None:
            self.reported["price_from"] = STREAM
            return known
        self._was_read("price")
        return self._exchange.price(category=category, symbol=symbol)

    def equity(self, instrument: Instrument) -> Decimal:
        """The settle coin's equity, open PnL included; for coins what is free of it. Raises as the readings do."""
        coin, category = instrument.settle_coin, instrument.category
        known = self._live.equity_now(coin, category) if self._live else None
        if known is not None:
            self.reported["equity_from"] = STREAM
            return known
        self._was_read("equity")
        return self._exchange.equity(coin, category)

    def _was_read(self, what: str) -> None:
        if not self.asks:
            raise NotKnown(what)
        if self._live is not None:
            self.reported[f"{what}_from"] = READ

    def marked(self, plan: Plan) -> Plan:
        """The plan that was made of these facts, saying where they came from."""
        return replace(plan, inputs={**plan.inputs, **self.reported}, notes=(*plan.notes, *self._notes()))

    def _notes(self) -> tuple[str, ...]:
        """For people: what had to be asked because the streams are not there."""
        read = [name.removesuffix("_from") for name, where in self.reported.items() if where == READ]
        if not read or self._live is None or self._live.is_listening:
            return ()
        return (f"the account's stream is down, so the exchange was asked for: {', '.join(read)}",)


# Read what an account's limits count. What cannot be read is named, and withholds only the entry.


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

    def turn(self, account: str) -> threading.Lock:
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
        self, work: Work, source: FactSource, wanted: Iterable[LimitNeed], now: datetime, *, keeps: bool
    ) -> tuple[LimitFacts, ExchangeUnreachable | None]:
        """`keeps`: the day's first reading is written down. The error is one that passes: to ask again may help."""
        reading = _LimitReading(self._counted, work, source, now, self._not_shown_yet(work, now), keeps=keeps)
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


class _LimitReading:
    """One reading for one entry: each question is asked at most once."""

    def __init__(
        self,
        counted: LimitQueries,
        work: Work,
        source: FactSource,
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
                unread[need] = _refusal(error).message
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
        requested_at_ms = self._exchange.now_ms()
        at_ms = self._exchange.stopped_at_ms(
            category=signal.category, symbol=signal.symbol, since_ms=requested_at_ms - cooldown_s * 1000
        )
        if at_ms is None:
            return facts
        return replace(facts, stopped_at=from_ms(at_ms + to_ms(self._now) - requested_at_ms))

    def _day(self, facts: LimitFacts) -> LimitFacts:
        account, today = self._work.account.name, self._now.astimezone(UTC).date()
        begin = datetime.combine(today, time(), UTC)
        closed = self._exchange.closed_pnl(since_ms=to_ms(begin))
        realised = sum((self._in_usd(each.category, each.symbol, each.amount) for each in closed), _ZERO)
        realised += self._coins_came_to(to_ms(begin))
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

    def _coins_came_to(self, since_ms: int) -> Decimal:
        """What coins gained that were sold, less all fees, which the exchange does not tell: by the ledger, and what
        is not booked yet as it will be."""
        account = self._work.account.name
        booked, unbooked, held = self._counted.coins_since(account, since_ms)
        lanes: defaultdict[str, list[tuple[LedgerEntry, Maker]]] = defaultdict(list)
        for each in map(own_entry, unbooked):
            maker = Maker(strategy="", signal_id="", reduce_only=each.side is Side.SELL)
            lanes[each.symbol].append((each, maker))
        for symbol, entries in lanes.items():
            opened = [each for each in held if (each.category, each.symbol) == (Category.SPOT, symbol)]
            booked += [
                replace(step.entry, realised=step.applied.realised) for step in replay(opened, entries, account=account)
            ]
        came_to = _ZERO
        for each in booked:
            amount = (each.realised or _ZERO) - each.fee
            came_to += self._in_usd(each.category, each.symbol, amount) - (each.fees_other_usd or _ZERO)
        return came_to

    def _in_usd(self, category: Category, symbol: str, amount: Decimal) -> Decimal:
        """Stable coins at par, coins at their perpetual's mark price."""
        coin = coins_of(category, symbol)[1]
        if not amount or category is Category.LINEAR or coin in DOLLARS:
            return amount
        if not category.has_positions:
            return amount * self._price(category, f"{coin}USDT")
        return amount * self._price(category, f"{symbol.partition('USD')[0]}USD")

    def _price(self, category: Category, symbol: str) -> Decimal:
        key = (category, symbol)
        if key not in self._prices:
            live = self._work.account.live
            known = live.price_now(category, symbol) if live else None
            if known is None and not self._source.asks:
                raise NotKnown("price")
            self._prices[key] = known or self._exchange.price(category=category, symbol=symbol)
        return self._prices[key]


_REQUESTED = frozenset({LimitNeed.DAY, LimitNeed.STOPS})
"""What only the exchange tells."""
_AGAIN_S = (0.1, 0.25, 0.5, 1.0, 2.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """A plan, from facts that were read just now."""

    plan: Plan
    proposal: Proposal
    """What it was made of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotGathered:
    """The facts could not be had: try again after `again_s`, or `finish` says how it ends."""

    again_s: float = 0
    finish: Finish | None = None


class Gatherer:
    """Reads for plans; it orders nothing."""

    def __init__(self, *, journal: Journal) -> None:
        self._journal = journal
        self._limits = LimitReader(journal)

    def turn(self, account: str) -> threading.Lock:
        """Whoever calls `gather_known` has it until the plan is durable."""
        return self._limits.turn(account)

    def gather_known(self, work: Work, now: datetime, *, rests_nothing: bool, is_plain: bool) -> Gathered:
        """The same as `gather` where nothing may be asked or waited for. Raises NotKnown."""
        signal = work.signal
        assert signal.category is not None and signal.symbol is not None, "it has its lane"
        instrument = work.account.market.instrument(signal.category, signal.symbol)
        if instrument is None or (signal.signal_price is not None and work.account.environment == "paper"):
            raise NotKnown("price")
        source = FactSource(work.account, asks=False, rests_nothing=rests_nothing, is_plain=is_plain)
        source.reported["sent"] = AT_ONCE
        proposal, _ = self._proposed(work, instrument, now, source)
        work.expected = proposal.expected
        wanted = proposal.limit_needs
        if _REQUESTED & wanted:
            raise NotKnown("limits")
        if wanted:
            counted, _ = self._limits.read(work, source, wanted, now, keeps=False)
            proposal = proposal.with_limits(counted)
        plan = source.marked(plan_of(proposal))
        return Gathered(plan=_dated(plan, proposal.facts.age), proposal=proposal)

    def gather(self, work: Work, now: datetime, *, is_preview: bool = False) -> Gathered | NotGathered:
        """The plan for the work's signal at `now`, from facts that were read after its turn had come.

        A preview leaves the paper exchange's prices alone; otherwise they go by the signal's.
        """
        signal = work.signal
        assert signal.category is not None and signal.symbol is not None, "an executed signal has its instrument"
        market = work.account.market
        instrument = market.instrument(signal.category, signal.symbol)
        if instrument is None:
            return NotGathered(finish=_gone(signal.symbol))
        if signal.signal_price is not None and not is_preview:
            market.hint(signal.category, signal.symbol, signal.signal_price)
        source = FactSource(work.account)
        try:
            proposal, passing = self._proposed(work, instrument, now, source)
        except ExchangeUnreachable as error:
            return unreachable(work, error)
        except FactsUnreadable as error:
            return NotGathered(finish=self._without(work, _refusal(error)))
        except ExchangeAnswered as error:
            return refused_facts(error)
        work.expected = proposal.expected
        gathered = self._planned(work, proposal, source, is_preview=is_preview)
        if isinstance(gathered, Gathered) and _is_left_out(gathered.plan, proposal.facts):
            # Nothing would be exited meanwhile: to ask again costs nothing but time.
            assert gathered.plan.reason is not None
            gathered = (
                unreachable(work, passing)
                if passing is not None
                else NotGathered(finish=self._without(work, gathered.plan.reason))
            )
        if isinstance(gathered, NotGathered):
            return gathered
        if work.uncleared is not None and not gathered.plan.orders:
            return NotGathered(finish=work.uncleared)
        return replace(gathered, plan=_dated(source.marked(gathered.plan), proposal.facts.age))

    def _without(self, work: Work, reason: Reason) -> Finish:
        """Nothing is opened by facts that cannot be read; and where something is to be exited, a person must look."""
        signal = work.signal
        expected = self._journal.expected_positions(work.account.name)
        assert signal.category is not None and signal.symbol is not None
        is_held = bool(expected.get((signal.category, signal.symbol)))
        if reason.code != FACTS_UNREADABLE or signal.only_exits or (signal.may_exit and is_held):
            return _without_facts(reason)
        return Finish(status=SignalStatus.DENIED, reason=reason)

    def _planned(
        self, work: Work, proposal: Proposal, source: FactSource, *, is_preview: bool
    ) -> Gathered | NotGathered:
        wanted, now = proposal.limit_needs, proposal.facts.now
        if not wanted:
            return Gathered(plan=plan_of(proposal), proposal=proposal)
        with self._limits.turn(work.account.name):
            counted, passing = self._limits.read(work, source, wanted, now, keeps=not is_preview)
            proposal = proposal.with_limits(counted)
            made = plan_of(proposal)
            if passing is not None and not made.orders and made.reason == unread_refusal(work.rules, counted):
                # Nothing would be exited meanwhile: to ask again costs nothing but time.
                return unreachable(work, passing)
            if not is_preview:
                self._limits.note(work, made, proposal.facts)
        return Gathered(plan=made, proposal=proposal)

    def _proposed(
        self, work: Work, instrument: Instrument, now: datetime, source: FactSource
    ) -> tuple[Proposal, ExchangeUnreachable | None]:
        """The error is one that passes: to ask again may help. Without the position nothing at all can be planned."""
        intent, facts = self._begun(work, instrument, now, is_plain=source.is_plain)
        wanted = intent.needs
        position = (
            self._position(work, instrument, source, is_exit=intent.only_exits) if Need.POSITION in wanted else None
        )
        reading = _Reading(wanted)
        price = reading.of(Need.PRICE, lambda: source.price(instrument.category, instrument.symbol))
        equity = reading.of(Need.EQUITY, lambda: source.equity(instrument))
        if reading.unread and position is None:
            # What withholds an entry wants the position: the exit part of the order goes out even so.
            position = self._position(work, instrument, source, is_exit=intent.only_exits)
        known = replace(
            facts,
            position=position,
            price=price,
            equity=equity,
            has_resting=work.seen is not None and work.seen.has_resting,
            unread=reading.unread,
        )
        return proposal_of(intent, known), reading.passing

    def _begun(
        self, work: Work, instrument: Instrument, now: datetime, *, is_plain: bool = False
    ) -> tuple[Intent, Facts]:
        """What the signal means, and the facts that are known without asking the exchange."""
        account = work.account
        known = work.take_circumstances() or self._journal.circumstances(
            account.name, instrument.category, instrument.symbol
        )
        facts = Facts(
            instrument=instrument,
            now=now,
            age=work.age(now),
            reference_price=account.market.last_price(instrument.category, instrument.symbol),
            residual=known.residual,
            halted=_halted_by(known.halt),
            uncleared=work.uncleared.reason if work.uncleared else None,
            withheld=(None if is_plain else self._withheld(work.signal))
            or account.entry_bar(instrument.category, instrument.symbol),
        )
        if is_plain:
            return intent_of(work.signal, work.rules, facts), facts
        stands = self._stands(work.signal)
        if stands is None:
            return intent_of(self._with_size_before(work.signal), work.rules, facts), facts
        facts = replace(facts, is_overtaken=True)
        return intent_of(as_late(work.signal, stands, work.rules), work.rules, facts), facts

    def _stands(self, signal: Signal) -> Standing | None:
        """Where the strategy stands, if this alert of it came after a later one."""
        if signal.market_position is None or signal.has_synthetic_position or signal.action in SIZES_NOTHING:
            return None
        return self._journal.strategies.overtaken(signal.id)

    def _with_size_before(self, signal: Signal) -> Signal:
        """A reversal that says no size of the strategy's: with the size that the strategy's last alert left."""
        before, after = signal.prev_market_position, signal.market_position
        is_named = signal.market_position_size is not None or signal.prev_market_position_size is not None
        if before is None or after is None or is_named or before.sign * after.sign >= 0:
            return signal
        return replace(signal, prev_market_position_size=self._journal.strategies.size_before(signal.id))

    def _withheld(self, signal: Signal) -> Reason | None:
        """An alert whose `id` came before is executed as far as it exits."""
        if signal.sender_id is None or signal.only_exits or not signal.may_exit:
            return None
        if not self._journal.strategies.is_of_reused_id(signal.id):
            return None
        message = "the alert's `id` was used before, and an `id` must be new for each alert, so nothing is opened"
        return Reason(code=AlertIdReused.code, message=message)

    def _position(self, work: Work, instrument: Instrument, source: FactSource, *, is_exit: bool) -> Position:
        category, symbol = instrument.category, instrument.symbol
        position, requested_at_ms = source.position(category, symbol, is_exit=is_exit)
        rests = not source.rests_nothing and self._journal.resting_orders(work.account.name, category, symbol)
        work.seen = PositionSnapshot(position=position, requested_at_ms=requested_at_ms, has_resting=bool(rests))
        return position

    def halted(self, account: str) -> str | None:
        """Who halted new entries and when, for people; None if nobody did."""
        return _halted_by(self._journal.switch(account, HALT))


def _dated(plan: Plan, age: SignalAge | None) -> Plan:
    """With what is to be said of the alert's own time."""
    return plan if age is None or age.note is None else replace(plan, notes=(*plan.notes, age.note))


def _halted_by(switch: Switch | None) -> str | None:
    return None if switch is None or switch.value != "on" else f"halted by {switch.by}"


class _Reading:
    """Facts that only an entry waits for: one that cannot be had is told as the reason why."""

    def __init__(self, wanted: frozenset[Need]) -> None:
        self._wanted = wanted
        self.unread: dict[Need, Reason] = {}
        self.passing: ExchangeUnreachable | None = None

    def of(self, need: Need, read: Callable[[], Decimal]) -> Decimal | None:
        """Returns None if it is not wanted, or could not be had."""
        if need not in self._wanted:
            return None
        try:
            return read()
        except ExchangeUnreachable as error:
            self.passing = error
            self.unread[need] = _silence(error)
        except ExchangeAnswered as error:
            self.unread[need] = _refusal(error)
        return None


def _is_left_out(made: Plan, facts: Facts) -> bool:
    """Nothing is sent only because a fact could not be had: not even an exit is known."""
    return made.status is PlanStatus.DENIED and made.reason in facts.unread.values()


def unreachable(work: Work, error: ExchangeUnreachable) -> NotGathered:
    # By a clock that nobody sets: else a step of this machine's would end the patience at once.
    now_ms = work.account.exchange.now_ms()
    if work.troubles == 0:
        work.troubled_since_ms = now_ms
    work.troubles += 1
    if now_ms - work.troubled_since_ms <= work.account.bounds.max_seconds * 1000:
        return NotGathered(again_s=_AGAIN_S[min(work.troubles, len(_AGAIN_S)) - 1])
    return NotGathered(finish=_without_facts(_silence(error)))


def refused_facts(error: ExchangeAnswered) -> NotGathered:
    """The exchange answered a question with a refusal that asking again does not change."""
    return NotGathered(finish=_without_facts(_refusal(error)))


def _silence(error: ExchangeUnreachable) -> Reason:
    return Reason(code="EXCHANGE_UNREACHABLE", message=str(error))


def _refusal(error: ExchangeAnswered) -> Reason:
    if isinstance(error, FactsUnreadable):
        return Reason(code=FACTS_UNREADABLE, message=error.words)
    reported = refusal_of(error.code, error.words)
    return Reason(code=reported.reason_code, message=f"{error.words} (Bybit's code {error.code})")


def _without_facts(reason: Reason) -> Finish:
    """Nothing was sent. Where the signal may have meant an exit, a position may stay open: a person must know."""
    return Finish(status=SignalStatus.ATTENTION, reason=reason, notes=("nothing was sent",))


def _gone(symbol: str) -> Finish:
    message = f"the exchange does not list {symbol} any more"
    return Finish(status=SignalStatus.DENIED, reason=Reason(code="SYMBOL_UNKNOWN", message=message))
