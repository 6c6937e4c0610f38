#!/usr/bin/env bash
# ccxt 4.5.90's `fetch_my_trades` on Bybit leaves out the fills of liquidations and ADL: what an account bought it still seems to hold.
#
# Version: ccxt 4.5.90
#
# Guess: an account's trades are all executions that changed a position, whoever made them.
#
# Behaviour: each request carries `execType=Trade`; executions of the kinds BustTrade and AdlTrade come only where `params` names
#   them, each kind by a request of its own.
#
# Why it matters to a relay from TradingView to Bybit: positions and results added up from these trades miss the largest losses
#   there are, and the position goes on in the books after the exchange has closed it.
#
# Output seen, which is what this script compares with:
#> {}                           [('buy', 0.5, 'Trade')]
#> {'execType': 'BustTrade'}    [('sell', 0.5, 'BustTrade')]
#> {'execType': 'AdlTrade'}     [('sell', 0.5, 'AdlTrade')]
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
from urllib.parse import parse_qsl, urlsplit

import ccxt

INSTRUMENT = {"symbol": "BTCUSDT", "contractType": "LinearPerpetual", "status": "Trading", "baseCoin": "BTC"}
INSTRUMENT |= {"quoteCoin": "USDT", "settleCoin": "USDT", "launchTime": "1584230400000", "deliveryTime": "0", "priceScale": "2"}
INSTRUMENT |= {"leverageFilter": {"minLeverage": "1", "maxLeverage": "100", "leverageStep": "0.01"}}
INSTRUMENT |= {"priceFilter": {"minPrice": "0.1", "maxPrice": "999999", "tickSize": "0.1"}}
INSTRUMENT |= {"lotSizeFilter": {"maxOrderQty": "100", "minOrderQty": "0.001", "qtyStep": "0.001", "maxMktOrderQty": "100"}}
FILL = {"symbol": "BTCUSDT", "orderId": "1", "execTime": "1700000000000", "execPrice": "100", "execQty": "0.5"}
FILL |= {"execValue": "50", "execFee": "0.05", "feeRate": "0.001", "isMaker": False}
FILLS = [FILL | {"execId": "a", "side": "Buy", "execType": "Trade"}]
FILLS += [FILL | {"execId": each, "side": "Sell", "execType": kind} for each, kind in (("b", "BustTrade"), ("c", "AdlTrade"))]


def answer(path, asked):
    """Executions are filtered by `execType`, as Bybit documents it."""
    if path == "/v5/user/query-api":
        return {"uta": 1, "unified": 1}
    if path == "/v5/execution/list":
        return {"list": [each for each in FILLS if asked.get("execType") in (None, each["execType"])]}
    return {"list": [INSTRUMENT] if asked.get("category") == "linear" and "instruments" in path else []}



class Exchange(BaseHTTPRequestHandler):
    def do_GET(self):
        path, asked = urlsplit(self.path).path, dict(parse_qsl(urlsplit(self.path).query))
        result = answer(path, asked)
        text = json.dumps({"retCode": 0, "retMsg": "OK", "result": result, "time": 1700000000000}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Exchange)
threading.Thread(target=server.serve_forever, daemon=True).start()
bybit = ccxt.bybit({"apiKey": "key", "secret": "secret"})
bybit.urls["api"] = dict.fromkeys(bybit.urls["api"], f"http://127.0.0.1:{server.server_port}")
bybit.has["fetchCurrencies"] = False
bybit.load_markets()
for params in ({}, {"execType": "BustTrade"}, {"execType": "AdlTrade"}):
    found = bybit.fetch_my_trades("BTC/USDT:USDT", params=dict(params))
    print(f"{params!s:28}", [(each["side"], each["amount"], each["info"]["execType"]) for each in found])
server.shutdown()
END

seen=$(timeout 90 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
