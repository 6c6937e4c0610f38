"""What a stranger may do to the port, as a process: bodies that trickle in, and secrets guessed at a steady rate.

Cheap on purpose, since it shares the machine with what it attacks: one thread, bytes made beforehand, answers counted
and not read. Prints one line of JSON at its end: how many answers of each status there were, and slow bodies begun.
"""

from __future__ import annotations

import argparse
import json
import selectors
import socket
import sys
import time
from collections import Counter, deque

_TRICKLE_S = 0.25
_TICK_S = 0.002
_BODY = b'{"secret": "not-the-secret-of-anybody", "action": "heartbeat"}'
_WRONG = b"POST /webhook HTTP/1.1\r\nHost: bench\r\nContent-Length: %d\r\n\r\n%s" % (len(_BODY), _BODY)
_SLOW = b'POST /webhook HTTP/1.1\r\nHost: bench\r\nContent-Length: 4000\r\n\r\n{"secret": "'


class _Attack:
    """All connections of it, in one loop."""

    def __init__(self, port: int) -> None:
        self.seen: Counter[str] = Counter()
        self._port = port
        self._poll = selectors.DefaultSelector()
        self._idle: deque[socket.socket] = deque()
        self._slow: set[socket.socket] = set()

    def run(self, seconds: float, slow: int, connections: int, rate: float) -> None:
        """`rate`: wrong secrets a second in all. What is due while every connection waits is sent later."""
        for _ in range(connections):
            self._open_wrong()
        for _ in range(slow):
            self._open_slow()
        begun = time.monotonic()
        sent, trickle_at = 0, begun
        while (now := time.monotonic()) < begun + seconds:
            due = int((now - begun) * rate) - sent
            while due > 0 and self._idle:
                self._idle.popleft().sendall(_WRONG)
                sent, due = sent + 1, due - 1
            if now >= trickle_at:
                trickle_at += _TRICKLE_S
                self._trickle()
            for key, _ in self._poll.select(_TICK_S):
                self._read(key.fileobj, is_slow=key.data)  # type: ignore[arg-type]

    def _open(self, *, is_slow: bool) -> socket.socket:
        client = socket.create_connection(("127.0.0.1", self._port))
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._poll.register(client, selectors.EVENT_READ, is_slow)
        return client

    def _open_wrong(self) -> None:
        self._idle.append(self._open(is_slow=False))

    def _open_slow(self) -> None:
        client = self._open(is_slow=True)
        client.sendall(_SLOW)
        self._slow.add(client)
        self.seen["slow bodies"] += 1

    def _trickle(self) -> None:
        for client in tuple(self._slow):
            try:
                client.send(b"x")
            except OSError:
                self._hung_up(client, is_slow=True)

    def _read(self, client: socket.socket, *, is_slow: bool) -> None:
        try:
            piece = client.recv(4096)
        except OSError:
            piece = b""
        if not piece or is_slow:
            self._hung_up(client, is_slow=is_slow)
            return
        if piece.startswith(b"HTTP/1.1 "):
            self.seen[piece[9:12].decode()] += 1
        if piece.endswith(b"}\n"):
            self._idle.append(client)

    def _hung_up(self, client: socket.socket, *, is_slow: bool) -> None:
        """It comes again."""
        self._poll.unregister(client)
        client.close()
        if is_slow:
            self._slow.discard(client)
            self._open_slow()
        else:
            self.seen["hung up"] += 1
            self._open_wrong()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--slow", type=int, required=True)
    parser.add_argument("--connections", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True)
    asked = parser.parse_args()
    attack = _Attack(asked.port)
    attack.run(asked.seconds, asked.slow, asked.connections, asked.rate)
    sys.stdout.write(json.dumps(attack.seen) + "\n")
