#!/usr/bin/env bash
# technicalindicators 3.1.0 (npm) rounds RSI to two digits: 29.996 is 30, and not below it.
#
# Version: technicalindicators 3.1.0, trading-signals 8.3.0 (for comparison)
#
# Guess: an indicator has the digits of a double, as in other libraries and as its own ATR, EMA and MACD have.
#
# Behaviour: `RSI` (and with it `StochasticRSI`, which is made from it) is rounded to two places, by `toFixed(2)`;
#   there is no argument for it. The other indicators that were looked at are not rounded.
#
# Why it matters: a signal at "RSI below 30" or at a crossing comes a bar later than on TradingView's chart or in the
#   Python half of a system, or never, and two equal neighbours hide a turn. For a stochastic RSI, steps of 0.01 are
#   divided by the range of a quiet market.
#
# Output seen, which is what this script compares with:
#> technicalindicators 30 (below 30: false), 33.09 (below 30: false), 29.78 (below 30: true)
#> trading-signals     29.99713 (below 30: true), 33.085209 (below 30: false), 29.783292 (below 30: true)
#> ATR of technicalindicators 7.157429, rounded to two digits: false
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
timeout 300 npm install --prefix "$folder" --silent --no-audit --no-fund --ignore-scripts technicalindicators@3.1.0 trading-signals@8.3.0 >&2

cat >"$folder/check.mjs" <<'END'
import indicators from "technicalindicators";
import { RSI } from "trading-signals";

// Rises by 4.2853 and falls by 10.0004 in turn.
const closes = [1000];
for (let bar = 0; bar < 16; bar += 1) closes.push(closes.at(-1) + (bar % 2 ? -10.0004 : 4.2853));
const period = 14;
const show = (name, values) => console.log(name.padEnd(19), values.map((value) => `${value} (below 30: ${value < 30})`).join(", "));
const other = new RSI(period);
const exact = closes.map((close) => other.update(close, false)).filter((value) => value !== null);
show("technicalindicators", indicators.RSI.calculate({ values: closes, period }));
show("trading-signals", exact.map((value) => Number(value.toFixed(6))));
const atr = indicators.ATR.calculate({ high: closes, low: closes, close: closes, period }).at(-1);
console.log(`ATR of technicalindicators ${atr.toFixed(6)}, rounded to two digits: ${atr === Number(atr.toFixed(2))}`);
END

seen=$(timeout 60 node "$folder/check.mjs")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
