"""What one process's stream tells all the others. For Postgres alone: a single process tells itself."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, Integer, Table, Text

from relay.journal.columns import Json, UnixMs, Words
from relay.journal.tables import metadata

stream_heads: Final = Table(
    "stream_heads",
    metadata,
    Column("account", Text, primary_key=True),
    Column("epoch", BigInteger, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("is_live", Boolean, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("problem", Words, nullable=False),
)
"""How the account's stream stands at the process that keeps it. `epoch`: of that process's lease. `generation`: counts
the times that it was opened; after each, everything must be read. `seq`: of the last fact."""

stream_facts: Final = Table(
    "stream_facts",
    metadata,
    Column("account", Text, primary_key=True),
    Column("epoch", BigInteger, primary_key=True),
    Column("seq", BigInteger, primary_key=True),
    Column("message", Json, nullable=False),
    Column("at", UnixMs, nullable=False),
)
"""The stream's messages as they came, numbered from 1 without a gap. `at`: the database's clock; they are kept for
seconds."""
