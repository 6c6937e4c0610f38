#!/usr/bin/env bash
# openpyxl 3.1.5 writes numbers with sixteen significant digits, NaN as an empty cell, and times to the millisecond.
#
# Version: openpyxl 3.1.5
#
# Guess: a float is written so that the same float is read back, as `repr` does it, and a Decimal with the digits that
#   it has.
#
# Behaviour: the seventeenth digit is rounded away, so that 0.1 + 0.2 comes back as 0.3; a Decimal is cut likewise and
#   comes back as a float; microseconds are lost; NaN and infinity become nothing, without an error.
#
# Why it matters to a relay from TradingView to Bybit: an export of orders that is read again for comparison differs
#   from the journal in the last digits of large quantities and prices, and in the times that tell two fills of one
#   millisecond apart. Write both as text.
#
# Output seen, which is what this script compares with:
#> 0.30000000000000004                                 read back as 0.3
#> Decimal('123456789.123456789')                      read back as 123456789.1234568
#> Decimal('61000.10')                                 read back as 61000.1
#> nan                                                 read back as None
#> datetime.datetime(2026, 11, 30, 12, 0, 0, 123456)   read back as datetime.datetime(2026, 11, 30, 12, 0, 0, 123000)
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check openpyxl==3.1.5

cat >"$folder/check.py" <<'END'
import io
from datetime import datetime
from decimal import Decimal

import openpyxl

values = [
    0.1 + 0.2,
    Decimal("123456789.123456789"),
    Decimal("61000.10"),
    float("nan"),
    datetime(2026, 11, 30, 12, 0, 0, 123456),
]
book = openpyxl.Workbook()
book.active.append(values)
file = io.BytesIO()
book.save(file)
file.seek(0)
for written, read in zip(values, next(openpyxl.load_workbook(file).active.values), strict=True):
    print(f"{written!r:51} read back as {read!r}")
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
