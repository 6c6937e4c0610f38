"""Gather the facts that a plan needs, and only those: each is a round trip before the order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from relay.domain.instrument import Instrument
from relay.domain.intent import Intent, intent_of
from relay.domain.limits import unread_refusal
from relay.domain.order import Reason
from relay.domain.plan import Facts, Need, Plan, PlanStatus
from relay.domain.planning import Proposal, plan_of, proposal_of
from relay.domain.position import Position
from relay.domain.progress import Finish
from relay.domain.status import SignalStatus
from relay.errors import ExchangeAnswered, ExchangeUnreachable
from relay.exchange.wire import refusal_of
from relay.journal.journal import Journal
from relay.journal.records import HALT as HALT
from relay.journal.records import Switch
from relay.pipeline.clock import to_ms
from relay.pipeline.gather_limits import LimitReader
from relay.pipeline.source import Source
from relay.pipeline.work import Seen, Work

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
        source = Source(work.account)
        try:
            proposal, passing = self._proposed(work, instrument, now, source)
        except ExchangeUnreachable as error:
            return unreachable(work, error, now)
        except ExchangeAnswered as error:
            return refused_facts(error)
        work.expected = proposal.expected
        gathered = self._planned(work, proposal, source, is_preview=is_preview)
        if isinstance(gathered, Gathered) and _is_left_out(gathered.plan, proposal.facts):
            # Nothing would be exited meanwhile: to ask again costs nothing but time.
            assert gathered.plan.reason is not None
            gathered = (
                unreachable(work, passing, now)
                if passing is not None
                else NotGathered(finish=_without_facts(gathered.plan.reason))
            )
        if isinstance(gathered, NotGathered):
            return gathered
        if work.uncleared is not None and not gathered.plan.orders:
            return NotGathered(finish=work.uncleared)
        return replace(gathered, plan=source.marked(gathered.plan))

    def _planned(self, work: Work, proposal: Proposal, source: Source, *, is_preview: bool) -> Gathered | NotGathered:
        wanted, now = proposal.limit_needs, proposal.facts.now
        if not wanted:
            return Gathered(plan=plan_of(proposal), proposal=proposal)
        with self._limits.turn(work.account.name):
            counted, passing = self._limits.read(work, source, wanted, now, keeps=not is_preview)
            proposal = proposal.with_limits(counted)
            made = plan_of(proposal)
            if passing is not None and not made.orders and made.reason == unread_refusal(work.rules, counted):
                # Nothing would be exited meanwhile: to ask again costs nothing but time.
                return unreachable(work, passing, now)
            if not is_preview:
                self._limits.note(work, made, proposal.facts)
        return Gathered(plan=made, proposal=proposal)

    def _proposed(
        self, work: Work, instrument: Instrument, now: datetime, source: Source
    ) -> tuple[Proposal, ExchangeUnreachable | None]:
        """The error is one that passes: to ask again may help. Without the position nothing at all can be planned."""
        intent, facts = self._begun(work, instrument, now)
        wanted = intent.needs
        position = self._position(work, instrument, source) if Need.POSITION in wanted else None
        reading = _Reading(wanted)
        price = reading.of(Need.PRICE, lambda: source.price(instrument.category, instrument.symbol))
        equity = reading.of(Need.EQUITY, lambda: source.equity(instrument.settle_coin))
        if reading.unread and position is None:
            # What withholds an entry wants the position: the exit part of the order goes out even so.
            position = self._position(work, instrument, source)
        known = replace(
            facts,
            position=position,
            price=price,
            equity=equity,
            has_resting=work.seen is not None and work.seen.has_resting,
            is_overtaken=intent.is_strategys and self._journal.strategies.is_overtaken(work.signal.id),
            unread=reading.unread,
        )
        return proposal_of(intent, known), reading.passing

    def _begun(self, work: Work, instrument: Instrument, now: datetime) -> tuple[Intent, Facts]:
        """What the signal means, and the facts that are known without asking the exchange."""
        account = work.account
        known = work.take_circumstances() or self._journal.circumstances(
            account.name, instrument.category, instrument.symbol
        )
        facts = Facts(
            instrument=instrument,
            now=now,
            reference_price=account.market.last_price(instrument.category, instrument.symbol),
            carry=known.carry,
            halted=_halted_by(known.halt),
            uncleared=work.uncleared.reason if work.uncleared else None,
        )
        return intent_of(work.signal, work.rules, facts), facts

    def _position(self, work: Work, instrument: Instrument, source: Source) -> Position:
        category, symbol = instrument.category, instrument.symbol
        position, asked_at_ms = source.position(category, symbol)
        rests = self._journal.resting_orders(work.account.name, category, symbol)
        work.seen = Seen(position=position, asked_at_ms=asked_at_ms, has_resting=bool(rests))
        return position

    def halted(self, account: str) -> str | None:
        """Who halted new entries and when, for people; None: nobody."""
        return _halted_by(self._journal.switch(account, HALT))


def _halted_by(switch: Switch | None) -> str | None:
    return None if switch is None or switch.value != "on" else f"halted by {switch.by}"


class _Reading:
    """Facts that only an entry waits for: one that cannot be had is told as the reason why."""

    def __init__(self, wanted: frozenset[Need]) -> None:
        self._wanted = wanted
        self.unread: dict[Need, Reason] = {}
        self.passing: ExchangeUnreachable | None = None

    def of(self, need: Need, read: Callable[[], Decimal]) -> Decimal | None:
        """None: it is not wanted, or could not be had."""
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


def unreachable(work: Work, error: ExchangeUnreachable, now: datetime) -> NotGathered:
    now_ms = to_ms(now)
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
    told = refusal_of(error.code, error.words)
    return Reason(code=told.reason_code, message=f"{error.words} (Bybit's code {error.code})")


def _without_facts(reason: Reason) -> Finish:
    """Nothing was sent. Where the signal may have meant an exit, a position may stay open: a person must know."""
    return Finish(status=SignalStatus.ATTENTION, reason=reason, notes=("nothing was sent",))


def _gone(symbol: str) -> Finish:
    message = f"the exchange does not list {symbol} any more"
    return Finish(status=SignalStatus.DENIED, reason=Reason(code="SYMBOL_UNKNOWN", message=message))
