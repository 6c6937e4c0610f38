"""Write down what the exchange reports of the accounts' money; and which of its positions and orders are the relay's
own."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Final, Protocol

from relay.bybit.client import AccountApi
from relay.bybit.wire_account import Wallet
from relay.domain.instrument import Category
from relay.domain.performance import Equity, LedgerEntry
from relay.errors import ExchangeAnswered, ExchangeUnreachable, JournalUnavailable
from relay.execution.ports import Now, to_ms, utc_now
from relay.journal.journal import Journal
from relay.journal.ledger import DAY_MS, HOUR_MS, Ledger
from relay.journal.records import TERMS

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
_GIVE_UP_MS: Final = DAY_MS
_READ_MAX_MS: Final = DAY_MS
_WAITING_MAX: Final = 10_000
_STOP_S: Final = 1.0

Receive = Callable[[LedgerEntry], None]


class BookedExchange(Protocol):
    """What is asked of one account's exchange. Raises ExchangeUnreachable or ExchangeAnswered."""

    @property
    def account_api(self) -> AccountApi: ...

    def now_ms(self) -> int: ...

    def wallet(self) -> Wallet: ...


@dataclass(slots=True, kw_only=True)
class _Due:
    """When each is due for one account, on the monotonic clock. `generation`: of the stream when it was last read."""

    read_at: float = 0.0
    equity_at: float = 0.0
    generation: int = -1
    is_troubled: bool = False


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

    def _book(self, account: str, found: list[LedgerEntry], until_ms: int | None = None) -> int:
        return self.ledger.book(account, found, until_ms=until_ms, now_ms=to_ms(self._now()))

    def _look(self, account: str) -> None:
        due, at, live = self._due[account], time.monotonic(), self._stream(account)
        is_new = live is not None and live != due.generation
        if at >= due.read_at or is_new:
            is_done = self._try(account, lambda: self._read(account))
            if is_done is not None and live is not None:
                due.generation = live
            every_s = READ_LIVE_S if live is not None else READ_S
            due.read_at = at + (_AGAIN_S if is_done is None else every_s if is_done else 0)
        if at >= due.equity_at:
            is_added = self._try(account, lambda: self._add_equity(account))
            due.equity_at = at + (_AGAIN_S if is_added is None else EQUITY_S)

    def _read(self, account: str) -> bool:
        """Read on from where it stopped, a day at most. Returns whether it has come to the present."""
        exchange = self._exchanges[account]
        now_ms = exchange.now_ms()
        known_ms = self.ledger.booked_until(account)
        since_ms = now_ms - now_ms % DAY_MS if known_ms is None else max(known_ms, now_ms - 7 * DAY_MS + HOUR_MS)
        until_ms = min(since_ms + _READ_MAX_MS, now_ms)
        found = exchange.account_api.transaction_log.read(since_ms, until_ms)
        sure_ms = until_ms if until_ms < now_ms else max(since_ms, now_ms - _OVERLAP_MS)
        if found.open_at_ms is not None:
            if now_ms - found.open_at_ms < _GIVE_UP_MS:
                sure_ms = min(sure_ms, found.open_at_ms)
            else:
                log.warning("%s: the exchange does not tell what some executions came to; they are left out", account)
        self._book(account, list(found.ledger_entries), until_ms=sure_ms)
        return until_ms == now_ms

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
            (each.state.planned.category, each.state.planned.symbol)
            for each in self.journal.open_orders()
            if each.account == self._account
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
