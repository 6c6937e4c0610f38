#!/usr/bin/env bash
# In pybit 5.17.0 `tld` moves REST, private and trade streams to a region's host but not the public ones, and `demo` moves public streams to a host that serves none.
#
# Version: pybit 5.17.0
#
# Guess: `tld="kz"` changes the host of every connection; `demo=True` sends public streams to `stream.bybit.com`,
#   where Bybit's documentation says that demo's public data come from; `testnet` and `demo` together are refused.
#
# Behaviour: ".com" is written into the public streams' address. With `demo` they go to
#   `stream-demo.bybit.com/v5/public/…`. Both flags together give the name of a host that is in no documentation.
#
# Why it matters to a relay from TradingView to Bybit: a relay in a region takes its prices from another site than the
#   one it trades on, where the same symbol may not exist, and on demo it waits for prices that nobody sends.
#
# Output seen, which is what this script compares with:
#> {'tld': 'kz'}
#>     REST     https://api.bybit.kz
#>     private  wss://stream.bybit.kz/v5/private
#>     public   wss://stream.bybit.com/v5/public/linear
#>     trade    wss://stream.bybit.kz/v5/trade
#> {'domain': 'bytick'}
#>     REST     https://api.bytick.com
#>     private  wss://stream.bytick.com/v5/private
#>     public   wss://stream.bytick.com/v5/public/linear
#>     trade    wss://stream.bytick.com/v5/trade
#> {'demo': True}
#>     REST     https://api-demo.bybit.com
#>     private  wss://stream-demo.bybit.com/v5/private
#>     public   wss://stream-demo.bybit.com/v5/public/linear
#>     trade    wss://stream-demo.bybit.com/v5/trade
#> {'testnet': True, 'demo': True}
#>     REST     https://api-demo-testnet.bybit.com
#>     private  wss://stream-demo-testnet.bybit.com/v5/private
#>     public   wss://stream-demo-testnet.bybit.com/v5/public/linear
#>     trade    wss://stream-demo-testnet.bybit.com/v5/trade
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check pybit==5.17.0 websocket-client==1.9.2

cat >"$folder/check.py" <<'END'
import logging

import pybit._websocket_stream
from pybit.unified_trading import HTTP, WebSocket, WebSocketTrading

logging.disable()


class Asked(BaseException):
    pass


def no_connection(url, **_):
    raise Asked(url)


pybit._websocket_stream.websocket.WebSocketApp = no_connection
keys = {"api_key": "key", "api_secret": "secret"}
for flags in ({"tld": "kz"}, {"domain": "bytick"}, {"demo": True}, {"testnet": True, "demo": True}):
    options = {"testnet": False} | flags
    print(flags)
    print("    REST    ", HTTP(**options).endpoint)
    for words, make in (
        ("private ", lambda: WebSocket(channel_type="private", **options, **keys)),
        ("public  ", lambda: WebSocket(channel_type="linear", **options)),
        ("trade   ", lambda: WebSocketTrading(**options, **keys)),
    ):
        try:
            make()
        except Asked as asked:
            print("    " + words, asked)
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
