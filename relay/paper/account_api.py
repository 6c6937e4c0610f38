"""`/v5/account/…`, `/v5/position/…`, `/v5/market/…` and `/v5/user/query-api`."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from relay.paper import margin, matching, orders, spot, stops, wire
from relay.paper.exchange import Book, Exchange
from relay.paper.orders import FULL_STOPS, SPOT, ZERO, Refusal, Side, Unreadable
from relay.paper.orders_api import Answer, Params
from relay.paper.state import CENT, MINUTE_MS, Candle, Instrument, State, Wallet, candles_of
from relay.paper.wire import plain


def _coin(state: State, wallet: Wallet) -> tuple[dict[str, Any], dict[str, Decimal]]:
    """A coin's row, and its dollar amounts for the totals."""
    profits, margins, held = margin.coin_totals(state, wallet.coin)
    equity, price, locked = wallet.balance + profits, state.usd_price(wallet.coin), margin.locked(state, wallet.coin)
    amounts = {
        "equity": equity * price,
        "wallet": wallet.balance * price,
        "profit": profits * price,
        "initial": margins * price,
        "maintenance": held * price / 2,
        "locked": locked * price,
    }
    borrowed = state.borrowed.get(wallet.coin, ZERO)
    row = {
        "coin": wallet.coin,
        "equity": plain(equity),
        "usdValue": plain(amounts["equity"]),
        "walletBalance": wire.exact(wallet.balance + borrowed),
        "free": "",
        "locked": wire.exact(locked),
        "spotHedgingQty": "0",
        "borrowAmount": plain(borrowed),
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
        "spotBorrow": plain(borrowed),
    }
    return row, amounts


def wallet_balance(exchange: Exchange, params: Params) -> Answer:
    """wallet-balance.mdx: the coins that are not zero, or those asked for; totals in dollars over all coins."""
    if params.get("accountType") != "UNIFIED":
        return Refusal(code=10001, message="accountType only support UNIFIED.")
    asked = tuple(coin for coin in str(params.get("coin") or "").split(",") if coin)
    return exchange.read(lambda state: {"list": [unified(exchange.shown_state(), asked)]})


def unified(state: State, asked: tuple[str, ...]) -> dict[str, Any]:
    """The unified wallet's row, here and in the `wallet` stream: totals, and the coins asked for or not empty."""
    missing = [Wallet(coin=coin) for coin in asked if coin not in state.wallets]
    found = [(wallet, *_coin(state, wallet)) for wallet in (*state.wallets.values(), *missing)]
    rows = [
        row for wallet, row, _ in found if (wallet.coin in asked if asked else wallet.balance or row["equity"] != "0")
    ]
    names = ("equity", "wallet", "profit", "initial", "maintenance", "locked")
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
        "totalAvailableBalance": plain(max(base - total["initial"] - total["locked"], ZERO)),
        "totalPerpUPL": plain(total["profit"]),
        "totalInitialMargin": initial,
        "totalInitialMarginByMp": initial,
        "totalMaintenanceMargin": maintenance,
        "totalMaintenanceMarginByMp": maintenance,
    }


