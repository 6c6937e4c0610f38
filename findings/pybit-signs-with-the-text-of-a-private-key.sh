#!/usr/bin/env bash
# pybit 5.17.0 given an RSA private key as its secret, without `rsa_authentication=True`, signs by HMAC with the key's text, and says nothing.
#
# Version: pybit 5.17.0, pycryptodome 4.4.0
#
# Guess: a secret that begins with `-----BEGIN` is taken for what it is, or refused when the session is made.
#
# Behaviour: it is a secret like any other: the signature is an HMAC of 64 hexadecimal letters. The other mistake, an
#   HMAC secret with `rsa_authentication=True`, raises ValueError, but only at the first request.
#
# Why it matters to a relay from TradingView to Bybit: Bybit's self-generated keys are RSA keys. The exchange answers
#   10004 "error sign!", and nothing points to the missing flag.
#
# Output seen, which is what this script compares with:
#> PEM, no flag:       64 letters, HMAC
#> PEM and the flag:   344 letters, RSA
#> HMAC and the flag:  ValueError at the first request: RSA key format is not supported
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check pybit==5.17.0 requests==2.34.2 pycryptodome==4.4.0

cat >"$folder/check.py" <<'END'
import json
import logging
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

logging.disable()
OK = '{"retCode": 0, "retMsg": "OK", "result": {}}'
asked = []
answers = []


class Exchange(BaseHTTPRequestHandler):
    """Answers with what stands in `answers` (status, headers, text), and then always with OK."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        asked.append((self.command, self.path, body, dict(self.headers)))
        status, headers, text = answers.pop(0) if answers else (200, {}, OK)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    do_GET = do_POST

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Exchange)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}"

from Crypto.PublicKey import RSA
from pybit.unified_trading import HTTP

pem = RSA.generate(2048).export_key().decode()
for words, options in (
    ("PEM, no flag:      ", {"api_secret": pem}),
    ("PEM and the flag:  ", {"api_secret": pem, "rsa_authentication": True}),
    ("HMAC and the flag: ", {"api_secret": "an-hmac-secret", "rsa_authentication": True}),
):
    session = HTTP(api_key="key", **options)
    session.endpoint = url
    asked.clear()
    try:
        session.get_positions(category="linear")
        signature = asked[0][3]["X-BAPI-SIGN"]
        print(words, f"{len(signature)} letters,", "HMAC" if len(signature) == 64 else "RSA")
    except ValueError as error:
        print(words, f"ValueError at the first request: {error}")
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
