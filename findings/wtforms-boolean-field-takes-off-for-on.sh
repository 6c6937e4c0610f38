#!/usr/bin/env bash
# WTForms 3.3.2's BooleanField takes "0", "off", "no" and "False" for true; only "false" and nothing at all are false.
#
# Version: WTForms 3.3.2, marshmallow 4.4.0 (for comparison)
#
# Guess: the usual words for "no" are false, as in marshmallow and in most readers of settings.
#
# Behaviour: `false_values` is (False, "false", ""); every other text is true, "False" with a capital, as Python writes
#   it, too. marshmallow's Boolean takes all of them for false. `BooleanField(false_values=…)` changes it.
#
# Why it matters to a relay from TradingView to Bybit: a checkbox sends its value or nothing, so nobody notices, until a
#   script posts the same form with `live=0` or `enabled=off` to stop trading, and switches it on.
#
# Output seen, which is what this script compares with:
#> 'y'      WTForms True   marshmallow True
#> '0'      WTForms True   marshmallow False
#> 'off'    WTForms True   marshmallow False
#> 'no'     WTForms True   marshmallow False
#> 'False'  WTForms True   marshmallow False
#> 'false'  WTForms False  marshmallow False
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check wtforms==3.3.2 marshmallow==4.4.0

cat >"$folder/check.py" <<'END'
from marshmallow import fields
from wtforms import BooleanField, Form


class Submitted(dict):
    """What a client sends, in the one way that WTForms asks for it."""

    def getlist(self, name):
        return [self[name]]


class Switch(Form):
    live = BooleanField()


for text in ("y", "0", "off", "no", "False", "false"):
    read = Switch(Submitted(live=text)).live.data
    print(f"{text!r:8} WTForms {read!s:6} marshmallow {fields.Boolean().deserialize(text)}")
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
