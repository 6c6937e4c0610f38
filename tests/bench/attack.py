"""What a stranger may do to the port, as a process: bodies that trickle in, and secrets guessed at a steady rate.

Cheap on purpose, since it shares the machine with what it attacks: one thread, bytes made beforehand, answers counted
and not read. It does not wait for an answer before it guesses again, as long as a connection is not too far behind.
Prints one line of JSON at its end: how many answers of each status there were, how many guesses were sent, and slow
bodies begun.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import selectors
import socket
import sys
import time
from collections import Counter

_TRICKLE_S = 0.25
_TICK_S = 0.002
_BEHIND_MAX = 32
"""Guesses of one connection that are not answered yet: more could fill its buffers, and hold the attack up."""
_BODY = b'{"secret": "not-the-secret-of-anybody", "action": "heartbeat"}'
_WRONG = b"POST /webhook HTTP/1.1\r\nHost: bench\r\nContent-Length: %d\r\n\r\n%s" % (len(_BODY), _BODY)
_SLOW = b'POST /webhook HTTP/1.1\r\nHost: bench\r\nContent-Length: 4000\r\n\r\n{"secret": "'
_ANSWER = b"HTTP/1.1 "
_STATUS = len(_ANSWER) + 3


class _Guessing:
    """A connection: how many guesses are on it, and the end of what was read, which may be half of a status."""

    def __init__(self, client: socket.socket) -> None:
        self.client = client
        self.behind = 0
        self._rest = b""

    def read(self, piece: bytes) -> list[str]:
        """The statuses of further answers."""
        begins = (self._rest + piece).split(_ANSWER)
        found = [each[:3].decode() for each in begins[1:] if len(each) >= 3]
        last = (_ANSWER if len(begins) > 1 else b"") + begins[-1]
        is_half = last.startswith(_ANSWER) and len(last) < _STATUS
        self._rest = last if is_half else last[-(len(_ANSWER) - 1) :]
        self.behind -= len(found)
        return found


class _Attack:
    """All connections of it, in one loop."""

    def __init__(self, port: int) -> None:
        self.seen: Counter[str] = Counter()
        self._port = port
        self._poll = selectors.DefaultSelector()
        self._guessing: list[_Guessing] = []
        self._slow: set[socket.socket] = set()

    def run(self, seconds: float, slow: int, connections: int, rate: float) -> None:
        """`rate`: wrong secrets a second in all. What is due while every connection is behind is sent later."""
        for _ in range(connections):
            self._open_guessing()
        for _ in range(slow):
            self._open_slow()
        begun = time.monotonic()
        trickle_at = begun
        while (now := time.monotonic()) < begun + seconds:
            self._guess(int((now - begun) * rate))
            if now >= trickle_at:
                trickle_at += _TRICKLE_S
                self._trickle()
            for key, _ in self._poll.select(_TICK_S):
                self._read(key.fileobj, key.data)  # type: ignore[arg-type]

    def _guess(self, due: int) -> None:
        """Until so many were sent since the beginning, on each connection in its turn."""
        for _ in range(len(self._guessing) * _BEHIND_MAX):
            if self.seen["sent"] >= due:
                return
            one = self._guessing.pop(0)
            self._guessing.append(one)
            if one.behind < _BEHIND_MAX:
                with contextlib.suppress(OSError):  # it has hung up, which is seen when it is read
                    one.client.sendall(_WRONG)
                one.behind += 1
                self.seen["sent"] += 1

    def _open(self) -> socket.socket:
        client = socket.create_connection(("127.0.0.1", self._port))
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return client

    def _open_guessing(self) -> None:
        one = _Guessing(self._open())
        self._poll.register(one.client, selectors.EVENT_READ, one)
        self._guessing.append(one)

    def _open_slow(self) -> None:
        client = self._open()
        self._poll.register(client, selectors.EVENT_READ, None)
        client.sendall(_SLOW)
        self._slow.add(client)
        self.seen["slow bodies"] += 1

    def _trickle(self) -> None:
        for client in tuple(self._slow):
            try:
                client.send(b"x")
            except OSError:
                self._hung_up(client, None)

    def _read(self, client: socket.socket, guessing: _Guessing | None) -> None:
        try:
            piece = client.recv(65536)
        except OSError:
            piece = b""
        if not piece or guessing is None:
            self._hung_up(client, guessing)
            return
        self.seen.update(guessing.read(piece))

    def _hung_up(self, client: socket.socket, guessing: _Guessing | None) -> None:
        """It comes again."""
        self._poll.unregister(client)
        client.close()
        if guessing is None:
            self._slow.discard(client)
            self._open_slow()
        else:
            self._guessing.remove(guessing)
            self.seen["hung up"] += 1
            self._open_guessing()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--slow", type=int, required=True)
    parser.add_argument("--connections", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True)
    requested = parser.parse_args()
    attack = _Attack(requested.port)
    attack.run(requested.seconds, requested.slow, requested.connections, requested.rate)
    sys.stdout.write(json.dumps(attack.seen) + "\n")
