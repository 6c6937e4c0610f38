"""One stream's connection: who it is, what it listens to, what it may ask. Source: wss-authentication.mdx."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any, Protocol

from relay.paper.sockets import WebSocket
from relay.paper.streams_wire import PRIVATE_TOPICS

PRIVATE = "private"
CATEGORIES = ("linear", "inverse")


class Exchange(Protocol):
    """What a session needs of the exchange."""

    def refuse_auth(self, key: str, expires_ms: int, signature: str) -> str | None: ...

    def now_ms(self) -> int: ...

    def subscribe(self, session: Session, topics: list[str], answer: Callable[[], None]) -> None: ...

    def knows(self, category: str, symbol: str) -> bool: ...


class Session:
    """`topics`: what it listens to. `rows`: the tickers as they were told last."""

    def __init__(self, socket: WebSocket, kind: str, exchange: Exchange) -> None:
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
        wrong = [topic for topic in topics if not self._offers(topic)]
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
        return name == "tickers" and self._exchange.knows(self.kind, rest)

    def _answer(self, op: str, req_id: str, *, refused: str | None = None) -> None:
        told = {"success": refused is None, "ret_msg": refused or "", "op": op, "conn_id": self._id}
        self.send({"req_id": req_id, **told} if req_id else told)
