"""Equity and profit of each account over time."""

from __future__ import annotations

from relay.journal.migrations.marking import mark

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    mark(revision, compatible_from=revision)
