#!/usr/bin/env bash
# apispec 6.10.1 documents "greater than 0" as "at least 0", and a Decimal that is dumped as text as a number.
#
# Version: apispec 6.10.1, marshmallow 4.4.0
#
# Guess: `Range(min=0, min_inclusive=False)` becomes `exclusiveMinimum` in the form that the OpenAPI version wants;
#   `Decimal(as_string=True)` becomes a string.
#
# Behaviour: `minimum: 0` in 3.0 and in 3.1, nothing exclusive; `type: number` for the text. A Range with bounds on
#   both sides loses both exclusions.
#
# Why it matters to a relay from TradingView to Bybit: tests and clients that are made from the document send a
#   quantity of 0, which the relay refuses, and read a price as a binary number, although it comes as text just so
#   that nobody does.
#
# Output seen, which is what this script compares with:
#> 3.0.3 quantity {'type': 'integer', 'minimum': 0}
#> 3.0.3 leverage {'type': 'integer', 'minimum': 0, 'maximum': 100}
#> 3.0.3 price {'type': 'number'}
#> 3.1.0 quantity {'type': 'integer', 'minimum': 0}
#> 3.1.0 leverage {'type': 'integer', 'minimum': 0, 'maximum': 100}
#> 3.1.0 price {'type': 'number'}
#> refused by marshmallow: {'quantity': ['Must be greater than 0.']}
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check apispec==6.10.1 marshmallow==4.4.0

cat >"$folder/check.py" <<'END'
from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from marshmallow import Schema, fields
from marshmallow.validate import Range


class Order(Schema):
    quantity = fields.Integer(validate=Range(min=0, min_inclusive=False))
    leverage = fields.Integer(validate=Range(min=0, max=100, min_inclusive=False, max_inclusive=False))
    price = fields.Decimal(as_string=True)


for version in ("3.0.3", "3.1.0"):
    spec = APISpec(title="", version="", openapi_version=version, plugins=[MarshmallowPlugin()])
    spec.components.schema("Order", schema=Order)
    for name, told in spec.to_dict()["components"]["schemas"]["Order"]["properties"].items():
        print(version, name, told)
print("refused by marshmallow:", Order().validate({"quantity": 0}))
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
