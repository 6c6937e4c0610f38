"""`/paper/…`: how tests and people steer the exchange. Unsigned, but from this machine only, and with JSON bodies.

| call | does |
|---|---|
| `GET /paper/prices` | `{symbol: last price}` |
| `PUT /paper/prices` `{symbol: price}` | sets prices; orders fill and trigger. Instead of a price: `{"price", "bid", "ask", "mark", "index", "depth", "fundingRate"}`, of which `depth` is how much can be taken in all until the next price (null: any amount). The market feed leaves these symbols alone from then on |
| `PUT /paper/hints` `{symbol: price}` | sets prices unless a market is followed or they were set by hand: how a relay passes on the `signal_price` of its alerts |
| `DELETE /paper/prices` | hands all symbols back to the feed |
| `GET /paper/market` | `{"live": whether a feed is being followed}` |
| `POST /paper/faults` a fault or a list | see `relay.paper.faults`: `{"path": "/v5/order/create" or "*", "kind", "times": n or null, "probability", "seed", "match": {field: value}, "ms", "status", "body", "retCode", "retMsg", "headers", "after_effect"}` |
| `GET`, `DELETE /paper/faults` | how many wait / forget them |
| `GET`, `DELETE /paper/calls` | `{"calls": [{"at_ns", "method", "path", "symbol", "orderLinkId", "retCode"}]}`, oldest first, the newest 20,000; `retCode` is the effect's, even where a fault swallowed the answer, and null without one |
| `GET /paper/account`, `POST` any of | `{"marginMode", "unifiedMarginStatus", "key": {fields of query-api}, "ipCheck": bool, "expired": bool, "limiter": {"on": bool, "rate": creates a second}, "historyLagMs": n, "keyUnknown": bool, "signatureWrong": bool, "regionBlocked": bool, "demo": bool, "publicKey": RSA PEM or "", "balances": {coin: amount}, "positionMode": {symbol: 0 or 3}, "leverage": {symbol: n}}` |
| `POST /paper/clock` `{"offset_ms": n}` | shifts the exchange's clock; not kept over a restart |
| `POST /paper/funding` `{"symbol", "rate"}` | settles one funding payment |
| `GET /paper/streams` | `{"connections": [{"kind": "private", "linear" or "inverse", "topics": […], "mute": bool}], "manners": {…}}` |
| `POST /paper/streams` any of | `{"cut": true or a kind}`: ends the streams' connections without a word; `{"mute": true or a kind}`: those there are stay open, and say and answer nothing more; `{"manners": {"delay_ms", "jitter_ms", "drop", "duplicate", "seed", "topics": [names], "refuse_auth": bool, "refuse": bool}}`: how events are treated from now on, what is left out as usual: held back, overtaken, lost and told twice (shares from 0 to 1), the key refused, or no stream opened at all |
| `POST /paper/reset` `{}` | starts over: start balances and prices, no orders, positions, faults or calls |
"""  # noqa: E501 - a table's row is a line

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from flask import Blueprint, Response, jsonify, request

from relay.paper import control_account, funding
from relay.paper.book import Book
from relay.paper.control_reading import ControlInvalid, instrument, number, read_body
from relay.paper.exchange import Exchange
from relay.paper.faults import FaultInvalid, read_fault
from relay.paper.state import Quote
from relay.paper.wire import on_grid, plain

LOOPBACK = frozenset({"127.0.0.1", "::1"})
HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})


def blueprint(exchange: Exchange) -> Blueprint:
    """The control endpoints of an exchange."""
    routes = Blueprint("control", __name__, url_prefix="/paper")
    routes.before_request(only_from_here)
    routes.register_error_handler(ControlInvalid, invalid)
    routes.register_error_handler(FaultInvalid, invalid)
    for path, method, view in (
        ("/prices", "GET", _prices),
        ("/prices", "PUT", _set_prices),
        ("/prices", "DELETE", _unpin),
        ("/hints", "PUT", _hint),
        ("/market", "GET", _market),
        ("/faults", "GET", _faults),
        ("/faults", "POST", _add_faults),
        ("/faults", "DELETE", _clear_faults),
        ("/calls", "GET", _calls),
        ("/calls", "DELETE", _clear_calls),
        ("/account", "GET", control_account.shown),
        ("/account", "POST", control_account.change),
        ("/clock", "POST", _set_clock),
        ("/funding", "POST", _pay_funding),
        ("/reset", "POST", _reset),
    ):
        name = f"{method} {path}".replace("/", "").replace(" ", "_")
        routes.add_url_rule(path, name, lambda view=view: jsonify(view(exchange)), methods=[method])
    return routes


