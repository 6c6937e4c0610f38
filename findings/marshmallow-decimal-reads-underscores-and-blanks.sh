#!/usr/bin/env bash
# marshmallow 4.4.0 reads "1_000" as a thousand and accepts blanks and line breaks around numbers.
#
# Version: marshmallow 4.4.0
#
# Guess: `fields.Decimal` and `fields.Integer` take what JSON or a person would call a number: "1_000", " 1.5 " and a
#   number with a line break are refused, as "1,000" is.
#
# Behaviour: Python's own spelling rules hold: underscores between digits and any white space around are accepted;
#   "1,000" is not. `fields.Boolean` in the same schema refuses " true". `Integer(strict=True)` refuses every text,
#   "7" as well.
#
# Why it matters to a relay from TradingView to Bybit: in an alert a quantity of
#   `{{strategy.order.contracts}}_{{plot_0}}` that became "1_000" is a mistake in the message, and an order of a
#   thousand is the wrong reaction to it.
#
# Output seen, which is what this script compares with:
#> Decimal          '1_000'    -> Decimal('1000')
#> Decimal          '1,000'    -> 'Not a valid number.'
#> Decimal          ' 1.5 '    -> Decimal('1.5')
#> Decimal          '\n2\r\n'  -> Decimal('2')
#> Integer          '1_000'    -> 1000
#> Integer          ' 7 '      -> 7
#> Integer          '+7'       -> 7
#> Integer(strict)  '1_000'    -> 'Not a valid integer.'
#> Integer(strict)  '7'        -> 'Not a valid integer.'
#> Integer(strict)  7          -> 7
#> Boolean          'true'     -> True
#> Boolean          ' true'    -> 'Not a valid boolean.'
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check marshmallow==4.4.0

cat >"$folder/check.py" <<'END'
from marshmallow import Schema, ValidationError, fields


def read(field, value):
    try:
        return Schema.from_dict({"value": field})().load({"value": value})["value"]
    except ValidationError as error:
        return error.messages["value"][0]


for field, values in (
    (fields.Decimal(), ("1_000", "1,000", " 1.5 ", "\n2\r\n")),
    (fields.Integer(), ("1_000", " 7 ", "+7")),
    (fields.Integer(strict=True), ("1_000", "7", 7)),
    (fields.Boolean(), ("true", " true")),
):
    for value in values:
        name = type(field).__name__ + ("(strict)" if getattr(field, "strict", False) else "")
        print(f"{name:16} {value!r:10} -> {read(field, value)!r}")
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
