#!/usr/bin/env bash
# ccxt 4.5.90 turns a market order on Bybit's spot that is given a price into one by value, sales too: asked to sell 0.01 BTC, it tells Bybit to sell coins for 1,100 USDT.
#
# Version: ccxt 4.5.90
#
# Guess: a market order has no price, so one that is passed anyway is ignored; the amount stays what it was, 0.01 BTC.
#
# Behaviour: without a price the amount goes out in coins. With one, amount times price goes out, in the quote coin (of
#   a buy that is Bybit's default). At a market of 100,000 the sale of 0.01 BTC "at 110000" sells 0.011 BTC, the one "at 90000" 0.009.
#   On the perpetual of the same pair the price is indeed ignored.
#
# Why it matters to a relay from TradingView to Bybit: the alert's {{close}} is easily passed along, with market orders
#   too. An exit then sells more coins than were bought, others of the account's, or leaves some unsold.
#
# Output seen, which is what this script compares with:
#> spot buy  0.01              qty 0.01   marketUnit baseCoin
#> spot buy  0.01 at 110000    qty 1100   marketUnit None
#> spot sell 0.01              qty 0.01   marketUnit baseCoin
#> spot sell 0.01 at 110000    qty 1100   marketUnit quoteCoin
#> spot sell 0.01 at 90000     qty 900    marketUnit quoteCoin
#> swap sell 0.01 at 110000    qty 0.01   marketUnit None
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check ccxt==4.5.90

cat >"$folder/check.py" <<'END'
import json

import ccxt

sent = []


def answer(url, method="GET", headers=None, body=None):
    """What of the exchange is needed here; nothing leaves this machine."""
    if method == "POST":
        sent.append(json.loads(body))
        return {"retCode": 0, "retMsg": "OK", "result": {"orderId": "1", "orderLinkId": ""}, "time": 1}
    common = {"symbol": "BTCUSDT", "baseCoin": "BTC", "quoteCoin": "USDT", "status": "Trading"}
    found = []
    if "category=spot" in url:
        rules = {"basePrecision": "0.000001", "quotePrecision": "0.0000001", "minOrderAmt": "5"}
        found = [common | {"lotSizeFilter": rules, "priceFilter": {"tickSize": "0.1"}}]
    elif "category=linear" in url and "cursor" not in url:
        rules = {"qtyStep": "0.001", "minOrderQty": "0.001", "maxOrderQty": "1000"}
        extra = {"contractType": "LinearPerpetual", "settleCoin": "USDT", "launchTime": "0", "deliveryTime": "0"}
        prices = {"tickSize": "0.10", "minPrice": "0.10", "maxPrice": "2000000"}
        leverage = {"minLeverage": "1", "maxLeverage": "100", "leverageStep": "0.01"}
        found = [common | extra | {"lotSizeFilter": rules, "priceFilter": prices, "leverageFilter": leverage}]
    return {"retCode": 0, "retMsg": "OK", "result": {"list": found, "nextPageCursor": ""}, "time": 1}


bybit = ccxt.bybit({"apiKey": "k", "secret": "s", "options": {"fetchMarkets": {"types": ["spot", "linear"]}}})
bybit.fetch = answer
bybit.is_unified_enabled = lambda params={}: [True, True]
bybit.load_markets()
for kind, side, price in (
    ("spot", "buy", None),
    ("spot", "buy", 110000),
    ("spot", "sell", None),
    ("spot", "sell", 110000),
    ("spot", "sell", 90000),
    ("swap", "sell", 110000),
):
    bybit.create_order("BTC/USDT" if kind == "spot" else "BTC/USDT:USDT", "market", side, 0.01, price)
    asked = f"{kind} {side:4} 0.01" + (f" at {price}" if price else "")
    print(f"{asked:27} qty {sent[-1]['qty']:6} marketUnit {sent[-1].get('marketUnit')}")
END

seen=$(timeout 90 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
