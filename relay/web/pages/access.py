"""Who may see the pages: whoever has logged in with the admin token, until the session ends or the token changes."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from typing import Final

from flask import Blueprint, Flask, Request, Response, current_app, redirect, render_template, request, session, url_for
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface, SessionMixin
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError, CSRFProtect  # type: ignore[import-untyped]

from relay.web.bearer import note_guess
from relay.web.failures import FailureLimit
from relay.web.runtime import current_relay
from relay.web.sources import neighbourhood, source

SESSION_S: Final = 12 * 3600
LOGIN_FAILURES_MAX: Final = 5
_EXTENSION = "relay.logins"
_CSRF = CSRFProtect()

access = Blueprint("access", __name__)


class _Cookies(SecureCookieSessionInterface):
    """The cookie is `Secure` wherever the browser came over TLS, and still works on a plain 127.0.0.1.

    What brings no cookie and asks for no session, as alerts do, costs next to nothing here.
    """

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        return super().open_session(app, request) if "HTTP_COOKIE" in request.environ else self.session_class()

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        if session.accessed or session.modified:
            super().save_session(app, session, response)

    def get_cookie_secure(self, app: Flask) -> bool:
        return request.is_secure


def init_app(app: Flask, token: str | None) -> None:
    """`token`: the admin token, from which the cookies' key is made, so a new token ends every session."""
    seed = token or secrets.token_hex(32)
    app.config.update(
        SECRET_KEY=hmac.digest(seed.encode(), b"relay: session cookies, 1", hashlib.sha256),
        SESSION_COOKIE_NAME="relay_session",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        WTF_CSRF_CHECK_DEFAULT=False,
        WTF_CSRF_TIME_LIMIT=SESSION_S,
        # It would ask for the Referer, which the pages' policy keeps back; the token is what counts.
        WTF_CSRF_SSL_STRICT=False,
    )
    app.session_interface = _Cookies()
    app.extensions[_EXTENSION] = FailureLimit(most=LOGIN_FAILURES_MAX)
    _CSRF.init_app(app)
    app.register_error_handler(CSRFError, _stale_form)


def require_login() -> ResponseReturnValue | None:
    """For a blueprint's `before_request`: None lets the request in. A form's token is checked here, too."""
    if not is_logged_in():
        session.clear()
        if request.headers.get("HX-Request"):
            return Response(status=401, headers={"HX-Redirect": url_for("access.login")})
        return redirect(url_for("access.login", next=_here()))
    if request.method not in ("GET", "HEAD"):
        _CSRF.protect()
    return None


def is_logged_in() -> bool:
    since = session.get("since")
    return isinstance(since, int) and 0 <= time.time() - since < SESSION_S


@access.get("/login")
def login() -> ResponseReturnValue:
    if is_logged_in():
        return redirect(url_for("overview.show"))
    return _form()


@access.post("/login")
def log_in() -> ResponseReturnValue:
    """Right: a new session. Wrong: counted, and after five wrong ones in a minute not even looked at."""
    _CSRF.protect()
    token = current_relay().settings.admin_token
    if token is None:
        return _form(status=403)
    failures: FailureLimit = current_app.extensions[_EXTENSION]
    whence = neighbourhood(source())
    blocked_s = failures.blocked_s(whence)
    if blocked_s is not None:
        return _form(f"Too many wrong passwords from here. Try again in {int(blocked_s) + 1} s.", status=429)
    given = request.form.get("password", "")
    if not hmac.compare_digest(given.encode(), token.reveal().encode()):
        failures.failed(whence)
        note_guess()
        return _form("This is not the password. It is the relay's ADMIN_TOKEN.", status=401)
    session.clear()
    session["since"] = int(time.time())
    return redirect(_safe(request.form.get("next", "")))


@access.post("/logout")
def log_out() -> ResponseReturnValue:
    _CSRF.protect()
    session.clear()
    return redirect(url_for("access.login"))


def _form(problem: str = "", *, status: int = 200) -> ResponseReturnValue:
    relay = current_relay()
    page = render_template(
        "login.html",
        problem=problem,
        is_closed=relay.settings.admin_token is None,
        next=_safe(request.values.get("next", "")),
    )
    return page, status


def _here() -> str:
    return request.full_path.rstrip("?") if request.method == "GET" else "/"


def _safe(path: str) -> str:
    """Only a path of this relay: never another host."""
    is_own = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if is_own else url_for("overview.show")


def _stale_form(error: CSRFError) -> ResponseReturnValue:
    message = "This form is too old or not from this page. Load the page again and repeat it; nothing was done."
    return render_template("problem.html", title="Nothing was done", message=message), 400
