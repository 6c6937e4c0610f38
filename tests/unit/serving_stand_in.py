"""Programs for the tests of serving: a WSGI application, a paper exchange and a `serve`, each as small as can be.

They say what they do on stderr, a line each, so that a test can await it.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from relay.app.serve import serve
from relay.errors import JournalBusy, JournalUnavailable, RelayError
from relay.settings.settings import load_settings

StartResponse = Callable[[str, list[tuple[str, str]]], object]


def say(line: str) -> None:
    sys.stderr.write(f"stand-in {line}\n")
    sys.stderr.flush()


class Engine:
    """Holds a lock as the embedded engine does."""

    def __init__(self) -> None:
        self._lock = os.open(os.environ.get("STAND_IN_LOCK", os.devnull), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def start(self) -> None:
        try:
            if os.environ.get("STAND_IN_LOCK"):
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waits")
            raise JournalBusy("another relay holds this journal: process 1") from None
        say(f"started {os.getpid()}")

    def drain(self) -> None:
        say(f"drained {os.getpid()}")

    def stop(self) -> None:
        say(f"stopped {os.getpid()}")


class Application:
    def __init__(self) -> None:
        self.extensions = {"relay": Engine()}

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path == "/hold":
            say("holds")
            Path(environ["QUERY_STRING"]).read_bytes()
        if path == "/raise":
            raise RuntimeError("on purpose")
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        seen = {name: os.environ.get(name) for name in ("BYBIT_URL", "BYBIT_API_KEY", "WEBHOOK_SECRET")}
        answer = json.dumps({"body": body.decode(), "environ": seen, "path": path}).encode()
        start_response("200 OK", [("Content-Length", str(len(answer)))])
        return [answer]


def create_app() -> Application:
    """The application, or the trouble that `STAND_IN_TROUBLE` names; while STAND_IN_AWAY is a file, no journal."""
    if os.environ.get("STAND_IN_TROUBLE"):
        raise RelayError(os.environ["STAND_IN_TROUBLE"])
    if Path(os.environ.get("STAND_IN_AWAY", "")).is_file():
        say("finds no journal")
        raise JournalUnavailable("the journal is away")
    return Application()


def paper(arguments: list[str]) -> int:
    """Speaks to its parent as the paper exchange does; listens, and answers nobody."""
    if os.environ.get("STAND_IN_PAPER_TROUBLE"):
        sys.stderr.write("the state cannot be read\n")
        return 2
    port = int(arguments[arguments.index("--port") + 1])
    with socket.create_server(("127.0.0.1", port)) as listener:
        address = "http://127.0.0.1:{1}".format(*listener.getsockname())
        sys.stdout.write(f"paper exchange on {address}\n")
        sys.stdout.flush()
        say(f"paper {os.getpid()} {address} {os.environ['BYBIT_API_KEY']} {'WEBHOOK_SECRET' in os.environ}")
        sys.stdin.read()
    say("paper ended")
    return 0


def main() -> int:
    kind, *arguments = sys.argv[1:]
    if kind == "paper":
        return paper(arguments)
    command = [sys.executable, "-m", "tests.unit.serving_stand_in", "paper"]
    try:
        settings = load_settings()
        return serve(settings, application="tests.unit.serving_stand_in:create_app()", paper_command=command)
    except RelayError as error:
        sys.stderr.write(f"{error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
