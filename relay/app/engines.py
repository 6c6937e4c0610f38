"""Which engine executes: in this process, in this and others, or in others alone."""

from __future__ import annotations

import logging
import os
import socket
import threading
import uuid
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Final, Protocol

from relay.engine.lanes import Alarms, Lane, Lanes, LaneTask
from relay.engine.lease_guard import AccountLease, LeaseLost, clock
from relay.engine.placement import Placement
from relay.errors import ExchangeAnswered, ExchangeUnreachable, JournalUnavailable, SettingsInvalid
from relay.execution.owned import OwnedFeeder, WakingFeeder
from relay.execution.tasks import Feeder, Runner, Tasks
from relay.journal.journal import Journal
from relay.journal.opening import migrate as bring_up_to_date
from relay.journal.opening import open_journal
from relay.journal.ownership import FIRST, PLACED, AccountOwners, is_executing
from relay.journal.wake_up import WakeListener, WakeUps
from relay.settings.settings import Settings

log = logging.getLogger(__name__)

CONNECTIONS_ACCEPTING: Final = 4
CONNECTIONS_EXECUTING: Final = 6
"""At most, of a process, where DATABASE_CONNECTIONS says nothing: small plans have twenty in all."""
LISTENING_CONNECTIONS: Final = 1
"""What is opened where orders are executed beside the journal's own."""
_AT_ONCE: Final = 4
"""So many accounts are brought up at a time: the exchange counts what comes from one address."""
_AGAIN_S: Final = (0.2, 0.5, 1.0, 2.0, 5.0)
_UNREACHABLE_S: Final = 10.0
"""So long an account's exchange may be out of this process's reach until another process is left to try."""
_KEY_REFUSED: Final = frozenset({10010, 403})
_NO_WORKER: Final = "no worker process runs; start `python -m relay worker`, or set RELAY_WORKER=inline"


def _process_name() -> str:
    return f"{socket.gethostname()[:40]} {os.getpid()} {uuid.uuid4().hex[:8]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One process of a relay. `executes`: whether it does, where it need not. `name`: its own, and of no other ever."""

    executes: bool
    name: str = field(default_factory=_process_name)


class Serving(Protocol):
    """What an account needs of this process beside its lanes."""

    def prepare(self, account: str) -> None:
        """Before its work is taken up. Raises ExchangeUnreachable, ExchangeAnswered, JournalUnavailable,
        SettingsInvalid."""

    def complete(self, account: str) -> None:
        """Its work is in the lanes. Raises likewise."""

    def release(self, account: str) -> None:
        """It is not this process's any more."""


class Execution(Protocol):
    """How what is accepted gets executed, as seen from one process."""

    @property
    def feeder(self) -> Feeder: ...

    @property
    def is_first(self) -> bool:
        """Whether this process does what belongs to no account."""

    @property
    def is_alone(self) -> bool:
        """Whether everything is executed in this process."""

    @property
    def owned(self) -> frozenset[str]:
        """The accounts that are executed in this process just now."""

    def acting_for(self, account: str) -> AbstractContextManager[None] | None:
        """By whose right this thread acts in it; None: another process does."""

    def begin(self, serving: Serving | None = None) -> None:
        """What belongs to no account is warm. Raises JournalUnavailable. Harmless once it has begun."""

    def problem(self) -> str | None:
        """Why what is accepted would not be executed now."""

    def depth(self) -> int: ...

    def submit(self, lane: Lane, item: LaneTask) -> None:
        """Care of a lane, behind what it has."""

    def wake(self, lane: Lane) -> None:
        """The lane's next step is due, if it waits in this process."""

    def close(self, timeout_s: float) -> bool: ...


class Embedded:
    """In this process, and in no other: all accounts are its own."""

    is_first = True
    is_alone = True

    def __init__(self, *, journal: Journal, items: Tasks, accounts: Collection[str]) -> None:
        self._lanes = Lanes()
        self.owned = frozenset(accounts)
        self.feeder = Runner(journal=journal, engine=self._lanes, items=items)

    def acting_for(self, account: str) -> AbstractContextManager[None] | None:
        return nullcontext()

    def begin(self, serving: Serving | None = None) -> None:
        if self.feeder.is_open:
            return
        for account in sorted(self.owned):
            if serving is not None:
                serving.prepare(account)
        log.info("%d unfinished signals taken up", self.feeder.recover())
        for account in sorted(self.owned):
            if serving is not None:
                serving.complete(account)

    def problem(self) -> str | None:
        return None if self.feeder.is_open else "starting"

    def depth(self) -> int:
        return self._lanes.depth()

    def submit(self, lane: Lane, item: LaneTask) -> None:
        self._lanes.submit(lane, item)

    def wake(self, lane: Lane) -> None:
        self._lanes.wake(lane)

    def close(self, timeout_s: float) -> bool:
        return self._lanes.close(timeout_s)


