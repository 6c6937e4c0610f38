#!/usr/bin/env bash
# SQLAlchemy 2.1.9 imports Postgres' whole dialect in a process that uses SQLite, as soon as an index names `postgresql_where`.
#
# Version: SQLAlchemy 2.1.9
#
# Guess: an option of another dialect waits until that dialect is used, as the option's name already says whose it is.
#
# Behaviour: the names of options are checked when the index is made, by the dialect's own list of them, for which the dialect is
#   imported: some twenty modules, psycopg's and asyncpg's parts of it among them. `sqlite_where` alone loads SQLite's.
#
# Why it matters to a relay from TradingView to Bybit: one table definition for both databases costs each start on SQLite a tenth
#   of a second and several megabytes, and nothing in the code imports what they are spent on. A `compiles` hook on CreateIndex
#   that hands SQLite's condition on to Postgres does without.
#
# Output seen, which is what this script compares with:
#> as imported             Postgres' dialect: absent
#> with sqlite_where       Postgres' dialect: absent
#> an engine for SQLite    Postgres' dialect: absent
#> with postgresql_where   Postgres' dialect: more than 10 modules
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check sqlalchemy==2.1.9

cat >"$folder/check.py" <<'END'
import sys

from sqlalchemy import Column, Index, Integer, MetaData, Table, create_engine

orders = Table("orders", MetaData(), Column("open", Integer))


def look(after: str) -> None:
    count = sum(name.startswith("sqlalchemy.dialects.postgresql") for name in sys.modules)
    print(f"{after:23} Postgres' dialect: {'more than 10 modules' if count > 10 else count or 'absent'}")


look("as imported")
Index("first", orders.c.open, sqlite_where=orders.c.open == 1)
look("with sqlite_where")
create_engine("sqlite://").connect().close()
look("an engine for SQLite")
Index("second", orders.c.open, sqlite_where=orders.c.open == 1, postgresql_where=orders.c.open == 1)
look("with postgresql_where")
END

seen=$(timeout 90 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
