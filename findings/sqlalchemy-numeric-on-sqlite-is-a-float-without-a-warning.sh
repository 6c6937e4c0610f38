#!/usr/bin/env bash
# SQLAlchemy 2.1.9 keeps Numeric on SQLite as a float, gives it back as a Decimal with digits that were never written, and does not warn any more.
#
# Version: SQLAlchemy 2.1.9
#
# Guess: a Decimal comes back as it was, or there is the warning of earlier versions that this dialect does not
#   support Decimal natively.
#
# Behaviour: no warning. Numeric(38, 18) returns 0.100000000000000006 for 0.1; Numeric without arguments cuts to ten
#   places, so that 1E-12 becomes 0. Large values lose their last digits.
#
# Why it matters to a relay from TradingView to Bybit: prices and quantities that went through the database no longer
#   fit tick and step: 61000.10 comes back as 61000.099999999998544808, and rounding down to the tick gives another
#   price. Keep money as text on SQLite.
#
# Output seen, which is what this script compares with:
#> 0.1                   Numeric(38, 18): 0.100000000000000006                   Numeric: 0.1000000000
#> 61000.10              Numeric(38, 18): 61000.099999999998544808               Numeric: 61000.1000000000
#> 0.000000000001        Numeric(38, 18): 1.000000E-12                           Numeric: 0E-10
#> 123456789012345678.5  Numeric(38, 18): 123456789012345680.000000000000000000  Numeric: 123456789012345680.0000000000
#> warnings: 0
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check sqlalchemy==2.1.9

cat >"$folder/check.py" <<'END'
import warnings
from decimal import Decimal

import sqlalchemy as sa

engine = sa.create_engine("sqlite://")
table = sa.Table("t", sa.MetaData(), sa.Column("wide", sa.Numeric(38, 18)), sa.Column("plain", sa.Numeric))
with warnings.catch_warnings(record=True) as warned, engine.begin() as connection:
    warnings.simplefilter("always")
    table.metadata.create_all(connection)
    for text in ("0.1", "61000.10", "0.000000000001", "123456789012345678.5"):
        connection.execute(table.delete())
        connection.execute(table.insert(), {"wide": Decimal(text), "plain": Decimal(text)})
        wide, plain = connection.execute(sa.select(table)).one()
        print(f"{text:21} Numeric(38, 18): {wide!s:38} Numeric: {plain}")
print("warnings:", len(warned))
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
