"""Alerts that come by webhook and by mail, and how far a mailbox was read. Nothing that was there is changed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from relay.journal.migrations.marking import mark

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "copies",
        sa.Column("id", number, primary_key=True, autoincrement=True),
        sa.Column("strategy", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("way", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("signal_id", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), unique=True),
        sa.Column("is_paired", sa.Boolean(), nullable=False),
        sa.Column("is_repeat", sa.Boolean(), nullable=False),
        sa.Column("is_told", sa.Boolean(), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_copies_text", "copies", ["strategy", "text", "at"])
    op.create_index("ix_copies_signal", "copies", ["signal_id"])
    op.create_index("ix_copies_at", "copies", ["at"])
    op.create_table(
        "mailboxes",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("uid_validity", sa.BigInteger(), nullable=False),
        sa.Column("uid", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
    )
    mark(revision, compatible_from="0007")
