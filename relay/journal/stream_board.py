"""The board on which one process writes what an account's stream tells, for all processes to read. For Postgres."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Final

from sqlalchemy import BigInteger, Connection, bindparam, delete, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.sql.expression import cast

from relay.domain.shared_stream import Fact, Sight, Standing
from relay.journal import leases
from relay.journal.store import Store
from relay.journal.tables_leases import leases as lease_rows
from relay.journal.tables_streams import stream_facts, stream_heads

CHANNEL: Final = "relay_streams"
_KEPT_MS: Final = 30_000
_AT_ONCE: Final = 500
_WRITE_S: Final = 2.0
_NAME: Final = "stream "
_TOLD_MAX: Final = 300

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
_ADD = insert(stream_facts).values(at=_now_ms)
_OLD = delete(stream_facts).where(
    stream_facts.c.account == bindparam("of_account"), stream_facts.c.at < _now_ms - _KEPT_MS
)
_head = upsert(stream_heads)
_HEAD = _head.on_conflict_do_update(
    index_elements=["account"],
    set_={name: _head.excluded[name] for name in ("epoch", "generation", "is_live", "seq", "problem")},
)
_RENEW = (
    update(lease_rows)
    .where(lease_rows.c.name == bindparam("of_lease"), lease_rows.c.epoch == bindparam("of_epoch"))
    .values(until=_now_ms + int(leases.LEASE_S * 1000))
)
_LOSE_NOTHING = text("SET LOCAL synchronous_commit = off")
"""What a crash of the database takes from the board, everybody reads again."""
_TELL = text(f"SELECT pg_notify('{CHANNEL}', :account)")


class StreamBoard:
    """Of one account, as one process sees it. Thread-safe; a `Board` of the exchange's streams."""

    def __init__(self, store: Store, account: str, owner: str, news: threading.Event) -> None:
        """`owner`: this process. `news`: set whenever something may be new."""
        self._store = store
        self._account = account
        self._lease = _NAME + account
        # A name of its own: the right to the stream is renewed by what keeps the stream, and by nothing else.
        self._owner = f"{owner} streams"
        self._news = news

    def look(self) -> Sight:
        with self._store.read() as connection:
            row = connection.execute(_LOOK, {"of_account": self._account, "of_lease": self._lease}).first()
        if row is None:
            return Sight()
        if row.epoch is None:
            return Sight(left_ms=max(0, row.left_ms))
        standing = Standing(generation=row.generation, is_live=row.is_live, problem=row.problem)
        return Sight(
            epoch=row.epoch,
            seq=row.seq,
            standing=standing,
            left_ms=max(0, row.left_ms),
            is_keepers=row.epoch == row.lease_epoch,
        )

    def after(self, epoch: int, seq: int) -> list[Fact]:
        which = {"of_account": self._account, "of_epoch": epoch, "of_seq": seq}
        with self._store.read() as connection:
            return [Fact(seq=row.seq, message=row.message) for row in connection.execute(_AFTER, which)]

    def take(self) -> int | None:
        taken = self._store.submit(lambda connection: leases.take(connection, self._lease, self._owner))
        return taken.epoch if taken else None

    def write(self, epoch: int, standing: Standing, facts: Sequence[Fact], seq: int) -> bool:
        return self._store.submit(
            lambda connection: self._write(connection, epoch, standing, facts, seq), deadline_s=_WRITE_S
        )

    def _write(self, connection: Connection, epoch: int, standing: Standing, facts: Sequence[Fact], seq: int) -> bool:
        connection.execute(_LOSE_NOTHING)
        renewed = connection.execute(_RENEW, {"of_lease": self._lease, "of_epoch": epoch})
        if not renewed.rowcount:
            return False
        of_account = {"account": self._account, "epoch": epoch}
        if facts:
            connection.execute(_ADD, [of_account | {"seq": each.seq, "message": each.message} for each in facts])
        else:
            connection.execute(_OLD, {"of_account": self._account})
        stands = {"generation": standing.generation, "is_live": standing.is_live, "seq": seq}
        connection.execute(_HEAD, of_account | stands | {"problem": standing.problem[:_TOLD_MAX]})
        connection.execute(_TELL, {"account": self._account})
        return True

    def give_up(self, epoch: int) -> None:
        def work(connection: Connection) -> None:
            which = {"of_lease": self._lease, "of_epoch": epoch}
            connection.execute(_RENEW.values(until=0), which)
            connection.execute(_TELL, {"account": self._account})

        self._store.submit(work)

    def wait(self, timeout_s: float) -> None:
        self._news.wait(timeout_s)
        self._news.clear()

    def wake(self) -> None:
        self._news.set()
