"""A stream that is kept: connected, greeted, listened to, pinged, and connected anew when it is cut or falls silent."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from relay.errors import ExchangeAnswered, ExchangeUnreachable
from relay.exchange.streams_socket import StreamEnded, StreamSocket

log = logging.getLogger(__name__)

PING_S = 4.0
SILENT_S = 12.0
"""A stream that answers no ping for so long is half open: whatever it told may be old."""
_BACKOFF_S = (0.05, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_STABLE_S = 3.0
_CATCH_UP_S = 0.25
_ANSWER_S = 5.0

Message = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkState:
    """`since_s`: for how long it is so. `problem`: why it is not live, in words. `generation` counts connections.

    `silent_s`: how long ago the exchange was last heard, if only by its answer to a ping; None: never.
    """

    is_live: bool
    since_s: float
    generation: int
    problem: str
    silent_s: float | None = None


class Greeting:
    """What a stream's owner may do while it is being opened."""

    def __init__(self, socket: StreamSocket, heard: Callable[[Message], None]) -> None:
        self._socket = socket
        self._heard = heard

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
            self._heard(message)
        raise StreamEnded(f"{op} was not answered")


class Link:
    """One thread. `heard` and the others are called in it; `opened` after the subscriptions are confirmed."""

    is_keeper = True
    """Nobody else keeps it."""

    def __init__(
        self,
        *,
        name: str,
        url: str,
        greet: Callable[[Greeting], None],
        heard: Callable[[Message], None],
        opened: Callable[[], None],
        closed: Callable[[], None],
    ) -> None:
        """`opened` may raise ExchangeUnreachable or ExchangeAnswered: then the stream is opened anew."""
        self.name = name
        self._url = url
        self._greet, self._heard, self._opened, self._closed = greet, heard, opened, closed
        self._stop = threading.Event()
        self._changed = threading.Condition()
        self._socket: StreamSocket | None = None
        self._is_live = False
        self._is_stable = False
        self._generation = 0
        self._since = time.monotonic()
        self._heard_at = 0.0
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
        """Open, seeded, and heard of within the last seconds."""
        return self._is_live and time.monotonic() - self._heard_at < SILENT_S

    def is_current(self) -> bool:
        """Live, and everything that has arrived here is heeded."""
        socket = self._socket
        return socket is not None and self.is_live and socket.is_caught_up(_CATCH_UP_S) and self.is_live

    def state(self) -> LinkState:
        is_live, now = self.is_live, time.monotonic()
        return LinkState(
            is_live=is_live,
            since_s=now - self._since,
            generation=self._generation,
            problem="" if is_live else (self._problem or "it is silent"),
            silent_s=now - self._heard_at if self._heard_at else None,
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
            self._stop.wait(delay_s * (0.5 + random.random()))

    def _live_once(self) -> str:
        """Until it ends: why."""
        self._is_stable = False
        socket = None
        try:
            socket = self._socket = StreamSocket(self._url)
            if self._stop.is_set():
                return "stopped"
            self._generation += 1
            self._greet(Greeting(socket, self._heard))
            self._heard_at = time.monotonic()
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
        began = self._heard_at = time.monotonic()
        ping_at = began
        while not self._stop.is_set():
            now = time.monotonic()
            self._is_stable = now - began > _STABLE_S
            if now - self._heard_at > SILENT_S:
                return "it fell silent"
            if now >= ping_at:
                socket.send({"op": "ping"})
                ping_at = now + PING_S
            if socket.has_more(min(ping_at - now, 1.0)):
                self._take(socket)
        return "stopped"

    def _take(self, socket: StreamSocket) -> None:
        socket.begin()
        try:
            message = socket.receive()
            self._heard_at = time.monotonic()
            if message is not None and "topic" in message:
                self._heard(message)
            elif message is not None and message.get("success") is False:
                log.warning("the stream %s: %s", self.name, str(message.get("ret_msg"))[:200])
        finally:
            socket.heeded()
