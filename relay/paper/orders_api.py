"""`/v5/order/…` and `/v5/execution/list`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from relay.paper import account, margin, matching, orders, wire
from relay.paper.exchange import GONE, GONE_AMEND, Book, Exchange
from relay.paper.orders import SPOT, Order, Refusal, Status, StopKind, Unreadable
from relay.paper.state import key_of

Params = Mapping[str, Any]
Answer = dict[str, Any] | Refusal


def _ids(order: Order) -> dict[str, str]:
    return {"orderId": order.id, "orderLinkId": order.link_id}


def create(exchange: Exchange, params: Params) -> Answer:
    ask = orders.order(params)
    if isinstance(ask, Refusal):
        return ask
    placed = exchange.act(lambda book, now_ms: book.place(ask, now_ms))
    return placed if isinstance(placed, Refusal) else _ids(placed)


def pre_check(exchange: Exchange, params: Params) -> Answer:
    """Margin rates before and after, in hundredths of a percent (pre-check-order.mdx)."""
    orders.category(params, spot=False)
    ask = orders.order(params)
    if isinstance(ask, Refusal):
        return ask

    def look(book: Book, now_ms: int) -> Answer:
        refusal = book.check(ask)
        if refusal:
            return refusal
        if ask.trigger_price is not None:
            return Refusal(code=10001, message="conditional order is not supported")
        instrument = book.state.instruments[ask.symbol]
        profits, held, _ = margin.coin_totals(book.state, instrument.settle_coin)
        wallet = book.state.wallets.get(instrument.settle_coin)
        equity = (wallet.balance if wallet else 0) + profits
        price = ask.price or book.state.quotes[ask.symbol].taker_price(ask.side)
        leverage = book.state.position(ask.symbol, ask.position_idx).leverage
        more = 0 if ask.closes else instrument.value(ask.qty, price) / leverage
        rates = [int(amount / equity * 10_000) if equity else 0 for amount in (held, held + more)]
        return {
            "orderId": book.state.new_id(),
            "orderLinkId": ask.link_id,
            "preImrE4": rates[0],
            "preMmrE4": rates[0] // 2,
            "postImrE4": rates[1],
            "postMmrE4": rates[1] // 2,
        }

    return exchange.act(look)


def amend(exchange: Exchange, params: Params) -> Answer:
    named = _named(exchange, params)
    if isinstance(named, Refusal):
        return named

    def change(book: Book, now_ms: int) -> Answer:
        order = book.open_order(*named)
        if order is None or not _is_meant(order, params):
            return GONE_SPOT if named[0] == SPOT else GONE_AMEND
        refusal = book.amend(
            order,
            qty=orders.number(params, "qty"),
            price=orders.number(params, "price"),
            trigger=orders.number(params, "triggerPrice"),
            exits=orders.exits(params),
            now_ms=now_ms,
        )
        return refusal or _ids(order)

    return exchange.act(change)


def cancel(exchange: Exchange, params: Params) -> Answer:
    named = _named(exchange, params)
    if isinstance(named, Refusal):
        return named

    def end(book: Book, now_ms: int) -> Answer:
        order = book.open_order(*named)
        if order is None or not _is_meant(order, {"orderFilter": "Order", **params}):
            return GONE_SPOT if named[0] == SPOT else GONE
        book.cancel(lambda each: each is order, now_ms)
        return _ids(order)

    return exchange.act(end)


GONE_SPOT = Refusal(code=170213, message="Order does not exist.")
SPOT_FILTERS = {
    "StopOrder": (StopKind.STOP,),
    "tpslOrder": (StopKind.TPSL,),
    "OcoOrder": (),
    "BidirectionalTpslOrder": (StopKind.BIDIRECTIONAL,),
}


def _is_meant(order: Order, params: Params) -> bool:
    """Whether a spot order is of the kind that `orderFilter` names; without one all are.

    Once triggered it is an `Order` as well. `tpslOrder` speaks of both kinds of TP/SL: cancel-order.mdx has no third.
    """
    wanted = params.get("orderFilter")
    if order.category != SPOT or not wanted:
        return True
    if wanted == "Order":
        return order.status is not Status.UNTRIGGERED
    pair = wanted == "tpslOrder" and order.stop_kind is StopKind.BIDIRECTIONAL
    return pair or order.stop_kind in SPOT_FILTERS.get(str(wanted), ())


BATCH_MAX = 20
SPOT_BATCH_MAX = 10
BATCHES = frozenset(f"/v5/order/{each}-batch" for each in ("create", "amend", "cancel"))
TOO_MANY = Refusal(code=10006, message="Too many visits. Exceeded the API Rate Limit.")


def batch(one: Callable[[Exchange, Params], Answer]) -> Callable[[Exchange, Params], Answer]:
    """batch-place.mdx: each entry stands by itself, and counts by itself on a limit that is the batches' own.

    The whole is answered 0 whatever became of its entries; `retExtInfo` has the code of each.
    """

    def all_of(exchange: Exchange, params: Params) -> Answer:
        entries, of = params.get("request"), orders.category(params)
        most = SPOT_BATCH_MAX if of == SPOT else BATCH_MAX
        if not isinstance(entries, list) or not 1 <= len(entries) <= most:
            raise Unreadable(f"The number of orders should be between 1 and {most}")
        if exchange.account.demo and of != "linear":
            return Refusal(code=10032, message="Demo trading are not supported.")
        answers: list[Answer] = []
        headers: Mapping[str, str] = {}
        for entry in entries:
            allowance = exchange.limiter.admit(exchange.account, account.BATCHES, exchange.now_ms, of)
            headers = allowance.headers if allowance is not None else {}
            refused = allowance is not None and allowance.exceeded
            answers.append(TOO_MANY if refused else _entry(exchange, one, {**entry, "category": of}))
        rows = [_shown(entry, each, params) for entry, each in zip(entries, answers, strict=True)]
        return {"list": rows, EXTRA: {"list": [_code(each) for each in answers]}, HEADERS: headers}

    return all_of


def _shown(entry: Params, answer: Answer, params: Params) -> dict[str, Any]:
    named = {name: str(entry.get(name) or "") for name in ("symbol", "orderLinkId")}
    ids = {} if isinstance(answer, Refusal) else answer
    return {"category": str(params.get("category")), "orderId": "", **named, **ids}


def _code(answer: Answer) -> dict[str, Any]:
    return {"code": answer.code, "msg": answer.message} if isinstance(answer, Refusal) else {"code": 0, "msg": "OK"}


EXTRA = "\0retExtInfo"
HEADERS = "\0headers"
"""Under these names an answer holds what belongs beside its result."""


def _entry(exchange: Exchange, one: Callable[[Exchange, Params], Answer], entry: Params) -> Answer:
    try:
        return one(exchange, entry)
    except Unreadable as error:
        return error.refusal


def _named(exchange: Exchange, params: Params) -> tuple[str, str, str, str] | Refusal:
    """(category, symbol, order id, link id) of the order that is meant."""
    order_id, link_id = str(params.get("orderId") or ""), str(params.get("orderLinkId") or "")
    if not order_id and not link_id:
        raise Unreadable("params error: orderId or orderLinkId is required")
    category, symbol = str(params.get("category") or ""), str(params.get("symbol") or "")
    instrument = matching.find_instrument(exchange.state, category, symbol)
    return instrument if isinstance(instrument, Refusal) else (category, symbol, order_id, link_id)


def cancel_all(exchange: Exchange, params: Params) -> Answer:
    """cancel-all.mdx: without `orderFilter` everything goes, the position's stops too; of spot only plain orders."""
    covers = _coverage(exchange, params)
    if covers is None:
        raise Unreadable("params error: symbol, settleCoin or baseCoin is required")
    wanted, only = params.get("orderFilter"), params.get("stopOrderType")

    def chosen(order: Order) -> bool:
        if order.category == SPOT:
            return covers(order) and _is_meant(order, {"orderFilter": wanted or "Order"})
        waiting = order.status is Status.UNTRIGGERED
        fits = {
            "Order": not waiting,
            "StopOrder": waiting and (only != "Stop" or order.stop_kind is StopKind.STOP),
            "OpenOrder": not order.closes,
        }
        return covers(order) and (not wanted or fits.get(str(wanted), False))

    gone = exchange.act(lambda book, now_ms: book.cancel(chosen, now_ms))
    return {"list": [_ids(order) for order in gone], "success": "1"}


