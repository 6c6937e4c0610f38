"""Which engine executes: in this process, in this and others, or in others alone."""

from __future__ import annotations

import logging
import os
import socket
import threading
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from relay.engine.lanes import Lane, Lanes, LaneTask
from relay.errors import JournalUnavailable, SchemaOutdated
from relay.execution.queue_source import LaneTaken, QueueRunner, QueueSource
from relay.execution.tasks import Feeder, Runner, Tasks
from relay.journal.journal import Journal
from relay.journal.leases import Leases
from relay.journal.opening import migrate as bring_up_to_date
from relay.journal.opening import open_journal
from relay.journal.waiting_lanes import WaitingLanes
from relay.settings.settings import Settings

if TYPE_CHECKING:
    from relay.journal.stream_boards import StreamBoards


log = logging.getLogger(__name__)

CONNECTIONS_ACCEPTING: Final = 4
CONNECTIONS_EXECUTING: Final = 6
"""At most, of a process, where DATABASE_CONNECTIONS says nothing: small plans have twenty in all."""
QUEUE_CONNECTIONS: Final = 3
"""What is opened where orders are executed beside the journal's own: one for the queue's jobs, and two that listen, for
jobs and for what the streams tell."""
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
        """Whether this process does what only one of them should."""

    @property
    def is_alone(self) -> bool:
        """Whether everything is executed in this process."""

    def begin(self, account: str) -> None:
        """The account is warm: its lanes run from now on. Raises JournalUnavailable. Harmless once it has begun."""

    def problem(self, account: str) -> str | None:
        """Why what is accepted for the account would not be executed now."""

    def executes(self, account: str) -> bool:
        """Whether the account's lanes run in this process, as far as it is this one that has them."""

    def depth(self) -> int: ...

    def submit(self, lane: Lane, item: LaneTask) -> None:
        """Put a task that protects positions behind those that the lane has."""

    def wake(self, lane: Lane) -> None:
        """The lane's next step is due, if it waits in this process."""

    def tidy(self) -> None:
        """Forget what ended processes have left. Raises JournalUnavailable."""

    def close(self, timeout_s: float) -> bool: ...


class Embedded:
    """In this process, and in no other."""

    is_first = True
    is_alone = True

    def __init__(self, *, journal: Journal, items: Tasks) -> None:
        self._lanes = Lanes()
        self.submit, self.wake, self.depth = self._lanes.submit, self._lanes.wake, self._lanes.depth
        self.feeder = Runner(journal=journal, engine=self._lanes, items=items)

    def begin(self, account: str) -> None:
        if not self.feeder.is_open_for(account):
            log.info("%d unfinished signals of %s taken up", self.feeder.recover(account), account)

    def problem(self, account: str) -> str | None:
        return None if self.executes(account) else "starting"

    def executes(self, account: str) -> bool:
        return self.feeder.is_open_for(account)

    def tidy(self) -> None:
        """Does nothing: there was no other process."""

    def close(self, timeout_s: float) -> bool:
        return self._lanes.close(timeout_s)


class Elsewhere:
    """In worker processes; this one only accepts."""

    is_first = False
    is_alone = False

    def __init__(self, journal: Journal) -> None:
        self._leases = Leases(journal.store, "")
        self.feeder = QueueRunner(self)

    @property
    def is_running(self) -> bool:
        return self._problem() is None

    def begin(self, account: str) -> None:
        """There is nothing to begin."""

    def problem(self, account: str) -> str | None:
        return self._problem()

    def _problem(self) -> str | None:
        try:
            return None if self._leases.workers() else _NO_WORKER
        except JournalUnavailable as error:
            return str(error)

    def executes(self, account: str) -> bool:
        return False

    def depth(self) -> int:
        return 0

    def submit(self, lane: Lane, item: LaneTask) -> None:
        """Does nothing: the first of the workers protects positions by itself."""

    def wake(self, lane: Lane) -> None:
        """Does nothing: no lane waits in this process."""

    def tidy(self) -> None:
        """Does nothing: the first of the workers does it."""

    def close(self, timeout_s: float) -> bool:
        return True


