"""What the chaos kills: one relay, or one of the processes that share a Postgres. What was killed is started again."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import requests

from tests import postgres
from tests.fleet import Fleet
from tests.paper_server import PaperServer
from tests.relay_process import RelayProcess

WORKERS = 2
SHARE_OF_WEB = 0.45
SHARE_OF_MASTER = 0.1
"""The rest are relay workers; the first one is always gunicorn's master."""
AGAIN_S = 0.2
READY_S = 60
DOWN_S_MAX = 5.0
FROZEN_S_MAX = 6.0
"""Longer than a lease lasts."""


class Victim(Protocol):
    """`database_url`: of the journal, which only the judge reads."""

    database_url: str

    @property
    def web(self) -> RelayProcess:
        """Takes the alerts, and tells what became of them."""

    def start(self) -> None:
        """Returns once it is ready."""

    def post(self, http: requests.Session, body: bytes) -> requests.Response:
        """An alert. Raises as requests does."""

    def strike(self, dice: random.Random) -> None:
        """kill -9, and a new start that is not waited for."""

    def close(self) -> None: ...


def post_to(web: RelayProcess, http: requests.Session, body: bytes) -> requests.Response:
    return http.post(f"{web.url}/webhook", data=body, timeout=60)


class OneRelay:
    """`python -m relay serve` on SQLite."""

    def __init__(self, folder: Path, paper: PaperServer, environment: Mapping[str, str]) -> None:
        self.database_url = f"sqlite:///{folder}/relay.db"
        self.web = RelayProcess(folder, paper.url, environment=environment)

    def start(self) -> None:
        self.web.start(wait=False)
        self.web.wait_until_ready(READY_S)

    def post(self, http: requests.Session, body: bytes) -> requests.Response:
        return post_to(self.web, http, body)

    def strike(self, dice: random.Random) -> None:
        self.web.kill()
        self.web.start(wait=False)

    def close(self) -> None:
        self.web.kill()


class ManyProcesses:
    """gunicorn with two web processes, and two workers, on one Postgres.

    What has ended by itself is started again, as by systemd: a start that finds no database ends.
    """

    def __init__(
        self, folder: Path, paper: PaperServer, environment: Mapping[str, str], *, database_url: str, home: Path | None
    ) -> None:
        """`home`: of the Postgres server, where that is to suffer, too."""
        self.database_url = database_url
        self._home = home
        self._fleet = Fleet(folder, paper, database_url, environment)
        self._lock = threading.Lock()
        self._is_over = threading.Event()
        self._has_struck_master = False
        self._supervisor = threading.Thread(target=self._supervise)

    @property
    def web(self) -> RelayProcess:
        return self._fleet.web

    def start(self) -> None:
        self._fleet.start(workers=WORKERS)
        self._supervisor.start()

    def _supervise(self) -> None:
        while not self._is_over.wait(AGAIN_S):
            with self._lock:
                for each in (self.web, *self._fleet.workers):
                    if each.process.poll() is not None:
                        each.start(wait=False)

    def post(self, http: requests.Session, body: bytes) -> requests.Response:
        return post_to(self.web, http, body)

    def strike(self, dice: random.Random) -> None:
        with self._lock:
            drawn, served = dice.random(), self._served()
            if drawn < SHARE_OF_MASTER or not self._has_struck_master:
                self._strike_master()
            elif drawn < SHARE_OF_MASTER + SHARE_OF_WEB and served:
                _kill(dice.choice(served))  # its master starts another
            else:
                _strike(dice.choice(self._fleet.workers))

    def _served(self) -> list[int]:
        return [pid for pid in self.web.pids() if pid != self.web.process.pid]

    def _strike_master(self) -> None:
        """What it leaves behind has to end by itself: it would hold the port."""
        self._has_struck_master = True
        _kill(self.web.process.pid)
        self.web.wait_until_gone()
        self.web.start(wait=False)

    def crash_postgres(self, dice: random.Random) -> int:
        """As if the power had gone; and a web process and a worker start that do not find it. How many were killed."""
        assert self._home is not None, "it is somebody else's server"
        with self._lock:
            served = self._served()[:1]
            postgres.crash(self._home)
            for pid in served:
                _kill(pid)
            _strike(dice.choice(self._fleet.workers))
        time.sleep(dice.uniform(0, DOWN_S_MAX))
        postgres.restart(self._home)
        return len(served) + 1

    def freeze_postgres(self, dice: random.Random) -> int:
        assert self._home is not None, "it is somebody else's server"
        with postgres.frozen(self._home):
            time.sleep(dice.uniform(0.1, FROZEN_S_MAX))
        return 0

    def close(self) -> None:
        self._is_over.set()
        if self._supervisor.is_alive():
            self._supervisor.join()
        for each in (*self._fleet.workers, self.web):
            each.kill()


def _strike(worker: RelayProcess) -> None:
    worker.kill()
    worker.start(wait=False)


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
