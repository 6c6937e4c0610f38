"""The schema: one truth in two places, migrations that can be repeated, no relay on a schema it does not know."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import make_url
from sqlalchemy.schema import CreateIndex, CreateTable

from relay.errors import JournalBusy, JournalUnavailable, SchemaOutdated
from relay.journal.opening import HEAD, migrate, open_journal, upgrade
from relay.journal.sqlite import JournalFile
from relay.journal.tables import metadata
from tests.unit.journal_builders import accepted, url_of


def _schema(file: Path) -> dict[str, str]:
    with closing(sqlite3.connect(file)) as connection:
        rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    # A column that was added later stands behind other blanks than one of the first.
    return {
        name: " ".join(re.sub(r"([(),])", r" \1 ", sql).split()) for name, sql in rows if not name.startswith("sqlite_")
    }


def _migrated(file: Path) -> dict[str, str]:
    """A new journal by all of the migrations; which relays can run on each of their revisions."""
    engine = JournalFile(make_url(f"sqlite:///{file}"))
    engine.create()
    writing = engine.writing_engine()
    upgrade(writing)
    writing.dispose()
    with closing(sqlite3.connect(file)) as connection:
        return dict(connection.execute("SELECT revision, compatible_from FROM schema_meta"))


def _run(file: Path, *statements: str) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        for statement in statements:
            connection.execute(statement, {"head": HEAD})


def test_the_migrated_schema_is_the_one_of_the_tables(tmp_path: Path) -> None:
    _migrated(tmp_path / "relay.db")
    engine = create_engine(url_of(tmp_path))
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_a_new_journal_is_to_the_letter_what_the_migrations_would_make_of_it(tmp_path: Path) -> None:
    """Also where the comparison above is blind: conditions of indexes, key order, AUTOINCREMENT."""
    marks = _migrated(tmp_path / "migrated.db")
    migrate(url_of(tmp_path))
    assert _schema(tmp_path / "relay.db") == _schema(tmp_path / "migrated.db")
    with closing(sqlite3.connect(tmp_path / "relay.db")) as connection:
        assert connection.execute("SELECT * FROM schema_meta").fetchall() == [(HEAD, marks[HEAD])]
        assert connection.execute("SELECT * FROM alembic_version").fetchall() == [(HEAD,)]


def test_the_known_revision_is_the_last_one() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(open_journal.__code__.co_filename).parent / "migrations"))
    revisions = [each.revision for each in ScriptDirectory.from_config(config).walk_revisions()]
    assert revisions[0] == HEAD
    assert revisions == sorted(revisions, reverse=True)


def test_every_revision_says_which_relays_can_run_on_it(tmp_path: Path) -> None:
    said = _migrated(tmp_path / "relay.db")
    assert sorted(said)[-1] == HEAD
    assert "0017" <= said[HEAD] <= HEAD, "a relay from before cannot read rows of spot"


def test_migrating_again_changes_nothing_even_beside_a_running_relay(tmp_path: Path) -> None:
    migrate(url_of(tmp_path))
    migrate(url_of(tmp_path))
    journal = open_journal(url_of(tmp_path))
    signal_id = accepted(journal)
    migrate(url_of(tmp_path))
    assert [each.signal.id for each in journal.unfinished()] == [signal_id]
    journal.close()


def test_a_relay_of_an_older_schema_is_not_migrated_under_its_feet(tmp_path: Path) -> None:
    journal = open_journal(url_of(tmp_path))
    _run(tmp_path / "relay.db", "UPDATE alembic_version SET version_num = '0000'")
    with pytest.raises(JournalBusy):
        migrate(url_of(tmp_path))
    journal.close()


def test_reading_never_migrates(tmp_path: Path) -> None:
    (tmp_path / "relay.db").touch()
    with pytest.raises(SchemaOutdated, match="python -m relay migrate"):
        open_journal(url_of(tmp_path), lock=False)
    assert (tmp_path / "relay.db").read_bytes() == b""
    migrate(url_of(tmp_path))
    open_journal(url_of(tmp_path), lock=False).close()


@pytest.mark.parametrize("lock", [True, False])
def test_a_newer_schema_that_is_marked_compatible_is_run_on(tmp_path: Path, lock: bool) -> None:
    migrate(url_of(tmp_path))
    _run(
        tmp_path / "relay.db",
        "UPDATE alembic_version SET version_num = '9999'",
        "INSERT INTO schema_meta VALUES ('9999', :head)",
    )
    open_journal(url_of(tmp_path), lock=lock).close()


@pytest.mark.parametrize("lock", [True, False])
@pytest.mark.parametrize("mark", ["INSERT INTO schema_meta VALUES ('9999', '9998')", "SELECT 1"])
def test_a_newer_schema_that_is_not_is_refused_and_left_alone(tmp_path: Path, lock: bool, mark: str) -> None:
    migrate(url_of(tmp_path))
    _run(tmp_path / "relay.db", "UPDATE alembic_version SET version_num = '9999'", mark)
    with pytest.raises(JournalUnavailable, match="9999 is newer than this relay"):
        open_journal(url_of(tmp_path), lock=lock)
    with closing(sqlite3.connect(tmp_path / "relay.db")) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("9999",)]


def test_a_refused_journal_is_not_left_locked(tmp_path: Path) -> None:
    migrate(url_of(tmp_path))
    _run(tmp_path / "relay.db", "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(JournalUnavailable):
        open_journal(url_of(tmp_path))
    _run(tmp_path / "relay.db", "UPDATE alembic_version SET version_num = :head")
    open_journal(url_of(tmp_path)).close()


def test_the_tables_can_be_made_on_postgres() -> None:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    made = [str(CreateTable(table).compile(dialect=dialect)) for table in metadata.sorted_tables]
    indexes = [
        str(CreateIndex(index).compile(dialect=dialect))
        for table in metadata.tables.values()
        for index in table.indexes
    ]
    assert any("seq BIGSERIAL" in statement for statement in made)
    assert sum("WHERE status IN (" in statement for statement in indexes) == 4


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sqlite://", "in memory keeps nothing"),
        ("sqlite:///:memory:", "in memory keeps nothing"),
        ("mysql://root:hunter2@localhost/relay", "not in mysql"),
        ("hunter2", "no URL of a database"),
    ],
)
def test_a_url_of_something_else_is_refused_without_repeating_it(url: str, said: str) -> None:
    for attempt in (open_journal, migrate):
        with pytest.raises(JournalUnavailable, match=said) as refused:
            attempt(url)
        assert "hunter2" not in str(refused.value)


def test_a_table_or_a_column_that_is_missing_at_the_right_revision_is_made_anew(tmp_path: Path) -> None:
    """As after a migration that was edited once it had landed."""
    journal = open_journal(url_of(tmp_path))
    signal_id = accepted(journal)
    journal.close()
    whole = _schema(tmp_path / "relay.db")
    _run(tmp_path / "relay.db", "DROP TABLE booked_until", "ALTER TABLE notices DROP COLUMN account")
    assert _schema(tmp_path / "relay.db") != whole
    journal = open_journal(url_of(tmp_path))
    assert [each.signal.id for each in journal.unfinished()] == [signal_id]
    journal.close()
    assert _schema(tmp_path / "relay.db") == whole


def test_a_column_that_cannot_be_made_up_is_named_in_a_sentence(tmp_path: Path) -> None:
    migrate(url_of(tmp_path))
    _run(tmp_path / "relay.db", "ALTER TABLE signals DROP COLUMN body_digest")
    with pytest.raises(JournalUnavailable, match="lacks the column body_digest of the table signals"):
        open_journal(url_of(tmp_path))


def test_a_postgres_that_lacks_a_table_says_so_until_it_is_migrated(postgres_url: str) -> None:
    open_journal(postgres_url).close()
    engine = create_engine(postgres_url)
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE booked_until")
    engine.dispose()
    with pytest.raises(JournalUnavailable, match="lacks the table booked_until.*relay migrate"):
        open_journal(postgres_url)
    migrate(postgres_url)
    open_journal(postgres_url).close()
