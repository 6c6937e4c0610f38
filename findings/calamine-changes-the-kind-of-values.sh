#!/usr/bin/env bash
# python-calamine 0.9.1 reads a date-time at midnight as a date, whole numbers as floats, and an error cell as an empty text.
#
# Version: python-calamine 0.9.1, openpyxl 3.1.5 (writes the file)
#
# Guess: a column has one kind of value: date-times stay date-times, and `#N/A` is told from nothing.
#
# Behaviour: of a column of times the one at 00:00 comes back as `datetime.date`; 3 becomes 3.0; `#N/A` and an empty
#   cell are both ''.
#
# Why it matters to a relay from TradingView to Bybit: a list of trades holds a trade at midnight sooner or later;
#   sorting or subtracting then raises TypeError, or an `isinstance` check drops just that trade. A trade number 3.0
#   is no key "3".
#
# Output seen, which is what this script compares with:
#> [3.0, datetime.datetime(2026, 11, 30, 23, 59), 'x']
#> [4.0, datetime.date(2026, 12, 1), '']
#> [5.0, datetime.datetime(2026, 12, 1, 0, 1), '']
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check python-calamine==0.9.1 openpyxl==3.1.5

cat >"$folder/check.py" <<'END'
import io
from datetime import datetime

import openpyxl
from python_calamine import CalamineWorkbook

book = openpyxl.Workbook()
for row in ((3, datetime(2026, 11, 30, 23, 59), "x"), (4, datetime(2026, 12, 1), None), (5, datetime(2026, 12, 1, 0, 1), "#N/A")):
    book.active.append(row)
file = io.BytesIO()
book.save(file)
file.seek(0)
for row in CalamineWorkbook.from_filelike(file).get_sheet_by_index(0).to_python():
    print(row)
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
