"""Who may use the API: whoever brings the admin token."""

from __future__ import annotations

import contextlib
import hmac
from typing import Final

from flask import Flask, Response, current_app, request

from relay.errors import JournalUnavailable
from relay.pipeline.clock import to_ms, utc_now
from relay.web.answers import refusal, too_many
from relay.web.failures import FailureLimit
from relay.web.runtime import current_parts, current_relay
from relay.web.sources import neighbourhood, source

TOKEN_WRONG: Final = "TOKEN_WRONG"  # noqa: S105 - a kind of refusal
"""The kind under which guesses are counted."""
_EXTENSION = "relay.tokens"
_CLOSED = "the API is closed: no ADMIN_TOKEN is set; set one of at least 16 characters and start the relay again"
_NEEDED = "send the relay's ADMIN_TOKEN as `Authorization: Bearer …`"
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="relay"'}


def init_app(app: Flask) -> None:
    app.extensions[_EXTENSION] = FailureLimit()


def require_admin() -> Response | None:
    """For a blueprint's `before_request`: None lets the request in. A right token is never told to slow down."""
    token = current_relay().settings.admin_token
    if token is None:
        return refusal("AUTH_FAILED", _CLOSED, status=401, headers=_CHALLENGE)
    given = request.headers.get("Authorization", "")
    if _is_given(token.reveal(), given):
        return None
    failures: FailureLimit = current_app.extensions[_EXTENSION]
    again_s = failures.failed(neighbourhood(source())) if given else None
    if given:
        note_guess()
    if again_s is not None:
        return too_many("too many requests from this address brought a wrong token", again_s)
    return refusal("AUTH_FAILED", _NEEDED, status=401, headers=_CHALLENGE)


def note_guess() -> None:
    """Somebody brought a token that is wrong: counted with the posts that proved nothing, so that it is seen."""
    with contextlib.suppress(JournalUnavailable):
        current_parts().journal.note_refused(TOKEN_WRONG, source(), now_ms=to_ms(utc_now()))


def _is_given(token: str, given: str) -> bool:
    scheme, _, word = given.partition(" ")
    # A WSGI server hands header bytes over as Latin-1 letters.
    is_same = hmac.compare_digest(word.strip().encode("latin-1", "replace"), token.encode())
    return scheme.lower() == "bearer" and is_same
