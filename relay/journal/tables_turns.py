"""Whose turn it is to send to the exchange, where several processes send for an account: for Postgres alone."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Integer, Table, Text

from relay.journal.tables import metadata

turns: Final = Table(
    "turns",
    metadata,
    Column("account", Text, primary_key=True),
    Column("endpoint", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("weight", Integer, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("asked_us", BigInteger, nullable=False),
    Column("until_us", BigInteger, nullable=False),
)
"""`weight`: how much of the limit it takes up until then; 0: it waits. `name`: of what waits, or of the turn.

`asked_us`, `until_us`: Unix microseconds of the database's clock. What is in here is worth nothing a few seconds later.
"""
