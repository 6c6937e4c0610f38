"""gunicorn's settings: `gunicorn -c python:relay.web.gunicorn 'relay.web:create_app()'`, and `serve` uses them too.

Importing this never fails; the settings are checked when the master starts, before it listens.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Any, Final

from gunicorn.errors import HaltServer  # type: ignore[import-untyped]

from relay import measures
from relay.errors import RelayError
from relay.paper_child import PaperExchange, PaperExchangeFailed, needed
from relay.settings import listen_address, load_settings
from relay.telemetry import configure_logging
from relay.web.server_log import RelayLogger
from relay.web.thread_worker import RelayWorker

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
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - the heartbeat must not wait for a disk

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
        measures.forget_earlier_runs()
        server.log.redact(settings.secrets)
        for warning in settings.warnings:
            log.warning(warning)
        if server.num_workers != 1 and not settings.is_postgres:
            raise RelayError("--workers: it is not 1; the SQLite journal has one engine, so leave it out")
        if settings.environment.is_real_money:
            from relay.wiring_keys import refuse_wide_keys

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
    measures.process_ended(worker.pid)


def on_exit(server: Any) -> None:
    """In the master, after the last worker has ended."""
    while _paper:
        _paper.pop().stop()
