"""Follow the orders that rest at the exchange to their end, by streams and look-ups, beside the lanes and never in
their way."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from dataclasses import replace

from relay.bybit.stream import LinkState
from relay.bybit.stream_state import Received, Wake
from relay.bybit.streamed import StreamedExchange
from relay.domain.bracket import FIRST_TAKE_PROFIT_LEG
from relay.domain.instrument import Category, plain
from relay.domain.order import OrderStatus, Reason, SignalStatus
from relay.domain.order_lifecycle import EXIT_WAITED, OUTCOME_UNKNOWN, OrderState, looked_up, reported
from relay.domain.progress import (
    ENDED_UNFILLED,
    OF_THE_POSITION,
    UNCLEARED,
    Finish,
    LookAtPosition,
    progress,
    settled,
)
from relay.engine.lanes import Lane
from relay.engine.lease_guard import LeaseLost
from relay.errors import ExchangeAnswered, ExchangeUnreachable, JournalUnavailable
from relay.execution.bookkeeping import BookedExchange, Bookkeeper
from relay.execution.orders import cancel_by_hand, is_moved_since_sent, report_of
from relay.execution.ports import Account, ExchangePort, Now, to_ms, utc_now
from relay.execution.protection import ActingFor, ProtectionLanes
from relay.journal.journal import Journal
from relay.journal.ledger import Ledger
from relay.journal.records import ExecutionRecord, OrderRecord
from relay.journal.unit_of_work import UnitOfWork

# What is known of an order only after its lane has gone on without it: an end that was in doubt is found.


_NEVER_WAS = "the order never arrived at the exchange, and nothing of it is there"


class Settling:
    """Looks for one order at a time; between two looks it holds what the earlier ones did not find."""

    def __init__(self, *, journal: Journal) -> None:
        self._journal = journal
        self._searched: dict[str, OrderState] = {}

    def keep_only(self, client_order_ids: set[str]) -> None:
        """Look for these only, and forget the others."""
        self._searched = {name: each for name, each in self._searched.items() if name in client_order_ids}

    def look(self, account: Account, record: OrderRecord, *, now_ms: int) -> bool:
        """Look for the order. Returns whether anything new was written down.

        Raises ExchangeUnreachable, ExchangeAnswered, JournalUnavailable.
        """
        order, exchange = record.state, account.exchange
        known = self._searched.get(order.client_order_id)
        if known is None or known.attempts != order.attempts:
            known = order
        is_in_doubt = order.status in (OrderStatus.SUBMITTED, OrderStatus.DENIED) and not order.is_there
        begun_at_ms = exchange.now_ms()
        report, fills = report_of(exchange, order, is_thorough=is_in_doubt)
        if report is not None:
            if reported(order, report) == order:
                return False
            is_new = self._journal.record_report(order.client_order_id, report, fills, now_ms=now_ms)
            if is_new:
                self.put_right(exchange, order.client_order_id, now_ms=now_ms)
            return is_new
        if not is_in_doubt or order.status is OrderStatus.DENIED:
            return False
        expected = self._journal.expected_positions(record.account)
        size = expected.get((order.planned.category, order.planned.symbol))
        is_moved = is_moved_since_sent(exchange, order, expected=size)
        known = looked_up(known, None, begun_at_ms=begun_at_ms, bounds=account.bounds, is_moved=is_moved)
        self._searched[order.client_order_id] = known
        return not known.is_in_doubt and self._never_was(exchange, record, begun_at_ms, now_ms=now_ms)

    def _never_was(self, exchange: ExchangePort, record: OrderRecord, absent_at_ms: int, *, now_ms: int) -> bool:
        """Returns False if its lane is still at it, or has sent it again meanwhile."""
        order = record.state
        assert order.last is not None, "what was never sent is not in doubt"
        number = order.last.number
        execution = self._journal.execution(record.signal_id, record.account)
        if execution is not None and not execution.status.is_finished:
            return False

        is_passed = execution is not None and EXIT_WAITED in (execution.reason_message or "")
        words = f"{_NEVER_WAS}; it was not sent again because {EXIT_WAITED}" if is_passed else _NEVER_WAS
        reason = Reason(code="EXCHANGE_UNREACHABLE", message=words)

        def write(uow: UnitOfWork) -> bool:
            uow.orders.record_absence(order.client_order_id, number, begun_at_ms=absent_at_ms)
            return uow.orders.settle(order.client_order_id, OrderStatus.DENIED, reason, now_ms=now_ms)

        is_new = self._journal.write(write)
        self.put_right(exchange, order.client_order_id, now_ms=now_ms)
        return is_new

    def put_right(self, exchange: ExchangePort, client_order_id: str, *, now_ms: int) -> None:
        """What the order's signal came to, should what is known now make that something else. Raises as `look` does."""
        record = self._journal.order(client_order_id)
        if record is None or not record.state.is_settled or record.state.planned.leg >= FIRST_TAKE_PROFIT_LEG:
            return
        execution = self._journal.execution(record.signal_id, record.account)
        if execution is None or execution.generation != record.generation or not _may_be_wrong(execution, record):
            return
        came_to = _came_to(execution, exchange)
        if came_to is not None and not _is_known(came_to, execution):
            self._better_known(execution, came_to, _note(record.state), now_ms=now_ms)

    def _better_known(self, execution: ExecutionRecord, finish: Finish, note: str, *, now_ms: int) -> None:
        self._journal.write(
            lambda uow: uow.signals.finish(
                execution.signal.id,
                execution.account,
                finish.status,
                finish.reason,
                tuple(filter(None, (note, *finish.notes))),
                is_better_known=True,
                now_ms=now_ms,
            )
        )

    def settle(self, exchange: ExchangePort, execution: ExecutionRecord, *, now_ms: int) -> bool:
        """End an `attention` once nothing needs a person any more. Returns whether it did. Raises as `look` does."""
        signal = execution.signal
        if signal.category is None or signal.symbol is None:
            return False
        came_to = settled(
            _own(execution),
            reason_code=execution.reason_code,
            size=exchange.position(category=signal.category, symbol=signal.symbol).size,
            is_clear=self._is_clear(execution, signal.category, signal.symbol),
        )
        if came_to is None:
            return False
        self._better_known(execution, came_to, "settled: nothing of it needs a person any more", now_ms=now_ms)
        return True

    def _is_clear(self, execution: ExecutionRecord, category: Category, symbol: str) -> bool:
        """Nothing of what called for a person is left beside the signal's own orders."""
        if execution.reason_code not in OF_THE_POSITION:
            return True
        where = (execution.account, category, symbol)
        if execution.reason_code != UNCLEARED:
            return all(each.bracket.trouble is None for each in self._journal.live_brackets_of(*where))
        return not any(
            (each.account, each.state.planned.category, each.state.planned.symbol) == where
            for each in self._journal.open_orders(execution.account)
            if each.signal_id < execution.signal.id
        )


