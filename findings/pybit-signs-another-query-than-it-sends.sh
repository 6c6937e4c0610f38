#!/usr/bin/env bash
# pybit 5.17.0 signs a GET's parameters as they were given, and requests 2.34.2 sends them percent-encoded: where the two differ the signature is wrong.
#
# Version: pybit 5.17.0, requests 2.34.2
#
# Guess: what is signed is what is sent, since Bybit checks the query string as it arrives.
#
# Behaviour: pybit joins names and values without encoding and signs that; requests encodes blanks, quotes, brackets
#   and all letters outside ASCII on the way out. The cursors that Bybit gives are encoded already and fit.
#
# Why it matters to a relay from TradingView to Bybit: a symbol with a blank or a letter outside ASCII, a list given
#   where a text belongs, or a cursor that was decoded once, comes back as 10004 "error sign!", which sends people
#   looking for a wrong secret.
#
# Output seen, which is what this script compares with:
#> signature right category=linear&symbol=BTCUSDT
#> signature right category=linear&cursor=page%3D2
#> signature wrong category=linear&symbol=BTC%20USDT
#> signature wrong category=linear&symbol=%C3%96LUSDT
#> signature wrong category=linear&symbol=%5B'BTCUSDT',%20'ETHUSDT'%5D
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

import hashlib
import hmac

from pybit.unified_trading import HTTP

session = HTTP(api_key="key", api_secret="secret")
session.endpoint = url
for options in (
    {"symbol": "BTCUSDT"},
    {"cursor": "page%3D2"},
    {"symbol": "BTC USDT"},
    {"symbol": "ÖLUSDT"},
    {"symbol": ["BTCUSDT", "ETHUSDT"]},
):
    asked.clear()
    session.get_open_orders(category="linear", **options)
    _, path, _, headers = asked[0]
    query = path.split("?")[1]
    message = headers["X-BAPI-TIMESTAMP"] + "key" + headers["X-BAPI-RECV-WINDOW"] + query
    right = hmac.new(b"secret", message.encode(), hashlib.sha256).hexdigest() == headers["X-BAPI-SIGN"]
    print("signature right" if right else "signature wrong", query)
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
