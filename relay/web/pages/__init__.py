"""The pages: server-rendered, behind a password, with nothing that comes from elsewhere."""

from __future__ import annotations

import contextlib
import hashlib
import mimetypes
from functools import cache
from pathlib import Path
from typing import Any, Final

from flask import Flask, Response, abort, render_template, request, url_for

from relay.errors import JournalUnavailable
from relay.web.access import access, form_token, init_logins, is_logged_in
from relay.web.answers import current_relay
from relay.web.pages import words
from relay.web.pages.act import act
from relay.web.pages.builder import builder
from relay.web.pages.holdings import holdings
from relay.web.pages.overview import init_glance, overview, setup
from relay.web.pages.performance import performance
from relay.web.pages.signals import signals

_STATIC: Final = Path(__file__).parent.parent / "static"
_YEAR_S: Final = 31_536_000
_KINDS: Final = {".webmanifest": "application/manifest+json"}
_NAVIGATION: Final = (
    ("/", "Overview"),
    ("/positions", "Positions"),
    ("/orders", "Orders"),
    ("/signals", "Signals"),
    ("/trades", "Trades"),
    ("/performance", "Performance"),
    ("/builder", "Alert builder"),
    ("/setup", "Set-up"),
)


def init_app(app: Flask, token: str | None) -> None:
    """`token`: the admin token, which is the pages' password; None closes them."""
    init_logins(app, token)
    init_glance(app)
    words.init_app(app)
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    for blueprint in (overview, holdings, signals, performance, builder, setup, act):
        app.register_blueprint(blueprint)
    app.register_blueprint(access)
    app.add_url_rule("/static/<path:name>", "static", _static)
    app.add_url_rule("/offline", "offline", _offline)
    app.add_url_rule("/sw.js", "service_worker", _service_worker)
    app.context_processor(_everywhere)
    app.after_request(_with_labels)


def _everywhere() -> dict[str, Any]:
    """What every template has."""
    return {
        "environment": current_relay().environment,
        "is_inside": _is_inside(),
        "form_token": form_token,
        "navigation": _NAVIGATION,
        "here": "/" + request.path.strip("/").partition("/")[0],
        "static": _address,
    }


def _is_inside() -> bool:
    """False too where that cannot be told now: a page that says what is wrong must not fail for it."""
    with contextlib.suppress(JournalUnavailable):
        return is_logged_in()
    return False


def _address(name: str) -> str:
    """With what the file holds in its address, so a browser may keep it for good."""
    return url_for("static", name=name, v=_mark(name))


@cache
def _mark(name: str) -> str:
    return hashlib.sha256(_file(name)).hexdigest()[:12]


@cache
def _file(name: str) -> bytes:
    """Small, few, and never changed while the relay runs. `name` is one of those in the folder."""
    return (_STATIC / name).read_bytes()


@cache
def _names() -> frozenset[str]:
    return frozenset(str(each.relative_to(_STATIC)) for each in _STATIC.rglob("*") if each.is_file())


def _with_labels(response: Response) -> Response:
    if response.mimetype == "text/html" and b"<table" in response.data:
        response.set_data(words.labelled(response.get_data(as_text=True)))
    return response


def _offline() -> str:
    """What a browser that was here shows without a connection: the same for everybody, with or without a login."""
    return render_template("offline.html", is_inside=False)


def _service_worker() -> Response:
    """Its address decides that it stands before all pages; its own policy, what it may fetch."""
    mark = hashlib.sha256(_offline().encode()).hexdigest()[:12]
    response = Response(render_template("sw.js", mark=mark), mimetype="text/javascript")
    response.headers["Cache-Control"] = "no-cache"
    response.headers["Content-Security-Policy"] = "default-src 'none'; connect-src 'self'"
    return response


def _static(name: str) -> Response:
    if name not in _names():
        abort(404)
    kind = _KINDS.get(Path(name).suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    response = Response(_file(name), mimetype=kind)
    response.headers["Cache-Control"] = f"public, max-age={_YEAR_S}, immutable"
    return response
