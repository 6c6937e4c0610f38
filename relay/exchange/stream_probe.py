"""Opens the private stream once, proves the key to it, and closes it again: bounded to a few seconds."""

from __future__ import annotations

import json
import time
from typing import Any

from websocket import WebSocketException, create_connection

from relay.exchange.account_facts import Stream
from relay.exchange.session import signer

PRIVATE = "/v5/private"
_PATIENCE_S = 3.0
_VALID_MS = 5000


def probe_stream(url: str, *, api_key: str, api_secret: str, now_ms: int) -> Stream:
    """`url`: the streams' host, `ws` or `wss`; `now_ms`: the exchange's clock. Source: V5 documentation, "Connect"."""
    try:
        socket: Any = create_connection(f"{url}{PRIVATE}", timeout=_PATIENCE_S, enable_multithread=False)
    except (WebSocketException, OSError) as error:
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
