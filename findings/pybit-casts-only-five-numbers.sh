#!/usr/bin/env bash
# pybit 5.17.0 turns some numbers of an order into the text that Bybit wants, and leaves others of the same call as they are.
#
# Version: pybit 5.17.0 (requests 2.34.2)
#
# Guess: all prices and sizes of a call are treated alike: either each number becomes a string, or none does.
#
# Behaviour: a fixed list of names is cast (`qty`, `price`, `triggerPrice`, `stopLoss`, `takeProfit`). `trailingStop`,
#   `activePrice`, `tpLimitPrice`, `buyLeverage` and the rest go out as bare JSON numbers, and with a Decimal they
#   raise TypeError before anything is sent, while a Decimal in `stopLoss` right beside them is welcome.
#
# Why it matters to a relay from TradingView to Bybit: Bybit documents all of these as strings. Code that is careful
#   about money uses Decimal, works for plain orders, and falls over at the first trailing stop or limit take profit:
#   on the way to protecting a position that is open already.
#
# Output seen, which is what this script compares with:
#> sent: {'activePrice': 60000, 'stopLoss': '59000', 'trailingStop': 50}
#> sent: {'stopLoss': '59000'}
#> TypeError: Object of type Decimal is not JSON serializable <- {'positionIdx': 0, 'stopLoss': Decimal('59000'), 'trailingStop': Decimal('50')}
#> sent: {'qty': '0.01', 'takeProfit': '61000'}
#> TypeError: Object of type Decimal is not JSON serializable <- {'qty': Decimal('0.01'), 'takeProfit': Decimal('61000'), 'tpLimitPrice': Decimal('61000')}
#> sent: {'buyLeverage': 5, 'sellLeverage': 5}
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
timeout 300 "$folder/venv/bin/pip" install -qq --disable-pip-version-check pybit==5.17.0 requests==2.34.2

cat >"$folder/check.py" <<'END'
import json
import logging
import threading
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from pybit.unified_trading import HTTP

logging.disable()


class Exchange(BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        print("sent:", {name: body[name] for name in sorted(body) if name not in ("category", "symbol", "positionIdx")})
        answer = b'{"retCode": 0, "retMsg": "OK", "result": {}}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Exchange)
threading.Thread(target=server.serve_forever, daemon=True).start()
session = HTTP(api_key="key", api_secret="secret")
session.endpoint = f"http://127.0.0.1:{server.server_port}"
common = {"category": "linear", "symbol": "BTCUSDT"}


def call(method, **fields):
    try:
        method(**common, **fields)
    except TypeError as error:
        print("TypeError:", error, "<-", fields)


call(session.set_trading_stop, positionIdx=0, stopLoss=59000, trailingStop=50, activePrice=60000)
call(session.set_trading_stop, positionIdx=0, stopLoss=Decimal(59000))
call(session.set_trading_stop, positionIdx=0, stopLoss=Decimal(59000), trailingStop=Decimal(50))
call(session.place_order, qty=Decimal("0.01"), takeProfit=Decimal(61000))
call(session.place_order, qty=Decimal("0.01"), takeProfit=Decimal(61000), tpLimitPrice=Decimal(61000))
call(session.set_leverage, buyLeverage=5, sellLeverage=5)
END

seen=$(timeout 60 "$folder/venv/bin/python" "$folder/check.py")
printf '%s\n' "$seen"
diff <(sed -n 's/^#> \{0,1\}//p' "$script") <(printf '%s\n' "$seen") >&2 || { echo "The behaviour has changed." >&2; exit 1; }
