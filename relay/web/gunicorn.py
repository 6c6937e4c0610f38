"""gunicorn's settings: `gunicorn -c python:relay.web.gunicorn 'relay.web:create_app()'`, and `serve` uses them too.

Importing this never fails; the settings are checked when the master starts, before it listens."""

from __future__ import annotations

import logging
import os
import sys
from typing import Any, Final
from urllib.parse import quote

from gunicorn.errors import HaltServer  # type: ignore[import-untyped]
from gunicorn.glogging import Logger  # type: ignore[import-untyped]

from relay.app import metrics
from relay.app.paper_child import PaperExchange, PaperExchangeFailed, needed
from relay.app.telemetry import Redaction, configure_logging, without_path_secret, without_query
from relay.errors import RelayError
from relay.settings.environment import Secret
from relay.settings.settings import listen_address, load_settings
from relay.web.worker import RelayWorker

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
