"""Opening a journal by its URL, and bringing its schema to the one this relay knows."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    MetaData,
    PrimaryKeyConstraint,
    StaticPool,
    String,
    Table,
    create_engine,
    insert,
    inspect,
    select,
    text,
)
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from relay.errors import JournalUnavailable, SchemaOutdated, SchemaTooNew, SettingsInvalid
from relay.journal.journal import Journal
from relay.journal.sqlite import FileLock, JournalFile, SqliteStore, begin_reading
from relay.journal.store import sqlite_unavailable
from relay.journal.tables import metadata, schema_meta

log = logging.getLogger(__name__)

HEAD = "0018"
"""The revision of this relay's tables. Revisions are numbered, so that later ones compare as greater."""
COMPATIBLE_FROM = "0017"
"""As `HEAD` marks it: the oldest revision whose relay may still run on these tables."""
_ALEMBICS = Table(
    "alembic_version",
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)
_MIGRATIONS = Path(__file__).parent / "migrations"


def is_current(connection: Connection) -> bool:
    """Whether this relay can run on the schema as it is. Returns False if it is older, or there is none yet.

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


def missing(connection: Connection) -> list[tuple[Table, Column[Any] | None]]:
    """Tables, and columns of those that are there, which the schema of this relay says and the database lacks."""
    there = inspect(connection).get_multi_columns()
    columns = {name: {each["name"] for each in found} for (_, name), found in there.items()}
    found: list[tuple[Table, Column[Any] | None]] = []
    for table in metadata.sorted_tables:
        if table.name not in columns:
            found.append((table, None))
        else:
            found += [(table, each) for each in table.columns if each.name not in columns[table.name]]
    return found


def _repair(engine: Engine) -> None:
    """What is missing is made anew, empty. Raises JournalUnavailable where a column cannot be.

    A migration was edited once after it had landed: what was migrated by its earlier text has the number and not all
    the tables.
    """
    with engine.begin() as connection:
        if connection.execute(text("SELECT version_num FROM alembic_version")).scalar() != HEAD:
            return  # of a newer relay, whose tables are its own affair
        for table, column in missing(connection):
            if column is None:
                table.create(connection)
                log.warning("the journal lacked the table %s; it was made anew, empty", table.name)
            else:
                _add(connection, table, column)


def _add(connection: Connection, table: Table, column: Column[Any]) -> None:
    if not column.nullable:
        raise JournalUnavailable(_lacks(table, column))
    kind = column.type.compile(connection.dialect)
    connection.execute(text(f"ALTER TABLE {table.name} ADD COLUMN {column.name} {kind}"))
    log.warning("the journal lacked the column %s of %s; it was added, empty", column.name, table.name)


def _require_whole(connection: Connection) -> None:
    """Raises JournalUnavailable. Only `migrate` changes a Postgres."""
    if connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == HEAD:
        for table, column in missing(connection):
            raise JournalUnavailable(f"{_lacks(table, column)}; `python -m relay migrate` makes what can be made")


def _lacks(table: Table, column: Column[Any] | None) -> str:
    what = f"the table {table.name}" if column is None else f"the column {column.name} of the table {table.name}"
    return f"the journal lacks {what}, which its schema {HEAD} has; it was changed by hand, or bring back a backup"


def upgrade(engine: Engine) -> None:
    """Bring the schema to `HEAD` in one transaction. Safe to repeat."""
    with engine.begin() as connection:
        if inspect(connection).has_table("alembic_version"):
            revision = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
            if revision is not None:
                _complete(connection, revision)
        _migrate(connection, "head")


def _make(connection: Connection) -> None:
    """All tables in an empty file, as the migrations would leave them: that would take each start on paper half a
    second, and ten megabytes for as long as it runs."""
    metadata.create_all(connection, checkfirst=False)
    connection.execute(insert(schema_meta), {"revision": HEAD, "compatible_from": COMPATIBLE_FROM})
    _ALEMBICS.create(connection)
    connection.execute(insert(_ALEMBICS), {"version_num": HEAD})


def _migrate(connection: Connection, revision: str) -> None:
    # Imported here, since it takes a while and a current schema does not need it.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def _complete(connection: Connection, revision: str) -> None:
    """What a migration of today has made by `revision`, and the text did not by which this journal was migrated.

    Migrations were once edited after they had landed, and one came before others that had landed first. Raises
    JournalUnavailable where a column cannot be made.
    """
    scratch = create_engine("sqlite://", poolclass=StaticPool)
    wanted = MetaData()
    try:
        with scratch.begin() as made:
            _migrate(made, revision)
            wanted.reflect(made)
    finally:
        scratch.dispose()
    there = inspect(connection)
    tables = set(there.get_table_names())
    for table in wanted.sorted_tables:
        if table.name not in tables:
            table.create(connection)
            log.warning("the journal lacked the table %s of its schema %s; it was made, empty", table.name, revision)
            continue
        columns = {each["name"] for each in there.get_columns(table.name)}
        for column in table.columns:
            if column.name not in columns:
                _add(connection, table, column)
        indexes = {each["name"] for each in there.get_indexes(table.name)}
        for index in table.indexes:
            if index.name not in indexes:
                index.create(connection)


def open_journal(url: str, *, lock: bool = True, wait_for_lock_s: float = 0, connections: int = 4) -> Journal:
    """`url`: `sqlite:///relay.db` or `postgres…`. Close it when done.

    SQLite: with `lock` this process becomes the one relay of the journal (JournalBusy if another is, after
    `wait_for_lock_s`), makes the file if need be and migrates it. Without, it is opened for reading only and never
    migrated. Postgres: any number of processes use it, each over at most so many `connections`; it is never migrated
    here. SchemaOutdated where the schema is older than the relay; JournalUnavailable says what else is wrong.
    """
    where = _parse(url)
    if where.get_backend_name() != "sqlite":
        return _open_postgres(where, connections)
    file = JournalFile(where)
    if not lock:
        file.require()
        store = SqliteStore(file, None)
        try:
            with store.read() as connection:
                require_current(connection)
        except JournalUnavailable:
            store.close()
            raise
        return Journal(store)
    held = FileLock(file.lock_path, wait_s=wait_for_lock_s)
    try:
        _prepare(file)
        return Journal(SqliteStore(file, held))
    except JournalUnavailable:
        held.release()
        raise


def migrate(url: str) -> None:
    """Bring the database to the current schema, or leave it at a newer one that is compatible; safe to repeat.

    JournalBusy while a relay runs on an older one; SchemaTooNew.
    """
    where = _parse(url)
    if where.get_backend_name() == "sqlite":
        file = JournalFile(where)
        if file.path.exists() and _is_current(file) and _is_whole(file):
            return
        held = FileLock(file.lock_path)
        try:
            _prepare(file)
        finally:
            held.release()
        return
    from relay.journal.postgres import postgres_engine

    with _engine(postgres_engine(where), "in Postgres") as engine:
        _upgrade(engine)


def _parse(url: str) -> URL:
    """The URL is not repeated in the message: it may hold a password."""
    try:
        where = make_url(url)
    except ArgumentError as error:
        raise JournalUnavailable("DATABASE_URL is no URL of a database, such as sqlite:///relay.db") from error
    backend = where.drivername.partition("+")[0]
    if backend == "postgres":
        where = where.set(drivername="postgresql")
    elif backend not in ("sqlite", "postgresql"):
        raise JournalUnavailable(f"the journal is kept in sqlite or postgresql, not in {backend}")
    return where


def _is_current(file: JournalFile) -> bool:
    with _engine(file.reading_engine(), str(file.path)) as engine, engine.connect() as connection:
        begin_reading(connection)
        return is_current(connection)


def _is_whole(file: JournalFile) -> bool:
    with _engine(file.reading_engine(), str(file.path)) as engine, engine.connect() as connection:
        begin_reading(connection)
        return not missing(connection)


def _prepare(file: JournalFile) -> None:
    """With the lock held: a file there is, and of the current schema."""
    file.create()
    with _engine(file.writing_engine(), str(file.path)) as engine:
        _upgrade(engine)


def _upgrade(engine: Engine) -> None:
    """Unless the relay can run on it as it is. Raises SchemaTooNew."""
    with engine.begin() as connection:
        if connection.dialect.name == "sqlite" and not inspect(connection).get_table_names():
            _make(connection)
            return
        current = is_current(connection)
    if not current:
        upgrade(engine)
    _repair(engine)


def _open_postgres(where: URL, connections: int) -> Journal:
    from relay.journal.postgres import PostgresStore, postgres_engine

    engine = postgres_engine(where, connections=connections, begins=False)
    store = PostgresStore(engine, connections=connections)
    try:
        with store.read() as connection:
            require_current(connection)
            _require_whole(connection)
        if connections > 1:
            store.require_sessions()
        journal = Journal(store, is_shared=True)
        # Set by the database's clock while it is there: an alert must not wait for it once it is away.
        journal.steady_ms()
    except (JournalUnavailable, SettingsInvalid):
        store.close()
        raise
    return journal


@contextmanager
def _engine(engine: Engine, where: str) -> Iterator[Engine]:
    """Disposed of at the end; its errors in words."""
    try:
        yield engine
    except (SQLAlchemyError, sqlite3.Error) as error:
        said = sqlite_unavailable(error, where)
        if said is None:
            raise
        raise said from error
    finally:
        engine.dispose()
