"""One WebSocket to the exchange, kept: connected, greeted, pinged, and connected anew when it is cut."""

from __future__ import annotations

import json
import logging
import random
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from websocket import ABNF, WebSocket, WebSocketConnectionClosedException, WebSocketException, create_connection

from relay.bybit.account_facts import Stream
from relay.bybit.http import TunnelRefused, connected, signer, trusted
from relay.errors import ExchangeAnswered, ExchangeUnreachable
from relay.settings.network import way_to

CONNECT_S = 5.0
IO_S = 5.0


class StreamEnded(Exception):
    """The connection is of no more use; the message says why."""


def open_websocket(url: str, timeout_s: float) -> WebSocket:
    """On the way that requests take (`relay.bybit.http`). Raises OSError, WebSocketException or ValueError."""
    parts, way = urlsplit(url), way_to(url)
    is_tls, host = parts.scheme == "wss", parts.hostname or ""
    under = connected(host, parts.port or (443 if is_tls else 80), proxy=way.proxy, timeout_s=timeout_s)
    try:
        if is_tls:
            under = trusted(way.bundle).wrap_socket(under, server_hostname=host)
        return create_connection(
            url, timeout=timeout_s, socket=under, enable_multithread=True, skip_utf8_validation=True
        )
    except BaseException:
        under.close()
        raise


class StreamSocket:
    """One thread receives, any thread sends, closes, or waits until all is heeded."""

    def __init__(self, url: str) -> None:
        """Connects. Raises StreamEnded."""
        try:
            self._socket = open_websocket(url, CONNECT_S)
            self._socket.settimeout(IO_S)
        except (OSError, WebSocketException, ValueError) as error:
            raise StreamEnded(_words(error)) from None
        under = self._socket.sock
        assert under is not None, "it is connected"
        self._under = under
        self._number = under.fileno()
        self._idle = threading.Condition()
        self._is_busy = False
        self._is_closed = False

    def send(self, message: Mapping[str, object]) -> None:
        try:
            self._socket.send(json.dumps(message, separators=(",", ":")))
        except (OSError, WebSocketException) as error:
            raise StreamEnded(_words(error)) from None

    def has_more(self, wait_s: float) -> bool:
        """Whether something can be received, waiting for it."""
        if self._has_bytes():
            return True
        # One of its own each time: a poll object serves one thread.
        readable = select.poll()
        readable.register(self._number, select.POLLIN)
        return bool(readable.poll(int(wait_s * 1000)))

    def _has_bytes(self) -> bool:
        return isinstance(self._under, ssl.SSLSocket) and self._under.pending() > 0

    def begin(self) -> None:
        """What is received next is being heeded, until `heeded`."""
        with self._idle:
            self._is_busy = True

    def heeded(self) -> None:
        with self._idle:
            self._is_busy = False
            self._idle.notify_all()

    def receive(self) -> dict[str, Any] | None:
        """The next message; None if it was a ping or the like. Raises StreamEnded."""
        try:
            opcode, content = self._socket.recv_data(control_frame=True)
        except (OSError, WebSocketException) as error:
            raise StreamEnded(_words(error)) from None
        if opcode == ABNF.OPCODE_CLOSE:
            raise StreamEnded("the exchange closed it")
        if opcode != ABNF.OPCODE_TEXT:
            return None
        try:
            parsed = json.loads(content, parse_float=Decimal)
        except ValueError:
            raise StreamEnded("the exchange sent what is no JSON") from None
        return parsed if isinstance(parsed, dict) else None

    def is_caught_up(self, wait_s: float) -> bool:
        """Whether everything that has arrived at this machine is heeded, waiting for it so long."""
        with self._idle:
            return self._idle.wait_for(self._is_idle, wait_s)

    def _is_idle(self) -> bool:
        return self._is_closed or not (self._is_busy or self.has_more(0))

    def close(self) -> None:
        """At once; a receiver wakes up with StreamEnded."""
        with self._idle:
            self._is_closed = True
            self._idle.notify_all()
        try:
            self._under.shutdown(socket.SHUT_RDWR)
        except OSError:
            return

    def free(self) -> None:
        """To be called by the receiver when it is done."""
        self.close()
        self._socket.shutdown()  # type: ignore[no-untyped-call]


def _words(error: Exception) -> str:
    """Short, and without what a server may have put into its answer."""
    status = getattr(error, "status_code", None)
    if status is not None:
        return f"HTTP {status}"
    if isinstance(error, WebSocketConnectionClosedException):
        return "the connection was cut"
    if isinstance(error, TunnelRefused):
        return str(error)
    return (isinstance(error, OSError) and error.strerror) or type(error).__name__


