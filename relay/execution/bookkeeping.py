"""Write down what the exchange reports of the accounts' money; which of its positions, orders and coins are the relay's
own; and what differs after a journal was brought back."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import partial
from typing import Final, Protocol, TypeVar

from relay.bybit.account_api import AccountApi
from relay.bybit.wire_account import LogEntry, Wallet, own_entry, settle_coin_of
from relay.bybit.wire_orders import OpenOrder
from relay.domain.instrument import Category, Instrument, plain, shown_symbol
from relay.domain.order import OrderStatus, Reason, Side, SignalStatus, client_order_id
from relay.domain.order_lifecycle import OUTCOME_UNKNOWN, OrderState
from relay.domain.performance import Equity
from relay.domain.position import Position
from relay.domain.progress import Finish, progress
from relay.domain.spot import OwnCoins, ReadOwnCoins
from relay.domain.trades import LedgerEntry, before_the_first, opening_of, with_result
from relay.errors import ExchangeAnswered, ExchangeUnreachable, FactsUnreadable, JournalUnavailable, ListTooLong
from relay.execution.orders import report_of
from relay.execution.ports import Account, ExchangePort, Now, to_ms, utc_now
from relay.journal.journal import Journal
from relay.journal.ledger import DAY_MS, HOUR_MS, Ledger
from relay.journal.maintenance import Restored, restored, save
from relay.journal.records import RESTORED_CODE, TERMS, ExecutionRecord

log = logging.getLogger(__name__)

EQUITY_S: Final = 300.0
_APART_MS: Final = 240_000
"""Points of several processes, or of a start soon after a stop, are not closer than this."""
READ_S: Final = 300.0
"""Without a stream the exchange is asked so often; with one, every `READ_LIVE_S`, for what it may have lost."""
READ_LIVE_S: Final = 3600.0
_AGAIN_S: Final = 60.0
_THIN_S: Final = 3600.0
_COLLECT_S: Final = 0.5
"""What is told within it is written in one transaction."""
_OVERLAP_MS: Final = 600_000
"""The exchange's lists lag behind: so much of what was read is read again."""
_WINDOW_MS: Final = 7 * DAY_MS - HOUR_MS
"""Of one question about the past; whole hours."""
_LOOK_BACK_MS: Final = 7 * DAY_MS
"""So far back the first reading goes at least: what the exchange tells without being asked for more."""
_LISTED_MS: Final = 720 * DAY_MS
"""The exchange tells two years."""
_LAG_MS: Final = 60_000
_SHORTEST_MS: Final = 1000
_AT_ONCE: Final = 50
_DOUBTS: Final = 3
"""After so many readings of the transaction log that do not fit, the executions are read again."""
_QUIET_S: Final = 1.0
_LOG_WITHIN_S: Final = 60.0
"""The transaction log is read once executions have ceased for a moment, and in a long burst so often."""
_LOG_SHARE: Final = 50.0
"""For so many times as long as a reading took there is no other: a busy hour has a thousand pages."""
_READ_MAX_MS: Final = DAY_MS
_WAITING_MAX: Final = 10_000
_STOP_S: Final = 1.0

Receive = Callable[[LedgerEntry], None]
T = TypeVar("T")


def in_halves(read: Callable[[int, int], list[T]], begin_ms: int, until_ms: int) -> list[T]:
    """All between two moments: where that is more than one list tells, its halves."""
    try:
        return read(begin_ms, until_ms)
    except ListTooLong:
        middle_ms = begin_ms + (until_ms - begin_ms) // 2
        if until_ms - begin_ms < _SHORTEST_MS:
            raise
        return [*in_halves(read, begin_ms, middle_ms), *in_halves(read, middle_ms, until_ms)]


