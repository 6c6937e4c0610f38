#!/usr/bin/env bash
# In Apprise 2.2.0 a delivered message is neither `is True` nor `== True`, and the result's count also counts what was not delivered.
#
# Version: apprise 2.2.0
#
# Guess: `notify()` returns something that equals True or False, as in all 1.x versions; `count` is the number of
#   services that took the message.
#
# Behaviour: it returns an AppriseResult: truthy when all went well, but equal to no bool, and not None either where
#   1.x returned None (no service matched). `count` is how many services were asked: a failure has count=1.
#
# Why it matters to a relay from TradingView to Bybit: `if notify(...) is True`, `== False` and `is None` stop working
#   without an error: a relay that marks a notice as told only then tells it again for ever, or takes a failure for a
#   success.
#
# Output seen, which is what this script compares with:
#> delivered  <AppriseResult status='SUCCESS' count=1>: bool True, == True False, == False False, is True False
#> refused    <AppriseResult status='FAILURE' count=1>: bool False, == True False, == False False, is True False
#> no service <AppriseResult status='NOMATCH' count=0>: bool False, == None False, == False False
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

from apprise import Apprise

service = Apprise()
service.add(f"json://127.0.0.1:{server.server_port}/")
for words, status in (("delivered", 200), ("refused", 500)):
    answers.append((status, {}, "{}"))
    told = service.notify(body="filled")
    print(f"{words:10} {told!r}: bool {bool(told)}, == True {told == True}, == False {told == False}, is True {told is True}")
told = Apprise().notify(body="filled")
print(f"{'no service':10} {told!r}: bool {bool(told)}, == None {told == None}, == False {told == False}")
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
