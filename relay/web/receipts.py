"""What the sender of an alert is told: that it was taken, or what became of it."""

from __future__ import annotations

from typing import Any

from flask import Flask, Response, current_app, request

from relay.pipeline.accept import Receipt
from relay.web.answers import answer
from relay.web.forms import receipt_form
from relay.web.runtime import current_parts
from relay.web.waiting import Waiting, wait_asked_s

_EXTENSION = "relay.waiting"


def init_app(app: Flask) -> None:
    app.extensions[_EXTENSION] = Waiting()


def tell(receipt: Receipt) -> Response:
    """200 with the full signal where that was asked for and is there in time; else 202, or 200 for what is no news."""
    told = receipt_form(receipt)
    signal = awaited(receipt.signal_id)
    if signal is not None:
        return answer({**told, **signal})
    return answer(told, 200 if receipt.is_duplicate else 202)


def awaited(signal_id: str) -> dict[str, Any] | None:
    """The signal in full once it is finished, as far as this request asked to wait for that; else None."""
    wait_s = wait_asked_s(request.headers.get("Prefer"))
    if not wait_s:
        return None
    waiting: Waiting = current_app.extensions[_EXTENSION]
    return waiting.outcome(current_parts(), signal_id, wait_s=wait_s)
