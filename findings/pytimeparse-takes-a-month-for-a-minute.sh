#!/usr/bin/env bash
# pytimeparse 1.1.10 takes the timeframe 1M, a month at TradingView and Bybit, for one minute.
#
# Version: pytimeparse 1.1.10, ccxt 4.5.90 and pandas 3.1.1 (for comparison)
#
# Guess: a month has no fixed length, so that `1M` is None, as `1mo` is; only `1m` is a minute.
#
# Behaviour: letters' case is ignored, so 1M and 1m are both 60 seconds, and `90`, TradingView's word for 90 minutes,
#   is None. ccxt's `parse_timeframe` makes 30 days of 1M, and pandas refuses it.
#
# Why it matters: a bot that turns an alert's `{{interval}}` into seconds, to tell stale alerts from fresh ones or to
#   wait for the next bar, drops each alert of a monthly chart after a minute, or asks for a bar every 60 seconds.
#   TradingView has 1M for a month and plain numbers for minutes.
#
# Output seen, which is what this script compares with:
#> 1m   pytimeparse 60, ccxt 60, pandas 60.0
#> 1M   pytimeparse 60, ccxt 2592000, pandas refused
#> 1mo  pytimeparse None, ccxt refused, pandas refused
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check pytimeparse==1.1.10 ccxt==4.5.90 pandas==3.1.1

cat >"$folder/check.py" <<'END'
import ccxt
import pandas
import pytimeparse


def by_pandas(text):
    try:
        return pandas.Timedelta(text).total_seconds()
    except ValueError:
        return "refused"


def by_ccxt(text):
    try:
        return ccxt.Exchange.parse_timeframe(text)
    except (ccxt.NotSupported, ValueError):
        return "refused"


for text in ("1m", "1M", "1mo"):
    print(f"{text:3}  pytimeparse {pytimeparse.parse(text)}, ccxt {by_ccxt(text)}, pandas {by_pandas(text)}")
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