def transaction_log(exchange: Exchange, params: Params) -> Answer:
    """transaction-log.mdx: a day by default, a week at most, newest first."""
    if params.get("accountType") not in (None, "", "UNIFIED"):
        return Refusal(code=10001, message="accountType only support UNIFIED.")
    named = {"category": "category", "currency": "coin", "baseCoin": "base_coin", "type": "type"}
    where: dict[str, object] = {column: params[name] for name, column in named.items() if params.get(name)}
    begin, end = orders.whole(params, "startTime", 0), orders.whole(params, "endTime", 0)
    if begin and end and not 0 <= end - begin <= wire.WEEK_MS:
        raise Unreadable("The time range between startTime and endTime cannot exceed 7 days")
    where["at_ms >= ?"] = begin or (end or exchange.now_ms()) - wire.DAY_MS
    where["at_ms < ?"] = end or (begin or exchange.now_ms()) + wire.DAY_MS
    found = exchange.store.transactions(
        where, before_seq=wire.after(params), limit=wire.limit(params, default=20, most=50)
    )
    return {"list": [row for _, row in found], "nextPageCursor": wire.cursor(found[-1][0]) if found else ""}


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
    category, symbol = orders.category(params), params.get("symbol")
    state, of_spot = exchange.state, category == SPOT
    rates = {
        "takerFeeRate": plain(state.spot_taker_fee if of_spot else state.taker_fee),
        "makerFeeRate": plain(state.spot_maker_fee if of_spot else state.maker_fee),
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
    return {"category": SPOT, "list": shown} if of_spot else {"list": shown}


def borrow_check(exchange: Exchange, params: Params) -> Answer:
    """spot-borrow-quota.mdx: what can be bought or sold; nothing is lent here, so own funds are all."""
    side = orders.word(params, "side", Side)
    chosen = matching.find_instrument(exchange.state, SPOT, str(params.get("symbol") or ""))
    if isinstance(chosen, Refusal) or params.get("category") != SPOT:
        return chosen if isinstance(chosen, Refusal) else Refusal(code=10001, message="params error: category invalid")
    coin = margin.pays_with(chosen, side)
    free, price = exchange.read(
        lambda state: (max(margin.spendable(state, coin), ZERO), state.quotes[chosen.key].taker_price(side))
    )
    base, quote = (free / price, free) if side is Side.BUY else (free, free * price)
    qty, amount = plain(margin.floor(base, Decimal("0.0001"))), plain(margin.floor(quote, CENT))
    return {
        "symbol": chosen.symbol,
        "side": side.value,
        "maxTradeQty": qty,
        "maxTradeAmount": amount,
        "spotMaxTradeQty": qty,
        "spotMaxTradeAmount": amount,
        "borrowCoin": coin,
    }


def key(exchange: Exchange, params: Params) -> Answer:
    """apikey-info.mdx; the secret is never shown."""
    return {
        **exchange.account.key,
        "apiKey": exchange.credentials.key,
        "secret": "",
        "rsaPublicKey": exchange.account.public_key or exchange.credentials.public_pem,
    }


# `/v5/position/…`.


def _instrument(exchange: Exchange, params: Params, *, spot: bool = False) -> Instrument | Refusal:
    category = orders.category(params, spot=spot)
    return matching.find_instrument(exchange.state, category, str(params.get("symbol") or ""))


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
        liquidated_at=margin.liquidation_price(state, symbol, idx),
    )


def positions(exchange: Exchange, params: Params) -> Answer:
    """position.mdx: a symbol's rows whether open or not; by settle coin (or all inverse) the open ones."""
    category = orders.category(params, spot=False)
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
    orders.category(params, spot=False)
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
    buy, sell = orders.number(params, "buyLeverage"), orders.number(params, "sellLeverage")
    if buy is None or sell is None:
        raise Unreadable("params error: buyLeverage and sellLeverage are required")
    refusal = exchange.act(lambda book, now_ms: book.set_leverage(instrument, buy, sell, now_ms))
    return refusal or {}


def switch_mode(exchange: Exchange, params: Params) -> Answer:
    """By symbol, or by coin for every symbol of it that has neither position nor orders (position-mode.mdx)."""
    mode = orders.whole(params, "mode", -1)
    if mode not in (0, 3):
        raise Unreadable("params error: mode invalid")
    if params.get("symbol"):
        instrument = _instrument(exchange, params)
        if isinstance(instrument, Refusal):
            return instrument
        return exchange.act(lambda book, now_ms: book.switch_mode(instrument, hedge=mode == 3)) or {}
    if not params.get("coin"):
        raise Unreadable("params error: symbol or coin is required")
    category = orders.category(params, spot=False)

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
    exits = orders.exits(params)
    if (exits.take_profit, exits.stop_loss, exits.trailing_stop) == (None, None, None):
        raise Unreadable("params error: takeProfit, stopLoss or trailingStop is required")
    idx = orders.whole(params, "positionIdx", 0)
    return exchange.act(lambda book, now_ms: book.set_stops(instrument, idx, exits, now_ms)) or {}


def closed_pnl(exchange: Exchange, params: Params) -> Answer:
    where: dict[str, object] = {"category": orders.category(params, spot=False), "has_closed": 1}
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
    """By category, then symbol or base coin (which spot does not know). A symbol of another category is unknown here.

    No options are listed; clients that read every category go on all the same.
    """
    if params.get("category") == "option":
        return []
    category, symbol = orders.category(params), params.get("symbol")
    base = None if category == SPOT else params.get("baseCoin")
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
    if params["category"] == SPOT:
        # "Spot has Trading only", and neither limit nor cursor.
        return {"category": SPOT, "list": [each.published for each in found if each.status == "Trading"]}
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
            wire.spot_ticker(instrument, quotes[instrument.key])
            if instrument.is_spot
            else wire.ticker(instrument, quotes[instrument.symbol], next_funding_ms)
            for instrument in found
            if instrument.status == "Trading"
        ],
    }


