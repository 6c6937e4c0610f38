#!/usr/bin/env bash
# sentry-sdk 2.75.0's Flask integration reports no `abort(503)` and no returned status 500, only exceptions that nobody catches.
#
# Version: sentry-sdk 2.75.0, Flask 3.1.3
#
# Guess: each answer of 5xx is an error and is reported, as other frameworks' integrations do by status.
#
# Behaviour: `abort(503)` raises an HTTPException, which Flask turns into an answer before Sentry hears of it; a
#   returned 500 is an answer like any other.
#
# Why it matters to a relay from TradingView to Bybit: the answer that makes TradingView send an alert again, 503, is
#   the sign that a relay could not write it down. Nobody is told unless the code also logs an error or captures a
#   message.
#
# Output seen, which is what this script compares with:
#> /abort   503 reported: []
#> /return  500 reported: []
#> /raise   500 reported: ['RuntimeError']
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check sentry-sdk==2.75.0 flask==3.1.3 werkzeug==3.1.9 blinker==1.9.0 urllib3==2.8.0

cat >"$folder/check.py" <<'END'
import logging

import sentry_sdk
from flask import Flask, abort
from sentry_sdk.transport import Transport

reported = []


class Kept(Transport):
    """Nothing leaves this machine."""

    def capture_envelope(self, envelope):
        reported.extend(item.get_event() for item in envelope.items if item.type == "event")

    def flush(self, *_, **__):
        pass

    def kill(self):
        pass


sentry_sdk.init(dsn="https://key@127.0.0.1/1", transport=Kept)
logging.getLogger("relay").addHandler(logging.NullHandler())
app = Flask("relay")


@app.get("/abort")
def aborted():
    abort(503)


@app.get("/return")
def returned():
    return "the journal is away", 500


@app.get("/raise")
def raised():
    raise RuntimeError("the journal is away")


client = app.test_client()
for path in ("/abort", "/return", "/raise"):
    reported.clear()
    status = client.get(path).status_code
    print(f"{path:8} {status} reported: {[event['exception']['values'][-1]['type'] for event in reported]}")
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
