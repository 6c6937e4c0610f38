"""What the exchange told of each account's money: executions, their totals by day, and equity over time."""

from __future__ import annotations

from sqlalchemy import Column, Index, Table, Text

from relay.journal.columns import ExactDecimal, UnixMs
from relay.journal.tables import metadata

bookings = Table(
    "bookings",
    metadata,
    Column("account", Text, primary_key=True),
    Column("exec_id", Text, primary_key=True),
    Column("coin", Text, nullable=False),
    Column("realised", ExactDecimal, nullable=False),
    Column("fee", ExactDecimal, nullable=False),
    Column("funding", ExactDecimal, nullable=False),
    Column("at", UnixMs, nullable=False),
    Index("ix_bookings_at", "at"),
)
"""Each execution counts once; kept for as long as one could be told again."""

day_totals = Table(
    "day_totals",
    metadata,
    Column("account", Text, primary_key=True),
    Column("day", Text, primary_key=True),
    Column("coin", Text, primary_key=True),
    Column("realised", ExactDecimal, nullable=False),
    Column("fees", ExactDecimal, nullable=False),
    Column("funding", ExactDecimal, nullable=False),
)

equity_points = Table(
    "equity_points",
    metadata,
    Column("account", Text, primary_key=True),
    Column("at", UnixMs, primary_key=True),
    Column("coin", Text, primary_key=True),
    Column("equity", ExactDecimal, nullable=False),
    Column("unrealised", ExactDecimal, nullable=False),
    Column("usd", ExactDecimal),
)

booked_until = Table(
    "booked_until",
    metadata,
    Column("account", Text, primary_key=True),
    Column("at", UnixMs, nullable=False),
)
"""Up to then, by the exchange's clock, every execution is known to be booked."""
