#!/usr/bin/env bash
# In marshmallow 4.4.0 a Decimal field that allows NaN, with a Range on it, lets decimal.InvalidOperation out of `load`.
#
# Version: marshmallow 4.4.0
#
# Guess: NaN is not within any range, so the Range refuses it with a ValidationError, as it does for floats.
#
# Behaviour: the comparison itself raises decimal.InvalidOperation, which `load` does not catch. A Float field that
#   allows NaN passes it through the same Range unrefused.
#
# Why it matters to a relay from TradingView to Bybit: TradingView fills an empty plot with NaN, so a schema may want
#   to allow it and say so in its own words. What was to be a 400 with a reason is a 500, which TradingView sends
#   three times more; and the float variant lets NaN into the sizing.
#
# Output seen, which is what this script compares with:
#> Decimal  -1   ValidationError: {'price': ['Must be greater than or equal to 0.']}
#> Decimal  NaN  InvalidOperation: [<class 'decimal.InvalidOperation'>]
#> Float    -1   ValidationError: {'price': ['Must be greater than or equal to 0.']}
#> Float    NaN  {'price': nan}
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check marshmallow==4.4.0

cat >"$folder/check.py" <<'END'
from marshmallow import Schema, fields
from marshmallow.validate import Range

for field in (fields.Decimal, fields.Float):
    schema = Schema.from_dict({"price": field(allow_nan=True, validate=Range(min=0))})()
    for value in ("-1", "NaN"):
        try:
            outcome = schema.load({"price": value})
        except Exception as error:
            outcome = f"{type(error).__name__}: {error}"
        print(f"{field.__name__:8} {value:4} {outcome}")
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
