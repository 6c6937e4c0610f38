"""Execute one signal on one account, step by step: gather, plan, write down, send, follow. Each step can be the last
before the process dies; what the journal has by then is enough to go on."""

from __future__ import annotations

from dataclasses import replace

from relay.boundary import Boundary, passed
from relay.domain.history import sent
from relay.domain.limits import halt_reason, not_configured, too_old
from relay.domain.notice import NoticeKind
from relay.domain.order import OrderStatus, Reason
from relay.domain.outcome import Stamp
from relay.domain.plan import PlanStatus
from relay.domain.progress import AddOrder, Advance, DenyRest, Finish, LookAtPosition, progress
from relay.domain.reconciliation import GiveUp, OrderState, passed_by
from relay.domain.signal import Signal
from relay.domain.status import SignalStatus
from relay.errors import ExchangeAnswered, ExchangeUnreachable
from relay.journal.journal import Journal
from relay.journal.unit_of_work import UnitOfWork
from relay.measures import Stage, timed, took
from relay.pipeline.advance import Advancer
from relay.pipeline.announce import Announcer
from relay.pipeline.cancel import UNCLEARED
from relay.pipeline.care import Caretaker
from relay.pipeline.caring import Cared, Caring
from relay.pipeline.clear import Clearing
from relay.pipeline.clock import Now, to_ms, utc_now
from relay.pipeline.compare import changed_outside
from relay.pipeline.drift import DriftWatch
from relay.pipeline.foreign import foreign_notes
from relay.pipeline.gather import Gathered, Gatherer, NotGathered, refused_facts, unreachable
from relay.pipeline.work import Work, kept_signal

_NOW = 0.0


