"""Who works in which lane and who owns which account, where several processes do; and the queue's own schema.

All of it is for Postgres alone.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Index, Table, Text

from relay.journal.columns import Json, UnixMs
from relay.journal.tables import metadata

leases: Final = Table(
    "leases",
    metadata,
    Column("name", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("until", UnixMs, nullable=False),
    Index("ix_leases_owner", "owner"),
)
"""`until`: the database's clock. `epoch` grows with every new holder and never goes back, so a lane's row stays."""

queue_schema: Final = Table("queue_schema", metadata, Column("migration", Text, primary_key=True))
"""The queue's own migrations that have been applied."""

account_owner: Final = Table(
    "account_owner",
    metadata,
    Column("account", Text, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("expires_at", UnixMs, nullable=False),
)
"""A row for each account, and one for what belongs to none. `owner`: a process's name; empty, where it was given back.
It is the owner for as long as its row of `process` has not expired. `epoch` grows with every change of hands.
`expires_at`: of the take, where that row is gone; or when it was given back. All times are the database's."""

process: Final = Table(
    "process",
    metadata,
    Column("name", Text, primary_key=True),
    Column("expires_at", UnixMs, nullable=False),
    Column("refuses", Json, nullable=False),
)
"""The processes that execute; one that does not renew its row in time is taken for dead. `refuses`: the accounts that
it would not take just now, so that nobody gives them back for its sake."""