# A stream that is kept: connected, greeted, listened to, pinged, and connected anew when it is cut or falls silent.


log = logging.getLogger(__name__)

PING_S = 1.0
IDLE_PING_S = 20.0
"""Where nothing is open and no alert is to be expected."""
SILENT_S = 8.0
"""A stream that does not answer a ping for so long is half open: whatever it told may be old."""
FRESH_S = 3.0
"""What a stream told decides the size or the limit of an entry only if it was heard so lately."""
_BACKOFF_S = (0.05, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_STABLE_S = 3.0
_POLL_S = PING_S
_JITTER = random.Random()
"""Not the one that all share: that one belongs to whoever seeds it."""
_CATCH_UP_S = 0.25
_ANSWER_S = 5.0

Message = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkState:
    """`since_s`: for how long it is so. `problem`: why it is not live, in words. `generation` counts connections.

    `silent_s`: how long ago the exchange was last heard, if only by its answer to a ping; None if it never did.
    """

    is_live: bool
    since_s: float
    generation: int
    problem: str
    silent_s: float | None = None


class StreamGreeting:
    """What a stream's owner may do while it is being opened."""

    def __init__(self, socket: StreamSocket, received: Callable[[Message], None]) -> None:
        self._socket = socket
        self._received = received

    def ask(self, op: str, args: list[Any]) -> None:
        """Returns once it is granted; what is told meanwhile is heard. Raises StreamEnded."""
        self._socket.send({"op": op, "args": args, "req_id": op})
        until = time.monotonic() + _ANSWER_S
        while (left_s := until - time.monotonic()) > 0:
            if not self._socket.has_more(left_s):
                continue
            message = self._socket.receive()
            if message is None:
                continue
            if message.get("op") == op:
                if message.get("success"):
                    return
                raise StreamEnded(f"{op} was refused: {str(message.get('ret_msg'))[:200]}")
            self._received(message)
        raise StreamEnded(f"{op} was not answered")


class StreamLink:
    """One thread, in which the callbacks are called: `received` with each message, `opened` once all is subscribed."""

    def __init__(
        self,
        *,
        name: str,
        url: str,
        greet: Callable[[StreamGreeting], None],
        received: Callable[[Message], None],
        opened: Callable[[], None],
        closed: Callable[[], None],
    ) -> None:
        """`opened` may raise ExchangeUnreachable or ExchangeAnswered: then the stream is opened anew."""
        self.name = name
        self._url = url
        self._greet, self._received, self._opened, self._closed = greet, received, opened, closed
        self._stop = threading.Event()
        self._changed = threading.Condition()
        self._socket: StreamSocket | None = None
        self._is_live = False
        self._is_stable = False
        self._generation = 0
        self._since = time.monotonic()
        self._received_at = 0.0
        self._unanswered_since: float | None = None
        """When the first ping was sent since the exchange was last heard."""
        self._busy_until = 0.0
        self._problem = "not opened yet"
        self._thread = threading.Thread(target=self._run, name=f"stream {name}", daemon=True)

    def start(self) -> None:
        if not self._thread.is_alive() and not self._stop.is_set():
            self._thread.start()

    def stop(self) -> None:
        """Quick: the connection is closed under the thread."""
        self._stop.set()
        socket = self._socket
        if socket is not None:
            socket.close()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(2)

    @property
    def is_live(self) -> bool:
        """Open, seeded, and not silent where it was asked."""
        return self._is_live and not self._is_silent(time.monotonic())

    def _is_silent(self, now: float) -> bool:
        unanswered_since = self._unanswered_since
        return unanswered_since is not None and now - unanswered_since > SILENT_S

    def is_current(self) -> bool:
        """Live, and everything that has arrived here is heeded."""
        socket = self._socket
        return socket is not None and self.is_live and socket.is_caught_up(_CATCH_UP_S) and self.is_live

    def is_fresh(self) -> bool:
        """Current, and heard so lately that what it told may decide an entry."""
        return self.is_current() and time.monotonic() - self._received_at <= FRESH_S

    def hurry(self, seconds: float) -> None:
        """For so long it is asked each second whether it is there, so that it is fresh when an alert comes."""
        self._busy_until = max(self._busy_until, time.monotonic() + seconds)

    def ping_every_s(self, now: float) -> float:
        """`now`: on the monotonic clock."""
        return PING_S if now < self._busy_until else IDLE_PING_S

    def state(self) -> LinkState:
        is_live, now = self.is_live, time.monotonic()
        return LinkState(
            is_live=is_live,
            since_s=now - self._since,
            generation=self._generation,
            problem="" if is_live else (self._problem or "it is silent"),
            silent_s=now - self._received_at if self._received_at else None,
        )

    def wait_live(self, timeout_s: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self._is_live or self._stop.is_set(), timeout_s) and self._is_live

    def send(self, message: Mapping[str, object]) -> None:
        """If it is open; what is to hold for the next connection too belongs into `greet`."""
        socket = self._socket
        if socket is not None:
            try:
                socket.send(message)
            except StreamEnded:
                socket.close()

    def _run(self) -> None:
        tries = 0
        while not self._stop.is_set():
            problem = self._live_once()
            if self._stop.is_set():
                return
            tries = 0 if self._is_stable else tries + 1
            delay_s = _BACKOFF_S[min(tries, len(_BACKOFF_S) - 1)]
            if problem != self._problem:
                log.warning("the stream %s is down: %s", self.name, problem)
            self._problem = problem
            self._stop.wait(delay_s * (0.5 + _JITTER.random()))

    def _live_once(self) -> str:
        """Until it ends: why."""
        self._is_stable = False
        socket = None
        try:
            socket = self._socket = StreamSocket(self._url)
            if self._stop.is_set():
                return "stopped"
            self._generation += 1
            self._greet(StreamGreeting(socket, self._received))
            self._note_received()
            self._opened()
            self._turn(is_live=True)
            return self._listen(socket)
        except StreamEnded as error:
            return str(error)
        except (ExchangeUnreachable, ExchangeAnswered) as error:
            return f"what it had missed could not be read: {error}"
        except Exception as error:
            log.exception("the stream %s failed", self.name)
            return type(error).__name__
        finally:
            self._socket = None
            self._turn(is_live=False)
            self._closed()
            if socket is not None:
                socket.free()

    def _turn(self, *, is_live: bool) -> None:
        with self._changed:
            if is_live != self._is_live:
                self._since = time.monotonic()
                if is_live:
                    self._problem = ""
                    log.info("the stream %s is live", self.name)
            self._is_live = is_live
            self._changed.notify_all()

    def _listen(self, socket: StreamSocket) -> str:
        began = time.monotonic()
        self._note_received()
        pinged_at = float("-inf")
        while not self._stop.is_set():
            now = time.monotonic()
            self._is_stable = now - began > _STABLE_S
            if self._is_silent(now):
                return "it fell silent"
            if now >= pinged_at + self.ping_every_s(now):
                socket.send({"op": "ping"})
                pinged_at = now
                if self._unanswered_since is None:
                    self._unanswered_since = now
            if socket.has_more(_POLL_S):
                self._take(socket)
        return "stopped"

    def _note_received(self) -> None:
        self._received_at, self._unanswered_since = time.monotonic(), None

    def _take(self, socket: StreamSocket) -> None:
        socket.begin()
        try:
            message = socket.receive()
            self._note_received()
            if message is not None and "topic" in message:
                self._received(message)
            elif message is not None and message.get("success") is False:
                log.warning("the stream %s: %s", self.name, str(message.get("ret_msg"))[:200])
        finally:
            socket.heeded()


# Opens the private stream once, proves the key to it, and closes it again: bounded to a few seconds.


PRIVATE = "/v5/private"
_PATIENCE_S = 3.0
_VALID_MS = 5000


def probe_stream(url: str, *, api_key: str, api_secret: str, now_ms: int) -> Stream:
    """`url`: the streams' host, `ws` or `wss`; `now_ms`: the exchange's clock. Source: V5 documentation, "Connect"."""
    try:
        socket: Any = open_websocket(f"{url}{PRIVATE}", _PATIENCE_S)
    except (WebSocketException, OSError, ValueError) as error:
        return Stream(connected=False, why=_in_words(error))
    try:
        expires = str(now_ms + _VALID_MS)
        signature = signer(api_secret)(f"GET/realtime{expires}".encode())
        socket.send(json.dumps({"op": "auth", "args": [api_key, int(expires), signature]}))
        return _answer(socket, time.monotonic() + _PATIENCE_S)
    except (WebSocketException, OSError, ValueError) as error:
        return Stream(connected=False, why=_in_words(error))
    finally:
        socket.close(timeout=1)


def _answer(socket: Any, until: float) -> Stream:
    while time.monotonic() < until:
        said = json.loads(socket.recv())
        if isinstance(said, dict) and said.get("op") == "auth":
            # Only whether there are words counts here: they may repeat the key.
            return Stream(connected=True, refusal=None if said.get("success") else "the stream did not take the key")
    return Stream(connected=False, why="no answer to the authentication")


def _in_words(error: Exception) -> str:
    # What follows the mark is the whole answer with its headers.
    return str(error).partition(" -+-+-")[0][:120] or type(error).__name__
