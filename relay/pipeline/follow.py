"""Follow the orders that rest at the exchange to their end, beside the lanes and never in their way."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping

from relay.errors import ExchangeAnswered, ExchangeUnreachable, JournalUnavailable
from relay.journal.journal import Journal
from relay.journal.records import OrderRecord
from relay.pipeline.care_lane import CareLanes
from relay.pipeline.clock import Now, to_ms, utc_now
from relay.pipeline.ports import Account
from relay.pipeline.settle import Settling

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
        care: CareLanes | None = None,
        every_s: float = _EVERY_S,
        now: Now = utc_now,
        is_first: Callable[[], bool] = lambda: True,
    ) -> None:
        """`care`: looked at in each round, once the orders are known. `is_first`: whether it is this process that
        follows, where there are several."""
        self._journal = journal
        self._accounts = accounts
        self._care = care
        self._every_s = every_s
        self._is_first = is_first
        self._now = now
        self._settling = Settling(journal=journal)
        self._asked: dict[str, int] = {}
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
        asked_at = time.monotonic()
        while not self._stop.wait(self._every_s):
            is_due = time.monotonic() - asked_at >= _LISTENING_EVERY_S or self._is_woken.is_set()
            if is_due:
                self._is_woken.clear()
                asked_at = time.monotonic()
            try:
                if self._is_first():
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
        """Ask for those that were not asked for the longest, then look after what is guarded; how many have changed.

        `accounts`: only theirs are asked for; None: all. Raises JournalUnavailable, which ends the round. An account
        that does not answer is left alone until the next round; whatever else goes wrong with an order is that order's
        alone.
        """
        self._rounds += 1
        changed = self._ask_in_turn(accounts) if accounts is None or accounts else 0
        if self._care is not None and not self._stop.is_set():
            self._care.round()
        return changed

    def _ask_in_turn(self, accounts: frozenset[str] | None) -> int:
        now_ms = to_ms(self._now())
        denied = self._journal.denied_in_doubt(
            since_ms=now_ms - _DENIED_MS, of_signals_since_ms=now_ms - _DENIED_OF_SIGNALS_MS
        )
        open_orders = [each for each in self._journal.open_orders() if self._is_ours(each)]
        resting = {each.state.client_order_id: each for each in (*open_orders, *denied)}
        self._settling.keep_only(set(resting))
        self._asked = {each: self._asked.get(each, 0) for each in resting}
        silent: set[str] = set()
        asked = changed = 0
        for name in sorted(resting, key=lambda each: self._asked[each]):
            record = resting[name]
            if record.account in silent or (accounts is not None and record.account not in accounts):
                continue
            if asked == _PER_ROUND or self._stop.is_set():
                break
            asked += 1
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
        return record.state.rests or to_ms(self._now()) - record.updated_at_ms > _GIVEN_UP_MS

    def _turn_of(self, record: OrderRecord) -> bool:
        self._asked[record.state.client_order_id] = self._rounds
        try:
            return self._ask(record)
        except (JournalUnavailable, ExchangeUnreachable):
            raise
        except ExchangeAnswered as error:
            log.warning("order %s could not be followed just now: %s", record.state.client_order_id, error)
        except Exception:
            log.exception("order %s could not be followed just now", record.state.client_order_id)
        return False

    def _ask(self, record: OrderRecord) -> bool:
        account = self._accounts.get(record.account)
        if account is None or self._stop.is_set():
            return False
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
