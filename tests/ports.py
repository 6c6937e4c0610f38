"""Ports that nobody else is given meanwhile: below those that the system hands out for connections.

A server that a test stops and starts again must find its port free, and nobody may be talked to at it in between: so
test processes beside each other have ports of their own.
"""

from __future__ import annotations

import os
import random
import socket

_FIRST, _EACH, _PROCESSES = 10_000, 2_750, 8
_chance = random.SystemRandom()
"""Not seeded: runs beside each other must not choose alike."""


def free_port() -> int:
    """A port that is free now, and that no connection and no server with a port of the system's choice will take."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", f"gw{os.getpid()}")
    first = _FIRST + int(worker.removeprefix("gw")) % _PROCESSES * _EACH
    while True:
        port = _chance.randrange(first, first + _EACH)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