def _coverage(exchange: Exchange, params: Params) -> Callable[[Order], bool] | None:
    """Which orders `symbol`, else `baseCoin`, else `settleCoin` speak of; None if none of them was given.

    Spot does not ask for any, and knows no settle coin.
    """
    category = orders.category(params)
    symbol, base, settle = params.get("symbol"), params.get("baseCoin"), params.get("settleCoin")
    known = exchange.instruments
    if symbol:
        return lambda order: order.category == category and order.symbol == key_of(category, str(symbol))
    if base:
        return lambda order: order.category == category and known[order.symbol].base_coin == base
    if category == SPOT:
        return lambda order: order.category == SPOT
    if settle:
        return lambda order: order.category == category and known[order.symbol].settle_coin == settle
    return None


def realtime(exchange: Exchange, params: Params) -> Answer:
    """open-order.mdx: open orders, or with `openOnly=1` the newest 500 closed ones; by id either."""
    category = orders.category(params)
    covers = _coverage(exchange, params)
    order_id, link_id = str(params.get("orderId") or ""), str(params.get("orderLinkId") or "")
    if covers is None and category == "linear" and not order_id:
        raise Unreadable("Missing some parameters that must be filled in, symbol or settleCoin or baseCoin")
    size, before = wire.limit(params, default=20, most=50), wire.after(params)
    kind, closed = params.get("orderFilter"), orders.whole(params, "openOnly", 0) == 1

    def wanted(order: Order) -> bool:
        if order.category != category or (covers is not None and not covers(order)):
            return False
        return _is_kind(order, kind)

    def look(book: Book, now_ms: int) -> Answer:
        state = book.state
        if order_id or link_id:
            one = state.find(category, order_id, link_id)
            found = [one] if one is not None else []
        elif closed:
            found = [order for order in state.recent[category].values() if wanted(order)]
        else:
            found = [order for orders in state.open_orders.values() for order in orders.values() if wanted(order)]
        return _order_page(exchange, category, found, size, before)

    return exchange.act(look)


