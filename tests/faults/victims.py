"""What the chaos kills: one relay, or one of the processes that share a Postgres. What was killed is started again."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from tests import postgres
from tests.fleet import Fleet
from tests.paper_server import PaperServer
from tests.relay_process import RelayProcess

WORKERS = 2
SHARE_OF_WEB = 0.45
SHARE_OF_MASTER = 0.1
"""The rest are relay workers."""
DOWN_S_MAX = 2.0


class Victim(Protocol):
    """`database_url`: of the journal, which only the judge reads."""

    database_url: str

    @property
    def web(self) -> RelayProcess:
        """Takes the alerts, and tells what became of them."""

    def start(self) -> None:
        """Returns once it is ready."""

    def strike(self, dice: random.Random) -> None:
        """kill -9, and a new start that is not waited for."""

    def close(self) -> None: ...


class OneRelay:
    """`python -m relay serve` on SQLite."""

    def __init__(self, folder: Path, paper: PaperServer, environment: Mapping[str, str]) -> None:
        self.database_url = f"sqlite:///{folder}/relay.db"
        self.web = RelayProcess(folder, paper.url, environment=environment)

    def start(self) -> None:
        self.web.start()

    def strike(self, dice: random.Random) -> None:
        self.web.kill()
        self.web.start(wait=False)

    def close(self) -> None:
        self.web.kill()


class ManyProcesses:
    """gunicorn with two web processes, and two workers, on one Postgres."""

    def __init__(
        self, folder: Path, paper: PaperServer, environment: Mapping[str, str], *, database_url: str, home: Path | None
    ) -> None:
        """`home`: of the Postgres server, where that is to be stopped, too."""
        self.database_url = database_url
        self._home = home
        self._fleet = Fleet(folder, paper, database_url, environment)

    @property
    def web(self) -> RelayProcess:
        return self._fleet.web

    def start(self) -> None:
        self._fleet.start(workers=WORKERS)

    def strike(self, dice: random.Random) -> None:
        drawn = dice.random()
        served = [pid for pid in self.web.pids() if pid != self.web.process.pid]
        if drawn < SHARE_OF_MASTER:
            self._strike_master()
        elif drawn < SHARE_OF_MASTER + SHARE_OF_WEB and served:
            _kill(dice.choice(served))  # its master starts another
        else:
            self._strike(dice.choice(self._fleet.workers))

    def _strike_master(self) -> None:
        """What it leaves behind has to end by itself: it would hold the port."""
        os.kill(self.web.process.pid, signal.SIGKILL)
        self.web.wait_until_gone()
        self.web.start(wait=False)

    def _strike(self, worker: RelayProcess) -> None:
        worker.kill()
        worker.start(wait=False)

    def stop_postgres(self, dice: random.Random) -> int:
        """As if the power had gone, while a web process and a worker start that do not find it. How many were killed.

        A worker without a database ends and is started again, as by systemd; a web process waits for it.
        """
        assert self._home is not None, "it is somebody else's server"
        worker = dice.choice(self._fleet.workers)
        served = [pid for pid in self.web.pids() if pid != self.web.process.pid]
        postgres.crash(self._home)
        for pid in served[:1]:
            _kill(pid)
        self._strike(worker)
        assert worker.process.wait(DOWN_S_MAX * 20) == 1, worker.tail()
        time.sleep(dice.uniform(0, DOWN_S_MAX))
        postgres.restart(self._home)
        worker.start(wait=False)
        return len(served[:1]) + 1

    def close(self) -> None:
        for each in (*self._fleet.workers, self.web):
            each.kill()


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
