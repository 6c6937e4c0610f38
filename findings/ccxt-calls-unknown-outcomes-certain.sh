#!/usr/bin/env bash
# ccxt 4.5.64 raises the same kind of error for "Bybit could not tell" as for a refusal, and a general one for an id that was used before.
#
# Version: ccxt 4.5.64
#
# Guess: 10000 (server timeout) and 10016 (server error) become one of the NetworkErrors, after which an order's state
#   is unknown; 110072 (`orderLinkId` used before) becomes DuplicateOrderId.
#
# Behaviour: 10000 and 10016 are plain ExchangeErrors, as codes are that ccxt does not know; 110072 is InvalidOrder,
#   like a wrong quantity. 170007, the same timeout on spot, is RequestTimeout.
#
# Why it matters to a relay from TradingView to Bybit: the documented rule "NetworkError: look again, ExchangeError:
#   it was refused" sends an order a second time that may be live; and the one refusal that proves that the first try
#   arrived looks as if nothing had been placed.
#
# Output seen, which is what this script compares with:
#>   10000 Server Timeout                                     ExchangeError      ExchangeError: refused
#>   10016 Server error                                       ExchangeError      ExchangeError: refused
#>  170007 Timeout waiting for response from backend server.  RequestTimeout     NetworkError: state unknown
#>  110072 OrderLinkedID is duplicate                         InvalidOrder       ExchangeError: refused
#>  110007 available balance not enough                       InsufficientFunds  ExchangeError: refused
#>   99999 a code that is not known                           ExchangeError      ExchangeError: refused
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check ccxt==4.5.64

cat >"$folder/check.py" <<'END'
import json

import ccxt

bybit = ccxt.bybit()
for code, words in (
    (10000, "Server Timeout"),
    (10016, "Server error"),
    (170007, "Timeout waiting for response from backend server."),
    (110072, "OrderLinkedID is duplicate"),
    (110007, "available balance not enough"),
    (99999, "a code that is not known"),
):
    answer = {"retCode": code, "retMsg": words}
    try:
        bybit.handle_errors(200, "OK", "", "POST", {}, json.dumps(answer), answer, {}, "{}")
        kind = "no error"
    except ccxt.BaseError as error:
        is_network = isinstance(error, ccxt.NetworkError)
        kind = f"{type(error).__name__:18} {'NetworkError: state unknown' if is_network else 'ExchangeError: refused'}"
    print(f"{code:7} {words:50} {kind}")
END

seen=$(timeout 90 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
