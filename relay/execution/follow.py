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
from relay.domain.order_lifecycle import OUTCOME_UNKNOWN, OrderState, looked_up, reported
from relay.domain.progress import Finish, LookAtPosition, progress
from relay.engine.lanes import Lane
from relay.engine.lease_guard import LeaseLost
from relay.errors import ExchangeAnswered, ExchangeUnreachable, JournalUnavailable
from relay.execution.bookkeeping import BookedExchange, Bookkeeper
from relay.execution.orders import UNCLEARED, is_moved_since_sent, report_of
from relay.execution.ports import Account, ExchangePort, Now, to_ms, utc_now
from relay.execution.protection import ActingFor, ProtectionLanes
from relay.journal.journal import Journal
from relay.journal.ledger import Ledger
from relay.journal.records import ExecutionRecord, OrderRecord
from relay.journal.unit_of_work import UnitOfWork

# What is known of an order only after its lane has gone on without it: an end that was in doubt is found.


_NEVER_WAS = Reason(code="EXCHANGE_UNREACHABLE", message="the order never arrived at the exchange")


class Settling:
    """Looks for one order at a time; between two looks it holds what the earlier ones did not find."""

    def __init__(self, *, journal: Journal) -> None:
        self._journal = journal
        self._searched: dict[str, OrderState] = {}

    def keep_only(self, client_order_ids: set[str]) -> None:
        """Look for these only, and forget the others."""
        self._searched = {name: each for name, each in self._searched.items() if name in client_order_ids}

    def look(self, exchange: ExchangePort, record: OrderRecord, *, now_ms: int) -> bool:
        """Look for the order. Returns whether anything new was written down.

        Raises ExchangeUnreachable, ExchangeAnswered, JournalUnavailable.
        """
        order = record.state
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
        known = looked_up(known, None, begun_at_ms=begun_at_ms, is_moved=is_moved)
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

        def write(uow: UnitOfWork) -> bool:
            uow.orders.record_absence(order.client_order_id, number, begun_at_ms=absent_at_ms)
            return uow.orders.settle(order.client_order_id, OrderStatus.DENIED, _NEVER_WAS, now_ms=now_ms)

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
        if came_to is None or came_to.status is execution.status:
            return
        note = _note(record.state)
        finish = replace(came_to, notes=(note, *came_to.notes))
        self._journal.write(
            lambda uow: uow.signals.finish(
                record.signal_id,
                record.account,
                finish.status,
                finish.reason,
                finish.notes,
                is_better_known=True,
                now_ms=now_ms,
            )
        )


def _may_be_wrong(execution: ExecutionRecord, record: OrderRecord) -> bool:
    """A person was called because the order was in doubt, or it was proven absent and is there after all."""
    if execution.status is SignalStatus.ATTENTION:
        return execution.reason_code == OUTCOME_UNKNOWN
    was_absent = record.state.absent_at_ms is not None and record.state.status is not OrderStatus.DENIED
    return execution.status.is_finished and was_absent


def _came_to(execution: ExecutionRecord, exchange: ExchangePort) -> Finish | None:
    """Returns None if that cannot be told from its orders, or a person must look for another reason."""
    reason = execution.plan.reason if execution.plan else None
    if reason is not None and reason.code == UNCLEARED:
        return None
    orders = tuple(each.state for each in execution.orders if each.state.planned.leg < FIRST_TAKE_PROFIT_LEG)
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
    return f"found later: the order was at the exchange, {plain(order.filled_qty)} of it filled"


log = logging.getLogger(__name__)

_EVERY_S = 2.0
_LISTENING_EVERY_S = 20.0
"""While an account's stream is there, asking is for what got lost."""
_PER_ROUND = 40
_GIVEN_UP_MS = 60_000
_DENIED_MS = 600_000
"""So long an order is looked for that was denied after a send whose outcome was unknown."""
_DENIED_OF_SIGNALS_MS = 7_200_000


