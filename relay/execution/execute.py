"""Execute one signal on one account, step by step: gather, plan, write down, send, follow. Each step can be the last
before the process dies; what the journal has by then is enough to go on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal

from relay.app.metrics import TimedStage, first_orders, timed, took
from relay.bybit.wire_orders import OpenOrder
from relay.domain.bracket import FIRST_TAKE_PROFIT_LEG
from relay.domain.instrument import Category, Instrument, plain
from relay.domain.limits import halt_reason, not_configured, too_old
from relay.domain.notice import NoticeKind
from relay.domain.order import OrderStatus, Reason, RequestSignature, SignalStatus
from relay.domain.order_lifecycle import GiveUp, OrderState, passed_by, sent
from relay.domain.plan import PlanStatus
from relay.domain.progress import UNCLEARED, AddOrders, Advance, DenyRest, Finish, LookAtPosition, progress
from relay.domain.signal import Action, Signal
from relay.engine import failpoint
from relay.engine.failpoint import Failpoint
from relay.errors import ExchangeAnswered, ExchangeUnreachable, FactsUnreadable
from relay.execution.gather import (
    AT_ONCE,
    IN_TURN,
    Gathered,
    Gatherer,
    NotGathered,
    NotKnown,
    refused_facts,
    unreachable,
)
from relay.execution.notices import Announcer
from relay.execution.orders import Advancer, Clearing
from relay.execution.ports import Account, Now, to_ms, utc_now
from relay.execution.protection import Protector
from relay.execution.work import ProtectionEnded, ProtectionRun, Work, is_waited_for, stored_signal
from relay.journal.journal import Journal
from relay.journal.unit_of_work import UnitOfWork

# Once a signal's orders are done: whether the account stands where the strategy does. A difference is reported.


DRIFT = "drift"


class DriftWatch:
    """It orders nothing: a drift is mended, where that is wished, by the plan of a later alert.

    Each signal that finds one is noted; people are told once, and again when it has changed or come back. A restart
    forgets what was told.
    """

    def __init__(self, *, journal: Journal, announcer: Announcer) -> None:
        self._journal = journal
        self._announcer = announcer
        self._reported: dict[tuple[str, str, Category, str], str] = {}
        """By strategy, account and instrument; a lane has it to itself."""

    def notes(self, work: Work, *, now_ms: int) -> tuple[str, ...]:
        """For a signal that is done: the difference in words, which is also kept as an event and announced."""
        signal, expected = work.signal, work.expected
        if expected is None:
            return ()
        assert signal.category is not None and signal.symbol is not None
        instrument = work.account.market.instrument(signal.category, signal.symbol)
        position = position_after(work, instrument)
        if position is None or instrument is None:
            return ()
        key = signal.strategy, work.account.name, signal.category, signal.symbol
        if not expected.differs(position, instrument):
            self._reported.pop(key, None)
            return ()
        if self._journal.strategies.overtaken(signal.id) is not None:
            return ()
        note = f"the account is not where the strategy is: {expected} is expected, and it holds {plain(position)}"
        detail = {"account": work.account.name, "expected": str(expected), "position": plain(position)}
        self._journal.event(signal.id, DRIFT, detail, now_ms=now_ms)
        if self._reported.get(key) != (gap := expected.gap(position)):
            self._reported[key] = gap
            where = f"strategy {signal.strategy}, {signal.symbol} on {work.account.name}"
            self._announcer.tell(NoticeKind.DRIFT, f"{where}: {note} (signal {signal.id})")
        return (note,)


def fee_notes(work: Work, journal: Journal) -> tuple[str, ...]:
    """What fees took of the coins that a signal wants held: it is not bought again."""
    signal = work.signal
    assert signal.category is not None and signal.symbol is not None
    if signal.category.has_positions or signal.action not in (Action.TARGET, Action.LONG):
        return ()
    work.deferred.flush(journal)
    holding = journal.holdings(work.account.name).get(signal.symbol)
    instrument = work.account.market.instrument(signal.category, signal.symbol)
    if holding is None or instrument is None or not holding.fees or not holding.size:
        return ()
    held, taken = plain(holding.size), plain(holding.fees)
    return (f"{held} {instrument.base_coin} are held: fees took {taken} of what was bought, which is not bought again",)


def taken_back_notes(work: Work) -> tuple[str, ...]:
    """Of coins: earlier sells that rested and were cancelled for this one; a position's would have stayed."""
    if work.signal.action.clears_resting or not work.signal.frees_coins:
        return ()
    cleared = [each.order for each in (work.clearing or {}).values() if each.order.status is OrderStatus.CANCELED]
    sells = [each for each in cleared if each.planned.leg < FIRST_TAKE_PROFIT_LEG and each.is_exit]
    return tuple(
        f"an earlier sell of {plain(each.planned.qty - each.filled_qty)} at {plain(at)} rested, "
        "and was taken back for this one"
        for each in sells
        if (at := each.planned.price or each.planned.trigger_price) is not None
    )


