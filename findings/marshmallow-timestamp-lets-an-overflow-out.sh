#!/usr/bin/env bash
# In marshmallow 4.4.0 a time or a duration lets OverflowError out of `load` for a whole number of 310 digits or more.
#
# Version: marshmallow 4.4.0
#
# Guess: a number that is no time is refused with a ValidationError, as NaN, infinity and a year of 58000 are.
#
# Behaviour: DateTime with a timestamp format, aware and naive, and TimeDelta turn the number into a float first, and
#   the OverflowError of that is not caught. A Float field refuses the same number in words; so do the three for a
#   float of the same size (1e309, which Python reads as infinity) and for the text of it.
#
# Why it matters to a relay from TradingView to Bybit: Python's JSON reader makes exact whole numbers of up to 4,300
#   digits, so anybody can post one. What was to be a 422 with the field's name is a 500, which TradingView sends
#   three times more, and which a monitor takes for a fault of the relay.
#
# Output seen, which is what this script compares with:
#> aware, ms  310 digits OverflowError: int too large to convert to float
#> aware, ms  as text    ValidationError: {'at': ['Not a valid datetime.']}
#> aware, ms  1e309      ValidationError: {'at': ['Not a valid datetime.']}
#> naive, s   310 digits OverflowError: int too large to convert to float
#> naive, s   as text    ValidationError: {'at': ['Not a valid datetime.']}
#> naive, s   1e309      ValidationError: {'at': ['Not a valid datetime.']}
#> duration   310 digits OverflowError: int too large to convert to float
#> duration   as text    ValidationError: {'at': ['Not a valid period of time.']}
#> duration   1e309      ValidationError: {'at': ['Not a valid period of time.']}
#> float      310 digits ValidationError: {'at': ['Number too large.']}
#> float      as text    ValidationError: {'at': ['Special numeric values (nan or infinity) are
#> float      1e309      ValidationError: {'at': ['Special numeric values (nan or infinity) are
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check marshmallow==4.4.0

cat >"$folder/check.py" <<'END'
import json
from datetime import UTC

from marshmallow import Schema, fields

FIELDS = {
    "aware, ms": fields.AwareDateTime(format="timestamp_ms", default_timezone=UTC),
    "naive, s": fields.NaiveDateTime(format="timestamp"),
    "duration": fields.TimeDelta("seconds"),
    "float": fields.Float(),
}
for name, field in FIELDS.items():
    schema = Schema.from_dict({"at": field})()
    for label, body in (("310 digits", "1" + "0" * 309), ("as text", '"1' + "0" * 309 + '"'), ("1e309", "1e309")):
        try:
            outcome = schema.load(json.loads(f'{{"at": {body}}}'))
        except Exception as error:
            outcome = f"{type(error).__name__}: {error}"
        print(f"{name:10} {label:10} {str(outcome)[:70]}")
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
