"""The WebSocket streams beside the HTTP endpoints: sessions, topics, and how they misbehave when told to."""

from __future__ import annotations

import heapq
import itertools
import json
import random
import socket
import struct
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Event, Message, Ping, Request, TextMessage
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from relay.paper import account_api, wire
from relay.paper.account_api import FUNDING_MS
from relay.paper.exchange import Exchange
from relay.paper.orders import SPOT, Execution, Order
from relay.paper.state import Changes, Instrument, State, key_of

# One WebSocket on a connection that came in as an HTTP request (RFC 6455, by wsproto).


SEND_S = 1
"""A client that takes nothing for so long is cut off, rather than that the exchange waits for it."""
MESSAGE_MAX = 1 << 20


class WebSocket:
    """Any thread may send; one receives. `is_mute`: the peer hears nothing more, pongs and closing words included."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._protocol = WSConnection(ConnectionType.SERVER)
        self._lock = threading.Lock()
        self.is_mute = False

    @classmethod
    def accept(cls, environ: dict[str, Any]) -> WebSocket | None:
        """Takes the request's connection over; None if the request does not ask for a WebSocket."""
        names = {name[5:].replace("_", "-"): value for name, value in environ.items() if name.startswith("HTTP_")}
        target = environ["PATH_INFO"] + (f"?{environ['QUERY_STRING']}" if environ["QUERY_STRING"] else "")
        head = "\r\n".join([f"GET {target} HTTP/1.1", *(f"{name}: {value}" for name, value in names.items()), "", ""])
        made = cls(environ["werkzeug.socket"])
        try:
            made._protocol.receive_data(head.encode("latin-1"))
            asked = [event for event in made._protocol.events() if isinstance(event, Request)]
        except RemoteProtocolError:
            return None
        if not asked:
            return None
        seconds = struct.pack("ll", SEND_S, 0)
        made._connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, seconds)
        made._send(AcceptConnection())
        return made

    def send(self, text: str) -> None:
        """A peer that is gone, or takes nothing, is cut off; `messages` ends then."""
        self._send(TextMessage(text))

    def _send(self, event: Event) -> None:
        with self._lock:
            if self.is_mute:
                return
            try:
                self._connection.sendall(self._protocol.send(event))
            except (OSError, LocalProtocolError):
                self.cut()

    def messages(self) -> Iterator[str]:
        """What the peer says, until either side ends the connection."""
        parts: list[str] = []
        while (received := self._read()) is not None:
            try:
                self._protocol.receive_data(received)
                events = list(self._protocol.events())
            except RemoteProtocolError:
                return
            for event in events:
                match event:
                    case Ping() | CloseConnection():
                        self._send(event.response())
                    case Message():
                        parts.append(event.data if isinstance(event.data, str) else "")
                        if sum(map(len, parts)) > MESSAGE_MAX:
                            return
                        if event.message_finished:
                            yield "".join(parts)
                            parts = []
                if isinstance(event, CloseConnection):
                    return

    def _read(self) -> bytes | None:
        try:
            return self._connection.recv(65536) or None
        except OSError:
            return None

    def cut(self) -> None:
        """Without a word, as a network does it."""
        try:
            self._connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            return


# What the private and public topics carry, from what an action changed (docs/v5/websocket/). Pure.


PRIVATE_TOPICS = ("order", "execution", "position", "wallet")


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamEvent:
    """Rows of one topic of one category; `wallet` has none."""

    topic: str
    category: str
    rows: list[dict[str, Any]]


def events(state: State, changes: Changes) -> Iterator[StreamEvent]:
    """In the order in which they are told: fills, orders, positions, then what became of the wallet."""
    yield from _split("execution", state, ((each.order.symbol, _execution(state, each)) for each in changes.executions))
    yield from _split("order", state, ((each.symbol, _order(state, each)) for each in changes.orders.values()))
    yield from _split("position", state, ((symbol, _position(state, symbol, idx)) for symbol, idx in _moved(changes)))
    if changes.wallets:
        yield StreamEvent(topic="wallet", category="", rows=[account_api.unified(state, tuple(changes.wallets))])


def _split(topic: str, state: State, rows: Iterable[tuple[str, dict[str, Any]]]) -> Iterator[StreamEvent]:
    """A message has rows of one category only."""
    found: dict[str, list[dict[str, Any]]] = {}
    for symbol, row in rows:
        category = state.instruments[symbol].category
        found.setdefault(category, []).append({"category": category, **row})
    for category, listed in found.items():
        yield StreamEvent(topic=topic, category=category, rows=listed)


