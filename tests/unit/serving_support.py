"""Runs a program and awaits what it says, so that no test has to sleep."""

from __future__ import annotations

import os
import queue
import re
import signal
import socket
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests import warm

ROOT = Path(__file__).parent.parent.parent
STAND_IN = "tests.unit.serving_stand_in"
DEADLINE_S = 60
SECRET = "a-secret-of-the-tests-0123456789"


class Program:
    """One process and all it says, on both streams. To be used with `with`: nothing of it is left behind."""

    def __init__(self, command: Sequence[str], cwd: Path, environ: Mapping[str, str]) -> None:
        self.said: list[str] = []
        self._lines: queue.Queue[str | None] = queue.Queue()
        inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        env = {**inherited, "PYTHONPATH": str(ROOT), **environ}
        said, saying = os.pipe()
        with open(os.devnull, "rb") as nothing:
            self.process = warm.start(command, cwd, env, (nothing.fileno(), saying, saying))
        os.close(saying)
        self._reader = threading.Thread(target=self._read, args=(said,))
        self._reader.start()

    def _read(self, said: int) -> None:
        with open(said) as stream:
            for line in stream:
                self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def await_line(self, pattern: str) -> re.Match[str]:
        """The next line with the pattern in it."""
        while (line := self._lines.get(timeout=DEADLINE_S)) is not None:
            self.said.append(line)
            if match := re.search(pattern, line):
                return match
        raise AssertionError(f"ended without saying {pattern!r}; it said:\n{self.text}")

    def await_end(self) -> int:
        """The exit code, once the process and all its children are gone: they share the pipe that is read here."""
        while (line := self._lines.get(timeout=DEADLINE_S)) is not None:
            self.said.append(line)
        return self.process.wait(DEADLINE_S)

    @property
    def text(self) -> str:
        return "\n".join(self.said)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *_: object) -> None:
        if self._reader.is_alive():
            self.process.terminate()
            self._reader.join(DEADLINE_S)
        if self._reader.is_alive():
            os.killpg(self.process.pid, signal.SIGKILL)
            self._reader.join(DEADLINE_S)
        self.process.wait(DEADLINE_S)


def run_serve(cwd: Path, **environ: str) -> Program:
    return Program([sys.executable, "-m", STAND_IN, "serve"], cwd, {"PORT": "0", **environ})


def run_gunicorn(cwd: Path, *arguments: str, **environ: str) -> Program:
    """The Procfile's `web` with the stand-in as the application, on a free port, without a paper exchange."""
    command = [sys.executable, "-m", "gunicorn", "-c", "python:relay.web.gunicorn", f"{STAND_IN}:create_app()"]
    given = {"WEBHOOK_SECRET": SECRET, "BYBIT_URL": "http://127.0.0.1:9", "LOG_FORMAT": "text"}
    return Program([*command, "--bind", "127.0.0.1:0", *arguments], cwd, {**given, **environ})


def port_of(program: Program) -> int:
    """Where gunicorn listens; returns when its worker's engine runs."""
    port = int(program.await_line(r"Listening at: http://127\.0\.0\.1:(\d+)")[1])
    program.await_line("stand-in started")
    return port


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S)


def answer_on(client: socket.socket) -> str:
    """All that comes until the other side closes."""
    parts = []
    while part := client.recv(65536):
        parts.append(part)
    return b"".join(parts).decode()


def ask(port: int, path: str = "/", body: bytes = b"", headers: str = "") -> str:
    """One request on a connection of its own, and its whole answer."""
    with connect(port) as client:
        client.sendall(request(path, body, headers))
        return answer_on(client)


def request(path: str, body: bytes = b"", headers: str = "", *, length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    head = f"POST {path} HTTP/1.1\r\nHost: relay\r\nContent-Length: {size}\r\nConnection: close\r\n{headers}\r\n"
    return head.encode() + body
