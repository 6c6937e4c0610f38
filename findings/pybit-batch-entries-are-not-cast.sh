#!/usr/bin/env bash
# pybit 5.17.0 sends an order's quantity as text when the order goes alone, and as a bare JSON number when it goes in a batch.
#
# Version: pybit 5.17.0 (requests 2.34.2)
#
# Guess: `place_batch_order` treats each entry like `place_order` treats its arguments.
#
# Behaviour: the entries of `request` are not looked at. A float goes out as `1e-05`, which is no string and has an
#   exponent; a Decimal raises TypeError. The same fields given to `place_order` are sent, as strings.
#
# Why it matters to a relay from TradingView to Bybit: whoever closes several positions at once, or places a ladder of
#   take profits, moves working code from `place_order` to a batch and finds that it never worked with Decimal there,
#   in the moment in which many orders hang on it.
#
# Output seen, which is what this script compares with:
#> alone, Decimal:  {"category": "linear", "symbol": "BTCUSDT", "side": "Buy", "orderType": "Market", "positionIdx": 0, "qty": "0.001"}
#> batch, Decimal:  TypeError: Object of type Decimal is not JSON serializable
#> alone, integer:  {"category": "linear", "symbol": "BTCUSDT", "side": "Buy", "orderType": "Market", "positionIdx": 0, "qty": "1"}
#> batch, integer:  {"category": "linear", "request": [{"symbol": "BTCUSDT", "side": "Buy", "orderType": "Market", "positionIdx": 0, "qty": 1}]}
#> batch, float:    {"category": "linear", "request": [{"symbol": "BTCUSDT", "side": "Buy", "orderType": "Market", "positionIdx": 0, "qty": 1e-05}]}
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

from decimal import Decimal

from pybit.unified_trading import HTTP

session = HTTP(api_key="key", api_secret="secret")
session.endpoint = url


def call(words, method, **fields):
    asked.clear()
    try:
        method(category="linear", **fields)
        print(words, asked[0][2])
    except TypeError as error:
        print(words, "TypeError:", error)


order = {"symbol": "BTCUSDT", "side": "Buy", "orderType": "Market", "positionIdx": 0}
call("alone, Decimal: ", session.place_order, **order, qty=Decimal("0.001"))
call("batch, Decimal: ", session.place_batch_order, request=[order | {"qty": Decimal("0.001")}])
call("alone, integer: ", session.place_order, **order, qty=1)
call("batch, integer: ", session.place_batch_order, request=[order | {"qty": 1}])
call("batch, float:   ", session.place_batch_order, request=[order | {"qty": 0.00001}])
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