def position_after(work: Work, instrument: Instrument | None) -> Decimal | None:
    """The position that was read for the plan and what the signal's orders did to it; None where that is not known.

    What rests may be filled without being known yet, so then nothing is said.
    """
    if work.seen is None or work.seen.has_resting or any(not order.status.is_ended for order in work.orders.values()):
        return None
    moved = (order.planned.side.sign * order.filled_qty for order in work.orders.values())
    position, after = work.seen.position, work.seen.position.nominal + sum(moved, Decimal(0))
    # Of coins that were sold out, what fees took of them and dust are left on paper.
    is_sold_out = instrument is not None and instrument.is_dust(after - (position.nominal - position.size), None)
    return Decimal(0) if is_sold_out else after


# Compare the positions that the relay expects with the exchange's. A difference is reported, and never traded away.


def changed_outside(before: Decimal, now: Decimal) -> str:
    """For people: a position moved without an order of the relay."""
    return (
        f"the position was changed outside the relay's orders (by hand, a stop, a liquidation or another program): "
        f"it was {plain(before)}, and is {plain(now)}; the relay goes on from what it is"
    )


def compare_positions(account: Account, journal: Journal) -> dict[tuple[Category, str], str]:
    """At the start: each position that is not what it was expected to be, with what to say of it.

    Where something of the relay's is still under way or rests, a difference is to be expected, and nothing is said; nor
    of a position that cannot be read.
    Raises ExchangeUnreachable or ExchangeAnswered.
    """
    at_ms = account.exchange.now_ms()
    try:
        positions, unreadable = account.exchange.positions(), frozenset[tuple[Category, str]]()
    except FactsUnreadable as error:
        positions, unreadable = error.readable, error.where
    held = {(each.category, each.symbol): each.size for each in positions}
    busy = unreadable | {
        (each.state.planned.category, each.state.planned.symbol) for each in journal.open_orders(account.name)
    }
    before = journal.write(lambda uow: uow.positions.check_all(account.name, held, busy=busy, at_ms=at_ms))
    return {lane: changed_outside(before[lane], held.get(lane, Decimal(0))) for lane in sorted(before)}


# Orders at the symbol that the relay did not place: they are left alone, and a note says how many there are.


def foreign_notes(work: Work, journal: Journal) -> tuple[str, ...]:
    """For a signal that cancels the relay's own resting orders: how many of somebody else's rest beside them.

    Looked for once the signal's orders are done, so that it delays none. The position's stops do not count. Where the
    exchange cannot be asked there is no note.
    """
    signal = work.signal
    if not signal.clears_resting:
        return ()
    assert signal.category is not None and signal.symbol is not None
    try:
        resting = _resting(work.account, signal.category, signal.symbol)
    except (ExchangeUnreachable, ExchangeAnswered):
        return ()
    count = sum(1 for each in resting if not each.is_stop and journal.order(each.client_order_id) is None)
    if count == 0:
        return ()
    orders = "1 order" if count == 1 else f"{count} orders"
    return (f"{orders} of {signal.symbol} that the relay did not place {'was' if count == 1 else 'were'} left alone",)


