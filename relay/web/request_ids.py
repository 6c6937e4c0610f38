"""Each request has an id, in its log lines and in its answer: the front end's, where that has given it one."""

from __future__ import annotations

import re
import uuid
from contextlib import AbstractContextManager

from flask import Flask, Response, g, request
from werkzeug.datastructures import Headers

from relay import trace

HEADER = "X-Request-ID"
_PLAIN = re.compile(r"[A-Za-z0-9._-]{1,64}")


def init_app(app: Flask) -> None:
    app.before_request(_begin)
    app.after_request(_tell)
    app.teardown_request(_end)


def _begin() -> None:
    g.request_id = id_of(request.headers)
    g.about = trace.about(request_id=g.request_id)
    g.about.__enter__()


def id_of(headers: Headers) -> str:
    """The one given, or a new one."""
    given = headers.get(HEADER, "")
    return given if _PLAIN.fullmatch(given) else uuid.uuid4().hex


def _tell(response: Response) -> Response:
    if request_id := g.get("request_id"):
        response.headers[HEADER] = request_id
    return response


def _end(error: BaseException | None) -> None:
    about: AbstractContextManager[None] | None = g.pop("about", None)
    if about is not None:
        about.__exit__(None, None, None)
