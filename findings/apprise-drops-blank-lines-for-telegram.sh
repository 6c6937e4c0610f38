#!/usr/bin/env bash
# Apprise 2.2.0 removes the blank lines of a plain text on its way to Telegram.
#
# Version: apprise 2.2.0
#
# Guess: line breaks of a text arrive as they were written.
#
# Behaviour: with `body_format="text"`, and without a format, runs of line breaks become one; leading ones may stay.
#   With "html" or "markdown" they are kept.
#
# Why it matters to a relay from TradingView to Bybit: a summary whose parts are set apart by blank lines arrives as
#   one block. What is safe against `<` and `&` (`body_format="text"`) is what loses them.
#
# Output seen, which is what this script compares with:
#> None      'filled:\nBTC 0.1\r\nrefused:\nETH 2\r\nend'
#> text      'filled:\r\nBTC 0.1\r\nrefused:\r\nETH 2\r\nend'
#> html      'filled:\r\nBTC 0.1\r\n\r\nrefused:\r\nETH 2\r\n\r\n\r\nend'
#> markdown  'filled:\nBTC 0.1\n\nrefused:\nETH 2\n\n\nend'
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

import apprise.plugins.telegram
from apprise import Apprise

apprise.plugins.telegram.NotifyTelegram.notify_url = url + "/bot"
service = Apprise()
service.add("tgram://123456789:abcdefghijklmnopqrstuvwxyzABCDEFGHI/11111/")
for form in (None, "text", "html", "markdown"):
    asked.clear()
    service.notify(body="filled:\nBTC 0.1\n\nrefused:\nETH 2\n\n\nend", **({"body_format": form} if form else {}))
    print(f"{form!s:9} {json.loads(asked[0][2])['text']!r}")
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
