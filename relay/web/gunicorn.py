"""gunicorn as the relay runs it: its worker, its log and its settings.

The settings: `gunicorn -c python:relay.web.gunicorn 'relay.web:create_app()'`, and `serve` uses them too. Importing
this never fails; they are checked when the master starts, before it listens."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import io
import logging
import mmap
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from gunicorn import util  # type: ignore[import-untyped]
from gunicorn.app.base import BaseApplication  # type: ignore[import-untyped]
from gunicorn.arbiter import Arbiter  # type: ignore[import-untyped]
from gunicorn.errors import HaltServer  # type: ignore[import-untyped]
from gunicorn.glogging import Logger  # type: ignore[import-untyped]
from gunicorn.http import wsgi  # type: ignore[import-untyped]
from gunicorn.util import import_app  # type: ignore[import-untyped]
from gunicorn.workers.gthread import TConn, ThreadWorker  # type: ignore[import-untyped]

from relay.app import metrics
from relay.app.paper_child import PaperExchange, PaperExchangeFailed, needed
from relay.app.telemetry import Redaction, configure_logging, without_path_secret, without_query
from relay.engine.lanes import collect_between_orders
from relay.errors import JournalBusy, JournalUnavailable, RelayError, SchemaOutdated, SchemaTooNew
from relay.execution.tasks import ARRIVALS
from relay.settings.environment import Secret
from relay.settings.settings import listen_address, load_settings

if TYPE_CHECKING:
    from relay.app.wiring import Relay


# Keeps this process to one core for as long as that core is its own.
#
# Python's lock lets one thread run at a time. On several cores each pause of the thread that has it wakes another one
# on another core, which finds the lock taken again and sleeps: some eighty changes of threads for an alert of a burst,
# and a third of the processor. On one core that other one has to wait anyway. Beside a busy neighbour one core is half
# a core, so it is left as soon as there is such a one. Who is busy where is told by `/proc/stat`, on Linux.


LOOK_S: Final = 1.0
OTHERS_MOST: Final = 0.4
"""The share of a core that others may have."""
ROOM_LEAST: Final = 0.25
"""Of all cores together, in cores."""
CROWDED_LOOKS: Final = 2
"""In a row: a moment's crowd is what the relay's own work makes others do."""
AGAIN_S: Final = (10.0, 160.0)
"""So long after its core was left none is kept to: at first, and at most. Each time it is twice as long as the time
before, for a neighbour that rests now and then has not gone."""
_STAT: Final = Path("/proc/stat")
_IDLE: Final = slice(3, 5)
"""Of a core's times: `idle` and `iowait`. Source: proc_stat(5)."""

Core = int


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """Of the processor, so far, in seconds. `at_s`: on the monotonic clock. `own_s`: by this process."""

    at_s: float
    own_s: float
    by_core: Mapping[Core, float]

    def shares_since(self, before: Used) -> dict[Core, float]:
        """What was used of each core since then."""
        passed_s = max(self.at_s - before.at_s, 0.001)
        return {
            core: (used_s - before.by_core[core]) / passed_s
            for core, used_s in self.by_core.items()
            if core in before.by_core
        }


def used_now(now_s: float) -> Used | None:
    """None where the system does not tell."""
    try:
        rows = [line.split() for line in _STAT.read_text().splitlines() if line.startswith("cpu")]
        ticks = {int(name[3:]): [int(each) for each in times[:8]] for name, *times in rows if name != "cpu"}
    except (OSError, ValueError):
        return None
    a_second = os.sysconf("SC_CLK_TCK")
    by_core = {core: (sum(times) - sum(times[_IDLE])) / a_second for core, times in ticks.items()}
    return Used(at_s=now_s, own_s=time.process_time(), by_core=by_core)


