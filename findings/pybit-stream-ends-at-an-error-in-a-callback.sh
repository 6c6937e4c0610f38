#!/usr/bin/env bash
# In pybit 5.17.0 an exception in one stream's callback closes the whole connection for good, for all other topics too.
#
# Version: pybit 5.17.0, websocket-client 1.9.2
#
# Guess: the error is logged, and the next message is delivered; at worst the connection is made anew, as after a cut.
#
# Behaviour: websocket-client logs "error from callback … goodbye", the socket is closed, the thread ends, and neither
#   `restart_on_error=True` (the default) nor `retries` bring it back. Nothing is raised where the program could see
#   it; only `is_connected()` tells.
#
# Why it matters to a relay from TradingView to Bybit: one unexpected field in one execution, and the order and
#   position streams are silent from then on, in a process that looks healthy.
#
# Output seen, which is what this script compares with:
#> before: connected True - orders told: ['first']
#> 5 s after an error in the execution callback: connected False
#> connections in all: 1
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

stream = connect()
orders = []
stream.order_stream(orders.append)
wait_for(lambda: server_side.subscribed == 1)
time.sleep(0.5)


def fails(message):
    raise KeyError("execFee")


stream.execution_stream(fails)
wait_for(lambda: server_side.subscribed == 2)
time.sleep(0.5)
server_side.push("order", "first")
wait_for(lambda: len(orders) == 1)
print("before: connected", stream.is_connected(), "- orders told:", [each["data"] for each in orders])
server_side.push("execution", "surprise")
wait_for(lambda: not stream.is_connected())
time.sleep(5)
print("5 s after an error in the execution callback: connected", stream.is_connected())
print("connections in all:", server_side.connections)
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
