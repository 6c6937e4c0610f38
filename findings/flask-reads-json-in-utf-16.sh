#!/usr/bin/env bash
# Flask 3.1.3 reads a JSON body that is UTF-16 or UTF-32, whatever charset the request names, or none.
#
# Version: Flask 3.1.3, Werkzeug 3.1.9
#
# Guess: JSON between systems is UTF-8 (RFC 8259, section 8.1), so a body in UTF-16 is a 400 of Flask's.
#
# Behaviour: `get_json` gives the bytes to Python's `json`, which looks at the first ones and decodes UTF-8 (with or
#   without a mark), UTF-16 and UTF-32 in either order. The charset of the Content-Type is not looked at: a UTF-8 body
#   that is announced as UTF-16 is read, and the other way round.
#
# Why it matters to a relay from TradingView to Bybit: whatever looks at the bytes before Flask does (a filter in front,
#   a search for the secret in a body that is to be kept or logged, a signature's log line, a digest by which a repeat
#   is told) sees other bytes than the alert that is executed: the secret is not found in them, so it is not masked.
#
# Output seen, which is what this script compares with:
#> utf-8     application/json                 200 secret among the bytes: True; read: {'secret': 'a-secret', 'qty': 1}
#> utf-8     application/json; charset=utf-16 200 secret among the bytes: True; read: {'secret': 'a-secret', 'qty': 1}
#> utf-8-sig application/json                 200 secret among the bytes: True; read: {'secret': 'a-secret', 'qty': 1}
#> utf-8-sig application/json; charset=utf-16 200 secret among the bytes: True; read: {'secret': 'a-secret', 'qty': 1}
#> utf-16    application/json                 200 secret among the bytes: False; read: {'secret': 'a-secret', 'qty': 1}
#> utf-16    application/json; charset=utf-16 200 secret among the bytes: False; read: {'secret': 'a-secret', 'qty': 1}
#> utf-16-le application/json                 200 secret among the bytes: False; read: {'secret': 'a-secret', 'qty': 1}
#> utf-16-le application/json; charset=utf-16 200 secret among the bytes: False; read: {'secret': 'a-secret', 'qty': 1}
#> utf-32-be application/json                 200 secret among the bytes: False; read: {'secret': 'a-secret', 'qty': 1}
#> utf-32-be application/json; charset=utf-16 200 secret among the bytes: False; read: {'secret': 'a-secret', 'qty': 1}
#> latin-1   application/json                 200 secret among the bytes: True; read: {'secret': 'a-secret', 'qty': 1}
#> latin-1   application/json; charset=utf-16 200 secret among the bytes: True; read: {'secret': 'a-secret', 'qty': 1}
#> latin-1 as announced 400
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check Flask==3.1.3 Werkzeug==3.1.9

cat >"$folder/check.py" <<'END'
from flask import Flask, request

app = Flask("alerts")


@app.post("/")
def take():
    body = request.get_data()
    return f"secret among the bytes: {b'a-secret' in body}; read: {request.get_json()}"


TEXT = '{"secret": "a-secret", "qty": 1}'
client = app.test_client()
for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32-be", "latin-1"):
    for kind in ("application/json", "application/json; charset=utf-16"):
        answer = client.post("/", data=TEXT.encode(encoding), content_type=kind)
        print(f"{encoding:9} {kind:32} {answer.status_code} {answer.text.strip().splitlines()[0][:90]}")
answer = client.post("/", data='{"a": "\u00e9"}'.encode("latin-1"), content_type="application/json; charset=latin-1")
print(f"latin-1 as announced {answer.status_code}")
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
