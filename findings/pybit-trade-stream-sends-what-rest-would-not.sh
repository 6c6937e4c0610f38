#!/usr/bin/env bash
# pybit 5.17.0 sends over WebSocket what `HTTP.place_order` mends: numbers stay numbers, and None becomes null.
#
# Version: pybit 5.17.0
#
# Guess: `WebSocketTrading.place_order` treats its arguments as `HTTP.place_order` does: quantities become text, what
#   is None is left out.
#
# Behaviour: nothing is cast and nothing is left out: a float leaves as `1e-05`, `price=None` as `null`, and a Decimal
#   raises TypeError.
#
# Why it matters to a relay from TradingView to Bybit: the quicker way to place an order has the same name and the
#   same arguments, and takes others; what was tested over REST is refused or raises here.
#
# Output seen, which is what this script compares with:
#> {'qty': 1e-05} -> [{"category": "linear", "symbol": "BTCUSDT", "qty": 1e-05}]
#> {'qty': '1', 'price': None} -> [{"category": "linear", "symbol": "BTCUSDT", "qty": "1", "price": null}]
#> {'qty': Decimal('0.001')} -> TypeError: Object of type Decimal is not JSON serializable
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

for options in ({"qty": 0.00001}, {"qty": "1", "price": None}, {"qty": Decimal("0.001")}):
    server_side.orders.clear()
    try:
        trade.place_order(lambda _: None, category="linear", symbol="BTCUSDT", **options)
        time.sleep(1)
        print(options, "->", server_side.orders[0].split('"args": ')[1][:-1])
    except TypeError as error:
        print(options, "-> TypeError:", error)
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
