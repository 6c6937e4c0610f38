#!/usr/bin/env bash
# environs 15.2.0 keeps the blank behind a comma in a list of texts, and removes it in a dict and in a list of numbers.
#
# Version: environs 15.2.0
#
# Guess: "BTCUSDT, ETHUSDT" is read as two names without blanks, since `dict` and `list(subcast=int)` do not mind
#   blanks either.
#
# Behaviour: `list` gives ["BTCUSDT", " ETHUSDT"]; "," gives two empty texts. `dict` strips keys and values.
#
# Why it matters to a relay from TradingView to Bybit: an allow-list of symbols or accounts written with blanks lets
#   the first through and refuses the second, or the other way round in a deny-list.
#
# Output seen, which is what this script compares with:
#> 'BTCUSDT, ETHUSDT'   list         ['BTCUSDT', ' ETHUSDT']
#> '1, 2'               list of int  [1, 2]
#> 'btc=1, eth=2'       dict         {'btc': '1', 'eth': '2'}
#> ','                  list         ['', '']
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check environs==15.2.0

cat >"$folder/check.py" <<'END'
import os

from environs import Env

env = Env()
for text, words, read in (
    ("BTCUSDT, ETHUSDT", "list", lambda: env.list("X")),
    ("1, 2", "list of int", lambda: env.list("X", subcast=int)),
    ("btc=1, eth=2", "dict", lambda: env.dict("X")),
    (",", "list", lambda: env.list("X")),
):
    os.environ["X"] = text
    print(f"{text!r:20} {words:12} {read()}")
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