def only_from_here() -> tuple[Response, int] | None:
    """A page in a browser must not steer the exchange: not by name, and not without a preflight."""
    host = (request.host or "").rpartition(":")[0] or request.host
    if request.remote_addr not in LOOPBACK or host not in HOSTS:
        return jsonify(error="only from this machine"), 403
    if request.method in ("POST", "PUT") and not request.is_json:
        return jsonify(error="Content-Type must be application/json"), 415
    return None


def invalid(error: Exception) -> tuple[Response, int]:
    return jsonify(error=str(error)), 400


def _prices(exchange: Exchange) -> dict[str, str]:
    quotes = exchange.read(lambda state: dict(state.quotes))
    return {symbol: on_grid(quote.last, exchange.instruments[symbol].tick_size) for symbol, quote in quotes.items()}


def read_quote(asked: object, current: Quote) -> Quote:
    """A price alone, or an object that says more; what it leaves out is as at its price. Raises ControlInvalid."""
    if not isinstance(asked, Mapping):
        return Quote.flat(number(asked, "price"), funding_rate=current.funding_rate)
    price = number(asked["price"], "price") if "price" in asked else current.last
    flat = Quote.flat(price, funding_rate=current.funding_rate)
    given = {name: number(asked[name], name) for name in ("bid", "ask", "mark", "index") if asked.get(name) is not None}
    if asked.get("fundingRate") is not None:
        given["funding_rate"] = number(asked["fundingRate"], "fundingRate", positive=False)
    if asked.get("depth") is not None:
        given["depth"] = max(number(asked["depth"], "depth", positive=False), Decimal(0))
    return replace(flat, **given)


def _set_prices(exchange: Exchange) -> dict[str, str]:
    asked = {instrument(exchange, symbol).symbol: value for symbol, value in read_body().items()}

    def move(book: Book, now_ms: int) -> None:
        quotes = {symbol: read_quote(value, book.state.quotes[symbol]) for symbol, value in asked.items()}
        for symbol, quote in quotes.items():
            book.move(symbol, quote, now_ms)

    exchange.act(move)
    exchange.pinned.update(asked)
    shown = _prices(exchange)
    return {symbol: shown[symbol] for symbol in asked}


def _hint(exchange: Exchange) -> dict[str, int]:
    asked = {instrument(exchange, symbol).symbol: number(value, "price") for symbol, value in read_body().items()}
    free = {symbol: price for symbol, price in asked.items() if symbol not in exchange.pinned}
    if exchange.market_is_live or not free:
        return {"taken": 0}

    def move(book: Book, now_ms: int) -> None:
        for symbol, price in free.items():
            current = book.state.quotes[symbol]
            book.move(symbol, Quote.flat(price, funding_rate=current.funding_rate), now_ms)

    exchange.act(move)
    return {"taken": len(free)}


def _unpin(exchange: Exchange) -> dict[str, str]:
    exchange.pinned.clear()
    return {}


def _market(exchange: Exchange) -> dict[str, bool]:
    return {"live": exchange.market_is_live}


def _faults(exchange: Exchange) -> dict[str, int]:
    return {"waiting": exchange.faults.count()}


def _add_faults(exchange: Exchange) -> dict[str, int]:
    found = request.get_json(silent=True)
    asked = found if isinstance(found, list) else [found]
    faults = [fault for fault in asked if isinstance(fault, dict)]
    if len(faults) != len(asked):
        raise ControlInvalid("the body must be a fault or a list of faults")
    exchange.faults.add([read_fault(fault) for fault in faults])
    return _faults(exchange)


def _clear_faults(exchange: Exchange) -> dict[str, int]:
    exchange.faults.clear()
    return _faults(exchange)


def _calls(exchange: Exchange) -> dict[str, Any]:
    return {"calls": exchange.calls.all()}


def _clear_calls(exchange: Exchange) -> dict[str, Any]:
    exchange.calls.clear()
    return _calls(exchange)


def _set_clock(exchange: Exchange) -> dict[str, int]:
    try:
        exchange.clock_offset_ms = int(read_body()["offset_ms"])
    except (KeyError, TypeError, ValueError) as error:
        raise ControlInvalid("offset_ms must be a whole number") from error
    return {"offset_ms": exchange.clock_offset_ms}


def _reset(exchange: Exchange) -> dict[str, str]:
    exchange.reset()
    return {}


def _pay_funding(exchange: Exchange) -> dict[str, Any]:
    body = read_body()
    symbol = instrument(exchange, body.get("symbol")).symbol
    rate = number(body.get("rate"), "rate", positive=False)
    exchange.act(lambda book, now_ms: funding.pay(book.state, symbol, rate, now_ms))
    return {"symbol": symbol, "rate": plain(rate)}
