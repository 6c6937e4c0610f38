"""Care that no signal is at work for: as an item of the lane, so that effects on one instrument stay in order."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from relay.domain.care import next_care
from relay.domain.care_steps import Rest
from relay.domain.guard import GuardStatus
from relay.domain.order import Reason
from relay.domain.progress import Finish
from relay.domain.reconciliation import OrderState
from relay.engine.engine import Engine, Lane
from relay.errors import ExchangeAnswered, ExchangeUnreachable, JournalUnavailable
from relay.journal.journal import Journal
from relay.journal.protection import GuardRecord
from relay.journal.records import OrderRecord
from relay.pipeline.cancel import Canceller
from relay.pipeline.care import Caretaker
from relay.pipeline.caring import Cared, Caring
from relay.pipeline.clock import Now, to_ms, utc_now
from relay.pipeline.ports import Account
from relay.pipeline.resting import Resting
from relay.pipeline.sight import entry_sight, look

log = logging.getLogger(__name__)

_JOURNAL_AGAIN_S = 0.5
_FAILED_MAX = 3
_PAUSE_MAX_ROUNDS = 32
"""A guard that does not come to rest is looked at ever more seldom."""

Tell = Callable[[str, str, Reason], None]
"""Of a signal on an account: what a person must look at."""


@dataclass(slots=True)
class _Pause:
    """How many rounds a lane sits out before it is looked at again."""

    length: int = 1
    left: int = 0


class CareLanes:
    """Puts care into lanes. Thread-safe for `submit`; `round` belongs to the follower's thread."""

    def __init__(
        self,
        *,
        journal: Journal,
        engine: Engine,
        caretaker: Caretaker,
        accounts: Mapping[str, Account],
        tell: Tell,
        now: Now = utc_now,
    ) -> None:
        self.journal = journal
        self.caretaker = caretaker
        self.canceller = Canceller(journal=journal)
        self.tell = tell
        self.now = now
        self._engine = engine
        self._accounts = accounts
        self._lock = threading.Lock()
        self._queued: set[Lane] = set()
        self._pauses: dict[Lane, _Pause] = {}
        self._unseen: dict[Lane, None] = {}
        """Where the last look got no answer, the longest ago first: they are looked at after the others."""

    def submit(self, lane: Lane) -> None:
        """Behind what the lane has; once, however often it is asked for meanwhile."""
        account = self._accounts.get(lane.account)
        with self._lock:
            if account is None or lane in self._queued:
                return
            self._queued.add(lane)
        caring = Caring(account=account, category=lane.category, symbol=lane.symbol)
        self._engine.submit(lane, CareItem(lane=lane, lanes=self, caring=caring))

    def done(self, lane: Lane) -> None:
        with self._lock:
            self._queued.discard(lane)

    def take_up(self) -> int:
        """At the start: everything that is guarded, behind the signals that go on. How many lanes there were."""
        lanes = {_lane_of(each) for each in self.journal.live_guards()}
        for lane in sorted(lanes):
            self.submit(lane)
        return len(lanes)

    def round(self) -> None:
        """Look at each guard, and submit care where it is not at rest; and where a resting entry's time is over.

        Raises JournalUnavailable, which ends the round. An account that does not answer is left alone until the next
        one, and whatever else goes wrong with a guard is that guard's alone.
        """
        now_ms = to_ms(self.now())
        for order in self.journal.open_orders():
            if is_overdue(order, now_ms):
                planned = order.state.planned
                self.submit(Lane(account=order.account, category=planned.category, symbol=planned.symbol))
        after = {lane: place for place, lane in enumerate(self._unseen, start=1)}
        silent: set[str] = set()
        for record in sorted(self.journal.live_guards(), key=lambda each: after.get(_lane_of(each), 0)):
            if record.account not in silent and not self._could_look_at(record, now_ms):
                silent.add(record.account)

    def _could_look_at(self, record: GuardRecord, now_ms: int) -> bool:
        """False: its account does not answer."""
        lane = _lane_of(record)
        self._unseen.pop(lane, None)
        try:
            self._look_at(record, now_ms)
        except JournalUnavailable:
            raise
        except ExchangeUnreachable as error:
            self._unseen[lane] = None
            log.warning("the guards of %s could not be looked at just now: %s", record.account, error)
            return False
        except Exception:
            log.exception("the guard of %s on %s could not be looked at just now", record.symbol, record.account)
        return True

    def _look_at(self, record: GuardRecord, now_ms: int) -> None:
        lane = _lane_of(record)
        pause = self._pauses.setdefault(lane, _Pause())
        if pause.left > 0:
            pause.left -= 1
            return
        if self._is_at_rest(record, now_ms):
            self._pauses.pop(lane)
            return
        pause.left, pause.length = pause.length, min(pause.length * 2, _PAUSE_MAX_ROUNDS)
        self.submit(lane)

    def _is_at_rest(self, record: GuardRecord, now_ms: int) -> bool:
        account = self._accounts.get(record.account)
        instrument = account.market.instrument(record.category, record.symbol) if account is not None else None
        if account is None or instrument is None:
            return True
        guard = record.guard
        if guard.status is GuardStatus.WAITING:
            if not guard.entries:
                return False
            return isinstance(next_care(guard, entry_sight(account, self.journal, record, instrument, now_ms)), Rest)
        if guard.are_stops_set and guard.is_entry_over and not guard.rungs and not guard.leavings:
            return True
        known: dict[str, OrderState] = {}
        try:
            looked = look(account, self.journal, record, instrument, known, now_ms=now_ms)
        except ExchangeAnswered as error:
            log.warning("the guard of %s could not be looked at just now: %s", record.symbol, error)
            return True
        except ExchangeUnreachable:
            if guard.are_stops_set:
                raise
            # Known without a look: its levels are not in place, and a person is told unless its lane gets there.
            return False
        if looked is None:
            return False
        return isinstance(next_care(guard, looked.sight(self.journal, record, known, now_ms=now_ms)), Rest)


