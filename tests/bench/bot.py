"""What a simple bot does, under the relay's own gunicorn settings: it reads the alert, sends the order, keeps nothing.

What it costs to lose nothing is what the relay takes beyond this.
"""

from __future__ import annotations

import hmac
import os

from flask import Flask, Response, request
from pybit.unified_trading import HTTP

from tests.bench import empty
from tests.paper_server import KEY, SECRET
from tests.relay_process import WEBHOOK_SECRET

bind, workers, threads, worker_class = empty.bind, empty.workers, empty.threads, empty.worker_class
worker_connections, worker_tmp_dir = empty.worker_connections, empty.worker_tmp_dir
keepalive, backlog, control_socket_disable = empty.keepalive, empty.backlog, empty.control_socket_disable

app = Flask(__name__)
session = HTTP(api_key=KEY, api_secret=SECRET)
session.endpoint = os.environ["BENCH_EXCHANGE"]


@app.post("/webhook")
def order() -> Response:
    alert = request.get_json(force=True)
    if not hmac.compare_digest(alert["secret"], WEBHOOK_SECRET):
        return Response(status=401)
    symbol, side = alert["ticker"].removesuffix(".P"), alert["action"].capitalize()
    session.place_order(
        category="linear", symbol=symbol, side=side, orderType="Market", qty=alert["qty"], positionIdx=0
    )
    return Response(status=202)


@app.get("/readyz")
def ready() -> Response:
    return Response(status=200)
