"""What happened, and what is to be done: the one place that is still right after a kill."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Generic

from sqlalchemy import Connection, func, select
from sqlalchemy.exc import IntegrityError

from relay.domain.bracket import Bracket
from relay.domain.instrument import Category
from relay.domain.order import OrderStatus, Outcome, Reason, RequestSignature, SignalStatus
from relay.domain.position import Fill, OrderReport
from relay.domain.spot import OwnCoins
from relay.journal import engine_queries, orders, rejected
from relay.journal.accept import (
    Admitting,
    StrategyQueries,
    locks_of,
    remove_plans,
    remove_signal,
    reopen_by_hand,
    reopen_in_line,
    take_back,
    undo_reopening,
)
from relay.journal.api_queries import SignalFilter, count_signals, find_orders, find_signal, find_signals, ids_beginning
from relay.journal.orders import BracketRecord
from relay.journal.records import (
    LOGGED_OUT,
    Admission,
    Circumstances,
    ExecutionRecord,
    New,
    NewSignal,
    OrderRecord,
    RefusedPosts,
    Reopened,
    SignalPage,
    Switch,
)
from relay.journal.sqlite import SqliteStore, Writer
from relay.journal.statements import Arriving
from relay.journal.store import Job, JobStage, Store, T
from relay.journal.unit_of_work import UnitOfWork, run_in

ANSWER_DEADLINE_S = 1.8
"""For what is answered over HTTP: a 503 is to be out within 2 s, before the sender gives up."""
WRITE_DEADLINE_S = 10.0
"""For what the execution writes, where nobody waits for an HTTP answer."""

_ENDED_LOOK_S: Final = 0.1
_DATABASE_MS = select(func.extract("epoch", func.clock_timestamp()) * 1000)
_BOOT_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""It goes on while the machine is suspended, where there is such a one."""


def _elapsed_ms() -> int:
    return time.clock_gettime_ns(_BOOT_CLOCK) // 1_000_000


def _admitting(new: NewSignal, now_ms: int, dedup_window_ms: int, aged_ms: int | None) -> Admitting:
    aged = now_ms if aged_ms is None else aged_ms
    return Admitting(new=new, now_ms=now_ms, dedup_window_ms=dedup_window_ms, aged_ms=aged)


@dataclass(frozen=True, slots=True, kw_only=True)
class AtOnce(Generic[T]):
    """What a thread writes by itself: above all an alert with what follows from it, in one transaction."""

    writer: Writer
    job: Job

    @staticmethod
    def of(writer: Writer, *job: Any, **more: Any) -> AtOnce[T]:
        made = Job(*job, **more)
        made.ended.acquire()
        return AtOnce(writer=writer, job=made)

    def write(self, may: Callable[[], bool], *, wait_s: float = 0) -> bool:
        """See `Writer.write_here`. Returns once it has ended, well or not; or False."""
        if not self.writer.write_here(self.job, may, wait_s=wait_s):
            return False
        # Others in the same transaction may have been withdrawn: then the writer's thread does it again.
        while not self._has_ended(_ENDED_LOOK_S) and self.job.stage is not JobStage.WITHDRAWN:
            pass
        return True

    def _has_ended(self, timeout_s: float = -1) -> bool:
        """Two threads may wait for it."""
        has_ended = self.job.ended.acquire(timeout=timeout_s)
        if has_ended:
            self.job.ended.release()
        return has_ended

    def outcome(self) -> tuple[Admission, T | None] | None:
        """What it came to; None if it was withdrawn. Raises what went wrong."""
        if self.job.stage is JobStage.WITHDRAWN:
            return None
        found: tuple[Admission, T | None] = self.job.result()
        return found

    def withdraw(self, deadline_s: float) -> Admission:
        """Raises JournalUnavailable, unless it is durable: then what the alert was admitted as."""
        self.writer.withdraw(self.job, deadline_s)
        self._has_ended()
        found: tuple[Admission, T | None] = self.job.result()
        return found[0]


