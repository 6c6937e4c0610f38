"""Protect open positions: set their levels and let their take profits rest, in the lane of their instrument."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from decimal import Decimal

from relay.domain.bracket import FIRST_TAKE_PROFIT_LEG, Bracket, BracketStatus, joined_by, taking_over
from relay.domain.instrument import Category, Instrument
from relay.domain.order import Accepted, ErrorKind, NotSent, OrderRejected, Purpose, Reason, Unknown, client_order_id
from relay.domain.order_lifecycle import GiveUp, OrderState, sent
from relay.domain.progress import STOPS_INCOMPLETE, Finish
from relay.domain.protection import (
    AdvanceTakeProfit,
    AmendTakeProfit,
    CancelTakeProfit,
    Close,
    NoOp,
    PlaceTakeProfit,
    ProtectionStep,
    Refresh,
    Save,
    SetStops,
    Snapshot,
    booked,
    next_level_step,
    next_protection_step,
    passed_breakeven,
    passed_stop,
    shortfall,
)
from relay.engine import failpoint
from relay.engine.failpoint import Failpoint
from relay.engine.lanes import Engine, Lane
from relay.engine.lease_guard import LeaseLost
from relay.errors import ExchangeAnswered, ExchangeUnreachable, JournalUnavailable
from relay.execution.orders import Advancer, Canceller, entry_snapshot, look, wanted_no_more
from relay.execution.ports import Account, Now, to_ms, utc_now
from relay.execution.work import Amended, ProtectionEnded, ProtectionRun, Resting, _orders, is_overdue, is_waited_for
from relay.journal.journal import Journal
from relay.journal.orders import BracketRecord
from relay.journal.unit_of_work import UnitOfWork

PATIENCE_MS = 10_000
"""What is not in place by then is told to a person; it is gone on with all the same."""
_YIELDS_AFTER_MS = 1_000
"""Who would wait longer lets an exit go first; and any alert, where it waits for what is older or was told."""
_AGAIN_S = 0.25
_NOW = 0.0
_AMENDS_MAX = 3
_AMEND_SHOWS_MS = 1000
_LEGS_END = 1000


class Protector:
    """Takes the steps that protect a position, for any bracket; it holds nothing of its own between them."""

    def __init__(self, *, journal: Journal, now: Now = utc_now) -> None:
        self._journal = journal
        self._advancer = Advancer(journal=journal, now=now)
        self._canceller = Canceller(journal=journal)
        self.close: Callable[[str, Category, str], object]
        """Closes an account's position, by a signal of its own. The wiring says who does."""

    def step(self, protection_run: ProtectionRun, *, now_ms: int) -> float | ProtectionEnded:
        """Do the next thing: seconds until there is more, or how it ended. `now_ms`: the relay's clock.

        What it writes may wait in the run's `deferred`, which is the caller's to write in the end.
        """
        if protection_run.begun_at_ms is None:
            protection_run.begun_at_ms = now_ms
        where = protection_run.account.name, protection_run.category, protection_run.symbol
        if protection_run.live is None:
            protection_run.live = self._journal.live_brackets_of(*where)
        live = protection_run.live
        if not live or (instrument := protection_run.account.market.instrument(*where[1:])) is None:
            return ProtectionEnded()
        record = next((each for each in live if each.bracket.status is BracketStatus.ACTIVE), live[-1])
        try:
            came_to = self._step(protection_run, live, instrument, now_ms)
        except (ExchangeUnreachable, ExchangeAnswered) as error:
            protection_run.looked, protection_run.why = None, str(error)
            came_to = _AGAIN_S
        if not isinstance(came_to, ProtectionEnded) and now_ms - protection_run.begun_at_ms > PATIENCE_MS:
            words = f"not in place within {PATIENCE_MS // 1000} s: {protection_run.why}"
            return self._incomplete(protection_run, record, words, now_ms)
        is_long = came_to and now_ms - protection_run.begun_at_ms > _YIELDS_AFTER_MS
        is_old = record.bracket.trouble or record.bracket.stale_orders
        is_own = not is_old and record.signal_id == protection_run.signal_id
        if is_long and is_waited_for(self._journal, *where, beside=protection_run.signal_id, only_exits=is_own):
            return ProtectionEnded()  # The next look, which is behind that, finds again what is to be done.
        return came_to

    def _step(
        self, protection_run: ProtectionRun, live: tuple[BracketRecord, ...], instrument: Instrument, now_ms: int
    ) -> float | ProtectionEnded:
        for record in live:
            if record.bracket.status is BracketStatus.WAITING:
                snapshot = entry_snapshot(
                    protection_run.account, self._journal, record, instrument, protection_run.orders, now_ms
                )
                step = next_protection_step(record.bracket, snapshot)
                if not isinstance(step, NoOp):
                    self._count_fills(protection_run, instrument, now_ms)
                    return self._act(protection_run, record, step, now_ms)
        active = next((each for each in live if each.bracket.status is BracketStatus.ACTIVE), None)
        if active is None or (protection_run.levels_only and not active.bracket.is_watched):
            return ProtectionEnded()
        if protection_run.looked is None and not active.category.has_positions:
            # Which coins are the relay's own is told by its journal alone.
            protection_run.deferred.flush(self._journal)
        protection_run.looked = protection_run.looked or look(
            protection_run.account,
            self._journal,
            active,
            instrument,
            protection_run.orders,
            now_ms=now_ms,
            before_asking=lambda: protection_run.deferred.flush(self._journal),
        )
        if protection_run.looked is None:
            return _NOW
        snapshot = protection_run.looked.snapshot(self._journal, active, protection_run.orders, now_ms=now_ms)
        decide = next_level_step if protection_run.levels_only else next_protection_step
        step = decide(active.bracket, snapshot)
        if protection_run.levels_only or not isinstance(step, NoOp):
            return ProtectionEnded() if isinstance(step, NoOp) else self._act(protection_run, active, step, now_ms)
        if (words := passed_breakeven(active.bracket, snapshot)) is not None:
            return self._breakeven_passed(protection_run, active, words, now_ms)
        if (words := passed_stop(active.bracket, snapshot)) is not None:
            return self._incomplete(protection_run, active, words, now_ms)
        missing = shortfall(active.bracket)
        if missing is not None and missing.is_merged:
            self._journal.add_notes(active.signal_id, (missing.words,))
        elif missing is not None:
            protection_run.trouble = protection_run.trouble or _reason(missing.words)
        if protection_run.trouble:
            return self._incomplete(protection_run, active, protection_run.trouble.message, now_ms)
        if active.bracket.trouble is not None:
            self._save(protection_run, active, replace(active.bracket, trouble=None), now_ms)
        return ProtectionEnded()

    def _count_fills(self, protection_run: ProtectionRun, instrument: Instrument, now_ms: int) -> None:
        """Before levels take over: a take profit that has filled by now moves no stop that is named after it."""
        for record in protection_run.live or ():
            if any(each.moves_stop_to_entry and each.order_id for each in record.bracket.tp_legs):
                known: dict[str, OrderState] = {}
                if look(protection_run.account, self._journal, record, instrument, known, now_ms=now_ms) is None:
                    orders = _orders(self._journal, record.bracket.order_ids, known)
                    bracket = booked(record.bracket, Snapshot(instrument=instrument, now_ms=now_ms, orders=orders))
                    self._save(protection_run, record, bracket, now_ms)

    def _breakeven_passed(
        self, protection_run: ProtectionRun, record: BracketRecord, words: str, now_ms: int
    ) -> ProtectionEnded:
        """Once: the position is closed, or a person is told, as the strategy says."""
        if record.bracket.trouble is None and record.bracket.closes_if_passed:
            # First, so that nothing is forgotten: a second close would find nothing open.
            self.close(record.account, record.category, record.symbol)
            self._save(protection_run, record, replace(record.bracket, trouble=words), now_ms)
            self._journal.add_notes(record.signal_id, (f"{words}: the position is closed",))
        return self._incomplete(protection_run, record, words, now_ms)

    def _act(
        self, protection_run: ProtectionRun, record: BracketRecord, step: ProtectionStep, now_ms: int
    ) -> float | ProtectionEnded:
        match step:
            case Save(bracket=bracket):
                self._keep(protection_run, record, bracket, now_ms)
                return _NOW
            case Close():
                self._keep(protection_run, record, replace(record.bracket, status=BracketStatus.OVER), now_ms)
                return _NOW
            case Refresh() | NoOp():
                protection_run.looked = None
                return _AGAIN_S
            case SetStops():
                return self._set_stops(protection_run, record, step, now_ms)
            case PlaceTakeProfit():
                return self._place(protection_run, record, step, now_ms)
            case AdvanceTakeProfit(order_id=order_id):
                return self._advance(protection_run, record, order_id, now_ms)
            case AmendTakeProfit():
                return self._amend(protection_run, record, step, now_ms)
            case CancelTakeProfit(order_id=order_id):
                return self._cancel(protection_run, record, order_id, now_ms)

    def _keep(self, protection_run: ProtectionRun, record: BracketRecord, bracket: Bracket, now_ms: int) -> None:
        """As it is now; what becomes active takes over from what was, unless a later alert has named that."""
        if record.bracket.status is BracketStatus.WAITING and bracket.status is BracketStatus.ACTIVE:
            bracket = self._activated(protection_run, record, bracket, now_ms)
        self._save(protection_run, record, bracket, now_ms, stored=lambda: failpoint.passed(Failpoint.BRACKET_SAVED))

    def _save(
        self,
        protection_run: ProtectionRun,
        record: BracketRecord,
        bracket: Bracket,
        now_ms: int,
        stored: Callable[[], object] = lambda: None,
    ) -> None:
        """With what is written next, before the exchange is asked for anything."""
        protection_run.deferred.add(lambda uow: uow.protection.save(record.seq, bracket, now_ms=now_ms), stored)
        self._remember(protection_run, record, bracket)

    def _remember(self, protection_run: ProtectionRun, record: BracketRecord, bracket: Bracket) -> None:
        others = [each for each in protection_run.live or () if each.seq != record.seq]
        own = [] if bracket.status is BracketStatus.OVER else [replace(record, bracket=bracket)]
        protection_run.live = tuple(sorted([*others, *own], key=lambda each: each.seq))

    def _activated(
        self, protection_run: ProtectionRun, record: BracketRecord, bracket: Bracket, now_ms: int
    ) -> Bracket:
        """The bracket as it is to be stored, once the others have been that change with it."""
        instrument = protection_run.account.market.instrument(record.category, record.symbol)
        assert instrument is not None, "only positions of listed instruments are protected"
        if bracket.stop_loss is not None:
            bracket = replace(bracket, stop_named_by=record.seq)
        live, tick = protection_run.live or (), instrument.tick_size
        old = next((each for each in live if each.bracket.status is BracketStatus.ACTIVE), None)
        if old is not None and old.bracket.is_at_breakeven:
            old = replace(old, bracket=replace(old.bracket, stop_named_by=old.seq))
        if old is not None and old.seq > record.seq and old.bracket.side is bracket.side:
            self._save(protection_run, old, joined_by(old.bracket, bracket, tick=tick), now_ms)
            return replace(bracket, status=BracketStatus.OVER)
        older = self._resting_entries(record, bracket)
        bracket = replace(bracket, older_entries=(*bracket.older_entries, *older))
        if old is not None:
            self._save(protection_run, old, replace(old.bracket, status=BracketStatus.OVER), now_ms)
        return taking_over(bracket, old.bracket if old else None, tick=tick)

    def _resting_entries(self, record: BracketRecord, bracket: Bracket) -> list[str]:
        """All others that rest, even those whose position was closed: what fills of them brings its levels along."""
        resting = self._journal.resting_orders(record.account, record.category, record.symbol)
        return [
            each.state.client_order_id
            for each in resting
            if each.state.planned.purpose is not Purpose.EXIT
            and each.state.planned.side is bracket.side
            and each.state.client_order_id not in bracket.entries
        ]

    def _set_stops(
        self, protection_run: ProtectionRun, record: BracketRecord, step: SetStops, now_ms: int
    ) -> float | ProtectionEnded:
        protection_run.deferred.flush(self._journal)
        failpoint.passed(Failpoint.STOPS_DUE)
        exchange = protection_run.account.exchange
        outcome = exchange.set_stops(category=record.category, symbol=record.symbol, levels=step.levels)
        failpoint.passed(Failpoint.STOPS_SENT)
        protection_run.looked = None
        match outcome:
            case Accepted() | OrderRejected(refusal=ErrorKind.UNCHANGED):
                self._keep(protection_run, record, step.after, now_ms)
                levels = step.levels.as_words()
                protection_run.deferred.add(
                    lambda uow: uow.events.add(record.signal_id, "stops_set", levels, now_ms=now_ms), lambda: None
                )
                return _NOW
            case OrderRejected(refusal=ErrorKind.FINAL | ErrorKind.RULES):
                return self._stops_refused(protection_run, record, step, outcome, now_ms)
            case _:
                protection_run.why = _words(outcome)
                return _measured(protection_run.account, outcome)

    def _stops_refused(
        self, protection_run: ProtectionRun, record: BracketRecord, step: SetStops, outcome: OrderRejected, now_ms: int
    ) -> float | ProtectionEnded:
        """Asked for once more, after another look: the position may have gone meanwhile."""
        protection_run.refusals += 1
        if protection_run.refusals < 2:
            return _AGAIN_S
        words = f"{outcome.words} (Bybit's code {outcome.code})"
        if step.after == record.bracket or step.after.is_at_breakeven != record.bracket.is_at_breakeven:
            # It is asked for again at every look, for the market may allow it soon.
            return self._incomplete(protection_run, record, f"the position's levels could not be set: {words}", now_ms)
        if record.bracket.status is BracketStatus.WAITING:
            self._keep(protection_run, record, replace(record.bracket, status=BracketStatus.OVER), now_ms)
            reason = Reason(code=outcome.reason_code, message=words)
            return ProtectionEnded(signal_id=record.signal_id, reason=reason, is_refused=True)
        protection_run.refusals = 0
        protection_run.trouble = _reason(f"the position's levels could not be set: {words}")
        self._keep(protection_run, record, step.after, now_ms)
        return _NOW

    def _place(
        self, protection_run: ProtectionRun, record: BracketRecord, step: PlaceTakeProfit, now_ms: int
    ) -> float | ProtectionEnded:
        """The order and the bracket that knows of it become durable together; then it is sent like any other."""
        leg = self._last_leg(protection_run, record) + 1
        if leg >= _LEGS_END:
            return self._incomplete(protection_run, record, "its take profits were placed too often", now_ms)
        planned = replace(step.planned, leg=leg)
        order_id = client_order_id(
            signal_id=record.signal_id, account=record.account, leg=leg, generation=record.generation
        )
        tp_legs = list(record.bracket.tp_legs)
        tp_legs[step.place] = replace(tp_legs[step.place], order_id=order_id, placed_at_ms=now_ms)
        bracket = replace(record.bracket, tp_legs=tuple(tp_legs))
        signature = protection_run.account.exchange.signature()

        def write(uow: UnitOfWork) -> None:
            uow.orders.add(
                signal_id=record.signal_id,
                account=record.account,
                generation=record.generation,
                orders=(planned,),
                first_attempt=(order_id, signature),
                now_ms=now_ms,
            )
            uow.protection.save(record.seq, bracket, now_ms=now_ms)

        protection_run.deferred.write(self._journal, write)
        failpoint.passed(Failpoint.TAKE_PROFIT_ADDED)
        protection_run.legs[record.signal_id], protection_run.looked = leg, None
        self._remember(protection_run, record, bracket)
        leaving = sent(OrderState(client_order_id=order_id, planned=planned), signature)
        protection_run.orders[order_id] = leaving
        protection_run.orders[order_id] = self._advancer.place(
            protection_run.account, leaving, signature, protection_run.deferred
        )
        return _NOW

    def _last_leg(self, protection_run: ProtectionRun, record: BracketRecord) -> int:
        if record.signal_id not in protection_run.legs:
            execution = self._journal.execution(record.signal_id, record.account)
            legs = [each.state.planned.leg for each in execution.orders] if execution else []
            protection_run.legs[record.signal_id] = max([FIRST_TAKE_PROFIT_LEG - 1, *legs])
        return protection_run.legs[record.signal_id]

    def _advance(
        self, protection_run: ProtectionRun, record: BracketRecord, order_id: str, now_ms: int
    ) -> float | ProtectionEnded:
        state = protection_run.orders.get(order_id)
        if state is None:
            stored = self._journal.order(order_id)
            assert stored is not None, f"the bracket names {order_id}, which is no order"
            state = replace(stored.state, taken_up_at_ms=protection_run.account.exchange.now_ms())
        protection_run.deferred.flush(self._journal)
        held_back = wanted_no_more(protection_run.account, self._journal, record.bracket, state)
        came_to = self._advancer.step(protection_run.account, state, protection_run.deferred, held_back=held_back)
        if isinstance(came_to, GiveUp):
            return self._incomplete(protection_run, record, came_to.reason.message, now_ms)
        protection_run.orders[order_id] = came_to.order
        protection_run.looked = None
        return came_to.again_s

    def _amend(
        self, protection_run: ProtectionRun, record: BracketRecord, step: AmendTakeProfit, now_ms: int
    ) -> float | ProtectionEnded:
        """What is not taken, or not shown after a while, is cancelled and placed anew."""
        before = protection_run.amended.get(step.order_id)
        is_repeated = before is not None and before.step == step
        protection_run.looked = None
        if before is not None and is_repeated and now_ms - before.at_ms < _AMEND_SHOWS_MS:
            return _AGAIN_S
        times = before.times + 1 if before is not None and is_repeated else 1
        if times > _AMENDS_MAX:
            return self._cancel(protection_run, record, step.order_id, now_ms)
        protection_run.deferred.flush(self._journal)
        stored = self._journal.order(step.order_id)
        assert stored is not None, f"the bracket names {step.order_id}, which is no order"
        failpoint.passed(Failpoint.AMEND_DUE)
        outcome = protection_run.account.exchange.amend(
            stored.state.planned, client_order_id=step.order_id, qty=step.qty, price=step.price
        )
        failpoint.passed(Failpoint.AMEND_SENT)
        match outcome:
            case Accepted() | Unknown():
                if isinstance(outcome, Accepted):
                    self._journal.write(
                        lambda uow: uow.orders.amended(step.order_id, qty=step.qty, price=step.price, now_ms=now_ms)
                    )
                protection_run.amended[step.order_id] = Amended(step=step, at_ms=now_ms, times=times)
                return _NOW
            case OrderRejected(refusal=ErrorKind.FINAL | ErrorKind.RULES):
                protection_run.amended[step.order_id] = Amended(
                    step=step, at_ms=now_ms - _AMEND_SHOWS_MS, times=_AMENDS_MAX
                )
                return _NOW
            case _:
                protection_run.why = _words(outcome)
                return _measured(protection_run.account, outcome)

    def _cancel(
        self, protection_run: ProtectionRun, record: BracketRecord, order_id: str, now_ms: int
    ) -> float | ProtectionEnded:
        protection_run.deferred.flush(self._journal)
        if order_id not in protection_run.cancelling:
            stored = self._journal.order(order_id)
            assert stored is not None, f"the bracket names {order_id}, which is no order"
            protection_run.cancelling = {order_id: Resting(order=stored.state)}
        came_to = self._canceller.step(
            protection_run.account, protection_run.cancelling, signal_id=record.signal_id, is_exit=False, now_ms=now_ms
        )
        if isinstance(came_to, Finish):
            why = came_to.reason.message if came_to.reason else "it could not be cancelled"
            return self._incomplete(protection_run, record, why, now_ms)
        cancelled = protection_run.cancelling[order_id].order
        if cancelled.status.is_ended:
            protection_run.orders[order_id], protection_run.looked = cancelled, None
        return came_to

    def _incomplete(
        self, protection_run: ProtectionRun, record: BracketRecord, words: str, now_ms: int
    ) -> ProtectionEnded:
        """Told once; whatever is tried on is tried in silence."""
        bracket = next((each.bracket for each in protection_run.live or () if each.seq == record.seq), None)
        if bracket is None or bracket.trouble is not None:
            return ProtectionEnded()
        self._save(protection_run, record, replace(bracket, trouble=words), now_ms)
        return ProtectionEnded(signal_id=record.signal_id, reason=_reason(words))


