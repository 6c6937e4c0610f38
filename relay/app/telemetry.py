"""Logging: one handler on stderr, as JSON or text, from which every known secret is removed; and which signal a
thread is working on."""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Final, TextIO
from urllib.parse import quote

from relay.settings.environment import Secret
from relay.settings.settings import LogFormat, Settings

# The request, signal, account and order that a thread is working on: each log line and error report names them.


FACTS: Final = ("request_id", "signal_id", "account", "client_order_id")

_CONTEXT: ContextVar[Mapping[str, str]] = ContextVar("relay_facts", default={})  # noqa: B039 - never changed in place


class about:  # noqa: N801 - it is used like a function
    """Inside, each log line of this thread carries `facts`, beside those of the `about` around it."""

    __slots__ = ("_new", "_token")

    def __init__(self, **facts: str) -> None:
        self._new = facts

    def __enter__(self) -> None:
        self._token = _CONTEXT.set({**_CONTEXT.get(), **self._new})

    def __exit__(self, *_: object) -> None:
        _CONTEXT.reset(self._token)


def add(**facts: str) -> None:
    """Add `facts` to what this thread logs until the innermost `about` ends."""
    _CONTEXT.set({**_CONTEXT.get(), **facts})


def facts() -> Mapping[str, str]:
    return _CONTEXT.get()


HIDDEN: Final = "[secret]"
_SHORTEST_HIDDEN: Final = 8
"""What is shorter stands in innocent texts too; the relay's own secrets have at least 16 characters."""
_PATH: Final = re.compile(r"(/+webhook/+[^/\s?#\"']*/+)[^\s?#\"']+", re.IGNORECASE)
_QUERY: Final = re.compile(r"(/[^\s?\"']*)\?[^\s\"']*")
_QUIET: Final = {
    "alembic": logging.WARNING,
    "pybit": logging.CRITICAL,
    "urllib3": logging.ERROR,
    "werkzeug": logging.WARNING,
}
"""Their own lines repeat what the relay records already, or carry requests' signatures and parameters."""


def without_path_secret(text: str) -> str:
    """`text` with the secret of each `/webhook/<strategy>/<secret>` in it hidden."""
    return _PATH.sub(rf"\1{HIDDEN}", text)


def without_query(text: str) -> str:
    """`text` with the query string of each path in it cut off."""
    return _QUERY.sub(r"\1", text)


class Redaction(logging.Filter):
    """Rewrites each record before it is formatted: message, arguments, traceback and stack. Drops none."""

    def __init__(self, secrets: Iterable[Secret] = ()) -> None:
        super().__init__()
        spellings = {spelling for secret in secrets for spelling in _spellings(secret.reveal())}
        longest_first = sorted(spellings, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def clean(self, text: str) -> str:
        """`text` without any known secret."""
        text = without_path_secret(text)
        return self._pattern.sub(HIDDEN, text) if self._pattern else text

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = self.clean(_message(record)), ()
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = self.clean(record.exc_text)
        if record.stack_info:
            record.stack_info = self.clean(record.stack_info)
        return True


def _message(record: logging.LogRecord) -> str:
    """A record whose arguments do not fit its text must not take the process, nor the arguments, along."""
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError):
        return f"{record.msg} (its arguments do not fit)"


def _spellings(secret: str) -> set[str]:
    """The secret as it stands in plain texts, in URLs and in reprs; of several lines, each line that is long enough."""
    parts = {secret, *secret.splitlines()} if "\n" in secret else {secret}
    spellings = parts | {quote(part, safe="") for part in parts} | {repr(part)[1:-1] for part in parts}
    return {spelling for spelling in spellings if len(spelling) >= _SHORTEST_HIDDEN and "-----" not in spelling[:5]}


class LogFacts(logging.Filter):
    """Puts on each record what its thread is about; in the thread that logs. Drops none."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.facts = facts()
        return True


def _facts(record: logging.LogRecord) -> dict[str, object]:
    """Ids and, of a step, its milliseconds."""
    ms = getattr(record, "ms", None)
    return {**getattr(record, "facts", {}), **({} if ms is None else {"ms": ms})}


class JsonFormatter(logging.Formatter):
    """One JSON object a line; times are RFC 3339 UTC with milliseconds."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line: dict[str, object] = {
            "at": at,
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line["thread"] = record.threadName or ""
        line |= _facts(record)
        if record.exc_info and not record.exc_text:
            record.exc_text = self.formatException(record.exc_info)
        if record.exc_text:
            line["error"] = record.exc_text
        if record.stack_info:
            line["stack"] = record.stack_info
        return json.dumps(line, ensure_ascii=False, default=str)


class TextFormatter(logging.Formatter):
    """A line for people; times are UTC."""

    def usesTime(self) -> bool:  # noqa: N802
        return False

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        facts = " ".join([f"{name}={value}" for name, value in _facts(record).items()])
        line = f"{_time_of_day(record)} {record.levelname:<7} {record.name}: {record.message}"
        return f"{line} [{facts}]" if facts else line


def _time_of_day(record: logging.LogRecord) -> str:
    seconds, ms = int(record.created), int(record.msecs)
    return f"{seconds // 3600 % 24:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{ms:03}Z"


def configure_logging(settings: Settings, *, stream: TextIO | None = None) -> None:
    """Sends all logs to `stream` (None: stderr) in the settings' format. Safe to repeat; the last one counts."""
    handler = _Handler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if settings.log_format is LogFormat.JSON else TextFormatter())
    handler.addFilter(LogFacts())
    handler.addFilter(Redaction(settings.secrets))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.value.upper())
    for name, level in _QUIET.items():
        logging.getLogger(name).setLevel(level)
    logging.captureWarnings(True)
    _leave_out_what_no_line_has()
    threading.excepthook = _log_thread_end


class _Handler(logging.StreamHandler[TextIO]):
    """Writes each line in one piece. What is line buffered, as stderr is, needs no flush."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self.stream.write(f"{self.format(record)}\n")
            if not getattr(self.stream, "line_buffering", False):
                self.flush()
        except RecursionError:
            raise
        except Exception:
            self.handleError(record)


def _leave_out_what_no_line_has() -> None:
    """Source: Python's Logging HOWTO, "Optimization". The process stays: gunicorn's own lines name it."""
    logging._srcfile = None  # where in the code a line was written
    logging.logMultiprocessing = False
    logging.logAsyncioTasks = False  # type: ignore[attr-defined]


def _log_thread_end(args: threading.ExceptHookArgs) -> None:
    """A thread's last words go through the same redaction as everything else."""
    if args.exc_value is None or isinstance(args.exc_value, SystemExit):
        return
    name = args.thread.name if args.thread else "?"
    logging.getLogger("relay").critical("the thread %s ended", name, exc_info=args.exc_value)
