"""The table of what protects open positions."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKeyConstraint, Index, Integer, Table, Text

from relay.domain.guard import GuardStatus
from relay.domain.instrument import Category
from relay.journal.columns import Enumerated, Json, UnixMs, numbered
from relay.journal.tables import metadata, one_of

guards = Table(
    "guards",
    metadata,
    Column("seq", numbered(), primary_key=True, autoincrement=True),
    Column("signal_id", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("category", Enumerated(Category), nullable=False),
    Column("symbol", Text, nullable=False),
    Column("status", Enumerated(GuardStatus), nullable=False),
    Column("guard", Json, nullable=False),
    Column("updated_at", UnixMs, nullable=False),
    ForeignKeyConstraint(["signal_id", "account"], ["assignments.signal_id", "assignments.account"]),
    sqlite_autoincrement=True,
)
IS_LIVE = one_of(guards.c.status, (GuardStatus.WAITING, GuardStatus.ACTIVE))
Index(
    "ix_guards_live",
    guards.c.account,
    guards.c.category,
    guards.c.symbol,
    sqlite_where=IS_LIVE,
    postgresql_where=IS_LIVE,
)
