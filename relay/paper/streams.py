"""The WebSocket streams beside the HTTP endpoints, on the same port: `/v5/private` and `/v5/public/linear|inverse`.

Source: docs/v5/websocket/. An event is on its way to every subscriber before the action that caused it is answered,
unless the streams were told to misbehave.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable
from typing import Any

from relay.paper.exchange import Exchange
from relay.paper.market_api import FUNDING_MS
from relay.paper.sockets import WebSocket
from relay.paper.state import Changes, State
from relay.paper.streams_manners import Courier, Manners
from relay.paper.streams_session import PRIVATE, Session
from relay.paper.streams_wire import Event, events, ticker

PATHS = {"/v5/private": PRIVATE, "/v5/public/linear": "linear", "/v5/public/inverse": "inverse"}


class Streams:
    """All connections, and how they are treated."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._sessions: set[Session] = set()
        self._lock = threading.Lock()
        self._courier = Courier()
        self.manners = Manners()
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
        self.manners = Manners()
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
            name, _, symbol = topic.partition(".")
            instrument = state.instruments.get(symbol)
            if name == "tickers" and instrument is not None:
                row = ticker(state, instrument, self._next_funding_ms())
                session.rows[symbol] = row
                session.send(_ticker_message(topic, "snapshot", row, state.seq, self.now_ms()))

    def _next_funding_ms(self) -> int:
        return (self.now_ms() // FUNDING_MS + 1) * FUNDING_MS

    def knows(self, category: str, symbol: str) -> bool:
        found = self._exchange.instruments.get(symbol)
        return found is not None and found.category == category

    # What happened, told under the exchange's lock.

    def _publish(self, changes: Changes) -> None:
        sessions, state = self.sessions(), self._exchange.state
        if any(each.kind == PRIVATE for each in sessions):
            for event in events(state, changes):
                self._tell(sessions, event)
        for symbol in changes.quotes:
            self._tell_ticker(sessions, state, symbol)

    def _tell(self, sessions: list[Session], event: Event) -> None:
        names = {event.topic, f"{event.topic}.{event.category}"}
        for session in sessions:
            for topic in names & session.topics:
                message = _message(topic, event.rows, self.now_ms())
                self._deliver(session, topic, message)

    def _tell_ticker(self, sessions: list[Session], state: State, symbol: str) -> None:
        topic, instrument = f"tickers.{symbol}", state.instruments[symbol]
        for session in sessions:
            if topic not in session.topics:
                continue
            row, before = ticker(state, instrument, self._next_funding_ms()), session.rows.get(symbol, {})
            session.rows[symbol] = row
            changed = {name: value for name, value in row.items() if before.get(name) != value}
            if changed:
                delta = {"symbol": symbol, **changed}
                self._deliver(session, topic, _ticker_message(topic, "delta", delta, state.seq, self.now_ms()))

    def _deliver(self, session: Session, topic: str, message: dict[str, Any]) -> None:
        self._courier.send(_sending(session, message), self.manners.delays_s(topic))


def _sending(session: Session, message: dict[str, Any]) -> Callable[[], None]:
    text = json.dumps(message, separators=(",", ":"))
    return lambda: session.socket.send(text)


def _message(topic: str, rows: list[dict[str, Any]], now_ms: int) -> dict[str, Any]:
    return {"id": uuid.uuid4().hex, "topic": topic, "creationTime": now_ms, "data": rows}


def _ticker_message(topic: str, kind: str, row: dict[str, Any], seq: int, now_ms: int) -> dict[str, Any]:
    return {"topic": topic, "type": kind, "data": row, "cs": seq, "ts": now_ms}
