"""What the limits count."""

from __future__ import annotations

from relay.journal.migrations.marking import mark

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    mark(revision, compatible_from=revision)
