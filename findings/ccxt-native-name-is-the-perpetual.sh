#!/usr/bin/env bash
# ccxt 4.5.64 takes "BTCUSDT" for Bybit's perpetual and "BTC/USDT" for the spot pair.
#
# Version: ccxt 4.5.64
#
# Guess: a name that means two markets is refused as ambiguous, or both spellings mean the same one.
#
# Behaviour: the exchange's own name goes to the default type, the perpetual; with a slash it is spot. An order by
#   either is sent without a word, in different categories and units: the spot one buys coins, the other opens a
#   position.
#
# Why it matters to a relay from TradingView to Bybit: an alert's `{{ticker}}` is BTCUSDT for TradingView's *spot*
#   chart, and BTCUSDT.P (which ccxt does not know) for the perpetual: just the other way round.
#
# Output seen, which is what this script compares with:
#> BTCUSDT        swap  BTC/USDT:USDT
#> BTC/USDT       spot  BTC/USDT
#> BTC/USDT:USDT  swap  BTC/USDT:USDT
#> BTCUSDT.P      BadSymbol: bybit does not have market symbol BTCUSDT.P
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check ccxt==4.5.64

cat >"$folder/check.py" <<'END'
import ccxt


def answer(url, method="GET", headers=None, body=None):
    """What of the exchange is needed here; nothing leaves this machine."""
    common = {"symbol": "BTCUSDT", "baseCoin": "BTC", "quoteCoin": "USDT", "status": "Trading"}
    found = []
    if "category=spot" in url:
        rules = {"basePrecision": "0.000001", "quotePrecision": "0.0000001", "minOrderAmt": "5"}
        found = [common | {"lotSizeFilter": rules, "priceFilter": {"tickSize": "0.01"}}]
    elif "category=linear" in url and "cursor" not in url:
        rules = {"qtyStep": "0.001", "minOrderQty": "0.001", "maxOrderQty": "1000"}
        found = [
            common
            | {
                "contractType": "LinearPerpetual",
                "settleCoin": "USDT",
                "launchTime": "0",
                "deliveryTime": "0",
                "lotSizeFilter": rules,
                "priceFilter": {"tickSize": "0.10", "minPrice": "0.10", "maxPrice": "2000000"},
                "leverageFilter": {"minLeverage": "1", "maxLeverage": "100", "leverageStep": "0.01"},
            }
        ]
    return {"retCode": 0, "retMsg": "OK", "result": {"list": found, "nextPageCursor": ""}, "time": 1}


bybit = ccxt.bybit({"options": {"fetchMarkets": {"types": ["spot", "linear"]}}})
bybit.fetch = answer
bybit.load_markets()
for name in ("BTCUSDT", "BTC/USDT", "BTC/USDT:USDT", "BTCUSDT.P"):
    try:
        market = bybit.market(name)
        print(f"{name:14} {market['type']:5} {market['symbol']}")
    except ccxt.BadSymbol as error:
        print(f"{name:14} BadSymbol: {error}")
END

seen=$(timeout 90 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
