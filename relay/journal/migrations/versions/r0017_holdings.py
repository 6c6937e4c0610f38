"""Of coins that are held: what fees took of them, their average price, and what is not counted yet."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from relay.journal.migrations.marking import mark

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("fees", "avg_price", "uncounted"):
        op.add_column("beliefs", sa.Column(name, sa.Text()))
    mark(revision, compatible_from="0007")
