#!/usr/bin/env bash
# gunicorn 27.0.1 (gthread), once told to stop, lets new connections hang until it is gone, and then resets them.
#
# Version: gunicorn 27.0.1
#
# Guess: after SIGTERM the listening socket is closed, so that new connections are refused at once while requests in
#   flight are finished.
#
# Behaviour: requests in flight are finished, and the socket stays open without being read: the kernel accepts
#   connection and request, nobody answers, and when the last worker ends the client gets a reset.
#
# Why it matters to a relay from TradingView to Bybit: TradingView waits three seconds and does not repeat a request
#   that timed out, while a proxy in front gives a refused one to the next instance, or answers 502, which TradingView
#   sends again. Each deployment can lose the alerts of its drain; one slow request makes it long.
#
# Output seen, which is what this script compares with:
#> in flight at SIGTERM: 200
#> begun a second later: ConnectionResetError after more than a second
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

master, port = start("--graceful-timeout", "10")
results = {}


def request(name, seconds):
    begun = time.monotonic()
    results[name] = ask(port, seconds), time.monotonic() - begun


slow = threading.Thread(target=request, args=("in flight", 5))
slow.start()
time.sleep(1)
master.send_signal(signal.SIGTERM)
time.sleep(1)
new = threading.Thread(target=request, args=("new", 0))
new.start()
slow.join()
new.join()
master.wait(20)
print("in flight at SIGTERM:", results["in flight"][0])
status, seconds = results["new"]
print("begun a second later:", status, "after more than a second" if seconds > 1 else "at once")
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
