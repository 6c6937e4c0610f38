#!/usr/bin/env bash
# jo 1.9 makes another secret of one that is all digits, and other spellings of prices and sizes: 1.234567890123457e+19, 60000.1, 1e-08.
#
# Version: jo 1.9-1 (Debian 12)
#
# Guess: numbers are written without quotes, and otherwise as they were typed.
#
# Behaviour: what reads as a number goes through a double and comes out with at most 16 digits, an exponent where that is
#   shorter, no zeros at the end and none in front; hexadecimal counts as well. Past the digits of a double the number is
#   another one, with exit code 0. `-s` before a word (after `--`) keeps that word as text.
#
# Why it matters to a relay from TradingView to Bybit: alerts are tried from a shell. One that jo wrote has a secret that
#   is wrong (401), an `id` 007 that is 7, and a size in scientific notation.
#
# Output seen, which is what this script compares with:
#> {"secret":1.234567890123457e+19,"id":7,"price":60000.1,"qty":1e-08,"time":1764592496123,"note":16}
#> {"secret":"12345678901234567890","id":"007","price":"60000.10"}
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
timeout 120 apt-get download -qq jo=1.9-1
dpkg -x ./*.deb root
cd - >/dev/null

seen=$(
  "$folder/root/usr/bin/jo" secret=12345678901234567890 id=007 price=60000.10 qty=0.00000001 time=1764592496123 note=0x10
  "$folder/root/usr/bin/jo" -- -s secret=12345678901234567890 -s id=007 -s price=60000.10
)
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