def _may_be_wrong(execution: ExecutionRecord, record: OrderRecord) -> bool:
    """A person was called because the order was in doubt, or it was proven absent and is there after all, or it rested
    and has ended without a fill."""
    if execution.status is SignalStatus.ATTENTION:
        return execution.reason_code == OUTCOME_UNKNOWN
    was_absent = record.state.absent_at_ms is not None and record.state.status is not OrderStatus.DENIED
    is_unfilled = record.state.status in ENDED_UNFILLED and not record.state.filled_qty
    is_done = execution.status is SignalStatus.DONE
    return (execution.status.is_finished and was_absent) or (is_done and is_unfilled)


def _is_known(came_to: Finish, execution: ExecutionRecord) -> bool:
    code = came_to.reason.code if came_to.reason else None
    return came_to.status is execution.status and (
        came_to.status is not SignalStatus.DONE or code == execution.reason_code
    )


def _own(execution: ExecutionRecord) -> tuple[OrderState, ...]:
    """The plan's orders and what stands in for them, without the take profits, which are the bracket's."""
    return tuple(each.state for each in execution.orders if each.state.planned.leg < FIRST_TAKE_PROFIT_LEG)


def _came_to(execution: ExecutionRecord, exchange: ExchangePort) -> Finish | None:
    """Returns None if that cannot be told from its orders, or a person must look for another reason."""
    reason = execution.plan.reason if execution.plan else None
    if reason is not None and reason.code == UNCLEARED:
        return None
    orders = _own(execution)
    if not orders:
        return None
    came_to = progress(orders)
    if isinstance(came_to, LookAtPosition):
        planned = orders[0].planned
        position = exchange.position(category=planned.category, symbol=planned.symbol)
        came_to = progress(orders, size=position.size)
    if not isinstance(came_to, Finish):
        return None
    return came_to if came_to.reason else replace(came_to, reason=reason)


