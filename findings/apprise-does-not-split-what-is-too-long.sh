#!/usr/bin/env bash
# Apprise 2.2.0 knows each service's longest message and sends longer ones anyway, in one piece, for the service to refuse.
#
# Version: apprise 2.2.0
#
# Guess: a message longer than Telegram's 4,096 or Discord's 2,000 characters is split into several.
#
# Behaviour: the default `overflow=upstream` passes any length on. `overflow=split` in the address does split; a title
#   then goes as a message of its own when the body has no white space to break at. `overflow=truncate` cuts.
#
# Why it matters to a relay from TradingView to Bybit: a relay's longest messages are those about the worst moments:
#   many refused orders, a list of what needs attention. Where these are collected into one message, it exceeds the
#   limit and nobody reads any of it. Add `?overflow=split` to each address, or split before.
#
# Output seen, which is what this script compares with:
#> NotifyTelegram knows a longest body of 4096
#>     by default           lengths sent: [9014]
#>     ?overflow=split      lengths sent: [14, 4096, 4096, 808]
#>     ?overflow=truncate   lengths sent: [4090]
#> NotifyDiscord knows a longest body of 2000
#>     by default           lengths sent: [9007]
#>     ?overflow=split      lengths sent: [1996, 1996, 1996, 1996, 1081]
#>     ?overflow=truncate   lengths sent: [1990]
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

import apprise.plugins.discord
import apprise.plugins.telegram
from apprise import Apprise

telegram = apprise.plugins.telegram.NotifyTelegram
discord = apprise.plugins.discord.NotifyDiscord
telegram.notify_url = url + "/bot"
discord.notify_url = url + "/webhooks"
for service, address, field in (
    (telegram, "tgram://123456789:abcdefghijklmnopqrstuvwxyzABCDEFGHI/11111/", "text"),
    (discord, "discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js/", "content"),
):
    print(service.__name__, "knows a longest body of", service.body_maxlen)
    for option in ("", "?overflow=split", "?overflow=truncate"):
        asked.clear()
        notifier = Apprise()
        notifier.add(address + option)
        notifier.notify(body="x" * 9000, title="relay")
        print(f"    {option or 'by default':20} lengths sent: {[len(json.loads(each[2])[field]) for each in asked]}")
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
