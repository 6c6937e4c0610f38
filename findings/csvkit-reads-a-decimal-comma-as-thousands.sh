#!/usr/bin/env bash
# csvkit 2.2.0 reads "0,5" and "0,05" both as 5, 67123,45 as 6712345, and a column of trade numbers that are all 1 as true.
#
# Version: csvkit 2.2.0, agate 1.14.2, Babel 2.19.0
#
# Guess: a number with a decimal comma in a file that is separated by semicolons is read as one, or stays text.
#
# Behaviour: commas count as separators of thousands wherever they stand, and are taken away without a word. `--locale
#   de_DE` reads them rightly; `-I` leaves all as text. A column of only 0 and 1 is boolean either way; in agate it is so as well.
#
# Why it matters to a relay from TradingView to Bybit: a strategy's list of trades that went through a spreadsheet in half of
#   Europe has decimal commas. Quantities are ten or a hundred times too large, each by its own factor, so that sums look
#   only a little odd, and nothing fails.
#
# Output seen, which is what this script compares with:
#> plain            {"Trade #": true, "Price": 6712345.0, "Qty": 5.0, "P&L": 0.0}
#> plain            {"Trade #": true, "Price": 6720015.0, "Qty": 5.0, "P&L": 3835.0}
#> --locale de_DE   {"Trade #": true, "Price": 67123.45, "Qty": 0.5, "P&L": 0.0}
#> --locale de_DE   {"Trade #": true, "Price": 67200.15, "Qty": 0.05, "P&L": 38.35}
#> -I               {"Trade #": "1", "Price": "67123,45", "Qty": "0,5", "P&L": "0"}
#> -I               {"Trade #": "1", "Price": "67200,15", "Qty": "0,05", "P&L": "38,35"}
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check csvkit==2.2.0 agate==1.14.2 babel==2.19.0

printf '%s\n' 'Trade #;Price;Qty;P&L' '1;67123,45;0,5;0' '1;67200,15;0,05;38,35' >"$folder/trades.csv"
cat >"$folder/check.py" <<'END'
import os
import subprocess
import sys

csvjson = os.path.join(os.path.dirname(sys.executable), "csvjson")
for options in ((), ("--locale", "de_DE"), ("-I",)):
    command = [csvjson, "-d", ";", "--snifflimit", "0", *options, "trades.csv"]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    for row in ran.stdout.strip().strip("[]").replace("}, {", "}\n{").splitlines():
        print(f"{' '.join(options) or 'plain':16} {row}")
END

cd "$folder"
seen=$(timeout 90 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
