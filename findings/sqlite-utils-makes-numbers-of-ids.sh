#!/usr/bin/env bash
# sqlite-utils 3.39 with `--detect-types` stores an order id of 20 digits as 1.2345678901234567e+19, in a column that it calls INTEGER, and "007" as 7.
#
# Version: sqlite-utils 3.39
#
# Guess: a column becomes one of numbers only where each of its values is the same after it; ids with zeros in front, or
#   with more digits than an integer of SQLite holds, stay texts.
#
# Behaviour: whatever `int` takes makes an INTEGER column, and SQLite's affinity does the rest: past 64 bits the value
#   becomes a float, and zeros in front go; "1_000" counts as an integer and stays a text. The exit code is 0.
#
# Why it matters to a relay from TradingView to Bybit: exports of signals, orders and trades are looked at with it. Two
#   orders whose ids differ in the last digits are one in a join, and no id is found again by its text.
#
# Output seen, which is what this script compares with:
#> without: id TEXT, account TEXT, batch TEXT, qty TEXT
#>   12345678901234567890 007 1_000 0.10
#>   12345678901234567891 008 2_000 0.20
#>   different ids: 2
#> with:    id INTEGER, account INTEGER, batch INTEGER, qty FLOAT
#>   1.2345678901234567e+19 7 1_000 0.1
#>   1.2345678901234567e+19 8 2_000 0.2
#>   different ids: 1
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check sqlite-utils==3.39

cat >"$folder/check.py" <<'END'
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

HERE = Path(__file__).parent
orders = HERE / "orders.csv"
orders.write_text(
    "id,account,batch,qty\n12345678901234567890,007,1_000,0.10\n12345678901234567891,008,2_000,0.20\n"
)


def show(words, *options):
    path = HERE / f"{words}.db"
    command = [Path(sys.executable).parent / "sqlite-utils", "insert", path, "orders", orders, "--csv", "--silent", *options]
    subprocess.run(command, check=True)
    with closing(sqlite3.connect(path)) as database:
        columns = database.execute("SELECT name, type FROM pragma_table_info('orders')").fetchall()
        print(f"{words + ':':8} {', '.join(' '.join(each) for each in columns)}")
        for row in database.execute("SELECT * FROM orders"):
            print(" ", *row)
        print("  different ids:", database.execute("SELECT count(DISTINCT id) FROM orders").fetchone()[0])


show("without")
show("with", "--detect-types")
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