def _is_kind(order: Order, kind: object) -> bool:
    """Whether a list that was asked for `orderFilter` shows it."""
    if not kind:
        return True
    if order.category == SPOT and kind != "Order":
        return order.stop_kind in SPOT_FILTERS.get(str(kind), ())
    return (kind == "StopOrder") is (order.stop_kind is not StopKind.NONE)


def _order_page(exchange: Exchange, category: str, found: list[Order], size: int, before: int | None) -> Answer:
    found.sort(key=lambda order: (order.created_ms, order.seq), reverse=True)
    rest = [order for order in found if before is None or order.seq < before]
    shown = rest[:size]
    return {
        "list": [wire.order(order, exchange.instruments[order.symbol]) for order in shown],
        "nextPageCursor": wire.cursor(shown[-1].seq) if shown else "",
        "category": category,
    }


def history(exchange: Exchange, params: Params) -> Answer:
    """order-list.mdx: closed orders; those that ended without a fill only for 24 hours."""
    where = _where(exchange, params, id_column="id")
    now_ms = exchange.now_ms()
    where["is_open"] = 0
    where["(has_fill = 1 OR updated_ms >= ?)"] = now_ms - wire.DAY_MS
    where["updated_ms <= ?"] = now_ms - exchange.account.history_lag_ms
    if "id" not in where and "link_id" not in where:
        where["created_ms >= ?"], where["created_ms < ?"] = wire.span(params, now_ms)
    found = exchange.store.orders(where, before_seq=wire.after(params), limit=wire.limit(params, default=20, most=50))
    status, kind = params.get("orderStatus"), params.get("orderFilter")
    shown = [order for order in found if (not status or order.status == status) and _is_kind(order, kind)]
    return {
        "list": [wire.order(order, exchange.instruments[order.symbol]) for order in shown],
        "nextPageCursor": wire.cursor(found[-1].seq) if found else "",
        "category": where["category"],
    }


def executions(exchange: Exchange, params: Params) -> Answer:
    where = _where(exchange, params, id_column="order_id")
    if params.get("execType"):
        where["kind"] = params["execType"]
    if "order_id" not in where and "link_id" not in where:
        where["at_ms >= ?"], where["at_ms < ?"] = wire.span(params, exchange.now_ms())
    found = exchange.store.executions(
        where, before_seq=wire.after(params), limit=wire.limit(params, default=50, most=100)
    )
    return {
        "list": [row for _, row in found],
        "nextPageCursor": wire.cursor(found[-1][0]) if found else "",
        "category": where["category"],
    }


def _where(exchange: Exchange, params: Params, *, id_column: str) -> dict[str, object]:
    """orderId > orderLinkId > symbol > baseCoin (execution.mdx): the first one given decides."""
    where: dict[str, object] = {"category": orders.category(params)}
    for name, column in (
        ("orderId", id_column),
        ("orderLinkId", "link_id"),
        ("symbol", "symbol"),
        ("baseCoin", "base_coin"),
        ("settleCoin", "settle_coin"),
    ):
        if params.get(name):
            where[column] = params[name]
            break
    symbol = where.get("symbol")
    if symbol is not None:
        found = matching.find_instrument(exchange.state, str(where["category"]), str(symbol))
        if isinstance(found, Refusal):
            raise Unreadable(found.message)
        where["symbol"] = found.key
    return where
