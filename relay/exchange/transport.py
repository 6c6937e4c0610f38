"""Bytes to the exchange and back: kept-alive connections, one send per request, and whether anything left.

This stands where pybit keeps its `requests.Session`, whose retries, redirects, cookies and look-ups of proxies at each
request are either dangerous for an order or a waste of its time.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import certifi
from requests import Session
from requests.utils import default_user_agent, select_proxy
from urllib3 import BaseHTTPResponse, HTTPConnectionPool, HTTPSConnectionPool, PoolManager, ProxyManager, Retry, Timeout
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    ProxyError,
    ReadTimeoutError,
    SSLError,
)
from urllib3.util import create_urllib3_context, make_headers, parse_url

POOL_SIZE = 64
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
# False, not zero: the error comes out as it is, and no status is ever worth a second send.
_ONCE = Retry(total=False, redirect=False, respect_retry_after_header=False)


class NothingLeft(Exception):
    """No byte of the request left this machine. The message says why."""


class NoAnswer(Exception):
    """The request may have arrived, and what came back says nothing. The message says what happened."""


class Cut(NoAnswer):
    """The connection was closed before the answer was whole; an idle one may have been dead all along."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    method: str
    target: str
    """What follows the host."""
    body: bytes | None
    headers: dict[str, str]


class _Progress(threading.local):
    left = False


_progress = _Progress()


class _Watched(HTTPConnection):
    """Notes in its thread when the first byte of a request is handed to the system.

    No exception tells this for certain: one and the same TLS error may come from the handshake or after the request.
    """

    def connect(self) -> None:
        try:
            super().connect()
        finally:
            # What a proxy was told to open the tunnel is not the request.
            _progress.left = False

    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()
        _progress.left = True
        super().send(data)


class _WatchedTLS(_Watched, HTTPSConnection):
    """The same over TLS."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Watched


class _PoolTLS(HTTPSConnectionPool):
    ConnectionCls = _WatchedTLS


class Transport:
    """Connections to one host. Thread-safe.

    What requests would take from the environment at each call is taken once: for https hosts a proxy (`HTTPS_PROXY`,
    `NO_PROXY`) and other certificates (`REQUESTS_CA_BUNDLE`). Loopback hosts and plain http never go through a proxy.
    Name resolution is bounded by the system alone, not by `connect_s`.
    """

    def __init__(self, url: str, *, connect_s: float, read_s: float) -> None:
        """`url`: scheme, host and port, and a path in front of all others where there is one."""
        parts = urlsplit(url)
        assert parts.scheme in ("http", "https"), f"not a URL of http or https: {url}"
        assert parts.hostname, f"a URL without a host: {url}"
        self.prefix = parts.path.rstrip("/")
        self.timeout = Timeout(connect=connect_s, read=read_s)
        self.headers = {"User-Agent": default_user_agent(), "Accept": "application/json"}
        self._manager = _manager(*_environment(url)) if parts.scheme == "https" else _manager(None, None)
        self._pool = self._manager.connection_from_host(parts.hostname, parts.port, parts.scheme)

    def send(self, request: Request, timeout: Timeout) -> BaseHTTPResponse:
        """Send once. Raises NothingLeft or NoAnswer; an answer of any status is returned."""
        return self._open(request, timeout, whole=True)

    def exercise(self, request: Request, connections: int) -> int:
        """Send `request` over that many connections at once, opening what is missing; how many answered.

        Each connection is held until all have answered, since else the first would serve for all.
        """
        with ThreadPoolExecutor(connections, thread_name_prefix="warm") as threads:
            answers = list(threads.map(lambda _: self._try(request), range(connections)))
        held = [answer for answer in answers if answer is not None]
        for answer in held:
            answer.drain_conn()
            answer.release_conn()
        return len(held)

    def _try(self, request: Request) -> BaseHTTPResponse | None:
        try:
            return self._open(request, self.timeout, whole=False)
        except (NothingLeft, NoAnswer):
            return None

    def _open(self, request: Request, timeout: Timeout, *, whole: bool) -> BaseHTTPResponse:
        _progress.left = False
        try:
            return self._pool.urlopen(
                request.method,
                request.target,
                body=request.body,
                headers=request.headers,
                retries=_ONCE,
                redirect=False,
                assert_same_host=False,
                timeout=timeout,
                preload_content=whole,
            )
        except HTTPError as error:
            raise _judged(error, left=_progress.left) from None

    def close(self) -> None:
        self._pool.close()
        self._manager.clear()


def _environment(url: str) -> tuple[str | None, str]:
    """The proxy to an https host, if any, and the file of the certificates to trust."""
    with Session() as session:
        told = session.merge_environment_settings(url, {}, None, None, None)
    proxy = None if urlsplit(url).hostname in _LOOPBACK else select_proxy(url, told["proxies"])
    return proxy, told["verify"] if isinstance(told["verify"], str) else certifi.where()


def _manager(proxy: str | None, certificates: str | None) -> PoolManager:
    options: dict[str, Any] = {"num_pools": 1, "maxsize": POOL_SIZE, "block": False}
    if certificates is not None:
        # Made once: reading the certificates takes longer than the handshake itself.
        options["ssl_context"] = create_urllib3_context()
        options["ssl_context"].load_verify_locations(certificates)
    if proxy is None:
        manager = PoolManager(**options)
    else:
        login = parse_url(proxy).auth
        manager = ProxyManager(proxy, proxy_headers=make_headers(proxy_basic_auth=login) if login else None, **options)
    manager.pool_classes_by_scheme = {"http": _Pool, "https": _PoolTLS}
    return manager


_SENTENCES: tuple[tuple[type[HTTPError], str], ...] = (
    (NameResolutionError, "the exchange's name could not be resolved"),
    (NewConnectionError, "the connection was refused"),
    (ConnectTimeoutError, "no connection in time"),
    (ReadTimeoutError, "no answer in time"),
    (ProxyError, "the proxy did not let it through"),
    (SSLError, "TLS failed"),
    (ProtocolError, "the connection was cut"),
)


def _judged(error: HTTPError, *, left: bool) -> NothingLeft | NoAnswer:
    why = _sentence(error)
    if not left:
        return NothingLeft(why)
    return Cut(why) if isinstance(error, ProtocolError) else NoAnswer(why)


def _sentence(error: HTTPError) -> str:
    """Our own words: urllib3's may name a proxy with its password."""
    return next((words for kind, words in _SENTENCES if isinstance(error, kind)), type(error).__name__)
