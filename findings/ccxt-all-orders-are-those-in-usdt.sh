#!/usr/bin/env bash
# ccxt 4.5.90's `cancel_all_orders()` and `fetch_open_orders()` without a symbol mean Bybit's USDT perpetuals alone, and say nothing of the others.
#
# Version: ccxt 4.5.90
#
# Guess: without a symbol they either ask for one (ArgumentsRequired) or go through every kind of market there is.
#
# Behaviour: each is one request with `category=linear` and `settleCoin=USDT`. Orders of USDC and inverse perpetuals and of spot
#   stay where they are, and the call returns as if all were gone. `defaultType` "spot" moves both to spot alone.
#
# Why it matters to a relay from TradingView to Bybit: "cancel everything, then the account is quiet" is not so. Ask for each
#   category, and in linear for each settle coin, or symbol by symbol.
#
# Output seen, which is what this script compares with:
#> cancel_all_orders()           1 request: {"category":"linear","settleCoin":"USDT"}
#> fetch_open_orders()           1 request: settleCoin=USDT&category=linear
#> cancel_all_orders(), spot     1 request: {"category":"spot"}
#> fetch_open_orders(), spot     1 request: category=spot
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check ccxt==4.5.90

cat >"$folder/check.py" <<'END'
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import ccxt

asked = []


class Exchange(BaseHTTPRequestHandler):
    """Answers every question with an empty list, as an account without orders does."""

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        path, _, query = self.path.partition("?")
        if "/order/" in path:
            asked.append(body or query)
        result = {"uta": 1, "unified": 1, "list": []} if "query-api" in path else {"list": []}
        text = json.dumps({"retCode": 0, "retMsg": "OK", "result": result, "time": 1700000000000}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = answer

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Exchange)
threading.Thread(target=server.serve_forever, daemon=True).start()
here = f"http://127.0.0.1:{server.server_port}"
for kind in ("swap", "spot"):
    bybit = ccxt.bybit({"apiKey": "key", "secret": "secret", "options": {"defaultType": kind}})
    bybit.urls["api"] = dict.fromkeys(bybit.urls["api"], here)
    bybit.has["fetchCurrencies"] = False
    bybit.load_markets()
    for name in ("cancel_all_orders", "fetch_open_orders"):
        asked.clear()
        getattr(bybit, name)()
        said = f"{name}()" + (", spot" if kind == "spot" else "")
        print(f"{said:29} {len(asked)} request: {' | '.join(asked)}")
server.shutdown()
END

seen=$(timeout 90 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
