"""On which cores the processes run: one does everything and keeps to one, several are left to the system."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.fleet import running_fleet
from tests.paper_server import PaperServer
from tests.relay_process import RelayProcess

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="there is but one core"),
]


def cores_of(process: RelayProcess) -> list[int]:
    """How many cores each of its processes may use, the fewest first."""
    return sorted(len(os.sched_getaffinity(pid)) for pid in process.pids())


def test_the_process_that_does_everything_keeps_to_one_core_and_nothing_beside_it_does(
    tmp_path: Path, paper: PaperServer
) -> None:
    relay = RelayProcess(tmp_path, paper.url)
    try:
        relay.start()
        assert cores_of(relay) == [1, len(os.sched_getaffinity(0))]
    finally:
        relay.stop()


def test_processes_that_share_a_postgres_may_use_every_core(
    tmp_path: Path, paper: PaperServer, postgres_url: str
) -> None:
    with running_fleet(tmp_path, paper, postgres_url, webs=1, workers=1) as fleet:
        found = {each for process in (fleet.web, *fleet.workers) for each in cores_of(process)}
        assert found == {len(os.sched_getaffinity(0))}
