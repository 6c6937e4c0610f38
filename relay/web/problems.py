"""What goes wrong, as answers: every error has the same form, and none shows a traceback."""

from __future__ import annotations

import logging
import re

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

from relay import measures
from relay.errors import AlertError, ExchangeAnswered, ExchangeUnreachable, JournalUnavailable, RelayError
from relay.exchange.wire import refusal_of
from relay.web.answers import Fields, refusal

log = logging.getLogger(__name__)

_JOURNAL_AGAIN_S = "2"


class Problem(RelayError):
    """The request cannot be answered as it was meant."""

    def __init__(self, code: str, message: str, *, status: int, fields: Fields | None = None) -> None:
        """`fields`: for each parameter that is wrong, the problems it has."""
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.fields = fields or {}


def request_invalid(fields: Fields) -> Problem:
    """What is wrong with the request's parameters, by name."""
    message = "; ".join(f"{name}: {problem}" for name, problems in fields.items() for problem in problems)
    return Problem("REQUEST_INVALID", message, status=400, fields=fields)


def init_app(app: Flask) -> None:
    """Registers an answer for each kind of error."""
    app.register_error_handler(Problem, _problem)
    app.register_error_handler(AlertError, _alert_error)
    app.register_error_handler(JournalUnavailable, _journal_unavailable)
    app.register_error_handler(ExchangeUnreachable, _exchange_unreachable)
    app.register_error_handler(ExchangeAnswered, _exchange_answered)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _unexpected)


def _problem(error: Problem) -> Response:
    return refusal(error.code, error.message, status=error.status, fields=error.fields)


def _alert_error(error: AlertError) -> Response:
    return refusal(error.code, error.message, status=error.http_status, fields=error.fields)


def _journal_unavailable(error: JournalUnavailable) -> Response:
    if request.blueprint == "webhook":
        measures.alerts.labels("JOURNAL_UNAVAILABLE").inc()
    log.error("503 for %s: %s", request.endpoint, error)
    return refusal("JOURNAL_UNAVAILABLE", str(error), status=503, headers={"Retry-After": _JOURNAL_AGAIN_S})


def _exchange_unreachable(error: ExchangeUnreachable) -> Response:
    return refusal("EXCHANGE_UNREACHABLE", str(error), status=502)


def _exchange_answered(error: ExchangeAnswered) -> Response:
    """With the exchange's own code and words in the message."""
    return refusal(refusal_of(error.code, error.words).reason_code, str(error), status=502)


def _http(error: HTTPException) -> Response:
    """What the framework itself refuses: unknown addresses, wrong methods, broken requests."""
    status = error.code or 500
    if isinstance(error, NotFound):
        return refusal("NOT_FOUND", "there is nothing at this address; alerts are posted to /webhook", status=404)
    if isinstance(error, MethodNotAllowed):
        allowed = ", ".join(sorted(error.valid_methods or ()))
        message = f"{request.method} does not work here; {allowed} does"
        return refusal("METHOD_NOT_ALLOWED", message, status=405, headers={"Allow": allowed})
    code = re.sub(r"[^A-Z]+", "_", error.name.upper())
    return refusal(code, error.description or error.name, status=status)


def _unexpected(error: Exception) -> Response:
    """The rule that was matched is logged, never the path: it may hold the secret."""
    log.error("500 for %s %s", request.method, request.url_rule, exc_info=error)
    return refusal("INTERNAL", "the relay failed at this; its log says why", status=500)
