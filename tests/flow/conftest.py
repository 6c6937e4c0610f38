"""One paper exchange and one relay for each file of tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.paper_server import PaperServer
from tests.relay_server import RelayServer, cold_relay, running_relay


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PaperServer]:
    server = PaperServer(tmp_path_factory.mktemp("paper"))
    yield server
    server.close()


@pytest.fixture(scope="module")
def relay(paper: PaperServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RelayServer]:
    """Shared by a file's tests: each uses symbols or ids of its own, or leaves no position behind."""
    with running_relay(tmp_path_factory.mktemp("relay"), paper.url) as server:
        yield server


@pytest.fixture
def own(tmp_path: Path, paper: PaperServer) -> Iterator[RelayServer]:
    """A relay of the test's own, at an exchange where nothing is open yet."""
    paper.control.clear_faults()
    paper.control.reset()
    with running_relay(tmp_path, paper.url) as server:
        yield server


@pytest.fixture
def cold(tmp_path: Path) -> Iterator[RelayServer]:
    """A relay that takes alerts and executes none."""
    with cold_relay(tmp_path) as server:
        yield server
