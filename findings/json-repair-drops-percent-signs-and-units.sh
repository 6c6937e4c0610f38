#!/usr/bin/env bash
# json-repair 0.64.6 makes 5 of `5%` and 0.1 of `0.10 BTC`: what stands behind a number goes, while `1,5` stays a text.
#
# Version: json-repair 0.64.6
#
# Guess: what cannot be a number stays a text or fails, as `67,123.45` and `1,5` do, so that whoever reads it sees the
#   unit.
#
# Behaviour: a bare value that begins with a number is that number; the rest, up to the next comma, is dropped without
#   a word. Of two objects in a row the last is taken, of two equal keys too. A comma within the number makes a text
#   of it.
#
# Why it matters: the library stands in many relays between hand-written alerts, or a language model's answers, and an
#   order: half a percent of the balance becomes 0.5 coins, and "qty": 100 USDT a hundred contracts. Only a number in
#   quotes keeps what was meant.
#
# Output seen, which is what this script compares with:
#> {"side": "buy", "qty": 5%}            {'side': 'buy', 'qty': 5}
#> {"side": "buy", "qty": 100 USDT}      {'side': 'buy', 'qty': 100}
#> {"qty": 0.10 BTC, "side": "buy"}      {'qty': 0.1, 'side': 'buy'}
#> {"side": "buy", "qty": "5%"}          {'side': 'buy', 'qty': '5%'}
#> {"side": "buy", "qty": 1,5}           {'side': 'buy', 'qty': '1,5'}
#> {"side": "buy", "price": 67,123.45}   {'side': 'buy', 'price': '67,123.45'}
#> {"side": "buy"} {"side": "sell"}      {'side': 'sell'}
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check json-repair==0.64.6

cat >"$folder/check.py" <<'END'
import json_repair

for alert in (
    '{"side": "buy", "qty": 5%}',
    '{"side": "buy", "qty": 100 USDT}',
    '{"qty": 0.10 BTC, "side": "buy"}',
    '{"side": "buy", "qty": "5%"}',
    '{"side": "buy", "qty": 1,5}',
    '{"side": "buy", "price": 67,123.45}',
    '{"side": "buy"} {"side": "sell"}',
):
    print(f"{alert:37} {json_repair.loads(alert)}")
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
