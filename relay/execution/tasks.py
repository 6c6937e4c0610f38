"""A signal's work on one account as the lanes take it, from the journal's record, in the order of acceptance."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final, Protocol

from relay.app.telemetry import about
from relay.domain.instrument import Category, Instrument, SymbolUnknown
from relay.domain.order import Reason, SignalStatus
from relay.domain.progress import Finish
from relay.domain.signal import Signal, made_at_ms
from relay.domain.spot import market_of
from relay.engine.lanes import ClaimedEngine, Lane, LaneTask
from relay.engine.lease_guard import LeaseLost
from relay.errors import JournalUnavailable
from relay.execution.execute import Executor, FirstOrder
from relay.execution.ports import Account, to_ms, utc_now
from relay.execution.work import ReceiptTime, Strategy, Work, resumed, rules_of, steady_s, stored_signal
from relay.journal.journal import AtOnce, Journal
from relay.journal.records import Admission, ExecutionRecord, New, Reopened
from relay.journal.unit_of_work import UnitOfWork

log = logging.getLogger(__name__)

_JOURNAL_AGAIN_S = 0.5
_FAILED_AGAIN_S = 5.0
_FAILURES_MAX = 5
_RECEIVED_MAX = 10_000
_TURN_S = 0.003
"""So long a lone alert waits for the end of another's commit, rather than for two commits of its own."""

Placed = tuple[Lane, LaneTask]


class Tasks:
    """Makes the tasks of signals, each with the lane it belongs to. Thread-safe."""

    def __init__(
        self,
        *,
        journal: Journal,
        executor: Executor,
        accounts: Mapping[str, Account],
        strategies: Mapping[str, Strategy],
        steady: Callable[[], float] = steady_s,
        shared_ms: Callable[[], int] | None = None,
    ) -> None:
        """`steady`: seconds on a clock that does not jump. `shared_ms`: where several processes receive, the Unix
        milliseconds by which all of them note when: their machines' own clocks may differ."""
        self._shared_ms = shared_ms
        self._journal = journal
        self._executor = executor
        self._accounts = accounts
        self._strategies = strategies
        self._steady = steady
        self._received: dict[str, ReceiptTime] = {}
        """The latest signals of this process's own, oldest first."""

    @property
    def accounts(self) -> tuple[str, ...]:
        """Those that are configured."""
        return tuple(self._accounts)

    def note_received(self, signal: Signal) -> None:
        """From now on its age is counted, whatever this machine's clock is set to meanwhile. One thread calls it.

        One that came by mail was received earlier, by the clock of the server that took it.
        """
        signal_id, ago_s = signal.id, made_at_ms(signal.id) / 1000 - signal.received_at.timestamp()
        at_s = self._steady() - max(ago_s, 0)
        self._received[signal_id] = ReceiptTime(at_s=at_s, steady=self._steady)
        if len(self._received) > _RECEIVED_MAX:
            del self._received[next(iter(self._received))]

    def received(self, signal: Signal) -> ReceiptTime | None:
        """When this process received it, or another one has."""
        return self._received.get(signal.id) or self._received_elsewhere(signal)

    def of_new(self, signal: Signal, account: str) -> tuple[Lane, _Task]:
        rules = rules_of(self._strategies, signal.strategy, account)
        return self._placed(Work(signal=signal, account=self._accounts[account], rules=rules, generation=0))

    def of_stored(self, execution: ExecutionRecord) -> Placed | None:
        """Returns None if there is nothing to do.

        What cannot be taken up is told to a person, and keeps no other from it.
        """
        try:
            return self._taken_up(execution)
        except Exception as error:
            log.exception("signal %s cannot be taken up", execution.signal.id)
            record = execution.signal
            symbol = record.symbol or record.ticker or ""
            lane = Lane(account=execution.account, category=record.category or Category.LINEAR, symbol=symbol)
            why = f"it could not be read back from the journal ({type(error).__name__}; the relay's log has more)"
            return lane, _Unreadable(execution=execution, journal=self._journal, why=why)

    def _taken_up(self, execution: ExecutionRecord) -> Placed | None:
        account = self._accounts.get(execution.account)
        if account is None:
            log.error("%s waits for account %s, which is not configured", execution.signal.id, execution.account)
            return None
        if execution.status.is_finished:
            return None
        signal = stored_signal(execution.signal)
        rules = rules_of(self._strategies, signal.strategy, account.name)
        return self._placed(resumed(signal, account, rules, execution))

    def _placed(self, work: Work) -> tuple[Lane, _Task]:
        """The task and its lane. A signal that was accepted before the instruments were loaded is resolved here."""
        signal = work.signal
        work.received = self.received(signal)
        unresolved = None
        if signal.category is None or signal.symbol is None:
            unresolved = self.meaning_of(signal, work)
            found = unresolved if isinstance(unresolved, Instrument) else None
            category, symbol = (found.category, found.symbol) if found else (Category.LINEAR, signal.ticker or "")
            work.signal = signal = replace(signal, category=category, symbol=symbol)
        assert signal.category is not None and signal.symbol is not None
        lane = Lane(account=work.account.name, category=signal.category, symbol=signal.symbol)
        return lane, _Task(work=work, executor=self._executor, journal=self._journal, unresolved=unresolved)

    def _received_elsewhere(self, signal: Signal) -> ReceiptTime | None:
        if self._shared_ms is None:
            return None
        age_s = (self._shared_ms() - to_ms(signal.received_at)) / 1000
        return ReceiptTime(at_s=self._steady() - age_s, steady=self._steady)

    def meaning_of(self, signal: Signal, work: Work) -> Instrument | SymbolUnknown:
        index = self._accounts[work.account.name].market.symbol_index
        assert index is not None, "nothing is executed before the instruments are loaded"
        return index.resolve(signal.ticker or "", signal.exchange, market_of(signal, work.rules))


