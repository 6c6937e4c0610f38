"""Who works in which lane, where several processes do; and the queue's own schema. Both are for Postgres alone."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Index, Table, Text

from relay.journal.columns import UnixMs
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
