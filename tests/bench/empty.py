"""The ceiling of accepts: a view that does nothing, under the relay's own gunicorn settings."""

from __future__ import annotations

import os

from flask import Flask, Response

from relay.web import gunicorn as settings
from relay.web.gunicorn import RelayWorker

bind = [f"127.0.0.1:{os.environ['PORT']}"]
workers, threads, worker_class = settings.workers, settings.threads, RelayWorker
worker_connections, worker_tmp_dir = settings.worker_connections, settings.worker_tmp_dir
keepalive, backlog, control_socket_disable = settings.keepalive, settings.backlog, settings.control_socket_disable

app = Flask(__name__)


@app.post("/webhook")
def nothing() -> Response:
    return Response(status=202)


@app.get("/readyz")
def ready() -> Response:
    return Response(status=200)