def _note(order: OrderState) -> str:
    if order.status is OrderStatus.DENIED:
        return "found later: the order never arrived at the exchange"
    if order.status in ENDED_UNFILLED and not order.filled_qty:
        return ""
    return f"found later: the order was at the exchange, {plain(order.filled_qty)} of it filled"


log = logging.getLogger(__name__)

_EVERY_S = 2.0
_LISTENING_EVERY_S = 20.0
"""While an account's stream is there, asking is for what got lost."""
_PER_ROUND = 40
_STOP_S = 5.0
_GIVEN_UP_MS = 60_000
_DENIED_MS = 600_000
"""So long an order is looked for that was denied after a send whose outcome was unknown."""
_DENIED_OF_SIGNALS_MS = 7_200_000


class _Followed:
    """What is remembered of one account's rounds."""

    def __init__(self, settling: Settling) -> None:
        self.settling = settling
        self.requested: dict[str, int] = {}
        """In which round each order was asked for last."""
        self.rounds = 0
        self.is_woken = threading.Event()


class Follower:
    """A thread an account that asks for each resting order in turn. A lost report is only a late one."""

    def __init__(
        self,
        *,
        journal: Journal,
        accounts: Mapping[str, Account],
        protection: ProtectionLanes | None = None,
        every_s: float = _EVERY_S,
        now: Now = utc_now,
        acting_for: ActingFor = lambda account: nullcontext(),
    ) -> None:
        """`protection`: looked at in each round, once the orders are known. `acting_for`: by whose right an account's
        orders are followed here; None if another process does."""
        self._journal = journal
        self._accounts = accounts
        self._protect = protection
        self._every_s = every_s
        self._acting_for = acting_for
        self._now = now
        self._with_work = frozenset[str]()
        self._with_remains = frozenset[str]()
        self._looked_at = self._remains_looked_at = -every_s
        self._looking = threading.Lock()
        self._followed = {name: _Followed(Settling(journal=journal)) for name in accounts}
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(name,), name=f"follower {name}", daemon=True) for name in accounts
        ]

    def start(self) -> None:
        for thread in self._threads:
            if not thread.is_alive():
                thread.start()

    def wake(self) -> None:
        """A stream is there again: what it may have missed is asked for now."""
        for each in self._followed.values():
            each.is_woken.set()

    def stop(self) -> None:
        self._stop.set()
        until = time.monotonic() + _STOP_S
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, until - time.monotonic()))

    def _run(self, account: str) -> None:
        requested_at, is_woken = time.monotonic(), self._followed[account].is_woken
        while not self._stop.wait(self._every_s):
            was_woken = is_woken.is_set()
            is_due = was_woken or time.monotonic() - requested_at >= _LISTENING_EVERY_S
            if is_due:
                is_woken.clear()
                requested_at = time.monotonic()
            try:
                is_needed = was_woken or self._is_deaf(account)
                if is_needed or self._has_work(account) or (is_due and self._has_remains(account)):
                    self._round_of(account, asks=is_due or is_needed, settles=is_due)
            except JournalUnavailable as error:
                log.warning("resting orders of %s could not be followed just now: %s", account, error)
            except Exception:
                log.exception("resting orders of %s could not be followed just now", account)

    def _has_work(self, account: str) -> bool:
        """Whether anything of the account's is open or guarded: one question for all accounts in a round."""
        with self._looking:
            if time.monotonic() - self._looked_at >= self._every_s / 2:
                self._with_work = self._journal.accounts_with_work()
                self._looked_at = time.monotonic()
            return account in self._with_work

    def _has_remains(self, account: str) -> bool:
        """Whether something needs a person there, or was denied and may be there all the same: one look for all."""
        with self._looking:
            if time.monotonic() - self._remains_looked_at >= self._every_s / 2:
                denied = {each.account for each in self._denied(to_ms(self._now()))}
                self._with_remains = self._journal.accounts_in_attention() | denied
                self._remains_looked_at = time.monotonic()
            return account in self._with_remains

    def _denied(self, now_ms: int) -> tuple[OrderRecord, ...]:
        since_ms, of_signals_since_ms = now_ms - _DENIED_MS, now_ms - _DENIED_OF_SIGNALS_MS
        return self._journal.denied_in_doubt(since_ms=since_ms, of_signals_since_ms=of_signals_since_ms)

    def _is_deaf(self, account: str) -> bool:
        """Its stream is not there. What a stream told is in the journal already."""
        live = self._accounts[account].live
        return live is None or not live.is_listening

    def round(self, accounts: frozenset[str] | None = None) -> int:
        """A round of each account, one after the other. Returns how many orders have changed.

        `accounts`: only theirs are asked for; None means all. Raises JournalUnavailable, which ends the round.
        """
        return sum(
            self._round_of(name, asks=accounts is None or name in accounts, settles=accounts is None)
            for name in self._accounts
        )

    def _round_of(self, account: str, *, asks: bool, settles: bool) -> int:
        """Ask for those that were not asked for the longest, then look after the brackets.

        An account that does not answer is left alone until the next round; whatever else goes wrong with an order is
        that order's alone.
        """
        if self._acting_for(account) is None:
            return 0
        self._cancel_wanted(account)
        changed = self._ask_in_turn(account) if asks else 0
        if settles:
            self._settle(account)
        if self._protect is not None and not self._stop.is_set():
            self._protect.round(account)
        return changed

    def _ask_in_turn(self, account: str) -> int:
        now_ms, followed = to_ms(self._now()), self._followed[account]
        followed.rounds += 1
        denied = self._denied(now_ms)
        open_orders = [each for each in self._journal.open_orders(account) if self._is_left(each)]
        of_account = [*open_orders, *(each for each in denied if each.account == account)]
        resting = {each.state.client_order_id: each for each in of_account}
        followed.settling.keep_only(set(resting))
        followed.requested = {each: followed.requested.get(each, 0) for each in resting}
        changed = 0
        for name in sorted(resting, key=lambda each: followed.requested[each])[:_PER_ROUND]:
            if self._stop.is_set():
                break
            try:
                changed += self._turn_of(resting[name], followed)
            except ExchangeUnreachable as error:
                log.warning("the resting orders of %s could not be followed just now: %s", account, error)
                break
        return changed

    def _cancel_wanted(self, account: str) -> None:
        """What a person wants cancelled, in whichever process it was said."""
        exchange = self._accounts[account].exchange
        for record in self._journal.cancels_wanted(account):
            right = self._acting_for(account)
            if right is None or self._stop.is_set():
                return
            with suppress(LeaseLost), right:
                problem = cancel_by_hand(self._journal, exchange, record, now_ms=to_ms(self._now()))
                if problem is not None:
                    log.warning("order %s: %s", record.state.client_order_id, problem)

    def _settle(self, account: str) -> None:
        """End what needed a person and does not any more."""
        exchange, settling = self._accounts[account].exchange, self._followed[account].settling
        for execution in self._journal.in_attention(account):
            right = self._acting_for(account)
            if right is None or self._stop.is_set():
                return
            try:
                with suppress(LeaseLost), right:
                    settling.settle(exchange, execution, now_ms=to_ms(self._now()))
            except (ExchangeUnreachable, ExchangeAnswered) as error:
                log.warning("what signal %s came to could not be told just now: %s", execution.signal.id, error)
                return

    def _is_left(self, record: OrderRecord) -> bool:
        """What rests, and what a lane has given up: a report that comes late is still a report.

        Given up is whatever is open and has been quiet for long, acknowledged or not.
        """
        return record.state.rests or to_ms(self._now()) - record.updated_at_ms > _GIVEN_UP_MS

    def _turn_of(self, record: OrderRecord, followed: _Followed) -> bool:
        followed.requested[record.state.client_order_id] = followed.rounds
        try:
            return self._ask(record, followed.settling)
        except (JournalUnavailable, ExchangeUnreachable):
            raise
        except LeaseLost:
            return False
        except ExchangeAnswered as error:
            log.warning("order %s could not be followed just now: %s", record.state.client_order_id, error)
        except Exception:
            log.exception("order %s could not be followed just now", record.state.client_order_id)
        return False

    def _ask(self, record: OrderRecord, settling: Settling) -> bool:
        right = self._acting_for(record.account)
        if right is None or self._stop.is_set():
            return False
        with right:
            return settling.look(self._accounts[record.account], record, now_ms=to_ms(self._now()))

    def learned(self, client_order_id: str) -> None:
        """A stream brought something new of an order. Raises JournalUnavailable."""
        record = self._journal.order(client_order_id)
        account = self._accounts.get(record.account) if record else None
        right = self._acting_for(record.account) if record else None
        if account is None or right is None:
            return
        try:
            with suppress(LeaseLost), right:
                settling = self._followed[account.name].settling
                settling.put_right(account.exchange, client_order_id, now_ms=to_ms(self._now()))
        except (ExchangeUnreachable, ExchangeAnswered) as error:
            log.warning("what order %s means for its signal could not be told just now: %s", client_order_id, error)


