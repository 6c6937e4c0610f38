#!/usr/bin/env bash
# marshmallow 4.4.0's DateTime also takes a bare date, a week number and the form without separators, and cuts nanoseconds.
#
# Version: marshmallow 4.4.0
#
# Guess: `fields.DateTime()` wants date and time, with separators; "2026-01-01" and "20260101T000000Z" are refused.
#
# Behaviour: "2026-01-01" is midnight without a zone, "2026-W01-1T00:00:00" is a day of the year before,
#   "20260101T000000Z" is read, digits behind microseconds are dropped. A leap second is refused. With
#   `format="timestamp_ms"` a number is read, but the result has no zone.
#
# Why it matters to a relay from TradingView to Bybit: an alert's `{{time}}` decides whether an entry is too old. One
#   that was shortened to a date does not fail; it is hours old, or naive, and comparing it with an aware now raises
#   later and elsewhere. AwareDateTime refuses the naive ones.
#
# Output seen, which is what this script compares with:
#> 2026-01-01                       2026-01-01T00:00:00                aware: Not a valid aware datetime.
#> 20260101T000000Z                 2026-01-01T00:00:00+00:00          aware: 2026-01-01T00:00:00+00:00
#> 2026-W01-1T00:00:00              2025-12-29T00:00:00                aware: Not a valid aware datetime.
#> 2026-01-01T00:00:00.123456789Z   2026-01-01T00:00:00.123456+00:00   aware: 2026-01-01T00:00:00.123456+00:00
#> 2026-01-01T00:00:60Z             Not a valid datetime.              aware: Not a valid datetime.
#> 1767225600000 as timestamp_ms    2026-01-01T00:00:00
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
        return Schema.from_dict({"value": field})().load({"value": value})["value"].isoformat()
    except ValidationError as error:
        return error.messages["value"][0]


for value in (
    "2026-01-01",
    "20260101T000000Z",
    "2026-W01-1T00:00:00",
    "2026-01-01T00:00:00.123456789Z",
    "2026-01-01T00:00:60Z",
):
    print(f"{value:32} {read(fields.DateTime(), value):34} aware: {read(fields.AwareDateTime(), value)}")
print(f"{'1767225600000 as timestamp_ms':32} {read(fields.DateTime(format='timestamp_ms'), 1767225600000)}")
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
