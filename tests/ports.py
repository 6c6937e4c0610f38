"""Ports that nobody else is given meanwhile: below those that the system hands out for connections.

A server that a test stops and starts again must find its port free, and nobody may be talked to at it in between.
"""

from __future__ import annotations

import random
import socket

_FIRST, _LAST = 10_000, 31_999
_chance = random.SystemRandom()
"""Not seeded: runs beside each other must not choose alike."""


def free_port() -> int:
    """A port that is free now, and that no connection and no server with a port of the system's choice will take."""
    while True:
        port = _chance.randint(_FIRST, _LAST)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
