"""What protects an open position."""

from __future__ import annotations

from relay.journal.migrations.marking import mark

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    mark(revision, compatible_from=revision)
