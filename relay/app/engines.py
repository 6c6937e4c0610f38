"""Which engine executes: in this process, in this and others, or in others alone."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Protocol

from relay.bybit.client import Exchange
from relay.bybit.market import Market
from relay.domain.instrument import Category
from relay.engine.lanes import Lane, Lanes, LaneTask
from relay.engine.lease_guard import AccountLease, LeaseLost, clock
from relay.engine.placement import Placement
from relay.errors import ExchangeAnswered, ExchangeUnreachable, JournalUnavailable
from relay.execution.accept import Heartbeats
from relay.execution.owned import OwnedFeeder, WakingFeeder
from relay.execution.ports import to_ms, utc_now
from relay.execution.tasks import Feeder, Runner, Tasks
from relay.journal.journal import Journal
from relay.journal.maintenance import Retention
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
_UNREACHABLE_S: Final = 10.0
"""So long an account's exchange may be out of this process's reach until another process is left to try."""
_KEY_REFUSED: Final = frozenset({10010, 403})
_REQUEST: Final = "? "
"""A word that begins with it asks the owner of the account behind it what is there."""
_NO_WORKER: Final = "no worker process runs; start `python -m relay worker`, or set RELAY_WORKER=inline"


def _process_name() -> str:
    return f"{socket.gethostname()[:40]} {os.getpid()} {uuid.uuid4().hex[:8]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One process of a relay. `executes`: whether it does, where it need not. `name`: its own, and of no other ever."""

    executes: bool
    name: str = field(default_factory=_process_name)


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
    def is_here(self) -> bool:
        """Whether this process executes any account, or would."""

    def acting_for(self, account: str) -> AbstractContextManager[None] | None:
        """By whose right this thread acts in it; None: another process does."""

    def start(self) -> None:
        """Begin to ask for accounts, where there are several processes."""

    def await_account(self, account: str, timeout_s: float | None = None) -> bool:
        """Waits until the account is this process's to execute. Returns False if it is not by then, or all is over."""

    def await_loss(self, account: str, timeout_s: float | None = None) -> bool:
        """Waits until what `await_account` found has changed, or all is over. Returns False if it has not by then."""

    def begin(self, account: str) -> None:
        """The account is warm: its lanes run from now on. Raises JournalUnavailable, LeaseLost. Harmless once it has
        begun."""

    def failed(self, account: str, error: Exception) -> None:
        """It could not be warmed up: perhaps another process can."""

    def problem(self, account: str) -> str | None:
        """Why what is accepted for the account would not be executed now."""

    def executes(self, account: str) -> bool:
        """Whether the account's lanes run in this process."""

    def ask_owner(self, account: str) -> None:
        """Let whoever owns the account write down what is there. Returns at once."""

    def depth(self) -> int: ...

    def submit(self, lane: Lane, item: LaneTask) -> None:
        """Care of a lane, behind what it has."""

    def wake(self, lane: Lane) -> None:
        """The lane's next step is due, if it waits in this process."""

    def close(self, timeout_s: float) -> bool: ...


class _Unplaced:
    """No account ever changes hands."""

    def __init__(self) -> None:
        self._is_over = threading.Event()

    def start(self) -> None:
        """Does nothing: there is nothing to ask for."""

    def await_account(self, account: str, timeout_s: float | None = None) -> bool:
        return not self._is_over.is_set()

    def await_loss(self, account: str, timeout_s: float | None = None) -> bool:
        return self._is_over.wait(timeout_s)

    def failed(self, account: str, error: Exception) -> None:
        """Does nothing: no other process would take the account for that."""


class Embedded(_Unplaced):
    """In this process, and in no other: all accounts are its own."""

    is_first = True
    is_alone = True
    is_here = True

    def __init__(self, *, journal: Journal, items: Tasks) -> None:
        super().__init__()
        self._lanes = Lanes()
        self.submit, self.wake, self.depth = self._lanes.submit, self._lanes.wake, self._lanes.depth
        self.feeder = Runner(journal=journal, engine=self._lanes, items=items)

    def acting_for(self, account: str) -> AbstractContextManager[None] | None:
        return nullcontext()

    def begin(self, account: str) -> None:
        if not self.feeder.is_open_for(account):
            log.info("%d unfinished signals of %s taken up", self.feeder.recover(account), account)

    def ask_owner(self, account: str) -> None:
        """Does nothing: this process knows by itself."""

    def problem(self, account: str) -> str | None:
        return None if self.executes(account) else "starting"

    def executes(self, account: str) -> bool:
        return self.feeder.is_open_for(account)

    def close(self, timeout_s: float) -> bool:
        self._is_over.set()
        return self._lanes.close(timeout_s)


