"""The relay over HTTP: a Flask application around one `Relay`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from relay.app.wiring import Relay, build
from relay.settings.settings import Settings, load_settings
from relay.web import pages
from relay.web.access import init_tokens
from relay.web.answers import EXTENSION, Envelope, init_compression, init_problems
from relay.web.endpoints import programs
from relay.web.openapi import openapi
from relay.web.webhook import FAILURES, Gate, init_receipts, webhook


class _Application(Flask):
    """None of its views is a coroutine: to ask each of them at each request costs as much as to match the address."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        return func


def create_app(settings: Settings | None = None, *, relay: Relay | None = None) -> Flask:
    """The application; its relay is `extensions["relay"]`, and is not started: whoever serves it does, after forking.

    `settings` None: the environment's. Raises SettingsInvalid, and JournalUnavailable where the journal cannot be used.
    """
    if relay is None:
        relay = build(settings or load_settings(needs_webhook_secret=True))
    app = _Application(__name__, static_folder=None)
    # An address is answered as it is, never with a redirect: a redirect would show the secret in a path again.
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    app.url_map.redirect_defaults = False
    app.extensions[EXTENSION] = relay
    for init_app in (init_problems, init_compression, init_receipts, init_tokens):
        init_app(app)
    for blueprint in (webhook, programs, openapi):
        app.register_blueprint(blueprint)
    token = relay.settings.admin_token
    pages.init_app(app, token.reveal() if token else None)
    app.wsgi_app = Envelope(Gate(app.wsgi_app, relay, app.extensions[FAILURES]))  # type: ignore[method-assign]
    if proxies := relay.settings.trusted_proxies:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=proxies, x_proto=proxies)  # type: ignore[method-assign]
    return app