def _moved(changes: Changes) -> list[tuple[str, int]]:
    """position.mdx: each new, amended or cancelled order brings a message too, whether anything moved or not."""
    beside = ((order.symbol, order.position_idx) for order in changes.orders.values() if order.category != SPOT)
    return list(dict.fromkeys((*changes.positions, *beside)))


def _execution(state: State, fill: Execution) -> dict[str, Any]:
    return {**wire.execution(fill, state.instruments[fill.order.symbol]), "isLeverage": "0"}


def _order(state: State, order: Order) -> dict[str, Any]:
    row = wire.order(order, state.instruments[order.symbol])
    coin = next(iter(order.fees), "") if order.category == SPOT else ""
    return {**row, "closedPnl": wire.plain(order.closed_pnl), "feeCurrency": coin}


def _position(state: State, symbol: str, idx: int) -> dict[str, Any]:
    row = account_api.row(state, state.instruments[symbol], idx)
    row["entryPrice"] = row.pop("avgPrice")
    return row


def ticker(state: State, instrument: Instrument, next_funding_ms: int) -> dict[str, Any]:
    if instrument.is_spot:
        shown = wire.spot_ticker(instrument, state.quotes[instrument.key])
        return {name: value for name, value in shown.items() if not name.startswith(("bid1", "ask1"))}
    row = wire.ticker(instrument, state.quotes[instrument.symbol], next_funding_ms)
    return {**row, "tickDirection": "ZeroPlusTick"}


# One stream's connection: who it is, what it listens to, what it may ask. Source: wss-authentication.mdx.


PRIVATE = "private"
CATEGORIES = ("linear", "inverse", SPOT)


class StreamSession0(Protocol):
    """What a session needs of the exchange."""

    def refuse_auth(self, key: str, expires_ms: int, signature: str) -> str | None: ...

    def now_ms(self) -> int: ...

    def subscribe(self, session: Session, topics: list[str], answer: Callable[[], None]) -> None: ...

    def knows(self, category: str, symbol: str) -> bool: ...


class Session:
    """`topics`: what it listens to. `rows`: what each topic of a market told last."""

    def __init__(self, socket: WebSocket, kind: str, exchange: StreamSession0) -> None:
        self.socket = socket
        self.kind = kind
        self.topics: set[str] = set()
        self.rows: dict[str, dict[str, Any]] = {}
        self.is_trusted = kind != PRIVATE
        self._exchange = exchange
        self._id = uuid.uuid4().hex[:20]

    def send(self, message: dict[str, Any]) -> None:
        self.socket.send(json.dumps(message, separators=(",", ":")))

    def take(self, text: str) -> None:
        """One request."""
        try:
            asked = json.loads(text)
            op, args = str(asked["op"]), list(asked.get("args") or ())
            req_id = str(asked.get("req_id") or "")
        except (ValueError, KeyError, TypeError, AttributeError):
            self._answer("", "", refused="Params Error")
            return
        if op == "ping":
            self._pong(req_id)
        elif op == "auth" and self.kind == PRIVATE:
            self._authenticate(args, req_id)
        elif op in ("subscribe", "unsubscribe"):
            self._change(op, [str(topic) for topic in args], req_id)
        else:
            self._answer(op, req_id, refused="Request not supported")

    def _pong(self, req_id: str) -> None:
        if self.kind == PRIVATE:
            told = {"op": "pong", "args": [str(self._exchange.now_ms())], "conn_id": self._id}
            self.send({"req_id": req_id, **told} if req_id else told)
        else:
            self.send({"success": True, "ret_msg": "pong", "conn_id": self._id, "req_id": req_id, "op": "ping"})

    def _authenticate(self, args: list[Any], req_id: str) -> None:
        """A refused connection is closed, as Bybit's is."""
        try:
            key, expires_ms, signature = str(args[0]), int(args[1]), str(args[2])
        except (IndexError, TypeError, ValueError):
            refused: str | None = "Params Error"
        else:
            refused = self._exchange.refuse_auth(key, expires_ms, signature)
        self.is_trusted = refused is None
        self._answer("auth", req_id, refused=refused)
        if refused is not None:
            self.socket.cut()

    def _change(self, op: str, topics: list[str], req_id: str) -> None:
        wrong = [topic for topic in topics if not self._offers(topic)] or self._mixed(topics)
        if not self.is_trusted:
            self._answer(op, req_id, refused="Request not authorized")
        elif wrong or not topics:
            self._answer(op, req_id, refused=f"error:handler not found,topic:{','.join(wrong)}")
        elif op == "unsubscribe":
            self.topics.difference_update(topics)
            self._answer(op, req_id)
        else:
            self._exchange.subscribe(self, topics, lambda: self._answer(op, req_id))

    def _offers(self, topic: str) -> bool:
        name, _, rest = topic.partition(".")
        if self.kind == PRIVATE:
            return name in PRIVATE_TOPICS and (not rest or (rest in CATEGORIES and name != "wallet"))
        symbol = rest if name == "tickers" else rest.removeprefix("1.") if topic.startswith("orderbook.1.") else ""
        return self._exchange.knows(self.kind, symbol)

    def _mixed(self, topics: list[str]) -> list[str]:
        """order.mdx: a topic of all categories and one of a single category cannot be in the same request."""
        narrow = [topic for topic in topics if "." in topic]
        wide = [topic for topic in topics if "." not in topic and topic != "wallet"]
        return narrow if self.kind == PRIVATE and wide else []

    def _answer(self, op: str, req_id: str, *, refused: str | None = None) -> None:
        told = {"success": refused is None, "ret_msg": refused or "", "op": op, "conn_id": self._id}
        self.send({"req_id": req_id, **told} if req_id else told)


