#!/usr/bin/env bash
# openpyxl 3.1.5 in read-only mode reads as many rows as the sheet's `dimension` claims, however many there are.
#
# Version: openpyxl 3.1.5
#
# Guess: the dimension is a hint; all rows that stand in the sheet are read.
#
# Behaviour: with `<dimension ref="A1:D1"/>` over 25 rows, read-only mode gives one row, without an error. Normal mode
#   gives all. Spreadsheet programs ignore the entry, and writers are known to leave it wrong.
#
# Why it matters to a relay from TradingView to Bybit: read-only mode is the one recommended for large files such as a
#   strategy's list of trades. One trade of hundreds is compared with the account, and everything seems to fit.
#   `sheet.reset_dimensions()` before reading, or normal mode.
#
# Output seen, which is what this script compares with:
#> normal mode:                     25 rows
#> read-only mode:                  1 rows
#> read-only, dimensions reset:     25 rows
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check openpyxl==3.1.5

cat >"$folder/check.py" <<'END'
import io
import zipfile

import openpyxl

book = openpyxl.Workbook()
for row in range(25):
    book.active.append([row, "Entry long", 61000.5, 0.01])
whole = io.BytesIO()
book.save(whole)
changed = io.BytesIO()
with zipfile.ZipFile(whole) as source, zipfile.ZipFile(changed, "w") as target:
    for name in source.namelist():
        content = source.read(name)
        if name.endswith("sheet1.xml"):
            content = content.replace(b'<dimension ref="A1:D25"', b'<dimension ref="A1:D1"')
        target.writestr(name, content)
for words, options in (("normal mode:", {}), ("read-only mode:", {"read_only": True})):
    changed.seek(0)
    print(f"{words:32}", len(list(openpyxl.load_workbook(changed, **options).active.rows)), "rows")
changed.seek(0)
sheet = openpyxl.load_workbook(changed, read_only=True).active
sheet.reset_dimensions()
print(f"{'read-only, dimensions reset:':32}", len(list(sheet.rows)), "rows")
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
