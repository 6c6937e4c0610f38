"""What a stranger may do to the port, as a process: bodies that trickle in, and secrets guessed as fast as told.

Prints one line of JSON at its end: how many answers of each status there were, and how many slow bodies were begun.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
import time
from collections import Counter

_TRICKLE_S = 0.25
_BODY = b'{"secret": "not-the-secret-of-anybody", "action": "heartbeat"}'
_WRONG = b"POST /webhook HTTP/1.1\r\nHost: bench\r\nContent-Length: %d\r\n\r\n%s" % (len(_BODY), _BODY)
_SLOW = b'POST /webhook HTTP/1.1\r\nHost: bench\r\nContent-Length: 4000\r\n\r\n{"secret": "'


async def _slow(port: int, until: float, seen: Counter[str]) -> None:
    """A byte now and then; hung up on, it comes again."""
    while time.monotonic() < until:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            seen["slow bodies"] += 1
            writer.write(_SLOW)
            answer = asyncio.create_task(reader.read(4096))
            while time.monotonic() < until and not answer.done():
                writer.write(b"x")
                await asyncio.wait({answer}, timeout=_TRICKLE_S)
            answer.cancel()
            writer.close()


async def _wrong(port: int, until: float, rate: float, seen: Counter[str]) -> None:
    """On one connection as long as it is left open, each post as soon as the one before is answered and it is time."""
    due = time.monotonic()
    while time.monotonic() < until:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            while time.monotonic() < until:
                writer.write(_WRONG)
                seen[await _status(reader)] += 1
                due += 1 / rate
                await asyncio.sleep(max(0.0, due - time.monotonic()))
            writer.close()
        except (OSError, asyncio.IncompleteReadError):
            seen["hung up"] += 1
            await asyncio.sleep(0.05)


async def _status(reader: asyncio.StreamReader) -> str:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = next((line for line in head.split("\r\n") if line.startswith("content-length:")), "content-length: 0")
    await reader.readexactly(int(length.split(":")[1]))
    return head.split()[1]


async def _attack(port: int, seconds: float, slow: int, connections: int, rate: float) -> Counter[str]:
    seen: Counter[str] = Counter()
    until = time.monotonic() + seconds
    await asyncio.gather(
        *(_slow(port, until, seen) for _ in range(slow)),
        *(_wrong(port, until, rate / connections, seen) for _ in range(connections)),
    )
    return seen


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--slow", type=int, required=True)
    parser.add_argument("--connections", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True)
    asked = parser.parse_args()
    sys.stdout.write(json.dumps(asyncio.run(_attack(*vars(asked).values()))) + "\n")