# What the streams tell of orders that no lane waits for, written down as a look-up's answer would be.


_WAITING_MAX = 10_000
"""Beyond it news is dropped: the follower's look-ups and the next reading bring it too."""


class Reports:
    """One thread. Repeats, and news of orders that are not the relay's, change nothing."""

    def __init__(self, *, journal: Journal, now: Now = utc_now) -> None:
        self._journal = journal
        self._now = now
        self._waiting: queue.Queue[Received | None] = queue.Queue(_WAITING_MAX)
        self._thread = threading.Thread(target=self._run, name="reports", daemon=True)
        self.on_change: Callable[[str], None] = lambda client_order_id: None
        """Called with the client order id of an order of the relay's of which something new was written down."""

    def start(self) -> None:
        if not self._thread.is_alive():
            self._thread.start()

    def stop(self) -> None:
        try:
            self._waiting.put_nowait(None)
        except queue.Full:
            return
        if self._thread.is_alive():
            self._thread.join(5)

    def receive(self, received: Received) -> None:
        """Never blocks: it is called by the streams' threads."""
        try:
            self._waiting.put_nowait(received)
        except queue.Full:
            log.warning("news of order %s was dropped", received.client_order_id)

    def _run(self) -> None:
        while (received := self._waiting.get()) is not None:
            try:
                self._keep(received)
            except JournalUnavailable as error:
                log.warning("news of order %s was not kept: %s", received.client_order_id, error)
            except Exception:
                log.exception("news of order %s was not kept", received.client_order_id)

    def _keep(self, received: Received) -> None:
        if self._journal.record_report(
            received.client_order_id, received.report, received.fills, now_ms=to_ms(self._now())
        ):
            self.on_change(received.client_order_id)


