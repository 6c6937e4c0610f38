"""The queue's jobs: one for each lane that has work. A job only wakes somebody: what is to be done the journal says."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import procrastinate
import psycopg
from procrastinate.exceptions import AlreadyEnqueued
from sqlalchemy import Connection, text

QUEUE: Final = "lanes"
TASK: Final = "relay.drain"
Drain = Callable[[str, str | None, str], Awaitable[None]]
"""Account, category, symbol: ends when the lane has no work left, or another process has it."""

_IS_WAITING = text("SELECT 1 FROM procrastinate_jobs WHERE queueing_lock = :lane AND status = 'todo'")
_PRUNE = text(
    "DELETE FROM procrastinate_jobs WHERE status NOT IN ('todo', 'doing') OR (status = 'doing' AND worker_id IS NULL)"
)
_connector = procrastinate.PsycopgConnector()
_deferring = procrastinate.App(connector=_connector)


def defer(connection: Connection, lane: str, *, account: str, category: str | None, symbol: str) -> None:
    """Within the transaction of `connection`, which holds the lane's lock. One that waits already will do.

    It takes no lock of procrastinate's: the lane's lease is the one that counts, and it ends when its holder does.
    """
    if connection.execute(_IS_WAITING, {"lane": lane}).first() is not None:
        return
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    job = _deferring.configure_task(TASK, queue=QUEUE, queueing_lock=lane, connection=driver)
    savepoint = connection.begin_nested()
    try:
        job.defer(account=account, category=category, symbol=symbol)
    except AlreadyEnqueued:
        savepoint.rollback()
    else:
        savepoint.commit()


def prune(connection: Connection) -> None:
    """What is over, and what workers had that are no more."""
    connection.execute(_PRUNE)


def application(url: str, drain: Drain) -> procrastinate.App:
    """For one worker; it opens two connections: one for its statements, one after the other, and one that listens."""
    connector = procrastinate.PsycopgConnector(
        conninfo=url,
        kwargs={"connect_timeout": 2, "application_name": "relay queue", "tcp_user_timeout": 5000},
        min_size=1,
        max_size=1,
        timeout=5,
        reconnect_timeout=0,
    )
    app = procrastinate.App(connector=connector)

    @app.task(name=TASK, queue=QUEUE)
    async def run(account: str, category: str | None, symbol: str) -> None:
        await drain(account, category, symbol)

    return app
