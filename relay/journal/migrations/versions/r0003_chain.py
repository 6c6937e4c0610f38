"""Where each strategy said it stood."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from relay.journal.migrations.marking import mark

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    text, moment = sa.Text(), sa.BigInteger()
    op.create_table(
        "chains",
        sa.Column("strategy", text, primary_key=True, nullable=False),
        sa.Column("category", text, primary_key=True, nullable=False),
        sa.Column("symbol", text, primary_key=True, nullable=False),
        sa.Column("ticker", text),
        sa.Column("signal_id", text, nullable=False),
        sa.Column("at", moment, nullable=False),
        sa.Column("sent_at", moment),
        sa.Column("before_side", text, nullable=False),
        sa.Column("before_size", text),
        sa.Column("side", text, nullable=False),
        sa.Column("size", text),
        sa.Column("fit", text, nullable=False),
        sa.Column("open_side", text),
        sa.Column("open_size", text),
    )
    mark(revision, compatible_from=revision)
