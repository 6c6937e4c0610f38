"""What most fault tests need."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.paper_server import PaperServer


@pytest.fixture
def paper(tmp_path: Path) -> Iterator[PaperServer]:
    server = PaperServer(tmp_path)
    yield server
    server.close()
