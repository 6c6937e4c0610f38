#!/usr/bin/env bash
# prometheus-client 0.26.0 accepts a Decimal where a gauge is set, and raises TypeError where anything is increased by it or observed.
#
# Version: prometheus-client 0.26.0
#
# Guess: whatever can be made a float is taken everywhere: `inc(Decimal("0.1"))` works as `set(Decimal("0.1"))` does.
#
# Behaviour: `set` converts, text too; `inc`, `dec` and `observe` add to a float, and float and Decimal do not add.
#
# Why it matters to a relay from TradingView to Bybit: code that keeps money in Decimal counts fees or traded value
#   with `inc`; it passes type checks that allow numbers and fails when the first fee is booked, in the middle of the
#   work that the metric was to watch.
#
# Output seen, which is what this script compares with:
#> Gauge.set          taken
#> Gauge.set of text  taken
#> Gauge.inc          TypeError: unsupported operand type(s) for +=: 'float' and 'decimal.Decimal'
#> Counter.inc        TypeError: unsupported operand type(s) for +=: 'float' and 'decimal.Decimal'
#> Histogram.observe  TypeError: unsupported operand type(s) for +=: 'float' and 'decimal.Decimal'
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check prometheus-client==0.26.0

cat >"$folder/check.py" <<'END'
from decimal import Decimal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

registry = CollectorRegistry()
gauge = Gauge("equity", "", registry=registry)
counter = Counter("fees", "", registry=registry)
histogram = Histogram("slippage", "", registry=registry)
for words, change in (
    ("Gauge.set", lambda: gauge.set(Decimal("0.1"))),
    ("Gauge.set of text", lambda: gauge.set("0.1")),
    ("Gauge.inc", lambda: gauge.inc(Decimal("0.1"))),
    ("Counter.inc", lambda: counter.inc(Decimal("0.1"))),
    ("Histogram.observe", lambda: histogram.observe(Decimal("0.1"))),
):
    try:
        change()
        outcome = "taken"
    except TypeError as error:
        outcome = f"TypeError: {error}"
    print(f"{words:18} {outcome}")
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
