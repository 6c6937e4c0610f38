#!/usr/bin/env bash
# pybit 5.17.0 hands every ticker callback the same dict, and changes it when the next message comes.
#
# Version: pybit 5.17.0
#
# Guess: each message has data of its own, merged from snapshot and deltas.
#
# Behaviour: `message["data"]` is one object for all messages of a topic. One that was put into a queue or a list
#   shows the latest price when it is looked at, and the earlier one is gone.
#
# Why it matters to a relay from TradingView to Bybit: a callback that only queues, as it should in a socket's thread,
#   passes on prices that are not those of their time stamps; a comparison of this price with the last one always
#   finds them equal.
#
# Output seen, which is what this script compares with:
#> prices in the callback:   ['61000', '61001', '61002']
#> of the kept messages:     ['61002', '61002', '61002']
#> the same dict:            True
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

stream = connect("linear")
kept, seen = [], []
stream.ticker_stream("BTCUSDT", lambda message: (kept.append(message), seen.append(message["data"]["lastPrice"])))
wait_for(lambda: server_side.subscribed == 1)
time.sleep(0.5)
for kind, price in (("snapshot", "61000"), ("delta", "61001"), ("delta", "61002")):
    data = {"symbol": "BTCUSDT", "lastPrice": price}
    server_side.socket.send(json.dumps({"topic": "tickers.BTCUSDT", "type": kind, "cs": 1, "ts": 1, "data": data}))
    time.sleep(0.5)
print("prices in the callback:  ", seen)
print("of the kept messages:    ", [message["data"]["lastPrice"] for message in kept])
print("the same dict:           ", all(message["data"] is kept[0]["data"] for message in kept))
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
