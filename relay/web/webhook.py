"""`POST /webhook`: where alerts come in."""

from __future__ import annotations

import contextlib
from typing import Final

from flask import Blueprint, Response, current_app, request
from flask.blueprints import BlueprintSetupState
from werkzeug.datastructures import Headers

from relay import measures
from relay.alerts import Credentials
from relay.errors import AlertError, AuthFailed, JournalUnavailable, SourceNotAllowed
from relay.pipeline.accept import Rejected
from relay.pipeline.clock import to_ms, utc_now
from relay.settings import NAME
from relay.web.answers import TOO_MANY, refusal, too_many
from relay.web.body import whole_body
from relay.web.failures import FailureLimit
from relay.web.receipts import tell
from relay.web.runtime import current_relay
from relay.web.sources import is_allowed, neighbourhood, source
from relay.wiring import Relay

webhook = Blueprint("webhook", __name__)
_ACCEPTED: Final = measures.alerts.labels("accepted")
_DUPLICATE: Final = measures.alerts.labels("duplicate")
_TOO_MANY: Final = measures.alerts.labels(TOO_MANY)
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
    credentials = credentials_of(request.headers, secret)
    named = request.args.get("format")
    receipt = relay.parts.intake.take(whole_body(), strategy=strategy, credentials=credentials, named=named)
    (_DUPLICATE if receipt.is_duplicate else _ACCEPTED).inc()
    return tell(receipt)


def credentials_of(headers: Headers, path_secret: str | None) -> Credentials:
    """What proves the sender, where it is not in the body."""
    return Credentials(
        header_secret=headers.get("X-Webhook-Secret"),
        path_secret=path_secret,
        webhook_id=headers.get("webhook-id"),
        webhook_timestamp=headers.get("webhook-timestamp"),
        webhook_signature=headers.get("webhook-signature"),
    )


@webhook.errorhandler(Rejected)
def _rejected(rejected: Rejected) -> Response:
    """A bad alert from a proven sender: it is kept."""
    error = rejected.error
    measures.alerts.labels(error.code).inc()
    return refusal(
        error.code, error.message, status=error.http_status, fields=error.fields, signal_id=rejected.signal_id
    )


@webhook.errorhandler(AlertError)
def _refused(error: AlertError) -> Response:
    """A post that did not prove its sender: counted, and nothing else is kept of it."""
    count(current_relay(), error.code, source())
    return refusal(error.code, error.message, status=error.http_status, fields=error.fields)


@webhook.errorhandler(AuthFailed)
def _not_proven(error: AuthFailed) -> Response:
    """Only here is a source told to slow down, so a right secret never is."""
    failures: FailureLimit = current_app.extensions[FAILURES]
    again_s = failures.failed(neighbourhood(source()))
    if again_s is None:
        return _refused(error)
    count(current_relay(), TOO_MANY, source())
    return slow_down(again_s)


def slow_down(again_s: float) -> Response:
    """For a source that has failed too often: when it may try again."""
    return too_many("too many posts from this address did not prove their sender", again_s)


def count(relay: Relay, code: str, whence: str) -> None:
    """Never in the way of the answer."""
    (_TOO_MANY if code == TOO_MANY else measures.alerts.labels(code)).inc()
    with contextlib.suppress(JournalUnavailable):
        relay.parts.journal.note_refused(code, whence, now_ms=to_ms(utc_now()))
