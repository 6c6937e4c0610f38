#!/usr/bin/env bash
# vectorbt 1.2.0 rounds a size of 0.3 with `size_granularity=0.1` down to 0.2, and 0.29 with 0.01 to 0.28.
#
# Version: vectorbt 1.2.0, pandas as it brings it
#
# Guess: a size that is a multiple of the granularity is ordered as it is.
#
# Behaviour: sizes are cut by `size // granularity * granularity` in doubles, and 0.3 // 0.1 is 2. A size loses a
#   whole step, or not, by how the two numbers happen to be rounded; the order is filled, and nothing tells of it. A
#   granularity that is a power of two, or sizes counted in steps, are right.
#
# Why it matters: with steps as Bybit's (0.1 SOL, 0.01 ETH, 0.001 BTC) half of all sizes and more are a step less in a
#   back test than what the exchange fills, small ones by a third. A position of 0.3 that is closed by an order of 0.3
#   leaves 0.1 of what a signal in steps had bought.
#
# Output seen, which is what this script compares with:
#> step 0.1: 82 of 100 sizes lose a step: 0.3 is 0.2, 0.5 is 0.4, 0.6 is 0.5
#> step 0.01: 58 of 100 sizes lose a step: 0.03 is 0.02, 0.06 is 0.05, 0.09 is 0.08
#> step 0.001: 50 of 100 sizes lose a step: 0.009 is 0.008, 0.011 is 0.01, 0.013 is 0.012
#> step 0.125: 0.375 is 0.375
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 600 "$folder/venv/bin/pip" install -qq --disable-pip-version-check vectorbt==1.2.0

cat >"$folder/check.py" <<'END'
import warnings

import pandas
import vectorbt

warnings.simplefilter("ignore")
close = pandas.Series([100.0, 110.0, 120.0], index=pandas.date_range("2026-01-01", periods=3))


def filled(size, step):
    orders = pandas.Series([size, float("nan"), float("nan")], index=close.index)
    portfolio = vectorbt.Portfolio.from_orders(close, orders, size_granularity=step, init_cash=100_000, freq="D")
    return round(float(portfolio.orders.records["size"][0]), 10)


for step, digits in ((0.1, 1), (0.01, 2), (0.001, 3)):
    sizes = [round(number * step, digits) for number in range(1, 101)]
    short = [size for size in sizes if filled(size, step) != size]
    print(f"step {step}: {len(short)} of {len(sizes)} sizes lose a step:", ", ".join(f"{size} is {filled(size, step)}" for size in short[:3]))
print("step 0.125: 0.375 is", filled(0.375, 0.125))
END

seen=$(timeout 120 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
