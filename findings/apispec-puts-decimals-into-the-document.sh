#!/usr/bin/env bash
# apispec 6.10.1 puts the bounds of a Decimal field into the document as Decimal objects, which JSON cannot write.
#
# Version: apispec 6.10.1, marshmallow 4.4.0
#
# Guess: bounds written as plain integers, `Range(min=0)`, stand in the document as plain integers; `to_dict()` can be
#   given to `json.dumps`.
#
# Behaviour: the plugin makes Decimals of a Decimal field's bounds, `Decimal('0')` from 0, and leaves a `load_default`
#   of Decimal as it is. `json.dumps(spec.to_dict())` raises TypeError, while the same bound on an Integer or Float
#   does not.
#
# Why it matters to a relay from TradingView to Bybit: `/openapi.json` of any API with money in it answers 500, from
#   the first Decimal field with a bound on; it is noticed when somebody first asks for the document.
#
# Output seen, which is what this script compares with:
#> Integer, min=0    {'type': 'integer', 'minimum': 0}                  can be written
#> Float, min=0      {'type': 'number', 'minimum': 0.0}                 can be written
#> Decimal, min=0    {'type': 'number', 'minimum': Decimal('0')}        TypeError: Object of type Decimal is not JSON serializable
#> Decimal, default  {'type': 'number', 'default': Decimal('0.1')}      TypeError: Object of type Decimal is not JSON serializable
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check apispec==6.10.1 marshmallow==4.4.0

cat >"$folder/check.py" <<'END'
import json
from decimal import Decimal

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from marshmallow import Schema, fields
from marshmallow.validate import Range

for words, field in (
    ("Integer, min=0", fields.Integer(validate=Range(min=0))),
    ("Float, min=0", fields.Float(validate=Range(min=0))),
    ("Decimal, min=0", fields.Decimal(validate=Range(min=0))),
    ("Decimal, default", fields.Decimal(load_default=Decimal("0.1"))),
):
    spec = APISpec(title="", version="", openapi_version="3.1.0", plugins=[MarshmallowPlugin()])
    spec.components.schema("Order", schema=Schema.from_dict({"value": field}))
    told = spec.to_dict()["components"]["schemas"]["Order"]["properties"]["value"]
    try:
        json.dumps(told)
        outcome = "can be written"
    except TypeError as error:
        outcome = f"TypeError: {error}"
    print(f"{words:17} {told!s:50} {outcome}")
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
