"""An HTTP server that keeps what is posted to it, for whatever the relay posts to somebody else."""

from __future__ import annotations

import contextlib
import gzip
import queue
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

DEADLINE_S = 60


class Catcher:
    """Answers 200, or whatever `status` says; while `held` it answers nothing, as a service that hangs."""

    def __init__(self) -> None:
        self.status = 200
        self.judge: Callable[[str], int] = lambda _: self.status
        """The status by which a body is answered."""
        self.seen = ""
        self.bodies: queue.Queue[bytes] = queue.Queue()
        self.arrived = threading.Event()
        """Set once anything has arrived, answered or not."""
        self.free = threading.Event()
        self.free.set()
        catcher = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                catcher.arrived.set()
                catcher.free.wait(DEADLINE_S)
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                status = catcher.judge(body.decode())
                if status == 200:
                    catcher.bodies.put(body)
                with contextlib.suppress(OSError):  # whoever waited too long has gone
                    self.send_response(status)
                    self.send_header("Content-Length", "2")
                    self.end_headers()
                    self.wfile.write(b"{}")

            def do_GET(self) -> None:
                catcher.bodies.put(self.path.encode())
                self.send_response(catcher.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def next(self) -> str:
        """The next body as text."""
        return self.bodies.get(timeout=DEADLINE_S).decode()

    def until(self, *wanted: str) -> str:
        """All that has ever arrived, as one text, once each of `wanted` is in it."""
        while not all(each in self.seen for each in wanted):
            try:
                self.seen += self.next()
            except queue.Empty:
                missing = [each for each in wanted if each not in self.seen]
                raise AssertionError(f"{missing} did not arrive: {self.seen}") from None
        return self.seen

    def close(self) -> None:
        self.free.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(DEADLINE_S)