class Elsewhere(_Unplaced):
    """In worker processes; this one only accepts."""

    is_first = False
    is_alone = False
    is_here = False

    def __init__(self, journal: Journal, wake_ups: WakeUps) -> None:
        super().__init__()
        self._store = journal.store
        self._wake_ups = wake_ups
        self.feeder = WakingFeeder(wake_ups.tell, is_open=lambda: self._problem() is None)

    def acting_for(self, account: str) -> AbstractContextManager[None] | None:
        return None

    def begin(self, account: str) -> None:
        """There is nothing to begin."""

    def ask_owner(self, account: str) -> None:
        self._wake_ups.tell([_REQUEST + account])

    def problem(self, account: str) -> str | None:
        return self._problem()

    def _problem(self) -> str | None:
        try:
            return None if is_executing(self._store) else _NO_WORKER
        except JournalUnavailable as error:
            return str(error)

    def executes(self, account: str) -> bool:
        return False

    def depth(self) -> int:
        return 0

    def submit(self, lane: Lane, item: LaneTask) -> None:
        """Does nothing: the account's owner protects positions by itself."""

    def wake(self, lane: Lane) -> None:
        """Does nothing: no lane waits in this process."""

    def close(self, timeout_s: float) -> bool:
        self._is_over.set()
        self._wake_ups.close()
        return True


class Owning:
    """In this process for the accounts that it owns; other processes have the others. An `AccountHost`."""

    is_alone = False
    is_here = True

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
        self.on_request: Callable[[str], None] = lambda account: None
        """Called with an account that this process owns, when another process asks what is there; must be quick."""
        self._changed = threading.Condition()
        self._leases: dict[str, AccountLease] = {}
        self._awaited: dict[str, AccountLease | None] = {}
        """What `await_account` has found."""
        self._taking_up = threading.Lock()
        self._unreachable_since: dict[str, float] = {}
        self._has_begun = False
        self._has_ended = False

    @property
    def is_first(self) -> bool:
        return self._placement.is_first

    def acting_for(self, account: str) -> AbstractContextManager[None] | None:
        return self.feeder.acting_for(account)

    def start(self) -> None:
        if not self._has_begun:
            self._has_begun = True
            self.feeder.start()
            self._listener.start()
            self._placement.start()

    def await_account(self, account: str, timeout_s: float | None = None) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._has_ended or account in self._leases, timeout_s)
            self._awaited[account] = found = self._leases.get(account)
            return found is not None and not self._has_ended

    def await_loss(self, account: str, timeout_s: float | None = None) -> bool:
        """Also if it became this process's again at once."""
        with self._changed:
            return self._changed.wait_for(lambda: self._has_ended or self._is_another_now(account), timeout_s)

    def _is_another_now(self, account: str) -> bool:
        return self._leases.get(account) is not self._awaited.get(account)

    def begin(self, account: str) -> None:
        with self._taking_up:
            lease = self._leases.get(account)
            if lease is None:
                raise LeaseLost
            if account not in self.feeder.fed:
                log.info("%d unfinished signals of %s taken up", self.feeder.take_up(account, lease), account)
            self._unreachable_since.pop(account, None)

    def failed(self, account: str, error: Exception) -> None:
        """What this process cannot reach or may not ask, another may; an exchange that is away is so for all."""
        since = self._unreachable_since.setdefault(account, clock())
        is_refused = isinstance(error, ExchangeAnswered) and error.code in _KEY_REFUSED
        is_away = isinstance(error, ExchangeUnreachable) and clock() - since >= _UNREACHABLE_S
        if is_refused or is_away:
            self._unreachable_since.pop(account, None)
            self._placement.refuse(account)

    def ask_owner(self, account: str) -> None:
        self._wake_ups.tell([_REQUEST + account])

    def problem(self, account: str) -> str | None:
        if self._placement.problem is not None:
            return self._placement.problem
        return "it is being brought up" if account in self._leases and not self.executes(account) else None

    def executes(self, account: str) -> bool:
        return account in self.feeder.fed

    def depth(self) -> int:
        return self._lanes.depth()

    def submit(self, lane: Lane, item: LaneTask) -> None:
        self.feeder.submit(lane, item)

    def wake(self, lane: Lane) -> None:
        self._lanes.wake(lane)

    def close(self, timeout_s: float) -> bool:
        with self._changed:
            if self._has_ended:
                return True
            self._has_ended = True
            self._changed.notify_all()
        ended = self._placement.stop(timeout_s) if self._has_begun else True
        self._listener.stop()
        self.feeder.stop()
        self._wake_ups.close()
        return self._lanes.close(0.0) and ended

    def _hear(self, word: str | None) -> None:
        if word is not None and word.startswith(_REQUEST):
            account = word.removeprefix(_REQUEST)
            if self.executes(account):
                self.on_request(account)
            return
        if word == PLACED or word is None:
            self._placement.wake()
        if word != PLACED:
            self.feeder.hear(word)

    # What `Placement` calls.

    def bring_up(self, account: str, lease: AccountLease) -> None:
        with self._changed:
            self._leases[account] = lease
            self._changed.notify_all()

    def wind_down(self, account: str) -> bool:
        self._forget(account)
        if not self._taking_up.acquire(blocking=False):
            return False
        try:
            return self.feeder.close_account(account)
        finally:
            self._taking_up.release()

    def lost(self, account: str) -> None:
        self._forget(account)
        self.feeder.drop(account)

    def _forget(self, account: str) -> None:
        with self._changed:
            self._leases.pop(account, None)
            self._changed.notify_all()