class Journal:
    """All methods may be called from any thread, and return once what they wrote is durable.

    JournalUnavailable: nothing was written. `now_ms`: the relay's clock, Unix milliseconds.
    """

    def __init__(self, store: Store, *, is_shared: bool = False) -> None:
        """`is_shared`: several processes write it, and whoever accepts takes locks, which give the order."""
        self.store = store
        self._is_shared = is_shared
        self.strategies = StrategyQueries(store)
        self._refusals = rejected.Refusals(store)
        self._rejected = rejected.RejectedToday(store)
        self._steady_from_ms: int | None = None

    def steady_ms(self) -> int:
        """Unix milliseconds by a clock that nobody sets while the relay runs: the database's on Postgres, at first."""
        if self._steady_from_ms is None:
            self._steady_from_ms = self._database_ms() - _elapsed_ms()
        return self._steady_from_ms + _elapsed_ms()

    def _database_ms(self) -> int:
        with self.store.read() as connection:
            if connection.dialect.name != "postgresql":
                return time.time_ns() // 1_000_000
            return int(connection.execute(_DATABASE_MS).scalar_one())

    def accept(
        self,
        new: NewSignal,
        *,
        now_ms: int,
        dedup_window_ms: int,
        aged_ms: int | None = None,
        deadline_s: float = ANSWER_DEADLINE_S,
        on_committed: Callable[[Admission], None] | None = None,
    ) -> Admission:
        """Store a validated alert, unless it is the same as an earlier one: then nothing is to be executed.

        `dedup_window_ms`: how long an alert without `id` counts as the same when its body is; 0: never. `Reopened`:
        the earlier one failed without any effect, so this one is executed. JournalUnavailable: it was not stored.
        `aged_ms`: now, by the clock that the ages of earlier ones are measured on: `steady_ms`, or None for `now_ms`.
        `on_committed`: see `Store.submit`; this is how signals reach their lanes in the order of acceptance.
        """
        admitting = _admitting(new, now_ms, dedup_window_ms, aged_ms)
        submit: Callable[[], Admission] = functools.partial(
            self.store.submit,
            admitting.run,
            holding=locks_of(new) if self._is_shared else (),
            deadline_s=deadline_s,
            on_withdrawn=functools.partial(take_back, admitting) if self._is_shared else admitting.undo,
            on_committed=on_committed,
        )
        try:
            return submit()
        except IntegrityError:
            # Another process stored the same identity between our read and our write; now it is there to be found.
            return submit()

    @property
    def may_write_at_once(self) -> bool:
        """Whether `accept_at_once` is likely to be taken: this process writes alone, and nothing waits for it."""
        store = self.store
        return isinstance(store, SqliteStore) and store.writer is not None and not store.writer.has_waiting

    def accept_at_once(
        self,
        new: NewSignal,
        *,
        now_ms: int,
        dedup_window_ms: int,
        aged_ms: int | None = None,
        and_then: Callable[[UnitOfWork], T],
        on_committed: Callable[[Admission], None],
    ) -> AtOnce[T]:
        """The same as `accept`, to be written by a thread that goes on with the signal: `and_then` writes what follows
        in the same transaction, if it is new, and all that it reads of the journal it reads there. On SQLite only."""
        store = self.store
        assert isinstance(store, SqliteStore) and store.writer is not None, "`may_write_at_once` was asked"
        admitting = _admitting(new, now_ms, dedup_window_ms, aged_ms)

        def work(connection: Connection) -> tuple[Admission, T | None]:
            arriving: list[Arriving] = []
            admission = admitting.run(connection, arriving)
            if not isinstance(admission, New):
                return admission, None
            return admission, store.reading_in(connection, lambda: run_in(and_then, connection, *arriving))

        def undo(connection: Connection, outcome: tuple[Admission, T | None]) -> None:
            admission, followed = outcome
            if followed is not None:
                remove_plans(connection, new.id)
            admitting.undo(connection, admission)

        return AtOnce.of(store.writer, work, undo, on_committed=lambda outcome: on_committed(outcome[0]))

    def reject(
        self,
        *,
        signal_id: str,
        strategy: str | None,
        alert: Mapping[str, Any] | str,
        digest: str,
        reason: Reason,
        fields: Mapping[str, list[str]] | None = None,
        action: str | None = None,
        ticker: str | None = None,
        category: Category | None = None,
        symbol: str | None = None,
        notes: tuple[str, ...] = (),
        now_ms: int,
        deadline_s: float = ANSWER_DEADLINE_S,
    ) -> bool:
        """Store an alert that proved its sender but cannot be executed, so that it is shown.

        `alert`: without the secret; its text where it could not be parsed. `fields`: the problems of each field.
        Returns False if so much of this strategy's was stored today that it was only counted.
        """
        stored = {"text": alert} if isinstance(alert, str) else alert
        if not self._rejected.has_room(strategy, now_ms):
            self._refusals.note(rejected.ONLY_COUNTED, strategy or "", now_ms)
            return False
        self.store.submit(
            lambda connection: rejected.add_rejected(
                connection,
                signal_id=signal_id,
                strategy=strategy,
                alert=stored,
                digest=digest,
                reason=reason,
                fields=fields or {},
                notes=notes,
                shown={"action": action, "ticker": ticker, "category": category, "symbol": symbol},
                now_ms=now_ms,
            ),
            deadline_s=deadline_s,
            on_withdrawn=lambda connection, _: remove_signal(connection, signal_id),
        )
        self._rejected.add(strategy, stored, now_ms)
        return True

    def note_refused(self, kind: str, source: str, *, now_ms: int) -> None:
        """Count a post that did not prove its sender. Does not wait; `source` is an address."""
        self._refusals.note(kind, source, now_ms)

    def reopen(
        self,
        signal_id: str,
        *,
        now_ms: int,
        is_fresh: bool = False,
        deadline_s: float = ANSWER_DEADLINE_S,
        on_committed: Callable[[Reopened], None] | None = None,
    ) -> int:
        """For a person's `retry`: the new generation, to be executed. SignalNotRetryable says why not.

        `is_fresh`: its age counts from now, for this generation.
        """

        def undo(connection: Connection, reopened: Reopened) -> None:
            undo_reopening(connection, signal_id, reopened.generation, now_ms)

        open_again = reopen_in_line if self._is_shared else reopen_by_hand
        reopened: Reopened = self.store.submit(
            lambda connection: open_again(connection, signal_id, now_ms, is_fresh=is_fresh),
            deadline_s=deadline_s,
            on_withdrawn=undo,
            on_committed=on_committed,
        )
        return reopened.generation

    def write(
        self,
        operations: Callable[[UnitOfWork], T],
        *,
        deadline_s: float = WRITE_DEADLINE_S,
        may_take_long: bool = False,
    ) -> T:
        """All of `operations` in one transaction; they may be run more than once, of which one run counts.

        `may_take_long`: nobody waits for this thread, so that it may write by itself, however long the disk takes.
        """
        work, store = functools.partial(run_in, operations), self.store
        if may_take_long and isinstance(store, SqliteStore) and store.writer is not None and store.writer.is_idle:
            here = AtOnce[T].of(store.writer, work)
            if here.write(lambda: True):
                written: T = here.job.result()
                return written
        return store.submit(work, deadline_s=deadline_s)

    def record_attempt(self, client_order_id: str, signature: RequestSignature, *, now_ms: int) -> int:
        """See `Orders.record_attempt`; this and what follows are transactions of their own."""
        return self.write(lambda uow: uow.orders.record_attempt(client_order_id, signature, now_ms=now_ms))

    def record_outcome(self, client_order_id: str, number: int, outcome: Outcome, *, now_ms: int) -> None:
        self.write(lambda uow: uow.orders.record_outcome(client_order_id, number, outcome, now_ms=now_ms))

    def record_absence(self, client_order_id: str, number: int, *, begun_at_ms: int) -> None:
        self.write(lambda uow: uow.orders.record_absence(client_order_id, number, begun_at_ms=begun_at_ms))

    def record_report(
        self, client_order_id: str, report: OrderReport | None, fills: Sequence[Fill] = (), *, now_ms: int
    ) -> bool:
        """Whether anything is new; see `Orders.record_report`."""
        return self.write(lambda uow: uow.orders.record_report(client_order_id, report, fills, now_ms=now_ms))

    def settle_order(self, client_order_id: str, status: OrderStatus, reason: Reason | None, *, now_ms: int) -> bool:
        """Returns False if it had ended already, or was further; see `Orders.settle`."""
        return self.write(lambda uow: uow.orders.settle(client_order_id, status, reason, now_ms=now_ms))

    def finish(
        self,
        signal_id: str,
        account: str,
        status: SignalStatus,
        reason: Reason | None = None,
        notes: Sequence[str] = (),
        *,
        now_ms: int,
    ) -> SignalStatus:
        """What the signal as a whole is at now; see `Signals.finish`."""
        return self.write(lambda uow: uow.signals.finish(signal_id, account, status, reason, notes, now_ms=now_ms))

    def resolve(self, signal_id: str, category: Category, symbol: str) -> None:
        """Name the instrument of a signal that was accepted before the instruments were loaded."""
        self.write(lambda uow: uow.signals.resolve(signal_id, category, symbol))

    def add_notes(self, signal_id: str, notes: Sequence[str]) -> None:
        self.write(lambda uow: uow.signals.add_notes(signal_id, notes))

    def event(self, signal_id: str, name: str, detail: object, *, now_ms: int) -> None:
        self.write(lambda uow: uow.events.add(signal_id, name, detail, now_ms=now_ms))

    def save_bracket(self, seq: int, bracket: Bracket, *, now_ms: int) -> None:
        self.write(lambda uow: uow.protection.save(seq, bracket, now_ms=now_ms))

    def set_switch(self, account: str, name: str, value: str, *, by: str, now_ms: int) -> None:
        """See `UnitOfWork.set_switch`."""
        self.write(lambda uow: uow.set_switch(account, name, value, by=by, now_ms=now_ms))

    def end_session(self, key: str, *, now_ms: int, forget_before_ms: int) -> None:
        """See `UnitOfWork.end_session`."""
        self.write(lambda uow: uow.end_session(key, now_ms=now_ms, forget_before_ms=forget_before_ms))

    def is_session_ended(self, key: str) -> bool:
        return self.switch(key, LOGGED_OUT) is not None

    def hand_over(
        self, receive: Callable[[tuple[ExecutionRecord, ...]], None], *, deadline_s: float = WRITE_DEADLINE_S
    ) -> tuple[ExecutionRecord, ...]:
        """Give all that is unfinished to `receive`, before anything later is committed and before `on_committed` of it.

        `receive` may only read. JournalUnavailable: it was not called.
        """
        # Read in the writer's transaction: what is accepted behind it, in the same transaction too, is not in it. And
        # it can be withdrawn: a signal in it that is answered 503 after all must not be given to anybody.
        return self.store.submit(
            engine_queries.unfinished, deadline_s=deadline_s, on_withdrawn=lambda *_: None, on_committed=receive
        )

    def ordered_among(self, account: str, lanes: Iterable[tuple[Category, str]]) -> frozenset[tuple[Category, str]]:
        """Those of the instruments that the relay has ever sent an order for."""
        with self.store.read() as connection:
            return engine_queries.ordered_among(connection, account, lanes)

    def expected_positions(self, account: str) -> dict[tuple[Category, str], Decimal]:
        """What the relay expects each position to be, signed, from the last check and its own fills since."""
        with self.store.read() as connection:
            return orders.expected_positions(connection, account)

    def live_brackets(self, account: str | None = None) -> tuple[BracketRecord, ...]:
        """Those that wait or are active, oldest first, of one account or of all."""
        with self.store.read() as connection:
            return orders.live_brackets(connection, account)

    def holdings(self, account: str) -> dict[str, OwnCoins]:
        """By symbol, the coins of an account that are the relay's own."""
        with self.store.read() as connection:
            return orders.holdings(connection, account)

    def uncounted_orders(self, account: str, symbol: str) -> tuple[OrderRecord, ...]:
        """Orders for coins that have filled more than the fills that are known of them."""
        with self.store.read() as connection:
            return engine_queries.uncounted_orders(connection, account, symbol)

    def live_brackets_of(self, account: str, category: Category, symbol: str) -> tuple[BracketRecord, ...]:
        """Those of one account and instrument, oldest first."""
        with self.store.read() as connection:
            return orders.live_brackets_of(connection, account, category, symbol)

    def unfinished(self) -> tuple[ExecutionRecord, ...]:
        """What is to be gone on with after a start, in the order in which it is to be executed."""
        with self.store.read() as connection:
            return engine_queries.unfinished(connection)

    def unfinished_of(self, account: str, category: Category, symbol: str) -> tuple[ExecutionRecord, ...]:
        """What is unfinished of one lane, in the order in which it is to be executed."""
        with self.store.read() as connection:
            return engine_queries.unfinished_of(connection, account, category, symbol)

    def in_attention(self, account: str) -> tuple[ExecutionRecord, ...]:
        """What of an account needs a person, the oldest first; only the newest signals if there are many."""
        with self.store.read() as connection:
            return engine_queries.in_attention(connection, account)

    def accounts_in_attention(self) -> frozenset[str]:
        """Where any signal needs a person."""
        with self.store.read() as connection:
            return engine_queries.accounts_in_attention(connection)

    def execution(self, signal_id: str, account: str) -> ExecutionRecord | None:
        with self.store.read() as connection:
            return engine_queries.execution(connection, signal_id, account)

    def executions_of(self, signal_id: str) -> tuple[ExecutionRecord, ...]:
        with self.store.read() as connection:
            return engine_queries.executions_of(connection, signal_id)

    def order(self, client_order_id: str) -> OrderRecord | None:
        with self.store.read() as connection:
            return engine_queries.order(connection, client_order_id)

    def open_orders(self, account: str | None = None) -> tuple[OrderRecord, ...]:
        """All orders that may be at the exchange and have not ended, of one account or of all."""
        of = {} if account is None else {"account": account}
        with self.store.read() as connection:
            return engine_queries.open_orders(connection, **of)

    def accounts_with_work(self) -> frozenset[str]:
        """Those with an order that may be at the exchange and has not ended, or with a bracket that is not over."""
        with self.store.read() as connection:
            return engine_queries.accounts_with_work(connection)

    def cancels_wanted(self, account: str) -> tuple[OrderRecord, ...]:
        """The account's open orders of which a person wants the end, and the exchange has not answered since."""
        with self.store.read() as connection:
            return engine_queries.cancels_wanted(connection, account)

    def is_unwanted(self, client_order_id: str) -> bool:
        """Whether a person has asked for the order's end."""
        with self.store.read() as connection:
            return engine_queries.is_unwanted(connection, client_order_id)

    def denied_in_doubt(self, *, since_ms: int, of_signals_since_ms: int) -> tuple[OrderRecord, ...]:
        """Orders that were denied since then although a send of theirs was once in doubt."""
        with self.store.read() as connection:
            return engine_queries.denied_in_doubt(
                connection, since_ms=since_ms, of_signals_since_ms=of_signals_since_ms
            )

    def resting_orders(self, account: str, category: Category, symbol: str) -> tuple[OrderRecord, ...]:
        """The relay's own limits and conditionals of an instrument that have not ended."""
        with self.store.read() as connection:
            found = engine_queries.open_orders(connection, account=account, category=category, symbol=symbol)
        return tuple(each for each in found if each.may_rest)

    def circumstances(self, account: str, category: Category, symbol: str) -> Circumstances:
        """What the journal knows that matters to every plan for the instrument."""
        with self.store.read() as connection:
            return engine_queries.circumstances(connection, account, category, symbol)

    def switches(self) -> tuple[Switch, ...]:
        with self.store.read() as connection:
            return engine_queries.all_switches(connection)

    def switch(self, account: str, name: str) -> Switch | None:
        return next((each for each in self.switches() if (each.account, each.name) == (account, name)), None)

    def signals(
        self,
        *,
        strategy: str | None = None,
        account: str | None = None,
        symbol: str | None = None,
        status: SignalStatus | None = None,
        limit: int = 50,
        cursor: str | None = None,
        attention_first: bool = False,
        text: str | None = None,
        needs_a_person: bool = False,
    ) -> SignalPage:
        """The latest first, each in full. ValueError if `cursor` is not one of an earlier page of the same list."""
        which = SignalFilter(
            strategy=strategy,
            account=account,
            symbol=symbol,
            status=status,
            text=text,
            needs_a_person=needs_a_person,
        )
        with self.store.read() as connection:
            return find_signals(connection, which, limit=limit, cursor=cursor, attention_first=attention_first)

    def ids_beginning(self, text: str) -> tuple[str, ...]:
        """The signal of that id, or those whose ids begin so: two at most, which is enough to know it is not one."""
        with self.store.read() as connection:
            return ids_beginning(connection, text)

    def signal(self, signal_id: str) -> dict[str, Any] | None:
        """A signal in the contract's form, with its orders and events."""
        with self.store.read() as connection:
            return find_signal(connection, signal_id)

    def orders(
        self,
        *,
        account: str | None = None,
        symbol: str | None = None,
        status: OrderStatus | None = None,
        open_only: bool = False,
        limit: int = 100,
    ) -> list[dict[str, Any]]:
        """The latest first, in the contract's form."""
        with self.store.read() as connection:
            return find_orders(
                connection, account=account, symbol=symbol, status=status, open_only=open_only, limit=limit
            )

    def counts(self) -> dict[SignalStatus, int]:
        with self.store.read() as connection:
            return count_signals(connection)

    def refused(self) -> list[RefusedPosts]:
        return self._refusals.counted()

    def check(self) -> None:
        """JournalUnavailable if it cannot be read, or if writing failed last time and still does."""
        self.store.probe()

    def close(self) -> None:
        """Close the journal, once everything submitted is finished."""
        self._refusals.hasten()
        self.store.close()
