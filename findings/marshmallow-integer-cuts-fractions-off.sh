#!/usr/bin/env bash
# marshmallow 4.4.0's Integer turns 1.9 into 1, and refuses "1.0".
#
# Version: marshmallow 4.4.0
#
# Guess: a number with a fraction is no valid integer; a whole one is, as number and as text.
#
# Behaviour: a JSON number is cut towards zero without a word (2.7, Decimal("2.7"), -0.5 -> 0), while texts are
#   refused unless they are digits, "1.0" too. `strict=True` refuses fractions, but every text, "7" as well.
#
# Why it matters to a relay from TradingView to Bybit: TradingView's placeholders come bare or in quotes, as the user
#   typed them, and as 3.0 or 3. The same alert is refused in quotes and cut down without them: 1.9 contracts become
#   1, and 0.9 becomes 0.
#
# Output seen, which is what this script compares with:
#> 1.9             Integer: 1                        strict: 'Not a valid integer.'
#> 0.9             Integer: 0                        strict: 'Not a valid integer.'
#> -0.5            Integer: 0                        strict: 'Not a valid integer.'
#> Decimal('2.7')  Integer: 2                        strict: 'Not a valid integer.'
#> 3.0             Integer: 3                        strict: 'Not a valid integer.'
#> '3.0'           Integer: 'Not a valid integer.'   strict: 'Not a valid integer.'
#> '1.9'           Integer: 'Not a valid integer.'   strict: 'Not a valid integer.'
#> '7'             Integer: 7                        strict: 'Not a valid integer.'
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check marshmallow==4.4.0

cat >"$folder/check.py" <<'END'
from decimal import Decimal

from marshmallow import Schema, ValidationError, fields


def read(field, value):
    try:
        return Schema.from_dict({"value": field})().load({"value": value})["value"]
    except ValidationError as error:
        return error.messages["value"][0]


for value in (1.9, 0.9, -0.5, Decimal("2.7"), 3.0, "3.0", "1.9", "7"):
    print(f"{value!r:15} Integer: {read(fields.Integer(), value)!r:24} strict: {read(fields.Integer(strict=True), value)!r}")
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
