"""A small threaded HTTP/1.1 server for a WSGI application, with what the paper exchange needs of one.

Connections are kept alive and answered in one segment without delay; the arrival time is taken as soon as a request's
first line is in; and the application may ask, through `environ["paper.silent"]`, that the connection be closed without
a word: to drop a reply on purpose, or because it has taken the socket (`environ["werkzeug.socket"]`) over itself.
"""

from __future__ import annotations

import io
import socket
import sys
import time
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn
from typing import Any
from wsgiref.types import WSGIApplication

MAX_BODY = 1 << 20


class Server(ThreadingMixIn, TCPServer):
    """Listens on 127.0.0.1; a thread a connection."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 512

    def __init__(self, port: int, application: WSGIApplication) -> None:
        self.application = application
        super().__init__(("127.0.0.1", port), Handler)

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no error; anything else goes to stderr as usual."""
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def handle_one_request(self) -> None:
        self.raw_requestline = self.rfile.readline(65537)
        at_ns = time.time_ns()
        if not self.raw_requestline or len(self.raw_requestline) > 65536:
            self.close_connection = True
            return
        if not self.parse_request():
            return
        length = self.headers.get("Content-Length", "0")
        if not length.isdigit() or int(length) > MAX_BODY or "Transfer-Encoding" in self.headers:
            self.close_connection = True
            self.send_error(413)
            return
        self._answer(self._environ(self.rfile.read(int(length)), at_ns))

    def _environ(self, body: bytes, at_ns: int) -> dict[str, Any]:
        path, _, query = self.path.partition("?")
        environ: dict[str, Any] = {
            "REQUEST_METHOD": self.command,
            "SCRIPT_NAME": "",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": str(self.server.port),
            "SERVER_PROTOCOL": self.request_version,
            "REMOTE_ADDR": self.client_address[0],
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
            "werkzeug.socket": self.connection,
            "paper.at_ns": at_ns,
        }
        for name, value in self.headers.items():
            environ["HTTP_" + name.upper().replace("-", "_")] = value
        return environ

    def _answer(self, environ: dict[str, Any]) -> None:
        head: list[str] = []

        def start_response(
            status: str, headers: list[tuple[str, str]], exc_info: object = None
        ) -> Callable[[bytes], object]:
            head[:] = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers)]
            return lambda chunk: None

        chunks: Iterable[bytes] = self.server.application(environ, start_response)
        body = b"".join(chunks)
        if environ.get("paper.silent"):
            self.close_connection = True
            return
        if self.close_connection:
            head.append("Connection: close")
        shown = b"" if self.command == "HEAD" else body
        self.connection.sendall("\r\n".join([*head, "", ""]).encode("latin-1") + shown)

    def finish(self) -> None:
        """Cuts the connection at once; what was answered is already sent."""
        super().finish()
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            return

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Quiet: the exchange keeps its own log of calls."""
