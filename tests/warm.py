"""`python -m …` without the second that the imports of the libraries take: a process that has done them forks.

What is forked imports the rest of the relay in its own environment, and ends as any Python process ends; its parent is
the process that forks. What looks at something when it is imported is left out: gunicorn at its folder.
`prometheus_client` looks for a folder that several processes share: those that have one are forked by a process that
has imported nothing that counts. `engine/failpoint.py` is told its environment. Outside pytest everything is started as
a user's shell would.

The tests' own process is kept quick here as well: it compiles each address of an application once, and what it holds
once its tests are known is never looked through for what can be thrown away.
"""

from __future__ import annotations

import atexit
import functools
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

from werkzeug.routing import Rule

_ROOT: Final = Path(__file__).resolve().parents[1]
_LIBRARIES: Final = (
    *("alembic.command", "alembic.config", "alembic.context", "apispec", "certifi", "click", "concurrent.futures"),
    *("Crypto.Hash.SHA256", "Crypto.PublicKey.RSA", "Crypto.Signature.PKCS1_v1_5", "dotenv", "email.mime.text"),
    *("environs", "flask", "flask_wtf.csrf", "marshmallow"),
    *("psycopg", "pybit.unified_trading", "requests", "sqlalchemy.dialects.postgresql.psycopg", "sqlalchemy.orm"),
    *("sqlalchemy.dialects.sqlite", "sqlite3", "tomllib", "urllib3", "websocket", "werkzeug.serving", "wsproto"),
)
_OUR_FOLDERS: Final = ("alerts", "domain", "journal", "paper", "settings")
_OUR_MODULES: Final = ("bybit.http", "bybit.stream_state", "cli.main", "engine.lanes", "execution.gather")
_COUNTING: Final = ("prometheus_client", "relay.app.wiring", "relay.web")
_SHARED_FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
_MESSAGE_MAX: Final = 1 << 17
_READ, _WRITE = 0, 1
_END_S: Final = 30
_RUN_S: Final = 120
_PYTHON_M: Final = (sys.executable, "-m")
Files = tuple[int, int, int]
"""Open files for stdin, stdout and stderr."""


def start(
    command: Sequence[str], cwd: Path, env: Mapping[str, str], files: Files
) -> subprocess.Popen[bytes] | WarmProcess:
    """The process in a session of its own. Under pytest, `python -m …` is forked."""
    if "PYTEST_VERSION" in os.environ and tuple(command[:2]) == _PYTHON_M:
        return WarmProcess(command[2:], cwd, env, files)
    return start_cold(command, cwd, env, files)


def start_cold(
    command: Sequence[str], cwd: Path, env: Mapping[str, str], files: Files
) -> subprocess.Popen[bytes] | WarmProcess:
    stdin, stdout, stderr = files
    return subprocess.Popen(
        command, cwd=cwd, env=env, stdin=stdin, stdout=stdout, stderr=stderr, start_new_session=True
    )


def run(arguments: Sequence[str], cwd: Path, env: Mapping[str, str], given: bytes = b"") -> tuple[int, str, str]:
    """`python -m …` to its end: the exit code, and what came out on stdout and stderr. `given`: what it reads."""
    with tempfile.TemporaryFile() as asked, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        asked.write(given)
        asked.seek(0)
        process = start([*_PYTHON_M, *arguments], cwd, env, (asked.fileno(), out.fileno(), errors.fileno()))
        try:
            code = process.wait(_RUN_S)
        finally:
            process.kill()
        for each in (out, errors):
            each.seek(0)
        return code, out.read().decode(), errors.read().decode()


class WarmProcess:
    """A process as `subprocess.Popen` gives it, as far as the tests use one."""

    def __init__(self, arguments: Sequence[str], cwd: Path, env: Mapping[str, str], files: Files) -> None:
        """`arguments`: what follows `python -m`."""
        self.returncode: int | None = None
        self._lock = threading.Lock()
        self._reported, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        requested = {"arguments": list(arguments), "cwd": str(cwd), "env": dict(env)}
        with theirs:
            forker, _ = _started(counts=_SHARED_FOLDER not in env)
            socket.send_fds(forker, [json.dumps(requested).encode()], (*files, theirs.fileno()))
        self.pid = int(self._reported.recv(32))

    def poll(self) -> int | None:
        return self._look(0)

    def wait(self, timeout: float | None = None) -> int:
        code = self._look(timeout)
        if code is None:
            assert timeout is not None
            raise subprocess.TimeoutExpired(str(self.pid), timeout)
        return code

    def _look(self, timeout: float | None) -> int | None:
        with self._lock:
            if self.returncode is None and select.select([self._reported], [], [], timeout)[0]:
                reported = self._reported.recv(32)
                assert reported, "the process that forks has ended"
                self.returncode = int(reported)
                self._reported.close()
            return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


