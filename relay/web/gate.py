"""In front of the application: a source that has failed too often is refused first; every answer has an id and safe
headers."""

from __future__ import annotations

import io
import math
import os
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from werkzeug.datastructures import EnvironHeaders

from relay.alerts.authenticate import QUICK_BYTES, authenticates, is_surely_without
from relay.app import telemetry
from relay.app.wiring import Relay
from relay.errors import StrategyUnknown
from relay.execution.ports import utc_now
from relay.settings.config import NAME
from relay.web.access import FailureLimit, is_allowed, spelled
from relay.web.answers import TOO_MANY
from relay.web.webhook import count, credentials_of, slow_down

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


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
        status, fields, body = _answer(math.ceil(again_s))
        start_response(status, list(fields))
        return [body]

    def _again_s(self, environ: WSGIEnvironment) -> float | None:
        """In how many seconds the source may try again; None: the application is to answer."""
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
        return authenticates(secrets, credentials_of(EnvironHeaders(environ), path_secret), body, None, utc_now())


@lru_cache(maxsize=128)
def _answer(seconds: int) -> tuple[str, list[tuple[str, str]], bytes]:
    """Status, headers and body: the application's own 429, made once."""
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


# What every request and every answer has: an id, and headers so that no browser does with it what nobody meant.
#
# Around the application and not in it: there it would cost an alert as much as to read it does.


HEADER: Final = "X-Request-ID"
_PLAIN: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_ALWAYS: Final = (
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
)


class Envelope:
    """A WSGI application around another one: log lines of a request carry its id, and so does its answer.

    The id is the front end's, where that has given one. A header that the application has set stays as it is.
    """

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        given = environ.get("HTTP_X_REQUEST_ID", "")
        request_id = given if _PLAIN.fullmatch(given) else os.urandom(16).hex()

        def start(status: str, fields: list[tuple[str, str]], *more: Any) -> Any:
            named = {name.lower() for name, _ in fields}
            added = [each for each in _ALWAYS if each[0].lower() not in named]
            return start_response(status, [*fields, *added, (HEADER, request_id)], *more)

        with telemetry.about(request_id=request_id):
            return self._application(environ, start)
