#!/usr/bin/env bash
# In TA-Lib 0.8.2 `talib.stream.RSI(...)` is an object instead of a number, and always true: every candlestick pattern seems to be there.
#
# Version: TA-Lib (the Python wrapper) 0.8.2, and 0.6.8 for comparison
#
# Guess: `stream.RSI(close, 14)` is the last value of `talib.RSI(close, 14)`, in the old release as in the new.
#
# Behaviour: in 0.6.8 `stream` gives a number, seeded from the last few bars alone, so that RSI and EMA are others
#   than those of the function. In 0.8.2 it gives a handle whose `.value` is exactly the function's. Compared by `<`,
#   the handle raises TypeError; compared by `==`, it is never equal; asked whether it is true, it is.
#
# Why it matters: a bot written for the old release, `if stream.CDLENGULFING(o, h, l, c): buy()`, buys at every bar
#   after the update, and one that asks for `== 100` never does. In the old release a stop by `stream.ATR`
#   or a threshold by `stream.RSI` was not the back test's.
#
# Output seen, which is what this script compares with:
#> TA-Lib 0.6.8
#>   RSI          function 51.36, stream 28.03, is true: True, == 0: False
#>   EMA          function 110.51, stream 112.77, is true: True, == 0: False
#>   CDLENGULFING function 0.00, stream 0.00, is true: False, == 0: True
#>   stream.RSI(close, 14) < 30: True
#> TA-Lib 0.8.2
#>   RSI          function 51.36, stream handle with value 51.36, is true: True, == 0: False
#>   EMA          function 110.51, stream handle with value 110.51, is true: True, == 0: False
#>   CDLENGULFING function 0.00, stream handle with value 0.00, is true: True, == 0: False
#>   stream.RSI(close, 14) < 30: TypeError
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check ta-lib==0.8.2
"${PYTHON:-python3}" -m venv "$folder/old"
timeout 300 "$folder/old/bin/pip" install -qq --disable-pip-version-check ta-lib==0.6.8

cat >"$folder/check.py" <<'END'
import numpy
import talib
from talib import stream

bars = numpy.arange(60)
close = 100 + 10 * numpy.sin(bars / 5) + bars * 0.3
opening, high, low = close - 1, close + 2, close - 2
print("TA-Lib", talib.__version__)
for name, values in {"RSI": (close, 14), "EMA": (close, 20), "CDLENGULFING": (opening, high, low, close)}.items():
    streamed, last = getattr(stream, name)(*values), getattr(talib, name)(*values)[-1]
    shown = f"{streamed:.2f}" if isinstance(streamed, (int, float)) else f"handle with value {streamed.value:.2f}"
    print(f"  {name:12} function {last:.2f}, stream {shown}, is true: {bool(streamed)}, == 0: {streamed == 0}")
try:
    print("  stream.RSI(close, 14) < 30:", stream.RSI(close, 14) < 30)
except TypeError as error:
    print("  stream.RSI(close, 14) < 30:", type(error).__name__)
END

seen=$({ timeout 60 "$folder/old/bin/python" "$folder/check.py"; timeout 60 "$folder/venv/bin/python" "$folder/check.py"; })
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
