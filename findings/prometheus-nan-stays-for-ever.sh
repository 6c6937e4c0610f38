#!/usr/bin/env bash
# prometheus-client 0.26.0 takes NaN into a counter and a histogram: the sums are NaN from then on, and the histogram does not count it.
#
# Version: prometheus-client 0.26.0
#
# Guess: NaN is refused, as a negative increment of a counter is, or ignored.
#
# Behaviour: `Counter.inc(nan)` passes the check for negative numbers and makes the counter NaN until the process
#   ends. `Histogram.observe(nan)` makes the sum NaN, and raises no bucket and no count.
#
# Why it matters to a relay from TradingView to Bybit: a slippage or an average price over nothing is NaN. One of
#   them, and every rate and alarm over the series is silent, since comparisons with NaN are false.
#
# Output seen, which is what this script compares with:
#> after 1.5: {'fees_total': 1.5, 'slippage_sum': 1.5, 'slippage_count': 1.0}
#> after nan: {'fees_total': nan, 'slippage_sum': nan, 'slippage_count': 1.0}
#> after 1.5: {'fees_total': nan, 'slippage_sum': nan, 'slippage_count': 2.0}
#> a negative one: ValueError: Counters can only be incremented by non-negative amounts.
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check prometheus-client==0.26.0

cat >"$folder/check.py" <<'END'
from prometheus_client import CollectorRegistry, Counter, Histogram

registry = CollectorRegistry()
counter = Counter("fees", "", registry=registry)
histogram = Histogram("slippage", "", buckets=(1, 2), registry=registry)
for value in (1.5, float("nan"), 1.5):
    counter.inc(value)
    histogram.observe(value)
    found = {name: registry.get_sample_value(name) for name in ("fees_total", "slippage_sum", "slippage_count")}
    print(f"after {value}:", found)
try:
    counter.inc(-1)
except ValueError as error:
    print("a negative one: ValueError:", error)
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
