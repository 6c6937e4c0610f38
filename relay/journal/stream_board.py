"""The board on which one process writes what an account's stream tells, for all processes to read. For Postgres."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import TimeoutError as NotInTime
from typing import Final

from sqlalchemy import ARRAY, BigInteger, Connection, bindparam, func, select, text, update
from sqlalchemy.sql.expression import cast

from relay.domain.shared_stream import Fact, StreamSnapshot, StreamStanding
from relay.errors import JournalUnavailable
from relay.journal import leases
from relay.journal.codec import Json, Words
from relay.journal.postgres import PostgresStore
from relay.journal.statements import fetch_all, fetch_first, fetch_value, run
from relay.journal.store import WHERE, Store
from relay.journal.tables import leases as lease_rows
from relay.journal.tables import stream_facts, stream_heads

CHANNEL: Final = "relay_streams"
_STORED_MS: Final = 30_000
_AT_ONCE: Final = 500
_WRITE_S: Final = 2.0
_NAME: Final = "stream "
_REPORTED_MAX: Final = 300

_NOW_MS: Final = "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint)"
_now_ms = cast(func.extract("epoch", func.clock_timestamp()) * 1000, BigInteger)
_LOOK = (
    select(
        stream_heads,
        lease_rows.c.epoch.label("lease_epoch"),
        (lease_rows.c.until - _now_ms).label("left_ms"),
    )
    .select_from(lease_rows.outerjoin(stream_heads, stream_heads.c.account == bindparam("of_account")))
    .where(lease_rows.c.name == bindparam("of_lease"))
)
_AFTER = (
    select(stream_facts.c.seq, stream_facts.c.message)
    .where(
        stream_facts.c.account == bindparam("of_account"),
        stream_facts.c.epoch == bindparam("of_epoch"),
        stream_facts.c.seq > bindparam("of_seq"),
    )
    .order_by(stream_facts.c.seq)
    .limit(_AT_ONCE)
)
_WRITE = text(f"""
    WITH renewed AS (
        UPDATE leases SET until = {_NOW_MS} + {int(leases.LEASE_S * 1000)}
        WHERE name = :of_lease AND epoch = :of_epoch RETURNING name
    ), told AS (
        INSERT INTO stream_facts (account, epoch, seq, message, at)
        SELECT :of_account, :of_epoch, fact.seq, fact.message, {_NOW_MS}
        FROM renewed, unnest(CAST(:seqs AS bigint[]), CAST(:messages AS text[])) AS fact (seq, message)
        ON CONFLICT DO NOTHING
    ), forgotten AS (
        DELETE FROM stream_facts WHERE cardinality(CAST(:seqs AS bigint[])) = 0
        AND account = :of_account AND at < {_NOW_MS} - {_STORED_MS} AND EXISTS (SELECT FROM renewed)
    ), stands AS (
        INSERT INTO stream_heads (account, epoch, generation, is_live, seq, problem)
        SELECT :of_account, :of_epoch, :generation, :is_live, :seq, :problem FROM renewed
        ON CONFLICT (account) DO UPDATE SET epoch = excluded.epoch, generation = excluded.generation,
        is_live = excluded.is_live, seq = excluded.seq, problem = excluded.problem
    )
    SELECT true, pg_notify('{CHANNEL}', :of_account), set_config('synchronous_commit', 'off', true) FROM renewed
""").bindparams(  # noqa: S608 - its parts are the constants above
    bindparam("seqs", type_=ARRAY(BigInteger)),
    bindparam("messages", type_=ARRAY(Json)),
    bindparam("problem", type_=Words),
)
"""All of it in one round trip, and nothing unless this process still has the right to. What a crash of the database
takes from the board, everybody reads again; what is told twice, since its answer was lost, is there once."""
_GIVE_UP = (
    update(lease_rows)
    .where(lease_rows.c.name == bindparam("of_lease"), lease_rows.c.epoch == bindparam("of_epoch"))
    .values(until=0)
)
_TELL = select(func.pg_notify(CHANNEL, bindparam("of_account")))


class StreamBoard:
    """Of one account, as one process sees it. Thread-safe; a `Board` of the exchange's streams."""

    def __init__(self, store: Store, account: str, owner: str, news: threading.Event) -> None:
        """`owner`: this process. `news`: set whenever something may be new. `store`: of a journal in Postgres."""
        assert isinstance(store, PostgresStore), "streams are shared over Postgres"
        self._store = store
        self._account = account
        self._lease = _NAME + account
        # A name of its own: the right to the stream is renewed by what keeps the stream, and by nothing else.
        self._owner = f"{owner} streams"
        self._news = news

    def look(self) -> StreamSnapshot:
        with self._store.read() as connection:
            row = fetch_first(connection, _LOOK, {"of_account": self._account, "of_lease": self._lease})
        if row is None:
            return StreamSnapshot()
        if row.epoch is None:
            return StreamSnapshot(left_ms=max(0, row.left_ms))
        standing = StreamStanding(generation=row.generation, is_live=row.is_live, problem=row.problem)
        return StreamSnapshot(
            epoch=row.epoch,
            seq=row.seq,
            standing=standing,
            left_ms=max(0, row.left_ms),
            is_keepers=row.epoch == row.lease_epoch,
        )

    def after(self, epoch: int, seq: int) -> list[Fact]:
        which = {"of_account": self._account, "of_epoch": epoch, "of_seq": seq}
        with self._store.read() as connection:
            return [Fact(seq=row.seq, message=row.message) for row in fetch_all(connection, _AFTER, which)]

    def take(self) -> int | None:
        taken = self._store.submit(lambda connection: leases.take(connection, self._lease, self._owner))
        return taken.epoch if taken else None

    def write(self, epoch: int, standing: StreamStanding, facts: Sequence[Fact], seq: int) -> bool:
        values = {
            "of_lease": self._lease,
            "of_epoch": epoch,
            "of_account": self._account,
            "seqs": [each.seq for each in facts],
            "messages": [each.message for each in facts],
            "generation": standing.generation,
            "is_live": standing.is_live,
            "seq": seq,
            "problem": standing.problem[:_REPORTED_MAX],
        }
        requested = self._store.at_once(_WRITE, values)
        try:
            return requested.result(_WRITE_S) is not None
        except NotInTime:
            requested.cancel()
            raise JournalUnavailable(f"{WHERE} was not written within {_WRITE_S:g} s") from None

    def give_up(self, epoch: int) -> None:
        def work(connection: Connection) -> None:
            run(connection, _GIVE_UP, {"of_lease": self._lease, "of_epoch": epoch})
            fetch_value(connection, _TELL, {"of_account": self._account})

        self._store.submit(work)

    def wait(self, timeout_s: float) -> None:
        self._news.wait(timeout_s)
        self._news.clear()

    def wake(self) -> None:
        self._news.set()