class Follower:
    """One thread that asks for each resting order in turn. A lost report is only a late one."""

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
        self._settling = Settling(journal=journal)
        self._requested: dict[str, int] = {}
        self._rounds = 0
        self._stop = threading.Event()
        self._is_woken = threading.Event()
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)

    def start(self) -> None:
        if not self._thread.is_alive():
            self._thread.start()

    def wake(self) -> None:
        """A stream is there again: what it may have missed is asked for now."""
        self._is_woken.set()

    def stop(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(5)

    def _run(self) -> None:
        requested_at = time.monotonic()
        while not self._stop.wait(self._every_s):
            is_due = time.monotonic() - requested_at >= _LISTENING_EVERY_S or self._is_woken.is_set()
            if is_due:
                self._is_woken.clear()
                requested_at = time.monotonic()
            try:
                self.round(None if is_due else self._deaf())
            except JournalUnavailable as error:
                log.warning("resting orders could not be followed just now: %s", error)
            except Exception:
                log.exception("resting orders could not be followed just now")

    def _deaf(self) -> frozenset[str]:
        """The accounts whose stream is not there. What the others' streams told is in the journal already."""
        return frozenset(
            name for name, each in self._accounts.items() if each.live is None or not each.live.is_listening
        )

    def round(self, accounts: frozenset[str] | None = None) -> int:
        """Ask for those that were not asked for the longest, then look after the brackets. Returns how many have
        changed.

        `accounts`: only theirs are asked for; None means all. Raises JournalUnavailable, which ends the round. An
        account that does not answer is left alone until the next round; whatever else goes wrong with an order is that
        order's alone.
        """
        self._rounds += 1
        changed = self._ask_in_turn(accounts) if accounts is None or accounts else 0
        if self._protect is not None and not self._stop.is_set():
            self._protect.round()
        return changed

    def _ask_in_turn(self, accounts: frozenset[str] | None) -> int:
        now_ms = to_ms(self._now())
        denied = self._journal.denied_in_doubt(
            since_ms=now_ms - _DENIED_MS, of_signals_since_ms=now_ms - _DENIED_OF_SIGNALS_MS
        )
        open_orders = [each for each in self._journal.open_orders() if self._is_ours(each)]
        doubted = [each for each in denied if self._acting_for(each.account) is not None]
        resting = {each.state.client_order_id: each for each in (*open_orders, *doubted)}
        self._settling.keep_only(set(resting))
        self._requested = {each: self._requested.get(each, 0) for each in resting}
        silent: set[str] = set()
        requested = changed = 0
        for name in sorted(resting, key=lambda each: self._requested[each]):
            record = resting[name]
            if record.account in silent or (accounts is not None and record.account not in accounts):
                continue
            if requested == _PER_ROUND or self._stop.is_set():
                break
            requested += 1
            try:
                changed += self._turn_of(record)
            except ExchangeUnreachable as error:
                silent.add(record.account)
                log.warning("the resting orders of %s could not be followed just now: %s", record.account, error)
        return changed

    def _is_ours(self, record: OrderRecord) -> bool:
        """What rests, and what a lane has given up: a report that comes late is still a report.

        Given up is whatever is open and has been quiet for long, acknowledged or not.
        """
        is_left = record.state.rests or to_ms(self._now()) - record.updated_at_ms > _GIVEN_UP_MS
        return is_left and self._acting_for(record.account) is not None

    def _turn_of(self, record: OrderRecord) -> bool:
        self._requested[record.state.client_order_id] = self._rounds
        try:
            return self._ask(record)
        except (JournalUnavailable, ExchangeUnreachable):
            raise
        except LeaseLost:
            return False
        except ExchangeAnswered as error:
            log.warning("order %s could not be followed just now: %s", record.state.client_order_id, error)
        except Exception:
            log.exception("order %s could not be followed just now", record.state.client_order_id)
        return False

    def _ask(self, record: OrderRecord) -> bool:
        account, right = self._accounts.get(record.account), self._acting_for(record.account)
        if account is None or right is None or self._stop.is_set():
            return False
        with right:
            return self._settling.look(account.exchange, record, now_ms=to_ms(self._now()))

    def learned(self, client_order_id: str) -> None:
        """A stream brought something new of an order. Raises JournalUnavailable."""
        record = self._journal.order(client_order_id)
        account = self._accounts.get(record.account) if record else None
        if account is None:
            return
        try:
            self._settling.put_right(account.exchange, client_order_id, now_ms=to_ms(self._now()))
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

    def hear(self, received: Received) -> None:
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
        books_of: Mapping[str, BookedExchange] | None = None,
        is_ours: Callable[[str], bool] = lambda account: True,
    ) -> None:
        """`wake`: a lane's next step is due. `books_of`: every account's exchange, with a stream or without; kept are
        the books of those that are `ours`."""
        self._exchanges = dict(exchanges)
        self._journal = journal
        self._wake = wake
        self._follower = follower
        self.reports = Reports(journal=journal)
        self.reports.on_change = follower.learned
        ledger = Ledger(journal.store)
        self.books = Bookkeeper(books_of or {}, ledger=ledger, stream=self._connection, is_ours=is_ours)
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
        exchange.book_to(self.books.hears(account))
        exchange.listen(on_wake=self._waker(account), on_unmatched=self.reports.hear)

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
            self.books.start()

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
        self.books.stop()
