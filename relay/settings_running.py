"""How the relay runs: where it keeps its journal, who executes, what it logs and whom it tells."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from relay import settings_fields as fields
from relay.settings_notify import notify_targets
from relay.settings_reader import Reader


class LogFormat(StrEnum):
    JSON = "json"
    TEXT = "text"


class LogLevel(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Worker(StrEnum):
    """Who executes orders: the web process itself, or processes of their own."""

    INLINE = "inline"
    PROCESS = "process"


def read_running(reader: Reader) -> dict[str, Any]:
    default_url = "sqlite:///relay.db"
    url = reader.read("DATABASE_URL", fields.database_url, default_url)
    worker = Worker.PROCESS if sqlite_path(url or default_url) is None else Worker.INLINE
    beside = (sqlite_path(url or default_url) or Path("relay.db")).with_name("paper.db")
    # A platform's log collector reads JSON better; a terminal's reader does not.
    log_format = LogFormat.JSON if reader.text("DYNO") else LogFormat.TEXT
    for name in ("WEB_CONCURRENCY",):
        reader.text(name)
    return {
        "database_url": url,
        "allow_wide_key": reader.read("ALLOW_WIDE_KEY", fields.flag, False),
        "database_connections": reader.read("DATABASE_CONNECTIONS", fields.whole(5, 100), None),
        "worker": reader.read("RELAY_WORKER", fields.choice_of(Worker), worker),
        "keep_days": reader.read("KEEP_DAYS", fields.whole(1, 36_500), 90),
        "paper_market": reader.read("PAPER_MARKET", fields.host_url_or_off, "https://api.bybit.com"),
        "paper_state": reader.read("PAPER_STATE", Path, beside),
        "sentry_dsn": reader.read("SENTRY_DSN", fields.sentry_dsn, None),
        "sentry_monitor_slug": reader.read("SENTRY_MONITOR_SLUG", fields.plain_text, None),
        "notify_targets": reader.read("NOTIFY_URLS", notify_targets, ()),
        "log_level": reader.read("LOG_LEVEL", fields.choice_of(LogLevel), LogLevel.INFO),
        "log_format": reader.read("LOG_FORMAT", fields.choice_of(LogFormat), log_format),
        "port": reader.read("PORT", fields.whole(0, 65_535), 8000),
    }


def unsupported(reader: Reader, values: Mapping[str, Any]) -> list[str]:
    """What is set and would be without effect."""
    problems = []
    if values["worker"] is Worker.PROCESS and sqlite_path(values["database_url"] or "") is not None:
        problems.append(
            "RELAY_WORKER: a SQLite journal has one process, which executes, too; it should be inline, or DATABASE_URL "
            "the address of a Postgres"
        )
    return problems


def doubts_about(reader: Reader, values: Mapping[str, Any]) -> tuple[str, ...]:
    """What is allowed and hardly meant."""
    if reader.text("DYNO") and sqlite_path(values["database_url"] or "") is not None:
        return (
            "DATABASE_URL: it is a SQLite file, and this platform throws files away at each restart: what was accepted "
            "and what is open would be forgotten; add a Postgres (`heroku addons:create heroku-postgresql`)",
        )
    return ()


def sqlite_path(url: str) -> Path | None:
    """The file; None on Postgres."""
    scheme, _, rest = url.partition(":///")
    return Path(rest.partition("?")[0]) if scheme == "sqlite" else None
