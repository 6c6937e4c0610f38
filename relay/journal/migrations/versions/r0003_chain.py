"""Where each strategy said it stood."""

from __future__ import annotations

from relay.journal.migrations.marking import mark

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    mark(revision, compatible_from=revision)
