"""What the limits count."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from relay.journal.migrations.marking import mark

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "day_marks",
        sa.Column("account", sa.Text(), primary_key=True, nullable=False),
        sa.Column("day", sa.Text(), primary_key=True, nullable=False),
        sa.Column("unrealised", sa.Text(), nullable=False),
        sa.Column("worst", sa.Text(), nullable=False),
    )
    op.create_index("ix_plans_at", "plans", ["account", "at"])
    mark(revision, compatible_from=revision)
