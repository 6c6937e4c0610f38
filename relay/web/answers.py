"""Answers in JSON, the good ones and the bad ones."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Final

from flask import Response

Fields = Mapping[str, list[str]]
TOO_MANY: Final = "TOO_MANY_REQUESTS"


def answer(body: Mapping[str, object], status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """`body` holds what JSON can: numbers of money and size are text already."""
    text = json.dumps(body, ensure_ascii=False) + "\n"
    return Response(text, status=status, headers=headers, content_type="application/json")


def refusal(
    code: str,
    message: str,
    *,
    status: int,
    fields: Fields | None = None,
    signal_id: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The one form of every error. `signal_id`: under which the alert is kept, where it is."""
    body: dict[str, object] = {"error": {"code": code, "message": message, "fields": dict(fields or {})}}
    if signal_id is not None:
        body["signal_id"] = signal_id
    return answer(body, status, headers)


def too_many(what: str, again_s: float) -> Response:
    """429 for a source that has failed too often. `what`: of what there was too much."""
    seconds = math.ceil(again_s)
    message = f"{what}; try again in {seconds} s"
    return refusal(TOO_MANY, message, status=429, headers={"Retry-After": str(seconds)})
