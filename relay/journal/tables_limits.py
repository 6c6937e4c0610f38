"""What the limits count and the journal alone knows: the day's marks, and when entries were planned."""

from __future__ import annotations

from sqlalchemy import Column, Index, Table, Text

from relay.journal.columns import ExactDecimal
from relay.journal.tables import metadata, plans

day_marks = Table(
    "day_marks",
    metadata,
    Column("account", Text, primary_key=True),
    Column("day", Text, primary_key=True),
    Column("unrealised", ExactDecimal, nullable=False),
    Column("worst", ExactDecimal, nullable=False),
)
"""`day`: the UTC date. `unrealised`: open profit at its first reading; `worst`: its lowest result so far, in USD."""

Index("ix_plans_at", plans.c.account, plans.c.at)
