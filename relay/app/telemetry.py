"""How the relay is watched: its log (one handler on stderr, as JSON or text, from which every known secret is removed)
and which signal a thread is working on; and what it reports to Sentry."""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TextIO
from urllib.parse import quote

from relay import __version__
from relay.domain.order import SignalStatus
from relay.domain.progress import Finish
from relay.domain.signal import Signal
from relay.settings.environment import Secret
from relay.settings.settings import LogFormat, Settings

if TYPE_CHECKING:
    from sentry_sdk.types import Breadcrumb, Event, Hint


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


# Reports to Sentry what nobody thought of, and what a person must look at. Without SENTRY_DSN nothing is imported.
#
# What the relay expects is no error: a denied or rejected alert, a refusal of the exchange, an exchange that is away.


_NAMES: Final = re.compile(
    r"secret|passw|passphrase|token|api.?key|^key$|^pin$|signature|sign$|cookie|authori[sz]ation|credential|session|dsn",
    re.IGNORECASE,
)
_IN_TEXT: Final = re.compile(
    r"""(["']?(?:secret|password|passphrase|pin|key|token|code|signalToken)["']?\s*[:=]\s*)("[^"]*"|'[^']*'|[^\s,;}"']+)""",
    re.IGNORECASE,
)
"""A secret in an alert that is quoted in a text: also one that is wrong, which no list of ours has."""
_DEPTH_MAX: Final = 20
_FLUSH_S: Final = 1.0
CHECK_IN_S: Final = 60.0


class Scrubber:
    """Takes secrets out of a report by their values, by their names, and by where they stand in texts."""

    def __init__(self, redaction: Redaction) -> None:
        self._redaction = redaction

    def event(self, event: Event, hint: Hint) -> Event | None:
        """For `before_send`: clean, and tagged with what the thread was about."""
        clean: Event = self.clean(event)
        tags = dict(clean.get("tags") or {})
        clean["tags"] = {
            **tags,
            **{name: value for name, value in facts().items() if name in FACTS},
        }
        return clean

    def breadcrumb(self, crumb: Breadcrumb, hint: Mapping[str, Any]) -> Breadcrumb | None:
        cleaned: Breadcrumb = self.clean(crumb)
        return cleaned

    def clean(self, value: Any, depth: int = 0) -> Any:
        """The same structure; what is nested too deeply is left out."""
        if depth > _DEPTH_MAX:
            return HIDDEN
        match value:
            case str():
                return self._text(value)
            case bytes():
                return self._text(value.decode("utf-8", "replace"))
            case Mapping():
                return {key: self._named(key, each, depth) for key, each in value.items()}
            case list() | tuple() | set() | frozenset():
                return [self.clean(each, depth + 1) for each in value]
            case _:
                return value

    def _named(self, name: object, value: Any, depth: int) -> Any:
        is_secret = isinstance(name, str) and _NAMES.search(name) and isinstance(value, str | bytes | int)
        if is_secret and not isinstance(value, bool):
            return HIDDEN
        if name in ("url", "query_string") and isinstance(value, str):
            return "" if name == "query_string" else self._text(without_query(value))
        return self.clean(value, depth + 1)

    def _text(self, text: str) -> str:
        return self._redaction.clean(_IN_TEXT.sub(rf"\1{HIDDEN}", text))


def configure_sentry(settings: Settings) -> Reporter | None:
    """Once in each process that works, after any fork. Returns None if it is not configured."""
    if settings.sentry_dsn is None:
        return None
    import sentry_sdk
    from sentry_sdk.integrations.atexit import AtexitIntegration
    from sentry_sdk.integrations.dedupe import DedupeIntegration
    from sentry_sdk.integrations.excepthook import ExcepthookIntegration
    from sentry_sdk.integrations.flask import FlaskIntegration
    from sentry_sdk.integrations.logging import LoggingIntegration
    from sentry_sdk.integrations.sqlalchemy import SqlalchemyIntegration
    from sentry_sdk.integrations.threading import ThreadingIntegration

    scrubber = Scrubber(Redaction(settings.secrets))
    sentry_sdk.init(
        dsn=settings.sentry_dsn.reveal(),
        release=f"relay@{__version__}",
        environment=settings.environment.value,
        default_integrations=False,
        auto_enabling_integrations=False,
        integrations=[
            AtexitIntegration(callback=lambda pending, timeout: None),
            DedupeIntegration(),
            ExcepthookIntegration(),
            FlaskIntegration(),
            LoggingIntegration(),
            SqlalchemyIntegration(),
            ThreadingIntegration(),
        ],
        send_default_pii=False,
        max_request_body_size="never",
        include_local_variables=False,
        auto_session_tracking=False,
        send_client_reports=False,
        before_send=scrubber.event,
        before_breadcrumb=scrubber.breadcrumb,
        shutdown_timeout=_FLUSH_S,
    )
    return Reporter(settings.sentry_monitor_slug)


class Reporter:
    """What is reported by hand."""

    def __init__(self, monitor_slug: str | None) -> None:
        self._monitor_slug = monitor_slug

    def finished(self, signal: Signal, account: str, finish: Finish) -> None:
        """Of what signals come to, only what a person must look at is reported. All of one reason are one issue."""
        if finish.status is not SignalStatus.ATTENTION:
            return
        import sentry_sdk

        code, message = (finish.reason.code, finish.reason.message) if finish.reason else ("UNKNOWN", "no reason")
        with about(signal_id=signal.id, account=account), sentry_sdk.new_scope() as scope:
            scope.fingerprint = ["attention", code]
            scope.capture_message(f"attention: {code}: {message}", level="error")

    def check_in(self, missing: Callable[[], Mapping[str, str]]) -> None:
        """Tells the monitor that the engine runs, or that it does not. Does nothing without SENTRY_MONITOR_SLUG."""
        if self._monitor_slug is None:
            return
        from sentry_sdk.crons import capture_checkin
        from sentry_sdk.crons.consts import MonitorStatus

        capture_checkin(
            monitor_slug=self._monitor_slug,
            status=MonitorStatus.ERROR if missing() else MonitorStatus.OK,
            monitor_config={
                "schedule": {"type": "interval", "value": 1, "unit": "minute"},
                "checkin_margin": 2,
                "failure_issue_threshold": 2,
                "recovery_threshold": 1,
            },
        )

    def flush(self) -> None:
        """Send what waits, for a moment at most."""
        import sentry_sdk

        sentry_sdk.flush(timeout=_FLUSH_S)
