"""Which signal a notice is of, and on which account, so that one alert is one line."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from relay.journal.migrations.marking import mark

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("notices", sa.Column("signal_id", sa.Text()))
    op.add_column("notices", sa.Column("account", sa.Text()))
    mark(revision, compatible_from="0007")
