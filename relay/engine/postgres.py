"""The engine of many processes: procrastinate wakes one of them for each lane, and a lease lets only one act there."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Mapping
from typing import Final, Protocol

from relay.domain.instrument import Category
from relay.engine.draining import Draining, Holdings, Key, Source
from relay.engine.lanes import Lane, Lanes, LaneTask
from relay.engine.lease_guard import Lease
from relay.engine.postgres_jobs import QUEUE, application
from relay.errors import JournalUnavailable

log = logging.getLogger(__name__)
logging.getLogger("procrastinate").setLevel(logging.WARNING)
"""It says of every job when it begins and ends; what became of the signal the relay says itself."""

RENEW_S: Final = 1.0
SWEEP_S: Final = 3.0
_AFTER_END_S: Final = 0.05
"""A lease that has just ended is looked at a little later, when it certainly has."""
FIRST: Final = "first"
_RESTART_S: Final = 0.5
_POLL_S: Final = 2.0
"""For notifications that were lost with a connection."""
_LANES_AT_ONCE: Final = 1000
_STALLED_S: Final = 10.0


class LaneSource(Source, Protocol):
    def lane(self, account: str, category: str | None, symbol: str) -> Key: ...

    def sweep(self) -> float | None:
        """Have a job for each lane with work that nobody attends to; the seconds until the next lease may end."""


class LeaseKeeper(Protocol):
    def register(self) -> Lease: ...

    def take(self, name: str) -> Lease | None: ...

    def renew(self, held: Mapping[str, Lease]) -> None: ...

    def release_all(self) -> None: ...


class PostgresEngine:
    """Of one process. `start` it after the fork."""

    def __init__(self, url: str, source: LaneSource, leases: LeaseKeeper, *, threads: int = 64) -> None:
        """`url`: of the database, for psycopg."""
        self._url = url
        self._source = source
        self._leases = leases
        self._lanes = Lanes(threads=threads)
        self._holdings = Holdings()
        self._drainings: set[Draining] = set()
        self._stop = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._worker: asyncio.Task[None] | None = None
        self._own: Lease | None = None
        self._first: Lease | None = None
        self._threads = [
            threading.Thread(target=work, name=name, daemon=True)
            for name, work in (("queue", self._supervise), ("leases", self._renew), ("sweep", self._sweep))
        ]
        self.problem: str | None = "starting"
        """Why nothing is taken up just now."""

    def start(self) -> None:
        """JournalUnavailable: nothing was started."""
        self._keep_own()
        for thread in self._threads:
            if not thread.is_alive():
                thread.start()

    @property
    def is_running(self) -> bool:
        return self.problem is None and self._own is not None and self._own.is_valid

    @property
    def is_first(self) -> bool:
        """Whether this process does what only one should; another takes over when it ends."""
        return self._first is not None and self._first.is_valid

    def depth(self) -> int:
        """How many lanes this process has or is about to look at."""
        return self._lanes.depth()

    def submit(self, lane: Lane, item: LaneTask) -> None:
        """Behind what the lane has, if it is or becomes this process's; else it is told that it failed."""
        key = self._source.lane(lane.account, lane.category.value, lane.symbol)
        self._lanes.submit(lane, Draining(key, self._source, self._holdings, last=item))

    def wake(self, lane: Lane) -> None:
        """Its next step is due, if it waits here."""
        self._lanes.wake(lane)

    def close(self, timeout_s: float) -> bool:
        """Start no further step, wait for those that run, and let others go on with the lanes at once."""
        deadline = time.monotonic() + timeout_s
        self._stop.set()
        loop, worker = self._loop, self._worker
        ended = self._lanes.close(timeout_s)
        for draining in tuple(self._drainings):
            draining.ended.cancel()
        if loop is not None and worker is not None and not loop.is_closed():
            loop.call_soon_threadsafe(worker.cancel)
        if self._threads[0].is_alive():
            self._threads[0].join(max(0.1, deadline - time.monotonic()))
        if ended:
            # A step that still runs has its lease until it ends by itself.
            try:
                self._leases.release_all()
            except JournalUnavailable as error:
                log.warning("the lanes are free only in a few seconds: %s", error)
        return ended

    async def drain(self, account: str, category: str | None, symbol: str) -> None:
        """Until the lane is empty, or another process has it."""
        draining = Draining(self._source.lane(account, category, symbol), self._source, self._holdings)
        self._drainings.add(draining)
        place = Lane(
            account=account,
            category=Category(category) if category else Category.LINEAR,
            symbol=symbol if category else f"?{symbol}",
        )
        try:
            if not self._stop.is_set():
                self._lanes.submit(place, draining)
                await asyncio.wrap_future(draining.ended)
        finally:
            self._drainings.discard(draining)

    def _supervise(self) -> None:
        """The worker loop ends when its connection is lost, or when others took it for dead; then it begins anew."""
        while not self._stop.is_set():
            try:
                asyncio.run(self._work())
            except asyncio.CancelledError:
                pass
            except Exception as error:
                self.problem = f"the queue cannot be used ({type(error).__name__})"
                log.warning("the queue cannot be used just now, it is tried again: %s", error)
            else:
                self.problem = "the queue's loop ended"
            self._stop.wait(_RESTART_S)

    async def _work(self) -> None:
        self._loop, self._worker = asyncio.get_running_loop(), asyncio.current_task()
        app = application(self._url, self.drain)
        async with app.open_async():
            self.problem = None
            await app.run_worker_async(
                queues=[QUEUE],
                concurrency=_LANES_AT_ONCE,
                fetch_job_polling_interval=_POLL_S,
                update_heartbeat_interval=RENEW_S,
                stalled_worker_timeout=_STALLED_S,
                shutdown_graceful_timeout=1.0,
                delete_jobs="always",
                install_signal_handlers=False,
            )

    def _renew(self) -> None:
        while not self._stop.wait(RENEW_S):
            try:
                self._leases.renew(self._holdings.all())
                self._keep_own()
            except JournalUnavailable as error:
                log.warning("leases could not be renewed: %s", error)
            except Exception:
                log.exception("leases could not be renewed")

    def _keep_own(self) -> None:
        if self._own is None or self._own.is_lost:
            self._own = self._leases.register()
            self._holdings.add(self._own)
        if self._first is None or not self._first.is_valid:
            self._first = self._leases.take(FIRST)
            if self._first is not None:
                self._holdings.add(self._first)

    def _sweep(self) -> None:
        wait_s = 0.0
        while not self._stop.wait(wait_s):
            wait_s = SWEEP_S
            try:
                ends_in_s = self._source.sweep()
                if ends_in_s is not None:
                    wait_s = min(SWEEP_S, ends_in_s + _AFTER_END_S)
            except JournalUnavailable as error:
                log.warning("the journal could not be looked through: %s", error)
            except Exception:
                log.exception("the journal could not be looked through")
