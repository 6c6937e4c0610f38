#!/usr/bin/env bash
# discord-webhook 1.4.1 neither splits, waits nor raises: an alert that is too long or comes too fast is lost with a line in the log, and each `execute()` repeats the embeds of the ones before.
#
# Version: discord-webhook 1.4.1
#
# Guess: `execute()` raises, or splits what has over 2,000 characters; it waits as long as a 429 says; an embed is
#   sent once.
#
# Behaviour: the answer is returned, whatever its status, and an error goes to the log of the module.
#   `rate_limit_retry=True` waits and tries again, but is not the default. Embeds stay in the object after they were
#   sent: the second alert has the first one's embed above its own, until Discord's limit of ten is passed and all are
#   refused.
#
# Why it matters: a bot that keeps one DiscordWebhook for its fills shows the first fills again and again, and after
#   ten of them nothing any more; a kill switch's message that comes in a burst is dropped.
#   `execute(remove_embeds=True)` and a look at `response.ok` are needed each time.
#
# Output seen, which is what this script compares with:
#> 2,500 characters             status 400, delivered 0
#> too fast                     status 429, delivered 0
#> too fast, rate_limit_retry   status 200, delivered 1
#> fill  1: status 200, embeds: fill 1
#> fill  2: status 200, embeds: fill 1 fill 2
#> fill  3: status 200, embeds: fill 1 fill 2 fill 3
#> fill 11: status 400, embeds: none
#> fill 12: status 400, embeds: none
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check discord-webhook==1.4.1

cat >"$folder/check.py" <<'END'
import json
import logging
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from discord_webhook import DiscordEmbed, DiscordWebhook

logging.disable()
delivered = []


class Discord(BaseHTTPRequestHandler):
    """As much of Discord's webhooks as is needed here: its limits, and "too many requests" once when `busy`."""

    busy = False

    def do_POST(self):
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        status, told = 200, {"id": "1"}
        if len(message.get("content") or "") > 2000 or len(message["embeds"]) > 10:
            status, told = 400, {"content": ["Must be 2000 or fewer in length."]}
        elif Discord.busy:
            Discord.busy, status, told = False, 429, {"message": "You are being rate limited.", "retry_after": 0.1, "global": False}
        else:
            delivered.append(message)
        text = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Via", "1.1 google")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Discord)
threading.Thread(target=server.serve_forever, daemon=True).start()
address = f"http://127.0.0.1:{server.server_port}/api/webhooks/1/token"


def show(words, webhook):
    delivered.clear()
    status = webhook.execute().status_code
    print(f"{words:28} status {status}, delivered {len(delivered)}")


show("2,500 characters", DiscordWebhook(address, content="x" * 2500))
Discord.busy = True
show("too fast", DiscordWebhook(address, content="stopped"))
Discord.busy = True
show("too fast, rate_limit_retry", DiscordWebhook(address, content="stopped", rate_limit_retry=True))
webhook = DiscordWebhook(address)
for number in range(1, 13):
    delivered.clear()
    webhook.add_embed(DiscordEmbed(title=f"fill {number}"))
    status = webhook.execute().status_code
    if number in (1, 2, 3, 11, 12):
        print(f"fill {number:2}: status {status}, embeds:", *[embed["title"] for embed in delivered[0]["embeds"]] if delivered else ["none"])
server.shutdown()
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
