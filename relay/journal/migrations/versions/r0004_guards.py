"""What protects an open position."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from relay.journal.migrations.marking import mark

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_COUNTED = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_LIVE = sa.text("status IN ('waiting', 'active')")


def _required(name: str, kind: Any = None) -> sa.Column[Any]:
    return sa.Column(name, kind or sa.Text(), nullable=False)


def upgrade() -> None:
    op.create_table(
        "guards",
        sa.Column("seq", _COUNTED, primary_key=True, autoincrement=True),
        _required("signal_id"),
        _required("account"),
        _required("generation", sa.Integer()),
        _required("category"),
        _required("symbol"),
        _required("status"),
        _required("guard"),
        _required("updated_at", sa.BigInteger()),
        sa.ForeignKeyConstraint(["signal_id", "account"], ["assignments.signal_id", "assignments.account"]),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_guards_live", "guards", ["account", "category", "symbol"], sqlite_where=_LIVE, postgresql_where=_LIVE
    )
    mark(revision, compatible_from=revision)
