#!/usr/bin/env bash
# honcho 2.0.0 kills what has not ended five seconds after its SIGTERM; the platform whose Procfile it reads gives thirty.
#
# Version: honcho 2.0.0
#
# Guess: it waits as long as Heroku does, whose Procfile it reads (30 s), or for as long as it takes.
#
# Behaviour: when one process of the Procfile ends, whatever its kind, all others get SIGTERM at once and SIGKILL 5 s later; no
#   option changes that.
#
# Why it matters to a relay from TradingView to Bybit: a clean stop that waits for orders under way, or gunicorn's
#   `graceful_timeout`, is cut off under honcho and not on the platform: what was asked of the exchange must be written down before.
#
# Output seen, which is what this script compares with:
#> other    stopped (rc=3)
#> sending SIGTERM to slow
#> slow     says: asked to stop
#> sending SIGKILL to slow
#> slow     stopped (rc=-9)
#> the slow one was killed 5 s after the SIGTERM
#> honcho ended with 3
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check honcho==2.0.0

cat >"$folder/slow.py" <<'END'
import pathlib
import signal
import sys
import time


def stop(*_):
    print("asked to stop", flush=True)
    time.sleep(25)
    sys.exit(0)


signal.signal(signal.SIGTERM, stop)
pathlib.Path("ready").touch()
time.sleep(60)
END
cat >"$folder/Procfile" <<END
slow: exec $folder/venv/bin/python slow.py
other: until test -e ready; do sleep 0.1; done; exit 3
END
cat >"$folder/check.py" <<'END'
import os
import re
import subprocess
import sys
from datetime import datetime

honcho = os.path.join(os.path.dirname(sys.executable), "honcho")
ran = subprocess.run([honcho, "start"], capture_output=True, text=True)
at = {}
for line in ran.stdout.splitlines():
    line = re.sub(r"\x1b\[[0-9;]*m", "", line)
    when, who, text = re.fullmatch(r"(\S+) (\S+)\s*\| (.*)", line).groups()
    who, text = who.removesuffix(".1"), re.sub(r"\.1 \(pid \d+\)", "", text)
    if text.startswith("sending"):
        at[text.split()[1]] = datetime.strptime(when, "%H:%M:%S")
        print(text)
    elif found := re.fullmatch(r"(\w+)\.1 (stopped .*)", text):
        print(f"{found[1]:8} {found[2]}")
    elif "asked" in text:
        print(f"{who:8} says: {text}")
waited = (at["SIGKILL"] - at["SIGTERM"]).seconds
print(f"the slow one was killed {5 if 4 <= waited <= 7 else waited} s after the SIGTERM")
print("honcho ended with", ran.returncode)
END

cd "$folder"
seen=$(timeout 90 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