class OneCore:
    """One thread tells it the time now and then. Where the cores were chosen by somebody, they stay as they are."""

    def __init__(self, used: Callable[[float], Used | None] = used_now) -> None:
        self._used = used
        self._cores = _cores()
        self._core: Core | None = None
        self._due_at = self._not_before = 0.0
        self._again_s, self._again_most_s = AGAIN_S
        self._crowded = 0
        self._before: Used | None = None

    def look(self, now_s: float) -> None:
        """`now_s`: on the monotonic clock."""
        if now_s < self._due_at or not self._cores:
            return
        self._due_at = now_s + LOOK_S
        before, self._before = self._before, self._used(now_s)
        if before is None or self._before is None:
            return
        own = (self._before.own_s - before.own_s) / max(now_s - before.at_s, 0.001)
        shares = {core: share for core, share in self._before.shares_since(before).items() if core in self._cores}
        if not shares:
            return
        core = min(shares, key=shares.__getitem__) if self._core is None else self._core
        self._crowded = self._crowded + 1 if self._is_crowded(shares, core, own) else 0
        if self._core is not None and self._crowded >= CROWDED_LOOKS:
            self._core, self._not_before = None, now_s + self._again_s
            self._again_s = min(2 * self._again_s, self._again_most_s)
            _keep_to(self._cores)
        elif self._core is None and not self._crowded and now_s >= self._not_before:
            self._core = core
            _keep_to({core})

    def _is_crowded(self, shares: Mapping[Core, float], core: Core, own: float) -> bool:
        """Whether others have much of the core, and there is no room for them elsewhere: else the system moves them."""
        free = sum(1 - share for share in shares.values())
        return shares.get(core, 1.0) - own > OTHERS_MOST and free < ROOM_LEAST


def _cores() -> frozenset[Core]:
    """All there are; none where there is but one, where somebody has chosen some, or where nothing can be chosen."""
    if not hasattr(os, "sched_getaffinity"):
        return frozenset()
    cores = frozenset(os.sched_getaffinity(0))
    return cores if 1 < len(cores) == os.cpu_count() else frozenset()


def _keep_to(cores: frozenset[Core] | set[Core]) -> None:
    """All of this process's threads, and with them those that they start."""
    for thread in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):
            os.sched_setaffinity(int(thread.name), cores)


# The worker process: threads that a slow client cannot hold, and a stop that refuses at once and finishes what it has.
#
# It builds on gunicorn's `gthread` (27.0), of which it changes five things, each measured to matter:
#
# - a new connection waits in the poller, not in a thread, until its first byte is there;
# - requests that have come one behind the other are served so, without a way through the poller between them;
# - request line and headers, and then the body, each have a deadline as a whole; past it the answer is 408;
# - a connection is closed in the thread that served it: gunicorn lingers for it in the loop that accepts all others;
# - on SIGTERM the listening sockets close at once, where gunicorn lets a new request hang and then resets it.


BODY_BYTES_MAX: Final = 64 * 1024
FIRST_BYTE_S: Final = 5.0
HEAD_S: Final = 2.0
BODY_S: Final = 2.0
UPLOADS: Final = frozenset({"/api/compare", "/compare"})
UPLOAD_S: Final = 60.0
WRITE_S: Final = 10.0
LINGER_S: Final = 0.5
DRAIN_S: Final = 12
"""For requests in flight after SIGTERM; under gunicorn's `graceful_timeout`, so that the engine has the rest of it."""
QUICK_DRAIN_S: Final = 1
_BOOTED: Final = mmap.mmap(-1, 1)
"""Not zero once a worker has booted. The master makes it, so that it is one for all of its workers."""
_ONE_ARENA: Final = (-8, 1)
"""Threads begin with no memory of their own, which each would keep a part of: one at a time asks for some anyway.
Source: mallopt(3), M_ARENA_MAX."""
HANDOVER_S: Final = 30.0
"""How long a worker that replaces another waits for that one's journal."""
SAID_EVERY_S: Final = 5.0

_TOO_SLOW_BODY: Final = (
    b'{"error": {"code": "REQUEST_TOO_SLOW", "message": "the request did not arrive whole in time", "fields": {}}}\n'
)
_TOO_SLOW: Final = (
    b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(_TOO_SLOW_BODY), _TOO_SLOW_BODY)
)


class RequestTooSlow(Exception):
    """The request did not arrive whole in time. No OSError: that would pass for a cut connection."""


class ClientSocket(socket.socket):
    """A connection that can be told by when what is read from it has to be there."""

    read_by: float | None = None
    """On the monotonic clock; None means no deadline."""

    def recv(self, *args: Any) -> bytes:
        if self.read_by is None:
            return super().recv(*args)
        left_s = self.read_by - time.monotonic()
        if left_s <= 0:
            raise RequestTooSlow
        self.settimeout(left_s)
        try:
            return super().recv(*args)
        except TimeoutError:
            raise RequestTooSlow from None


class Connection(TConn):  # type: ignore[misc]
    """Closing twice is harmless, and never waits for the client for long."""

    is_closed = False

    def close(self, graceful: bool = False) -> None:
        if self.is_closed:
            return
        self.is_closed = True
        self.sock.read_by = None
        if graceful:
            util.close_graceful(self.sock, timeout=LINGER_S)
        else:
            util.close(self.sock)


