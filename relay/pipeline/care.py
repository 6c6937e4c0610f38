"""Take care of what protects a position: set its levels, and let its take profits rest. One account and instrument."""

from __future__ import annotations

from dataclasses import replace

from relay.boundary import Boundary, passed
from relay.domain.care import next_care
from relay.domain.care_rungs import shortfall
from relay.domain.care_steps import (
    AdvanceRung,
    AmendRung,
    CancelRung,
    CareStep,
    Keep,
    LookAgain,
    PlaceRung,
    Release,
    Rest,
    SetStops,
)
from relay.domain.guard import FIRST_RUNG_LEG, Guard, GuardStatus, taking_over
from relay.domain.instrument import Instrument
from relay.domain.order import Reason, client_order_id
from relay.domain.outcome import Accepted, NotSent, Refusal, Rejected, Unknown
from relay.domain.progress import Finish
from relay.domain.reconciliation import GiveUp, OrderState
from relay.errors import ExchangeAnswered, ExchangeUnreachable
from relay.journal.journal import Journal
from relay.journal.protection import GuardRecord
from relay.journal.unit_of_work import UnitOfWork
from relay.pipeline.advance import Advancer
from relay.pipeline.cancel import Canceller
from relay.pipeline.caring import Amended, Cared, Caring
from relay.pipeline.clock import Now, utc_now
from relay.pipeline.ports import Account
from relay.pipeline.resting import Resting
from relay.pipeline.sight import entry_sight, look

PATIENCE_MS = 10_000
"""What is not in place by then is told to a person; it is gone on with all the same."""
_AGAIN_S = 0.25
_NOW = 0.0
_AMENDS_MAX = 3
_AMEND_SHOWS_MS = 1000
_LEGS_END = 1000