# How the streams misbehave when told to: events held back, lost, told twice or out of order; see `control`.


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamFaults:
    """`delay_ms` holds each event back, `jitter_ms` by up to so much more, so that later ones overtake.

    `drop` and `duplicate`: the shares of events that are lost, or told twice. `topics`: which ones; empty means all.
    """

    delay_ms: int = 0
    jitter_ms: int = 0
    drop: float = 0.0
    duplicate: float = 0.0
    topics: frozenset[str] = frozenset()
    refuse_auth: bool = False
    refuse: bool = False
    seed: int = 0
    chance: random.Random = field(default_factory=random.Random, compare=False)

    def delays_s(self, topic: str) -> list[float]:
        """When each copy of an event leaves; none: it is lost; zero: at once, before the action is answered."""
        if self.topics and topic.partition(".")[0] not in self.topics:
            return [0.0]
        if self.chance.random() < self.drop:
            return []
        copies = 2 if self.chance.random() < self.duplicate else 1
        return [(self.delay_ms + self.chance.random() * self.jitter_ms) / 1000 for _ in range(copies)]


class Courier:
    """Delivers later, in one thread that starts with the first late message."""

    def __init__(self) -> None:
        self._waiting: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def send(self, send: Callable[[], None], delays_s: Iterable[float]) -> None:
        """Calls `send` for each delay; without one right here."""
        for delay_s in delays_s:
            if delay_s <= 0:
                send()
            else:
                self._later(send, delay_s)

    def _later(self, send: Callable[[], None], delay_s: float) -> None:
        with self._changed:
            heapq.heappush(self._waiting, (time.monotonic() + delay_s, next(self._order), send))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="paper-courier", daemon=True)
                self._thread.start()
            self._changed.notify()

    def _run(self) -> None:
        while True:
            self._next()()

    def _next(self) -> Callable[[], None]:
        with self._changed:
            while True:
                left_s = self._waiting[0][0] - time.monotonic() if self._waiting else None
                if left_s is not None and left_s <= 0:
                    return heapq.heappop(self._waiting)[2]
                self._changed.wait(left_s)


PATHS = {"/v5/private": PRIVATE, **{f"/v5/public/{category}": category for category in CATEGORIES}}


