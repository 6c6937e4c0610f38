"""Who may use the API: whoever brings the admin token."""

from __future__ import annotations

import hmac

from flask import Response, request

from relay.web.answers import refusal
from relay.web.runtime import current_relay

_CLOSED = "the API is closed: no ADMIN_TOKEN is set; set one of at least 16 characters and start the relay again"
_NEEDED = "send the relay's ADMIN_TOKEN as `Authorization: Bearer …`"


def require_admin() -> Response | None:
    """For a blueprint's `before_request`: None lets the request in."""
    token = current_relay().settings.admin_token
    if token is not None and _is_given(token.reveal()):
        return None
    message = _NEEDED if token is not None else _CLOSED
    return refusal("AUTH_FAILED", message, status=401, headers={"WWW-Authenticate": 'Bearer realm="relay"'})


def _is_given(token: str) -> bool:
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    # A WSGI server hands header bytes over as Latin-1 letters.
    is_same = hmac.compare_digest(given.strip().encode("latin-1", "replace"), token.encode())
    return scheme.lower() == "bearer" and is_same
