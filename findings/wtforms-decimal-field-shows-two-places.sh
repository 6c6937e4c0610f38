#!/usr/bin/env bash
# WTForms 3.3.2's DecimalField shows a stored 0.00125 as 0.00, and saving the untouched form stores 0.00.
#
# Version: WTForms 3.3.2
#
# Guess: a field that is filled from an object shows the number with the digits that it has.
#
# Behaviour: `places` is 2 unless it is given, and rounds what is shown, not what is typed: 0.00125 is taken whole when a
#   person types it, and is shown as 0.00 the next time the form is opened. `places=None` shows every digit, small numbers
#   with an exponent. FloatField shows every digit as well.
#
# Why it matters to a relay from TradingView to Bybit: quantities and stop distances have up to eight places. Whoever opens
#   the page to change another setting and presses "save" turns 0.00125 BTC into nothing, and 0.019 into 0.02.
#
# Output seen, which is what this script compares with:
#> DecimalField()            0.00125    is shown as 0.00       and saved as 0.00
#> DecimalField()            0.019      is shown as 0.02       and saved as 0.02
#> DecimalField()            67123.455  is shown as 67123.46   and saved as 67123.46
#> DecimalField(places=None) 0.00125    is shown as 0.00125    and saved as 0.00125
#> DecimalField(places=None) 0.0000001  is shown as 1E-7       and saved as 1E-7
#> typed by a person: 0.00125
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check wtforms==3.3.2

cat >"$folder/check.py" <<'END'
from decimal import Decimal

from wtforms import DecimalField, Form


class Submitted(dict):
    """What a browser sends, in the one way that WTForms asks for it."""

    def getlist(self, name):
        return [self[name]]


class Plain(Form):
    qty = DecimalField()


class Whole(Form):
    qty = DecimalField(places=None)


def row(words, form, number):
    shown = form(data={"qty": Decimal(number)}).qty._value()
    saved = form(Submitted(qty=shown)).qty.data
    print(f"{words:25} {number:10} is shown as {shown:10} and saved as {saved}")


for number in ("0.00125", "0.019", "67123.455"):
    row("DecimalField()", Plain, number)
for number in ("0.00125", "0.0000001"):
    row("DecimalField(places=None)", Whole, number)
print("typed by a person:", Plain(Submitted(qty="0.00125")).qty.data)
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
