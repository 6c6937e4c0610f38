"""In front of the application: a source that has failed too often is refused before anything is read of what it posts.

A flood of wrong secrets costs the little that this costs. Whatever may hold a right secret, in whatever spelling, goes
on to the application, which alone decides: a right secret is refused nowhere.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from werkzeug.datastructures import EnvironHeaders

from relay.alerts import proves_sender
from relay.alerts.authenticate import QUICK_BYTES, is_surely_without
from relay.errors import StrategyUnknown
from relay.pipeline.clock import utc_now
from relay.settings import NAME
from relay.web.answers import TOO_MANY
from relay.web.failures import FailureLimit
from relay.web.sources import is_allowed, neighbourhood, spelled
from relay.web.webhook import count, credentials_of, slow_down
from relay.wiring import Relay

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_PATH: Final = re.compile(r"/webhook(?:/([^/]+)(?:/([^/].*))?)?", re.ASCII)
"""The webhook's addresses in their plain spelling; any other goes on to the application."""
_PROOFS: Final = ("HTTP_X_WEBHOOK_SECRET", "HTTP_WEBHOOK_SIGNATURE")
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
        whence = spelled(environ.get("REMOTE_ADDR"))
        again_s = self._failures.blocked_s(neighbourhood(whence))
        if again_s is None or self._may_prove(environ, path[1] or NAME, path[2], whence):
            return None
        count(self._relay, TOO_MANY, whence)
        return again_s

    def _may_prove(self, environ: WSGIEnvironment, strategy: str, path_secret: str | None, whence: str) -> bool:
        """Or is to be answered otherwise."""
        if not is_allowed(whence, self._relay.settings.webhook_sources):
            return True
        try:
            secrets = self._relay.parts.intake.strategy(strategy).secrets
        except StrategyUnknown:
            return True
        body = _body_of(environ)
        if body is None or not is_surely_without(secrets, body):
            return True
        if path_secret is None and not any(name in environ for name in _PROOFS):
            return False
        return proves_sender(secrets, credentials_of(EnvironHeaders(environ), path_secret), body, None, utc_now())


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
