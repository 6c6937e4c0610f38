#!/usr/bin/env bash
# requests 2.34.2 with `HTTPAdapter(max_retries=3)` sends a DELETE whose answer was lost four times; its documentation says "never".
#
# Version: requests 2.34.2, urllib3 2.8.0
#
# Guess: as documented, retries are for "failed DNS lookups, socket connections and connection timeouts, never [for]
#   requests where data has made it to the server"; an answer of 503 is handed to the caller.
#
# Behaviour: the number becomes urllib3's `Retry(3)`, which repeats every method but POST and PATCH when the connection ends
#   before the answer, and on 413, 429 and 503 with `Retry-After` sleeps as long as the server says and repeats as well.
#   `Retry(3, read=0, status=0)` repeats connecting only.
#
# Why it matters to a relay from TradingView to Bybit: Bybit's orders are POSTs and safe from this; cancelling by DELETE, as
#   other exchanges and a relay's own API have it, and PUT of a setting are not: the second DELETE may meet what was placed
#   in between. A `Retry-After` of minutes holds the thread that was to close a position, whatever its `timeout`.
#
# Output seen, which is what this script compares with:
#> max_retries=3               answer lost   GET 4  DELETE 4  PUT 4  POST 1
#> max_retries=3               503, 1 s      GET 4  DELETE 4  PUT 4  POST 1
#> Retry(3, read=0, status=0)  answer lost   GET 1  DELETE 1  PUT 1  POST 1
#> Retry(3, read=0, status=0)  503, 1 s      GET 1  DELETE 1  PUT 1  POST 1
#> a GET slept at least 3 s in all: True
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check requests==2.34.2 urllib3==2.8.0

cat >"$folder/check.py" <<'END'
import http.server
import threading
import time

import requests
from requests.adapters import HTTPAdapter
from urllib3 import Retry

arrived = []


class Server(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        arrived.append(self.command)
        if self.path == "/lost":
            self.close_connection = True
            return
        self.send_response(503)
        self.send_header("Retry-After", "1")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass

    do_GET = do_POST = do_DELETE = do_PUT = answer


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
server.daemon_threads = True
threading.Thread(target=server.serve_forever, daemon=True).start()
slept = 0.0
for words, retries in (("max_retries=3", 3), ("Retry(3, read=0, status=0)", Retry(3, read=0, status=0))):
    session = requests.Session()
    session.trust_env = False
    session.mount("http://", HTTPAdapter(max_retries=retries))
    for path, what in (("lost", "answer lost"), ("busy", "503, 1 s")):
        counts = []
        for method in ("GET", "DELETE", "PUT", "POST"):
            arrived.clear()
            begin = time.monotonic()
            try:
                session.request(method, f"http://127.0.0.1:{server.server_port}/{path}", timeout=20)
            except requests.RequestException:
                pass
            if (method, path, retries) == ("GET", "busy", 3):
                slept = time.monotonic() - begin
            counts.append(f"{method} {len(arrived)}")
        print(f"{words:27} {what:12}  {'  '.join(counts)}")
print("a GET slept at least 3 s in all:", slept >= 3)
END

seen=$(timeout 90 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
