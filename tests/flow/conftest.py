"""A relay for each file of tests, and what else several files need."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.catcher import Catcher
from tests.flow.desk import AccountApi, open_account_api
from tests.paper_server import PaperServer
from tests.relay_server import RelayServer, cold_relay, running_relay


@pytest.fixture(scope="module")
def paper(server: PaperServer) -> PaperServer:
    """Shared by a file's tests, as what runs on it is."""
    return server


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


@pytest.fixture(scope="module")
def running(paper: PaperServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AccountApi]:
    """The relay as a process."""
    with open_account_api(tmp_path_factory.mktemp("relay"), paper) as account_api:
        yield account_api


@pytest.fixture
def account_api(running: AccountApi) -> AccountApi:
    """With nothing at the exchange."""
    running.control.reset()
    return running


@pytest.fixture
def catcher() -> Iterator[Catcher]:
    server = Catcher()
    yield server
    server.close()
