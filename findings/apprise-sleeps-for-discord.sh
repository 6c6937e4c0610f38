#!/usr/bin/env bash
# Apprise 2.2.0 sleeps inside `notify` when Discord says that the limit is used up, ten seconds longer than Discord asked.
#
# Version: apprise 2.2.0
#
# Guess: `notify` returns at once; whoever calls it decides when to send the next.
#
# Behaviour: after an answer with `X-RateLimit-Remaining: 0` and a reset five seconds ahead, the next `notify` blocks
#   its thread for about 15 seconds before it sends.
#
# Why it matters to a relay from TradingView to Bybit: a bot that tells of each fill from the thread that trades
#   stands still for a quarter of a minute in a busy moment, though each message "succeeds". Notify from a thread of
#   its own, and collect.
#
# Output seen, which is what this script compares with:
#> SUCCESS, took no time; then told: nothing left, reset in 5 s
#> SUCCESS, took over 10 s; then told: plenty left
#> SUCCESS, took no time; then told: plenty left
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

import time

import apprise.plugins.discord
from apprise import Apprise

apprise.plugins.discord.NotifyDiscord.notify_url = url + "/webhooks"
service = Apprise()
service.add("discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js")
for words, remaining in (("nothing left, reset in 5 s", "0"), ("plenty left", "9"), ("plenty left", "9")):
    answers.append((204, {"X-RateLimit-Remaining": remaining, "X-RateLimit-Reset": str(int(time.time()) + 5)}, ""))
    begun = time.monotonic()
    outcome = service.notify(body="filled").status.name
    took = time.monotonic() - begun
    print(f"{outcome}, took {'over 10 s' if took > 10 else 'over 4 s' if took > 4 else 'no time'}; then told: {words}")
END

seen=$(timeout 90 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
