"""`python -m relay.paper --port PORT`: the paper exchange on its own, on 127.0.0.1, and its HTTP server."""

from __future__ import annotations

import argparse
import io
import json
import logging
import os
import signal
import socket
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import TCPServer, ThreadingMixIn
from typing import Any
from wsgiref.types import WSGIApplication

from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException

from relay.paper import account_api, control, orders_api
from relay.paper.account import Allowance, Credentials, KeysIncomplete, load_credentials
from relay.paper.exchange import Exchange, Fault, FaultKind, Feed, spoil
from relay.paper.orders import Refusal, Unreadable
from relay.paper.orders_api import BATCHES, EXTRA, HEADERS, TOO_MANY, Answer, Params
from relay.paper.state import TABLE
from relay.paper.streams import PATHS, Streams, WebSocket

log = logging.getLogger(__name__)
DEFAULT_MARKET = "https://api.bybit.com"
STDIN = 0
WATCH_S = 1.0
Endpoint = Callable[[Exchange, Params], Answer]

PUBLIC: dict[str, Endpoint] = {
    "/v5/market/time": account_api.server_time,
    "/v5/market/instruments-info": account_api.instruments,
    "/v5/market/tickers": account_api.tickers,
    "/v5/market/price-limit": account_api.price_limit,
    "/v5/market/kline": account_api.klines,
    "/v5/market/orderbook": account_api.order_book,
    "/v5/system/status": account_api.system_status,
}
READS: dict[str, Endpoint] = {
    "/v5/order/realtime": orders_api.realtime,
    "/v5/order/history": orders_api.history,
    "/v5/order/spot-borrow-check": account_api.borrow_check,
    "/v5/execution/list": orders_api.executions,
    "/v5/position/list": account_api.positions,
    "/v5/position/symbol-info": account_api.symbol_info,
    "/v5/position/closed-pnl": account_api.closed_pnl,
    "/v5/account/wallet-balance": account_api.wallet_balance,
    "/v5/account/info": account_api.summary,
    "/v5/account/transaction-log": account_api.transaction_log,
    "/v5/account/fee-rate": account_api.fee_rate,
    "/v5/account/user-setting-config": account_api.user_settings,
    "/v5/user/query-api": account_api.key,
    "/v5/asset/coin/query-info": account_api.coins,
}
WRITES: dict[str, Endpoint] = {
    "/v5/order/create": orders_api.create,
    "/v5/order/pre-check": orders_api.pre_check,
    "/v5/order/amend": orders_api.amend,
    "/v5/order/cancel": orders_api.cancel,
    "/v5/order/cancel-all": orders_api.cancel_all,
    "/v5/order/create-batch": orders_api.batch(orders_api.create),
    "/v5/order/amend-batch": orders_api.batch(orders_api.amend),
    "/v5/order/cancel-batch": orders_api.batch(orders_api.cancel),
    "/v5/position/set-leverage": account_api.set_leverage,
    "/v5/position/switch-mode": account_api.switch_mode,
    "/v5/position/trading-stop": account_api.trading_stop,
}
BROKEN = Refusal(code=10016, message="Server error.")


def create_app(exchange: Exchange) -> Flask:
    """The application over a running exchange."""
    app = Flask(__name__, static_folder=None)
    for methods, table in (("GET", PUBLIC), ("GET", READS), ("POST", WRITES)):
        for path, endpoint in table.items():
            app.add_url_rule(path, path, _view(exchange, path, endpoint), methods=[methods])
    streams = Streams(exchange)
    for path, kind in PATHS.items():
        app.add_url_rule(path, path, _stream(streams, kind), websocket=True)
    app.register_blueprint(control.blueprint(exchange))
    app.register_blueprint(control.streams_blueprint(streams))
    app.register_error_handler(404, lambda error: _not_found(exchange))
    app.register_error_handler(Exception, lambda error: _failed(exchange, error))
    return app


def _view(exchange: Exchange, path: str, endpoint: Endpoint) -> Callable[[], Response]:
    def view() -> Response:
        payload = request.query_string if request.method == "GET" else request.get_data()
        params = _params(payload)
        at_ns = request.environ.get("paper.at_ns") or time.time_ns()
        g.call = exchange.calls.arrived(at_ns, request.method, path, params or {})
        fault = exchange.faults.take(path, params or {})
        if fault is None:
            return _effect(exchange, path, endpoint, params, payload)
        early = None if fault.is_after else _misbehave(exchange, fault)
        response = early or _effect(exchange, path, endpoint, params, payload)
        if fault.kind is FaultKind.ROWS:
            return _spoilt(response, fault)
        return (_misbehave(exchange, fault) or response) if fault.is_after else response

    return view


