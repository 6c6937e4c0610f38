"""`/healthz` and `/readyz`: for whoever watches the process or sends it traffic. Both are open."""

from __future__ import annotations

from flask import Response

from relay.web.answers import answer
from relay.web.runtime import current_relay


def alive() -> Response:
    """The process answers; it says nothing about the journal or the exchange."""
    return answer({"alive": True})


def ready() -> Response:
    """200 once alerts are executed as soon as they are accepted; else 503 with what is missing, and why."""
    missing = current_relay().missing()
    return answer({"ready": False, "missing": missing}, 503) if missing else answer({"ready": True})
