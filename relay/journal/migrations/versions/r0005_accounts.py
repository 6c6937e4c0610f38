"""Equity and profit of each account over time."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from relay.journal.migrations.marking import mark

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    text, moment = sa.Text(), sa.BigInteger()
    op.create_table(
        "bookings",
        sa.Column("account", text, primary_key=True, nullable=False),
        sa.Column("exec_id", text, primary_key=True, nullable=False),
        sa.Column("coin", text, nullable=False),
        sa.Column("realised", text, nullable=False),
        sa.Column("fee", text, nullable=False),
        sa.Column("funding", text, nullable=False),
        sa.Column("at", moment, nullable=False),
    )
    op.create_index("ix_bookings_at", "bookings", ["at"])
    op.create_table(
        "day_totals",
        sa.Column("account", text, primary_key=True, nullable=False),
        sa.Column("day", text, primary_key=True, nullable=False),
        sa.Column("coin", text, primary_key=True, nullable=False),
        sa.Column("realised", text, nullable=False),
        sa.Column("fees", text, nullable=False),
        sa.Column("funding", text, nullable=False),
    )
    op.create_table(
        "equity_points",
        sa.Column("account", text, primary_key=True, nullable=False),
        sa.Column("at", moment, primary_key=True, nullable=False),
        sa.Column("coin", text, primary_key=True, nullable=False),
        sa.Column("equity", text, nullable=False),
        sa.Column("unrealised", text, nullable=False),
        sa.Column("usd", text),
    )
    op.create_table(
        "booked_until",
        sa.Column("account", text, primary_key=True, nullable=False),
        sa.Column("at", moment, nullable=False),
    )
    mark(revision, compatible_from=revision)
