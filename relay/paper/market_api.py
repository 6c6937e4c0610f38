"""`/v5/market/…`: public, unsigned."""

from __future__ import annotations

from relay.paper import asks, paging, wire
from relay.paper.exchange import Exchange
from relay.paper.instruments import Instrument
from relay.paper.orders import Refusal
from relay.paper.orders_api import Answer, Params

FUNDING_MS = 8 * 3600 * 1000


def server_time(exchange: Exchange, params: Params) -> Answer:
    now_ns = exchange.now_ns()
    return {"timeSecond": str(now_ns // 1_000_000_000), "timeNano": str(now_ns)}


def _chosen(exchange: Exchange, params: Params) -> list[Instrument] | Refusal:
    """By category, then symbol or base coin. A symbol of another category is unknown here."""
    category, symbol, base = asks.category(params), params.get("symbol"), params.get("baseCoin")
    found = [
        instrument
        for instrument in exchange.instruments.values()
        if instrument.category == category
        and symbol in (None, "", instrument.symbol)
        and base in (None, "", instrument.base_coin)
    ]
    if symbol and not found:
        return Refusal(code=10001, message=f"params error: symbol invalid {symbol}")
    return found


def instruments(exchange: Exchange, params: Params) -> Answer:
    """instrument.mdx: only `Trading` ones unless a symbol or a status is asked for."""
    found = _chosen(exchange, params)
    if isinstance(found, Refusal):
        return found
    status = params.get("status") or (None if params.get("symbol") else "Trading")
    rows = [instrument.published for instrument in found if status in (None, instrument.status)]
    shown, cursor = paging.page(rows, params, default=500, most=1000)
    return {"category": params["category"], "list": shown, "nextPageCursor": cursor}


def tickers(exchange: Exchange, params: Params) -> Answer:
    found = _chosen(exchange, params)
    if isinstance(found, Refusal):
        return found
    quotes = exchange.read(lambda state: dict(state.quotes))
    next_funding_ms = (exchange.now_ms() // FUNDING_MS + 1) * FUNDING_MS
    return {
        "category": params["category"],
        "list": [
            wire.ticker(instrument, quotes[instrument.symbol], next_funding_ms)
            for instrument in found
            if instrument.status == "Trading"
        ],
    }
