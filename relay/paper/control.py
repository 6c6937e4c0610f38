"""`/paper/…`: how tests and people steer the exchange. Unsigned, but from this machine only, and with JSON bodies.

| call | does |
|---|---|
| `GET /paper/prices` | `{symbol: last price}`; a spot pair's symbol is `spot:BTCUSDT` in this and all that follows |
| `PUT /paper/prices` `{symbol: price}` | sets prices; orders fill and trigger. Instead of a price: `{"price", "bid", "ask", "mark", "index", "depth", "fundingRate"}`, of which `depth` is how much can be taken in all until the next price (null: any amount). The market feed leaves these symbols alone from then on |
| `PUT /paper/hints` `{category: {symbol: price}}` | sets prices unless a market is followed or they were set by hand: how a relay passes on the `signal_price` of its alerts |
| `DELETE /paper/prices` | hands all symbols back to the feed |
| `PUT /paper/instruments` `{symbol: {"qtyStep", "minOrderQty", "maxMktOrderQty", "maxOrderQty", "tickSize", …: value}}` | changes an instrument's rules, as the exchange does while relays run: any field of its `priceFilter` and `lotSizeFilter`, its `status` (a delisted one is `Delivering`, then `Closed`) and its `deliveryTime`; not kept over a restart |
| `GET /paper/market` | `{"live": whether a feed is being followed}` |
| `POST /paper/faults` a fault or a list | see `relay.paper.exchange`: `{"path": "/v5/order/create" or "*", "kind", "times": n or null, "probability", "seed", "match": {field: value}, "ms", "status", "body", "retCode", "retMsg", "headers", "after_effect", "where", "set"}` |
| `GET`, `DELETE /paper/faults` | how many wait / forget them |
| `GET`, `DELETE /paper/calls` | `{"calls": [{"at_ns", "method", "path", "category", "symbol", "orderLinkId", "retCode"}]}`, oldest first, the newest 20,000; of a batch also `"batch"`, the link ids in it; `retCode` is the effect's, even where a fault swallowed the answer, and null without one |
| `GET /paper/account`, `POST` any of | `{"marginMode", "lpaPerp": bool, "lpaSpot": bool, "unifiedMarginStatus", "key": {fields of query-api}, "ipCheck": bool, "expired": bool, "limiter": {"on": bool, "rate": creates a second, "spotRate": those of spot}, "historyLagMs": n, "walletLagMs": n, "keyUnknown": bool, "signatureWrong": bool, "regionBlocked": bool, "demo": bool, "publicKey": RSA PEM or "", "balances": {coin: amount}, "spotBorrow": {coin: amount}, "positionMode": {symbol: 0 or 3}, "leverage": {symbol: n}}` |
| `POST /paper/clock` `{"offset_ms": n}` | shifts the exchange's clock; not kept over a restart |
| `POST /paper/funding` `{"symbol", "rate"}` | settles one funding payment |
| `POST /paper/split` `{"symbol", "ratio"}` | a stock split: each position becomes `ratio` times as large at a `ratio`th of its price, by an execution `CorporateAction` and without an order; prices follow, orders end |
| `POST /paper/status` `[rows of /v5/system/status]` | what the exchange announces of its own state; not kept over a restart |
| `POST /paper/fees` `{"coin", "price", "taxRate", "spotTaker", "spotMaker"}` | from now on fees are taken in `coin`, at so many dollars each (`""`: in the settle coin, on spot in the coin received), and taxed at a share of the fee; on spot at these rates, of which a maker's below zero is a rebate; not kept over a restart |
| `POST /paper/takeover` `{"symbol", "kind", "qty"}` | the exchange itself closes so much of the position (all of it by default): `kind` `BustTrade` (liquidation), `AdlTrade` or `Delivery` |
| `GET /paper/streams` | `{"connections": [{"kind": "private", "linear", "inverse" or "spot", "topics": […], "mute": bool}], "manners": {…}}` |
| `POST /paper/streams` any of | `{"cut": true or a kind}`: ends the streams' connections without a word; `{"mute": true or a kind}`: those there are stay open, and say and answer nothing more; `{"manners": {"delay_ms", "jitter_ms", "drop", "duplicate", "seed", "topics": [names], "refuse_auth": bool, "refuse": bool}}`: how events are treated from now on, what is left out as usual: held back, overtaken, lost and told twice (shares from 0 to 1), the key refused, or no stream opened at all |
| `POST /paper/reset` `{}` | starts over: start balances and prices, no orders, positions, faults or calls |"""  # noqa: E501

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import asdict, replace
from decimal import Decimal, InvalidOperation
from typing import Any

from flask import Blueprint, Response, jsonify, request

