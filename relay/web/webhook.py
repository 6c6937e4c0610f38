"""`POST /webhook`: where alerts come in, what their sender is answered, and when a source is refused at once."""

from __future__ import annotations

import contextlib
import io
import math
import re
import threading
import time
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from flask import Blueprint, Flask, Response, current_app, request
from flask.blueprints import BlueprintSetupState

from relay.alerts.authenticate import QUICK_BYTES, Credentials, authenticates, is_surely_without
from relay.app import metrics
from relay.app.wiring import Relay, Services
from relay.errors import AlertError, AuthFailed, JournalUnavailable, SourceNotAllowed, StrategyUnknown
from relay.execution.accept import AlertRejected, Receipt
from relay.execution.ports import to_ms, utc_now
from relay.execution.tasks import ARRIVALS
from relay.journal.api_queries import status_of
from relay.settings.config import NAME
from relay.web.access import FailureLimit, is_allowed, source, spelled, whole_body
from relay.web.answers import TOO_MANY, answer, current_relay, current_services, receipt_form, refusal, too_many

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# `Prefer: wait=SECONDS`: hold the answer back until the signal has come to its end, or the time is up.


WAIT_MAX_S: Final = 10
WAITERS_MAX: Final = 32
"""A quarter of the server's threads: whoever does not ask to wait always finds one."""

LOOK_S: Final = 0.05

_WAIT = re.compile(r'(?:^|[,;])\s*wait\s*=\s*"?([0-9]{1,9})', re.IGNORECASE)


def wait_requested_s(prefer: str | None) -> int:
    """The seconds that a `Prefer` header asks for, at most 10; 0: none. Source: RFC 7240, section 4.3."""
    found = _WAIT.search(prefer) if prefer else None
    return min(int(found[1]), WAIT_MAX_S) if found else 0


class Waiting:
    """Lets a bounded number of requests wait for their signals."""

    def __init__(self, *, at_once_max: int = WAITERS_MAX) -> None:
        self._places = threading.BoundedSemaphore(at_once_max)

    def outcome(self, parts: Services, signal_id: str, *, wait_s: float) -> dict[str, Any] | None:
        """The finished signal in full; None if it is not finished yet, or too many wait already."""
        if wait_s <= 0 or not self._places.acquire(blocking=False):
            return None
        try:
            return _outcome(parts, signal_id, wait_s)
        except JournalUnavailable:
            # What was accepted stays accepted: only what became of it cannot be told now.
            return None
        finally:
            self._places.release()


def _outcome(parts: Services, signal_id: str, wait_s: float) -> dict[str, Any] | None:
    announcer, until = parts.announcer, time.monotonic() + wait_s
    # What another process executes is not announced in this one.
    look_s = wait_s if parts.engine.is_alone else LOOK_S
    while True:
        news = announcer.expect(signal_id)
        try:
            status = status_of(parts.journal.store, signal_id)
            if status is None or status.is_finished:
                return parts.journal.signal(signal_id)
            # One account's news is not yet the end of a signal on several, so it is looked at again.
            left_s = max(0.0, until - time.monotonic())
            if announcer.is_released or not (news.wait(min(left_s, look_s)) or left_s > look_s):
                return None
        finally:
            announcer.forget(signal_id, news)


# What the sender of an alert is told: that it was taken, or what became of it.


_EXTENSION = "relay.waiting"


def init_receipts(app: Flask) -> None:
    app.extensions[_EXTENSION] = Waiting()


def tell(receipt: Receipt) -> Response:
    """200 with the full signal where that was asked for and is there in time; else 202, or 200 for what is no news."""
    reported = receipt_form(receipt)
    signal = awaited(receipt.signal_id)
    if signal is not None:
        return answer({**reported, **signal})
    return answer(reported, 200 if receipt.is_duplicate else 202)


def awaited(signal_id: str) -> dict[str, Any] | None:
    """The signal in full once it is finished, as far as this request asked to wait for that; else None."""
    wait_s = wait_requested_s(request.headers.get("Prefer"))
    if not wait_s:
        return None
    ARRIVALS.leave()
    waiting: Waiting = current_app.extensions[_EXTENSION]
    return waiting.outcome(current_services(), signal_id, wait_s=wait_s)


webhook = Blueprint("webhook", __name__)
_ACCEPTED: Final = metrics.alerts.labels("accepted")
_DUPLICATE: Final = metrics.alerts.labels("duplicate")
_TOO_MANY: Final = metrics.alerts.labels(TOO_MANY)
FAILURES: Final = "relay.failures"
"""Under which an application keeps who has failed to prove it."""


@webhook.record_once
def _init(state: BlueprintSetupState) -> None:
    state.app.extensions[FAILURES] = FailureLimit()


def take_alert(strategy: str = NAME, secret: str | None = None) -> Response:
    """A secret in the path may hold slashes, which servers decode before anybody can tell them apart."""
    relay = current_relay()
    networks = relay.settings.webhook_sources
    if networks and not is_allowed(source(), networks):
        raise SourceNotAllowed(f"alerts are not taken from {source()}; WEBHOOK_SOURCES says from where they are")
    credentials = credentials_of(request.environ, secret)
    named = request.args.get("format") if request.environ.get("QUERY_STRING") else None
    receipt = relay.services.intake.take(whole_body(), strategy=strategy, credentials=credentials, named=named)
    (_DUPLICATE if receipt.is_duplicate else _ACCEPTED).inc()
    return tell(receipt)


