"""What gunicorn looks at in each answer, and the relay's answer to it once for all that are alike."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.http.errors import (  # type: ignore[import-untyped]
    InvalidResponseHeader,
    InvalidResponseHeaderName,
)
from gunicorn.http.wsgi import Response  # type: ignore[import-untyped]

from relay.web.quiet_response import QuietResponse

FIELDS = [
    ("Content-Type", "application/json"),
    ("Content-Length", "12"),
    ("Connection", "close"),
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("X-Spaced", " a value\t"),
    ("X-Spaced", "a value"),
    ("Set-Cookie", "a=b"),
    ("Set-Cookie", "c=d"),
]


def _made(kind: type[Any], *fields: tuple[str, str]) -> Any:
    made = kind(SimpleNamespace(version=(1, 1), method="POST"), None, SimpleNamespace(protocol="http"))
    made.start_response("200 OK", list(fields))
    return made


def test_every_header_means_what_it_means_to_gunicorn_also_when_it_comes_again() -> None:
    for fields in (FIELDS, FIELDS, FIELDS[::-1], FIELDS[:1], FIELDS[5:]):
        theirs, ours = _made(Response, *fields), _made(QuietResponse, *fields)
        assert (ours.headers, ours.response_length, ours.upgrade) == (
            theirs.headers,
            theirs.response_length,
            theirs.upgrade,
        )


@pytest.mark.parametrize("_", ["at first", "again"])
def test_a_header_that_would_end_its_line_is_refused(_: str) -> None:
    with pytest.raises(InvalidResponseHeader):
        _made(QuietResponse, ("X-Note", "one\r\nX-Two: two"))
    with pytest.raises(InvalidResponseHeaderName):
        _made(QuietResponse, ("X-Note\n", "one"))
