#!/usr/bin/env bash
# In pybit 5.17.0 a private stream whose login the exchange refuses is constructed as if all were well.
#
# Version: pybit 5.17.0, websocket-client 1.9.2
#
# Guess: `WebSocket(channel_type="private", …)` raises when the exchange answers `"success": false` to the login.
#
# Behaviour: the constructor returns at once. The refusal is raised in a thread, where websocket-client catches and
#   logs it; then the connection is closed and not made again. Subscribing meanwhile may raise or not, depending on
#   who is faster.
#
# Why it matters to a relay from TradingView to Bybit: an expired key, a wrong clock or an address that the key is not
#   bound to leaves a relay without fills, positions and wallet, with a log line of another library as the only sign.
#   A clock a little over a second slow is enough, since the login that pybit signs is valid for one second.
#
# Output seen, which is what this script compares with:
#> constructed: WebSocket
#> 5 s later: connected False - connections in all: 1
#> login valid for 1 s
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check pybit==5.17.0 websocket-client==1.9.2 websockets==15.0.1

cat >"$folder/check.py" <<'END'
import json
import logging
import threading
import time

import pybit.unified_trading
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import serve

lines = []


class Lines(logging.Handler):
    def emit(self, record):
        lines.append(record.getMessage())


logging.basicConfig(level=logging.INFO, handlers=[Lines()])


class ServerSide:
    """As much of Bybit's stream as is needed here."""

    login = accepts = True
    connections = subscribed = 0
    socket = login_valid_s = None

    def __call__(self, socket):
        self.socket = socket
        self.connections += 1
        try:
            for text in socket:
                self.answer(socket, json.loads(text))
        except ConnectionClosed:
            pass

    def answer(self, socket, asked):
        if asked["op"] == "auth":
            self.login_valid_s = round(asked["args"][1] / 1000 - time.time())
            socket.send(json.dumps({"success": self.login, "ret_msg": "", "op": "auth", "conn_id": "1"}))
        elif asked["op"] == "subscribe":
            time.sleep(0.3)  # as far away as an exchange is
            answer = {"success": self.accepts, "ret_msg": "" if self.accepts else "error:handler not found"}
            socket.send(json.dumps(answer | {"conn_id": "1", "req_id": asked["req_id"], "op": "subscribe"}))
            self.subscribed += self.accepts

    def push(self, topic, data):
        self.socket.send(json.dumps({"id": "1", "topic": topic, "creationTime": 1, "data": data}))


server_side = ServerSide()
server = serve(server_side, "127.0.0.1", 0)
threading.Thread(target=server.serve_forever, daemon=True).start()
address = f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
pybit.unified_trading.PRIVATE_WSS = address + "/v5/private"
pybit.unified_trading.PUBLIC_WSS = address + "/v5/public/linear"


def connect(channel="private"):
    keys = {"api_key": "key", "api_secret": "secret"} if channel == "private" else {}
    return pybit.unified_trading.WebSocket(channel_type=channel, testnet=False, **keys)


def wait_for(condition):
    until = time.monotonic() + 15
    while not condition() and time.monotonic() < until:
        time.sleep(0.05)

server_side.login = False
stream = connect()
print("constructed:", type(stream).__name__)
wait_for(lambda: not stream.is_connected())
time.sleep(5)
print("5 s later: connected", stream.is_connected(), "- connections in all:", server_side.connections)
print("login valid for", server_side.login_valid_s, "s")
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
