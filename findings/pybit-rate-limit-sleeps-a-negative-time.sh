#!/usr/bin/env bash
# pybit 5.17.0 answers a rate limit whose reset has passed already with "sleep length must be non-negative".
#
# Version: pybit 5.17.0 (requests 2.34.2)
#
# Guess: on 10006 it waits until the moment that `X-Bapi-Limit-Reset-Timestamp` names, or not at all when that is
#   over, and tries again.
#
# Behaviour: it subtracts its own clock from the header and hands the result to `time.sleep`: a reset one second ago,
#   which a local clock slightly ahead is enough for, raises ValueError out of `place_order`, without a second try.
#
# Why it matters to a relay from TradingView to Bybit: the order was refused (10006 is certain) and worth repeating;
#   what the caller sees is a ValueError that says nothing of an exchange. Code that takes unknown exceptions for
#   unknown outcomes then looks for an order that never was.
#
# Output seen, which is what this script compares with:
#> reset half a second ahead: OK; sent 2 times
#> reset a second ago: ValueError: sleep length must be non-negative; sent 1 times
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

import time

from pybit.unified_trading import HTTP

session = HTTP(api_key="key", api_secret="secret", max_retries=3, retry_delay=0)
session.endpoint = url
limited = '{"retCode": 10006, "retMsg": "Too many visits!", "result": {}}'
for words, offset_ms in (("half a second ahead", 500), ("a second ago", -1000)):
    asked.clear()
    answers[:] = [(200, {"X-Bapi-Limit-Reset-Timestamp": str(int(time.time() * 1000) + offset_ms)}, limited)]
    try:
        outcome = session.place_order(category="linear", symbol="BTCUSDT")["retMsg"]
    except Exception as error:
        outcome = f"{type(error).__name__}: {error}"
    print(f"reset {words}: {outcome}; sent {len(asked)} times")
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
