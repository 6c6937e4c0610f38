#!/usr/bin/env bash
# pybit 5.17.0 casts quantities to text with `str()`: small ones leave as `1e-05`, and True as "True".
#
# Version: pybit 5.17.0 (requests 2.34.2)
#
# Guess: a library that turns an order's numbers into text writes them as the exchange's documentation does, with
#   digits and a point: `0.00001`.
#
# Behaviour: `str(value)`, whatever the value: floats below 0.0001 and Decimals below 0.000001 get an exponent, binary
#   noise is sent whole (`0.30000000000000004`), and a boolean becomes the word "True". `positionIdx` goes through
#   `int()`: True becomes 1, which is the long side of hedge mode, and "0.0" raises ValueError.
#
# Why it matters to a relay from TradingView to Bybit: quantity steps of 0.00001 and smaller are common, and `price +
#   offset` in floats too. Format with `format(value, "f")` before pybit sees it.
#
# Output seen, which is what this script compares with:
#> qty=0.0001                   leaves as '0.0001'
#> qty=1e-05                    leaves as '1e-05'
#> qty=Decimal('0.000001')      leaves as '0.000001'
#> qty=Decimal('1E-7')          leaves as '1E-7'
#> qty=Decimal('1E+2')          leaves as '1E+2'
#> price=0.30000000000000004      leaves as '0.30000000000000004'
#> qty=True                     leaves as 'True'
#> positionIdx=True                     leaves as 1
#> positionIdx='0.0'                    ValueError: invalid literal for int() with base 10: '0.0'
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
for name, value in (
    ("qty", 0.0001),
    ("qty", 0.00001),
    ("qty", Decimal("0.000001")),
    ("qty", Decimal("0.0000001")),
    ("qty", Decimal("1E+2")),
    ("price", 0.1 + 0.2),
    ("qty", True),
    ("positionIdx", True),
    ("positionIdx", "0.0"),
):
    asked.clear()
    try:
        session.place_order(category="linear", symbol="BTCUSDT", **{name: value})
        print(f"{name}={value!r:24} leaves as {json.loads(asked[0][2])[name]!r}")
    except ValueError as error:
        print(f"{name}={value!r:24} ValueError: {error}")
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