def _internal_error(why: str) -> Reason:
    return Reason(code="INTERNAL_ERROR", message=f"{why}; look at the exchange before anything is sent again")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Unreadable:
    """Stands for work that cannot be read back from the journal: ends the signal with `attention`."""

    execution: ExecutionRecord
    journal: Journal
    why: str

    def step(self) -> float | None:
        signal_id, reason = self.execution.signal.id, _internal_error(self.why)
        try:
            self.journal.finish(
                signal_id, self.execution.account, SignalStatus.ATTENTION, reason, now_ms=to_ms(utc_now())
            )
        except JournalUnavailable as error:
            log.error("signal %s waits for the journal: %s", signal_id, error)
            return _JOURNAL_AGAIN_S
        return None

    def failed(self, error: Exception) -> float | None:
        return _FAILED_AGAIN_S


@dataclass(slots=True, kw_only=True)
class _Task:
    """A work in its lane. After a step that failed, memory may be behind the journal: the journal is right."""

    work: Work
    executor: Executor
    journal: Journal
    unresolved: Instrument | SymbolUnknown | None = None
    """What the signal's ticker means, where the journal does not know that yet."""
    is_stale: bool = False
    failures: int = 0

    def step(self) -> float | None:
        return self._guarded(self._step)

    def leave(self, first: FirstOrder, on_sent: Callable[[], None]) -> float | None:
        """Send the first order, whose attempt is written down; then there is more to do."""

        def send() -> float:
            self.executor.leave(self.work, first, on_sent)
            return 0.0

        return self._guarded(send)

    def _step(self) -> float | None:
        if (self.is_stale and not self._reload()) or (self.unresolved is not None and not self._name(self.unresolved)):
            return None
        return self.executor.step(self.work)

    def _guarded(self, step: Callable[[], float | None]) -> float | None:
        try:
            with about(signal_id=self.work.signal.id, account=self.work.account.name):
                delay = step()
            if self.work.is_planned:
                # Before that a step may do what the one that failed has done again: no progress, however often.
                self.failures = 0
            return delay
        except JournalUnavailable as error:
            self.is_stale = True
            log.error("signal %s waits for the journal: %s", self.work.signal.id, error)
            return _JOURNAL_AGAIN_S
        except LeaseLost:
            self.is_stale = True
            raise

    def failed(self, error: Exception) -> float | None:
        """An unexpected error: the work is read again from the journal, and in the end a person is called."""
        self.is_stale = True
        self.failures += 1
        if self.failures < _FAILURES_MAX:
            return float(self.failures)
        why = f"the relay failed on it {self.failures} times ({type(error).__name__}; its log has more)"
        try:
            finish = Finish(status=SignalStatus.ATTENTION, reason=_internal_error(why))
            self.executor.end(self.work.signal, self.work.account.name, finish)
        except JournalUnavailable:
            return _JOURNAL_AGAIN_S
        return None

    def _name(self, meant: Instrument | SymbolUnknown) -> bool:
        """Returns False if there is no such instrument, and that is how the signal ends."""
        signal = self.work.signal
        if isinstance(meant, SymbolUnknown):
            reason = Reason(code="SYMBOL_UNKNOWN", message=meant.message)
            self.executor.end(signal, self.work.account.name, Finish(status=SignalStatus.DENIED, reason=reason))
            return False
        self.journal.resolve(signal.id, meant.category, meant.symbol)
        self.unresolved = None
        return True

    def _reload(self) -> bool:
        """Returns False if it was finished before its last step failed."""
        execution = self.journal.execution(self.work.signal.id, self.work.account.name)
        if execution is None or execution.status.is_finished:
            return False
        received = self.work.received
        self.work = resumed(self.work.signal, self.work.account, self.work.rules, execution)
        self.work.received = received
        self.is_stale = False
        return True