def openings(
    held: Mapping[tuple[Category, str], Position], entries: Iterable[LedgerEntry], *, since_ms: int
) -> list[LedgerEntry]:
    """What was open before the entries, by what is open after them."""
    lanes: defaultdict[tuple[Category, str], list[LedgerEntry]] = defaultdict(list)
    held = {where: each for where, each in held.items() if where[0].has_positions}
    for each in entries:
        # Coins that were there before are the owner's.
        if each.category.has_positions:
            lanes[each.category, each.symbol].append(each)
    found = []
    for category, symbol in sorted(held.keys() | lanes.keys()):
        of_lane, position = lanes[category, symbol], held.get((category, symbol))
        size, avg_price = (position.size, position.avg_price) if position else (Decimal(0), None)
        signed, price = opening_of(size, avg_price, of_lane)
        if signed and price:
            at_ms = min([since_ms, *(each.at_ms for each in of_lane)])
            coin = settle_coin_of(symbol)
            found.append(
                before_the_first(category=category, symbol=symbol, coin=coin, signed=signed, price=price, at_ms=at_ms)
            )
    return found


def _log(exchange: BookedExchange, begin_ms: int, until_ms: int) -> list[LogEntry]:
    """Each row once: a page may repeat what the one before had."""
    found = in_halves(exchange.account_api.transaction_log.log, begin_ms, until_ms)
    return list({each.id: each for each in found}.values())


def gained(logged: Iterable[LogEntry]) -> dict[tuple[str, str], Decimal]:
    """What each execution gained, by its id and coin."""
    results: defaultdict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for each in logged:
        results[each.exec_id, each.coin] += each.flow
    return dict(results)


def sessions(logged: Iterable[LogEntry]) -> list[LedgerEntry]:
    """What sessions paid out, which no execution tells."""
    return [each.session for each in logged if each.session is not None]


class BookedExchange(Protocol):
    """What is asked of one account's exchange. Raises ExchangeUnreachable or ExchangeAnswered."""

    def positions(self) -> tuple[Position, ...]: ...

    @property
    def account_api(self) -> AccountApi: ...

    def now_ms(self) -> int: ...

    def wallet(self) -> Wallet: ...


@dataclass(slots=True, kw_only=True)
class _Due:
    """When each is due for one account, on the monotonic clock. `generation`: of the stream when it was last read."""

    read_at: float = 0.0
    log_at: float = 0.0
    doubts: int = 0
    """So often in a row the transaction log did not fit."""
    equity_at: float = 0.0
    generation: int = -1
    is_troubled: bool = False
    is_read: bool = False
    """Something was read for the first time: before that there is nothing to prove."""
    unproven_since: float | None = None
    log_free_at: float = 0.0
    """No reading of the transaction log before, whatever has happened."""

    def executed(self, at: float) -> None:
        """Something was booked that the transaction log is yet to prove."""
        if self.unproven_since is None:
            self.unproven_since = at
        self.log_at = max(min(at + _QUIET_S, self.unproven_since + _LOG_WITHIN_S), self.log_free_at)

    def log_was_read(self, at: float, *, took_s: float, is_proven: bool) -> None:
        """`at`: when the reading ended."""
        self.unproven_since = None
        self.doubts = 0 if is_proven else self.doubts + 1
        self.log_free_at = at + took_s * _LOG_SHARE
        self.log_at = max(at + (READ_S if is_proven else min(READ_S, 2.0**self.doubts)), self.log_free_at)


