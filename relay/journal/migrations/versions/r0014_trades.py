"""Trades: every execution as it was told, what it made of which strategy's trade, and what the exchange booked."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from relay.journal.migrations.marking import mark

revision = "0014"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    text, moment, whole = sa.Text(), sa.BigInteger(), sa.Integer()
    for name, kind in (("category", text), ("symbol", text), ("seq", moment), ("entry", text), ("maker", text)):
        op.add_column("bookings", sa.Column(name, kind))
    op.add_column("bookings", sa.Column("before", text))
    op.add_column("bookings", sa.Column("touched", text))
    op.create_index("ix_bookings_symbol", "bookings", ["account", "category", "symbol", "at"])
    op.create_table(
        "trades",
        sa.Column("id", text, primary_key=True, nullable=False),
        sa.Column("account", text, nullable=False),
        sa.Column("strategy", text, nullable=False),
        sa.Column("category", text, nullable=False),
        sa.Column("symbol", text, nullable=False),
        sa.Column("at", moment, nullable=False),
        sa.Column("closed_at", moment),
        sa.Column("body", text, nullable=False),
    )
    op.create_index("ix_trades_at", "trades", ["at", "id"])
    for name, first in (("strategy", "strategy"), ("account", "account"), ("name", "symbol")):
        op.create_index(f"ix_trades_{name}", "trades", [first, "at", "id"])
    op.create_index("ix_trades_symbol", "trades", ["account", "category", "symbol", "closed_at"])
    op.create_index("ix_trades_closed", "trades", ["closed_at"])
    op.create_table(
        "trade_totals",
        *(sa.Column(name, text, primary_key=True, nullable=False) for name in ("account", "strategy", "coin", "day")),
        *(sa.Column(name, whole, nullable=False) for name in ("trades", "won")),
        *(sa.Column(name, text, nullable=False) for name in ("realised", "fees", "funding")),
    )
    op.create_table(
        "booked_sums",
        sa.Column("account", text, primary_key=True, nullable=False),
        sa.Column("at", moment, primary_key=True, nullable=False),
        sa.Column("coin", text, primary_key=True, nullable=False),
        sa.Column("amount", text, nullable=False),
    )
    op.add_column("day_totals", sa.Column("fees_other", text))
    op.add_column("booked_until", sa.Column("since", moment))
    op.add_column("booked_until", sa.Column("log_until", moment))
    mark(revision, compatible_from="0007")
