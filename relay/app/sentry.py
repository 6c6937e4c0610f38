"""Reports to Sentry what nobody thought of, and what a person must look at. Without SENTRY_DSN nothing is imported.

What the relay expects is no error: a denied or rejected alert, a refusal of the exchange, an exchange that is away."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from relay import __version__
from relay.app import telemetry
from relay.app.telemetry import HIDDEN, Redaction, without_query
from relay.domain.order import SignalStatus
from relay.domain.progress import Finish
from relay.domain.signal import Signal
from relay.settings.settings import Settings

if TYPE_CHECKING:
    from sentry_sdk.types import Breadcrumb, Event, Hint


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
            **{name: value for name, value in telemetry.facts().items() if name in telemetry.FACTS},
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
        with telemetry.about(signal_id=signal.id, account=account), sentry_sdk.new_scope() as scope:
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
