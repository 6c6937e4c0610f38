#!/usr/bin/env bash
# pybit 5.17.0 takes any JSON object without an error code for a successful order.
#
# Version: pybit 5.17.0 (requests 2.34.2)
#
# Guess: an answer that carries no `retCode` raises, as one that is no JSON does.
#
# Behaviour: with HTTP 200, `{}`, `{"message": …}` and a `retCode` of null are returned as if the order had been
#   placed. A JSON list or null raises AttributeError or TypeError, which are none of the library's errors.
#
# Why it matters to a relay from TradingView to Bybit: gateways, proxies and maintenance pages between a relay and the
#   exchange answer in JSON as well. "No exception" does not mean that an order was taken: look for `retCode` 0 and an
#   `orderId`.
#
# Output seen, which is what this script compares with:
#> {}                                                               returned {}
#> {"message": "service unavailable"}                               returned {'message': 'service unavailable'}
#> {"ret_code": 10018, "ret_msg": "rate limit", "result": null}     InvalidRequestError: rate limit (ErrCode: 10018)
#> {"retCode": null}                                                returned {'retCode': None}
#> []                                                               AttributeError: 'list' object has no attribute 'get'
#> null                                                             TypeError: argument of type 'NoneType' is not iterable
#> maintenance                                                      FailedRequestError: Conflict. could not decode json. (ErrCode: 409)
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
for text in (
    "{}",
    '{"message": "service unavailable"}',
    '{"ret_code": 10018, "ret_msg": "rate limit", "result": null}',
    '{"retCode": null}',
    "[]",
    "null",
    "maintenance",
):
    answers.append((200, {}, text))
    try:
        print(f"{text:64} returned {session.place_order(category='linear', symbol='BTCUSDT', side='Buy', qty='1')}")
    except Exception as error:
        print(f"{text:64} {type(error).__name__}: {str(error).split(' (ErrTime')[0]}")
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
