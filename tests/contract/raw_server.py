"""An exchange that says exactly the bytes it is told to, which no orderly HTTP server would."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

from relay.bybit.client import Exchange
from relay.domain.instrument import Category
from relay.domain.order import OrderType, Outcome, PlannedOrder, Purpose, RequestSignature, Side

KEY = "key-of-the-test"
SECRET = "secret-of-the-test"
CERTIFICATE = Path(__file__).with_name("raw_server_tls.pem")
"""For 127.0.0.1, with its key; trusted by nobody."""
ORDER = PlannedOrder(
    leg=0,
    category=Category.LINEAR,
    symbol="BTCUSDT",
    side=Side.BUY,
    type=OrderType.MARKET,
    qty=Decimal("0.01"),
    purpose=Purpose.ENTRY,
)
WHERE: dict[str, Any] = {"category": Category.LINEAR, "symbol": "BTCUSDT"}

Conduct = Callable[["RawServer", bytes], bytes]
"""What is said to a request; no bytes: the connection is closed without a word."""


class RawServer:
    """Listens on a free port; each connection has a thread and is kept until the conduct falls silent."""

    def __init__(self, conduct: Conduct, *, keeps: bool = True, tls: bool = False) -> None:
        """`keeps`: connections stay open after an answer."""
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if tls else None
        if self._tls is not None:
            self._tls.load_cert_chain(CERTIFICATE)
        self._conduct = conduct
        self._keeps = keeps
        self.requests: list[bytes] = []
        self.connections = 0
        self.leaving = threading.Event()
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._start(self._accept)

    @property
    def url(self) -> str:
        return f"{'http' if self._tls is None else 'https'}://127.0.0.1:{self._listening.getsockname()[1]}"

    def _start(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            self._start(self._serve, connection)

    def _serve(self, plain: socket.socket) -> None:
        try:
            connection = plain if self._tls is None else self._tls.wrap_socket(plain, server_side=True)
        except OSError:
            plain.close()
            return
        with connection:
            received = b""
            while True:
                try:
                    received += connection.recv(65536)
                except OSError:
                    return
                if not received:
                    return
                head, ended, body = received.partition(b"\r\n\r\n")
                if not ended or len(body) < _content_length(head):
                    continue
                self.requests.append(received)
                said = self._conduct(self, received)
                received = b""
                if not said or self.leaving.is_set():
                    return
                connection.sendall(said)
                if not self._keeps:
                    return

    def close(self) -> None:
        self.leaving.set()
        for closing in (self._listening, *self._open):
            with suppress(OSError):
                closing.shutdown(socket.SHUT_RDWR)
            closing.close()
        for thread in self._threads:
            thread.join(60)


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


def answer(body: object, *, status: str = "200 OK", headers: tuple[str, ...] = ()) -> bytes:
    said = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    head = [f"HTTP/1.1 {status}", "Content-Type: application/json", f"Content-Length: {len(said)}", *headers]
    return "\r\n".join([*head, "", ""]).encode() + said


def refused(code: int, words: str = "no", **more: Any) -> bytes:
    return answer({"retCode": code, "retMsg": words, "result": {}, "time": 1}, **more)


ACKNOWLEDGED = answer({"retCode": 0, "retMsg": "OK", "result": {"orderId": "o-1", "orderLinkId": "id-1"}})


class Stage:
    """Makes servers and exchanges, and closes them."""

    def __init__(self) -> None:
        self._closing = ExitStack()

    def server(self, conduct: Conduct, **options: bool) -> RawServer:
        made = RawServer(conduct, **options)
        self._closing.callback(made.close)
        return made

    def says(self, *answers: bytes) -> RawServer:
        """A server that says these in turn, the last one for ever."""
        left = list(answers)
        return self.server(lambda server, request: left.pop(0) if len(left) > 1 else left[0])

    def exchange(self, url: str, **options: Any) -> Exchange:
        made = Exchange(url=url, **{"api_key": KEY, "api_secret": SECRET, "read_timeout_s": 5.0, **options})
        self._closing.callback(made.close)
        return made

    def close(self) -> None:
        self._closing.close()


def place(exchange: Exchange, *, signature: RequestSignature | None = None) -> Outcome:
    return exchange.place(ORDER, client_order_id="id-1", signature=signature or exchange.signature(), is_exit=False)


def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as once:
        return int(once.getsockname()[1])
