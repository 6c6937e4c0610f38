#!/usr/bin/env bash
# dateparser 1.2.2 reads 13.11.2026 as the 13th of November and, in the next row of the same export, 12.11.2026 as the 11th of December.
#
# Version: dateparser 1.2.2
#
# Guess: dates with dots have the day first, as everywhere where they are written so; at least it is the same in all rows.
#
# Behaviour: the first number is the month, unless it cannot be one; then it is the day. Each text is read by itself, so in
#   one column days up to the 12th and later ones are read in opposite orders, and nothing is said. Of a language that is
#   named ("de") days come first; `DATE_ORDER="DMY"` says so for all, and `STRICT_PARSING` changes nothing.
#
# Why it matters to a relay from TradingView to Bybit: a list of trades has its dates as the user's language writes them.
#   Read so, two fifths of its rows are months away, and a trade seems to be closed before it was opened.
#
# Output seen, which is what this script compares with:
#> by itself        2026-11-13T09:00 2026-12-11T09:00 2026-02-01T09:00
#> strict           2026-11-13T09:00 2026-12-11T09:00 2026-02-01T09:00
#> German           2026-11-13T09:00 2026-11-12T09:00 2026-01-02T09:00
#> DATE_ORDER DMY   2026-11-13T09:00 2026-11-12T09:00 2026-01-02T09:00
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check dateparser==1.2.2

cat >"$folder/check.py" <<'END'
from dateparser import parse


def show(words, **options):
    texts = ("13.11.2026 09:00", "12.11.2026 09:00", "02.01.2026 09:00")
    print(f"{words:16}", *(parse(text, **options).isoformat(timespec="minutes") for text in texts))


show("by itself")
show("strict", settings={"STRICT_PARSING": True})
show("German", languages=["de"])
show("DATE_ORDER DMY", settings={"DATE_ORDER": "DMY"})
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
