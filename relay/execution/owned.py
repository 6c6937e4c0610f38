"""The accounts that this process owns, of several processes: their work, from the journal into the lanes."""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Final

from relay.domain.instrument import Category
from relay.domain.signal import Action, Signal
from relay.engine.lanes import Lane, Lanes, LaneTask
from relay.engine.lease_guard import AccountLease, LeaseLost, holding
from relay.errors import JournalUnavailable
from relay.execution.tasks import Accepting, Opening, Tasks
from relay.journal.engine_queries import LaneNews, unfinished_behind, unfinished_keys, unfinished_of_account
from relay.journal.journal import Journal
from relay.journal.records import Admission, ExecutionRecord, New, Reopened
from relay.journal.store import lane_name

log = logging.getLogger(__name__)

LOOK_S: Final = 1.0
"""How often it is looked for work of which no word came."""
_LANES_AT_ONCE: Final = 20
_AGAIN_S: Final = 0.5
_STOP_S: Final = 2.0
_EXITS: Final = frozenset(
    each.value for each in (Action.CLOSE, Action.CLOSE_LONG, Action.CLOSE_SHORT, Action.FLAT, Action.EXIT)
)

Tell = Callable[[Collection[str]], None]
"""Other processes, of lanes by their names."""


def lanes_of_new(signal: Signal, accounts: Iterable[str]) -> list[str]:
    symbol = signal.symbol if signal.category else signal.ticker
    return [lane_name(each, signal.category, symbol or "") for each in accounts]


def lanes_of_admission(admission: Admission, signal: Signal, accounts: Iterable[str]) -> list[str]:
    """By their names: where there is something to do now."""
    match admission:
        case New():
            return lanes_of_new(signal, accounts)
        case Reopened():
            return lanes_of_reopened(admission)
        case _:
            return []


def lanes_of_reopened(reopened: Reopened) -> list[str]:
    return [_lane_name(each) for each in reopened.assignments]


def _lane_name(execution: ExecutionRecord) -> str:
    signal = execution.signal
    return lane_name(execution.account, signal.category, (signal.symbol if signal.category else signal.ticker) or "")


class WakingFeeder:
    """A `Feeder` of a process that only accepts: whoever owns the account hears of it."""

    def __init__(self, tell: Tell, *, is_open: Callable[[], bool]) -> None:
        self._tell = tell
        self._is_open = is_open

    @property
    def is_open(self) -> bool:
        return self._is_open()

    def at_once(self, signal: Signal, accounts: tuple[str, ...], accepting: Accepting) -> Opening | None:
        return None

    def admitted(self, admission: Admission, signal: Signal, accounts: tuple[str, ...]) -> None:
        self._tell(lanes_of_admission(admission, signal, accounts))

    def opened_again(self, reopened: Reopened) -> None:
        self._tell(lanes_of_reopened(reopened))


@dataclass(slots=True, kw_only=True)
class OwnedTask:
    """A task by the right of its account's lease; dropped once that is another's."""

    task: LaneTask
    lease: AccountLease

    def step(self) -> float | None:
        return self._by_right(self.task.step)

    def failed(self, error: Exception) -> float | None:
        return self._by_right(lambda: self.task.failed(error))

    def _by_right(self, do: Callable[[], float | None]) -> float | None:
        if not self.lease.is_valid:
            return self._waits()
        try:
            with holding(self.lease):
                return do()
        except LeaseLost:
            return self._waits()

    def _waits(self) -> float | None:
        """A lease that was not renewed in time may be this process's again, if nobody took it."""
        return None if self.lease.is_lost else _AGAIN_S


@dataclass(slots=True, eq=False)
class _Fed:
    """What of an account is in its lanes."""

    lease: AccountLease
    keys: set[tuple[str, int]] = field(default_factory=set)
    """Signal and generation, until it is seen that they are finished."""
    last: dict[tuple[Category | None, str], int] = field(default_factory=dict)
    """By lane: in one lane `seq` is the order of the commits, since whoever accepts holds the lane's lock."""