# A lone alert: its lane's thread accepts it, plans and writes its first order down in one transaction, then sends.


_CROWD_S = 0.2


class Arrivals:
    """Requests that are being taken just now: a context for each thread. One at a time may open its lane by itself.

    Of many at once the first one's order leaves while the others wait a moment: Python runs one thread at a time, and
    its lane would be one of fifty that want to run. The rest are accepted together, which costs less for each.
    """

    def __init__(self) -> None:
        self._here = set[int]()
        self._opening = threading.Lock()
        self._opened_at = -math.inf
        self.wait_s = 0.1

    def __enter__(self) -> None:
        if (me := threading.get_ident()) in self._here:
            return
        self._here.add(me)
        if self._opening.locked() and self._opening.acquire(timeout=self.wait_s):
            self._opening.release()

    def __exit__(self, *_: object) -> None:
        self.leave()

    def leave(self) -> None:
        """What this thread does from now on is not for an alert's being taken; harmless if it has left."""
        self._here.discard(threading.get_ident())

    def is_over(self) -> bool:
        """Whether nobody waits for an answer but, perhaps, the one whose alert has just been accepted.

        Until then the lanes of a crowd wait: what they do next takes long, and each answer would be late by some of it.
        """
        return len(self._here) <= 1

    def may_open(self) -> Callable[[], None] | None:
        """What is to be called once the order has left, or has not; by any thread, and more than once if need be."""
        is_crowd = len(self._here) > 1 and time.monotonic() - self._opened_at < _CROWD_S
        if is_crowd or not self._opening.acquire(blocking=False):
            return None
        self._opened_at = time.monotonic()
        ends = [self._opening.release]

        def opened() -> None:
            with suppress(IndexError):
                ends.pop()()

        return opened


ARRIVALS: Final = Arrivals()
"""Of this process, as Python's lock is."""


class Accepting(Protocol):
    """`Journal.accept_at_once` for one alert."""

    def __call__(self, *, and_then: Callable[[UnitOfWork], FirstOrder | None]) -> AtOnce[FirstOrder | None]: ...


class Opening:
    """A lane's task, from before its signal is accepted. Whoever brought the alert waits for `admission`.

    Where it cannot be so, for the journal or the lane is busy, nothing was done and the alert is accepted as always.
    """

    def __init__(
        self,
        *,
        task: _Task,
        lane: Lane,
        lanes: ClaimedEngine,
        items: Tasks,
        accepting: Accepting,
        unclaim: Callable[[], None],
        opened: Callable[[], None],
    ) -> None:
        self._task, self._lane, self._lanes, self._items = task, lane, lanes, items
        self._unclaim, self._opened = unclaim, opened
        self._accepted = accepting(and_then=self._plan)
        self._answered = threading.Lock()
        self._answered.acquire()
        self._answer: Admission | Exception | None = None
        self._has_answered = self._is_admitted = False

    def admission(self, deadline_s: float) -> Admission | None:
        """Once the order has left, or as soon as it is durable where that must wait; None: to be accepted as always.

        JournalUnavailable: it was not stored, and takes no effect any more.
        """
        if not self._answered.acquire(timeout=deadline_s):
            self._opened()
            return self._accepted.withdraw(deadline_s)
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer

    def step(self) -> float | None:
        return self._task.step() if self._is_admitted else self._open()

    def failed(self, error: Exception) -> float | None:
        if self._is_admitted:
            return self._task.failed(error)
        self._unclaim()
        self._tell(None)
        return None

    def _open(self) -> float | None:
        turn = self._task.executor.turn(self._lane.account)
        is_written = False
        if turn.acquire(blocking=False):
            try:
                is_written = self._accepted.write(lambda: self._lanes.has_only(self._lane, self), wait_s=_TURN_S)
            finally:
                turn.release()
        self._unclaim()
        if is_written:
            return self._go_on()
        self._tell(None)
        return None

    def _go_on(self) -> float | None:
        try:
            outcome = self._accepted.outcome()
        except JournalUnavailable as error:
            self._tell(error)
            return None
        if outcome is None or not isinstance(outcome[0], New):
            self._tell(outcome[0] if outcome else None)
            return None
        self._is_admitted = True
        admission, first = outcome
        if first is None:
            self._tell(admission)
            return self._task.step()
        try:
            return self._task.leave(first, lambda: self._tell(admission))
        finally:
            self._tell(admission)

    def _plan(self, uow: UnitOfWork) -> FirstOrder | None:
        """In the transaction, once the signal is new."""
        work = self._task.work
        self._items.note_received(work.signal)
        work.received = self._items.received(work.signal)
        return self._task.executor.plan_at_once(work, uow)

    def _tell(self, answer: Admission | Exception | None) -> None:
        """Once: the first answer counts."""
        self._opened()
        if not self._has_answered:
            self._has_answered, self._answer = True, answer
            self._answered.release()


