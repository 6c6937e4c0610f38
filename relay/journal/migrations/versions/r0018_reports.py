"""What an account's owner found there, for the pages of other processes. Nothing that was there is changed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from relay.journal.migrations.marking import mark

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "account_reports",
        sa.Column("account", sa.Text(), primary_key=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
    )
    # 0017 said 0007, but a relay from before it cannot read rows of spot.
    mark(revision, compatible_from="0017")