# The accounts' streams, joined with what waits for them: lanes, the journal, the follower.


SEED_MAX_S = 10.0
"""A stream that is not there by then keeps the relay from nothing: everything is asked for instead."""
_STORED_MAX = 50
"""How many of an account's symbols are kept known from the start; the others from their first alert on."""


class Streams:
    """The streams of the accounts that are executed here. Empty where they are turned off."""

    def __init__(
        self,
        exchanges: Mapping[str, StreamedExchange],
        *,
        journal: Journal,
        wake: Callable[[Lane], None],
        follower: Follower,
        every_exchange: Mapping[str, BookedExchange] | None = None,
        is_ours: Callable[[str], bool] = lambda account: True,
    ) -> None:
        """`wake`: a lane's next step is due. `every_exchange`: every account's exchange, with a stream or without; the
        transactions of those that are `ours` are noted."""
        self._exchanges = dict(exchanges)
        self._journal = journal
        self._wake = wake
        self._follower = follower
        self.reports = Reports(journal=journal)
        self.reports.on_change = follower.learned
        ledger = Ledger(journal.store)
        self.bookkeeper = Bookkeeper(every_exchange or {}, ledger=ledger, stream=self._connection, is_ours=is_ours)
        self._starting = threading.Lock()
        self._is_started = False
        self._opened: set[str] = set()
        self._settled: set[str] = set()

    def start(self, account: str) -> None:
        """Open the account's, in the background; again does nothing."""
        with self._starting:
            self._start_common()
            exchange = self._exchanges.get(account)
            if exchange is None or account in self._opened:
                return
            self._opened.add(account)
        self._keep_known(account, exchange)
        exchange.on_opened = self._follower.wake
        exchange.send_ledger_to(self.bookkeeper.receiver(account))
        exchange.listen(on_wake=self._waker(account), on_unmatched=self.reports.receive)

    def _start_common(self) -> None:
        if not self._is_started:
            self._is_started = True
            self.reports.start()

    def end(self, account: str) -> None:
        """End the account's, and forget all that it has told: another process may trade there."""
        with self._starting:
            was_open = account in self._opened
            self._opened.discard(account)
            self._settled.discard(account)
        if was_open:
            self._exchanges[account].hush()

    def _connection(self, name: str) -> int | None:
        exchange = self._exchanges.get(name)
        return exchange.stream_state().generation if exchange is not None and exchange.is_listening else None

    def _keep_known(self, name: str, exchange: StreamedExchange) -> None:
        with suppress(JournalUnavailable):
            for category, symbol in sorted(self._journal.expected_positions(name))[:_STORED_MAX]:
                exchange.use(category, symbol)

    def _waker(self, account: str) -> Wake:
        def wake(category: Category, symbol: str) -> None:
            self._wake(Lane(account=account, category=category, symbol=symbol))

        return wake

    def settle(self, account: str, timeout_s: float = SEED_MAX_S) -> None:
        """Wait until the account's stream is there, or for so long."""
        exchange = self._exchanges.get(account)
        if exchange is not None and not exchange.link.wait_live(timeout_s):
            problem = exchange.stream_state().problem
            log.warning(
                "%s trades without its stream (%s): everything is asked for until it is there", account, problem
            )
        with self._starting:
            self._settled.add(account)
            self.bookkeeper.start()

    def is_settled(self, account: str) -> bool:
        """Whether its stream is there, or was waited for long enough."""
        return account in self._settled

    def state(self) -> dict[str, LinkState]:
        """Each account's private stream: whether it is live, since when, and what is wrong."""
        return {name: self._exchanges[name].stream_state() for name in sorted(self._opened)}

    def stop(self) -> None:
        """Quick; what was heard is written down first."""
        for exchange in self._exchanges.values():
            exchange.link.stop()
            exchange.marks.stop()
        self.reports.stop()
        self.bookkeeper.stop()
