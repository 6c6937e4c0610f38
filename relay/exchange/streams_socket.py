"""One WebSocket to the exchange, with bounds on everything, and a way to tell that all that has arrived was heeded.

Not pybit's WebSocket: its constructor connects without a bound in time, its errors are raised in threads where nobody
catches them, it reconnects from inside the dead connection's thread, it signs with the local clock and one second's
grace, and its `exit` spins until the socket is gone, which may be never. websocket-client, under it, is bounded.
"""

from __future__ import annotations

import json
import os
import select
import socket
import ssl
import threading
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import certifi
from websocket import ABNF, WebSocket, WebSocketConnectionClosedException, WebSocketException, create_connection

CONNECT_S = 5.0
IO_S = 5.0


class StreamEnded(Exception):
    """The connection is of no more use; the message says why."""


class StreamSocket:
    """One thread receives, any thread sends, closes, or waits until all is heeded."""

    def __init__(self, url: str) -> None:
        """Connects. Raises StreamEnded."""
        options = ((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),)
        try:
            self._socket: WebSocket = create_connection(
                url,
                timeout=CONNECT_S,
                sockopt=options,
                sslopt={"ca_certs": os.environ.get("REQUESTS_CA_BUNDLE") or certifi.where()},
                enable_multithread=True,
                skip_utf8_validation=True,
            )
            self._socket.settimeout(IO_S)
        except (OSError, WebSocketException, ValueError) as error:
            raise StreamEnded(_words(error)) from None
        under = self._socket.sock
        assert under is not None, "it is connected"
        self._under = under
        self._number = under.fileno()
        self._idle = threading.Condition()
        self._is_busy = False
        self._is_closed = False

    def send(self, message: Mapping[str, object]) -> None:
        try:
            self._socket.send(json.dumps(message, separators=(",", ":")))
        except (OSError, WebSocketException) as error:
            raise StreamEnded(_words(error)) from None

    def has_more(self, wait_s: float) -> bool:
        """Whether something can be received, waiting for it."""
        if self._has_bytes():
            return True
        # One of its own each time: a poll object serves one thread.
        readable = select.poll()
        readable.register(self._number, select.POLLIN)
        return bool(readable.poll(int(wait_s * 1000)))

    def _has_bytes(self) -> bool:
        return isinstance(self._under, ssl.SSLSocket) and self._under.pending() > 0

    def begin(self) -> None:
        """What is received next is being heeded, until `heeded`."""
        with self._idle:
            self._is_busy = True

    def heeded(self) -> None:
        with self._idle:
            self._is_busy = False
            self._idle.notify_all()

    def receive(self) -> dict[str, Any] | None:
        """The next message; None: it was a ping or the like. Raises StreamEnded."""
        try:
            opcode, content = self._socket.recv_data(control_frame=True)
        except (OSError, WebSocketException) as error:
            raise StreamEnded(_words(error)) from None
        if opcode == ABNF.OPCODE_CLOSE:
            raise StreamEnded("the exchange closed it")
        if opcode != ABNF.OPCODE_TEXT:
            return None
        try:
            parsed = json.loads(content, parse_float=Decimal)
        except ValueError:
            raise StreamEnded("the exchange sent what is no JSON") from None
        return parsed if isinstance(parsed, dict) else None

    def is_caught_up(self, wait_s: float) -> bool:
        """Whether everything that has arrived at this machine is heeded, waiting for it so long."""
        with self._idle:
            return self._idle.wait_for(self._is_idle, wait_s)

    def _is_idle(self) -> bool:
        return self._is_closed or not (self._is_busy or self.has_more(0))

    def close(self) -> None:
        """At once; a receiver wakes up with StreamEnded."""
        with self._idle:
            self._is_closed = True
            self._idle.notify_all()
        try:
            self._under.shutdown(socket.SHUT_RDWR)
        except OSError:
            return

    def free(self) -> None:
        """To be called by the receiver when it is done."""
        self.close()
        self._socket.shutdown()  # type: ignore[no-untyped-call]


def _words(error: Exception) -> str:
    """Short, and without what a server may have put into its answer."""
    status = getattr(error, "status_code", None)
    if status is not None:
        return f"HTTP {status}"
    if isinstance(error, WebSocketConnectionClosedException):
        return "the connection was cut"
    return (isinstance(error, OSError) and error.strerror) or type(error).__name__
