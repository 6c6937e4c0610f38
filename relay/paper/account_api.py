"""`/v5/account/…`, `/v5/position/…`, `/v5/market/…` and `/v5/user/query-api`."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from relay.paper import asks, margin, matching, stops, wire
from relay.paper.asks import Unreadable
from relay.paper.book import Book
from relay.paper.exchange import Exchange
from relay.paper.orders import FULL_STOPS, ZERO, Refusal
from relay.paper.orders_api import Answer, Params
from relay.paper.state import Instrument, State, Wallet
from relay.paper.wire import plain

DOLLARS = frozenset({"USDT", "USDC", "USD"})


def usd_price(state: State, coin: str) -> Decimal:
    """What a coin is worth in dollars by its own perpetual's index; a stablecoin is a dollar."""
    if coin in DOLLARS:
        return Decimal(1)
    quote = state.quotes.get(f"{coin}USDT") or state.quotes.get(f"{coin}USD")
    return quote.index if quote is not None else ZERO


def _coin(state: State, wallet: Wallet) -> tuple[dict[str, Any], dict[str, Decimal]]:
    """A coin's row, and its dollar amounts for the totals."""
    profits, margins, held = margin.coin_totals(state, wallet.coin)
    equity, price = wallet.balance + profits, usd_price(state, wallet.coin)
    amounts = {
        "equity": equity * price,
        "wallet": wallet.balance * price,
        "profit": profits * price,
        "initial": margins * price,
        "maintenance": held * price / 2,
    }
    row = {
        "coin": wallet.coin,
        "equity": plain(equity),
        "usdValue": plain(amounts["equity"]),
        "walletBalance": plain(wallet.balance),
        "free": "",
        "locked": "0",
        "spotHedgingQty": "0",
        "borrowAmount": "0",
        "accruedInterest": "0",
        "availableToWithdraw": "",
        "availableToBorrow": "",
        "totalOrderIM": plain(max(margins - held, ZERO)),
        "totalPositionIM": plain(held),
        "totalPositionMM": plain(held / 2),
        "unrealisedPnl": plain(profits),
        "cumRealisedPnl": plain(wallet.realised),
        "bonus": "0",
        "marginCollateral": True,
        "collateralSwitch": True,
        "colRes": "0",
        "spotBorrow": "0",
    }
    return row, amounts


def wallet_balance(exchange: Exchange, params: Params) -> Answer:
    """wallet-balance.mdx: the coins that are not zero, or those asked for; totals in dollars over all coins."""
    if params.get("accountType") != "UNIFIED":
        return Refusal(code=10001, message="accountType only support UNIFIED.")
    asked = tuple(coin for coin in str(params.get("coin") or "").split(",") if coin)
    return exchange.read(lambda state: {"list": [unified(state, asked)]})


def unified(state: State, asked: tuple[str, ...]) -> dict[str, Any]:
    """The unified wallet's row, here and in the `wallet` stream: totals, and the coins asked for or not empty."""
    missing = [Wallet(coin=coin) for coin in asked if coin not in state.wallets]
    found = [(wallet, *_coin(state, wallet)) for wallet in (*state.wallets.values(), *missing)]
    rows = [
        row for wallet, row, _ in found if (wallet.coin in asked if asked else wallet.balance or row["equity"] != "0")
    ]
    names = ("equity", "wallet", "profit", "initial", "maintenance")
    total = {name: sum((amounts[name] for _, _, amounts in found), ZERO) for name in names}
    return {**_totals(total), "coin": rows}


def _totals(total: dict[str, Decimal]) -> dict[str, str]:
    base = total["wallet"] + total["profit"]
    initial, maintenance = plain(total["initial"]), plain(total["maintenance"])
    rates = [
        plain((total[name] / base).quantize(Decimal("0.0001"))) if base > 0 else "0"
        for name in ("initial", "maintenance")
    ]
    return {
        "accountType": "UNIFIED",
        "accountLTV": "0",
        "accountIMRate": rates[0],
        "accountIMRateByMp": rates[0],
        "accountMMRate": rates[1],
        "accountMMRateByMp": rates[1],
        "totalEquity": plain(total["equity"]),
        "totalWalletBalance": plain(total["wallet"]),
        "totalMarginBalance": plain(base),
        "totalAvailableBalance": plain(max(base - total["initial"], ZERO)),
        "totalPerpUPL": plain(total["profit"]),
        "totalInitialMargin": initial,
        "totalInitialMarginByMp": initial,
        "totalMaintenanceMargin": maintenance,
        "totalMaintenanceMarginByMp": maintenance,
    }


def summary(exchange: Exchange, params: Params) -> Answer:
    return {
        "marginMode": exchange.account.margin_mode,
        "updatedTime": "1767225600000",
        "unifiedMarginStatus": exchange.account.unified_margin_status,
        "dcpStatus": "OFF",
        "timeWindow": 0,
        "smpGroup": 0,
        "isMasterTrader": False,
        "spotHedgingStatus": "OFF",
    }


def fee_rate(exchange: Exchange, params: Params) -> Answer:
    category, symbol = asks.category(params), params.get("symbol")
    rates = {
        "takerFeeRate": plain(exchange.state.taker_fee),
        "makerFeeRate": plain(exchange.state.maker_fee),
    }
    shown = [
        {"symbol": instrument.symbol, **rates}
        for instrument in exchange.instruments.values()
        if instrument.category == category
        and instrument.status == "Trading"
        and symbol in (None, "", instrument.symbol)
    ]
    if symbol and not shown:
        return Refusal(code=10001, message=f"params error: symbol invalid {symbol}")
    return {"list": shown}


def key(exchange: Exchange, params: Params) -> Answer:
    """apikey-info.mdx; the secret is never shown."""
    return {
        **exchange.account.key,
        "apiKey": exchange.credentials.key,
        "secret": "",
        "rsaPublicKey": exchange.account.public_key or exchange.credentials.public_pem,
    }


# `/v5/position/…`.


def _instrument(exchange: Exchange, params: Params) -> Instrument | Refusal:
    return matching.find_instrument(exchange.state, str(params.get("category") or ""), str(params.get("symbol") or ""))


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
    shown, cursor = wire.page(rows, params, default=20, most=200)
    return {"list": shown, "nextPageCursor": cursor, "category": category}


def symbol_info(exchange: Exchange, params: Params) -> Answer:
    """batch-lvg.mdx: leverage and mode, whether anything is open or not; not under portfolio margin."""
    if exchange.account.margin_mode == "PORTFOLIO_MARGIN":
        return Refusal(code=110077, message="Pm mode cannot support")
    found = _chosen(exchange, params)
    if isinstance(found, Refusal):
        return found

    def row(state: State, symbol: str, idx: int) -> dict[str, Any]:
        leverage = plain(state.position(symbol, idx).leverage)
        return {"symbol": symbol, "leverage": leverage, "side": "", "positionIdx": idx}

    rows = exchange.read(
        lambda state: [row(state, each.symbol, idx) for each in found for idx in state.indices(each.symbol)]
    )
    return {"category": params["category"], "list": rows}


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
    where["updated_ms >= ?"], where["updated_ms < ?"] = wire.span(params, exchange.now_ms())
    found = exchange.store.orders(where, before_seq=wire.after(params), limit=wire.limit(params, default=50, most=100))
    return {
        "list": [wire.closed_pnl(order, exchange.instruments[order.symbol]) for order in found],
        "nextPageCursor": wire.cursor(found[-1].seq) if found else "",
        "category": where["category"],
    }


# `/v5/market/…`: public, unsigned.


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
    shown, cursor = wire.page(rows, params, default=500, most=1000)
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
