#!/usr/bin/env bash
# In pybit 5.17.0 the callback of an order over WebSocket is called when the order is taken, and never when it is refused or its answer is lost.
#
# Version: pybit 5.17.0
#
# Guess: the callback gets the exchange's answer, whatever its `retCode`; when the connection is lost before, it or
#   the caller gets an error.
#
# Behaviour: a `retCode` other than 0 goes to the log and nowhere else. After a cut the connection is made anew, and
#   of the order in between nothing is ever heard. `place_order` itself returned None at once each time.
#
# Why it matters to a relay from TradingView to Bybit: "not called yet" means taken soon, refused or unknown alike. A
#   relay that waits for the callback hangs on each refusal for want of balance; it has to keep a clock of its own and
#   look the order up by `orderLinkId`.
#
# Output seen, which is what this script compares with:
#> taken                  returned None, orders that arrived 1, callback called 1 times
#> refused, 110007        returned None, orders that arrived 1, callback called 0 times
#> cut before the answer  returned None, orders that arrived 1, callback called 0 times
#> connections: 2 - connected: True
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
from decimal import Decimal

import pybit._websocket_trading
from pybit.unified_trading import WebSocketTrading
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import serve

logging.disable()


class ServerSide:
    """As much of Bybit's order entry over WebSocket as is needed here."""

    code, cuts, connections = 0, False, 0

    def __init__(self):
        self.orders = []

    def __call__(self, socket):
        self.connections += 1
        try:
            for text in socket:
                asked = json.loads(text)
                if asked["op"] != "auth":
                    self.orders.append(text)
                    time.sleep(0.2)  # as far away as an exchange is
                if asked["op"] != "auth" and self.cuts:
                    socket.socket.shutdown(2)
                    return
                code = 0 if asked["op"] == "auth" else self.code
                told = {"reqId": asked.get("reqId"), "retCode": code, "retMsg": "", "op": asked["op"], "connId": "1"}
                socket.send(json.dumps(told | {"data": {}, "header": {}}))
        except ConnectionClosed:
            pass


server_side = ServerSide()
server = serve(server_side, "127.0.0.1", 0)
threading.Thread(target=server.serve_forever, daemon=True).start()
pybit._websocket_trading.TRADE_WSS = f"ws://127.0.0.1:{server.socket.getsockname()[1]}/v5/trade"
trade = WebSocketTrading(testnet=False, api_key="key", api_secret="secret")
time.sleep(0.5)

for words, code, cuts in (("taken", 0, False), ("refused, 110007", 110007, False), ("cut before the answer", 0, True)):
    server_side.code, server_side.cuts = code, cuts
    server_side.orders.clear()
    told = []
    returned = trade.place_order(told.append, category="linear", symbol="BTCUSDT", side="Buy", orderType="Market", qty="1")
    time.sleep(4)
    print(f"{words:22} returned {returned}, orders that arrived {len(server_side.orders)}, callback called {len(told)} times")
print("connections:", server_side.connections, "- connected:", trade.is_connected())
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
