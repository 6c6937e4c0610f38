"""What every revision writes down of itself."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op


def mark(revision: str, *, compatible_from: str) -> None:
    """`compatible_from`: the oldest revision whose relay can still run on this one."""
    meta = sa.table("schema_meta", sa.column("revision", sa.Text), sa.column("compatible_from", sa.Text))
    op.bulk_insert(meta, [{"revision": revision, "compatible_from": compatible_from}])