@functools.cache
def _started(*, counts: bool) -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """The connection to a process that forks, with whose end it ends, too. A test process has one of each kind."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        forker = subprocess.Popen(
            [sys.executable, "-m", "tests.warm", str(theirs.fileno()), *(["counts"] if counts else [])],
            cwd=_ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=(theirs.fileno(),),
            start_new_session=True,
        )
    atexit.register(_end, ours, forker)
    return ours, forker


def _end(asking: socket.socket, forker: subprocess.Popen[bytes]) -> None:
    asking.close()
    forker.wait(_END_S)


class _Forker:
    """Forks, reaps, and tells how each has ended. It has one thread, so that a fork is harmless."""

    def __init__(self, requested: socket.socket) -> None:
        self._requested = requested
        self._children: dict[int, socket.socket] = {}
        self._woken = os.pipe()
        for end in self._woken:
            os.set_blocking(end, False)
        signal.set_wakeup_fd(self._woken[_WRITE], warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def run(self) -> dict[str, Any] | None:
        """Returns what to be in each child, and None in the end."""
        while True:
            ready, _, _ = select.select([self._requested.fileno(), self._woken[_READ]], [], [])
            if self._woken[_READ] in ready:
                os.read(self._woken[_READ], 4096)
                self._reap()
            if self._requested.fileno() in ready:
                message, files, _, _ = socket.recv_fds(self._requested, _MESSAGE_MAX, 4)
                if not message:
                    return None
                if self._fork(files):
                    requested: dict[str, Any] = json.loads(message)
                    return requested

    def _fork(self, files: list[int]) -> bool:
        """Whether this is the child."""
        *standard, reported = files
        child = os.fork()
        if child == 0:
            self._leave(standard)
            os.close(reported)
            return True
        for each in standard:
            os.close(each)
        self._children[child] = socket.socket(fileno=reported)
        self._children[child].send(str(child).encode())
        return False

    def _leave(self, standard: list[int]) -> None:
        """In the child: nothing of the parent's is left, and the three files are its own."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self._requested.close()
        for other in self._children.values():
            other.close()
        for number, each in enumerate(standard):
            os.dup2(each, number)
        for file in (*self._woken, *standard):
            os.close(file)

    def _reap(self) -> None:
        while self._children:
            child, status = os.waitpid(-1, os.WNOHANG)
            if child == 0:
                return
            with self._children.pop(child) as reported:
                reported.send(str(os.waitstatus_to_exitcode(status)).encode(), socket.MSG_NOSIGNAL)


@contextmanager
def addresses_compiled_once() -> Iterator[None]:
    """werkzeug compiles two functions for each address of each application, which is half of what making one takes."""
    made: dict[tuple[object, ...], Callable[..., Any]] = {}
    compile_anew = Rule._compile_builder

    def compile_once(rule: Rule, append_unknown: bool = True) -> Callable[..., Any]:
        key = (rule.rule, tuple(rule._trace), str(rule.defaults), append_unknown)
        if key not in made:
            made[key] = compile_anew(rule, append_unknown)
        return made[key]

    with patch.object(Rule, "_compile_builder", compile_once):
        yield


def freeze() -> None:
    """What there is now stays until the end: each look for garbage would go through a million of objects."""
    gc.collect()
    gc.freeze()


def _become(requested: Mapping[str, Any]) -> None:
    os.setsid()
    os.chdir(requested["cwd"])
    os.environ.clear()
    os.environ.update(requested["env"])
    time.tzset()
    if failpoint := sys.modules.get("relay.engine.failpoint"):
        vars(failpoint)["passed"] = failpoint.requested()
    module, *rest = requested["arguments"]
    sys.argv = [module, *rest]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _our_modules() -> list[str]:
    """Entry points and migrations aside, which are there to be run."""
    files = (path for folder in _OUR_FOLDERS for path in (_ROOT / "relay" / folder).rglob("*.py"))
    names = (".".join(path.relative_to(_ROOT).with_suffix("").parts).removesuffix(".__init__") for path in files)
    found = [name for name in names if not name.endswith(".__main__") and ".migrations" not in name]
    return [*found, *(f"relay.{name}" for name in _OUR_MODULES)]


def main() -> None:
    requested, *counts = sys.argv[1:]
    for library in (*_LIBRARIES, *_our_modules(), *(_COUNTING if counts else ())):
        importlib.import_module(library)
    assert not sys.modules.keys() & {"gunicorn", *(() if counts else _COUNTING)}
    assert threading.active_count() == 1
    freeze()
    wanted = _Forker(socket.socket(fileno=int(requested))).run()
    if wanted is not None:
        _become(wanted)


if __name__ == "__main__":
    main()
