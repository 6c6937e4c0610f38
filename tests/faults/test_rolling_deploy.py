"""A deploy: new processes start beside the old ones, both work for a while, then the old ones stop."""

from __future__ import annotations

import contextlib
import itertools
import random
import time
from collections.abc import Mapping
from pathlib import Path

import psycopg
import pytest
import requests

from tests.faults.chaos import Chaos, Counts
from tests.faults.scale import FULL, seed
from tests.faults.victims import post_to
from tests.fleet import Fleet
from tests.paper_server import PaperServer
from tests.relay_process import RelayProcess

pytestmark = pytest.mark.slow

OVERLAP_S = 30.0 if FULL else 4.0
WORKERS = 2 if FULL else 1
PAUSE_S = 1.2
"""Of each of the chaos's 12 senders, so that the machine keeps up with them."""
STOPPED_S = 40
ALERTS_MAX = 5000
ALERTS_AFTER = 30
NEWER = """
    UPDATE alembic_version SET version_num = '9999';
    INSERT INTO schema_meta SELECT '9999', max(revision) FROM schema_meta
"""
"""A release that migrates the schema, and marks it as one that the old processes can run on."""


class Deploy:
    """What the chaos befalls: two sets of processes on one Postgres, behind a router that sends to each in turn."""

    def __init__(self, folder: Path, paper: PaperServer, database_url: str, *, migrates: bool) -> None:
        environment = {"SIGNAL_MAX_AGE": "86400", "BYBIT_RECV_WINDOW": "5000"}
        self.database_url = database_url
        self._migrates = migrates
        self._old = self._fleet(folder / "old", paper, environment)
        self._new = self._fleet(folder / "new", paper, environment)
        self._routes = [self._old]
        self._turns = itertools.count()
        self.answered: dict[str, int] = {}

    def _fleet(self, folder: Path, paper: PaperServer, environment: Mapping[str, str]) -> Fleet:
        folder.mkdir()
        return Fleet(folder, paper, self.database_url, environment)

    @property
    def web(self) -> RelayProcess:
        return self._routes[-1].web

    def start(self) -> None:
        self._old.start(workers=WORKERS)

    def post(self, http: requests.Session, body: bytes) -> requests.Response:
        """As a router does: a connection of its own for each request, and where it is refused another is tried."""
        routes = self._routes
        turn = next(self._turns)
        for place in range(len(routes)):
            fleet = routes[(turn + place) % len(routes)]
            with contextlib.suppress(Refused), requests.Session() as own:
                answer = post_unless_refused(fleet.web, own, body)
                self.answered[fleet.web.url] = self.answered.get(fleet.web.url, 0) + 1
                return answer
        raise requests.ConnectionError("nobody listens")

    def deploy(self, dice: random.Random) -> int:
        """Returns once the old processes have ended, of themselves."""
        if self._migrates:
            with psycopg.connect(self.database_url) as connection:
                connection.execute(NEWER.encode())
        self._new.start(workers=WORKERS)
        self._routes = [self._old, self._new]
        time.sleep(OVERLAP_S / 2)
        restarted = self._old.workers[0]
        assert restarted.stop() == 0
        restarted.start(wait=False)
        self._old.wait_for_worker(restarted)
        time.sleep(OVERLAP_S / 2)
        for each in (self._old.web, *self._old.workers):
            each.process.terminate()
        for each in (self._old.web, *self._old.workers):
            assert each.process.wait(STOPPED_S) == 0, each.tail()
        return 0

    def strike(self, dice: random.Random) -> None:
        raise AssertionError("nobody is killed in a deploy")

    def close(self) -> None:
        for fleet in (self._old, self._new):
            fleet.close()


class Refused(Exception):
    """Nobody listens there: certainly nothing was sent."""


def post_unless_refused(web: RelayProcess, http: requests.Session, body: bytes) -> requests.Response:
    try:
        return post_to(web, http, body)
    except requests.ConnectionError as error:
        if "Connection refused" in str(error):
            raise Refused from error
        raise


@pytest.mark.timeout(400)
@pytest.mark.parametrize("migrates", [True, False] if FULL else [True])
def test_while_old_and_new_processes_overlap_nothing_is_refused_lost_doubled_or_out_of_order(
    tmp_path: Path, postgres_url: str, migrates: bool
) -> None:
    paper = PaperServer(tmp_path)
    both = Deploy(tmp_path, paper, postgres_url, migrates=migrates)
    chaos = Chaos(
        {"default": paper},
        both,
        seed=seed(),
        alerts=ALERTS_MAX,
        kills=0,
        disasters=[both.deploy],
        disaster_at=ALERTS_AFTER,
        pause_s=PAUSE_S,
        goes_on=ALERTS_AFTER,
    )
    counts = chaos.run()
    print(f"\n{Counts.heading()}\n{counts.row()}")
    assert chaos.problems == []
    assert counts.retries == 0, "each alert was answered 2xx at the first attempt"
    assert len(both.answered) == 2 and min(both.answered.values()) >= 20, both.answered
