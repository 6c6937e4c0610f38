"""Notices that wait to be delivered, and how far the journal's events have been read for them."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, Table, Text

from relay.journal.columns import UnixMs, Words, numbered
from relay.journal.tables import metadata

notices = Table(
    "notices",
    metadata,
    Column("id", numbered(), primary_key=True, autoincrement=True),
    Column("target", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("text", Words, nullable=False),
    Column("at", UnixMs, nullable=False),
    Column("lost", Integer, nullable=False),
    Column("claimed_until", UnixMs, nullable=False),
    Index("ix_notices_target", "target", "id"),
    sqlite_autoincrement=True,
)
"""`target`: a fingerprint of the address, which itself is a secret. `lost`: how many dropped ones this one stands for.

`claimed_until`: until then somebody is delivering it."""

marks = Table(
    "notice_marks",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", BigInteger, nullable=False),
)
"""The last event that was read, when a switch was last seen changed, and the day that was last summed up."""
