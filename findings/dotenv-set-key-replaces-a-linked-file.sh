#!/usr/bin/env bash
# python-dotenv 1.2.4's `set_key` on a `.env` that is a symbolic link puts a plain file in its place and leaves the real one as it was.
#
# Version: python-dotenv 1.2.4
#
# Guess: the change is written into the file that the link points to.
#
# Behaviour: a new file with the old contents and the change takes the link's place. `set_key` reports success. (A
#   value with `${…}` in it is quoted, and still read back otherwise than it was given.)
#
# Why it matters to a relay from TradingView to Bybit: deployments link `.env` of each release to a shared file. A key
#   that was written by a set-up command works until the next release, and then the old one is back, which may be
#   revoked.
#
# Output seen, which is what this script compares with:
#> before: link True
#> set_key returned (True, 'BYBIT_API_KEY', 'new')
#> after:  link False - .env: BYBIT_API_KEY='new' - shared file: BYBIT_API_KEY=old
#> 'a${b}c' written as PASSWORD='a${b}c' and read as 'ac'
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check python-dotenv==1.2.4

cat >"$folder/check.py" <<'END'
from pathlib import Path

import dotenv

shared = Path(__file__).with_name("shared.env")
link = Path(__file__).with_name(".env")
shared.write_text("BYBIT_API_KEY=old\n")
link.symlink_to(shared)
print("before: link", link.is_symlink())
print("set_key returned", dotenv.set_key(link, "BYBIT_API_KEY", "new"))
print("after:  link", link.is_symlink(), "- .env:", link.read_text().strip(), "- shared file:", shared.read_text().strip())
dotenv.set_key(link, "PASSWORD", "a${b}c")
print("'a${b}c' written as", link.read_text().splitlines()[1], "and read as", repr(dotenv.dotenv_values(link)["PASSWORD"]))
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
