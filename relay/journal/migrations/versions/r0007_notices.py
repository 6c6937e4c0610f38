"""Notifications that wait to be delivered."""

from __future__ import annotations

from relay.journal.migrations.marking import mark

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    mark(revision, compatible_from=revision)