class Response(wsgi.Response):  # type: ignore[misc]
    """Does not say what serves it."""

    def default_headers(self) -> list[str]:
        return [line for line in super().default_headers() if not line.startswith("Server:")]


class RelayWorker(ThreadWorker):  # type: ignore[misc]
    """One process that takes alerts and, with the embedded engine, executes them."""

    alive: bool
    runtime: Relay | None = None
    _is_quick = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._served: set[Connection] = set()
        """Those that have a thread. Where none is left, one that wants to go on waits for its turn."""
        self._one_core = OneCore()

    def notify(self) -> None:
        """Called by the loop that accepts connections, at least once a second."""
        super().notify()
        self._one_core.look(time.monotonic())

    def init_process(self) -> None:
        wsgi.Response = Response
        with contextlib.suppress(AttributeError):  # where the C library is another
            ctypes.CDLL(None).mallopt(*_ONE_ARENA)
        self._set_graceful_timeout(DRAIN_S)
        # Each look at a setting costs two calls, and a request looks at two dozen.
        self.cfg.__dict__.update({name: setting.get() for name, setting in self.cfg.settings.items()})
        super().init_process()

    def _set_graceful_timeout(self, seconds: int) -> None:
        self.cfg.set("graceful_timeout", seconds)
        self.cfg.__dict__["graceful_timeout"] = seconds

    def init_signals(self) -> None:
        super().init_signals()
        # Ctrl-C reaches every process of the terminal; the master alone decides what it means.
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def load_wsgi(self) -> None:
        """What cannot boot says so in its own lines, without a traceback, and makes the master stop, not try again."""
        try:
            self._boot()
        except RelayError as error:
            sys.stderr.write(f"{error}\n")
            sys.stderr.flush()
            sys.exit(Arbiter.WORKER_BOOT_ERROR)

    def _boot(self) -> None:
        """While no worker has booted, one refuses a journal that is held or cannot be used.

        A later one waits: for the end of the holder that it replaces, and for a database that is away for as long as
        it is. It would take the master, and with it the workers that answer 503 meanwhile, down with it.
        """
        begun_at = said_at = time.monotonic()
        while self.alive:
            try:
                super().load_wsgi()
                self.runtime = getattr(self.wsgi, "extensions", {}).get("relay")
                if self.runtime is not None:
                    self.runtime.start()
                # What was made up to here stays: no collection has to go through it again.
                gc.freeze()
                collect_between_orders()
                _BOOTED[0] = 1
                return
            except (SchemaOutdated, SchemaTooNew):
                raise
            except JournalUnavailable as error:
                if not self._may_wait(error, time.monotonic() - begun_at):
                    raise
                if time.monotonic() - said_at >= SAID_EVERY_S:
                    said_at = time.monotonic()
                    self.log.warning("not started yet: %s", error)
            self.notify()
            time.sleep(0.1)
        sys.exit(0)

    def _may_wait(self, error: JournalUnavailable, waited_s: float) -> bool:
        if isinstance(error, JournalBusy):
            return self.age > 1 and waited_s < HANDOVER_S
        return _BOOTED[0] != 0 or self.age > self.cfg.workers

    def run(self) -> None:
        code: object = 0
        try:
            super().run()
        except SystemExit as end:
            code = end.code
        finally:
            if self.runtime is not None:
                self.runtime.stop()
        # Whatever still runs waits for a client that is slow or gone; it must not hold up the end of the process.
        logging.shutdown()
        sys.stdout.flush()
        os._exit(code if isinstance(code, int) else 1)

    def handle_quit(self, sig: int, frame: object) -> None:
        """Ctrl-C, by way of the master: requests in flight get a moment only."""
        if not self.alive:
            sys.exit(0)
        self._is_quick = True
        self._set_graceful_timeout(QUICK_DRAIN_S)
        self.handle_exit(sig, frame)

    def is_parent_alive(self) -> bool:
        self.alive = bool(super().is_parent_alive()) and self.alive
        return self.alive

    def set_accept_enabled(self, enabled: bool) -> None:
        """Called with False when the stop begins: takes what the kernel has accepted already, then refuses the rest."""
        if self.alive:
            super().set_accept_enabled(enabled)
            return
        for listener in self.sockets if self._accepting else ():
            self._accept_queued(listener)
        super().set_accept_enabled(False)
        for listener in self.sockets:
            listener.close()
        if self.runtime is not None:
            self.runtime.drain()

    def _accept_queued(self, listener: Any) -> None:
        seen = -1
        while seen != self.nr_conns:
            seen = self.nr_conns
            self.accept(listener)

    def _cap_keepalive(self, deadline: float) -> None:
        """Idle connections, old and new, end soon; at once when the stop is a quick one."""
        deadline = time.monotonic() if self._is_quick else deadline
        super()._cap_keepalive(deadline)
        for conn in self.pending_conns:
            conn.timeout = min(conn.timeout, deadline)

    def accept(self, listener: Any) -> None:
        """A new connection waits in the poller until there is something to read."""
        try:
            accepted, address = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        client = ClientSocket(accepted.family, accepted.type, accepted.proto, fileno=accepted.detach())
        conn = Connection(self.cfg, client, address, listener.getsockname())
        self.nr_conns += 1
        conn.timeout = time.monotonic() + FIRST_BYTE_S
        self.pending_conns.append(conn)
        self.poller.register(client, selectors.EVENT_READ, partial(self.on_pending_socket_readable, conn))

    def handle(self, conn: Connection) -> bool:
        self._served.add(conn)
        try:
            while self._serve(conn):
                if not conn.parser.unreader.buf.getvalue() or len(self._served) >= self.cfg.threads:
                    return True
            return False
        finally:
            self._served.discard(conn)

    def _serve(self, conn: Connection) -> bool:
        """One request. Returns False if that was the last one."""
        conn.sock.read_by = time.monotonic() + HEAD_S
        with ARRIVALS:
            keeps = bool(super().handle(conn))
        conn.sock.read_by = None
        if not keeps:
            conn.close(graceful=True)
        return keeps

    def handle_request(self, req: Any, conn: Connection) -> bool:
        if req._expected_100_continue:
            conn.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            req._expected_100_continue = False
        conn.sock.read_by = time.monotonic() + BODY_S
        _read_body(req.body)
        if req.path in UPLOADS:
            # What is left is read only once the application knows who sends it.
            conn.sock.read_by = time.monotonic() + UPLOAD_S
        conn.sock.settimeout(WRITE_S)
        return bool(super().handle_request(req, conn))

    def _keepalive_after(self, conn: Connection, keepalive: bool) -> bool:
        """A connection with a rest of a body on it is used again only if the rest is there."""
        conn.sock.read_by = None
        return keepalive and bool(conn.parser.finish_body(deadline=time.monotonic() + LINGER_S))

    def handle_error(self, req: Any, client: ClientSocket, addr: Any, exc: BaseException) -> None:
        client.read_by = None
        if not isinstance(exc, RequestTooSlow):
            super().handle_error(req, client, addr, exc)
            return
        self.log.info("408 for %s: the request did not arrive whole in time", addr[0] if addr else "-")
        client.settimeout(LINGER_S)
        with contextlib.suppress(OSError):
            client.sendall(_TOO_SLOW)


