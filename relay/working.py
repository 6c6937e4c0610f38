"""`python -m relay worker`: executes what other processes accept, until SIGTERM."""

from __future__ import annotations

import logging
import signal
import threading
from typing import Final

from relay.errors import SettingsInvalid
from relay.settings import Settings
from relay.telemetry import configure_logging
from relay.wiring import build

log = logging.getLogger(__name__)

_WATCH_S: Final = 5.0


def work(settings: Settings) -> None:
    """Runs until SIGTERM or Ctrl-C. Raises RelayError, whose text is for people, if it cannot start."""
    if not settings.is_postgres:
        raise SettingsInvalid(
            [
                "DATABASE_URL: a worker shares a Postgres with the web processes; it should be like postgres://user@host/name"
            ]
        )
    configure_logging(settings)
    for warning in settings.warnings:
        log.warning(warning)
    ending = threading.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda *_: ending.set())
    relay = build(settings, is_worker=True)
    relay.start()
    told: dict[str, str] | None = None
    try:
        while not ending.wait(_WATCH_S if told == {} else 0.2):
            missing = relay.missing()
            if missing != told:
                log.info("not ready: %s", missing) if missing else log.info("the worker is ready")
                told = missing
    finally:
        relay.stop()
