#!/usr/bin/env bash
# A worker of gunicorn 27.0.1 that ends with status 3 at any time takes the master and all other workers down.
#
# Version: gunicorn 27.0.1
#
# Guess: a worker that ends by itself is replaced, whatever its status; a `sys.exit` within a request is that
#   request's 500.
#
# Behaviour: SystemExit ends the worker. With status 1 another is started; with 3, which gunicorn keeps for "worker
#   failed to boot", the master stops everything, though the worker had served requests.
#
# Why it matters to a relay from TradingView to Bybit: code that ends a process on purpose, as a relay does that has
#   lost its journal, may choose any small number; this one turns a restart of one worker into an outage.
#
# Output seen, which is what this script compares with:
#> a worker's sys.exit(1): the master runs on, and answers 200
#> a worker's sys.exit(3): the master has ended with status 3
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check gunicorn==27.0.1

cat >"$folder/check.py" <<'END'
import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

HERE = Path(__file__).parent
(HERE / "app.py").write_text("""
import time

def app(environ, start_response):
    path = environ["PATH_INFO"]
    time.sleep(float(path[1:] or 0))
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
""")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as one:
        return one.getsockname()[1]


def start(*options, **environment):
    """gunicorn with gthread; returns it and its port once it answers."""
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "app:app", "-k", "gthread", "--threads", "4", "-b", f"127.0.0.1:{port}"]
    given = os.environ | {"HOME": str(HERE)} | environment
    master = subprocess.Popen(
        [*command, *options], cwd=HERE, env=given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    until = time.monotonic() + 20
    while time.monotonic() < until:
        if ask(port, 0, timeout=2) == 200:
            return master, port
        time.sleep(0.1)
    raise SystemExit("gunicorn does not answer")


def ask(port, seconds, timeout=20):
    """The status of a request that takes so long, or the error's name."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", f"/{seconds}")
        return connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return type(error).__name__
    finally:
        connection.close()

(HERE / "app.py").write_text("""
import sys

def app(environ, start_response):
    status = int(environ["PATH_INFO"][1:] or 0)
    if status:
        sys.exit(status)
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
""")
for status in (1, 3):
    master, port = start("--workers", "2")
    time.sleep(1)
    ask(port, status)
    try:
        ended = master.wait(5)
        outcome = f"the master has ended with status {ended}"
    except subprocess.TimeoutExpired:
        outcome = f"the master runs on, and answers {ask(port, 0)}"
        master.terminate()
        master.wait(20)
    print(f"a worker's sys.exit({status}): {outcome}")
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
