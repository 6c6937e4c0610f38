#!/usr/bin/env bash
# PineTS 0.9.34 and PyneCore 6.11.0 make different texts of the same Pine expression: 1e-7, 0.30000000000000004 and a JSON in stray quotes here, 0.0000001, 0.3 and clean JSON there.
#
# Version: pinets 0.9.34 (npm), pynesys-pynecore 6.11.0 (PyPI)
#
# Guess: both follow TradingView's manual: `str.tostring` has ten decimals at most and no exponent; `str.format`
#   writes numbers with groups and three decimals, and a pair of single quotes around a brace keeps the brace.
#
# Behaviour: PyneCore does. PineTS writes numbers as JavaScript does, with an exponent below 0.000001 and with all
#   digits of a double, and leaves the single quotes in the text. What a script builds as the JSON of its alert is
#   JSON with the one and not with the other.
#
# Why it matters: who tests a script's `alert()` messages with PineTS tests other messages than TradingView will send:
#   quantities with an exponent, which Bybit refuses, and a JSON that needs its quotes written in another way. A
#   script that was mended until PineTS's message was right is wrong at TradingView.
#
# Output seen, which is what this script compares with:
#> PineTS    str.tostring(0.0000001)               1e-7
#> PineTS    str.tostring(0.1 + 0.2)               0.30000000000000004
#> PineTS    str.format("{0}", 0.00012345)         0.00012345
#> PineTS    str.format("{0}", 1234567.891)        1234567.891
#> PineTS    str.format("'{'\"qty\": {0}'}'", 5)   '{'"qty": 5'}'
#> PyneCore  str.tostring(0.0000001)               0.0000001
#> PyneCore  str.tostring(0.1 + 0.2)               0.3
#> PyneCore  str.format("{0}", 0.00012345)         0
#> PyneCore  str.format("{0}", 1234567.891)        1,234,567.891
#> PyneCore  str.format("'{'\"qty\": {0}'}'", 5)   {"qty": 5}
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check pynesys-pynecore==6.11.0
timeout 300 npm install --prefix "$folder" --silent --no-audit --no-fund --ignore-scripts pinets@0.9.34 >&2

cat >"$folder/pine.mjs" <<'END'
import { PineTS } from "pinets";

const bars = [...Array(20).keys()].map((bar) => {
  const openTime = Date.UTC(2026, 10, 1, bar);
  return { openTime, closeTime: openTime + 3599999, open: 100, high: 102, low: 99, close: 101, volume: 1 };
});
const written = [];
console.log = (text) => written.push(String(text).replace(/^\[\S+\] /, ""));
for (const expression of [
  "str.tostring(0.0000001)",
  "str.tostring(0.1 + 0.2)",
  'str.format("{0}", 0.00012345)',
  'str.format("{0}", 1234567.891)',
  `str.format("'{'\\"qty\\": {0}'}'", 5)`,
]) {
  await new PineTS(bars).run(`//@version=6\nindicator("x")\nif barstate.islast\n    log.info(${expression})\nplot(close)\n`);
  written.push(written.pop().trim());
  process.stdout.write(`PineTS    ${expression.padEnd(37)} ${written.at(-1)}\n`);
}
process.exit();
END

cat >"$folder/pine.py" <<'END'
from pynecore.lib import string

for expression, text in {
    "str.tostring(0.0000001)": string.tostring(0.0000001),
    "str.tostring(0.1 + 0.2)": string.tostring(0.1 + 0.2),
    'str.format("{0}", 0.00012345)': string.format("{0}", 0.00012345),
    'str.format("{0}", 1234567.891)': string.format("{0}", 1234567.891),
    r"""str.format("'{'\"qty\": {0}'}'", 5)""": string.format("'{'\"qty\": {0}'}'", 5),
}.items():
    print(f"PyneCore  {expression:37} {text}")
END

seen=$({ timeout 120 node "$folder/pine.mjs"; timeout 120 "$folder/venv/bin/python" "$folder/pine.py"; })
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
