#!/usr/bin/env bash
# ta 0.11.0's ATR and ADX are 0, not NaN, for the bars that they have no value for yet.
#
# Version: ta 0.11.0, pandas 3.1.1
#
# Guess: where there are fewer bars than the window there is no value, NaN, as in ta's own RSI or moving averages with
#   `fillna=False`.
#
# Behaviour: ATR is 0.0 for the first 13 bars of a window of 14, ADX for the first 27, and `fillna` changes nothing
#   about it; RSI, EMA and Bollinger bands are NaN there, as asked.
#
# Why it matters: a stop two ATR away from the entry lies on the entry itself, a size of risk divided by ATR is
#   infinite, and "ADX below 20" is true for every coin that was listed a day ago. `dropna()` and `isna()` see nothing
#   to remove.
#
# Output seen, which is what this script compares with:
#> ATR       first value at bar 13, before it: ['0.0']
#> ADX       first value at bar 27, before it: ['0.0']
#> RSI       first value at bar 13, before it: ['nan']
#> EMA       first value at bar 13, before it: ['nan']
#> Bollinger first value at bar 13, before it: ['nan']
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check ta==0.11.0 pandas==3.1.1

cat >"$folder/check.py" <<'END'
import pandas
from ta.momentum import rsi
from ta.trend import adx, ema_indicator
from ta.volatility import average_true_range, bollinger_hband

close = pandas.Series([100 + (7 * bar) % 11 for bar in range(40)], dtype=float)
high, low = close + 2, close - 1
for name, values in {
    "ATR": average_true_range(high, low, close, 14, fillna=False),
    "ADX": adx(high, low, close, 14, fillna=False),
    "RSI": rsi(close, 14, fillna=False),
    "EMA": ema_indicator(close, 14, fillna=False),
    "Bollinger": bollinger_hband(close, 14, fillna=False),
}.items():
    first = values[(values != 0) & values.notna()].index[0]
    print(f"{name:9} first value at bar {first:2}, before it:", sorted(set(map(str, values[:first]))))
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
