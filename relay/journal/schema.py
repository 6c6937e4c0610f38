"""Which schema the database has, and bringing it to the one this relay knows."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, select, text

from relay.errors import SchemaOutdated, SchemaTooNew
from relay.journal.tables import schema_meta

HEAD = "0012"
"""The revision of this relay's tables. Revisions are numbered, so that later ones compare as greater."""
_MIGRATIONS = Path(__file__).parent / "migrations"


def is_current(connection: Connection) -> bool:
    """Whether this relay can run on the schema as it is. False: it is older, or there is none yet.

    SchemaTooNew: it is newer and not marked compatible with this relay.
    """
    if not inspect(connection).has_table("alembic_version"):
        return False
    revision = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    if revision is None or revision < HEAD:
        return False
    if revision > HEAD:
        which = select(schema_meta.c.compatible_from).where(schema_meta.c.revision == revision)
        compatible_from = connection.execute(which).scalar()
        if compatible_from is None or compatible_from > HEAD:
            raise SchemaTooNew(
                f"the journal's schema {revision} is newer than this relay, which knows {HEAD}; install a newer relay"
            )
    return True


def require_current(connection: Connection) -> None:
    """SchemaOutdated if the schema is older than this relay."""
    if not is_current(connection):
        raise SchemaOutdated


def upgrade(engine: Engine) -> None:
    """Bring the schema to `HEAD` in one transaction. Safe to repeat."""
    # Imported here, since it takes a while and a current schema does not need it.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
