"""What happened, and what is to be done: the one place that is still right after a kill."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from relay.domain.instrument import Category
from relay.domain.order import OrderStatus, Reason
from relay.domain.status import SignalStatus
from relay.journal import beliefs, following, queries, rejection
from relay.journal.admission import Admitting, remove_signal, undo_reopening
from relay.journal.execution import Batch, written
from relay.journal.guards import GuardReads
from relay.journal.queries import SignalFilter
from relay.journal.queued import Queue, admit, locks_of, reopen, take_back
from relay.journal.records import (
    Admission,
    Assignment,
    Circumstances,
    NewSignal,
    OrderRecord,
    RefusedPosts,
    Reopened,
    SignalPage,
    Switch,
)
from relay.journal.store import Store
from relay.journal.strategies import StrategyReads

P = ParamSpec("P")
T = TypeVar("T")
ANSWER_DEADLINE_S = 1.8
"""For what is answered over HTTP: a 503 is to be out within 2 s, before the sender gives up."""
WRITE_DEADLINE_S = 10.0
"""For what the pipeline writes, where nobody waits for an HTTP answer."""


def _alone(operation: Callable[Concatenate[Batch, P], T]) -> Callable[Concatenate[Journal, P], T]:
    """An operation of `Batch` as a transaction of its own."""

    def call(self: Journal, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.write(lambda batch: operation(batch, *args, **kwargs))

    call.__doc__ = operation.__doc__
    return call


class Journal(GuardReads):
    """All methods may be called from any thread, and return once what they wrote is durable.

    JournalUnavailable: nothing was written. `now_ms`: the relay's clock, Unix milliseconds.
    """

    def __init__(self, store: Store, queue: Queue | None = None) -> None:
        """`queue`: where several processes share the work, what is told of it in the transaction that accepts it."""
        self.store = store
        self.queue = queue
        self.strategies = StrategyReads(store)
        self._refusals = rejection.Refusals(store)

    def accept(
        self,
        new: NewSignal,
        *,
        now_ms: int,
        dedup_window_ms: int,
        deadline_s: float = ANSWER_DEADLINE_S,
        on_committed: Callable[[Admission], None] | None = None,
    ) -> Admission:
        """Keep a validated alert, unless it is the same as an earlier one: then nothing is to be executed.

        `dedup_window_ms`: how long an alert without `id` counts as the same when its body is; 0: never. `Reopened`:
        the earlier one failed without any effect, so this one is executed. JournalUnavailable: it was not kept.
        `on_committed`: see `Store.submit`; this is how signals reach their lanes in the order of acceptance.
        """
        admitting = Admitting(new=new, now_ms=now_ms, dedup_window_ms=dedup_window_ms)
        queue = self.queue
        submit: Callable[[], Admission] = functools.partial(
            self.store.submit,
            admitting.run if queue is None else lambda connection: admit(connection, admitting, queue),
            holding=() if queue is None else locks_of(new),
            deadline_s=deadline_s,
            on_withdrawn=admitting.undo if queue is None else functools.partial(take_back, admitting),
            on_committed=on_committed,
        )
        try:
            return submit()
        except IntegrityError:
            # Another process kept the same identity between our look and our write; now it is there to be found.
            return submit()

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
    ) -> None:
        """Keep an alert that proved its sender but cannot be executed, to be shown.

        `alert`: without the secret; its text where it could not be parsed. `fields`: the problems of each field.
        """
        self.store.submit(
            lambda connection: rejection.add_rejected(
                connection,
                signal_id=signal_id,
                strategy=strategy,
                alert={"text": alert} if isinstance(alert, str) else alert,
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

    def note_refused(self, kind: str, source: str, *, now_ms: int) -> None:
        """Count a post that did not prove its sender. Does not wait; `source` is an address."""
        self._refusals.note(kind, source, now_ms)

    def reopen(
        self,
        signal_id: str,
        *,
        now_ms: int,
        deadline_s: float = ANSWER_DEADLINE_S,
        on_committed: Callable[[Reopened], None] | None = None,
    ) -> int:
        """For a person's `retry`: the new generation, to be executed. SignalNotRetryable says why not."""

        def undo(connection: Connection, reopened: Reopened) -> None:
            undo_reopening(connection, signal_id, reopened.generation, now_ms)

        reopened: Reopened = self.store.submit(
            lambda connection: reopen(connection, signal_id, now_ms, self.queue),
            deadline_s=deadline_s,
            on_withdrawn=undo,
            on_committed=on_committed,
        )
        return reopened.generation

    def write(self, operations: Callable[[Batch], T], *, deadline_s: float = WRITE_DEADLINE_S) -> T:
        """All of `operations` in one transaction; they may be run more than once, of which one run counts."""
        return self.store.submit(lambda connection: written(connection, operations), deadline_s=deadline_s)

    begin = _alone(Batch.begin)
    record_plan = _alone(Batch.record_plan)
    add_orders = _alone(Batch.add_orders)
    record_attempt = _alone(Batch.record_attempt)
    record_outcome = _alone(Batch.record_outcome)
    record_absence = _alone(Batch.record_absence)
    record_report = _alone(Batch.record_report)
    settle_order = _alone(Batch.settle_order)
    finish = _alone(Batch.finish)
    event = _alone(Batch.event)
    add_notes = _alone(Batch.add_notes)
    observe = _alone(Batch.observe)
    keep_guard = _alone(Batch.keep_guard)
    set_switch = _alone(Batch.set_switch)

    def hand_over(
        self, receive: Callable[[tuple[Assignment, ...]], None], *, deadline_s: float = WRITE_DEADLINE_S
    ) -> tuple[Assignment, ...]:
        """Give all that is unfinished to `receive`, before anything later is committed and before `on_committed` of it.

        `receive` may only read. JournalUnavailable: it was not called.
        """
        # Read in the writer's transaction: what is accepted behind it, in the same transaction too, is not in it. And
        # it can be withdrawn: a signal in it that is answered 503 after all must not be given to anybody.
        return self.store.submit(
            following.unfinished, deadline_s=deadline_s, on_withdrawn=lambda *_: None, on_committed=receive
        )

    def resolve(self, signal_id: str, category: Category, symbol: str) -> None:
        """Name the instrument of a signal that was accepted before the instruments were loaded."""
        self.write(lambda batch: batch.resolve(signal_id, category, symbol))

    def ordered_among(self, account: str, lanes: Iterable[tuple[Category, str]]) -> frozenset[tuple[Category, str]]:
        """Those of the instruments that the relay has ever sent an order for."""
        with self.store.read() as connection:
            return following.ordered_among(connection, account, lanes)

    def believed(self, account: str) -> dict[tuple[Category, str], Decimal]:
        """What the relay believes each position to be, signed, from the last look and its own fills since."""
        with self.store.read() as connection:
            return beliefs.believed(connection, account)

    def unfinished(self) -> tuple[Assignment, ...]:
        """What is to be gone on with after a start, in the order in which it is to be executed."""
        with self.store.read() as connection:
            return following.unfinished(connection)

    def unfinished_of(self, account: str, category: Category, symbol: str) -> tuple[Assignment, ...]:
        """Of one lane."""
        with self.store.read() as connection:
            return following.unfinished_of(connection, account, category, symbol)

    def assignment(self, signal_id: str, account: str) -> Assignment | None:
        with self.store.read() as connection:
            return following.assignment(connection, signal_id, account)

    def assignments_of(self, signal_id: str) -> tuple[Assignment, ...]:
        with self.store.read() as connection:
            return following.assignments_of(connection, signal_id)

    def order(self, client_order_id: str) -> OrderRecord | None:
        with self.store.read() as connection:
            return following.order(connection, client_order_id)

    def open_orders(self) -> tuple[OrderRecord, ...]:
        """All orders that may be at the exchange and have not ended."""
        with self.store.read() as connection:
            return following.open_orders(connection)

    def denied_in_doubt(self, *, since_ms: int, of_signals_since_ms: int) -> tuple[OrderRecord, ...]:
        """Orders that were denied since then although a send of theirs was once in doubt."""
        with self.store.read() as connection:
            return following.denied_in_doubt(connection, since_ms=since_ms, of_signals_since_ms=of_signals_since_ms)

    def resting_orders(self, account: str, category: Category, symbol: str) -> tuple[OrderRecord, ...]:
        """The relay's own limits and conditionals of an instrument that have not ended."""
        with self.store.read() as connection:
            return following.resting_orders(connection, account, category, symbol)

    def circumstances(self, account: str, category: Category, symbol: str) -> Circumstances:
        """What bears on every plan for the instrument."""
        with self.store.read() as connection:
            return following.circumstances(connection, account, category, symbol)

    def switches(self) -> tuple[Switch, ...]:
        with self.store.read() as connection:
            return following.all_switches(connection)

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
    ) -> SignalPage:
        """The latest first, each in full. ValueError if `cursor` is not one of an earlier page of the same list."""
        which = SignalFilter(strategy=strategy, account=account, symbol=symbol, status=status, text=text)
        with self.store.read() as connection:
            return queries.find_signals(connection, which, limit=limit, cursor=cursor, attention_first=attention_first)

    def signal(self, signal_id: str) -> dict[str, Any] | None:
        """A signal in the contract's form, with its orders and events."""
        with self.store.read() as connection:
            return queries.find_signal(connection, signal_id)

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
            return queries.find_orders(
                connection, account=account, symbol=symbol, status=status, open_only=open_only, limit=limit
            )

    def counts(self) -> dict[SignalStatus, int]:
        with self.store.read() as connection:
            return queries.count_signals(connection)

    def refused(self) -> list[RefusedPosts]:
        return self._refusals.counted()

    def check(self) -> None:
        """JournalUnavailable if it cannot be read, or if writing failed last time and still does."""
        self.store.probe()

    def close(self) -> None:
        """Everything submitted is finished first."""
        self._refusals.hasten()
        self.store.close()
