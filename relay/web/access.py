"""Who may use the API and the pages: whoever brings the admin token."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import math
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from flask import (
    Blueprint,
    Flask,
    Request,
    Response,
    current_app,
    g,
    redirect,
    render_template,
    request,
    session,
    url_for,
)
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface, SessionMixin
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError, CSRFProtect, generate_csrf  # type: ignore[import-untyped]

from relay.errors import BodyTooLarge, JournalUnavailable
from relay.execution.ports import to_ms, utc_now
from relay.settings.environment import Network
from relay.web.answers import current_relay, current_services, refusal, too_many

# How often an address has failed to prove who is behind it.


class FailureLimit:
    """Thread-safe, in memory, and bounded: of many sources the one that failed first is forgotten first.

    Whoever has one address of an IPv6 site or network has them all, so those are counted as well.
    """

    def __init__(
        self,
        *,
        most: int = 20,
        window_s: float = 60.0,
        sources_max: int = 4096,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`most` failures of one source within `window_s` after its first one are answered as such.

        A network of many sites has _NETWORK_TIMES as many.
        """
        self._most = most
        self._window_s = window_s
        self._sources_max = sources_max
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._failures: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def failed(self, source: str) -> float | None:
        """Counts a failure. Returns None while there are few, else in how many seconds the source may try again."""
        now = self._monotonic()
        with self._lock:
            left = [self._count(name, most, now) for name, most in self._counted_as(source)]
        return max((left_s for left_s in left if left_s is not None), default=None)

    def blocked_s(self, source: str) -> float | None:
        """In how many seconds the source may try again; None if it may now. Counts nothing."""
        now = self._monotonic()
        left = []
        with self._lock:
            for name, most in self._counted_as(source):
                since, count = self._failures.get(name, (now, 0))
                left += [since + self._window_s - now] if count >= most else []
        return max((left_s for left_s in left if left_s > 0), default=None)

    def _count(self, name: str, most: int, now: float) -> float | None:
        since, count = self._failures.get(name, (now, 0))
        if now - since >= self._window_s:
            del self._failures[name]
            since, count = now, 0
        self._failures[name] = (since, count + 1)
        if len(self._failures) > self._sources_max:
            self._failures.popitem(last=False)
        return since + self._window_s - now if count >= most else None

    def _counted_as(self, source: str) -> tuple[tuple[str, int], ...]:
        """Under which names, with how many failures each may have."""
        own, *wider = neighbourhoods(source)
        return (own, self._most), *((name, self._most * _NETWORK_TIMES) for name in wider)

    def forget(self) -> None:
        """Everybody starts anew."""
        with self._lock:
            self._failures.clear()


# Where a request comes from, and whether alerts are taken from there.


_UNKNOWN = "unknown"
_IPV6_SITE_BITS = 64
"""What one customer of a provider has at least."""
_IPV6_NETWORK_BITS = 48
"""What some have: 65,536 sites."""
_NETWORK_TIMES = 4


def source() -> str:
    """The client's address, past as many proxies as are trusted: one spelling for each, `unknown` for what is none."""
    return spelled(request.remote_addr)


@lru_cache(maxsize=1024)
def spelled(address: str | None) -> str:
    """The address in its one spelling."""
    found = _address(address)
    return str(found) if found else _UNKNOWN


def is_allowed(source: str, networks: tuple[Network, ...]) -> bool:
    """Whether the address is in one of `networks`; anybody is if there are none."""
    if not networks:
        return True
    address = _address(source)
    return address is not None and any(address in network for network in networks)


def neighbourhoods(source: str) -> tuple[str, ...]:
    """What counts as one sender, the narrowest first: an IPv4 address; of IPv6 the site, and the network around it."""
    address = _address(source)
    if not isinstance(address, IPv6Address):
        return (source,)
    return tuple(f"{int(address) >> 128 - bits:x}/{bits}" for bits in (_IPV6_SITE_BITS, _IPV6_NETWORK_BITS))


@lru_cache(maxsize=1024)
def _address(text: str | None) -> IPv4Address | IPv6Address | None:
    """Some proxies write a port behind the address, some write IPv4 as IPv6."""
    text = (text or "").strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


TOKEN_WRONG: Final = "TOKEN_WRONG"  # noqa: S105 - a kind of refusal
"""The kind under which guesses are counted."""
_EXTENSION = "relay.tokens"
_CLOSED = "the API is closed: no ADMIN_TOKEN is set; set one of at least 16 characters and start the relay again"
_NEEDED = "send the relay's ADMIN_TOKEN as `Authorization: Bearer …`"
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="relay"'}


def init_tokens(app: Flask) -> None:
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
    again_s = failures.failed(source()) if given else None
    if given:
        note_guess()
    if again_s is not None:
        return too_many("too many requests from this address brought a wrong token", again_s)
    return refusal("AUTH_FAILED", _NEEDED, status=401, headers=_CHALLENGE)


def note_guess() -> None:
    """Somebody brought a token that is wrong: counted with the posts that proved nothing, so that it is seen."""
    with contextlib.suppress(JournalUnavailable):
        current_services().journal.note_refused(TOKEN_WRONG, source(), now_ms=to_ms(utc_now()))


def _is_given(token: str, given: str) -> bool:
    scheme, _, word = given.partition(" ")
    # A WSGI server hands header bytes over as Latin-1 letters.
    is_same = hmac.compare_digest(word.strip().encode("latin-1", "replace"), token.encode())
    return scheme.lower() == "bearer" and is_same


