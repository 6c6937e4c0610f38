"""`POST /webhook`: where alerts come in."""

from __future__ import annotations

import contextlib
import math

from flask import Blueprint, Response, current_app, request
from flask.blueprints import BlueprintSetupState

from relay import measures
from relay.alerts import Credentials
from relay.errors import AlertError, AuthFailed, JournalUnavailable, SourceNotAllowed
from relay.pipeline.accept import Rejected
from relay.pipeline.clock import to_ms, utc_now
from relay.settings import NAME
from relay.web.answers import refusal
from relay.web.body import whole_body
from relay.web.failures import FailureLimit
from relay.web.receipts import tell
from relay.web.runtime import current_parts, current_relay
from relay.web.sources import is_allowed, neighbourhood, source

webhook = Blueprint("webhook", __name__)
_EXTENSION = "relay.failures"


@webhook.record_once
def _init(state: BlueprintSetupState) -> None:
    state.app.extensions[_EXTENSION] = FailureLimit()


@webhook.post("/webhook")
@webhook.post("/webhook/<strategy>")
@webhook.post("/webhook/<strategy>/<path:secret>")
def take_alert(strategy: str = NAME, secret: str | None = None) -> Response:
    """A secret in the path may hold slashes, which servers decode before anybody can tell them apart."""
    relay = current_relay()
    networks = relay.settings.webhook_sources
    if networks and not is_allowed(source(), networks):
        raise SourceNotAllowed(f"alerts are not taken from {source()}; WEBHOOK_SOURCES says from where they are")
    headers = request.headers
    credentials = Credentials(
        header_secret=headers.get("X-Webhook-Secret"),
        path_secret=secret,
        webhook_id=headers.get("webhook-id"),
        webhook_timestamp=headers.get("webhook-timestamp"),
        webhook_signature=headers.get("webhook-signature"),
    )
    named = request.args.get("format")
    receipt = relay.parts.intake.take(whole_body(), strategy=strategy, credentials=credentials, named=named)
    measures.alerts.labels("duplicate" if receipt.is_duplicate else "accepted").inc()
    return tell(receipt)


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
    _count(error.code)
    return refusal(error.code, error.message, status=error.http_status, fields=error.fields)


@webhook.errorhandler(AuthFailed)
def _not_proven(error: AuthFailed) -> Response:
    """Only here is a source told to slow down, so a right secret never is."""
    failures: FailureLimit = current_app.extensions[_EXTENSION]
    again_s = failures.failed(neighbourhood(source()))
    if again_s is None:
        return _refused(error)
    _count("TOO_MANY_REQUESTS")
    seconds = math.ceil(again_s)
    message = f"too many posts from this address did not prove their sender; try again in {seconds} s"
    return refusal("TOO_MANY_REQUESTS", message, status=429, headers={"Retry-After": str(seconds)})


def _count(code: str) -> None:
    """Never in the way of the answer."""
    measures.alerts.labels(code).inc()
    with contextlib.suppress(JournalUnavailable):
        current_parts().journal.note_refused(code, source(), now_ms=to_ms(utc_now()))