def _resting(account: Account, category: Category, symbol: str) -> tuple[OpenOrder, ...]:
    reported = account.live.open_orders_now(category, symbol) if account.live else None
    return account.exchange.open_orders(category=category, symbol=symbol) if reported is None else reported


_NOW = 0.0
_LEVELS_AGAIN_MS = 1_000
_LEVEL_STEPS_MAX = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstOrder:
    """An order whose attempt is written down, to be sent with this signature once that is durable.

    `discrepancy`: what is to be told of the position. `gathered_s`, `waited_s`: counted and logged once it has left.
    """

    order: OrderState
    signature: RequestSignature
    discrepancy: tuple[str, ...]
    gathered_s: float
    waited_s: float


class Executor:
    """Takes the steps of any work; it holds nothing of its own between them."""

    def __init__(
        self,
        *,
        journal: Journal,
        gatherer: Gatherer,
        clearing: Clearing,
        protector: Protector,
        announcer: Announcer,
        drift: DriftWatch,
        now: Now = utc_now,
    ) -> None:
        self._journal = journal
        self._gatherer = gatherer
        self._clearing = clearing
        self._announcer = announcer
        self._protector = protector
        self._advancer = Advancer(journal=journal, now=now)
        self._drift = drift
        self._now = now

    def step(self, work: Work) -> float | None:
        """Do the next thing.

        Returns None once the signal is finished on this account, else the seconds until there is more.
        """
        delay = self._step(work)
        if delay and work.protection_run is None:
            self._put_back(work)
        left_s = work.deferred.left_s()
        if left_s is None or not delay:
            return delay
        if left_s > 0:
            return min(delay, left_s)
        work.deferred.flush(self._journal)
        return delay

    def _put_back(self, work: Work) -> None:
        """While it waits, nobody else looks after the levels of the position."""
        signal, now_ms = work.signal, self._now_ms()
        begun_at_ms, work.levels_seen_at_ms = work.levels_seen_at_ms, work.levels_seen_at_ms or now_ms
        if begun_at_ms is None or now_ms - begun_at_ms < _LEVELS_AGAIN_MS or signal.symbol is None:
            return
        assert signal.category is not None, "an instrument has a category"
        work.levels_seen_at_ms = now_ms
        work.deferred.flush(self._journal)
        run = ProtectionRun(account=work.account, category=signal.category, symbol=signal.symbol, levels_only=True)
        for _ in range(_LEVEL_STEPS_MAX):
            if self._protector.step(run, now_ms=now_ms) != _NOW:
                break
        run.deferred.flush(self._journal)

    def _step(self, work: Work) -> float | None:
        if not work.is_planned:
            self._begin()
            if not self._clearing.is_clear(work):
                return self._clearing.step(work, now_ms=self._now_ms())
            return self._plan(work)
        assert work.signal.category is not None and work.signal.symbol is not None
        instrument = work.account.market.instrument(work.signal.category, work.signal.symbol)
        match progress(tuple(work.orders.values()), size=work.size, mark=work.mark, instrument=instrument):
            case Advance(order=order):
                return self._advance(work, order)
            case AddOrders() as added:
                return self._add(work, added)
            case LookAtPosition():
                return self._look_at_position(work)
            case DenyRest(reason=reason):
                return self._deny_rest(work, reason)
            case Finish() as finish:
                return self._protect(work, finish)

    def turn(self, account: str) -> threading.Lock:
        """Whoever calls `plan_at_once` has it until that is durable."""
        return self._gatherer.turn(account)

    def plan_at_once(self, work: Work, uow: UnitOfWork) -> FirstOrder | None:
        """In the transaction that accepts the signal: its plan and the first order's attempt, if all that the plan
        needs is known and an order can leave by it. None: nothing was written, and its lane goes on as always."""
        self._begin()
        signal, now = work.signal, self._now()
        assert signal.category is not None and signal.symbol is not None
        where = work.account.name, signal.category, signal.symbol
        clears = signal.clears_resting
        if clears and self._journal.resting_orders(*where):
            return None
        work.circumstances = uow.circumstances(*where)
        begun_at = time.perf_counter()
        try:
            gathered = self._gatherer.gather_known(
                work, now, rests_nothing=clears, is_plain=uow.events.arriving is not None
            )
        except NotKnown:
            return None
        plan, facts = gathered.plan, gathered.proposal.facts
        first = next(iter(plan.orders), None)
        is_carried = facts.residual is not None or plan.residual is not None
        if first is None or first.leverage is not None or is_carried or facts.halted is not None:
            return None
        gathered_s = time.perf_counter() - begun_at
        self._gathered(work, gathered)
        order = next(iter(work.orders.values()))
        signature, now_ms = work.account.exchange.signature(), to_ms(now)
        attempt = order.client_order_id, signature
        uow.signals.begin(signal.id, work.account.name, now_ms=now_ms)
        discrepancy = self._write_plan(uow, work, gathered, attempt, None, now_ms)
        return FirstOrder(
            order=sent(order, signature),
            signature=signature,
            discrepancy=discrepancy,
            gathered_s=gathered_s,
            waited_s=(now - signal.received_at).total_seconds(),
        )

    def leave(self, work: Work, first: FirstOrder, on_sent: Callable[[], None]) -> None:
        """Send the first order of a plan that `plan_at_once` has written. `on_sent`: called once it has left."""
        self._planned(work, first.discrepancy)
        work.keep(first.order)
        work.keep(self._advancer.place(work.account, first.order, first.signature, work.deferred, on_sent))
        first_orders.labels(AT_ONCE).inc()
        took(TimedStage.WAIT, first.waited_s)
        took(TimedStage.GATHER, first.gathered_s, is_logged=True)

    def _begin(self) -> None:
        failpoint.passed(Failpoint.BEGUN)

    def _gathered(self, work: Work, gathered: Gathered) -> None:
        failpoint.passed(Failpoint.GATHERED)
        work.plan_made(gathered.plan)

    def _planned(self, work: Work, discrepancy: tuple[str, ...]) -> None:
        failpoint.passed(Failpoint.PLANNED)
        for text in discrepancy:
            self._announcer.tell(NoticeKind.DRIFT, f"{work.signal.symbol} on {work.account.name}: {text}")

    def _plan(self, work: Work) -> float | None:
        now = self._now()
        with timed(TimedStage.GATHER):
            gathered = self._gatherer.gather(work, now)
        if isinstance(gathered, NotGathered):
            if gathered.finish is None:
                return gathered.again_s
            self._finish(work, gathered.finish, self._now_ms())
            return None
        took(TimedStage.WAIT, (now - work.signal.received_at).total_seconds())
        self._gathered(work, gathered)
        plan = gathered.plan
        if plan.status is not PlanStatus.PLANNED:
            # In one transaction: a plan without orders, found after a kill, would look like one that is done.
            finish = Finish(status=_STATUS_OF[plan.status], reason=plan.reason)
            finish = self._with_notes(work, finish, to_ms(now))
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
        signature = work.account.exchange.signature()
        if not self._record(work, gathered, (first.client_order_id, signature), opens=not first.is_exit):
            work.plan_withdrawn()
            return _NOW
        leaving = sent(first, signature)
        work.keep(leaving)
        work.keep(self._advancer.place(work.account, leaving, signature, work.deferred))
        return _NOW

    def _record(
        self,
        work: Work,
        gathered: Gathered,
        first_attempt: tuple[str, RequestSignature] | None,
        finish: Finish | None = None,
        *,
        opens: bool = False,
    ) -> bool:
        """`opens`: an entry leaves with it.

        Returns False if entries were halted meanwhile; then only that it has begun was written.
        """
        now_ms = self._now_ms()
        if (plan := gathered.plan).orders:
            first_orders.labels(IN_TURN).inc()
            gathered = replace(gathered, plan=replace(plan, inputs={**plan.inputs, "sent": IN_TURN}))

        def write(uow: UnitOfWork) -> tuple[str, ...] | None:
            halted = uow.ask_halted(work.account.name) if opens else None
            uow.signals.begin(work.signal.id, work.account.name, now_ms=now_ms)
            if halted is not None and halted() is not None:
                return None
            return self._write_plan(uow, work, gathered, first_attempt, finish, now_ms)

        discrepancy = self._journal.write(write, may_take_long=True)
        if discrepancy is None:
            return False
        self._planned(work, discrepancy)
        return True

    def _write_plan(
        self,
        uow: UnitOfWork,
        work: Work,
        gathered: Gathered,
        first_attempt: tuple[str, RequestSignature] | None,
        finish: Finish | None,
        now_ms: int,
    ) -> tuple[str, ...]:
        """Returns what is to be told of the position."""
        discrepancy = self._discrepancy(uow, work)
        uow.signals.add_notes(work.signal.id, (*gathered.plan.notes, *discrepancy))
        uow.plans.record(
            signal_id=work.signal.id,
            account=work.account.name,
            generation=work.generation,
            plan=gathered.plan,
            first_attempt=first_attempt,
            is_carried=gathered.proposal.facts.residual is not None,
            now_ms=now_ms,
        )
        if finish is not None:
            _end(uow, work.signal.id, work.account.name, finish, now_ms)
        return discrepancy

    def _discrepancy(self, uow: UnitOfWork, work: Work) -> tuple[str, ...]:
        """A position that is not what it was expected to be; while orders rest, their fills may just not be known."""
        seen = work.seen
        if seen is None:
            return ()
        size = seen.position.size
        before = uow.positions.check(
            work.account.name, seen.position.category, seen.position.symbol, size, at_ms=seen.requested_at_ms
        )
        return () if before is None or seen.has_resting else (changed_outside(before, size),)

    def _protect(self, work: Work, finish: Finish) -> float | None:
        """Before the signal is finished: what is open is protected as it asks for, and no more than what is open."""
        signal, account = work.signal, work.account
        assert signal.category is not None and signal.symbol is not None
        if work.protection_run is None:
            ended = {name: each for name, each in work.orders.items() if each.status.is_ended}
            if len(ended) < len(work.orders):
                work.deferred.flush(self._journal)
            work.protection_run = ProtectionRun(
                account=account,
                category=signal.category,
                symbol=signal.symbol,
                signal_id=signal.id,
                deferred=work.deferred,
                orders=ended,
            )
        now_ms = self._now_ms()
        came_to = self._protector.step(work.protection_run, now_ms=now_ms)
        if not isinstance(came_to, ProtectionEnded):
            return came_to
        if came_to.reason is not None and came_to.signal_id == signal.id:
            status = SignalStatus.FAILED if came_to.is_refused else SignalStatus.ATTENTION
            finish = replace(finish, status=status, reason=came_to.reason)
        elif came_to.reason is not None and came_to.signal_id is not None:
            self.attention(came_to.signal_id, account.name, came_to.reason)
        self._finish(work, finish, now_ms)
        return None

    def attention(self, signal_id: str, account: str, reason: Reason) -> None:
        """Ends a finished signal anew with `attention`: a person must look at what it has left open."""
        execution = self._journal.execution(signal_id, account)
        if execution is not None:
            finish = Finish(status=SignalStatus.ATTENTION, reason=reason)
            self.end(stored_signal(execution.signal), account, finish)

    def _look_at_position(self, work: Work) -> float | None:
        """Reads the position from the exchange itself: its refusal did not agree with what the streams reported."""
        signal = work.signal
        assert signal.category is not None and signal.symbol is not None
        work.deferred.flush(self._journal)
        try:
            position = work.account.exchange.position(category=signal.category, symbol=signal.symbol)
        except ExchangeUnreachable as error:
            came_to = unreachable(work, error)
        except ExchangeAnswered as error:
            came_to = refused_facts(error)
        else:
            work.size, work.mark, work.troubles = position.closable, position.mark_price, 0
            return _NOW
        if came_to.finish is None:
            return came_to.again_s
        finish = replace(came_to.finish, notes=("whether the position is still open could not be read",))
        self._finish(work, finish, self._now_ms())
        return None

    def _advance(self, work: Work, order: OrderState) -> float | None:
        passing = passed_by(order, now_ms=work.account.exchange.now_ms())
        signal = work.signal
        assert signal.category is not None and signal.symbol is not None
        where = work.account.name, signal.category, signal.symbol
        if passing is not None and is_waited_for(self._journal, *where, beside=signal.id, only_exits=True):
            self._finish(work, Finish(status=SignalStatus.ATTENTION, reason=passing), self._now_ms())
            return None
        came_to = self._advancer.step(work.account, order, work.deferred, held_back=self._held_back(work, order))
        if isinstance(came_to, GiveUp):
            self._finish(work, Finish(status=SignalStatus.ATTENTION, reason=came_to.reason), self._now_ms())
            return None
        work.keep(came_to.order)
        if order.is_exit:
            work.size = None
        return came_to.again_s

    def _held_back(self, work: Work, order: OrderState) -> Reason | None:
        """Why a planned entry may not be sent (again): it has grown too old, or was halted meanwhile."""
        if order.venue_order_id is not None or order.is_exit:
            return None
        halted = self._gatherer.halted(work.account.name)
        if work.rules.no_entries is not None:
            return not_configured(work.rules.no_entries)
        return too_old(work.signal, work.rules, work.age(self._now())) or (halt_reason(halted) if halted else None)

    def _add(self, work: Work, added: AddOrders) -> float:
        now_ms = self._now_ms()

        def write(uow: UnitOfWork) -> None:
            uow.orders.add(
                signal_id=work.signal.id,
                account=work.account.name,
                generation=work.generation,
                orders=added.planned,
                now_ms=now_ms,
            )
            uow.signals.add_notes(work.signal.id, (added.note,))

        work.deferred.write(self._journal, write)
        failpoint.passed(Failpoint.ORDER_ADDED)
        for state in work.states_of(added.planned):
            work.keep(state)
        work.size = None
        return _NOW

    def _deny_rest(self, work: Work, reason: Reason) -> float:
        for order in tuple(work.orders.values()):
            if order.status is OrderStatus.PLANNED and not order.is_exit:
                work.keep(self._advancer.deny(order, reason, work.deferred))
        return _NOW

    def _finish(self, work: Work, finish: Finish, now_ms: int) -> None:
        signal, account = work.signal, work.account.name
        if work.account.live is None or not work.account.live.is_listening:
            work.deferred.flush(self._journal)
        finish = self._with_notes(work, finish, now_ms)
        work.deferred.write(self._journal, lambda uow: _end(uow, signal.id, account, finish, now_ms))
        self._tell(signal, account, finish)

    def _with_notes(self, work: Work, finish: Finish, now_ms: int) -> Finish:
        finish = replace(finish, notes=(*finish.notes, *taken_back_notes(work)))
        if finish.status is SignalStatus.DONE:
            drifted = self._drift.notes(work, now_ms=now_ms)
            notes = (*finish.notes, *fee_notes(work, self._journal), *foreign_notes(work, self._journal), *drifted)
            finish = replace(finish, notes=notes)
        if work.plan_reason is not None and work.plan_reason.code == UNCLEARED:
            finish = replace(finish, status=SignalStatus.ATTENTION)
        return finish if finish.reason else replace(finish, reason=work.plan_reason)

    def end(self, signal: Signal, account: str, finish: Finish) -> None:
        """Write down what the signal came to on one account, then notify."""
        now_ms = self._now_ms()
        self._journal.write(lambda uow: _end(uow, signal.id, account, finish, now_ms))
        self._tell(signal, account, finish)

    def _tell(self, signal: Signal, account: str, finish: Finish) -> None:
        failpoint.passed(Failpoint.FINISHED)
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
    if finish.carried:
        uow.plans.carry(signal_id, account, finish.carried)