class Bookkeeper:
    """One thread, with a bounded queue for the streams: what finds no room there is read from the exchange later."""

    def __init__(
        self,
        exchanges: Mapping[str, BookedExchange],
        *,
        ledger: Ledger,
        stream: Callable[[str], int | None] = lambda account: None,
        is_ours: Callable[[str], bool] = lambda account: True,
        now: Now = utc_now,
    ) -> None:
        """`is_ours`: whether the account's books are kept here. `stream`: which connection of the account's stream is
        there, as a number; None: there is none just now."""
        self.ledger = ledger
        self._exchanges = exchanges
        self._stream = stream
        self._is_ours = is_ours
        self._now = now
        self._waiting: queue.Queue[tuple[str, LedgerEntry] | None] = queue.Queue(_WAITING_MAX)
        self._due = {name: _Due() for name in exchanges}
        self._own = _Due()
        self._thin_at = time.monotonic() + _THIN_S
        self._stopping = threading.Event()
        self._looked = threading.Event()
        self._thread = threading.Thread(target=self._run, name="bookkeeper", daemon=True)

    def start(self) -> None:
        if not self._thread.is_alive():
            self._thread.start()

    def stop(self) -> None:
        """Writes down what was received first, in so far as that is quick."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(_STOP_S)

    def wait_for_first(self, timeout_s: float) -> bool:
        """Waits until every account was looked at once; returns whether it was within the time."""
        return self._looked.wait(timeout_s)

    def receiver(self, account: str) -> Receive:
        """For the account's stream. Never blocks."""

        def receive(ledger_entry: LedgerEntry) -> None:
            try:
                self._waiting.put_nowait((account, ledger_entry))
            except queue.Full:
                self._due[account].read_at = 0.0

        return receive

    def _run(self) -> None:
        while not self._stopping.wait(_COLLECT_S if self._looked.is_set() else 0):
            self._book_what_waits()
            for account in self._exchanges:
                if not self._stopping.is_set() and self._is_ours(account):
                    self._look(account)
            self._looked.set()
            if time.monotonic() >= self._thin_at:
                self._thin_at = time.monotonic() + _THIN_S
                self._try("", lambda: self.ledger.thin(to_ms(self._now())))
        self._book_what_waits()

    def _book_what_waits(self) -> None:
        reported: defaultdict[str, list[LedgerEntry]] = defaultdict(list)
        while not self._waiting.empty():
            waiting = self._waiting.get_nowait()
            if waiting is not None:
                reported[waiting[0]].append(waiting[1])
        for account, found in reported.items():
            if self._try(account, partial(self._book, account, found)) is None:
                self._due[account].read_at = time.monotonic() + _AGAIN_S

    def _book(self, account: str, found: Sequence[LedgerEntry], until_ms: int | None = None) -> int:
        """A few in one transaction, so that no alert waits for the books."""
        ordered, new = sorted(found, key=lambda each: each.place), 0
        for first in range(0, len(ordered), _AT_ONCE):
            part = ordered[first : first + _AT_ONCE]
            new += self.ledger.book(account, part, now_ms=to_ms(self._now()))
        if until_ms is not None:
            self.ledger.book(account, [], until_ms=until_ms, now_ms=to_ms(self._now()))
        if new:
            self._due[account].executed(time.monotonic())
        return new

    def _look(self, account: str) -> None:
        due, at, live = self._due[account], time.monotonic(), self._stream(account)
        is_new = live is not None and live != due.generation
        if at >= due.read_at or is_new:
            is_done = self._try(account, lambda: self._read(account))
            due.is_read = due.is_read or is_done is True
            if is_new and is_done is not None:
                due.executed(time.monotonic())  # the list may lag behind what was missed
            if is_done is not None and live is not None:
                due.generation = live
            every_s = READ_LIVE_S if live is not None else READ_S
            due.read_at = at + (_AGAIN_S if is_done is None else every_s if is_done else 0)
        if due.is_read and at >= due.log_at:
            begun_at = time.monotonic()
            is_proven = self._try(account, lambda: self._read_log(account))
            ended_at = time.monotonic()
            due.log_was_read(ended_at, took_s=ended_at - begun_at, is_proven=is_proven is True)
            if is_proven is False and due.doubts == _DOUBTS:
                due.read_at = 0.0
        if at >= due.equity_at:
            is_added = self._try(account, lambda: self._add_equity(account))
            due.equity_at = at + (_AGAIN_S if is_added is None else EQUITY_S)

    def _read(self, account: str) -> bool:
        """Read on from where it stopped, a day at most. Returns whether it has come to the present."""
        exchange = self._exchanges[account]
        if self.ledger.began(account) is None:
            return self._begin(account)
        now_ms = exchange.now_ms()
        since_ms = max(self.ledger.booked_until(account) or 0, now_ms - 7 * DAY_MS + HOUR_MS)
        until_ms = min(since_ms + _READ_MAX_MS, now_ms)
        found = in_halves(exchange.account_api.transaction_log.read, since_ms, until_ms)
        self._book(account, found, until_ms=until_ms if until_ms < now_ms else max(since_ms, now_ms - _OVERLAP_MS))
        return until_ms == now_ms

    def _begin(self, account: str) -> bool:
        """The first time: all trades from what the journal and the exchange still know, and what was open before."""
        exchange = self._exchanges[account]
        now_ms, own = exchange.now_ms(), self.ledger.own_fills(account)
        since_ms = max(min([now_ms - _LOOK_BACK_MS, *(row.at for row in own)]), now_ms - _LISTED_MS)
        since_ms -= since_ms % DAY_MS
        before = {(each.category, each.symbol): each for each in exchange.positions()}
        known, results = {row.exec_id: own_entry(row) for row in own}, dict[tuple[str, str], Decimal]()
        for begin_ms in range(since_ms, now_ms, _WINDOW_MS):
            listed = in_halves(exchange.account_api.transaction_log.read, begin_ms, min(begin_ms + _WINDOW_MS, now_ms))
            known |= {each.exec_id: each for each in listed}
            with suppress(ExchangeUnreachable, ExchangeAnswered):
                logged = _log(exchange, begin_ms, min(begin_ms + _WINDOW_MS, now_ms))
                results |= gained(logged)
                known |= {each.exec_id: each for each in sessions(logged)}
        held = {(each.category, each.symbol): each for each in exchange.positions()}
        if {lane: each.size for lane, each in before.items()} != {lane: each.size for lane, each in held.items()}:
            return False
        entries = [with_result(each, results) for each in known.values()]
        opening = openings(held, entries, since_ms=since_ms)
        if any(now_ms - (held[each.category, each.symbol].changed_at_ms or 0) < _LAG_MS for each in opening if (
            each.category, each.symbol) in held):  # fmt: skip
            # The list may lag behind the position: what looks older may be a fill that it does not tell yet.
            raise ExchangeUnreachable("its list of executions lags behind the position")
        self._book_first(account, [*opening, *entries], since_ms=since_ms, until_ms=now_ms - _OVERLAP_MS)
        return True

    def _book_first(self, account: str, found: Sequence[LedgerEntry], *, since_ms: int, until_ms: int) -> None:
        ordered = sorted(found, key=lambda each: each.place)
        for first in range(0, len(ordered), _AT_ONCE):
            self.ledger.begin(account, ordered[first : first + _AT_ONCE])
        self.ledger.begin(account, [], since_ms=since_ms, until_ms=until_ms)
        self._due[account].log_at = 0.0

    def _read_log(self, account: str) -> bool:
        """Read the transaction log on. Returns whether the ledger comes to the same."""
        since_ms, read_ms = self.ledger.began(account), self.ledger.log_until(account)
        if since_ms is None:
            return False
        exchange = self._exchanges[account]
        now_ms = exchange.now_ms()
        begin_ms = since_ms if read_ms is None else max(since_ms, read_ms - _OVERLAP_MS)
        begin_ms -= begin_ms % HOUR_MS
        lacks_coins = self.ledger.lacks_coins(account, begin_ms)
        while begin_ms < now_ms:
            until_ms = min(begin_ms + _WINDOW_MS, now_ms)
            sums: defaultdict[tuple[int, str], Decimal] = defaultdict(Decimal)
            logged = _log(exchange, begin_ms, until_ms)
            self._book(account, sessions(logged))
            for each in logged:
                sums[each.at_ms - each.at_ms % HOUR_MS, each.coin] += each.change
            self.ledger.take_log(account, sums, gained(logged), from_ms=begin_ms, until_ms=until_ms)
            begin_ms = until_ms
        came_to = [each for each in self.ledger.account_results(since_ms) if each.account == account]
        return not lacks_coins and all(each.booked == each.net for each in came_to)

    def _add_equity(self, account: str) -> bool:
        wallet, now_ms = self._exchanges[account].wallet(), to_ms(self._now())
        held = [each for each in wallet.coins if each.equity or each.unrealised_pnl]
        points = [
            Equity(coin=each.coin, equity=each.equity, unrealised=each.unrealised_pnl, usd=each.usd, at_ms=now_ms)
            for each in held
        ]
        return self.ledger.add_equity(account, points, apart_ms=_APART_MS)

    def _try(self, account: str, do: Callable[[], int]) -> int | None:
        """Returns None where it failed, which is logged once until it succeeds again."""
        due = self._due.get(account, self._own)
        try:
            done = do()
        except (ExchangeUnreachable, ExchangeAnswered, JournalUnavailable) as error:
            self._tell(due, account, str(error))
        except Exception as error:
            if not due.is_troubled:
                log.exception("the ledger of %s could not be written", account or "the relay")
            self._tell(due, account, type(error).__name__)
        else:
            due.is_troubled = False
            return done
        return None

    def _tell(self, due: _Due, account: str, why: str) -> None:
        if not due.is_troubled:
            due.is_troubled = True
            log.warning("the ledger of %s is behind, and is caught up with later: %s", account or "the relay", why)


