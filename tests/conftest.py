"""What holds for every test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests import postgres

# The same examples in every run, so that a change is judged by what it changes; RELAY_EXPLORE=1 looks for new ones.
settings.register_profile("steady", derandomize=True, database=None)
settings.register_profile("explore", derandomize=False)
settings.load_profile("explore" if os.environ.get("RELAY_EXPLORE") else "steady")


@pytest.fixture
def postgres_url() -> Iterator[str]:
    """A database of Postgres with the current schema, for this test alone."""
    url = postgres.server().migrated()
    yield url
    postgres.server().give_back(url)


@pytest.fixture(params=["sqlite", "postgres"])
def journal_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where the journal of this test is kept: each such test runs on both databases."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/relay.db"
    url: str = request.getfixturevalue("postgres_url")
    return url
