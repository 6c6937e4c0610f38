"""Who works on what, with several processes."""

from __future__ import annotations

from relay.journal.migrations.marking import mark

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    mark(revision, compatible_from=revision)
