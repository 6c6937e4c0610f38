#!/usr/bin/env bash
# tabulate 0.10.0 prints a price of 67123.45 as 67123.4, also when it was given as text or as a Decimal.
#
# Version: tabulate 0.10.0
#
# Guess: a table prints what it is given; texts certainly stay as they are.
#
# Behaviour: a column in which every cell reads as a number is one of floats, and is written with format "g": six
#   significant digits, an exponent from a million on. Texts and Decimals are turned into floats for that.
#   `disable_numparse=True` keeps all of them as they are; `floatfmt=".10g"` keeps ten digits.
#
# Why it matters to a relay from TradingView to Bybit: a report of fills on a command line shows prices that were never paid
#   and quantities without their last digits, beside sums that do not fit; and an id such as "12e5" becomes 1.2e+06.
#
# Output seen, which is what this script compares with:
#> floats             67123.4, 1.23457e+06
#> Decimals           67123.4, 0.123457
#> texts              67123.4, 0.123457
#> ids                1.2e+06, 3e+07
#> floats, no parsing 67123.45, 1234567.25
#> texts, no parsing  67123.45, 0.123456789
#> ids, no parsing    12e5, 3e7
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check tabulate==0.10.0

cat >"$folder/check.py" <<'END'
from decimal import Decimal

from tabulate import tabulate


def show(words, values, **options):
    table = tabulate([[value] for value in values], tablefmt="plain", **options)
    print(f"{words:18} {', '.join(table.split())}")


show("floats", (67123.45, 1234567.25))
show("Decimals", (Decimal("67123.45"), Decimal("0.123456789")))
show("texts", ("67123.45", "0.123456789"))
show("ids", ("12e5", "3e7"))
show("floats, no parsing", (67123.45, 1234567.25), disable_numparse=True)
show("texts, no parsing", ("67123.45", "0.123456789"), disable_numparse=True)
show("ids, no parsing", ("12e5", "3e7"), disable_numparse=True)
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
