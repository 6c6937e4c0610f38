#!/usr/bin/env bash
# pybit 5.17.0 (with requests 2.34.2) answers a redirect of an order with a GET without the order, and calls what comes back a success.
#
# Version: pybit 5.17.0, requests 2.34.2
#
# Guess: a signed POST is never redirected: the library raises on 301 and 302, as on any other status that is not 200.
#
# Behaviour: the session of requests beneath it follows the redirect, turns POST into GET, drops the body, and sends
#   the key and the now meaningless signature along to the new path; an answer of 200 with JSON there is returned from
#   `place_order`.
#
# Why it matters to a relay from TradingView to Bybit: a host that moves, or a proxy that redirects to a page of its
#   own, makes orders vanish while each call "succeeds". An order should never be redirected: send with
#   `allow_redirects=False` beneath, and check for `orderId`.
#
# Output seen, which is what this script compares with:
#> 301 place_order returned {'retCode': 0, 'retMsg': 'OK', 'result': {}}
#>     POST /v5/order/create body of 70 bytes, with signature
#>     GET /v5/elsewhere body of 0 bytes, with signature
#> 302 place_order returned {'retCode': 0, 'retMsg': 'OK', 'result': {}}
#>     POST /v5/order/create body of 70 bytes, with signature
#>     GET /v5/elsewhere body of 0 bytes, with signature
#> 307 place_order returned {'retCode': 0, 'retMsg': 'OK', 'result': {}}
#>     POST /v5/order/create body of 70 bytes, with signature
#>     POST /v5/elsewhere body of 70 bytes, with signature
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

from pybit.unified_trading import HTTP

session = HTTP(api_key="key", api_secret="secret")
session.endpoint = url
for status in (301, 302, 307):
    asked.clear()
    answers.append((status, {"Location": url + "/v5/elsewhere"}, ""))
    answer = session.place_order(category="linear", symbol="BTCUSDT", side="Buy", qty="1")
    print(status, "place_order returned", answer)
    for method, path, body, headers in asked:
        print("   ", method, path, f"body of {len(body)} bytes,", "with signature" if "X-BAPI-SIGN" in headers else "unsigned")
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