class Streams:
    """All connections, and how they are treated."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._sessions: set[Session] = set()
        self._lock = threading.Lock()
        self._courier = Courier()
        self.manners = StreamFaults()
        exchange.book.listeners.append(self._publish)
        exchange.on_reset = self._reset

    def serve(self, socket: WebSocket, kind: str) -> None:
        """Until the connection ends, in the caller's thread."""
        session = Session(socket, kind, self)
        with self._lock:
            self._sessions.add(session)
        try:
            for message in socket.messages():
                session.take(message)
        finally:
            with self._lock:
                self._sessions.discard(session)

    def _reset(self) -> None:
        """Everything is another account's from now on: whoever listens must look anew."""
        self.manners = StreamFaults()
        self.cut()

    def sessions(self, kind: str | None = None) -> list[Session]:
        with self._lock:
            return [each for each in self._sessions if kind in (None, each.kind)]

    def cut(self, kind: str | None = None) -> int:
        """Ends connections without a word; how many."""
        found = self.sessions(kind)
        for session in found:
            session.socket.cut()
        return len(found)

    def mute(self, kind: str | None = None) -> int:
        """The connections there are stay open and say nothing more; how many."""
        found = self.sessions(kind)
        for session in found:
            session.socket.is_mute = True
        return len(found)

    # What a session asks.

    def refuse_auth(self, key: str, expires_ms: int, signature: str) -> str | None:
        """Why not, in the exchange's words."""
        if self.manners.refuse_auth:
            return "API key is invalid."
        account = self._exchange.account
        if account.key_unknown or account.signature_wrong:
            return "Request not authorized"
        refusal = self._exchange.verifier.refuse_stream(key, expires_ms, signature, self._exchange.now_ms())
        return refusal.message if refusal else None

    def now_ms(self) -> int:
        return self._exchange.now_ms()

    def subscribe(self, session: Session, topics: list[str], answer: Callable[[], None]) -> None:
        """Every change after the answer is told; of tickers it tells first what they are."""
        self._exchange.read(lambda state: self._subscribe(state, session, topics, answer))

    def _subscribe(self, state: State, session: Session, topics: list[str], answer: Callable[[], None]) -> None:
        answer()
        session.topics.update(topics)
        for topic in topics:
            instrument = state.instruments.get(key_of(session.kind, topic.rpartition(".")[2]))
            if instrument is not None:
                row = session.rows[topic] = self._row(state, instrument, topic)
                session.send(_ticker_message(topic, "snapshot", row, state.seq, self.now_ms()))

    def _row(self, state: State, instrument: Instrument, topic: str) -> dict[str, Any]:
        if topic.startswith("orderbook."):
            return account_api.book_of(state, instrument, 1)
        return ticker(state, instrument, self._next_funding_ms())

    def _next_funding_ms(self) -> int:
        return (self.now_ms() // FUNDING_MS + 1) * FUNDING_MS

    def knows(self, category: str, symbol: str) -> bool:
        found = self._exchange.instruments.get(key_of(category, symbol))
        return found is not None and found.category == category

    # What happened, told under the exchange's lock.

    def _publish(self, changes: Changes) -> None:
        sessions, state = self.sessions(), self._exchange.state
        if any(each.kind == PRIVATE for each in sessions):
            for event in events(state, changes):
                self._tell(sessions, event)
        for symbol in changes.quotes:
            self._tell_market(sessions, state, state.instruments[symbol])

    def _tell(self, sessions: list[Session], event: StreamEvent) -> None:
        names = {event.topic, f"{event.topic}.{event.category}"}
        for session in sessions:
            for topic in names & session.topics:
                message = _message(topic, event.rows, self.now_ms())
                self._deliver(session, topic, message)

    def _tell_market(self, sessions: list[Session], state: State, instrument: Instrument) -> None:
        """A contract's ticker tells what has changed; a pair's, and the best of the book, are told whole."""
        for topic in (f"tickers.{instrument.symbol}", f"orderbook.1.{instrument.symbol}"):
            for session in sessions:
                if session.kind != instrument.category or topic not in session.topics:
                    continue
                row, before = self._row(state, instrument, topic), session.rows.get(topic, {})
                session.rows[topic] = row
                changed = {name: value for name, value in row.items() if before.get(name) != value}
                whole = instrument.is_spot or topic.startswith("orderbook.")
                told = row if whole else {"symbol": instrument.symbol, **changed}
                if changed:
                    kind = "snapshot" if whole else "delta"
                    self._deliver(session, topic, _ticker_message(topic, kind, told, state.seq, self.now_ms()))

    def _deliver(self, session: Session, topic: str, message: dict[str, Any]) -> None:
        self._courier.send(_sending(session, message), self.manners.delays_s(topic))


def _sending(session: Session, message: dict[str, Any]) -> Callable[[], None]:
    text = json.dumps(message, separators=(",", ":"))
    return lambda: session.socket.send(text)


def _message(topic: str, rows: list[dict[str, Any]], now_ms: int) -> dict[str, Any]:
    return {"id": uuid.uuid4().hex, "topic": topic, "creationTime": now_ms, "data": rows}


def _ticker_message(topic: str, kind: str, row: dict[str, Any], seq: int, now_ms: int) -> dict[str, Any]:
    return {"topic": topic, "type": kind, "data": row, "cs": seq, "ts": now_ms}