# Which of the account's positions and orders are the relay's own, by its journal.


class JournalOwnership:
    """Of one account. Every method raises JournalUnavailable where the journal cannot be read."""

    def __init__(self, journal: Journal, account: str) -> None:
        self.journal = journal
        self._account = account

    def ordered(self, among: Iterable[tuple[Category, str]]) -> frozenset[tuple[Category, str]]:
        return self.journal.ordered_among(self._account, among)

    def expected(self) -> dict[tuple[Category, str], Decimal]:
        return self.journal.expected_positions(self._account)

    def moving(self) -> frozenset[tuple[Category, str]]:
        return frozenset(
            (each.state.planned.category, each.state.planned.symbol) for each in self.journal.open_orders(self._account)
        )

    def terms(self) -> dict[str, str]:
        """By kind of contract, where the exchange said that its trading terms are not accepted."""
        return {
            each.name.removeprefix(TERMS).strip(): each.value
            for each in self.journal.switches()
            if each.account == self._account and each.name.startswith(TERMS) and each.value
        }

    def has_placed(self, client_order_id: str) -> bool:
        found = self.journal.order(client_order_id)
        return found is not None and found.account == self._account


# Which of an account's coins are the relay's own: by its journal, in which every fill of its orders must be known.


def own_coins_of(account: str, *, journal: Journal, exchange: ExchangePort) -> ReadOwnCoins:
    """What it returns takes the symbols of which the account lacks coins: what rests to sell them may have done so.

    It raises ExchangeUnreachable, ExchangeAnswered where something must be asked for, JournalUnavailable. Where it may
    not ask, because it must not wait, it writes nothing either.

    Where the exchange lists an order's fills later than its end, or a sale is under way of which it says nothing yet,
    `uncounted` says so: then nothing is certain.
    """

    def own_coins(lacking_at: Collection[str] = (), *, asks: bool = True) -> Mapping[str, OwnCoins]:
        held = journal.holdings(account)
        if not asks:
            return _without(leaving(lacking_at), held)
        lacking = [each for each in held.values() if each.uncounted]
        for holding in lacking:
            for order in journal.uncounted_orders(account, holding.symbol):
                planned, name = order.state.planned, order.state.client_order_id
                fills = exchange.fills(category=planned.category, symbol=planned.symbol, client_order_id=name)
                journal.record_report(name, None, fills, now_ms=to_ms(utc_now()))
        sales = leaving(lacking_at)
        under_way = [each for each in sales if _is_under_way(each, journal, exchange)]
        return _without(under_way, journal.holdings(account)) if lacking or sales else held

    def leaving(lacking_at: Collection[str]) -> list[OrderState]:
        return [each.state for each in journal.open_orders(account) if _is_leaving(each.state, lacking_at)]

    return own_coins


