"""Web and worker processes that share a Postgres, and a paper exchange."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import requests

from tests.paper_server import PaperServer
from tests.relay_process import RelayProcess

DEADLINE_S = 60
_WEB = ("-m", "gunicorn", "-c", "python:relay.web.gunicorn", "--workers")
_APP = "relay.web:create_app()"
_WORKER = ("-m", "relay", "worker")


class Fleet:
    """One gunicorn with two web processes, or as many as are wanted, and workers that come and go."""

    def __init__(
        self, folder: Path, paper: PaperServer, database_url: str, environment: Mapping[str, str], *, webs: int = 2
    ) -> None:
        self.paper = paper
        self._folder = folder
        self._environment = {"DATABASE_URL": database_url, **environment}
        self._database_url = database_url
        self.web = self._process("web", (*_WEB, str(webs), _APP))
        self.workers: list[RelayProcess] = []

    def _process(self, name: str, command: tuple[str, ...]) -> RelayProcess:
        folder = self._folder / name
        folder.mkdir()
        return RelayProcess(folder, self.paper.url, environment=self._environment, command=(sys.executable, *command))

    def start(self, *, workers: int) -> None:
        """Returns once alerts are taken and, where there are workers, executed."""
        self.web.start(wait=False)
        begun = [self._begin_worker() for _ in range(workers)]
        self.until(self.takes_alerts, "the web processes do not answer")
        for worker in begun:
            self.wait_for_worker(worker)
        if workers:
            self.web.wait_until_ready(DEADLINE_S)

    def add_worker(self, **environment: str) -> RelayProcess:
        """Returns once it executes."""
        worker = self._begin_worker(**environment)
        self.wait_for_worker(worker)
        return worker

    def _begin_worker(self, **environment: str) -> RelayProcess:
        worker = self._process(f"worker{len(self.workers)}", _WORKER)
        self.workers.append(worker)
        worker.start(wait=False, **environment)
        return worker

    def wait_for_worker(self, worker: RelayProcess) -> None:
        self.until(lambda: self.is_alive(worker), "the worker does not begin", worker)

    def until(self, condition: Any, otherwise: str, process: RelayProcess | None = None) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            reported = (process or self.web).tail()
            assert time.monotonic() < deadline, f"{otherwise}: {reported}"
            time.sleep(0.05)

    def takes_alerts(self) -> bool:
        try:
            return requests.get(f"{self.web.url}/healthz", timeout=2).status_code == 200
        except requests.RequestException:
            return False

    def ask(self, question: str, **values: object) -> list[tuple[Any, ...]]:
        """The database itself."""
        with psycopg.connect(self._database_url, autocommit=True) as connection:
            return connection.execute(question.encode(), values or None).fetchall()

    def is_alive(self, worker: RelayProcess) -> bool:
        """Whether it says so itself, in the database."""
        alive = (
            "SELECT count(*) FROM process WHERE name LIKE %(name)s AND expires_at > extract(epoch from now()) * 1000"
        )
        return int(self.ask(alive, name=f"% {worker.process.pid} %")[0][0]) == 1

    def owner(self, account: str) -> str:
        """The name of the living process that has it; none: it is alone just now."""
        owned = """
            SELECT owner FROM account_owner JOIN process ON name = owner
            WHERE account = %(account)s AND process.expires_at > extract(epoch from now()) * 1000
        """
        return "".join(row[0] for row in self.ask(owned, account=account))

    def epoch(self, account: str) -> tuple[str, int]:
        """Who owns the account, and since which change of hands."""
        rows = self.ask("SELECT owner, epoch FROM account_owner WHERE account = %(account)s", account=account)
        return rows[0] if rows else ("", 0)

    def close(self) -> None:
        for each in (*self.workers, self.web):
            for pid in each.pids() if each.process.poll() is None else ():
                os.kill(pid, signal.SIGCONT)
            if each.process.poll() is None:
                each.process.terminate()  # all at once, which is quicker than one after the other
        for each in (*self.workers, self.web):
            each.stop()


def is_stopped(process: RelayProcess) -> bool:
    """By SIGSTOP."""
    stat = Path(f"/proc/{process.process.pid}/stat").read_text()
    return stat.rpartition(")")[2].split()[0] == "T"


@contextmanager
def running_fleet(
    folder: Path, paper: PaperServer, database_url: str, *, webs: int = 2, workers: int = 2, **environment: str
) -> Iterator[Fleet]:
    fleet = Fleet(folder, paper, database_url, environment, webs=webs)
    try:
        fleet.start(workers=workers)
        yield fleet
    finally:
        fleet.close()
