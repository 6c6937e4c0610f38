#!/usr/bin/env bash
# polars 2.1.0 (with fastexcel 0.21.0) reads a text deep down in a numeric column of an XLSX as nothing.
#
# Version: polars 2.1.0, fastexcel 0.21.0, openpyxl 3.1.5 (writes the file)
#
# Guess: a column with numbers and texts becomes text, or reading fails with the cell's place.
#
# Behaviour: the kind is taken from the first thousand rows; a text behind them becomes null, with no error.
#   `infer_schema_length=None` makes the column text and keeps it.
#
# Why it matters to a relay from TradingView to Bybit: an export of trades with "open", "n/a" or a quantity with a
#   unit in one late row loses just that value; the sums still look right.
#
# Output seen, which is what this script compares with:
#> by default                     Float64  row 1400: None, nulls: 1
#> {'infer_schema_length': None}  String   row 1400: 'open', nulls: 0
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check polars==2.1.0 fastexcel==0.21.0 openpyxl==3.1.5

cat >"$folder/check.py" <<'END'
import io

import openpyxl
import polars

book = openpyxl.Workbook()
book.active.append(["trade", "price"])
for row in range(1500):
    book.active.append([row, "open" if row == 1400 else 61000.5])
file = io.BytesIO()
book.save(file)
for options in ({}, {"infer_schema_length": None}):
    file.seek(0)
    column = polars.read_excel(file, **options)["price"]
    print(f"{options or 'by default'!s:30} {column.dtype!s:8} row 1400: {column[1400]!r}, nulls: {column.null_count()}")
END

seen=$(timeout 90 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