def price_limit(exchange: Exchange, params: Params) -> Answer:
    """order-price-limit.mdx; without a category it is linear."""
    chosen = _instrument(exchange, {"category": "linear", **params}, spot=True)
    if isinstance(chosen, Refusal):
        return chosen
    bound = spot.price_bound if chosen.is_spot else matching.price_bound
    bounds = exchange.read(lambda state: [bound(state, chosen, side) for side in (Side.BUY, Side.SELL)])
    buy, sell = (wire.on_grid(each, chosen.tick_size) for each in bounds)
    return {"symbol": chosen.symbol, "buyLmt": buy, "sellLmt": sell, "ts": str(exchange.now_ms())}


def coins(exchange: Exchange, params: Params) -> Answer:
    """coin-info.mdx: those of the wallet, none of which can be paid in or out."""
    wanted = params.get("coin")
    names = [coin for coin in exchange.read(lambda state: list(state.wallets)) if wanted in (None, "", coin)]
    return {"rows": [{"name": coin, "coin": coin, "remainAmount": "0", "chains": []} for coin in names]}


def user_settings(exchange: Exchange, params: Params) -> Answer:
    return {
        "lpaSpot": exchange.account.moves_spot_prices,
        "lpaPerp": exchange.account.refuses_prices,
        "deltaEnable": False,
        "smsef": False,
        "fmsef": False,
    }


def system_status(exchange: Exchange, params: Params) -> Answer:
    wanted = params.get("state")
    return {"list": [row for row in exchange.announced if wanted in (None, "", row.get("state"))]}


INTERVALS_MIN = {"D": 1440, "W": 10_080, "M": 43_200}
LEVELS_MAX = 500


def klines(exchange: Exchange, params: Params) -> Answer:
    """kline.mdx, newest first, of the path that the price took here; before that every candle is flat."""
    chosen = _instrument(exchange, {"category": "linear", **params}, spot=True)
    if isinstance(chosen, Refusal):
        return chosen
    word = str(params.get("interval") or "")
    minutes = INTERVALS_MIN.get(word) or (int(word) if word.isascii() and word.isdigit() else 0)
    if not minutes:
        raise Unreadable("Invalid period!")
    span_ms, now_ms = minutes * MINUTE_MS, exchange.now_ms()
    size = wire.limit(params, default=200, most=1000)
    start_ms, end_ms = orders.whole(params, "start", 0), min(orders.whole(params, "end", 0) or now_ms, now_ms)
    last_ms = end_ms // span_ms * span_ms
    first_ms = max(last_ms - (size - 1) * span_ms, -(-start_ms // span_ms) * span_ms)
    path = exchange.store.minutes(chosen.key, first_ms, last_ms + span_ms - 1)
    now = exchange.read(lambda state: state.quotes[chosen.key].last)
    found = candles_of(path, span_ms=span_ms, first_ms=first_ms, last_ms=last_ms, now=now)
    return {
        "category": chosen.category,
        "symbol": chosen.symbol,
        "list": [_kline(each, chosen) for each in found[::-1]],
    }


def _kline(candle: Candle, instrument: Instrument) -> list[str]:
    """Without volume, of which the paper market has none."""
    prices = (candle.open, candle.high, candle.low, candle.close)
    return [str(candle.begins_ms), *(wire.on_grid(each, instrument.tick_size) for each in prices), "0", "0"]


def order_book(exchange: Exchange, params: Params) -> Answer:
    """orderbook.mdx: the quote on both sides, and the account's own resting limit orders behind it."""
    chosen = _instrument(exchange, {"category": "linear", **params}, spot=True)
    if isinstance(chosen, Refusal):
        return chosen
    most = min(wire.limit(params, default=1 if chosen.is_spot else 25, most=LEVELS_MAX), LEVELS_MAX)
    now_ms = exchange.now_ms()
    shown = exchange.read(lambda state: book_of(state, chosen, most))
    return {**shown, "ts": now_ms, "cts": now_ms}


def book_of(state: State, instrument: Instrument, most: int) -> dict[str, Any]:
    """At most so many levels a side, here and in the `orderbook` stream."""
    bids, offers = (_levels(state, instrument, side, most) for side in (Side.BUY, Side.SELL))
    return {"s": instrument.symbol, "b": bids, "a": offers, "u": state.seq, "seq": state.seq}


def _levels(state: State, instrument: Instrument, side: Side, most: int) -> list[list[str]]:
    quote = state.quotes[instrument.key]
    depth = instrument.max_market_qty if quote.depth is None else quote.depth
    found = {quote.bid if side is Side.BUY else quote.ask: depth}
    for order in state.orders_of(instrument.key):
        if order.is_active and order.side is side and order.price is not None:
            found[order.price] = found.get(order.price, ZERO) + order.leaves
    prices = sorted((price for price, qty in found.items() if qty), reverse=side is Side.BUY)[:most]
    return [
        [wire.on_grid(price, instrument.tick_size), wire.on_grid(found[price], instrument.qty_step)] for price in prices
    ]