class Elsewhere:
    """In worker processes; this one only accepts."""

    is_first = False
    is_alone = False
    owned: frozenset[str] = frozenset()

    def __init__(self, journal: Journal, wake_ups: WakeUps) -> None:
        self._store = journal.store
        self._wake_ups = wake_ups
        self.feeder = WakingFeeder(wake_ups.tell, is_open=lambda: self.problem() is None)

    def acting_for(self, account: str) -> AbstractContextManager[None] | None:
        return None

    def begin(self, serving: Serving | None = None) -> None:
        """There is nothing to begin."""

    def problem(self) -> str | None:
        try:
            return None if is_executing(self._store) else _NO_WORKER
        except JournalUnavailable as error:
            return str(error)

    def depth(self) -> int:
        return 0

    def submit(self, lane: Lane, item: LaneTask) -> None:
        """The account's owner takes care by itself."""

    def wake(self, lane: Lane) -> None:
        """None waits here."""

    def close(self, timeout_s: float) -> bool:
        self._wake_ups.close()
        return True


@dataclass(slots=True, eq=False)
class _Served:
    """An account on its way up, or up."""

    lease: AccountLease
    problem: str | None = "it is being brought up"
    tries: int = 0
    unreachable_since: float | None = None
    going: threading.Event = field(default_factory=threading.Event)
    """Set when it is given back, or lost: nothing further is begun."""
    is_busy: bool = False
    """A thread is at it."""