def _spoilt(response: Response, fault: Fault) -> Response:
    body = json.loads(response.get_data())
    spoil(body.get("result"), fault.where, fault.changes)
    response.set_data(json.dumps(body, separators=(",", ":")))
    return response


def _stream(streams: Streams, kind: str) -> Callable[[], Response]:
    def view() -> Response:
        if streams.manners.refuse:
            return Response(status=503)
        socket = WebSocket.accept(request.environ)
        if socket is None:
            return Response("a WebSocket is wanted here", status=400)
        streams.serve(socket, kind)
        request.environ["paper.silent"] = True
        return Response()

    return view


def _params(payload: bytes) -> dict[str, Any] | None:
    """The request's fields; None if the body is no JSON object."""
    if request.method == "GET":
        return request.args.to_dict()
    try:
        found = json.loads(payload or b"{}")
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _misbehave(exchange: Exchange, fault: Fault) -> Response | None:
    """Does what the fault says; a delay lets the call go on."""
    if fault.kind in (FaultKind.DELAY_BEFORE, FaultKind.DELAY_AFTER):
        time.sleep(fault.ms / 1000)
        return None
    if fault.kind in (FaultKind.DROP_REPLY, FaultKind.DROP_REQUEST):
        request.environ["paper.silent"] = True
        return Response(status=500)
    if fault.kind is FaultKind.HTTP:
        return Response(fault.body, status=fault.status, headers=dict(fault.headers))
    if fault.kind is FaultKind.HTML:
        return Response(fault.body or "<html><body>Busy</body></html>", mimetype="text/html")
    return _reply(exchange, Refusal(code=fault.ret_code, message=fault.ret_msg), dict(fault.headers))


def _effect(
    exchange: Exchange, path: str, endpoint: Endpoint, params: dict[str, Any] | None, payload: bytes
) -> Response:
    """The call as an orderly exchange would treat it."""
    headers: dict[str, str] = {}
    if exchange.account.region_blocked:
        return Response("<html><body>403 Forbidden: access from your country or region is blocked</body></html>", 403)
    if path not in PUBLIC:
        refusal = exchange.verifier.refuse(request.headers, payload, exchange.now_ms())
        category = str((params or {}).get("category") or "")
        refusal = refusal or exchange.account.refuse(path, request.remote_addr or "", category)
        if refusal:
            return _reply(exchange, refusal)
        allowance: Allowance | None = None
        if path not in BATCHES:
            allowance = exchange.limiter.admit(exchange.account, path, exchange.now_ms, category)
        if allowance is not None:
            headers.update(allowance.headers)
            if allowance.exceeded:
                return _reply(exchange, TOO_MANY, headers)
    if params is None:
        return _reply(exchange, Refusal(code=10001, message="Request parameter error."), headers)
    try:
        return _reply(exchange, endpoint(exchange, params), headers)
    except Unreadable as error:
        return _reply(exchange, error.refusal, headers)


def _reply(exchange: Exchange, answer: Answer, headers: dict[str, str] | None = None) -> Response:
    refused = isinstance(answer, Refusal)
    extra, more = (answer.pop(EXTRA, {}), answer.pop(HEADERS, {})) if isinstance(answer, dict) else ({}, {})
    body = {
        "retCode": answer.code if isinstance(answer, Refusal) else 0,
        "retMsg": answer.message if isinstance(answer, Refusal) else "OK",
        "result": {} if refused else answer,
        "retExtInfo": extra,
        "time": exchange.now_ms(),
    }
    if "call" in g:
        g.call["retCode"] = body["retCode"]
    response = Response(json.dumps(body, separators=(",", ":")), mimetype="application/json")
    response.headers.update({**(headers or {}), **more})
    return response


def _not_found(exchange: Exchange) -> Response:
    response = _reply(exchange, Refusal(code=10017, message="Route not found."))
    response.status_code = 404
    return response


def _failed(exchange: Exchange, error: Exception) -> Response | HTTPException:
    """An error of our own: 10016, after which nobody knows what has happened; that is how Bybit answers too."""
    if isinstance(error, HTTPException):
        return error
    log.exception("the paper exchange failed on %s", request.path)
    return _reply(exchange, BROKEN)


# A small threaded HTTP/1.1 server for a WSGI application, with what the paper exchange needs of one.
#
# Connections are kept alive and answered in one segment without delay; the arrival time is taken as soon as a
# request's
# first line is in; and the application may ask, through `environ["paper.silent"]`, that the connection be closed
# without
# a word: to drop a reply on purpose, or because it has taken the socket (`environ["werkzeug.socket"]`) over itself.


MAX_BODY = 1 << 20


