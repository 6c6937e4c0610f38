"""Orders and streams go past the same proxy with the same certificates, over real sockets and TLS."""

from __future__ import annotations

import base64
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from relay.bybit.http import trusted
from relay.bybit.stream import StreamEnded, StreamSocket
from relay.domain.order import Accepted, NotSent
from relay.settings.network import VARIABLES
from tests.contract.raw_server import ACKNOWLEDGED, CERTIFICATE, RawServer, Stage, answer, place, unused_port

REST, STREAM = "https://exchange.test", "wss://stream.exchange.test"
NO_WEBSOCKET = answer("", status="418 No WebSocket")
"""The server speaks no WebSocket: what counts is that the greeting arrived there, through TLS."""


class Proxy:
    """HTTP CONNECT and SOCKS5 on one port: whatever host is asked for, the one server is what it leads to."""

    def __init__(self, leads_to: str) -> None:
        self._port = int(leads_to.rpartition(":")[2])
        self.asked: list[str] = []
        self.logins: list[str] = []
        self._open: list[socket.socket] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listening.getsockname()[1]}"
        self._start(self._accept)

    def _start(self, work: Callable[..., None], *arguments: object) -> None:
        threading.Thread(target=work, args=arguments, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                self._open.append(connection)
                self._start(self._serve, connection)

    def _serve(self, near: socket.socket) -> None:
        with suppress(OSError):
            first = near.recv(1)
            self._socks(near) if first == b"\x05" else self._connect(near, first)
            far = socket.create_connection(("127.0.0.1", self._port))
            self._open.append(far)
            self._start(self._pump, far, near)
            self._pump(near, far)

    def _connect(self, near: socket.socket, head: bytes) -> None:
        while not head.endswith(b"\r\n\r\n"):
            head += near.recv(1)
        lines = head.decode().split("\r\n")
        self.asked.append(lines[0].split()[1])
        basic = [line.split()[-1] for line in lines if line.lower().startswith("proxy-authorization")]
        self.logins += [base64.b64decode(each).decode() for each in basic]
        near.sendall(b"HTTP/1.1 200 Connection established\r\nX-Proxy: 1\r\n\r\n")

    def _socks(self, near: socket.socket) -> None:
        methods = near.recv(near.recv(1)[0])
        near.sendall(b"\x05\x02" if 2 in methods else b"\x05\x00")
        if 2 in methods:
            near.recv(1)
            user = near.recv(near.recv(1)[0])
            self.logins.append(f"{user.decode()}:{near.recv(near.recv(1)[0]).decode()}")
            near.sendall(b"\x01\x00")
        kind = near.recv(4)[3]
        host = near.recv(near.recv(1)[0]).decode() if kind == 3 else socket.inet_ntoa(near.recv(4))
        self.asked.append(f"{host}:{int.from_bytes(near.recv(2))}")
        near.sendall(b"\x05\x00\x00\x01" + b"\x00" * 6)

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while received := source.recv(65536):
                target.sendall(received)
        for each in (source, target):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        for each in (self._listening, *self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    trusted.cache_clear()
    made = Stage()
    yield made
    made.close()


@pytest.fixture
def server(stage: Stage) -> RawServer:
    return stage.server(lambda _, request: ACKNOWLEDGED if request.startswith(b"POST") else NO_WEBSOCKET, tls=True)


@pytest.fixture
def proxy(server: RawServer) -> Iterator[Proxy]:
    made = Proxy(server.url)
    yield made
    made.close()


def _greeted(url: str) -> str:
    """How the stream's opening ended."""
    with pytest.raises(StreamEnded) as ended:
        StreamSocket(url)
    return str(ended.value)


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
@pytest.mark.parametrize(
    "spelling", ["{}", "http://{}", "http://us%40er:word@{}", "socks5h://{}", "socks5h://us%40er:word@{}"]
)
def test_both_go_through_the_proxy_however_it_is_spelled(
    stage: Stage, server: RawServer, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, variable: str, spelling: str
) -> None:
    monkeypatch.setenv(variable, spelling.format(proxy.address))
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))
    assert isinstance(place(stage.exchange(REST)), Accepted)
    assert _greeted(STREAM) == "HTTP 418"
    assert proxy.asked == ["exchange.test:443", "stream.exchange.test:443"]
    assert proxy.logins == (["us@er:word"] * 2 if "word" in spelling else [])


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"])
@pytest.mark.parametrize("is_folder", [False, True])
def test_both_trust_the_same_certificates(
    stage: Stage, server: RawServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, is_folder: bool
) -> None:
    stream = server.url.replace("https", "wss")
    assert place(stage.exchange(server.url)) == NotSent(why="TLS failed")
    assert "certificate" in _greeted(stream).lower()
    (tmp_path / "ours.pem").write_bytes(CERTIFICATE.read_bytes())
    (tmp_path / "notes.txt").write_text("no certificate")
    monkeypatch.setenv(variable, str(tmp_path if is_folder else tmp_path / "ours.pem"))
    assert isinstance(place(stage.exchange(server.url)), Accepted)
    assert _greeted(stream) == "HTTP 418"


@pytest.mark.parametrize("kind", ["http", "socks5", "socks5h"])
def test_a_proxy_that_is_not_there_sent_nothing_and_says_no_password(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setenv("ALL_PROXY", f"{kind}://user:password-of-it@127.0.0.1:{unused_port()}")
    outcome = place(stage.exchange("https://192.0.2.1"))
    assert isinstance(outcome, NotSent) and outcome.why == "the connection was refused"
    assert _greeted("wss://192.0.2.1") == "Connection refused"


def test_a_proxy_that_falls_silent_sent_nothing_within_the_time(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for kind in ("http", "socks5h"):
            monkeypatch.setenv("ALL_PROXY", f"{kind}://127.0.0.1:{silent.getsockname()[1]}")
            outcome = place(stage.exchange(REST, connect_timeout_s=0.2))
            assert outcome == NotSent(why="no connection in time")
