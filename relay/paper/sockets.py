"""One WebSocket on a connection that came in as an HTTP request (RFC 6455, by wsproto)."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from typing import Any

from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Event, Message, Ping, Request, TextMessage
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

SEND_S = 1
"""A client that takes nothing for so long is cut off, rather than that the exchange waits for it."""
MESSAGE_MAX = 1 << 20


class WebSocket:
    """Any thread may send; one receives. `is_mute`: the peer hears nothing more, pongs and closing words included."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._protocol = WSConnection(ConnectionType.SERVER)
        self._lock = threading.Lock()
        self.is_mute = False

    @classmethod
    def accept(cls, environ: dict[str, Any]) -> WebSocket | None:
        """Takes the request's connection over; None if the request does not ask for a WebSocket."""
        names = {name[5:].replace("_", "-"): value for name, value in environ.items() if name.startswith("HTTP_")}
        target = environ["PATH_INFO"] + (f"?{environ['QUERY_STRING']}" if environ["QUERY_STRING"] else "")
        head = "\r\n".join([f"GET {target} HTTP/1.1", *(f"{name}: {value}" for name, value in names.items()), "", ""])
        made = cls(environ["werkzeug.socket"])
        try:
            made._protocol.receive_data(head.encode("latin-1"))
            asked = [event for event in made._protocol.events() if isinstance(event, Request)]
        except RemoteProtocolError:
            return None
        if not asked:
            return None
        seconds = struct.pack("ll", SEND_S, 0)
        made._connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, seconds)
        made._send(AcceptConnection())
        return made

    def send(self, text: str) -> None:
        """A peer that is gone, or takes nothing, is cut off; `messages` ends then."""
        self._send(TextMessage(text))

    def _send(self, event: Event) -> None:
        with self._lock:
            if self.is_mute:
                return
            try:
                self._connection.sendall(self._protocol.send(event))
            except (OSError, LocalProtocolError):
                self.cut()

    def messages(self) -> Iterator[str]:
        """What the peer says, until either side ends the connection."""
        parts: list[str] = []
        while (received := self._read()) is not None:
            try:
                self._protocol.receive_data(received)
                events = list(self._protocol.events())
            except RemoteProtocolError:
                return
            for event in events:
                match event:
                    case Ping() | CloseConnection():
                        self._send(event.response())
                    case Message():
                        parts.append(event.data if isinstance(event.data, str) else "")
                        if sum(map(len, parts)) > MESSAGE_MAX:
                            return
                        if event.message_finished:
                            yield "".join(parts)
                            parts = []
                if isinstance(event, CloseConnection):
                    return

    def _read(self) -> bytes | None:
        try:
            return self._connection.recv(65536) or None
        except OSError:
            return None

    def cut(self) -> None:
        """Without a word, as a network does it."""
        try:
            self._connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            return
