#!/usr/bin/env bash
# marshmallow 4.4.0's Decimal(places=2) does not refuse 0.019: it makes 0.02 of it, before any Range is asked.
#
# Version: marshmallow 4.4.0
#
# Guess: `places` says how many digits are allowed, and more are refused, or are kept.
#
# Behaviour: the number is rounded at `load`, half to even, up as often as down, and without a word. Validators see the
#   rounded number only: 0.004 is 0.00 and within a Range from 0, and 1.004 is within one up to 1. `rounding=ROUND_DOWN`
#   cuts instead; nothing refuses.
#
# Why it matters to a relay from TradingView to Bybit: a quantity that is rounded up orders more than the alert asked for,
#   or more than is held, and an exit of 0.004 becomes an exit of nothing. Let the schema keep the digits, and round down to
#   the instrument's step behind it.
#
# Output seen, which is what this script compares with:
#> '0.019'  places=2 -> 0.02    ROUND_DOWN -> 0.01
#> '0.015'  places=2 -> 0.02    ROUND_DOWN -> 0.01
#> '0.025'  places=2 -> 0.02    ROUND_DOWN -> 0.02
#> '0.004'  places=2 -> 0.00    ROUND_DOWN -> 0.00
#> '1.004'  places=2 -> 1.00    ROUND_DOWN -> 1.00
#> '1.009'  places=2 -> refused ROUND_DOWN -> 1.00
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check marshmallow==4.4.0

cat >"$folder/check.py" <<'END'
from decimal import ROUND_DOWN

from marshmallow import ValidationError, fields, validate


def load(text, **options):
    try:
        return str(fields.Decimal(places=2, validate=validate.Range(min=0, max=1), **options).deserialize(text))
    except ValidationError:
        return "refused"


for text in ("0.019", "0.015", "0.025", "0.004", "1.004", "1.009"):
    print(f"{text!r:8} places=2 -> {load(text):7} ROUND_DOWN -> {load(text, rounding=ROUND_DOWN)}")
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
