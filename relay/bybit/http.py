"""HTTP to Bybit: pybit's session made to send once and sign what it is told, over connections whose state is known."""

from __future__ import annotations

import base64
import hmac
import json
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import certifi
from Crypto.Hash import SHA256
from Crypto.Signature import pkcs1_15
from environs import ValidationError
from pybit.unified_trading import HTTP
from requests.utils import default_user_agent
from urllib3 import BaseHTTPResponse, HTTPConnectionPool, HTTPSConnectionPool, Retry, Timeout
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
from urllib3.util import create_urllib3_context

from relay.domain.order import RequestSignature
from relay.errors import SettingsInvalid
from relay.settings.environment import private_key
from relay.settings.network import Proxy, certificates, way_to

# Bytes to the exchange and back: kept-alive connections, one send per request, and whether anything left.
#
# This stands where pybit keeps its `requests.Session`, whose retries, redirects, cookies and look-ups of proxies at
# each
# request are either dangerous for an order or a waste of its time.


POOL_SIZE = 64
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


# The way out, the same for requests and streams.


_HEAD_MAX = 16_384


class TunnelRefused(OSError):
    """The proxy is there, and did not let the connection through."""


@lru_cache
def trusted(bundle: Path | None) -> ssl.SSLContext:
    """With the certificates of a file or a folder, else with the usual ones.

    Made once: reading the certificates takes longer than the handshake itself. Raises OSError.
    """
    context = create_urllib3_context()
    for file in certificates(bundle) if bundle is not None else (Path(certifi.where()),):
        context.load_verify_locations(file)
    return context


def connected(host: str, port: int, *, proxy: Proxy | None, timeout_s: float | None) -> socket.socket:
    """A connection to `host`, through the proxy if there is one. Raises OSError, of a proxy's refusal TunnelRefused."""
    if proxy is None:
        made = socket.create_connection((host, port), timeout_s)
    elif proxy.kind == "http":
        made = _tunnel(host, port, proxy, timeout_s)
    else:
        made = _by_socks(host, port, proxy, timeout_s)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def _tunnel(host: str, port: int, proxy: Proxy, timeout_s: float | None) -> socket.socket:
    made = socket.create_connection((proxy.host, proxy.port), timeout_s)
    try:
        where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        password = proxy.password.reveal() if proxy.password else ""
        login = base64.b64encode(f"{proxy.user}:{password}".encode()).decode()
        authorization = f"Proxy-Authorization: Basic {login}\r\n" if proxy.user else ""
        made.sendall(f"CONNECT {where} HTTP/1.1\r\nHost: {where}\r\n{authorization}\r\n".encode())
        head = b""
        # Byte by byte: what follows the head belongs to the tunnel.
        while not head.endswith(b"\r\n\r\n") and len(head) < _HEAD_MAX and (byte := made.recv(1)):
            head += byte
        status = head.split(b" ", 2)[1:2]
        if status != [b"200"]:
            said = status[0][:3].decode("latin-1") if status else "no answer"
            raise TunnelRefused(f"the proxy did not let it through ({said})")
    except BaseException:
        made.close()
        raise
    return made


def _by_socks(host: str, port: int, proxy: Proxy, timeout_s: float | None) -> socket.socket:
    # Imported only where it is configured.
    import socks

    kind = socks.SOCKS5 if proxy.kind.startswith("socks5") else socks.SOCKS4
    resolves = proxy.kind in ("socks5h", "socks4a")
    try:
        made: socket.socket = socks.create_connection(
            (host, port),
            timeout_s,
            proxy_type=kind,
            proxy_addr=proxy.host,
            proxy_port=proxy.port,
            proxy_rdns=resolves,
            proxy_username=proxy.user or None,
            proxy_password=proxy.password.reveal() if proxy.password else None,
        )
    except socks.ProxyConnectionError as error:
        raise error.socket_err if isinstance(error.socket_err, OSError) else OSError(str(error)) from None
    except socks.ProxyError as error:
        if isinstance(error.socket_err, TimeoutError):
            raise TimeoutError(str(error)) from None
        raise TunnelRefused(f"the proxy did not let it through ({error.msg})") from None
    return made


