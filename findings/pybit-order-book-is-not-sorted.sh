#!/usr/bin/env bash
# The order book that pybit 5.17.0 keeps up to date is out of order after the first change: its first bid is not the best one.
#
# Version: pybit 5.17.0
#
# Guess: `orderbook_stream` merges each delta into the book that it hands over, best price first, as in the exchange's
#   snapshot.
#
# Behaviour: a level that is new is appended at the end, whatever its price. After two changes `b[0]` is 9 while 9.5
#   is bid, and `a[0]` is 11 while 10.5 is offered.
#
# Why it matters to a relay from TradingView to Bybit: "best bid = book['b'][0][0]" is in every example. A limit order
#   placed at the touch, or a check how far the market is from an alert's price, then uses a price that is not the
#   market's. Take max and min.
#
# Output seen, which is what this script compares with:
#> bids [['10', '1'], ['9', '1']] asks [['11', '1'], ['12', '1']] - first: 10 11 - best: 10.0 11.0
#> bids [['9', '1'], ['9.5', '1']] asks [['11', '1'], ['12', '1'], ['10.5', '2']] - first: 9 11 - best: 9.5 10.5
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
books = []
stream.orderbook_stream(50, "BTCUSDT", lambda message: books.append(json.dumps(message["data"])))
wait_for(lambda: server_side.subscribed == 1)
time.sleep(0.5)
for kind, bids, asks in (
    ("snapshot", [["10", "1"], ["9", "1"]], [["11", "1"], ["12", "1"]]),
    ("delta", [["10", "0"], ["9.5", "1"]], [["10.5", "2"]]),
):
    data = {"s": "BTCUSDT", "b": bids, "a": asks, "u": 1, "seq": 1}
    server_side.socket.send(json.dumps({"topic": "orderbook.50.BTCUSDT", "type": kind, "ts": 1, "data": data}))
    time.sleep(0.5)
for book in map(json.loads, books):
    best = max(float(price) for price, _ in book["b"]), min(float(price) for price, _ in book["a"])
    print("bids", book["b"], "asks", book["a"], "- first:", book["b"][0][0], book["a"][0][0], "- best:", *best)
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
