"""What a lane has to do next is found without looking through what all other lanes have to do."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from relay.journal.migrations.marking import mark

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    is_unfinished = sa.text("status IN ('accepted', 'executing')")
    op.create_index(
        "ix_assignments_lane",
        "assignments",
        ["account", "category", "symbol", "seq"],
        sqlite_where=is_unfinished,
        postgresql_where=is_unfinished,
    )
    mark(revision, compatible_from="0007")