def _is_leaving(state: OrderState, lacking_at: Collection[str] = ()) -> bool:
    """A sale of coins that was sent, and has not ended as far as is known; one that rests only where coins lack."""
    planned = state.planned
    is_sale = planned.side is Side.SELL and not planned.category.has_positions
    may_rest = state.rests or planned.type.is_conditional
    return is_sale and bool(state.attempts) and (not may_rest or planned.symbol in lacking_at)


def _is_under_way(order: OrderState, journal: Journal, exchange: ExchangePort) -> bool:
    """Whether it may still sell: it stands at the exchange, or could arrive there yet. What it sold is written down."""
    report, fills = report_of(exchange, order)
    if report is None:
        return exchange.now_ms() <= order.dead_at_ms
    journal.record_report(order.client_order_id, report, fills, now_ms=to_ms(utc_now()))
    return not report.status.is_ended and _is_leaving(order)


def _without(sales: list[OrderState], known: Mapping[str, OwnCoins]) -> Mapping[str, OwnCoins]:
    """What is under way may have been sold at any moment."""
    held = dict(known)
    for order in sales:
        symbol = order.planned.symbol
        holding = held.get(symbol) or OwnCoins(symbol=symbol)
        held[symbol] = replace(holding, uncounted=holding.uncounted - order.planned.qty)
    return held


