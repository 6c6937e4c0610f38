"""Runs the revisions on the connection that `relay.journal.opening.upgrade` brings along, in its transaction."""

from __future__ import annotations

from alembic import context

from relay.journal.tables import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    transactional_ddl=True,
    render_as_batch=connection.dialect.name == "sqlite",
)
with context.begin_transaction():
    context.run_migrations()