def credentials_of(environ: WSGIEnvironment, path_secret: str | None) -> Credentials:
    """What proves the sender, where it is not in the body."""
    return Credentials(
        header_secret=environ.get("HTTP_X_WEBHOOK_SECRET"),
        path_secret=path_secret,
        webhook_id=environ.get("HTTP_WEBHOOK_ID"),
        webhook_timestamp=environ.get("HTTP_WEBHOOK_TIMESTAMP"),
        webhook_signature=environ.get("HTTP_WEBHOOK_SIGNATURE"),
    )


@webhook.errorhandler(AlertRejected)
def _rejected(rejected: AlertRejected) -> Response:
    """A bad alert from a proven sender: it is kept, or at least counted."""
    error = rejected.error
    metrics.alerts.labels(error.code).inc()
    stored_as = rejected.signal_id if rejected.is_stored else None
    return refusal(error.code, error.message, status=error.http_status, fields=error.fields, signal_id=stored_as)


@webhook.errorhandler(AlertError)
def _refused(error: AlertError) -> Response:
    """A post that did not prove its sender: counted, and nothing else is kept of it."""
    count(current_relay(), error.code, source())
    return refusal(error.code, error.message, status=error.http_status, fields=error.fields)


@webhook.errorhandler(AuthFailed)
def _not_proven(error: AuthFailed) -> Response:
    """Only here is a source told to slow down, so a right secret never is."""
    failures: FailureLimit = current_app.extensions[FAILURES]
    again_s = failures.failed(source())
    if again_s is None:
        return _refused(error)
    count(current_relay(), TOO_MANY, source())
    return slow_down(again_s)


def slow_down(again_s: float) -> Response:
    """For a source that has failed too often: when it may try again."""
    return too_many("too many posts from this address did not prove their sender", again_s)


def count(relay: Relay, code: str, source_ip: str) -> None:
    """Never in the way of the answer."""
    (_TOO_MANY if code == TOO_MANY else metrics.alerts.labels(code)).inc()
    with contextlib.suppress(JournalUnavailable):
        relay.services.journal.note_refused(code, source_ip, now_ms=to_ms(utc_now()))


# In front of the application: a source that has failed too often is refused before anything else is done for it.


_PATH: Final = re.compile(r"/webhook(?:/([^/]+)(?:/([^/].*))?)?", re.ASCII)
"""The webhook's addresses in their plain spelling; any other goes on to the application."""
_CREDENTIALS: Final = ("HTTP_X_WEBHOOK_SECRET", "HTTP_WEBHOOK_SIGNATURE")
"""Without any of these, and without a secret in the path, only the body can prove its sender."""


class Gate:
    """A WSGI application around another one. Behind whatever finds out the client's address."""

    def __init__(self, application: WSGIApplication, relay: Relay, failures: FailureLimit) -> None:
        self._application = application
        self._relay = relay
        self._failures = failures

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        again_s = self._again_s(environ)
        if again_s is None:
            return self._application(environ, start_response)
        status, fields, body = _slow_down(math.ceil(again_s))
        start_response(status, list(fields))
        return [body]

    def _again_s(self, environ: WSGIEnvironment) -> float | None:
        """In how many seconds the source may try again; None if the application is to answer."""
        path = _PATH.fullmatch(environ["PATH_INFO"]) if environ["REQUEST_METHOD"] == "POST" else None
        if path is None or not path[0].isascii():
            return None
        source_ip = spelled(environ.get("REMOTE_ADDR"))
        again_s = self._failures.blocked_s(source_ip)
        if again_s is None or self._may_authenticate(environ, path[1] or NAME, path[2], source_ip):
            return None
        count(self._relay, TOO_MANY, source_ip)
        return again_s

    def _may_authenticate(
        self, environ: WSGIEnvironment, strategy: str, path_secret: str | None, source_ip: str
    ) -> bool:
        """Or is to be answered otherwise."""
        if not is_allowed(source_ip, self._relay.settings.webhook_sources):
            return True
        try:
            secrets = self._relay.services.intake.strategy(strategy).secrets
        except StrategyUnknown:
            return True
        body = _body_of(environ)
        if body is None or not is_surely_without(secrets, body):
            return True
        if path_secret is None and not any(name in environ for name in _CREDENTIALS):
            return False
        return authenticates(secrets, credentials_of(environ, path_secret), body, None, utc_now())


@lru_cache(maxsize=128)
def _slow_down(seconds: int) -> tuple[str, list[tuple[str, str]], bytes]:
    """Status, headers and body of the application's own 429, made once."""
    response = slow_down(seconds)
    return response.status, response.headers.to_wsgi_list(), response.get_data()


def _body_of(environ: WSGIEnvironment) -> bytes | None:
    """A short body that has come whole; None for any other. The application can read it after all."""
    length = environ.get("CONTENT_LENGTH") or ""
    if not re.fullmatch("[0-9]{1,5}", length) or int(length) > QUICK_BYTES:
        return None
    body: bytes = environ["wsgi.input"].read(int(length))
    environ["wsgi.input"] = io.BytesIO(body)
    return body if len(body) == int(length) else None
