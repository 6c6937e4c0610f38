#!/usr/bin/env bash
# Flask-WTF 1.3.0 refuses forms that were opened before the secret key was changed, although Flask 3.1.3's SECRET_KEY_FALLBACKS keeps their sessions valid.
#
# Version: Flask-WTF 1.3.0, Flask 3.1.3
#
# Guess: what was signed with a key of SECRET_KEY_FALLBACKS is accepted everywhere in the application.
#
# Behaviour: the session is read with the old key, and so the person stays logged in; the form's CSRF token is looked
#   at with the new key only: 400, "The CSRF token is invalid."
#
# Why it matters to a relay from TradingView to Bybit: the page with the button "halt" or "flatten" was open when the
#   key was rotated; the click in the bad moment is refused, while everything else on the page seems to work.
#
# Output seen, which is what this script compares with:
#> key unchanged: session of admin, form 200: taken
#> new key, the old as fallback: session of admin, form 400: The CSRF token is invalid.
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check flask-wtf==1.3.0 flask==3.1.3 werkzeug==3.1.9 itsdangerous==2.2.0 wtforms==3.3.2

cat >"$folder/check.py" <<'END'
from flask import Flask, session
from flask_wtf.csrf import CSRFProtect, generate_csrf


def application(key, fallbacks=None):
    app = Flask("relay")
    app.config.update(SECRET_KEY=key, SECRET_KEY_FALLBACKS=fallbacks)
    CSRFProtect(app)

    @app.get("/")
    def page():
        session["user"] = "admin"
        return generate_csrf()

    @app.get("/who")
    def who():
        return str(session.get("user"))

    @app.post("/halt")
    def halt():
        return "halted"

    return app


before = application("old").test_client()
token = before.get("/").get_data(as_text=True)
cookie = before.get_cookie("session").value
for words, app in (("key unchanged", application("old")), ("new key, the old as fallback", application("new", ["old"]))):
    client = app.test_client()
    client.set_cookie("session", cookie)
    who = client.get("/who").get_data(as_text=True)
    answer = client.post("/halt", data={"csrf_token": token})
    refused = "The CSRF token is invalid." if b"CSRF token is invalid" in answer.data else "taken"
    print(f"{words}: session of {who}, form {answer.status_code}: {refused}")
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
