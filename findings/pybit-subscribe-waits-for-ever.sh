#!/usr/bin/env bash
# In pybit 5.17.0 a subscription on a stream whose connection has ended never returns, raises nothing and connects nothing.
#
# Version: pybit 5.17.0, websocket-client 1.9.2
#
# Guess: a subscription on a connection that has ended makes a new one first, or raises; at the latest once pybit
#   itself has given up reconnecting.
#
# Behaviour: `order_stream`, `ticker_stream` and the like sleep in a loop until the connection is open, without a limit
#   and whether or not anybody is still making one. Where the exchange was away for longer than the ten attempts of the
#   default (which follow each other at once), where `restart_on_error` is False, or after `exit()`, nobody is: the call
#   never returns, although the exchange is there to be connected to.
#
# Why it matters to a relay from TradingView to Bybit: a program that adds a symbol's or an account's topic while it
#   runs, in the thread that takes alerts, stands still from then on, without an error or a line in its log. Ask
#   `is_connected()` first, and subscribe in a thread that may be given up.
#
# Output seen, which is what this script compares with:
#> the exchange was away for 10 s, restart_on_error=True  the subscription has not returned in 10 s; connections in all: 1
#> the connection was cut, restart_on_error=False         the subscription has not returned in 10 s; connections in all: 1
#> the program called exit()                              the subscription has not returned in 10 s; connections in all: 1
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check pybit==5.17.0 websocket-client==1.9.2 websockets==15.0.1

cat >"$folder/check.py" <<'END'
import logging
import os
import socket
import threading
import time

import pybit.unified_trading
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import serve

logging.disable()
threading.excepthook = lambda _: None


class ServerSide:
    """A public stream that can be cut off and comes back at the same port."""

    def __init__(self):
        self.connections, self.port = [], 0
        self.begin()

    def begin(self):
        self.server = serve(self.handle, "127.0.0.1", self.port)
        self.port = self.server.socket.getsockname()[1]
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def handle(self, connection):
        self.connections.append(connection)
        try:
            for _ in connection:
                pass
        except ConnectionClosed:
            pass

    def end(self):
        self.server.shutdown()
        self.thread.join(5)
        self.cut()

    def cut(self):
        for each in self.connections:
            try:
                each.socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def wait_for(condition, seconds=15):
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        time.sleep(0.05)


def subscribe(stream, came):
    try:
        stream.ticker_stream("BTCUSDT", print)
        came.append("returned")
    except Exception as error:
        came.append(f"raised {type(error).__name__}")


def away_and_back(stream, server_side):
    server_side.end()
    time.sleep(10)  # pybit reconnects at once, if at all
    server_side.begin()
    time.sleep(5)


def cut(stream, server_side):
    server_side.cut()
    wait_for(lambda: not stream.is_connected())


def left(stream, server_side):
    stream.exit()


for what, happens, options in (
    ("the exchange was away for 10 s, restart_on_error=True ", away_and_back, {}),
    ("the connection was cut, restart_on_error=False        ", cut, {"restart_on_error": False}),
    ("the program called exit()                             ", left, {}),
):
    server_side, came = ServerSide(), []
    pybit.unified_trading.PUBLIC_WSS = f"ws://127.0.0.1:{server_side.port}/v5/public/linear"
    stream = pybit.unified_trading.WebSocket(channel_type="linear", testnet=False, **options)
    wait_for(lambda: server_side.connections)
    happens(stream, server_side)
    threading.Thread(target=subscribe, args=(stream, came), daemon=True).start()
    wait_for(lambda: came, 10)
    said = came[0] if came else "has not returned in 10 s"
    print(f"{what} the subscription {said}; connections in all: {len(server_side.connections)}", flush=True)
os._exit(0)
END

seen=$(timeout 120 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