@dataclass(slots=True, kw_only=True)
class CareItem:
    """Care in its lane: entries whose time is over are cancelled, then the guard is brought to rest."""

    lane: Lane
    lanes: CareLanes
    caring: Caring
    overdue: dict[str, Resting] | None = None
    failures: int = 0

    def step(self) -> float | None:
        try:
            again_s = self._step()
        except JournalUnavailable as error:
            log.error("the care of %s waits for the journal: %s", self.lane.symbol, error)
            return _JOURNAL_AGAIN_S
        if again_s is None:
            self.lanes.done(self.lane)
        return again_s

    def failed(self, error: Exception) -> float | None:
        """What care there is to take, the next look at the guard will find again."""
        self.failures += 1
        if self.failures < _FAILED_MAX:
            self.caring = Caring(account=self.caring.account, category=self.caring.category, symbol=self.caring.symbol)
            return float(self.failures)
        self.lanes.done(self.lane)
        return None

    def _step(self) -> float | None:
        now_ms = to_ms(self.lanes.now())
        waits = self._expire(now_ms)
        if waits is not None:
            return waits
        came_to = self.lanes.caretaker.step(self.caring, now_ms=now_ms)
        if not isinstance(came_to, Cared):
            return came_to
        if came_to.signal_id is not None and came_to.reason is not None:
            self.lanes.tell(came_to.signal_id, self.lane.account, came_to.reason)
        return None

    def _expire(self, now_ms: int) -> float | None:
        """None: nothing of the relay's rests longer than it may."""
        if self.overdue is None:
            self.overdue = self._find_overdue(now_ms)
        if all(each.order.status.is_ended for each in self.overdue.values()):
            return None
        order = next(each.order for each in self.overdue.values() if not each.order.status.is_ended)
        kept = self.lanes.journal.order(order.client_order_id)
        signal_id = kept.signal_id if kept else ""
        came_to = self.lanes.canceller.step(
            self.caring.account, self.overdue, signal_id=signal_id, is_exit=False, now_ms=now_ms
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


def is_overdue(record: OrderRecord, now_ms: int) -> bool:
    """An entry that rests longer than its alert's `valid_for`, counted from its plan."""
    seconds = record.state.planned.valid_for_s
    if seconds is None or not record.state.rests:
        return False
    return now_ms >= record.created_at_ms + seconds * 1000


def _lane_of(record: GuardRecord) -> Lane:
    return Lane(account=record.account, category=record.category, symbol=record.symbol)
