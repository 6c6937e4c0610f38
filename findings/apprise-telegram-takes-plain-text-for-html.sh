#!/usr/bin/env bash
# Apprise 2.2.0 sends plain text to Telegram as HTML without escaping it, unless `body_format` says that it is text; `?format=text` in the address changes nothing.
#
# Version: apprise 2.2.0
#
# Guess: what is given without a format counts as plain text: `<` and `&` are escaped for Telegram's parse mode;
#   `format=text` sends it without a parse mode.
#
# Behaviour: `parse_mode` is always "HTML" (or a Markdown), and "limit 5 < 6 & rising" goes out as it is. Only
#   `notify(..., body_format="text")` escapes it. Telegram's documentation demands that `<`, `>` and `&` be written as
#   entities in this mode; text that is no valid markup is refused with status 400.
#
# Why it matters to a relay from TradingView to Bybit: the reason that a relay reports often quotes an alert or a
#   rule: "price < stop", "S&P". Just that message is the one that is never delivered, each time that it is tried
#   again.
#
# Output seen, which is what this script compares with:
#> address as it is   no body_format           HTML: limit 5 < 6 & rising
#> ?format=text       no body_format           HTML: limit 5 < 6 & rising
#> address as it is   {'body_format': 'text'}  HTML: limit 5 &lt; 6 &amp; rising
#> ?format=text       {'body_format': 'text'}  HTML: limit 5 &lt; 6 &amp; rising
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
TEXT = "limit 5 < 6 & rising"
for address, options in (("", {}), ("?format=text", {}), ("", {"body_format": "text"}), ("?format=text", {"body_format": "text"})):
    asked.clear()
    answers.append((200, {}, '{"ok": true, "result": {}}'))
    service = Apprise()
    service.add(f"tgram://123456789:abcdefghijklmnopqrstuvwxyzABCDEFGHI/11111/{address}")
    service.notify(body=TEXT, **options)
    sent = json.loads(asked[0][2])
    print(f"{address or 'address as it is':18} {options or 'no body_format'!s:24} {sent['parse_mode']}: {sent['text']}")
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