class _Progress(threading.local):
    left = False
    on_sent: Callable[[], None] | None = None

    def tell(self) -> None:
        tell, self.on_sent = self.on_sent, None
        if tell is not None:
            tell()


_progress = _Progress()


class when_sent:  # noqa: N801 - it is used like a function
    """`tell` is called once, in this thread, as soon as the request that it sends has left, or must wait for its turn
    or for a connection; it must be quick."""

    __slots__ = ("_tell",)

    def __init__(self, tell: Callable[[], None]) -> None:
        self._tell = tell

    def __enter__(self) -> None:
        _progress.on_sent = self._tell

    def __exit__(self, *_: object) -> None:
        _progress.on_sent = None


def must_wait() -> None:
    """What this thread is about to send does not leave at once."""
    _progress.tell()


_KNOWN_HEADERS = frozenset({"User-Agent", "Accept-Encoding"})


class _Watched(HTTPConnection):
    """Notes in its thread when the first byte of a request is handed to the system.

    No exception tells this for certain: one and the same TLS error may come from the handshake or after the request.
    """

    past: Proxy | None = None
    """The proxy before the host."""
    _rest = b""
    """Headers and body, which leave in one piece with what the base says."""

    def _new_conn(self) -> socket.socket:
        if self.past is None:
            return super()._new_conn()
        timeout = self.timeout if isinstance(self.timeout, int | float) else None
        try:
            return connected(self.host, self.port, proxy=self.past, timeout_s=timeout)
        except TimeoutError as error:
            raise ConnectTimeoutError(self, "the proxy takes too long") from error
        except TunnelRefused as error:
            raise ProxyError(str(error), error) from error
        except OSError as error:
            raise NewConnectionError(self, str(error)) from error

    def connect(self) -> None:
        _progress.tell()
        try:
            super().connect()
        finally:
            # What a proxy was told to open the tunnel is not the request.
            _progress.left = False

    def request(self, method: str, url: str, body: Any = None, headers: Any = None, **options: Any) -> None:
        """A header costs the base ten calls, and each request has a dozen: it is told those that it would add."""
        known = {name: value for name, value in headers.items() if name in _KNOWN_HEADERS}
        lines = [f"{name}: {value}" for name, value in headers.items() if name not in known]
        if any("\n" in line or "\r" in line for line in lines):
            raise ValueError("a header is no single line")
        framing = {} if body is None else {"Content-Length": str(len(body))}
        self._rest = "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b"")
        super().request(method, url, None, known | framing, **options)

    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()
        if self._rest:
            # Instead of the empty line with which the head ends.
            data, self._rest = data[:-2] + self._rest, b""
        _progress.left = True
        super().send(data)

    def getresponse(self) -> Any:
        _progress.tell()
        return super().getresponse()


class _WatchedTLS(_Watched, HTTPSConnection):
    """The same over TLS."""


class Transport:
    """Connections to one host. Thread-safe.

    The way out is taken from the environment once: for https hosts a proxy and other certificates, as for the streams
    (`relay.settings.network`). Name resolution is bounded by the system alone, not by `connect_s`.
    """

    def __init__(self, url: str, *, connect_s: float, read_s: float) -> None:
        """`url`: scheme, host and port, and a path in front of all others where there is one."""
        parts = urlsplit(url)
        assert parts.scheme in ("http", "https"), f"not a URL of http or https: {url}"
        assert parts.hostname, f"a URL without a host: {url}"
        self.prefix = parts.path.rstrip("/")
        self.timeout = Timeout(connect=connect_s, read=read_s)
        self.headers = {"User-Agent": default_user_agent(), "Accept": "application/json"}
        way = way_to(url)
        if parts.scheme == "https":
            self._pool: HTTPConnectionPool = HTTPSConnectionPool(
                parts.hostname, parts.port, maxsize=POOL_SIZE, block=False, ssl_context=trusted(way.bundle)
            )
        else:
            self._pool = HTTPConnectionPool(parts.hostname, parts.port, maxsize=POOL_SIZE, block=False)
        kind = _WatchedTLS if parts.scheme == "https" else _Watched
        self._pool.ConnectionCls = type(kind.__name__, (kind,), {"past": way.proxy})

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


