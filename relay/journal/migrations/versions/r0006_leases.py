"""Who works on what, with several processes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from relay.journal.migrations.marking import mark

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "leases",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_leases_owner", "leases", ["owner"])
    op.create_table("queue_schema", sa.Column("migration", sa.Text(), primary_key=True))
    mark(revision, compatible_from=revision)