class Caretaker:
    """The steps of any guard's care; it holds nothing of its own between them."""

    def __init__(self, *, journal: Journal, now: Now = utc_now) -> None:
        self._journal = journal
        self._advancer = Advancer(journal=journal, now=now)
        self._canceller = Canceller(journal=journal)

    def step(self, caring: Caring, *, now_ms: int) -> float | Cared:
        """Do the next thing: seconds until there is more, or how it ended. `now_ms`: the relay's clock."""
        if caring.begun_at_ms is None:
            caring.begun_at_ms = now_ms
        live = self._journal.live_guards_of(caring.account.name, caring.category, caring.symbol)
        instrument = caring.account.market.instrument(caring.category, caring.symbol)
        if not live or instrument is None:
            return Cared()
        record = next((each for each in live if each.guard.status is GuardStatus.ACTIVE), live[-1])
        try:
            came_to = self._step(caring, live, instrument, now_ms)
        except (ExchangeUnreachable, ExchangeAnswered) as error:
            caring.looked, caring.why = None, str(error)
            came_to = _AGAIN_S
        if not isinstance(came_to, Cared) and now_ms - caring.begun_at_ms > PATIENCE_MS:
            return self._incomplete(record, f"not in place within {PATIENCE_MS // 1000} s: {caring.why}", now_ms)
        return came_to

    def _step(
        self, caring: Caring, live: tuple[GuardRecord, ...], instrument: Instrument, now_ms: int
    ) -> float | Cared:
        for record in live:
            if record.guard.status is GuardStatus.WAITING:
                sight = entry_sight(caring.account, self._journal, record, instrument, now_ms)
                step = next_care(record.guard, sight)
                if not isinstance(step, Rest):
                    return self._act(caring, record, step, now_ms)
        active = next((each for each in live if each.guard.status is GuardStatus.ACTIVE), None)
        if active is None:
            return Cared()
        caring.looked = caring.looked or look(
            caring.account, self._journal, active, instrument, caring.orders, now_ms=now_ms
        )
        if caring.looked is None:
            return _NOW
        sight = caring.looked.sight(self._journal, active, caring.orders, now_ms=now_ms)
        step = next_care(active.guard, sight)
        if not isinstance(step, Rest):
            return self._act(caring, active, step, now_ms)
        missing = shortfall(active.guard, sight)
        if missing is not None and missing.is_merged:
            self._journal.add_notes(active.signal_id, (missing.words,))
        elif missing is not None:
            caring.trouble = caring.trouble or _reason(missing.words)
        return self._incomplete(active, caring.trouble.message, now_ms) if caring.trouble else Cared()

    def _act(self, caring: Caring, record: GuardRecord, step: CareStep, now_ms: int) -> float | Cared:
        match step:
            case Keep(guard=guard):
                self._keep(caring.account, record, guard, now_ms)
                return _NOW
            case Release():
                self._keep(caring.account, record, replace(record.guard, status=GuardStatus.OVER), now_ms)
                return _NOW
            case LookAgain() | Rest():
                caring.looked = None
                return _AGAIN_S
            case SetStops():
                return self._set_stops(caring, record, step, now_ms)
            case PlaceRung():
                return self._place(caring, record, step, now_ms)
            case AdvanceRung(order_id=order_id):
                return self._advance(caring, record, order_id, now_ms)
            case AmendRung():
                return self._amend(caring, record, step, now_ms)
            case CancelRung(order_id=order_id):
                return self._cancel(caring, record, order_id, now_ms)

    def _keep(self, account: Account, record: GuardRecord, guard: Guard, now_ms: int) -> None:
        """As it is now; the one that becomes active takes over from the one that was."""
        old = None
        if record.guard.status is GuardStatus.WAITING and guard.status is GuardStatus.ACTIVE:
            live = self._journal.live_guards_of(record.account, record.category, record.symbol)
            old = next((each for each in live if each.guard.status is GuardStatus.ACTIVE), None)
            instrument = account.market.instrument(record.category, record.symbol)
            assert instrument is not None, "care is taken of listed instruments only"
            guard = taking_over(guard, old.guard if old else None, tick=instrument.tick_size)

        def write(uow: UnitOfWork) -> None:
            uow.protection.save(record.seq, guard, now_ms=now_ms)
            if old is not None:
                uow.protection.save(old.seq, replace(old.guard, status=GuardStatus.OVER), now_ms=now_ms)

        self._journal.write(write)
        passed(Boundary.GUARD_KEPT)

    def _set_stops(self, caring: Caring, record: GuardRecord, step: SetStops, now_ms: int) -> float | Cared:
        passed(Boundary.STOPS_DUE)
        exchange = caring.account.exchange
        outcome = exchange.set_stops(category=record.category, symbol=record.symbol, levels=step.levels)
        passed(Boundary.STOPS_SENT)
        caring.looked = None
        match outcome:
            case Accepted() | Rejected(refusal=Refusal.UNCHANGED):
                self._keep(caring.account, record, step.after, now_ms)
                self._journal.event(record.signal_id, "stops_set", step.levels.as_words(), now_ms=now_ms)
                return _NOW
            case Rejected(refusal=Refusal.FINAL):
                return self._stops_refused(caring, record, step, outcome, now_ms)
            case _:
                caring.why = _words(outcome)
                return _measured(caring.account, outcome)

    def _stops_refused(
        self, caring: Caring, record: GuardRecord, step: SetStops, outcome: Rejected, now_ms: int
    ) -> float | Cared:
        """Asked for once more, after another look: the position may have gone meanwhile."""
        caring.refusals += 1
        if caring.refusals < 2:
            return _AGAIN_S
        words = f"{outcome.words} (Bybit's code {outcome.code})"
        if record.guard.status is GuardStatus.WAITING:
            self._keep(caring.account, record, replace(record.guard, status=GuardStatus.OVER), now_ms)
            reason = Reason(code=outcome.reason_code, message=words)
            return Cared(signal_id=record.signal_id, reason=reason, is_refused=True)
        caring.refusals = 0
        caring.trouble = _reason(f"the position's levels could not be set: {words}")
        self._keep(caring.account, record, step.after, now_ms)
        return _NOW

    def _place(self, caring: Caring, record: GuardRecord, step: PlaceRung, now_ms: int) -> float | Cared:
        """The order and the guard that knows of it become durable together; then it is sent like any other."""
        assignment = self._journal.execution(record.signal_id, record.account)
        legs = [each.state.planned.leg for each in assignment.orders] if assignment else []
        leg = max([FIRST_RUNG_LEG - 1, *legs]) + 1
        if leg >= _LEGS_END:
            return self._incomplete(record, "its take profits were placed too often", now_ms)
        planned = replace(step.planned, leg=leg)
        order_id = client_order_id(
            signal_id=record.signal_id, account=record.account, leg=leg, generation=record.generation
        )
        rungs = list(record.guard.rungs)
        rungs[step.place] = replace(rungs[step.place], order_id=order_id, placed_at_ms=now_ms)

        def write(uow: UnitOfWork) -> None:
            uow.orders.add(
                signal_id=record.signal_id,
                account=record.account,
                generation=record.generation,
                orders=(planned,),
                now_ms=now_ms,
            )
            uow.protection.save(record.seq, replace(record.guard, rungs=tuple(rungs)), now_ms=now_ms)

        self._journal.write(write)
        passed(Boundary.RUNG_ADDED)
        caring.orders[order_id] = OrderState(client_order_id=order_id, planned=planned)
        return _NOW

    def _advance(self, caring: Caring, record: GuardRecord, order_id: str, now_ms: int) -> float | Cared:
        state = caring.orders.get(order_id)
        if state is None:
            kept = self._journal.order(order_id)
            assert kept is not None, f"the guard names {order_id}, which is no order"
            state = replace(kept.state, taken_up_at_ms=caring.account.exchange.now_ms())
        came_to = self._advancer.step(caring.account, state)
        if isinstance(came_to, GiveUp):
            return self._incomplete(record, came_to.reason.message, now_ms)
        caring.orders[order_id] = came_to.order
        caring.looked = None
        return came_to.again_s

    def _amend(self, caring: Caring, record: GuardRecord, step: AmendRung, now_ms: int) -> float | Cared:
        """What is not taken, or not shown after a while, is cancelled and placed anew."""
        before = caring.amended.get(step.order_id)
        is_repeated = before is not None and before.step == step
        caring.looked = None
        if before is not None and is_repeated and now_ms - before.at_ms < _AMEND_SHOWS_MS:
            return _AGAIN_S
        times = before.times + 1 if before is not None and is_repeated else 1
        if times > _AMENDS_MAX:
            return self._cancel(caring, record, step.order_id, now_ms)
        kept = self._journal.order(step.order_id)
        assert kept is not None, f"the guard names {step.order_id}, which is no order"
        passed(Boundary.AMEND_DUE)
        outcome = caring.account.exchange.amend(
            kept.state.planned, client_order_id=step.order_id, qty=step.qty, price=step.price
        )
        passed(Boundary.AMEND_SENT)
        match outcome:
            case Accepted() | Unknown():
                caring.amended[step.order_id] = Amended(step=step, at_ms=now_ms, times=times)
                return _NOW
            case Rejected(refusal=Refusal.FINAL):
                caring.amended[step.order_id] = Amended(step=step, at_ms=now_ms - _AMEND_SHOWS_MS, times=_AMENDS_MAX)
                return _NOW
            case _:
                caring.why = _words(outcome)
                return _measured(caring.account, outcome)

    def _cancel(self, caring: Caring, record: GuardRecord, order_id: str, now_ms: int) -> float | Cared:
        if order_id not in caring.cancelling:
            kept = self._journal.order(order_id)
            assert kept is not None, f"the guard names {order_id}, which is no order"
            caring.cancelling = {order_id: Resting(order=kept.state)}
        came_to = self._canceller.step(
            caring.account, caring.cancelling, signal_id=record.signal_id, is_exit=False, now_ms=now_ms
        )
        if isinstance(came_to, Finish):
            why = came_to.reason.message if came_to.reason else "it could not be cancelled"
            return self._incomplete(record, why, now_ms)
        cancelled = caring.cancelling[order_id].order
        if cancelled.status.is_ended:
            caring.orders[order_id], caring.looked = cancelled, None
        return came_to

    def _incomplete(self, record: GuardRecord, words: str, now_ms: int) -> Cared:
        """Told once; whatever is tried on is tried in silence."""
        live = self._journal.live_guards_of(record.account, record.category, record.symbol)
        guard = next((each.guard for each in live if each.seq == record.seq), None)
        if guard is None or guard.trouble is not None:
            return Cared()
        self._journal.save_guard(record.seq, replace(guard, trouble=words), now_ms=now_ms)
        return Cared(signal_id=record.signal_id, reason=_reason(words))


def _reason(words: str) -> Reason:
    return Reason(code="STOPS_INCOMPLETE", message=words)


def _words(outcome: Rejected | Unknown | NotSent) -> str:
    return outcome.words if isinstance(outcome, Rejected) else outcome.why


def _measured(account: Account, outcome: Rejected | Unknown | NotSent) -> float:
    if isinstance(outcome, Rejected) and outcome.refusal is Refusal.CLOCK:
        account.exchange.measure_clock()
    return _AGAIN_S
