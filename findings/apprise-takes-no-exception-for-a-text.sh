#!/usr/bin/env bash
# Apprise 2.2.0 answers a body that is no text, an exception or a number, with a plain failure: nothing is sent, and nothing is raised.
#
# Version: apprise 2.2.0
#
# Guess: `notify(body=error)` sends the text of the error, or raises TypeError.
#
# Behaviour: nothing is sent. The result says FAILURE, like that of a service which is down. Bytes are taken.
#
# Why it matters to a relay from TradingView to Bybit: `notify(body=error)` in the branch for the worst case is the
#   one line that nobody tries out; and a relay that repeats what a service did not take repeats it for ever.
#
# Output seen, which is what this script compares with:
#> 'text'                                        SUCCESS, sent 1
#> b'bytes'                                      SUCCESS, sent 1
#> ValueError('110007: insufficient balance')    FAILURE, sent 0
#> Decimal('61000.5')                            FAILURE, sent 0
#> None                                          FAILURE, sent 0
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check apprise==2.2.0

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

from apprise import Apprise

service = Apprise()
service.add(f"json://127.0.0.1:{server.server_port}/")
for body in ("text", b"bytes", ValueError("110007: insufficient balance"), Decimal("61000.5"), None):
    asked.clear()
    try:
        outcome = service.notify(body=body).status.name
    except Exception as error:
        outcome = f"raises {type(error).__name__}"
    print(f"{body!r:45} {outcome}, sent {len(asked)}")
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