# The exchange's clock, as far as it can be told from here.


SAMPLES = 3


class ExchangeClock:
    """Unix milliseconds as the exchange counts them. Thread-safe.

    Runs on the monotonic clock between two measurements, so that a step of the local clock changes nothing of what is
    signed. Before the first measurement it says what the local clock said when it was made. The owner measures at the
    start and every minute.
    """

    def __init__(
        self,
        *,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`wall`: Unix seconds; `monotonic`: seconds that never step."""
        self._wall = wall
        self._monotonic = monotonic
        self._measuring = threading.Lock()
        self.is_measured = False
        self._ahead_s = wall() - monotonic()
        """What must be added to the monotonic clock. One float, replaced whole: readers need no lock."""

    def now_ms(self) -> int:
        return int((self._monotonic() + self._ahead_s) * 1000)

    def after_ms(self, seconds: float) -> int:
        """The exchange's time `seconds` from now."""
        return int((self._monotonic() + seconds + self._ahead_s) * 1000)

    def seconds_until(self, at_ms: int) -> float:
        """How long until the exchange's clock shows `at_ms`; negative when it has passed."""
        return at_ms / 1000 - self._monotonic() - self._ahead_s

    @property
    def offset_ms(self) -> int:
        """How far the exchange's clock is ahead of the local one."""
        return round((self._monotonic() + self._ahead_s - self._wall()) * 1000)

    def measure(self, ask: Callable[[], int], *, samples: int = SAMPLES) -> int:
        """Ask for the exchange's time (Unix milliseconds) and return the new offset.

        The answer is taken to have been true half a round trip before it arrived; of several samples the quickest
        counts, since it leaves the least room for error. What `ask` raises passes through and changes nothing.
        """
        with self._measuring:
            _, self._ahead_s = min(self._sample(ask) for _ in range(samples))
            self.is_measured = True
        return self.offset_ms

    def _sample(self, ask: Callable[[], int]) -> tuple[float, float]:
        began = self._monotonic()
        server_ms = ask()
        took = self._monotonic() - began
        return took, server_ms / 1000 - (began + took / 2)


SERVER_TIME = "/v5/market/time"


class Refused403(Exception):
    """HTTP 403 without a code of the exchange's; the message is the body's beginning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the exchange said, of whatever code. `code` and `words` are retCode and retMsg, `extra` is retExtInfo."""

    code: int
    words: str
    result: Mapping[str, Any]
    headers: Mapping[str, str]
    extra: Mapping[str, Any] = field(default_factory=dict)


class BybitSession(HTTP):  # type: ignore[misc]
    """pybit's methods, each of which returns an `Answer` or raises NothingLeft, NoAnswer or Refused403.

    pybit's loop of retries runs once: `retry_codes={0}` because an empty set brings the defaults back, and its own
    judgement of answers is replaced below, so that it neither sleeps nor invents a status.
    """

    client: Any

    def __init__(
        self,
        *,
        transport: Transport,
        endpoint: str,
        api_key: str,
        api_secret: str,
        recv_window_ms: int,
        referer: str | None,
        clock: ExchangeClock,
    ) -> None:
        logger = logging.getLogger("pybit._http_manager")
        handlers = list(logger.handlers)
        super().__init__(
            api_key=api_key,
            api_secret=api_secret,
            recv_window=recv_window_ms,
            referral_id=referer,
            retry_codes={0},
            max_retries=1,
            force_retry=False,
        )
        for added in [handler for handler in logger.handlers if handler not in handlers]:
            logger.removeHandler(added)
        self.endpoint = endpoint.rstrip("/")
        self.client.close()
        self.client = transport
        self.timeout = transport.timeout
        self._clock = clock
        self._sign = signer(api_secret)
        self._unsaid = {stored: f"…{stored.strip()[-4:]}" for stored in (api_key, api_secret) if stored}
        self._pinned = threading.local()
        self._common = transport.headers | ({"Referer": referer} if referer else {})

    def __repr__(self) -> str:
        return f"Session({self.endpoint})"

    @contextmanager
    def stamped(self, signature: RequestSignature | None) -> Iterator[None]:
        """What this thread sends inside is signed with exactly this signature;

        None means the exchange's present time.
        """
        self._pinned.signature = signature
        try:
            yield
        finally:
            self._pinned.signature = None

    def get_symbol_info(self, **which: object) -> Answer:
        """Leverage and mode of a symbol, which pybit does not know. Source: docs/v5/position/batch-lvg.mdx."""
        path = f"{self.endpoint}/v5/position/symbol-info"
        answer: Answer = self._submit_request(method="GET", path=path, query=which, auth=True)
        return answer

    def server_time_request(self) -> Request:
        return self._prepare_request("GET", self.endpoint + SERVER_TIME, "", {})

    # What pybit calls, in the order in which it does.

    @staticmethod
    def prepare_payload(method: str, parameters: dict[str, Any]) -> str:
        if method == "GET":
            return str(HTTP.prepare_payload(method, parameters))
        return json.dumps(parameters, separators=(",", ":"))

    def _prepare_headers(
        self, payload: str, recv_window: int, content_type: str = "application/json"
    ) -> dict[str, str]:
        signature = getattr(self._pinned, "signature", None)
        timestamp = str(signature.timestamp_ms if signature else self._clock.now_ms())
        window = str(signature.recv_window_ms if signature else recv_window)
        return {
            "Content-Type": content_type,
            "X-BAPI-API-KEY": self.api_key,
            "X-BAPI-SIGN": self._sign((timestamp + self.api_key + window + payload).encode()),
            "X-BAPI-SIGN-TYPE": "2",
            "X-BAPI-TIMESTAMP": timestamp,
            "X-BAPI-RECV-WINDOW": window,
        }

    def _prepare_request(self, method: str, path: str, params: str, headers: dict[str, str]) -> Request:
        target = self.client.prefix + path[len(self.endpoint) :]
        if method == "GET":
            target = f"{target}?{params}" if params else target
            # Lists are long; acknowledgements are not worth unpacking.
            return Request(
                method=method, target=target, body=None, headers=self._common | headers | {"Accept-Encoding": "gzip"}
            )
        return Request(method=method, target=target, body=params.encode(), headers=self._common | headers)

    def _check_status_code(self, response: BaseHTTPResponse, method: str, path: str, params: str) -> None:
        if response.status >= 500:
            raise NoAnswer(f"HTTP {response.status}")

    def _handle_response(self, response: BaseHTTPResponse, *_: object) -> Answer:
        """Any answer that carries a code of the exchange's counts, whatever its HTTP status below 500."""
        body = _json_object(response.data)
        code = body.get("retCode")
        if type(code) is not int:
            if response.status == 403:
                raise Refused403(response.data[:2000].decode(errors="replace"))
            raise NoAnswer(f"HTTP {response.status} without the exchange's JSON")
        result, extra = body.get("result"), body.get("retExtInfo")
        return Answer(
            code=code,
            words=self._discreet(str(body.get("retMsg", "")))[:500],
            result=result if isinstance(result, dict) else {},
            headers=response.headers,
            extra=extra if isinstance(extra, dict) else {},
        )

    def _discreet(self, words: str) -> str:
        """Without the key and the secret: a refused signature (10004) is answered with the text that was signed."""
        for stored, shown in self._unsaid.items():
            words = words.replace(stored, shown)
        return words


def _json_object(text: bytes) -> dict[str, Any]:
    """Empty for what is no JSON object. Bare numbers become decimals, never floats."""
    try:
        parsed = json.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}


def signer(secret: str) -> Callable[[bytes], str]:
    """How requests are signed: RSA with SHA-256 where the secret is a PEM private key, else HMAC-SHA256.

    Source: V5 integration guidance, "Create A Request". Raises SettingsInvalid for a PEM that is no private key.
    """
    if "-----BEGIN" not in secret:
        key = secret.encode()
        return lambda message: hmac.digest(key, message, "sha256").hex()
    try:
        scheme = pkcs1_15.new(private_key(secret))
    except ValidationError as error:
        raise SettingsInvalid([f"BYBIT_API_SECRET: {error}"]) from None
    return lambda message: base64.b64encode(scheme.sign(SHA256.new(message))).decode()
