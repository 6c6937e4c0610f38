#!/usr/bin/env bash
# ccxt 4.5.90 says of a Bybit fill whose fee was taken in MNT that it was taken in the pair's own coin: 0.1 MNT becomes 0.1 BTC.
#
# Version: ccxt 4.5.90
#
# Guess: Bybit names the fee's coin in each row of `/v5/execution/list` (`feeCurrency`); a trade's `fee` has that currency.
#
# Behaviour: `feeCurrency` is not read. The currency is worked out from the market, the side and the fee's sign, so with
#   "pay fees in MNT" switched on, 0.1 MNT (a few cents) is 0.1 BTC on a spot buy, 0.1 USDT on a USDT perpetual and
#   0.1 BTC on an inverse one. `parse_order` of the same order does say MNT, since it reads `cumFeeDetail`.
#
# Why it matters to a relay from TradingView to Bybit: results that are reckoned with these trades are wrong by the ratio of
#   two coins' prices, and a spot holding "less fees" comes out negative. Read `info["feeCurrency"]`, or the order's fee.
#
# Output seen, which is what this script compares with:
#> BTC/USDT       trade {'currency': 'BTC', 'cost': 0.1, 'rate': 0.001}
#> BTC/USDT       order {'cost': 0.1, 'currency': 'MNT'}
#> BTC/USDT:USDT  trade {'currency': 'USDT', 'cost': 0.1, 'rate': 0.001}
#> BTC/USDT:USDT  order {'cost': 0.1, 'currency': 'MNT'}
#> BTC/USD:BTC    trade {'currency': 'BTC', 'cost': 0.1, 'rate': 0.001}
#> BTC/USD:BTC    order {'cost': 0.1, 'currency': 'MNT'}
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check ccxt==4.5.90

cat >"$folder/check.py" <<'END'
import ccxt

bybit = ccxt.bybit()
kinds = {
    "BTC/USDT": {"id": "BTCUSDT", "quote": "USDT", "type": "spot", "spot": True},
    "BTC/USDT:USDT": {"id": "BTCUSDT", "quote": "USDT", "settle": "USDT", "type": "swap", "swap": True, "linear": True},
    "BTC/USD:BTC": {"id": "BTCUSD", "quote": "USD", "settle": "BTC", "type": "swap", "swap": True, "inverse": True},
}
fill = {"orderId": "1", "execId": "2", "side": "Buy", "execQty": "0.5", "execPrice": "50000", "execValue": "25000"}
fill |= {"execTime": "1700000000000", "execFee": "0.1", "feeRate": "0.001", "feeCurrency": "MNT", "execType": "Trade"}
order = {"orderId": "1", "side": "Buy", "orderType": "Market", "orderStatus": "Filled", "qty": "0.5", "cumExecQty": "0.5"}
order |= {"cumExecValue": "25000", "cumExecFee": "", "cumFeeDetail": {"MNT": "0.1"}, "createdTime": "1", "updatedTime": "2"}
for symbol, more in kinds.items():
    flags = {"spot": False, "swap": False, "linear": None, "inverse": None, "contract": symbol != "BTC/USDT", "option": False}
    market = bybit.safe_market_structure(flags | {"symbol": symbol, "base": "BTC"} | more)
    print(f"{symbol:14} trade", bybit.parse_trade(fill | {"symbol": more["id"]}, market)["fee"])
    print(f"{symbol:14} order", bybit.parse_order(order | {"symbol": more["id"]}, market)["fee"])
END

seen=$(timeout 90 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
