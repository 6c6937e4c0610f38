#!/usr/bin/env bash
# gunicorn 27.0.1 opens a control socket by default, at one path for all instances of a user; the last to start has it, and the first to end removes it.
#
# Version: gunicorn 27.0.1
#
# Guess: there is no control socket unless one is configured; if there is, each instance has its own.
#
# Behaviour: each start listens at `~/.gunicorn/gunicorn.ctl` and takes the path over silently from an instance that
#   runs. `gunicornc` then talks to the newer one. When that one ends the file is gone, and the older, still running,
#   cannot be reached any more.
#
# Why it matters to a relay from TradingView to Bybit: two relays of one user, paper and real money, or the old and
#   the new during a deployment: `gunicornc -c "worker remove"` meant for one changes the other.
#   `control_socket_disable = True` or a path for each (`--control-socket`) settles it.
#
# Output seen, which is what this script compares with:
#> one instance:     files ['gunicorn.ctl'] - gunicornc reaches the first
#> two instances:    files ['gunicorn.ctl'] - gunicornc reaches the second
#> the second ended: files [] - gunicornc reaches nobody
#> the first still answers: 200
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



def told():
    client = Path(sys.executable).with_name("gunicornc")
    done = subprocess.run(
        [client, "-j", "-c", "show stats"], env=os.environ | {"HOME": str(HERE)}, capture_output=True, text=True, timeout=20
    )
    if done.returncode:
        return "nobody"
    pid = json.loads(done.stdout).get("pid")
    return {first.pid: "the first", second.pid: "the second"}.get(pid, done.stdout) if second else "the first"


import json

os.environ.pop("XDG_RUNTIME_DIR", None)
second = None
first, first_port = start()
time.sleep(1)
print("one instance:     files", [each.name for each in (HERE / ".gunicorn").iterdir()], "- gunicornc reaches", told())
second, second_port = start()
time.sleep(1)
print("two instances:    files", [each.name for each in (HERE / ".gunicorn").iterdir()], "- gunicornc reaches", told())
second.terminate()
second.wait(20)
print("the second ended: files", [each.name for each in (HERE / ".gunicorn").iterdir()], "- gunicornc reaches", told())
print("the first still answers:", ask(first_port, 0))
first.terminate()
first.wait(20)
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
