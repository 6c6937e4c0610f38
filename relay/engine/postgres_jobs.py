"""The queue's jobs: one for each lane that has work. A job only wakes somebody: what is to be done the journal says."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import procrastinate
import psycopg
import psycopg_pool
from sqlalchemy import ARRAY, Connection, Text, TextClause, bindparam, text

QUEUE: Final = "lanes"
TASK: Final = "relay.drain"
Drain = Callable[[str, str | None, str], Awaitable[None]]
"""Account, category, symbol: ends when the lane has no work left, or another process has it."""

_DEFERRING: Final = f"""
    SELECT procrastinate_defer_jobs_v1(array_agg(
        ROW('{QUEUE}', '{TASK}', 0, NULL, lane, arguments, NULL)::procrastinate_job_to_defer_v1))
    FROM unnest(CAST(:lanes AS text[]), CAST(:arguments AS jsonb[])) AS asked (lane, arguments)
    WHERE NOT EXISTS (SELECT FROM procrastinate_jobs WHERE queueing_lock = lane AND status = 'todo')
"""  # noqa: S608 - its parts are the constants above
_AT_LEAST_ONE: Final = "HAVING count(*) > 0"
_PARAMETERS: Final = (bindparam("lanes", type_=ARRAY(Text)), bindparam("arguments", type_=ARRAY(Text)))
_DEFER: Final = text(f"{_DEFERRING} {_AT_LEAST_ONE}").bindparams(*_PARAMETERS)
_DEFER_ALONG: Final = text(f"({_DEFERRING} AND EXISTS (SELECT FROM added) {_AT_LEAST_ONE}) AS jobs").bindparams(
    *_PARAMETERS
)
_PRUNE = text(
    "DELETE FROM procrastinate_jobs WHERE status NOT IN ('todo', 'doing') OR (status = 'doing' AND worker_id IS NULL)"
)


Lanes = Mapping[str, dict[str, str | None]]
"""The arguments of each lane's job, by the lane's name."""


def defer(connection: Connection, lanes: Lanes) -> None:
    """A job for each lane, within the transaction of `connection`, which holds the lanes' locks: so of two that want
    the same the second sees that one waits already, which will do.

    It takes no lock of procrastinate's: the lane's lease is the one that counts, and it ends when its holder does.
    """
    connection.execute(_DEFER, _values(lanes))


def deferring(lanes: Lanes) -> tuple[TextClause, dict[str, list[str]]]:
    """The same as a column of a statement, and its values; nothing is done unless there is a row in its `added`."""
    return _DEFER_ALONG, _values(lanes)


def _values(lanes: Lanes) -> dict[str, list[str]]:
    return {"lanes": list(lanes), "arguments": [json.dumps(each) for each in lanes.values()]}


def prune(connection: Connection) -> None:
    """What is over, and what workers had that are no more."""
    connection.execute(_PRUNE)


async def _configure(connection: psycopg.AsyncConnection) -> None:
    """Each question to the queue is one statement. None of what it keeps has to outlive a crash of the database: a
    lane whose job is lost is found by the next look through the journal."""
    await connection.set_autocommit(True)
    await connection.execute("SET synchronous_commit = off")


def _pool(**options: Any) -> psycopg_pool.AsyncConnectionPool:
    """Connections are not tried before each use: one that is dead ends the worker's loop, which then begins anew."""
    return psycopg_pool.AsyncConnectionPool(**options | {"check": None})


def application(url: str, drain: Drain) -> procrastinate.App:
    """For one worker; it opens two connections: one for its statements, one after the other, and one that listens."""
    connector = procrastinate.PsycopgConnector(
        conninfo=url,
        kwargs={"connect_timeout": 2, "application_name": "relay queue", "tcp_user_timeout": 5000},
        configure=_configure,
        pool_factory=_pool,
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