class Shared:
    """In this process, and perhaps in others: whoever takes a lane's lease."""

    is_alone = False

    def __init__(
        self,
        *,
        journal: Journal,
        items: Tasks,
        url: str,
        owner: str,
        lane_taken: LaneTaken,
    ) -> None:
        """`owner`: names this process among all."""
        # Imported here: the embedded engine needs neither psycopg nor procrastinate.
        from relay.engine.postgres import PostgresEngine

        self._store = journal.store
        self._leases = keeper = Leases(journal.store, owner)
        waiting = WaitingLanes(journal.store, owner)
        self._beginning = threading.Lock()
        self._begun: set[str] = set()
        """The accounts whose lanes this process may take: those that are warm here."""
        source = QueueSource(journal=journal, waiting=waiting, items=items, accounts=self._begun, lane_taken=lane_taken)
        self._engine = PostgresEngine(url, source, keeper)
        self.feeder = QueueRunner(self._engine)

    @property
    def is_first(self) -> bool:
        return self._engine.is_first

    def begin(self, account: str) -> None:
        with self._beginning:
            if not self._begun:
                self._engine.start()
            self._begun.add(account)

    def problem(self, account: str) -> str | None:
        if account not in self._begun:
            return "starting"
        if self._engine.is_running:
            return None
        return self._engine.problem or "this process has lost its lease, and takes a new one"

    def executes(self, account: str) -> bool:
        return account in self._begun

    def depth(self) -> int:
        return self._engine.depth()

    def submit(self, lane: Lane, item: LaneTask) -> None:
        self._engine.submit(lane, item)

    def wake(self, lane: Lane) -> None:
        self._engine.wake(lane)

    def tidy(self) -> None:
        from relay.engine.postgres_jobs import prune

        self._leases.forget_dead_workers()
        self._store.submit(prune)

    def close(self, timeout_s: float) -> bool:
        return self._engine.close(timeout_s)


def boards_of(journal: Journal, settings: Settings, process: Process) -> StreamBoards | None:
    """By which the processes that execute share the accounts' streams; None if this one shares none."""
    if not settings.is_postgres or not process.executes:
        return None
    from relay.journal.stream_boards import StreamBoards

    return StreamBoards(journal.store, _libpq_url(settings), process.name)


def execution_of(
    journal: Journal,
    items: Tasks,
    settings: Settings,
    process: Process,
    *,
    lane_taken: LaneTaken,
) -> Execution:
    """`lane_taken`: see QueueSource."""
    if not settings.is_postgres:
        return Embedded(journal=journal, items=items)
    if not process.executes:
        return Elsewhere(journal)
    return Shared(
        journal=journal,
        items=items,
        url=_libpq_url(settings),
        owner=process.name,
        lane_taken=lane_taken,
    )


def journal_of(settings: Settings, process: Process, *, wait_for_lock_s: float) -> Journal:
    """The journal, with the queue that goes with it. Raises JournalUnavailable."""
    if not settings.is_postgres:
        return open_journal(settings.database_url, wait_for_lock_s=wait_for_lock_s)
    from relay.engine.postgres_queue import PostgresQueue
    from relay.engine.postgres_schema import is_current

    journal = open_journal(
        settings.database_url, connections=_connections(settings, process.executes), queue=PostgresQueue()
    )
    if not is_current(_libpq_url(settings)):
        journal.close()
        raise SchemaOutdated
    return journal


def _connections(settings: Settings, executes: bool) -> int:
    """For the journal: what the process may have in all, less what the queue needs."""
    least = CONNECTIONS_EXECUTING if executes else CONNECTIONS_ACCEPTING
    return (settings.database_connections or least) - (QUEUE_CONNECTIONS if executes else 0)


def migrate_all(settings: Settings) -> None:
    """Bring the journal, and the queue where there is one, to the current schema. Raises JournalUnavailable."""
    bring_up_to_date(settings.database_url)
    if settings.is_postgres:
        from relay.engine.postgres_schema import migrate_queue

        migrate_queue(_libpq_url(settings))


def _libpq_url(settings: Settings) -> str:
    return settings.database_url.replace("postgresql+psycopg://", "postgresql://", 1)