def _reason(words: str) -> Reason:
    return Reason(code=STOPS_INCOMPLETE, message=words)


def _words(outcome: OrderRejected | Unknown | NotSent) -> str:
    return outcome.words if isinstance(outcome, OrderRejected) else outcome.why


def _measured(account: Account, outcome: OrderRejected | Unknown | NotSent) -> float:
    if isinstance(outcome, OrderRejected) and outcome.refusal is ErrorKind.CLOCK:
        account.exchange.measure_clock()
    return _AGAIN_S


# The protection of positions for which no signal is at work: a task of the lane, so that effects stay in order.


log = logging.getLogger(__name__)

_JOURNAL_AGAIN_S = 0.5
_FAILED_MAX = 3
_PAUSE_MAX_ROUNDS = 2
"""What does not come to rest is looked at more seldom, but soon enough once the market allows it."""

ActingFor = Callable[[str], AbstractContextManager[None] | None]
"""By account."""
Tell = Callable[[str, str, Reason], None]
"""Of a signal on an account: what a person must look at."""


@dataclass(slots=True, kw_only=True)
class _Pause:
    """How many rounds a lane sits out before it is looked at again."""

    left: int
    filled: Decimal
    """By the bracket's orders, when it was looked at: it sits out only while nothing changes."""


class ProtectionLanes:
    """Puts tasks that protect positions into lanes.

    `submit` is thread-safe; the rounds of an account belong to the thread that follows it.
    """

    def __init__(
        self,
        *,
        journal: Journal,
        engine: Engine,
        protector: Protector,
        accounts: Mapping[str, Account],
        tell: Tell,
        executes: Callable[[str], bool] = lambda account: True,
        now: Now = utc_now,
        acting_for: ActingFor = lambda account: nullcontext(),
    ) -> None:
        """`executes`: whether an account's lanes run: before that nothing may get ahead of what is unfinished.

        `acting_for`: by whose right an account is looked after here; None: another process does.
        """
        self._acting_for = acting_for
        self.journal = journal
        self.protector = protector
        self.canceller = Canceller(journal=journal)
        self.tell = tell
        self.now = now
        self._engine = engine
        self._accounts = accounts
        self._executes = executes
        self._lock = threading.Lock()
        self._queued: set[Lane] = set()
        self._pauses: dict[Lane, _Pause] = {}
        self._unseen: dict[Lane, None] = {}
        """Where the last look got no answer, the longest ago first: they are looked at after the others."""

    def submit(self, lane: Lane) -> None:
        """Behind what the lane has; once, however often it is asked for meanwhile."""
        account = self._accounts.get(lane.account)
        if self._acting_for(lane.account) is None:
            return
        with self._lock:
            if account is None or lane in self._queued or not self._executes(lane.account):
                return
            self._queued.add(lane)
        protection_run = ProtectionRun(account=account, category=lane.category, symbol=lane.symbol)
        self._engine.submit(lane, ProtectionTask(lane=lane, lanes=self, protection_run=protection_run))

    def done(self, lane: Lane) -> None:
        with self._lock:
            self._queued.discard(lane)

    def take_up(self, account: str) -> int:
        """All that is guarded there, behind the signals that go on. How many lanes there were."""
        lanes = {_lane_of(each) for each in self.journal.live_brackets(account)}
        with self._lock:
            # Whatever was in a lane before is gone, if it is another process that has had the account meanwhile.
            self._queued = {each for each in self._queued if each.account != account}
        for lane in sorted(lanes):
            self.submit(lane)
        return len(lanes)

    def round(self, account: str) -> None:
        """Look at each bracket, and put a task into its lane where it is not at rest; and where a resting entry's time
        is over.

        Raises JournalUnavailable, which ends the round. Where the account does not answer, the round is over; whatever
        else goes wrong with a bracket is that bracket's alone.
        """
        now_ms = to_ms(self.now())
        for order in self.journal.open_orders(account):
            if is_overdue(order, now_ms):
                planned = order.state.planned
                self.submit(Lane(account=account, category=planned.category, symbol=planned.symbol))
        after = {lane: place for place, lane in enumerate(list(self._unseen), start=1)}
        for record in sorted(self.journal.live_brackets(account), key=lambda each: after.get(_lane_of(each), 0)):
            if not self._could_look_at(record, now_ms):
                return

    def _could_look_at(self, record: BracketRecord, now_ms: int) -> bool:
        """Returns False if its account does not answer."""
        lane = _lane_of(record)
        self._unseen.pop(lane, None)
        right = self._acting_for(record.account)
        if right is None:
            return True
        try:
            with right:
                self._look_at(record, now_ms)
        except JournalUnavailable:
            raise
        except LeaseLost:
            return False
        except ExchangeUnreachable as error:
            self._unseen[lane] = None
            log.warning("the brackets of %s could not be looked at just now: %s", record.account, error)
            return False
        except Exception:
            log.exception("the bracket of %s on %s could not be looked at just now", record.symbol, record.account)
        return True

    def _look_at(self, record: BracketRecord, now_ms: int) -> None:
        lane = _lane_of(record)
        if any(each.is_taken_back for each in record.bracket.tp_legs):
            # The relay cancelled it for an alert: it is to rest again soon, however often that happens.
            self._pauses.pop(lane, None)
        pause = self._pauses.get(lane)
        if pause is not None and self._filled(record) != pause.filled:
            pause = None
        if pause is not None and pause.left > 0:
            pause.left -= 1
            return
        if self._is_at_rest(record, now_ms):
            self._pauses.pop(lane, None)
            return
        left = 1 if pause is None else _PAUSE_MAX_ROUNDS
        self._pauses[lane] = _Pause(left=left, filled=self._filled(record))
        self.submit(lane)

    def _filled(self, record: BracketRecord) -> Decimal:
        orders = _orders(self.journal, (*record.bracket.all_entries, *record.bracket.order_ids), {})
        return sum((each.filled_qty for each in orders.values()), Decimal(0))

    def _is_at_rest(self, record: BracketRecord, now_ms: int) -> bool:
        account = self._accounts.get(record.account)
        instrument = account.market.instrument(record.category, record.symbol) if account is not None else None
        if account is None or instrument is None:
            return True
        bracket = record.bracket
        if bracket.status is BracketStatus.WAITING:
            if not bracket.entries:
                return False
            return isinstance(
                next_protection_step(bracket, entry_snapshot(account, self.journal, record, instrument, {}, now_ms)),
                NoOp,
            )
        if not (bracket.is_watched or bracket.tp_legs or bracket.stale_orders):
            return True
        known: dict[str, OrderState] = {}
        try:
            looked = look(account, self.journal, record, instrument, known, now_ms=now_ms)
        except ExchangeAnswered as error:
            log.warning("the bracket of %s could not be looked at just now: %s", record.symbol, error)
            return True
        except ExchangeUnreachable:
            if bracket.are_stops_set:
                raise
            # Known without a look: its levels are not in place, and a person is told unless its lane gets there.
            return False
        if looked is None:
            return False
        return isinstance(
            next_protection_step(bracket, looked.snapshot(self.journal, record, known, now_ms=now_ms)), NoOp
        )