class Server(ThreadingMixIn, TCPServer):
    """Listens on 127.0.0.1; a thread a connection."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 512

    def __init__(self, port: int, application: WSGIApplication) -> None:
        self.application = application
        super().__init__(("127.0.0.1", port), Handler)

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no error; anything else goes to stderr as usual."""
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def handle_one_request(self) -> None:
        self.raw_requestline = self.rfile.readline(65537)
        at_ns = time.time_ns()
        if not self.raw_requestline or len(self.raw_requestline) > 65536:
            self.close_connection = True
            return
        if not self.parse_request():
            return
        length = self.headers.get("Content-Length", "0")
        if not length.isdigit() or int(length) > MAX_BODY or "Transfer-Encoding" in self.headers:
            self.close_connection = True
            self.send_error(413)
            return
        self._answer(self._environ(self.rfile.read(int(length)), at_ns))

    def _environ(self, body: bytes, at_ns: int) -> dict[str, Any]:
        path, _, query = self.path.partition("?")
        environ: dict[str, Any] = {
            "REQUEST_METHOD": self.command,
            "SCRIPT_NAME": "",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": str(self.server.port),
            "SERVER_PROTOCOL": self.request_version,
            "REMOTE_ADDR": self.client_address[0],
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
            "werkzeug.socket": self.connection,
            "paper.at_ns": at_ns,
        }
        for name, value in self.headers.items():
            environ["HTTP_" + name.upper().replace("-", "_")] = value
        return environ

    def _answer(self, environ: dict[str, Any]) -> None:
        head: list[str] = []

        def start_response(
            status: str, headers: list[tuple[str, str]], exc_info: object = None
        ) -> Callable[[bytes], object]:
            head[:] = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers)]
            return lambda chunk: None

        chunks: Iterable[bytes] = self.server.application(environ, start_response)
        body = b"".join(chunks)
        if environ.get("paper.silent"):
            self.close_connection = True
            return
        if self.close_connection:
            head.append("Connection: close")
        shown = b"" if self.command == "HEAD" else body
        self.connection.sendall("\r\n".join([*head, "", ""]).encode("latin-1") + shown)

    def finish(self) -> None:
        """Cuts the connection at once; what was answered is already sent."""
        super().finish()
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            return

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Quiet: the exchange keeps its own log of calls."""


# The command.


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs until SIGTERM or SIGINT, with `--parent-pipe` until SIGTERM or the end of stdin.

    Returns 0, or 2 if it cannot start.
    """
    options = _parse(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    # With a parent, Ctrl-C reaches both: the parent may still have orders to finish, and its end ends this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN if options.parent_pipe else lambda *_: stop.set())
    if options.parent_pipe:
        _die_with_parent(stop)
    try:
        credentials = load_credentials()
        exchange = Exchange(options.state, credentials, options.instruments)
        server = Server(options.port, create_app(exchange))
    except (KeysIncomplete, ValueError, KeyError, OSError, OverflowError, sqlite3.Error) as error:
        sys.stderr.write(f"paper exchange cannot start: {str(error) or error.__doc__}\n")
        return 2
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    if options.market != "off":
        Feed(exchange, options.market).start()
    _announce(server.port, credentials)
    stop.wait()
    exchange.close()
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m relay.paper", description=__doc__)
    parser.add_argument("--port", type=int, default=9100, help="0: a free one (default: 9100)")
    parser.add_argument("--state", default="paper.db", help="the SQLite file (default: paper.db)")
    parser.add_argument(
        "--market",
        default=os.environ.get("PAPER_MARKET") or DEFAULT_MARKET,
        metavar="URL|off",
        help="follow this host's public prices where it can be reached (default: PAPER_MARKET or %(default)s)",
    )
    parser.add_argument(
        "--instruments",
        type=Path,
        default=TABLE,
        metavar="FILE",
        help="list these instead (JSON in the form of the table that comes with it)",
    )
    parser.add_argument("--parent-pipe", action="store_true", help="end when stdin ends")
    return parser.parse_args(arguments)


def _announce(port: int, credentials: Credentials) -> None:
    kind = "RSA" if credentials.is_rsa else "HMAC"
    sys.stdout.write(f"paper exchange on http://127.0.0.1:{port}\n")
    sys.stdout.write(f"accepts the {kind} API key {credentials.key} ({credentials.source})\n")
    sys.stdout.flush()


def _die_with_parent(stop: threading.Event) -> None:
    """Stdin is a pipe from the parent and ends with it, unless a sibling holds it open too: then another parent tells.

    Not PR_SET_PDEATHSIG: that is bound to the thread which started this process.
    """
    parent = os.getppid()

    def read() -> None:
        while os.read(STDIN, 4096):
            continue
        stop.set()

    def watch() -> None:
        while not stop.wait(WATCH_S):
            if os.getppid() != parent:
                stop.set()

    for name, wait in (("parent-pipe", read), ("parent-watch", watch)):
        threading.Thread(target=wait, name=name, daemon=True).start()


if __name__ == "__main__":
    sys.exit(main())
