#!/usr/bin/env bash
# pybit 5.17.0 ends its retries of 10002 and 10006 with an HTTP status 400 that nobody sent, and forgets the exchange's code.
#
# Version: pybit 5.17.0 (requests 2.34.2)
#
# Guess: when the tries are used up, the error carries the exchange's last `retCode` and message.
#
# Behaviour: FailedRequestError with `status_code` 400 and "Bad Request. Retries exceeded maximum."; neither code nor
#   message of the exchange is in it. Every answer was HTTP 200. To ask for no retries with `retry_codes=set()` does
#   not work: the empty set counts as not given, and three orders are sent where one was meant; `{0}` sends once and
#   keeps the code.
#
# Why it matters to a relay from TradingView to Bybit: 10002 (the clock is wrong) and 10006 (too fast) want opposite
#   reactions, and both look like a malformed request. And each try is a new order on the wire, signed anew, up to
#   three within seconds.
#
# Output seen, which is what this script compares with:
#> 10002 {} -> FailedRequestError 400 'Bad Request. Retries exceeded maximum.'
#>     sent 3 times, recv_window [5000, 7500, 10000]
#> 10002 {'retry_codes': set()} -> FailedRequestError 400 'Bad Request. Retries exceeded maximum.'
#>     sent 3 times, recv_window [5000, 7500, 10000]
#> 10002 {'retry_codes': {0}} -> InvalidRequestError 10002 'words of the exchange'
#>     sent 1 times, recv_window [5000]
#> 10006 {'max_retries': 1} -> FailedRequestError 400 'Bad Request. Retries exceeded maximum.'
#>     sent 1 times, recv_window [5000]
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


def order(code, **options):
    session = HTTP(api_key="key", api_secret="secret", retry_delay=0, **options)
    session.endpoint = url
    asked.clear()
    text = json.dumps({"retCode": code, "retMsg": "words of the exchange", "result": {}})
    answers[:] = [(200, {}, text)] * 5
    try:
        session.place_order(category="linear", symbol="BTCUSDT")
    except Exception as error:
        windows = [int(headers["X-BAPI-RECV-WINDOW"]) for *_, headers in asked]
        print(code, options, "->", type(error).__name__, error.status_code, repr(error.message))
        print(f"    sent {len(asked)} times, recv_window {windows}")


order(10002)
order(10002, retry_codes=set())
order(10002, retry_codes={0})
order(10006, max_retries=1)
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