def _read_body(body: Any) -> None:
    """Reads what the application may want while the deadline runs, and puts it back for the application to read.

    A byte more than the most it takes, so that it sees by itself that there is more.
    """
    read = body.read(BODY_BYTES_MAX + 1)
    rest = body.buf.getvalue()
    body.buf = io.BytesIO()
    body.buf.write(read + rest)


# gunicorn's own log and its access log: through the relay's handler, and without secrets wherever they go.


_PLAIN: Final = frozenset("htsmHbBTDMLp")
"""Atoms of an access line that come from the connection and the clock, not from what the client wrote."""


class RelayLogger(Logger):  # type: ignore[misc]
    """Redacts whatever the configuration, the command line or `GUNICORN_CMD_ARGS` say about logs."""

    _secrets: tuple[Secret, ...] = ()

    def redact(self, secrets: tuple[Secret, ...]) -> None:
        """From now on these stand in no log, whatever file or syslog it goes to."""
        self._secrets = secrets
        self.setup(self.cfg)

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        for log, target in ((self.error_log, cfg.errorlog), (self.access_log, cfg.accesslog)):
            if target == "-":
                log.handlers[:] = [each for each in log.handlers if type(each) is not logging.StreamHandler]
            log.propagate = target == "-"
            for handler in log.handlers:
                handler.addFilter(Redaction(self._secrets))

    def atoms(self, resp: Any, req: Any, environ: dict[str, Any], request_time: Any) -> dict[str, Any]:
        """Headers and variables of the request are left out: they show as `-`."""
        atoms = super().atoms(resp, req, environ, request_time)
        path = _path(environ)
        cleaned = {name: without_path_secret(without_query(str(atoms[name]))) for name in ("f", "a")}
        line = f"{environ['REQUEST_METHOD']} {path} {environ['SERVER_PROTOCOL']}"
        return {name: atoms[name] for name in _PLAIN} | cleaned | {"r": line, "U": path, "q": "", "l": "-", "u": "-"}