@dataclass(slots=True, kw_only=True)
class ProtectionTask:
    """Protects a position in its lane: cancels entries whose time is over, then brings the bracket to rest."""

    lane: Lane
    lanes: ProtectionLanes
    protection_run: ProtectionRun
    overdue: dict[str, Resting] | None = None
    failures: int = 0

    def step(self) -> float | None:
        try:
            again_s = self._step()
        except JournalUnavailable as error:
            log.error("the protection of %s waits for the journal: %s", self.lane.symbol, error)
            self._begin_anew()
            return _JOURNAL_AGAIN_S
        except LeaseLost:
            self._begin_anew()
            raise
        if again_s is None:
            self.lanes.done(self.lane)
        return again_s

    def failed(self, error: Exception) -> float | None:
        """Nothing is lost: the next look at the bracket finds again what is to be done."""
        self.failures += 1
        if self.failures < _FAILED_MAX:
            self._begin_anew()
            return float(self.failures)
        self.lanes.done(self.lane)
        return None

    def _begin_anew(self) -> None:
        run = self.protection_run
        self.protection_run = ProtectionRun(account=run.account, category=run.category, symbol=run.symbol)
        self.overdue = None

    def _step(self) -> float | None:
        now_ms = to_ms(self.lanes.now())
        waits = self._expire(now_ms)
        if waits is not None:
            return waits
        came_to = self.lanes.protector.step(self.protection_run, now_ms=now_ms)
        if came_to != _NOW:
            self.protection_run.deferred.flush(self.lanes.journal)
        if not isinstance(came_to, ProtectionEnded):
            return came_to
        if came_to.signal_id is not None and came_to.reason is not None:
            self.lanes.tell(came_to.signal_id, self.lane.account, came_to.reason)
        return None

    def _expire(self, now_ms: int) -> float | None:
        """Returns None if nothing of the relay's rests longer than it may."""
        if self.overdue is None:
            self.overdue = self._find_overdue(now_ms)
        if all(each.order.status.is_ended for each in self.overdue.values()):
            return None
        order = next(each.order for each in self.overdue.values() if not each.order.status.is_ended)
        stored = self.lanes.journal.order(order.client_order_id)
        signal_id = stored.signal_id if stored else ""
        came_to = self.lanes.canceller.step(
            self.protection_run.account, self.overdue, signal_id=signal_id, is_exit=False, now_ms=now_ms
        )
        if not isinstance(came_to, Finish):
            return came_to
        if came_to.reason is not None:
            self.lanes.tell(signal_id, self.lane.account, came_to.reason)
        self.overdue = {}
        return None

    def _find_overdue(self, now_ms: int) -> dict[str, Resting]:
        journal, lane = self.lanes.journal, self.lane
        found = {}
        for record in journal.resting_orders(lane.account, lane.category, lane.symbol):
            if is_overdue(record, now_ms):
                order = record.state
                detail = {"client_order_id": order.client_order_id, "valid_for": order.planned.valid_for_s}
                journal.event(record.signal_id, "order_time_over", detail, now_ms=now_ms)
                found[order.client_order_id] = Resting(order=order)
        return found


def _lane_of(record: BracketRecord) -> Lane:
    return Lane(account=record.account, category=record.category, symbol=record.symbol)