# From the journal's admission to the lanes: in the order of acceptance, whoever's thread comes first.


class Feeder(Protocol):
    """What becomes of signals once they are accepted, whichever engine executes them."""

    @property
    def is_open(self) -> bool:
        """Whether what is accepted is executed at once, on one account at least."""

    def at_once(self, signal: Signal, accounts: tuple[str, ...], accepting: Accepting) -> Opening | None:
        """The signal's way with one commit, begun; None: it is to be accepted as always."""

    def admitted(self, admission: Admission, signal: Signal, accounts: tuple[str, ...]) -> None:
        """Called right after the commit; it only reads."""

    def opened_again(self, reopened: Reopened) -> None:
        """The same for a signal that was opened again, with what the transaction that did it had of it."""


class Runner:
    """Feeds an engine, each account from when `recover` has put in what the journal holds of it.

    Until then what is admitted for it waits in the journal.
    """

    def __init__(self, *, journal: Journal, engine: ClaimedEngine, items: Tasks) -> None:
        self._journal = journal
        self._engine = engine
        self._items = items
        self._open: set[str] = set()
        self._claimed: set[str] = set()
        """Signals that have their lane already, from before they are accepted."""

    @property
    def is_open(self) -> bool:
        return bool(self._open)

    def is_open_for(self, account: str) -> bool:
        return account in self._open

    def at_once(self, signal: Signal, accounts: tuple[str, ...], accepting: Accepting) -> Opening | None:
        if not self._journal.may_write_at_once or len(accounts) != 1 or accounts[0] not in self._open:
            return None
        if signal.category is None or signal.symbol is None:
            return None
        if (opened := ARRIVALS.may_open()) is None:
            return None
        opening = None
        try:
            opening = self._opening(signal, accounts[0], accepting, opened)
        finally:
            if opening is None:
                opened()
        return opening

    def _opening(
        self, signal: Signal, account: str, accepting: Accepting, opened: Callable[[], None]
    ) -> Opening | None:
        """In its lane already; None if that is not free."""
        lane, task = self._items.of_new(signal, account)
        opening = Opening(
            task=task,
            lane=lane,
            lanes=self._engine,
            items=self._items,
            accepting=accepting,
            unclaim=lambda: self._claimed.discard(signal.id),
            opened=opened,
        )
        self._claimed.add(signal.id)
        if not self._engine.claim(lane, opening):
            self._claimed.discard(signal.id)
            return None
        return opening

    def admitted(self, admission: Admission, signal: Signal, accounts: tuple[str, ...]) -> None:
        """Called in the journal's writer thread, so in the order of acceptance."""
        match admission:
            case New() if signal.id in self._claimed:
                pass  # it has its lane already
            case New():
                self._items.note_received(signal)
                for name in accounts:
                    if name in self._open:
                        self._engine.submit_when(*self._items.of_new(signal, name), ARRIVALS.is_over)
            case Reopened():
                self.opened_again(admission)

    def opened_again(self, reopened: Reopened) -> None:
        for execution in reopened.assignments:
            if execution.account in self._open:
                self._resume(execution)

    def recover(self, *accounts: str) -> int:
        """Put what is unfinished of the accounts into its lanes, oldest first, and open the way for what comes.

        `accounts`: none named is all. Returns how many there were. Happens between two transactions of the journal's
        writer: what is accepted later is not among it, and is submitted behind it. Raises JournalUnavailable; then
        nothing was submitted.
        """
        opening = set(accounts or self._items.accounts) - self._open
        taken_up = 0

        def take_up(unfinished: tuple[ExecutionRecord, ...]) -> None:
            nonlocal taken_up
            strange = set() if self._open else {each.account for each in unfinished} - set(self._items.accounts)
            own = [each for each in unfinished if each.account in opening | strange]
            for execution in own:
                self._resume(execution)
            self._open |= opening
            taken_up = len(own)

        self._journal.hand_over(take_up)
        return taken_up

    def _resume(self, execution: ExecutionRecord) -> None:
        placed = self._items.of_stored(execution)
        if placed is not None:
            self._engine.submit(*placed)
