"""`python -m relay serve`: everything in one process on 127.0.0.1, with nothing configured if need be."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Sequence
from typing import Final

from relay import paper_child
from relay.errors import RelayError
from relay.greeting import Greeting
from relay.local_secrets import ensure_secrets
from relay.settings import Settings
from relay.telemetry import configure_logging

APPLICATION: Final = "relay.web:create_app()"
_HOST: Final = "127.0.0.1"
_INTERRUPTED: Final = 130


class PortTaken(RelayError):
    """The port is in use."""


def serve(
    settings: Settings, *, application: str = APPLICATION, paper_command: Sequence[str] = paper_child.COMMAND
) -> int:
    """Runs until SIGTERM or Ctrl-C; the exit code. Raises RelayError, whose text is for people, if it cannot start.

    What it makes up or finds out goes into this process's environment, from where the application reads its settings.
    """
    listener = _listen(settings.port)
    port = listener.getsockname()[1]
    greeting = Greeting(settings, ensure_secrets(settings, os.environ), port)
    settings = greeting.settings
    configure_logging(settings)
    exchanges = paper_child.needed(settings, os.environ, paper_command)
    try:
        for exchange in exchanges:
            exchange.start()
        # Imported only now, while the exchange is starting: the one takes about as long as the other.
        from relay.web.server import Server

        for exchange in exchanges:
            exchange.announce(os.environ)
        return Server(application, listener, exchanges, greeting.start).run_to_end()
    except KeyboardInterrupt:
        return _INTERRUPTED
    finally:
        for exchange in exchanges:
            exchange.stop()


def _listen(port: int) -> socket.socket:
    """Taken before anything else is started, so that a second relay on the port leaves no trace."""
    try:
        return socket.create_server((_HOST, port), backlog=512)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise PortTaken(f"PORT: cannot listen on {_HOST}:{port}: {error.strerror}") from error
        raise PortTaken(
            f"PORT: {_HOST}:{port} is in use, perhaps by another relay; stop that one, or set PORT to a free one"
        ) from error