class OwnedFeeder:
    """A `Feeder`. One thread reads what words and looks are about, so what it puts in a lane keeps its order."""

    def __init__(self, *, journal: Journal, lanes: Lanes, tasks: Tasks, tell: Tell) -> None:
        self._journal = journal
        self._lanes = lanes
        self._tasks = tasks
        self._tell = tell
        self._fed: dict[str, _Fed] = {}
        self._reading = threading.Lock()
        self._lock = threading.Lock()
        self._words: dict[str, None] = {}
        self._is_look_due = False
        self._news = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="feeder", daemon=True)

    def start(self) -> None:
        if not self._thread.is_alive():
            self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._news.set()
        if self._thread.is_alive():
            self._thread.join(_STOP_S)

    @property
    def is_open(self) -> bool:
        return bool(self._fed)

    @property
    def fed(self) -> frozenset[str]:
        """The accounts whose work is in the lanes."""
        return frozenset(self._fed)

    def at_once(self, signal: Signal, accounts: tuple[str, ...], accepting: Accepting) -> Opening | None:
        return None

    def admitted(self, admission: Admission, signal: Signal, accounts: tuple[str, ...]) -> None:
        self._spread(lanes_of_admission(admission, signal, accounts))

    def opened_again(self, reopened: Reopened) -> None:
        self._spread(lanes_of_reopened(reopened))

    def _spread(self, names: Collection[str]) -> None:
        others = [each for each in names if _account_of(each) not in self._fed]
        for each in names:
            self.hear(each)
        if others:
            self._tell(others)

    def hear(self, word: str | None) -> None:
        """A lane's name; None: words may have been missed. What is about another process's accounts is no news."""
        if word is not None and _account_of(word) not in self._fed:
            return
        with self._lock:
            if word is None:
                self._is_look_due = True
            else:
                self._words[word] = None
        self._news.set()

    def take_up(self, account: str, lease: AccountLease) -> int:
        """Put all that is unfinished there into its lanes, the oldest first; what follows comes by itself. How many.

        Raises JournalUnavailable, and LeaseLost: then nothing is done there.
        """
        with self._reading, holding(lease):
            found = self._journal.store.submit(
                lambda connection: unfinished_of_account(connection, account), deadline_s=10
            )
            fed = self._fed[account] = _Fed(lease)
            self._lanes.open_account(account)
            for lane in sorted(_by_lane(found), key=_exits_first):
                self._put(fed, lane)
        self.hear(None)
        return len(found)

    def close_account(self, account: str) -> bool:
        """Start no further step there; once none runs, it is forgotten here: True."""
        if not self._lanes.close_account(account):
            return False
        self.drop(account)
        return True

    def drop(self, account: str) -> None:
        """Forget what is under way there. Its steps, should any run, are not gone on with."""
        self._fed.pop(account, None)
        self._lanes.drop_account(account)

    def submit(self, lane: Lane, task: LaneTask) -> None:
        fed = self._fed.get(lane.account)
        if fed is not None:
            self._lanes.submit(lane, OwnedTask(task=task, lease=fed.lease))

    def acting_for(self, account: str) -> AbstractContextManager[None] | None:
        """By whose right this thread acts meanwhile; None: this process may not act there now."""
        fed = self._fed.get(account)
        return holding(fed.lease) if fed is not None and fed.lease.is_valid else None

    def _run(self) -> None:
        look_at = time.monotonic()
        while not self._stop.is_set():
            self._news.wait(max(0.0, look_at - time.monotonic()))
            self._news.clear()
            with self._lock:
                words, self._words = list(self._words), {}
                is_due, self._is_look_due = self._is_look_due or time.monotonic() >= look_at, False
            if is_due:
                look_at = time.monotonic() + LOOK_S
            try:
                with self._reading:
                    self._read(words)
                    if is_due:
                        self._look()
            except JournalUnavailable as error:
                log.warning("what is to be done could not be read: %s", error)
                look_at = time.monotonic() + _AGAIN_S
            except Exception:
                log.exception("what is to be done could not be read")
                look_at = time.monotonic() + _AGAIN_S

    def _read(self, names: Collection[str]) -> None:
        """The lanes of these names."""
        wanted = [(fed, *_parts(each)) for each in names if (fed := self._fed.get(_account_of(each))) is not None]
        if not wanted:
            return
        with self._journal.store.read() as connection:
            for first in range(0, len(wanted), _LANES_AT_ONCE):
                some = wanted[first : first + _LANES_AT_ONCE]
                news = [
                    LaneNews(
                        account=account, category=category, symbol=symbol, behind=fed.last.get((category, symbol), -1)
                    )
                    for fed, account, category, symbol in some
                ]
                for (fed, account, *_), (behind, around) in zip(some, unfinished_behind(connection, news), strict=True):
                    new = [each for each in behind() if _key(each) not in fed.keys]
                    if any(each.signal.category is None for each in new):
                        # It may belong in any lane, behind what came before it there: so all is read, at one moment.
                        found = unfinished_of_account(connection, account)
                        new = [each for each in found if _key(each) not in fed.keys]
                    if len(new) == 1 and new[0].plan is None and around is not None:
                        new = [replace(new[0], circumstances=around())]
                    self._put(fed, new)

    def _look(self) -> None:
        """For what no word came of. What is finished is forgotten."""
        fed = dict(self._fed)
        if not fed:
            return
        with self._journal.store.read() as connection:
            found = unfinished_keys(connection, list(fed))
        there: defaultdict[str, set[tuple[str, int]]] = defaultdict(set)
        missing: dict[str, tuple[Category | None, str]] = {}
        for each in found:
            key = (each.signal_id, each.generation)
            there[each.account].add(key)
            if key not in fed[each.account].keys:
                fed[each.account].last.pop((each.category, each.symbol), None)
                missing[lane_name(each.account, each.category, each.symbol)] = (each.category, each.symbol)
        for account, one in fed.items():
            one.keys &= there[account]
        self._read(missing)

    def _put(self, fed: _Fed, found: Iterable[ExecutionRecord]) -> None:
        for execution in found:
            fed.keys.add(_key(execution))
            lane = (execution.signal.category, execution.signal.symbol or "")
            fed.last[lane] = max(fed.last.get(lane, -1), execution.seq)
            placed = self._tasks.of_stored(execution)
            if placed is not None:
                self._lanes.submit(placed[0], OwnedTask(task=placed[1], lease=fed.lease))


def _key(execution: ExecutionRecord) -> tuple[str, int]:
    return execution.signal.id, execution.generation


def _account_of(name: str) -> str:
    return name.partition("/")[0]


def _parts(name: str) -> tuple[str, Category | None, str]:
    """Account, category and symbol of `lane_name`."""
    account, category, symbol = name.split("/", 2)
    return account, None if category == "?" else Category(category), symbol


def _by_lane(found: Iterable[ExecutionRecord]) -> list[list[ExecutionRecord]]:
    """What has no name yet may belong to any lane: where there is such, all stays in one row."""
    rows: defaultdict[object, list[ExecutionRecord]] = defaultdict(list)
    executions = list(found)
    is_mixed = any(each.signal.category is None for each in executions)
    for each in executions:
        rows[None if is_mixed else (each.signal.category, each.signal.symbol)].append(each)
    return list(rows.values())


def _exits_first(lane: list[ExecutionRecord]) -> bool:
    """By what the lane goes on with."""
    return lane[0].signal.action not in _EXITS
