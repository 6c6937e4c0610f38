#!/usr/bin/env bash
# ccxt 4.5.90's `fetch_open_orders` on Bybit returns the first 20 orders and `fetch_my_trades` the first 50 fills, and nothing says that there are more.
#
# Version: ccxt 4.5.90
#
# Guess: a list is whole: the library follows `nextPageCursor`, or at least asks for pages of the largest size.
#
# Behaviour: without `limit` none is sent, so Bybit's own default decides (20 open orders, 50 executions), and the cursor of the
#   next page is left alone. With `params={"paginate": True}` both lists are whole.
#
# Why it matters to a relay from TradingView to Bybit: an account with two ladders has more than 20 resting orders: a clean-up
#   by this list leaves the others standing, and a day's result by 50 fills is some of the day's.
#
# Output seen, which is what this script compares with:
#> 45 orders rest:   fetch_open_orders(symbol)                 20
#>                   with paginate                             45
#> 120 fills:        fetch_my_trades(symbol)                   50
#>                   since a moment before all of them         50
#>                   with paginate                             120
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
ORDER = {"symbol": "BTCUSDT", "orderLinkId": "", "side": "Buy", "orderType": "Limit", "orderStatus": "New", "price": "100"}
ORDER |= {"qty": "0.01", "avgPrice": "", "leavesQty": "0.01", "cumExecQty": "0", "cumExecValue": "0", "timeInForce": "GTC"}
ORDER |= {"createdTime": "1700000000000", "updatedTime": "1700000000000"}
FILL = {"symbol": "BTCUSDT", "side": "Buy", "orderId": "1", "execTime": "1700000000000", "execPrice": "100", "execQty": "0.01"}
FILL |= {"execValue": "1", "execFee": "0.001", "feeRate": "0.001", "execType": "Trade", "isMaker": False}
ROWS = {
    "/v5/market/instruments-info": [INSTRUMENT],
    "/v5/order/realtime": [ORDER | {"orderId": f"o{number}"} for number in range(45)],
    "/v5/execution/list": [FILL | {"execId": f"e{number}"} for number in range(120)],
}
BY_ITSELF = {"/v5/order/realtime": 20, "/v5/execution/list": 50}
"""How many rows a page has where no `limit` is asked for, by Bybit's documentation."""


def answer(path, asked):
    if path == "/v5/user/query-api":
        return {"uta": 1, "unified": 1}
    rows = ROWS.get(path, []) if asked.get("category", "linear") == "linear" else []
    first = int(asked.get("cursor", 0))
    following = first + int(asked.get("limit", BY_ITSELF.get(path, 1000)))
    return {"list": rows[first:following], "nextPageCursor": str(following) if following < len(rows) else ""}



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
symbol = "BTC/USDT:USDT"
print("45 orders rest:   fetch_open_orders(symbol)                ", len(bybit.fetch_open_orders(symbol)))
print("                  with paginate                            ", len(bybit.fetch_open_orders(symbol, params={"paginate": True})))
print("120 fills:        fetch_my_trades(symbol)                  ", len(bybit.fetch_my_trades(symbol)))
print("                  since a moment before all of them        ", len(bybit.fetch_my_trades(symbol, 1699999000000)))
print("                  with paginate                            ", len(bybit.fetch_my_trades(symbol, params={"paginate": True})))
server.shutdown()
END

seen=$(timeout 90 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
