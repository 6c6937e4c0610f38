"""`/v5/position/…`."""

from __future__ import annotations

from typing import Any

from relay.paper import asks, checks, margin, paging, stops, wire
from relay.paper.asks import Unreadable
from relay.paper.book import Book
from relay.paper.exchange import Exchange
from relay.paper.instruments import Instrument
from relay.paper.orders import FULL_STOPS, Refusal
from relay.paper.orders_api import Answer, Params
from relay.paper.state import State


def _instrument(exchange: Exchange, params: Params) -> Instrument | Refusal:
    return checks.find_instrument(exchange.state, str(params.get("category") or ""), str(params.get("symbol") or ""))


def row(state: State, instrument: Instrument, idx: int) -> dict[str, Any]:
    """One position as V5 shows it."""
    symbol = instrument.symbol
    held = state.position(symbol, idx)
    standing = {kind: stops.standing(state, symbol, idx, kind) for kind in FULL_STOPS}
    return wire.position(
        held,
        instrument,
        state.quotes[symbol],
        {kind: order for kind, order in standing.items() if order is not None},
        margin=margin.position_value(state, symbol, idx) / held.leverage,
        pnl=margin.unrealised(state, symbol, idx),
    )


def positions(exchange: Exchange, params: Params) -> Answer:
    """position.mdx: a symbol's rows whether open or not; by settle coin (or all inverse) the open ones."""
    category = asks.category(params)
    symbol, settle = params.get("symbol"), params.get("settleCoin")
    if symbol:
        instrument = _instrument(exchange, params)
        if isinstance(instrument, Refusal):
            return instrument
        chosen = instrument
        rows = exchange.read(lambda state: [row(state, chosen, idx) for idx in state.indices(chosen.symbol)])
    elif category == "linear" and not settle:
        raise Unreadable("Missing some parameters that must be filled in, symbol or settleCoin")
    else:
        rows = exchange.read(lambda state: _open_rows(state, category, settle))
    shown, cursor = paging.page(rows, params, default=20, most=200)
    return {"list": shown, "nextPageCursor": cursor, "category": category}


def _open_rows(state: State, category: str, settle: object) -> list[dict[str, Any]]:
    return [
        row(state, instrument, idx)
        for symbol, instrument in state.instruments.items()
        if instrument.category == category and (not settle or instrument.settle_coin == settle)
        for idx in state.indices(symbol)
        if state.position(symbol, idx).size
    ]


def set_leverage(exchange: Exchange, params: Params) -> Answer:
    instrument = _instrument(exchange, params)
    if isinstance(instrument, Refusal):
        return instrument
    buy, sell = asks.number(params, "buyLeverage"), asks.number(params, "sellLeverage")
    if buy is None or sell is None:
        raise Unreadable("params error: buyLeverage and sellLeverage are required")
    refusal = exchange.act(lambda book, now_ms: book.set_leverage(instrument, buy, sell, now_ms))
    return refusal or {}


def switch_mode(exchange: Exchange, params: Params) -> Answer:
    """By symbol, or by coin for every symbol of it that has neither position nor orders (position-mode.mdx)."""
    mode = asks.whole(params, "mode", -1)
    if mode not in (0, 3):
        raise Unreadable("params error: mode invalid")
    if params.get("symbol"):
        instrument = _instrument(exchange, params)
        if isinstance(instrument, Refusal):
            return instrument
        return exchange.act(lambda book, now_ms: book.switch_mode(instrument, hedge=mode == 3)) or {}
    if not params.get("coin"):
        raise Unreadable("params error: symbol or coin is required")
    category = asks.category(params)

    def switch(book: Book, now_ms: int) -> Answer:
        asked = [
            book.switch_mode(instrument, hedge=mode == 3)
            for instrument in exchange.instruments.values()
            if instrument.category == category and instrument.settle_coin == params["coin"]
        ]
        if not asked:
            return Refusal(code=110050, message="Invalid coin")
        return {} if None in asked else asked[0] or {}

    return exchange.act(switch)


def trading_stop(exchange: Exchange, params: Params) -> Answer:
    instrument = _instrument(exchange, params)
    if isinstance(instrument, Refusal):
        return instrument
    exits = asks.exits(params)
    if (exits.take_profit, exits.stop_loss, exits.trailing_stop) == (None, None, None):
        raise Unreadable("params error: takeProfit, stopLoss or trailingStop is required")
    idx = asks.whole(params, "positionIdx", 0)
    return exchange.act(lambda book, now_ms: book.set_stops(instrument, idx, exits, now_ms)) or {}


def closed_pnl(exchange: Exchange, params: Params) -> Answer:
    where: dict[str, object] = {"category": asks.category(params), "has_closed": 1}
    if params.get("symbol"):
        where["symbol"] = params["symbol"]
    where["updated_ms >= ?"], where["updated_ms < ?"] = paging.span(params, exchange.now_ms())
    found = exchange.store.orders(
        where, before_seq=paging.after(params), limit=paging.limit(params, default=50, most=100)
    )
    return {
        "list": [wire.closed_pnl(order, exchange.instruments[order.symbol]) for order in found],
        "nextPageCursor": paging.cursor(found[-1].seq) if found else "",
        "category": where["category"],
    }
