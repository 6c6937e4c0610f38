#!/usr/bin/env bash
# SQLAlchemy 2.1.9's `URL.set(password=None)` leaves the password where it is.
#
# Version: SQLAlchemy 2.1.9
#
# Guess: it gives a URL without the password, as `set(password="other")` gives one with another.
#
# Behaviour: None means "not given" for every part, so nothing is taken away and nothing is said. An empty text leaves an empty
#   password in its place; `URL.create` from the parts, or `_replace(password=None)`, takes it out.
#
# Why it matters to a relay from TradingView to Bybit: a backup starts `pg_dump` with the database's address, and whoever
#   takes the password out like this shows it to every user of the machine in the list of processes.
#
# Output seen, which is what this script compares with:
#> set(password=None)       postgresql://relay:pass-word@host/books
#> set(password='other')    postgresql://relay:other@host/books
#> set(port=None)           postgresql://relay:pass-word@host:5433/books
#> set(password='')         postgresql://relay:@host/books
#> _replace(password=None)  postgresql://relay@host/books
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check sqlalchemy==2.1.9

cat >"$folder/check.py" <<'END'
from sqlalchemy import make_url

url = make_url("postgresql://relay:pass-word@host/books")
tried = {
    "set(password=None)": url.set(password=None),
    "set(password='other')": url.set(password="other"),
    "set(port=None)": url.set(port=5433).set(port=None),
    "set(password='')": url.set(password=""),
    "_replace(password=None)": url._replace(password=None),
}
for name, found in tried.items():
    print(f"{name:24} {found.render_as_string(hide_password=False)}")
END

seen=$(timeout 90 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
