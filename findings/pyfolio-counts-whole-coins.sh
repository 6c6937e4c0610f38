#!/usr/bin/env bash
# pyfolio-reloaded 0.10.1 counts trades in whole units: a trade of 1.5 BTC earns what 1 BTC would, and trades under 1 are no trades at all.
#
# Version: pyfolio-reloaded 0.10.1, pandas 3.1.1
#
# Guess: a round trip of 0.5 BTC from 100 to 110 has a profit of 5, one of 1.5 BTC a profit of 15.
#
# Behaviour: `extract_round_trips` lays out each fill as a stack of single units, `int(abs(amount))` of them, and the
#   rest of the amount is dropped without a warning. Where all amounts are below 1 the stacks are empty, and the error
#   is about a missing column.
#
# Why it matters: the round-trip sheet of a day on Bybit, where positions are 0.015 BTC or 12.7 SOL, shows profits
#   that nobody made, and among several coins only those that are traded by the thousand. Amounts in the exchange's
#   quantity steps (15 for 0.015 at a step of 0.001, with the price divided by as much) give the right sums.
#
# Output seen, which is what this script compares with:
#> 1 BTC, twice          earned 20.00, told 20.00
#> 1.5 and 2.9 BTC       earned 44.00, told 30.00
#> 0.5 and 2.9 BTC       earned 34.00, told 20.00
#> the same, in steps    earned 34.00, told 34.00
#> 0.5 BTC, twice        earned 10.00, told KeyError 'close_dt'
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check pyfolio-reloaded==0.10.1 pandas==3.1.1

cat >"$folder/check.py" <<'END'
import warnings

import pandas
from pyfolio.round_trips import extract_round_trips

warnings.simplefilter("ignore")
days = pandas.date_range("2026-01-01", periods=4, tz="UTC")


def profit(*amounts, steps=1):
    rows = {"amount": [amount * steps for amount in amounts], "price": [price / steps for price in (100, 110, 110, 120)]}
    trips = extract_round_trips(pandas.DataFrame(rows | {"symbol": "BTC"}, index=days))
    return f"{trips.pnl.sum():.2f}"


print("1 BTC, twice          earned 20.00, told", profit(1, -1, 1, -1))
print("1.5 and 2.9 BTC       earned 44.00, told", profit(1.5, -1.5, 2.9, -2.9))
print("0.5 and 2.9 BTC       earned 34.00, told", profit(0.5, -0.5, 2.9, -2.9))
print("the same, in steps    earned 34.00, told", profit(0.5, -0.5, 2.9, -2.9, steps=10))
try:
    print("0.5 BTC, twice        earned 10.00, told", profit(0.5, -0.5, 0.5, -0.5))
except KeyError as error:
    print("0.5 BTC, twice        earned 10.00, told KeyError", error)
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
