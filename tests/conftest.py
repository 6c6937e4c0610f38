"""What holds for every test."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from relay.journal.journal import Journal
from relay.journal.opening import open_journal
from tests import migrated, postgres, warm
from tests.paper_server import PaperServer

# What the tests start need not compile everything anew, though containers often say so.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# The same examples in every run, so that a change is judged by what it changes; RELAY_EXPLORE=1 looks for new ones.
# No limit on an example's time: how long one takes says how busy the machine is.
_unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("steady", _unhurried, max_examples=50, derandomize=True, database=None)
settings.register_profile("explore", _unhurried, derandomize=False)
settings.load_profile("explore" if os.environ.get("RELAY_EXPLORE") else "steady")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """RELAY_ORDER=<number> shuffles the files, and each file's tests: none may depend on another."""
    if seed := os.environ.get("RELAY_ORDER"):
        random.Random(seed).shuffle(items)
        place: dict[Path, int] = {}
        items.sort(key=lambda each: place.setdefault(each.path, len(place)))


def pytest_collection_finish() -> None:
    warm.freeze()


@pytest.fixture(scope="session", autouse=True)
def _made_once() -> Iterator[None]:
    with migrated.copied(), warm.addresses_compiled_once():
        yield


@pytest.fixture(scope="session")
def paper_of_all_files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PaperServer]:
    made = PaperServer(tmp_path_factory.mktemp("paper"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def server(paper_of_all_files: PaperServer) -> PaperServer:
    """The paper exchange, shared by a file's tests, with nothing of other files' on it."""
    paper_of_all_files.start_over()
    return paper_of_all_files


@pytest.fixture
def paper(server: PaperServer) -> PaperServer:
    """The paper exchange with nothing of another test's on it."""
    server.start_over()
    return server


@pytest.fixture
def postgres_url() -> Iterator[str]:
    """A database of Postgres with the current schema, for this test alone."""
    url = postgres.server().migrated()
    yield url
    postgres.server().give_back(url)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def journal_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where the journal of this test is kept: each such test runs on both databases."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/relay.db"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def journal(journal_url: str) -> Iterator[Journal]:
    """With nothing in it, on both databases."""
    opened = open_journal(journal_url)
    yield opened
    opened.close()
