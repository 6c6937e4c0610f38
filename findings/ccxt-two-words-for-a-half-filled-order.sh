#!/usr/bin/env bash
# ccxt 4.5.64 calls a half-filled and then cancelled order "canceled" or "closed", by which of Bybit's two words for it came, and says that nothing remains.
#
# Version: ccxt 4.5.64
#
# Guess: an order that ended with 0.4 of 1 filled has one status; `remaining` is the amount less what was filled.
#
# Behaviour: Bybit says `Cancelled` for perpetuals and `PartiallyFilledCanceled` for spot; ccxt makes "canceled" of
#   the first and "closed", the word for a filled one, of the second. `remaining` is copied from `leavesQty`, which is
#   0 after a cancellation, not 0.6.
#
# Why it matters to a relay from TradingView to Bybit: "closed means filled" books a spot order whole that was filled
#   by two fifths; "remaining 0 means filled" does the same for perpetuals. Judge by `filled`.
#
# Output seen, which is what this script compares with:
#> Cancelled                {'status': 'canceled', 'amount': 1.0, 'filled': 0.4, 'remaining': 0.0}
#> PartiallyFilledCanceled  {'status': 'closed', 'amount': 1.0, 'filled': 0.4, 'remaining': 0.0}
#> Filled                   {'status': 'closed', 'amount': 1.0, 'filled': 1.0, 'remaining': 0.0}
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check ccxt==4.5.64

cat >"$folder/check.py" <<'END'
import ccxt

bybit = ccxt.bybit()
row = {"symbol": "BTCUSDT", "orderId": "1", "orderType": "Limit", "side": "Buy", "qty": "1", "price": "100"}
row |= {"cumExecQty": "0.4", "cumExecValue": "40", "leavesQty": "0", "createdTime": "1", "updatedTime": "1"}
for status in ("Cancelled", "PartiallyFilledCanceled"):
    order = bybit.parse_order(row | {"orderStatus": status})
    print(f"{status:24}", {name: order[name] for name in ("status", "amount", "filled", "remaining")})
order = bybit.parse_order(row | {"orderStatus": "Filled", "cumExecQty": "1", "cumExecValue": "100"})
print(f"{'Filled':24}", {name: order[name] for name in ("status", "amount", "filled", "remaining")})
END

seen=$(timeout 90 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
