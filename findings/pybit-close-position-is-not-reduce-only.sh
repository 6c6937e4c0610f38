#!/usr/bin/env bash
# pybit 5.17.0's helper `close_position` sends plain market orders without `reduceOnly`.
#
# Version: pybit 5.17.0
#
# Guess: it sends a reduce-only market order of the whole size.
#
# Behaviour: it reads the position and sends the opposite side in the size it read; nothing keeps that order from
#   opening a position when the first one is smaller or gone by then. Without a position it does nothing.
#
# Why it matters to a relay from TradingView to Bybit: a stop loss that fires between the two calls turns "close" into
#   a new position in the other direction, unprotected. Pass `reduceOnly=True` in an order of one's own.
#
# Output seen, which is what this script compares with:
#> long 0.5: [{'category': 'linear', 'symbol': 'BTCUSDT', 'side': 'Sell', 'qty': '0.5', 'orderType': 'Market', 'positionIdx': 0}] - reduceOnly: [None]
#> flat: [] - reduceOnly: []
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check pybit==5.17.0 requests==2.34.2

cat >"$folder/check.py" <<'END'
import json
import logging
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

logging.disable()
OK = '{"retCode": 0, "retMsg": "OK", "result": {}}'
asked = []
answers = []


class Exchange(BaseHTTPRequestHandler):
    """Answers with what stands in `answers` (status, headers, text), and then always with OK."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        asked.append((self.command, self.path, body, dict(self.headers)))
        status, headers, text = answers.pop(0) if answers else (200, {}, OK)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    do_GET = do_POST

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Exchange)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}"

from pybit.helpers import Helpers
from pybit.unified_trading import HTTP

session = HTTP(api_key="key", api_secret="secret")
session.endpoint = url
for words, row in (
    ("long 0.5", {"symbol": "BTCUSDT", "side": "Buy", "size": "0.5", "positionIdx": 0}),
    ("flat", {"symbol": "BTCUSDT", "side": "", "size": "0", "positionIdx": 0}),
):
    asked.clear()
    answers.append((200, {}, json.dumps({"retCode": 0, "retMsg": "OK", "result": {"list": [row]}})))
    Helpers(session).close_position(category="linear", symbol="BTCUSDT")
    orders = [json.loads(body) for _, path, body, _ in asked if path == "/v5/order/create"]
    print(f"{words}: {orders} - reduceOnly: {[each.get('reduceOnly') for each in orders]}")
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