# Who may see the pages: whoever has logged in with the admin token, until the session ends or the token changes.


SESSION_S: Final = 12 * 3600
LOGIN_FAILURES_MAX: Final = 5
_LOGINS = "relay.logins"


class _Forms(CSRFProtect):  # type: ignore[misc]
    """A form's token is another text in every answer, so a compressed one's length tells nothing of it."""

    def _get_csrf_token(self) -> str | None:
        given = super()._get_csrf_token() or ""
        try:
            pad, masked = bytes.fromhex(given[: len(given) // 2]), bytes.fromhex(given[len(given) // 2 :])
            return _masked(pad, masked).decode()
        except ValueError:
            return None


_CSRF = _Forms()


def form_token() -> str:
    """For the templates."""
    token = generate_csrf().encode()
    pad = secrets.token_bytes(len(token))
    return (pad + _masked(pad, token)).hex()


def _masked(pad: bytes, text: bytes) -> bytes:
    return bytes(each ^ mask for each, mask in zip(text, pad, strict=True))


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


def init_logins(app: Flask, token: str | None) -> None:
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
    app.extensions[_LOGINS] = FailureLimit(most=LOGIN_FAILURES_MAX)
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
    """Raises JournalUnavailable where it cannot be told whether somebody has logged out."""
    since, session_id = session.get("since"), session.get("id")
    if not isinstance(since, int) or not isinstance(session_id, str) or not 0 <= time.time() - since < SESSION_S:
        return False
    if "is_session_ended" not in g:  # asked once for each request
        g.is_session_ended = current_services().journal.is_session_ended(_session_key(session_id))
    return not g.is_session_ended


def _session_key(session_id: str) -> str:
    """What is stored of a session that has ended: nothing that could be put into a cookie."""
    return hashlib.sha256(session_id.encode()).hexdigest()


@access.get("/login")
def login() -> ResponseReturnValue:
    if is_logged_in():
        return redirect(url_for("overview.show"))
    return _form()


@access.post("/login")
def log_in() -> ResponseReturnValue:
    """Right: a new session, whatever came before from the same address, which may be a proxy's and everybody's.

    Wrong: counted, and after five wrong ones in a minute told to slow down.
    """
    _CSRF.protect()
    token = current_relay().settings.admin_token
    if token is None:
        return _form(status=403)
    given = request.form.get("password", "")
    if not hmac.compare_digest(given.encode(), token.reveal().encode()):
        return _wrong_password()
    session.clear()
    session["id"] = secrets.token_hex(16)
    session["since"] = int(time.time())
    return redirect(_safe(request.form.get("next", "")))


def _wrong_password() -> ResponseReturnValue:
    failures: FailureLimit = current_app.extensions[_LOGINS]
    again_s = failures.failed(source())
    note_guess()
    if again_s is None:
        return _form("This is not the password. It is the relay's ADMIN_TOKEN.", status=401)
    seconds = math.ceil(again_s)
    problem = f"Too many wrong passwords from here. Wait {seconds} s, or give the right one."
    return _form(problem, status=429, headers={"Retry-After": str(seconds)})


@access.post("/logout")
def log_out() -> ResponseReturnValue:
    """The session ends here and not only in this browser: a copy of its cookie is worth nothing any more."""
    _CSRF.protect()
    if is_logged_in():
        ended, now_ms = _session_key(session["id"]), to_ms(utc_now())
        current_services().journal.end_session(ended, now_ms=now_ms, forget_before_ms=now_ms - SESSION_S * 1000)
    session.clear()
    return redirect(url_for("access.login"))


def _form(
    problem: str = "", *, status: int = 200, headers: Mapping[str, str] | None = None
) -> tuple[str, int, dict[str, str]]:
    relay = current_relay()
    page = render_template(
        "login.html",
        problem=problem,
        is_closed=relay.settings.admin_token is None,
        next=_safe(request.values.get("next", "")),
    )
    return page, status, dict(headers or {})


def _here() -> str:
    return request.full_path.rstrip("?") if request.method == "GET" else "/"


def _safe(path: str) -> str:
    """Only a path of this relay: never another host."""
    is_own = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if is_own else url_for("overview.show")


def _stale_form(error: CSRFError) -> ResponseReturnValue:
    message = "This form is too old or not from this page. Load the page again and repeat it; nothing was done."
    return render_template("problem.html", title="Nothing was done", message=message), 400


# The bytes of a request's body, as they came: what the Content-Type says of them does not count.


BYTES_MAX: Final = 64 * 1024


def whole_body(*, bytes_max: int = BYTES_MAX, what: str = "an alert is at most 64 KiB") -> bytes:
    """All of it. Raises BodyTooLarge, for a chunked body too, whose length nobody has told."""
    length, stream = request.content_length, request.stream
    if length is not None and length > bytes_max:
        raise BodyTooLarge(f"the body has {length:,} bytes; {what} ({bytes_max:,} bytes)")
    # One byte more than may come tells a body of just the limit from one that goes on.
    pieces, left = [], bytes_max + 1 if length is None else length
    while left > 0 and (piece := stream.read(left)):
        pieces.append(piece)
        left -= len(piece)
    body = b"".join(pieces)
    if len(body) > bytes_max:
        raise BodyTooLarge(f"the body goes on after {bytes_max:,} bytes; {what}")
    return body