def _path(environ: dict[str, Any]) -> str:
    """Decoded and encoded again: one spelling of the path, whatever the client's, and no control characters."""
    path = str(environ.get("PATH_INFO") or environ["RAW_URI"].partition("?")[0])
    return without_path_secret(quote(path.encode("latin-1", "replace"), safe="/:@<>+,;=~*!$&()-._"))


log = logging.getLogger(__name__)

bind = [listen_address()]
workers = 1
"""The embedded engine's. Said here because gunicorn would take WEB_CONCURRENCY, which platforms set by themselves."""
threads = 128
"""16 threads were stopped altogether by 20 slow clients; idle ones cost next to nothing."""
worker_connections = 768
"""Under the usual limit of 1024 open files."""
worker_class = RelayWorker
logger_class = RelayLogger
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 - the heartbeat is not for a disk

timeout = 60
graceful_timeout = 20
"""Platforms kill 30 s after SIGTERM; the relay promises to be gone within 25."""
keepalive = 95
"""Longer than the 90 s for which Heroku's router and most proxies keep their side open."""
backlog = 512

limit_request_line = 4094
limit_request_fields = 60
limit_request_field_size = 8190

control_socket_disable = True
"""It would start a thread in the master, before later forks."""

_SETTINGS_WRONG: Final = 1
_paper: list[PaperExchange] = []


def on_starting(server: Any) -> None:
    """In the master, before it listens: checks the settings, and starts what has to be there before a worker."""
    try:
        settings = load_settings(needs_webhook_secret=True)
        configure_logging(settings)
        metrics.forget_earlier_runs()
        server.log.redact(settings.secrets)
        for warning in settings.warnings:
            log.warning(warning)
        if server.num_workers != 1 and not settings.is_postgres:
            raise RelayError("--workers: it is not 1; the SQLite journal has one engine, so leave it out")
        if settings.environment.is_real_money:
            from relay.app.account_checks import refuse_wide_keys

            refuse_wide_keys(settings)
        exchanges = needed(settings, os.environ)
        for exchange in exchanges:
            exchange.start()
        for exchange in exchanges:
            exchange.announce(os.environ)
            supervise(server, exchange)
    except RelayError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(_SETTINGS_WRONG)


def supervise(server: Any, exchange: PaperExchange) -> None:
    """Ties the paper exchange to the master: looked after in its loop, and stopped after the last worker."""
    _paper.append(exchange)
    manage_workers = server.manage_workers

    def manage_all() -> None:
        try:
            exchange.keep_running()
        except PaperExchangeFailed as error:
            raise HaltServer(str(error), _SETTINGS_WRONG) from error
        manage_workers()

    # gunicorn's master has no hook that is called regularly, and a thread of its own must not exist before a fork.
    server.manage_workers = manage_all


def child_exit(server: Any, worker: Any) -> None:
    """In the master, after a worker has ended."""
    metrics.process_ended(worker.pid)


def on_exit(server: Any) -> None:
    """In the master, after the last worker has ended."""
    while _paper:
        _paper.pop().stop()


# gunicorn inside this process, with the project's settings, on a socket that listens already: what `serve` runs.


class Server(BaseApplication):  # type: ignore[misc]
    """`application` is a WSGI application in gunicorn's spelling, such as `relay.web:create_app()`."""

    def __init__(
        self,
        application: str,
        listener: socket.socket,
        exchanges: Sequence[PaperExchange],
        on_worker: Callable[[], None],
    ) -> None:
        """`listener` is taken over. `on_worker` is called once, in the first worker, just before it accepts."""
        self._application = application
        self._descriptor = listener.detach()
        self._exchanges = exchanges
        self._on_worker = on_worker
        super().__init__()

    def load_config(self) -> None:
        for name, value in globals().items():
            if name in self.cfg.settings:
                self.cfg.set(name, value)
        self.cfg.set("bind", [f"fd://{self._descriptor}"])
        self.cfg.set("loglevel", "warning")
        self.cfg.set("on_starting", self._start)
        self.cfg.set("post_worker_init", self._greet)

    def load(self) -> Any:
        return import_app(self._application)

    def _start(self, server: Any) -> None:
        on_starting(server)
        for exchange in self._exchanges:
            supervise(server, exchange)

    def _greet(self, worker: Any) -> None:
        if worker.age == 1:
            self._on_worker()

    def run_to_end(self) -> int:
        """Runs until a signal ends it; the exit code."""
        try:
            self.run()
        except SystemExit as end:
            return end.code if isinstance(end.code, int) else 1
        return 0