class Executor:
    """The steps of any work; it holds nothing of its own between them."""

    def __init__(
        self,
        *,
        journal: Journal,
        gatherer: Gatherer,
        clearing: Clearing,
        caretaker: Caretaker,
        announcer: Announcer,
        drift: DriftWatch,
        now: Now = utc_now,
    ) -> None:
        self._journal = journal
        self._gatherer = gatherer
        self._clearing = clearing
        self._announcer = announcer
        self._caretaker = caretaker
        self._advancer = Advancer(journal=journal, now=now)
        self._drift = drift
        self._now = now

    def step(self, work: Work) -> float | None:
        """Do the next thing. None: this account's part of the signal is finished; else seconds until there is more."""
        if not work.is_planned:
            passed(Boundary.BEGUN)
            if not self._clearing.is_clear(work):
                return self._clearing.step(work, now_ms=self._now_ms())
            return self._plan(work)
        match progress(tuple(work.orders.values()), size=work.size):
            case Advance(order=order):
                return self._advance(work, order)
            case AddOrder() as added:
                return self._add(work, added)
            case LookAtPosition():
                return self._look_at_position(work)
            case DenyRest(reason=reason):
                return self._deny_rest(work, reason)
            case Finish() as finish:
                return self._care(work, finish)

    def _plan(self, work: Work) -> float | None:
        now = self._now()
        with timed(Stage.GATHER):
            gathered = self._gatherer.gather(work, now)
        if isinstance(gathered, NotGathered):
            if gathered.finish is None:
                return gathered.again_s
            self._finish(work, gathered.finish)
            return None
        passed(Boundary.GATHERED)
        took(Stage.WAIT, (now - work.signal.received_at).total_seconds())
        plan = gathered.plan
        work.plan_made(plan)
        if plan.status is not PlanStatus.PLANNED:
            # In one transaction: a plan without orders, found after a kill, would look like one that is done.
            finish = self._with_notes(work, Finish(status=_STATUS_OF[plan.status], reason=plan.reason))
            self._record(work, gathered, None, finish)
            self._tell(work.signal, work.account.name, finish)
            return None
        return self._send_first(work, gathered)

    def _send_first(self, work: Work, gathered: Gathered) -> float:
        """The plan and the attempt become durable together: one commit before the first order leaves."""
        first = next(iter(work.orders.values()), None)
        if first is None or first.planned.leverage is not None:
            self._record(work, gathered, None)
            return _NOW
        stamp = work.account.exchange.stamp()
        if not self._record(work, gathered, (first.client_order_id, stamp), opens=not first.is_exit):
            work.plan_withdrawn()
            return _NOW
        leaving = sent(first, stamp)
        work.keep(leaving)
        work.keep(self._advancer.place(work.account, leaving, stamp))
        return _NOW

    def _record(
        self,
        work: Work,
        gathered: Gathered,
        first_attempt: tuple[str, Stamp] | None,
        finish: Finish | None = None,
        *,
        opens: bool = False,
    ) -> bool:
        """`opens`: what leaves with it is an entry. False: that was halted meanwhile, and nothing was written."""
        now_ms, plan = self._now_ms(), gathered.plan
        surprise: tuple[str, ...] = ()

        def write(uow: UnitOfWork) -> bool:
            nonlocal surprise
            if opens and uow.halted(work.account.name) is not None:
                return False
            uow.signals.begin(work.signal.id, work.account.name, now_ms=now_ms)
            uow.plans.record(
                signal_id=work.signal.id,
                account=work.account.name,
                generation=work.generation,
                plan=plan,
                first_attempt=first_attempt,
                is_carried=gathered.proposal.facts.carry is not None,
                now_ms=now_ms,
            )
            surprise = self._surprise(uow, work)
            uow.signals.add_notes(work.signal.id, (*plan.notes, *surprise))
            if finish is not None:
                _end(uow, work.signal.id, work.account.name, finish, now_ms)
            return True

        if not self._journal.write(write):
            return False
        passed(Boundary.PLANNED)
        for text in surprise:
            self._announcer.tell(NoticeKind.DRIFT, f"{work.signal.symbol} on {work.account.name}: {text}")
        return True

    def _surprise(self, uow: UnitOfWork, work: Work) -> tuple[str, ...]:
        """A position that is not what it was believed to be; while orders rest, their fills may just not be known."""
        seen = work.seen
        if seen is None:
            return ()
        size = seen.position.size
        before = uow.positions.check(
            work.account.name, seen.position.category, seen.position.symbol, size, at_ms=seen.asked_at_ms
        )
        return () if before is None or seen.has_resting else (changed_outside(before, size),)

    def _care(self, work: Work, finish: Finish) -> float | None:
        """Before the signal is finished: what is open is protected as it asks for, and no more than what is open."""
        signal, account = work.signal, work.account
        if work.caring is None:
            assert signal.category is not None and signal.symbol is not None
            work.caring = Caring(account=account, category=signal.category, symbol=signal.symbol)
        came_to = self._caretaker.step(work.caring, now_ms=self._now_ms())
        if not isinstance(came_to, Cared):
            return came_to
        if came_to.reason is not None and came_to.signal_id == signal.id:
            status = SignalStatus.FAILED if came_to.is_refused else SignalStatus.ATTENTION
            finish = Finish(status=status, reason=came_to.reason, notes=finish.notes)
        elif came_to.reason is not None and came_to.signal_id is not None:
            self.attention(came_to.signal_id, account.name, came_to.reason)
        self._finish(work, finish)
        return None

    def attention(self, signal_id: str, account: str, reason: Reason) -> None:
        """A person must look at what a signal that was finished has left open."""
        assignment = self._journal.execution(signal_id, account)
        if assignment is not None:
            finish = Finish(status=SignalStatus.ATTENTION, reason=reason)
            self.end(kept_signal(assignment.signal), account, finish)

    def _look_at_position(self, work: Work) -> float | None:
        """From the exchange itself: what the streams told did not agree with what it just refused."""
        signal = work.signal
        assert signal.category is not None and signal.symbol is not None
        try:
            position = work.account.exchange.position(category=signal.category, symbol=signal.symbol)
        except ExchangeUnreachable as error:
            came_to = unreachable(work, error, self._now())
        except ExchangeAnswered as error:
            came_to = refused_facts(error)
        else:
            work.size, work.troubles = position.size, 0
            return _NOW
        if came_to.finish is None:
            return came_to.again_s
        self._finish(work, replace(came_to.finish, notes=("whether the position is still open could not be read",)))
        return None

    def _advance(self, work: Work, order: OrderState) -> float | None:
        passing = passed_by(order, now_ms=work.account.exchange.now_ms())
        if passing is not None and self._exit_waits(work):
            self._finish(work, Finish(status=SignalStatus.ATTENTION, reason=passing))
            return None
        came_to = self._advancer.step(work.account, order, held_back=self._held_back(work, order))
        if isinstance(came_to, GiveUp):
            self._finish(work, Finish(status=SignalStatus.ATTENTION, reason=came_to.reason))
            return None
        work.keep(came_to.order)
        if order.is_exit:
            work.size = None
        return came_to.again_s

    def _exit_waits(self, work: Work) -> bool:
        """Whether an alert that can only exit waits in the work's lane."""
        signal = work.signal
        assert signal.category is not None and signal.symbol is not None
        waiting = self._journal.unfinished_of(work.account.name, signal.category, signal.symbol)
        return any(each.signal.id != signal.id and kept_signal(each.signal).only_exits for each in waiting)

    def _held_back(self, work: Work, order: OrderState) -> Reason | None:
        """Why a planned entry may not be sent (again): it has grown too old, or was halted meanwhile."""
        if order.is_exit or order.venue_order_id is not None:
            return None
        halted = self._gatherer.halted(work.account.name)
        if work.rules.no_entries is not None:
            return not_configured(work.rules.no_entries)
        return too_old(work.signal, work.rules, self._now()) or (halt_reason(halted) if halted else None)

    def _add(self, work: Work, added: AddOrder) -> float:
        state = work.states_of((added.planned,))[0]
        now_ms = self._now_ms()

        def write(uow: UnitOfWork) -> None:
            uow.orders.add(
                signal_id=work.signal.id,
                account=work.account.name,
                generation=work.generation,
                orders=(added.planned,),
                now_ms=now_ms,
            )
            uow.signals.add_notes(work.signal.id, (added.note,))

        self._journal.write(write)
        passed(Boundary.ORDER_ADDED)
        work.keep(state)
        work.size = None
        return _NOW

    def _deny_rest(self, work: Work, reason: Reason) -> float:
        for order in tuple(work.orders.values()):
            if order.status is OrderStatus.PLANNED and not order.is_exit:
                work.keep(self._advancer.deny(order, reason))
        return _NOW

    def _finish(self, work: Work, finish: Finish) -> None:
        self.end(work.signal, work.account.name, self._with_notes(work, finish))

    def _with_notes(self, work: Work, finish: Finish) -> Finish:
        if finish.status is SignalStatus.DONE:
            drifted = self._drift.notes(work, now_ms=self._now_ms())
            finish = replace(finish, notes=(*finish.notes, *foreign_notes(work, self._journal), *drifted))
        if work.plan_reason is not None and work.plan_reason.code == UNCLEARED:
            finish = replace(finish, status=SignalStatus.ATTENTION)
        return finish if finish.reason else replace(finish, reason=work.plan_reason)

    def end(self, signal: Signal, account: str, finish: Finish) -> None:
        """Write down what one account's part of the signal came to, then tell."""
        now_ms = self._now_ms()
        self._journal.write(lambda uow: _end(uow, signal.id, account, finish, now_ms))
        self._tell(signal, account, finish)

    def _tell(self, signal: Signal, account: str, finish: Finish) -> None:
        passed(Boundary.FINISHED)
        self._announcer.finished(signal, account, finish)

    def _now_ms(self) -> int:
        return to_ms(self._now())


_STATUS_OF = {
    PlanStatus.DONE: SignalStatus.DONE,
    PlanStatus.DENIED: SignalStatus.DENIED,
    PlanStatus.EXPIRED: SignalStatus.EXPIRED,
}


def _end(uow: UnitOfWork, signal_id: str, account: str, finish: Finish, now_ms: int) -> None:
    uow.signals.finish(signal_id, account, finish.status, finish.reason, finish.notes, now_ms=now_ms)
