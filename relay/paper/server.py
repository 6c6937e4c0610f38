"""The V5 endpoints as a Flask application.

Every call goes the same way: it is logged, meets its fault if one waits for it, proves its sender, is counted by the
limiter, has its effect, and is answered with HTTP 200 and Bybit's envelope, refused or not.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from typing import Any

from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException

from relay.paper import account_api, control, control_streams, market_api, orders_api, positions_api
from relay.paper.asks import Unreadable
from relay.paper.exchange import Exchange
from relay.paper.faults import Fault, FaultKind
from relay.paper.orders import Refusal
from relay.paper.orders_api import Answer, Params
from relay.paper.sockets import WebSocket
from relay.paper.streams import PATHS, Streams

log = logging.getLogger(__name__)
Endpoint = Callable[[Exchange, Params], Answer]

PUBLIC: dict[str, Endpoint] = {
    "/v5/market/time": market_api.server_time,
    "/v5/market/instruments-info": market_api.instruments,
    "/v5/market/tickers": market_api.tickers,
}
READS: dict[str, Endpoint] = {
    "/v5/order/realtime": orders_api.realtime,
    "/v5/order/history": orders_api.history,
    "/v5/execution/list": orders_api.executions,
    "/v5/position/list": positions_api.positions,
    "/v5/position/closed-pnl": positions_api.closed_pnl,
    "/v5/account/wallet-balance": account_api.wallet_balance,
    "/v5/account/info": account_api.summary,
    "/v5/account/fee-rate": account_api.fee_rate,
    "/v5/user/query-api": account_api.key,
}
WRITES: dict[str, Endpoint] = {
    "/v5/order/create": orders_api.create,
    "/v5/order/pre-check": orders_api.pre_check,
    "/v5/order/amend": orders_api.amend,
    "/v5/order/cancel": orders_api.cancel,
    "/v5/order/cancel-all": orders_api.cancel_all,
    "/v5/position/set-leverage": positions_api.set_leverage,
    "/v5/position/switch-mode": positions_api.switch_mode,
    "/v5/position/trading-stop": positions_api.trading_stop,
}
TOO_MANY = Refusal(code=10006, message="Too many visits. Exceeded the API Rate Limit.")
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
    app.register_blueprint(control_streams.blueprint(streams))
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
        return (_misbehave(exchange, fault) or response) if fault.is_after else response

    return view


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
        refusal = refusal or exchange.account.refuse(path, request.remote_addr or "")
        if refusal:
            return _reply(exchange, refusal)
        allowance = exchange.limiter.admit(exchange.account, path, exchange.now_ms())
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
    body = {
        "retCode": answer.code if isinstance(answer, Refusal) else 0,
        "retMsg": answer.message if isinstance(answer, Refusal) else "OK",
        "result": {} if refused else answer,
        "retExtInfo": {},
        "time": exchange.now_ms(),
    }
    if "call" in g:
        g.call["retCode"] = body["retCode"]
    response = Response(json.dumps(body, separators=(",", ":")), mimetype="application/json")
    response.headers.update(headers or {})
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
