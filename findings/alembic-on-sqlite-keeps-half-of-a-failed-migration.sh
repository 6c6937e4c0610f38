#!/usr/bin/env bash
# When a migration of alembic 1.20.1 fails on SQLite, the tables made before its first INSERT stay, and what came after is rolled back.
#
# Version: alembic 1.20.1, SQLAlchemy 2.1.9, Python's sqlite3
#
# Guess: SQLite can roll back CREATE TABLE, and alembic's `env.py` opens a transaction: a failed migration leaves
#   nothing behind.
#
# Behaviour: Python's sqlite3 begins the transaction only at the first INSERT, UPDATE or DELETE. Tables created before
#   it are there for good, without rows; tables created behind it vanish. The next try ends with "table already
#   exists", for ever.
#
# Why it matters to a relay from TradingView to Bybit: a relay that migrates at its start and is stopped in the
#   middle, or whose data surprise the migration, does not start again without somebody editing the database, while
#   the market moves. Set `isolation_level=None` and send BEGIN in an event, or the driver's `autocommit=False`.
#
# Output seen, which is what this script compares with:
#> try 1: RuntimeError: a row that nobody expected
#>     tables: ['alembic_version', 'before_the_insert'], rows in the first: 0, versions: []
#> try 2: OperationalError: (sqlite3.OperationalError) table before_the_insert already exists
#>     tables: ['alembic_version', 'before_the_insert'], rows in the first: 0, versions: []
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check alembic==1.20.1 sqlalchemy==2.1.9

cat >"$folder/check.py" <<'END'
import sqlite3
import tempfile
from pathlib import Path

from alembic import command
from alembic.config import Config

folder = Path(tempfile.mkdtemp(dir=Path(__file__).parent))
(folder / "scripts/versions").mkdir(parents=True)
(folder / "scripts/env.py").write_text("""
import sqlalchemy
from alembic import context

with sqlalchemy.create_engine(context.config.get_main_option("sqlalchemy.url")).connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
""")
(folder / "scripts/versions/first.py").write_text("""
import sqlalchemy as sa
from alembic import op

revision = "1"
down_revision = None


def upgrade():
    op.create_table("before_the_insert", sa.Column("x", sa.Integer))
    op.execute("INSERT INTO before_the_insert VALUES (1)")
    op.create_table("after_the_insert", sa.Column("x", sa.Integer))
    raise RuntimeError("a row that nobody expected")
""")
config = Config()
config.set_main_option("script_location", str(folder / "scripts"))
config.set_main_option("sqlalchemy.url", f"sqlite:///{folder}/journal.db")
for attempt in (1, 2):
    try:
        command.upgrade(config, "head")
    except Exception as error:
        print(f"try {attempt}: {type(error).__name__}: {str(error).splitlines()[0]}")
    with sqlite3.connect(folder / "journal.db") as found:
        names = [row[0] for row in found.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
        rows = found.execute("SELECT count(*) FROM before_the_insert").fetchone()[0]
        print(f"    tables: {names}, rows in the first: {rows}, versions: {found.execute('SELECT * FROM alembic_version').fetchall()}")
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
