"""Journals on a Postgres that keeps its word, filled with what a busy year leaves behind."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psycopg

from tests import postgres


@contextmanager
def durable_server() -> Iterator[postgres.Server]:
    """One of its own, which waits for the disk at each commit, unlike the tests' own."""
    home = postgres.own_server(f"bench-{os.getpid()}")
    server = postgres.Server(postgres.address_of(home))
    with psycopg.connect(server.url_of("postgres"), autocommit=True) as connection:
        for setting in ("fsync = on", "max_wal_size = '4GB'"):
            connection.execute(f"ALTER SYSTEM SET {setting}".encode())
        connection.execute("SELECT pg_reload_conf()")
    yield server


def postmaster(server: postgres.Server) -> int:
    """The process whose children serve the connections."""
    with psycopg.connect(server.url_of("postgres")) as connection:
        found = connection.execute("SELECT current_setting('data_directory')").fetchone()
    assert found is not None
    return int((Path(found[0]) / "postmaster.pid").read_text().split()[0])


def fill(url: str, rows: int, lanes: int) -> None:
    """So many finished signals, each with all that belongs to it, over so many lanes, which nobody works in now."""
    _write(url, _FINISHED, rows, lanes, ("default",))


def leave_waiting(url: str, rows: int, symbols: int, accounts: Sequence[str]) -> None:
    """So many accepted buys, over so many instruments of each account, with a job for each lane: as if no worker had
    been there."""
    _write(url, _WAITING, rows, symbols, accounts)


def _write(url: str, statements: tuple[str, ...], rows: int, symbols: int, accounts: Sequence[str]) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        # What one row says of another is true, and need not be looked up a million times.
        connection.execute("SET session_replication_role = replica")
        connection.execute("SET synchronous_commit = off")
        connection.execute(_OF, {"rows": rows, "symbols": symbols, "accounts": list(accounts)})
        for statement in statements:
            connection.execute(statement.encode())
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")


_OF = """
    CREATE TEMPORARY TABLE wanted AS
    SELECT n, '00' || lpad(n::text, 24, '0') AS id, account, symbol, at, '{"ticker":"' || symbol ||
        '.P","action":"buy","qty":"0.01","id":"' || n || '"}' AS alert
    FROM generate_series(1, %(rows)s) AS n,
        LATERAL (SELECT cardinality(%(accounts)s::text[]) AS accounts) AS many,
        LATERAL (SELECT (%(accounts)s::text[])[1 + n %% accounts] AS account,
            'L' || (n / accounts) %% %(symbols)s || 'USDT' AS symbol,
            (extract(epoch FROM now()) * 1000)::bigint - 1000::bigint * (%(rows)s - n) AS at) AS each
"""
_FINISHED = (
    """INSERT INTO signals (id, strategy, action, ticker, category, symbol, status, generation, notes, received_at,
        finished_at, alert, body_digest)
        SELECT id, 'default', 'buy', symbol || '.P', 'linear', symbol, 'done', 0, '[]', at, at + 20, alert,
            md5(id) || md5(id) FROM wanted ORDER BY n""",
    """INSERT INTO identities (strategy, kind, key, signal_id, digest, first_at)
        SELECT 'default', 'id', 'filled ' || n, id, md5(id) || md5(id), at FROM wanted""",
    """INSERT INTO assignments (signal_id, account, seq, category, symbol, generation, status, opened_at)
        SELECT id, account, n, 'linear', symbol, 0, 'done', at FROM wanted""",
    """INSERT INTO plans (signal_id, account, generation, inputs, orders, notes, at)
        SELECT id, account, 0, '{"qty_step":"0.001","tick_size":"0.1","qty":"0.01"}', '[]', '[]', at FROM wanted""",
    """INSERT INTO orders (client_order_id, signal_id, account, generation, leg, category, symbol, side, type, qty,
        reduce_only, purpose, planned, status, filled_qty, avg_price, fee, rests, created_at, updated_at)
        SELECT id || '-q2zs00000', id, account, 0, 0, 'linear', symbol, 'buy', 'market', '0.01', false, 'entry',
            '{}', 'filled', '0.01', '100', '0', false, at, at FROM wanted""",
    """INSERT INTO attempts (client_order_id, number, timestamp_ms, recv_window_ms, outcome, sent_at, answered_at)
        SELECT id || '-q2zs00000', 1, at, 5000, 'accepted', at, at + 5 FROM wanted""",
    """INSERT INTO fills (account, exec_id, client_order_id, qty, price, fee, fee_coin, is_maker, at)
        SELECT account, 'x' || id, id || '-q2zs00000', '0.01', '100', '0.001', 'USDT', false, at FROM wanted""",
    """INSERT INTO events (signal_id, at, name)
        SELECT id, at, name FROM wanted, unnest(array['accepted', 'executing', 'planned', 'order_submitted',
            'order_accepted', 'order_filled', 'done']) AS name ORDER BY n""",
    """INSERT INTO beliefs (account, category, symbol, size, at)
        SELECT DISTINCT account, 'linear', symbol, '0', 0 FROM wanted""",
    "SELECT setval('events_id_seq', (SELECT max(id) FROM events))",
)
_WAITING = (
    """INSERT INTO signals (id, strategy, action, ticker, category, symbol, status, generation, notes, received_at,
        alert, body_digest)
        SELECT id, 'default', 'buy', symbol || '.P', 'linear', symbol, 'accepted', 0, '[]',
            (extract(epoch FROM now()) * 1000)::bigint, alert, md5(id) || md5(id) FROM wanted ORDER BY n""",
    """INSERT INTO identities (strategy, kind, key, signal_id, digest, first_at)
        SELECT 'default', 'id', 'waiting ' || n, id, md5(id) || md5(id), at FROM wanted""",
    """INSERT INTO assignments (signal_id, account, seq, category, symbol, generation, status, opened_at)
        SELECT id, account, n, 'linear', symbol, 0, 'accepted', at FROM wanted""",
    "INSERT INTO events (signal_id, at, name) SELECT id, at, 'accepted' FROM wanted ORDER BY n",
)
