"""A network's distance: a TCP proxy that holds back every byte for half a round trip, each way."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys


async def _residual(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay_s: float) -> None:
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def deliver() -> None:
        while True:
            due, piece = await queue.get()
            await asyncio.sleep(max(0.0, due - loop.time()))
            if not piece:
                break
            writer.write(piece)
            with contextlib.suppress(ConnectionError):
                await writer.drain()
        with contextlib.suppress(ConnectionError, OSError):
            writer.close()

    delivering = asyncio.create_task(deliver())
    with contextlib.suppress(ConnectionError):
        while piece := await reader.read(65536):
            queue.put_nowait((loop.time() + delay_s, piece))
    queue.put_nowait((loop.time() + delay_s, b""))
    await delivering


async def _serve(to_port: int, round_trip_ms: float) -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        near_reader, near_writer = await asyncio.open_connection("127.0.0.1", to_port)
        delay_s = round_trip_ms / 2000
        await asyncio.gather(_residual(reader, near_writer, delay_s), _residual(near_reader, writer, delay_s))

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--to", type=int, required=True)
    parser.add_argument("--round-trip-ms", type=float, required=True)
    requested = parser.parse_args()
    asyncio.run(_serve(requested.to, requested.round_trip_ms))
