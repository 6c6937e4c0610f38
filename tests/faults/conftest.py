"""What most fault tests need."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.stage import running
from tests.paper_server import PaperServer
from tests.relay_process import RelayProcess


@pytest.fixture(scope="module")
def relay(server: PaperServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RelayProcess]:
    """Without streams. Shared by a file's tests: each uses symbols or ids of its own."""
    with running(tmp_path_factory.mktemp("relay"), server) as process:
        yield process