# One account of a journal that was brought back from a backup, before its lanes run: what was unfinished is looked up
# and ended, nothing is sent, and what differs from the exchange is written down for `resume`.


_Lane = tuple[Category, str]
_BROUGHT_BACK = "the journal was brought back from a backup, in which this was unfinished"
_NOT_SENT = Reason(code=RESTORED_CODE, message=f"{_BROUGHT_BACK}; the exchange has nothing of it, and it is not sent")


def settle_restored(
    account: Account, journal: Journal, standing: Callable[[], tuple[OpenOrder, ...]], *, now_ms: int
) -> tuple[str, ...]:
    """What differs, where that was not known yet; safe to repeat. `standing`: reads all that rests in the account.

    Raises ExchangeUnreachable, ExchangeAnswered, JournalUnavailable; then it is to be called again.
    """
    state = restored(journal, account.name)
    if state is None or state.differences is not None:
        return ()
    settling = _Settling(account=account, journal=journal, now_ms=now_ms)
    settling.read_positions()
    for execution in journal.unfinished():
        if execution.account == account.name and execution.seq <= state.until:
            settling.end(execution)
    settling.follow_open_orders()
    moved = settling.compare_positions()
    settling.compare_orders(standing())
    return settling.keep(state, moved)


@dataclass(slots=True, kw_only=True)
class _Settling:
    account: Account
    journal: Journal
    now_ms: int
    held: dict[_Lane, Decimal] = field(default_factory=dict)
    unreadable: frozenset[_Lane] = frozenset()
    differences: list[str] = field(default_factory=list)
    absent: set[str] = field(default_factory=set)

    def read_positions(self) -> None:
        try:
            found = self.account.exchange.positions()
        except FactsUnreadable as error:
            found, self.unreadable = error.readable, error.where
        self.held = {(each.category, each.symbol): each.size for each in found if each.size}

    def end(self, execution: ExecutionRecord) -> None:
        finish = self._unplanned(execution) if execution.plan is None else self._planned(execution)
        if finish.reason is not None and finish.status is SignalStatus.ATTENTION:
            self.differences.append(f"signal {execution.signal.id} needs you: {finish.reason.message}")
        self.journal.finish(
            execution.signal.id,
            self.account.name,
            finish.status,
            finish.reason,
            (*finish.notes, _BROUGHT_BACK),
            now_ms=self.now_ms,
        )

    def _unplanned(self, execution: ExecutionRecord) -> Finish:
        """It may have been planned after the backup: then its first order is known by its id."""
        signal = execution.signal
        lane = self._lane(execution)
        if lane is None:
            return Finish(status=SignalStatus.FAILED, reason=_NOT_SENT)
        first = client_order_id(signal_id=signal.id, account=self.account.name, leg=0, generation=execution.generation)
        report = self.account.exchange.look_up(category=lane[0], symbol=lane[1], client_order_id=first)
        if report is not None:
            what = f"the exchange has its order {first} ({report.status}, {plain(report.filled_qty)} filled)"
            message = f"{_BROUGHT_BACK}; {what}, which this journal does not follow"
            return Finish(status=SignalStatus.ATTENTION, reason=Reason(code=RESTORED_CODE, message=message))
        return self._not_sent(lane)

    def _lane(self, execution: ExecutionRecord) -> _Lane | None:
        """Returns None where its ticker is no instrument of the exchange's, so that nothing can have been ordered."""
        signal, index = execution.signal, self.account.market.symbol_index
        if signal.category is not None and signal.symbol is not None:
            return signal.category, signal.symbol
        found = index.resolve(signal.ticker or "", None) if index is not None else None
        return (found.category, found.symbol) if isinstance(found, Instrument) else None

    def _not_sent(self, lane: _Lane) -> Finish:
        """A person must look where something is open: it may have been to be closed."""
        if lane not in self.unreadable and not self.held.get(lane):
            return Finish(status=SignalStatus.FAILED, reason=_NOT_SENT)
        message = f"{_NOT_SENT.message}; a position of {lane[1]} is open: should it be?"
        return Finish(status=SignalStatus.ATTENTION, reason=replace(_NOT_SENT, message=message))

    def _planned(self, execution: ExecutionRecord) -> Finish:
        states = tuple(self._looked_up(each.state) for each in execution.orders)
        if any(each.is_in_doubt and not each.is_settled for each in states):
            message = f"{_BROUGHT_BACK}; what became of an order of it is not known"
            return Finish(status=SignalStatus.ATTENTION, reason=Reason(code=OUTCOME_UNKNOWN, message=message))
        lane = (states[0].planned.category, states[0].planned.symbol) if states else self._lane(execution)
        if lane is not None and all(each.reason == _NOT_SENT for each in states):
            return self._not_sent(lane)
        size = self.held.get(lane, Decimal(0)) if lane is not None else None
        came_to = progress(states, size=size)
        if not isinstance(came_to, Finish):
            message = f"{_BROUGHT_BACK}; what is left of it is not sent"
            return Finish(status=SignalStatus.ATTENTION, reason=Reason(code=RESTORED_CODE, message=message))
        is_other = came_to.status in (SignalStatus.DENIED, SignalStatus.EXPIRED)
        return replace(came_to, status=SignalStatus.FAILED) if is_other else came_to

    def _looked_up(self, order: OrderState) -> OrderState:
        """As the exchange has it; what it has nothing of and was never sent, as far as the backup tells, has ended."""
        if order.status.is_ended:
            return order
        report, fills = report_of(self.account.exchange, order, is_thorough=True)
        name = order.client_order_id
        if report is not None:
            self.journal.record_report(name, report, fills, now_ms=self.now_ms)
        elif not order.attempts:
            self.journal.settle_order(name, OrderStatus.DENIED, _NOT_SENT, now_ms=self.now_ms)
        else:
            self.absent.add(name)
            symbol = shown_symbol(order.planned.symbol, order.planned.category)
            what = f"{symbol}: the order {name} was {order.status} in the backup"
            self.differences.append(f"{what}, and the exchange has nothing of it")
            return order
        found = self.journal.order(name)
        assert found is not None, "it was read from the journal"
        return found.state

    def follow_open_orders(self) -> None:
        """Those of finished signals, as they are by now; from here on they are followed like any others."""
        for each in self.journal.open_orders(self.account.name):
            if each.state.client_order_id not in self.absent:
                self._looked_up(each.state)

    def compare_positions(self) -> frozenset[_Lane]:
        """The instruments whose positions are not what the backup says."""
        expected = self.journal.expected_positions(self.account.name)
        moved = set(self.unreadable)
        for lane in sorted(expected.keys() | self.held.keys() | self.unreadable):
            name = shown_symbol(lane[1], lane[0])
            before, now = expected.get(lane, Decimal(0)), self.held.get(lane, Decimal(0))
            if lane in self.unreadable:
                self.differences.append(f"{name}: the exchange's position cannot be read")
            elif before != now:
                moved.add(lane)
                self.differences.append(
                    f"{name}: the position was {plain(before)} by the backup, and is {plain(now)} at the exchange"
                )
        return frozenset(moved)

    def compare_orders(self, standing: tuple[OpenOrder, ...]) -> None:
        for each in standing:
            if not each.is_stop and self.journal.order(each.client_order_id) is None:
                name = each.client_order_id or "without an id"
                self.differences.append(
                    f"{shown_symbol(each.symbol, each.category)}: an order rests that the backup does not know ({name})"
                )

    def keep(self, state: Restored, moved: frozenset[_Lane]) -> tuple[str, ...]:
        """Brackets of positions that have moved are of the past; the others are followed again after `resume`."""
        for lane in moved & {each.lane for each in state.brackets}:
            self.differences.append(
                f"{shown_symbol(lane[1], lane[0])}: stops and take profits stay as the exchange has them, and are not "
                "followed any more; an "
                "alert with the action `stops` sets them anew"
            )
        differences = tuple(dict.fromkeys(self.differences))
        remaining = tuple(each for each in state.brackets if each.lane not in moved)
        state = replace(state, brackets=remaining, differences=differences)
        save(self.journal, self.account.name, state, now_ms=self.now_ms)
        return differences
