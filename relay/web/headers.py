"""Headers that every answer carries, so that no browser does with it what nobody meant."""

from __future__ import annotations

from flask import Flask, Response

_ALWAYS = (
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
)


def init_app(app: Flask) -> None:
    app.after_request(add)


def add(response: Response) -> Response:
    named = {name.title() for name, _ in response.headers}
    response.headers.extend([each for each in _ALWAYS if each[0] not in named])
    return response