class Owning:
    """In this process for the accounts that it owns; other processes have the others. An `AccountHost`."""

    is_alone = False

    def __init__(
        self,
        *,
        journal: Journal,
        items: Tasks,
        accounts: Collection[str],
        url: str,
        name: str,
        wake_ups: WakeUps,
        room: int,
    ) -> None:
        """`url`: of the database, for psycopg. `name`: of this process, and of no other ever."""
        self._lanes = Lanes()
        self._wake_ups = wake_ups
        self.feeder = OwnedFeeder(journal=journal, lanes=self._lanes, tasks=items, tell=wake_ups.tell)
        owners = AccountOwners(journal.store, name, accounts)
        self._placement = Placement(owners, self, accounts, first=FIRST, room=room)
        self._lanes.on_idle = lambda account: self._placement.wake()
        self._listener = WakeListener(url, self._hear)
        self._serving: Serving | None = None
        self._served: dict[str, _Served] = {}
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(max_workers=_AT_ONCE, thread_name_prefix="bring up")
        self._alarms = Alarms()
        self._has_begun = False
        self._has_ended = False

    @property
    def is_first(self) -> bool:
        return self._placement.is_first

    @property
    def owned(self) -> frozenset[str]:
        return self._placement.owned & self.feeder.fed

    def acting_for(self, account: str) -> AbstractContextManager[None] | None:
        return self.feeder.acting_for(account)

    def begin(self, serving: Serving | None = None) -> None:
        if self._has_begun:
            return
        self._has_begun, self._serving = True, serving
        self.feeder.start()
        self._listener.start()
        self._placement.start()

    def problem(self) -> str | None:
        if self._placement.problem is not None:
            return self._placement.problem
        served = dict(self._served)
        return next((f"{name}: {each.problem}" for name, each in sorted(served.items()) if each.problem), None)

    def depth(self) -> int:
        return self._lanes.depth()

    def submit(self, lane: Lane, item: LaneTask) -> None:
        self.feeder.submit(lane, item)

    def wake(self, lane: Lane) -> None:
        self._lanes.wake(lane)

    def close(self, timeout_s: float) -> bool:
        if self._has_ended:
            return True
        self._has_ended = True
        ended = self._placement.stop(timeout_s) if self._has_begun else True
        self._listener.stop()
        self.feeder.stop()
        self._alarms.close()
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._wake_ups.close()
        return self._lanes.close(0.0) and ended

    def _hear(self, word: str | None) -> None:
        if word == PLACED or word is None:
            self._placement.wake()
        if word != PLACED:
            self.feeder.hear(word)

    # What `Placement` calls.

    def bring_up(self, account: str, lease: AccountLease) -> None:
        served = self._served[account] = _Served(lease)
        self._begin_soon(account, served)

    def wind_down(self, account: str) -> bool:
        served = self._served.get(account)
        if served is not None:
            served.going.set()
            with self._lock:
                if served.is_busy:
                    return False
        if not self.feeder.close_account(account):
            return False
        self._let_go(account)
        return True

    def lost(self, account: str) -> None:
        self.feeder.drop(account)
        self._let_go(account)

    def _let_go(self, account: str) -> None:
        served = self._served.pop(account, None)
        if served is not None:
            served.going.set()
            if self._serving is not None and not self._has_ended:
                self._pool.submit(self._release, account)

    def _release(self, account: str) -> None:
        if account not in self._served and self._serving is not None:
            self._serving.release(account)

    def _begin_soon(self, account: str, served: _Served) -> None:
        if not self._has_ended:
            self._pool.submit(self._bring_up, account, served)

    def _bring_up(self, account: str, served: _Served) -> None:
        """Tried until it succeeds, without a thread in between."""
        with self._lock:
            if served.going.is_set() or served.is_busy:
                return
            served.is_busy = True
        try:
            self._serve(account, served)
            return
        except LeaseLost:
            log.info("account %s is another process's by now", account)
        except (ExchangeUnreachable, ExchangeAnswered, JournalUnavailable, SettingsInvalid) as error:
            self._note_failure(account, served, error)
        except Exception as error:
            log.exception("account %s could not be brought up", account)
            served.problem = f"it could not be brought up ({type(error).__name__})"
        finally:
            with self._lock:
                served.is_busy = False
            if served.going.is_set():
                self._placement.wake()
        delay_s = _AGAIN_S[min(served.tries, len(_AGAIN_S) - 1)]
        served.tries += 1
        self._alarms.set(delay_s, lambda: self._begin_soon(account, served))

    def _serve(self, account: str, served: _Served) -> None:
        serving = self._serving
        if account not in self.feeder.fed:
            if serving is not None:
                serving.prepare(account)
            if served.going.is_set():
                return
            taken_up = self.feeder.take_up(account, served.lease)
            log.info("account %s: %d unfinished signals taken up", account, taken_up)
            served.problem = None
        if served.going.is_set():
            self.feeder.close_account(account)
        elif serving is not None:
            serving.complete(account)

    def _note_failure(self, account: str, served: _Served, error: Exception) -> None:
        """What this process cannot reach or may not ask, another may; an exchange that is away is so for all."""
        served.problem = str(error)
        log.warning("account %s is not ready yet: %s", account, error)
        served.unreachable_since = served.unreachable_since or clock()
        is_refused = isinstance(error, ExchangeAnswered) and error.code in _KEY_REFUSED
        is_away = isinstance(error, ExchangeUnreachable) and clock() - served.unreachable_since >= _UNREACHABLE_S
        if is_refused or is_away:
            self._placement.refuse(account)


def execution_of(
    journal: Journal, items: Tasks, accounts: Collection[str], settings: Settings, process: Process
) -> Execution:
    if not settings.is_postgres:
        return Embedded(journal=journal, items=items, accounts=accounts)
    wake_ups = _wake_ups(journal)
    if not process.executes:
        return Elsewhere(journal, wake_ups)
    return Owning(
        journal=journal,
        items=items,
        accounts=accounts,
        url=_libpq_url(settings),
        name=process.name,
        wake_ups=wake_ups,
        room=settings.accounts_per_process,
    )


def _wake_ups(journal: Journal) -> WakeUps:
    from relay.journal.postgres import PostgresStore

    assert isinstance(journal.store, PostgresStore), "several processes share a Postgres"
    return WakeUps(journal.store.engine)


def journal_of(settings: Settings, process: Process, *, wait_for_lock_s: float) -> Journal:
    """Raises JournalUnavailable."""
    if not settings.is_postgres:
        return open_journal(settings.database_url, wait_for_lock_s=wait_for_lock_s)
    return open_journal(settings.database_url, connections=_connections(settings, process.executes))


def _connections(settings: Settings, executes: bool) -> int:
    """For the journal: what the process may have in all, less the one that listens."""
    least = CONNECTIONS_EXECUTING if executes else CONNECTIONS_ACCEPTING
    return (settings.database_connections or least) - (LISTENING_CONNECTIONS if executes else 0)


def migrate_all(settings: Settings) -> None:
    """Bring the journal to the current schema. Raises JournalUnavailable."""
    bring_up_to_date(settings.database_url)


def _libpq_url(settings: Settings) -> str:
    return settings.database_url.replace("postgresql+psycopg://", "postgresql://", 1)
