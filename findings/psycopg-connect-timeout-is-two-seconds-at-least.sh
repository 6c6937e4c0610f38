#!/usr/bin/env bash
# psycopg 3.3.9 waits two seconds for a connection when it was told to wait one.
#
# Version: psycopg 3.3.9
#
# Guess: `connect_timeout=1` gives up after one second.
#
# Behaviour: it takes two: less is raised to two, as in libpq, and with several addresses of a host each has its own.
#
# Why it matters to a relay from TradingView to Bybit: TradingView waits three seconds for its answer. A relay that
#   means to try two database hosts for a second each, and then to answer 503, which would be sent again, answers too
#   late, and a request that timed out is not sent again.
#
# Output seen, which is what this script compares with:
#> connect_timeout=1, host=127.0.0.1: ConnectionTimeout after 2 s
#> connect_timeout=1, host=127.0.0.1,127.0.0.1: ConnectionTimeout after 4 s
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check psycopg[binary]==3.3.9

cat >"$folder/check.py" <<'END'
import socket
import time

import psycopg

mute = socket.create_server(("127.0.0.1", 0))
port = mute.getsockname()[1]
for hosts in ("127.0.0.1", "127.0.0.1,127.0.0.1"):
    begun = time.monotonic()
    try:
        psycopg.connect(f"host={hosts} port={port} dbname=relay user=relay connect_timeout=1")
    except psycopg.OperationalError as error:
        print(f"connect_timeout=1, host={hosts}: {type(error).__name__} after {time.monotonic() - begun:.0f} s")
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