def execution_of(
    journal: Journal, items: Tasks, accounts: Collection[str], settings: Settings, process: Process
) -> Execution:
    if not settings.is_postgres:
        return Embedded(journal=journal, items=items)
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


# Periodic jobs that keep connections, clock and prices ready for the next alert, and those that one process does for
# all of them.


KEEP_WARM_S = 20.0
CLOCK_S = 60.0
PRICES_S = 60.0
INSTRUMENTS_S = 50.0
"""So that a new listing is known within a minute."""
MORE_S = 5.0
FORGET_S: Final = 60.0


@dataclass(slots=True, kw_only=True)
class _PeriodicJob:
    name: str
    every_s: float
    do: Callable[[], object]
    due_at: float


class PeriodicJobs:
    """A thread an account, and one for all else: an exchange that is slow keeps no other account's jobs waiting.

    A job that fails is due again at its usual time, and what it would have renewed is kept.
    """

    def __init__(
        self,
        *,
        markets: Mapping[str, Market],
        exchanges: Mapping[str, Exchange],
        more: Mapping[str, Callable[[], object]] | None = None,
        needed: Callable[[], Collection[tuple[Category, str]]] = tuple,
        is_ours: Callable[[str], bool] = lambda account: True,
    ) -> None:
        """`markets`: by the account with which each is read. `more`: what else is looked after every few seconds.

        `needed`: where something is open, which must stay known even if the exchange has dropped it from its list.
        `is_ours`: whether the account is kept warm here.
        """
        self._groups: dict[str, list[_PeriodicJob]] = {"": [], **{name: [] for name in exchanges}}
        for name, market in markets.items():
            self._add(name, "prices", PRICES_S, partial(market.load_prices, exchanges[name]))
            self._add(name, "instruments", INSTRUMENTS_S, partial(_load, market, exchanges[name], needed))
        for name, exchange in exchanges.items():
            self._add(name, f"connections of {name}", KEEP_WARM_S, partial(_if_ours, is_ours, name, exchange.keep_warm))
            self._add(name, f"clock of {name}", CLOCK_S, partial(_if_ours, is_ours, name, exchange.measure_clock))
        for name, do in (more or {}).items():
            self._add("", name, MORE_S, do)
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(jobs,), name=f"upkeep {account}".strip(), daemon=True)
            for account, jobs in self._groups.items()
        ]

    def _add(self, account: str, name: str, every_s: float, do: Callable[[], object]) -> None:
        job = _PeriodicJob(name=name, every_s=every_s, do=do, due_at=time.monotonic() + every_s)
        self._groups[account].append(job)

    def add(self, name: str, every_s: float, do: Callable[[], object]) -> None:
        """A further job, due at once. Before `start`."""
        self._groups[""].append(_PeriodicJob(name=name, every_s=every_s, do=do, due_at=time.monotonic()))

    def start(self) -> None:
        for thread, jobs in zip(self._threads, self._groups.values(), strict=True):
            if jobs and not thread.is_alive():
                thread.start()

    def stop(self) -> None:
        self._stop.set()

    def _run(self, jobs: list[_PeriodicJob]) -> None:
        while True:
            periodic_job = min(jobs, key=lambda each: each.due_at)
            if self._stop.wait(max(0.0, periodic_job.due_at - time.monotonic())):
                return
            periodic_job.due_at = time.monotonic() + periodic_job.every_s
            try:
                periodic_job.do()
            except (ExchangeUnreachable, ExchangeAnswered, JournalUnavailable) as error:
                log.warning("%s could not be renewed: %s", periodic_job.name, error)
            except Exception:
                log.exception("%s could not be renewed", periodic_job.name)


def _load(market: Market, exchange: Exchange, needed: Callable[[], Collection[tuple[Category, str]]]) -> None:
    market.load_instruments(exchange, needed())


def open_instruments(journal: Journal, accounts: Iterable[str]) -> frozenset[tuple[Category, str]]:
    """Where the journal knows of a position, an order or a bracket."""
    held = {where for name in accounts for where, size in journal.expected_positions(name).items() if size}
    ordered = {(each.state.planned.category, each.state.planned.symbol) for each in journal.open_orders()}
    return frozenset(held | ordered | {(each.category, each.symbol) for each in journal.live_brackets()})


def _if_ours(is_ours: Callable[[str], bool], account: str, do: Callable[[], object]) -> None:
    if is_ours(account):
        do()


def periodic_jobs_of(
    engine: Execution, heartbeats: Heartbeats, retention: Retention
) -> dict[str, Callable[[], object]]:
    """By what it is."""
    due_at = time.monotonic()

    def forget() -> None:
        nonlocal due_at
        if engine.is_first and time.monotonic() >= due_at:
            due_at = time.monotonic() + FORGET_S
            if forgotten := retention.prune(to_ms(utc_now())):
                log.info("%d old signals forgotten", forgotten)

    return {"heartbeats": lambda: heartbeats.check() if engine.is_first else None, "what is old": forget}