from relay.paper import margin, matching, stops
from relay.paper.account import Account
from relay.paper.exchange import Book, Exchange, FaultInvalid, read_fault
from relay.paper.state import SPOT_FEE, Instrument, Quote, Wallet, key_of, with_filters
from relay.paper.streams import PATHS, StreamFaults, Streams
from relay.paper.wire import on_grid, plain

# Reading what comes in at `/paper/…`: what cannot be read is a ControlInvalid that says so.


class ControlInvalid(Exception):
    """The control request cannot be read."""


def read_body() -> dict[str, Any]:
    found = request.get_json(silent=True)
    if not isinstance(found, dict):
        raise ControlInvalid("the body must be a JSON object")
    return found


def table(body: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = body.get(name, {})
    if not isinstance(found, dict):
        raise ControlInvalid(f"{name} must be a JSON object")
    return found


def number(value: object, what: str, *, positive: bool = True) -> Decimal:
    try:
        number = Decimal(str(value))
    except InvalidOperation as error:
        raise ControlInvalid(f"{what}: {value!r} is not a number") from error
    if not number.is_finite() or (positive and number <= 0):
        raise ControlInvalid(f"{what}: {value!r} is not a usable number")
    return number


def instrument(exchange: Exchange, symbol: object) -> Instrument:
    found = exchange.instruments.get(str(symbol))
    if found is None:
        raise ControlInvalid(f"unknown symbol {symbol!r}")
    return found


def contract(exchange: Exchange, symbol: object) -> Instrument:
    found = instrument(exchange, symbol)
    if found.is_spot:
        raise ControlInvalid(f"{found.symbol} is a spot pair: there are no positions in it")
    return found


# `/paper/account`: how tests set the account up, wrongly for the most part.


def shown(exchange: Exchange) -> dict[str, Any]:
    """All that can be set, as it is; the leverages are the positions'."""
    account = exchange.account
    return {
        "marginMode": account.margin_mode,
        "lpaPerp": account.refuses_prices,
        "lpaSpot": account.moves_spot_prices,
        "unifiedMarginStatus": account.unified_margin_status,
        "key": account.key,
        "ipCheck": account.ip_check,
        "expired": account.expired,
        "limiter": {
            "on": account.limiter_on,
            "rate": account.creates_per_second,
            "spotRate": account.spot_creates_per_second,
        },
        "historyLagMs": account.history_lag_ms,
        "walletLagMs": account.wallet_lag_ms,
        "keyUnknown": account.key_unknown,
        "signatureWrong": account.signature_wrong,
        "regionBlocked": account.region_blocked,
        "demo": account.demo,
        "publicKey": account.public_key,
        "balances": exchange.read(
            lambda state: {coin: plain(wallet.balance) for coin, wallet in state.wallets.items()}
        ),
        "positionMode": exchange.read(lambda state: dict.fromkeys(sorted(state.hedged), 3)),
    }


def change(exchange: Exchange) -> dict[str, Any]:
    """Changes what the body names, and nothing unless all of it can be read."""
    asked, account = read_body(), exchange.account
    unknown = set(asked) - {*shown(exchange), "leverage", "spotBorrow"}
    if unknown:
        raise ControlInvalid(f"unknown: {', '.join(sorted(unknown))}")
    changed = _read_account(account, asked)
    _trust(exchange, changed.public_key)
    exchange.act(lambda book, now_ms: _set_book(exchange, book, asked, now_ms))
    exchange.account = changed
    exchange.read(exchange.apply_account)
    exchange.keep_account()
    return shown(exchange)


def _read_account(account: Account, body: Mapping[str, Any]) -> Account:
    limiter = body.get("limiter", {})
    try:
        return replace(
            account,
            margin_mode=str(body.get("marginMode", account.margin_mode)),
            refuses_prices=bool(body.get("lpaPerp", account.refuses_prices)),
            moves_spot_prices=bool(body.get("lpaSpot", account.moves_spot_prices)),
            unified_margin_status=int(body.get("unifiedMarginStatus", account.unified_margin_status)),
            key={**account.key, **body.get("key", {})},
            ip_check=bool(body.get("ipCheck", account.ip_check)),
            expired=bool(body.get("expired", account.expired)),
            limiter_on=bool(limiter.get("on", account.limiter_on)),
            creates_per_second=int(limiter.get("rate", account.creates_per_second)),
            spot_creates_per_second=int(limiter.get("spotRate", account.spot_creates_per_second)),
            history_lag_ms=int(body.get("historyLagMs", account.history_lag_ms)),
            wallet_lag_ms=int(body.get("walletLagMs", account.wallet_lag_ms)),
            key_unknown=bool(body.get("keyUnknown", account.key_unknown)),
            signature_wrong=bool(body.get("signatureWrong", account.signature_wrong)),
            region_blocked=bool(body.get("regionBlocked", account.region_blocked)),
            demo=bool(body.get("demo", account.demo)),
            public_key=str(body.get("publicKey", account.public_key)),
        )
    except (AttributeError, TypeError, ValueError) as error:
        raise ControlInvalid(f"the account cannot be read: {error}") from error


def _trust(exchange: Exchange, public_pem: str) -> None:
    try:
        exchange.verifier.trust(public_pem)
    except ValueError as error:
        raise ControlInvalid("publicKey is no RSA key in PEM form") from error


def _set_book(exchange: Exchange, book: Book, body: Mapping[str, Any], now_ms: int) -> None:
    """The part of the account that the book keeps: nothing changes unless all of it can be read."""
    balances = {
        str(coin): number(amount, f"balance of {coin}", positive=False)
        for coin, amount in table(body, "balances").items()
    }
    modes = {
        contract(exchange, symbol).symbol: str(mode) == "3" for symbol, mode in table(body, "positionMode").items()
    }
    leverages = {
        contract(exchange, symbol).symbol: number(value, "leverage")
        for symbol, value in table(body, "leverage").items()
    }
    state = book.state
    state.borrowed |= {
        coin: number(amount, "spotBorrow", positive=False) for coin, amount in table(body, "spotBorrow").items()
    }
    for coin, amount in balances.items():
        wallet = state.wallets.setdefault(coin, Wallet(coin=coin))
        wallet.balance = amount
        state.changes.wallets[coin] = wallet
    for symbol, hedge in modes.items():
        book.force_mode(symbol, hedge=hedge)
    for symbol, leverage in leverages.items():
        book.set_leverage(exchange.instruments[symbol], leverage, leverage, now_ms)


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
        ("/instruments", "PUT", _change_rules),
        ("/market", "GET", _market),
        ("/faults", "GET", _faults),
        ("/faults", "POST", _add_faults),
        ("/faults", "DELETE", _clear_faults),
        ("/calls", "GET", _calls),
        ("/calls", "DELETE", _clear_calls),
        ("/account", "GET", shown),
        ("/account", "POST", change),
        ("/clock", "POST", _set_clock),
        ("/funding", "POST", _pay_funding),
        ("/split", "POST", _split),
        ("/status", "POST", _announce),
        ("/fees", "POST", _set_fees),
        ("/takeover", "POST", _take_over),
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
    asked = {instrument(exchange, symbol).key: value for symbol, value in read_body().items()}

    def move(book: Book, now_ms: int) -> None:
        quotes = {symbol: read_quote(value, book.state.quotes[symbol]) for symbol, value in asked.items()}
        for symbol, quote in quotes.items():
            book.move(symbol, quote, now_ms)

    exchange.act(move)
    exchange.pinned.update(asked)
    shown = _prices(exchange)
    return {symbol: shown[symbol] for symbol in asked}


def _hint(exchange: Exchange) -> dict[str, int]:
    body = read_body()
    asked = {
        instrument(exchange, key_of(category, symbol)).key: number(value, "price")
        for category in body
        for symbol, value in table(body, category).items()
    }
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


def _change_rules(exchange: Exchange) -> dict[str, Any]:
    """Nothing changes unless all of it can be read."""
    asked = read_body()
    changed = {}
    for symbol in asked:
        filters = {
            name: str(value) if name == "status" else str(number(value, f"{symbol}: {name}", positive=False))
            for name, value in table(asked, symbol).items()
        }
        try:
            changed[symbol] = with_filters(instrument(exchange, symbol), filters)
        except KeyError as error:
            raise ControlInvalid(f"{symbol}: {error} is no field of its priceFilter or lotSizeFilter") from error

    def change(book: Book, now_ms: int) -> None:
        exchange.instruments.update(changed)
        ended = {symbol for symbol, each in changed.items() if each.status == "Closed"}
        for order in [each for symbol in ended for each in book.state.orders_of(symbol)]:
            stops.cancel(book.state, order, now_ms, cancel_type="CancelBySettle")

    exchange.act(change)
    return {symbol: each.published for symbol, each in changed.items()}


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


def _set_fees(exchange: Exchange) -> dict[str, str]:
    asked = read_body()
    coin, price = str(asked.get("coin") or ""), number(asked.get("price", 1), "price")
    tax = number(asked.get("taxRate", 0), "taxRate", positive=False)
    taker, maker = (number(asked.get(name, SPOT_FEE), name, positive=False) for name in ("spotTaker", "spotMaker"))

    def set_fees(book: Book, now_ms: int) -> None:
        book.state.fee_coin, book.state.fee_coin_price, book.state.tax_rate = coin, price, tax
        book.state.spot_taker_fee, book.state.spot_maker_fee = taker, maker

    exchange.act(set_fees)
    shown = {"price": price, "taxRate": tax, "spotTaker": taker, "spotMaker": maker}
    return {"coin": coin, **{name: plain(value) for name, value in shown.items()}}


def _take_over(exchange: Exchange) -> dict[str, str]:
    asked = read_body()
    chosen, kind = contract(exchange, asked.get("symbol")), str(asked.get("kind"))
    if kind not in matching.TAKEOVERS:
        raise ControlInvalid(f"kind must be one of {', '.join(matching.TAKEOVERS)}")
    wanted = number(asked["qty"], "qty") if "qty" in asked else None
    closed = exchange.act(lambda book, now_ms: matching.take_over(book.state, chosen, kind, wanted, now_ms))
    return {"closed": plain(closed)}


def _reset(exchange: Exchange) -> dict[str, str]:
    exchange.reset()
    return {}


def _pay_funding(exchange: Exchange) -> dict[str, Any]:
    body = read_body()
    symbol = contract(exchange, body.get("symbol")).symbol
    rate = number(body.get("rate"), "rate", positive=False)
    exchange.act(lambda book, now_ms: margin.pay(book.state, symbol, rate, now_ms))
    return {"symbol": symbol, "rate": plain(rate)}


def _split(exchange: Exchange) -> dict[str, str]:
    body = read_body()
    chosen, ratio = contract(exchange, body.get("symbol")), number(body.get("ratio"), "ratio")
    exchange.act(lambda book, now_ms: margin.split(book.state, chosen, ratio, now_ms))
    return {"symbol": chosen.symbol, "ratio": plain(ratio)}


def _announce(exchange: Exchange) -> dict[str, int]:
    rows = request.get_json(silent=True)
    if not isinstance(rows, list):
        raise ControlInvalid("the body must be a list of rows")
    exchange.announced = rows
    return {"announced": len(rows)}


# `/paper/streams`: how the streams are made to misbehave; see the table in `control`.


KINDS = tuple(PATHS.values())


def streams_blueprint(streams: Streams) -> Blueprint:
    routes = Blueprint("control_streams", __name__, url_prefix="/paper")
    routes.before_request(only_from_here)
    routes.register_error_handler(ControlInvalid, invalid)

    @routes.get("/streams")
    def show() -> Response:
        return jsonify(_shown(streams))

    @routes.post("/streams")
    def steer() -> Response:
        _steer(streams, request.get_json(silent=True))
        return jsonify(_shown(streams))

    return routes


def _shown(streams: Streams) -> dict[str, Any]:
    manners = asdict(streams.manners)
    manners.pop("chance")
    manners["topics"] = sorted(manners["topics"])
    connections = [
        {"kind": each.kind, "topics": sorted(each.topics), "mute": each.socket.is_mute} for each in streams.sessions()
    ]
    return {"connections": connections, "manners": manners}


def _steer(streams: Streams, asked: object) -> None:
    if not isinstance(asked, dict) or not asked or set(asked) - {"cut", "mute", "manners"}:
        raise ControlInvalid("the body must be a JSON object with any of cut, mute and manners")
    wrong = [name for name in ("cut", "mute") if asked.get(name, True) not in (True, *KINDS)]
    if wrong:
        raise ControlInvalid(f"{wrong[0]} must be true or one of {', '.join(KINDS)}")
    if "manners" in asked:
        streams.manners = _read(asked["manners"])
    if "mute" in asked:
        streams.mute(_kind(asked["mute"]))
    if "cut" in asked:
        streams.cut(_kind(asked["cut"]))


def _kind(asked: object) -> str | None:
    return None if asked is True else str(asked)


def _read(asked: object) -> StreamFaults:
    known = {"delay_ms", "jitter_ms", "drop", "duplicate", "seed", "topics", "refuse_auth", "refuse"}
    if not isinstance(asked, Mapping) or set(asked) - known:
        raise ControlInvalid(f"manners must be a JSON object with any of {', '.join(sorted(known))}")
    try:
        seed = int(asked.get("seed", 0))
        return StreamFaults(
            delay_ms=int(asked.get("delay_ms", 0)),
            jitter_ms=int(asked.get("jitter_ms", 0)),
            drop=float(asked.get("drop", 0)),
            duplicate=float(asked.get("duplicate", 0)),
            topics=frozenset(str(topic) for topic in asked.get("topics", ())),
            refuse_auth=bool(asked.get("refuse_auth", False)),
            refuse=bool(asked.get("refuse", False)),
            seed=seed,
            chance=random.Random(seed),
        )
    except (TypeError, ValueError) as error:
        raise ControlInvalid(f"the manners cannot be read: {error}") from error
