#!/usr/bin/env bash
# vectorbt 1.2.0's RSI(14) of the same closes is 31.9 or 55.7 where Wilder's, as TradingView and TA-Lib have it, is 51.7.
#
# Version: vectorbt 1.2.0, TA-Lib (the Python wrapper) 0.8.2 (for comparison)
#
# Guess: RSI(14) means Wilder's smoothing, with a weight of 1/14 for the newest bar; libraries differ by their first
#   bars at most.
#
# Behaviour: by default gains and losses of the last 14 bars are averaged plainly; with `ewm=True` they are smoothed
#   with a weight of 2/15, which is Wilder's RSI(7.5). No argument gives Wilder's; `ewm=True` with a window of 27
#   (2/28 = 1/14) does, but for its beginning. `vectorbt.ATR` has the weight of 2/15, too.
#
# Why it matters: a threshold that was found by vectorbt's back test, and is then written into a Pine script whose
#   alerts place orders, acts on other bars: in the series here the two are 20 points apart at the last bar.
#
# Output seen, which is what this script compares with:
#> RSI(14): TA-Lib                    51.7
#>          vectorbt                       31.9
#>          vectorbt ewm=True              55.7
#>          vectorbt ewm=True, window 27   52.7
#> ATR(14): TA-Lib                    3.502
#>          vectorbt                   3.493
#>          vectorbt ewm=False         3.544
#>          vectorbt window 27         3.479
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 600 "$folder/venv/bin/pip" install -qq --disable-pip-version-check vectorbt==1.2.0 ta-lib==0.8.2

cat >"$folder/check.py" <<'END'
import warnings

import numpy
import pandas
import talib
import vectorbt

warnings.simplefilter("ignore")
bars = numpy.arange(60)
close = pandas.Series(100 + 10 * numpy.sin(bars / 5) + bars * 0.3 + ((bars * 7) % 11) * 0.2)
high, low = close + 1 + ((bars * 3) % 5) * 0.3, close - 1 - ((bars * 5) % 7) * 0.2
print(f"RSI(14): TA-Lib                    {talib.RSI(close, 14).iloc[-1]:.1f}")
for words, options in {"": {}, "ewm=True": {"ewm": True}, "ewm=True, window 27": {"ewm": True, "window": 27}}.items():
    print(f"         vectorbt {words:21} {vectorbt.RSI.run(close, **{'window': 14} | options).rsi.iloc[-1]:.1f}")
print(f"ATR(14): TA-Lib                    {talib.ATR(high, low, close, 14).iloc[-1]:.3f}")
for words, options in {"": {}, "ewm=False": {"ewm": False}, "window 27": {"window": 27}}.items():
    print(f"         vectorbt {words:17} {vectorbt.ATR.run(high, low, close, **{'window': 14} | options).atr.iloc[-1]:.3f}")
END

seen=$(timeout 120 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
