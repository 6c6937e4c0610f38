"""What every request and every answer has: an id, and headers so that no browser does with it what nobody meant.

Around the application and not in it: there it would cost an alert as much as to read it does.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from relay import trace

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

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

        with trace.about(request_id=request_id):
            return self._application(environ, start)
