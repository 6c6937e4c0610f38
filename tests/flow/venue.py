"""An exchange of the tests' own, with arithmetic of its own: one account, over real HTTP and WebSockets.

It speaks V5 as Bybit's documentation has it where the paper exchange is kinder: an order is filled in several
executions with one `seq` and one time, `execPnl` is told by the stream alone, rows of the transaction log share their
`id`, lists lag behind, and stream messages come in any order, some twice. Source: docs/v5/order/execution.mdx,
docs/v5/websocket/private/execution.mdx, docs/v5/account/transaction-log.mdx.
"""

from __future__ import annotations

import json
import random
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_DOWN, Decimal
from fractions import Fraction
from typing import Any

from flask import Flask, Response, jsonify, request
from pybit.unified_trading import HTTP
from werkzeug.serving import WSGIRequestHandler, make_server

from relay.paper.streams import WebSocket
from tests.paper_server import DEADLINE_S, KEY, SECRET

D = Decimal
Row = dict[str, Any]
LAG_S = 0.4
"""So late a list may tell what has happened."""
_TAKER, _MAKER, _SPOT = D("0.00055"), D("-0.00005"), D("0.001")
_LOT = D("0.001")
"""Of a spot order's executions, so that fees in the coin are no finer than what can be sold."""
_CREATED = {"BustTrade": "CreateByLiq", "AdlTrade": "CreateByAdl_PassThrough"}
_LOGGED = {"Trade": "TRADE", "Funding": "SETTLEMENT", "BustTrade": "LIQUIDATION", "AdlTrade": "ADL"}


def _cut(amount: Fraction) -> Decimal:
    """To eight places, towards zero."""
    return (D(amount.numerator) / D(amount.denominator)).quantize(D("1E-8"), ROUND_DOWN)


def text(number: Decimal | Fraction) -> str:
    return format(number if isinstance(number, Decimal) else _cut(number), "f")


@dataclass
class Market:
    """One symbol, and the account's position there: `cost` in the settle coin, without sign."""

    symbol: str
    category: str
    coin: str
    step: Decimal
    base: str = ""
    """What is bought, of spot, whose `coin` is what is paid. No position is kept of it."""
    price: Decimal = D(100000)
    size: Decimal = D(0)
    cost: Fraction = Fraction(0)
    settled: Fraction = Fraction(0)
    """What of the cost sessions have paid out, which the average price does not show."""
    levels: dict[str, Decimal] = field(default_factory=dict)
    best: Decimal = D(0)
    leverage: str = "10"
    seq: int = 100
    changed_ms: int = 0

    def value(self, qty: Decimal, price: Decimal) -> Fraction:
        return Fraction(qty) / Fraction(price) if self.category == "inverse" else Fraction(qty) * Fraction(price)

    @property
    def average(self) -> Decimal:
        size, cost = Fraction(abs(self.size)), self.cost - self.settled
        return _cut(size / cost if self.category == "inverse" else cost / size) if size else D(0)

    @property
    def pnl(self) -> Fraction:
        """What is open, since the last session."""
        pnl = self.value(abs(self.size), self.price) - self.cost if self.size else Fraction(0)
        return pnl * (1 if self.size > 0 else -1) * (-1 if self.category == "inverse" else 1)

    def settle(self) -> Decimal:
        """A session ends, of contracts in USDC: what is open is paid out."""
        paid = _cut(self.pnl) if self.coin == "USDC" else D(0)
        for_long = Fraction(paid) * (1 if self.size > 0 else -1)
        self.cost, self.settled = self.cost + for_long, self.settled + for_long
        return paid

    def take(self, signed: Decimal, price: Decimal) -> tuple[Decimal, Decimal]:
        """Move the position; how much that closed, and what it gained."""
        closed = min(abs(signed), abs(self.size)) if signed * self.size < 0 else D(0)
        gain = Fraction(0)
        if closed:
            cost, worth = self.cost * Fraction(closed) / Fraction(abs(self.size)), self.value(closed, price)
            gain = (worth - cost) * (1 if self.size > 0 else -1) * (-1 if self.category == "inverse" else 1)
            self.cost -= cost
            self.settled *= 1 - Fraction(closed) / Fraction(abs(self.size))
        self.cost += self.value(abs(signed) - closed, price)
        self.size += signed
        return closed, _cut(gain)

    def row(self) -> Row:
        side = "Buy" if self.size > 0 else "Sell" if self.size < 0 else ""
        session = text(self.cost / Fraction(abs(self.size))) if self.size and self.coin == "USDC" else ""
        return {
            **{"symbol": self.symbol, "side": side, "size": text(abs(self.size)), "positionIdx": 0},
            **{"avgPrice": text(self.average), "entryPrice": text(self.average), "markPrice": text(self.price)},
            **{"leverage": self.leverage, "seq": self.seq, "unrealisedPnl": text(self.pnl), "positionStatus": "Normal"},
            "sessionAvgPrice": session,
            **{name: text(self.levels.get(name, D(0))) for name in ("takeProfit", "stopLoss", "trailingStop")},
            **{"createdTime": "1", "updatedTime": str(self.changed_ms), "isReduceOnly": False, "liqPrice": ""},
        }


def _markets() -> dict[str, Market]:
    return {
        "BTCUSDT": Market(symbol="BTCUSDT", category="linear", coin="USDT", step=D("0.001")),
        "BTCPERP": Market(symbol="BTCPERP", category="linear", coin="USDC", step=D("0.001")),
        "ETHUSDT": Market(symbol="ETHUSDT", category="spot", coin="USDT", step=D("1E-6"), base="ETH", price=D(4000)),
        "BTCUSD": Market(symbol="BTCUSD", category="inverse", coin="BTC", step=D(1)),
    }


class _Handler(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        """Says nothing."""


class Venue:
    """Looks like `PaperServer` to whoever plays on it; it is its own `control`."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)  # noqa: S311 - a fixed seed, and nothing secret
        self.control = self
        self.markets = _markets()
        self.wallet = {"USDT": D(1000000), "USDC": D(1000000), "BTC": D(50), "ETH": D(3), "MNT": D(5000)}
        self.executions: list[Row] = []
        """All, with what each gained."""
        self._listed: dict[str, list[tuple[float, Row]]] = defaultdict(list)
        self._orders: dict[str, Row] = {}
        self.late_s: float | None = None
        """So late the list tells of executions, which the stream keeps to itself."""
        self._fee_coin, self._fee_price, self._tax = "", D(1), D(0)
        self._private: list[WebSocket] = []
        self._public: list[tuple[WebSocket, set[str]]] = []
        self._lock = threading.RLock()
        self._sessions: list[HTTP] = []
        app = Flask(__name__)
        app.add_url_rule("/v5/private", "private", self._serve_private, websocket=True)
        app.add_url_rule("/v5/public/<kind>", "public", self._serve_public, websocket=True)
        app.add_url_rule("/v5/<path:path>", "v5", self._answer, methods=["GET", "POST"])
        self._server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Handler)
        self._server.daemon_threads = True  # type: ignore[attr-defined]
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        for session in self._sessions:
            session.client.close()
        self.streams(cut=True)
        self._server.shutdown()
        self._server.server_close()

    def session(self) -> HTTP:
        session = HTTP(api_key=KEY, api_secret=SECRET, retry_codes={0}, max_retries=1, timeout=DEADLINE_S)
        session.endpoint = self.url
        self._sessions.append(session)
        return session

    # What the player does.

    def prices(self, **prices: str) -> None:
        """The market moves: what is passed on the way is triggered or filled."""
        with self._lock:
            for symbol, price in ((each.removeprefix("spot:"), price) for each, price in prices.items()):
                market = self.markets[symbol]
                market.price = D(price)
                self._meet(market)
                row = {"symbol": symbol, "markPrice": price, "lastPrice": price}
                message = {"topic": f"tickers.{symbol}", "type": "delta", "data": row, "ts": _now_ms()}
                for socket, topics in self._public:
                    if message["topic"] in topics:
                        socket.send(json.dumps(message))

    def fees(self, coin: str, *, price: str, taxRate: str) -> None:  # noqa: N803 - as the paper exchange calls it
        self._fee_coin, self._fee_price, self._tax = coin, D(price), D(taxRate)

    def funding(self, symbol: str, rate: str) -> None:
        with self._lock:
            market = self.markets[symbol]
            if market.size:
                market.changed_ms = max(_now_ms(), market.changed_ms + 1)
                paid, gained = _cut(market.value(market.size, market.price) * Fraction(rate)), market.settle()
                side = "Buy" if market.size > 0 else "Sell"
                row = self._row(market, {"orderId": uuid.uuid4().hex, "side": side, "orderType": "UNKNOWN"},
                                at_ms=market.changed_ms)  # fmt: skip
                row |= {"execType": "Funding", "execQty": text(abs(market.size)), "execPrice": text(market.price)}
                row |= {"execFee": text(paid), "execPnl": "", "feeCurrency": "", "leavesQty": "0"}
                self._book(market, row, gained=gained, paid={market.coin: paid}, is_funding=True)
                self._tell(market, [row], [])

    def takeover(self, symbol: str, kind: str) -> None:
        with self._lock:
            self._close(self.markets[symbol], kind=kind, createType=_CREATED[kind])

    def streams(self, *, cut: bool) -> None:
        with self._lock:
            for socket in self._private if cut else ():
                socket.cut()

    # How orders meet the market.

    def _meet(self, market: Market) -> None:
        sign = 1 if market.size > 0 else -1
        market.best = max(market.best * sign, market.price * sign) * sign if market.best else market.price
        distance, price = market.levels.get("trailingStop"), market.price * sign
        stop, profit = market.levels.get("stopLoss"), market.levels.get("takeProfit")
        if market.size and stop and price <= stop * sign:
            self._close(market, createType="CreateByStopLoss", stopOrderType="StopLoss")
        elif market.size and profit and price >= profit * sign:
            self._close(market, createType="CreateByTakeProfit", stopOrderType="TakeProfit")
        elif market.size and distance and (market.best - market.price) * sign >= distance:
            self._close(market, createType="CreateByTrailingStop", stopOrderType="TrailingStop")
        for order in [each for each in self._orders.values() if each["symbol"] == market.symbol and _rests(each)]:
            towards = 1 if order["side"] == "Buy" else -1
            if (D(order["price"]) - market.price) * towards >= 0:
                self._fill(market, order, D(order["price"]), is_maker=True)

    def _close(self, market: Market, *, kind: str = "Trade", **more: str) -> None:
        """The exchange does it by an order of its own."""
        side = "Sell" if market.size > 0 else "Buy"
        order = self._order(market, {"side": side, "qty": text(abs(market.size)), "orderType": "Market", **more})
        self._fill(market, order, market.price, kind=kind)

    def _order(self, market: Market, given: Mapping[str, Any]) -> Row:
        now = str(_now_ms())
        order = {
            **{"orderId": uuid.uuid4().hex, "orderLinkId": "", "symbol": market.symbol, "orderStatus": "New"},
            **{"createType": "CreateByUser", "stopOrderType": "UNKNOWN", "timeInForce": "IOC", "price": "0"},
            **{"cumExecQty": "0", "avgPrice": "", "cumExecFee": "0", "createdTime": now, "updatedTime": now},
            **{"rejectReason": "EC_NoError", "cancelType": "UNKNOWN", "reduceOnly": False, "triggerPrice": ""},
            **{name: value for name, value in given.items() if name not in ("category", "takeProfit", "stopLoss")},
        }
        self._orders[order["orderId"]] = order
        return order

    def _fill(self, market: Market, order: Row, price: Decimal, *, kind: str = "Trade", is_maker: bool = False) -> None:
        """In up to three executions of one moment, each at a price of its own."""
        sign, left = (1 if order["side"] == "Buy" else -1), D(order["qty"])
        market.seq, at_ms, rows, value = market.seq + 1, _now_ms(), list[Row](), Fraction(0)
        step = _LOT if market.base and sign > 0 else market.step
        steps = int(left / step)
        cuts = sorted({self.chance.randint(1, steps) for _ in range(self.chance.randint(0, 2))} | {steps})
        for qty in (step * (now - before) for before, now in zip([0, *cuts], cuts, strict=False)):
            left -= qty
            slip = D(0) if is_maker else D(self.chance.randint(0, 30)) / 10 * sign
            row = self._row(market, order, at_ms=at_ms)
            row |= {"execType": kind, "execQty": text(qty), "leavesQty": text(left), "isMaker": is_maker}
            rate = _SPOT if market.base else _MAKER if is_maker else _TAKER
            self._execute(market, row, sign * qty, price + slip, rate)
            rows.append(row)
            value += market.value(qty, price + slip)
        whole = Fraction(order["qty"])
        average = text(whole / value if market.category == "inverse" else value / whole)
        order |= {"orderStatus": "Filled", "cumExecQty": order["qty"], "avgPrice": average, "updatedTime": str(at_ms)}
        market.changed_ms, changed = at_ms, [order]
        if not market.size and not market.base:
            market.levels, market.best = {}, D(0)
            for each in self._orders.values():
                if each["symbol"] == market.symbol and _rests(each):
                    each |= {"orderStatus": "Cancelled", "cancelType": "CancelByReduceOnly"}
                    changed.append(each)
        self._tell(market, rows, changed)

    def _execute(self, market: Market, row: Row, signed: Decimal, price: Decimal, rate: Decimal) -> None:
        sign, settled = 1 if market.size > 0 else -1, market.settled
        if market.base:
            closed, gained = D(0), _cut(-market.value(signed, price))
        else:
            closed, gained = market.take(signed, price)
        since_entry = gained + _cut((settled - market.settled) * sign)
        value = market.value(abs(signed), price)
        coin, fee = market.coin, _cut(value * Fraction(rate))
        if market.base and signed > 0:
            coin, fee = market.base, signed * rate
        if self._fee_coin:
            usd = Fraction(price) if market.category == "inverse" else Fraction(1)
            coin, fee = self._fee_coin, _cut(value * Fraction(rate) * usd / Fraction(self._fee_price))
        tax = _cut(abs(value * Fraction(rate)) * Fraction(self._tax))
        row |= {"execPrice": text(price), "execValue": text(value), "feeRate": text(rate), "execFee": text(fee)}
        row |= {"feeCurrency": coin, "execPnl": text(since_entry), "closedSize": text(closed) if closed else ""}
        if tax:
            row["extraFees"] = [{"feeCoin": market.coin, "feeType": "GST", "subFeeType": "IND_GST", "fee": text(tax)}]
        paid = defaultdict(D, {coin: fee})
        paid[market.coin] += tax
        if market.base:
            row["createType"] = ""
        self._book(market, row, gained=gained, paid=paid)

    def _row(self, market: Market, order: Mapping[str, Any], *, at_ms: int | None = None) -> Row:
        same = ("orderId", "orderLinkId", "side", "orderType", "createType", "stopOrderType")
        return {
            **{"symbol": market.symbol, "category": market.category, "execId": str(uuid.uuid4()), "isMaker": False},
            **{"execTime": str(at_ms or _now_ms()), "seq": market.seq, "extraFees": "", "closedSize": ""},
            **{name: order.get(name, "") for name in same},
        }

    def _book(
        self, market: Market, row: Row, *, gained: Decimal, paid: Mapping[str, Decimal], is_funding: bool = False
    ) -> None:
        """The wallet, and its transaction log: rows of one moment share their `id`."""
        seen_at = time.monotonic() + (self.chance.random() * LAG_S if self.late_s is None else self.late_s)
        self.executions.append({**row, "execPnl": text(gained)})
        self._listed[market.category].insert(0, (seen_at, row))
        bought = D(row["execQty"]) * (1 if row["side"] == "Buy" else -1)
        flows = {market.coin: gained, **({market.base: bought} if market.base else {})}
        for coin in dict.fromkeys((*flows, *paid)):
            flow, fee = flows.get(coin, D(0)), paid.get(coin, D(0))
            self.wallet[coin] += flow - fee
            logged = {
                **{"id": f"7_{market.symbol}_{market.seq}", "tradeId": row["execId"], "currency": coin},
                **{"symbol": market.symbol, "category": market.category, "type": _LOGGED[row["execType"]]},
                **{"side": row["side"], "transactionTime": row["execTime"], "cashFlow": text(flow)},
                **{"fee": "0" if is_funding else text(fee), "funding": text(-fee) if is_funding else ""},
                **{"change": text(flow - fee), "cashBalance": text(self.wallet[coin])},
            }
            self._listed["log"].insert(0, (seen_at, logged))

    # What it tells without being asked.

    def _tell(self, market: Market, rows: list[Row], orders: list[Row]) -> None:
        told = [("execution", [row]) for row in rows if self.late_s is None]
        told += [("order", [{"category": market.category, **dict(each)}]) for each in orders]
        told += [] if market.base else [("position", [{"category": market.category, **market.row()}])]
        told.append(("wallet", [self._balances()]))
        self.chance.shuffle(told)
        for topic, data in told:
            message = json.dumps({"id": uuid.uuid4().hex, "topic": topic, "creationTime": _now_ms(), "data": data})
            for _ in range(self.chance.choice((1, 1, 1, 2))):
                for socket in self._private:
                    socket.send(message)

    def _serve_private(self) -> Response:
        return self._serve(lambda socket, asked: None, self._private)

    def _serve_public(self, kind: str) -> Response:
        wanted: set[str] = set()
        entry: list[tuple[WebSocket, set[str]]] = []

        def heard(socket: WebSocket, asked: Row) -> None:
            if asked["op"] == "subscribe":
                wanted.update(asked["args"])
                if not entry:
                    entry.append((socket, wanted))
                    self._public.append(entry[0])
                for symbol in (topic.rpartition(".")[2] for topic in asked["args"]):
                    row = self._ticker(self.markets[symbol])
                    socket.send(json.dumps({"topic": f"tickers.{symbol}", "type": "snapshot", "data": row}))

        return self._serve(heard, [])

    def _serve(self, heard: Callable[[WebSocket, Row], None], kept: list[WebSocket]) -> Response:
        socket = WebSocket.accept(request.environ)
        assert socket is not None
        try:
            for said in socket.messages():
                asked = json.loads(said)
                with self._lock:
                    answer = {"op": asked["op"], "success": True, "ret_msg": "", "req_id": asked.get("req_id", "")}
                    socket.send(json.dumps(answer))
                    heard(socket, asked)
                    if asked["op"] == "subscribe":
                        kept.append(socket)
        finally:
            with self._lock:
                if socket in kept:
                    kept.remove(socket)
                self._public = [each for each in self._public if each[0] is not socket]
        return Response()

    # What it answers.

    def _answer(self, path: str) -> Any:
        given: Row = dict(request.args) if request.method == "GET" else request.get_json()
        answer = getattr(self, f"_{path.replace('/', '_').replace('-', '_')}", None)
        if answer is None:
            return Response(status=404)
        with self._lock:
            is_known = given.get("symbol", "BTCUSDT") in self.markets
            came_to = answer(given) if is_known else (10001, "symbol invalid", {})
        code, words, result = came_to if isinstance(came_to, tuple) else (0, "OK", came_to)
        return jsonify({"retCode": code, "retMsg": words, "result": result, "retExtInfo": {}, "time": _now_ms()})

    def _page(self, rows: list[Row], given: Row, least: int) -> Row:
        first, limit = int(given.get("cursor") or 0), int(given.get("limit") or least)
        following = str(first + limit) if len(rows) > first + limit else ""
        return {"list": rows[first : first + limit], "nextPageCursor": following}

    def _told(self, kind: str, given: Row, time_of: str) -> list[Row]:
        """The latest first, as far as the list has them."""
        since, until, now = int(given.get("startTime") or 0), int(given.get("endTime") or 1 << 60), time.monotonic()
        return [row for seen_at, row in self._listed[kind] if seen_at <= now and since <= int(row[time_of]) <= until]

    def _execution_list(self, given: Row) -> Row:
        rows = self._told(given["category"], given, "execTime")
        wanted = [name for name in ("orderLinkId",) if given.get(name)] or ["symbol"]
        rows = [row for row in rows if all(given.get(name, row[name]) == row[name] for name in wanted)]
        return self._page([_listed(row) for row in rows], given, 50)

    def _account_transaction_log(self, given: Row) -> Row:
        return self._page(self._told("log", given, "transactionTime"), given, 20)

    def _order_create(self, given: Row) -> Row | tuple[int, str, Row]:
        market, link = self.markets[given["symbol"]], given.get("orderLinkId") or ""
        if link and any(each["orderLinkId"] == link for each in self._orders.values()):
            return 110072, "OrderLinkedID is duplicate", {}
        if given.get("reduceOnly"):
            sign = 1 if given["side"] == "Buy" else -1
            if market.size * sign >= 0:
                return 110017, "current position is zero, cannot fix reduce-only order qty", {}
            given = {**given, "qty": text(min(D(given["qty"]), abs(market.size)))}
        order = self._order(market, given)
        market.levels |= {name: D(given[name]) for name in ("takeProfit", "stopLoss") if given.get(name)}
        if given["orderType"] == "Market":
            self._fill(market, order, market.price)
        else:
            self._tell(market, [], [order])
        return {"orderId": order["orderId"], "orderLinkId": link}

    def _order_cancel(self, given: Row) -> Row | tuple[int, str, Row]:
        found = [each for each in self._orders.values() if each["orderLinkId"] == given["orderLinkId"]]
        if not found or not _rests(found[0]):
            return 110001, "order not exists or too late to cancel", {}
        found[0] |= {"orderStatus": "Cancelled", "cancelType": "CancelByUser"}
        self._tell(self.markets[found[0]["symbol"]], [], found)
        return {"orderId": found[0]["orderId"]}

    def _order_realtime(self, given: Row) -> Row:
        rows = [each for each in self._orders.values() if self.markets[each["symbol"]].category == given["category"]]
        rows = [each for each in rows if given.get("symbol", each["symbol"]) == each["symbol"]]
        if link := given.get("orderLinkId"):
            return self._page([each for each in rows if each["orderLinkId"] == link], given, 20)
        return self._page([each for each in rows if _rests(each)], given, 20)

    _order_history = _order_realtime

    def _position_trading_stop(self, given: Row) -> Row | tuple[int, str, Row]:
        market = self.markets[given["symbol"]]
        wanted = {name: D(given[name]) for name in ("takeProfit", "stopLoss", "trailingStop") if given.get(name)}
        if not market.size:
            return 10001, "can not set tp/sl/ts for zero position", {}
        if all(market.levels.get(name, D(0)) == level for name, level in wanted.items()):
            return 34040, "not modified", {}
        market.levels |= wanted
        market.best = market.price
        self._tell(market, [], [])
        return {}

    def _position_list(self, given: Row) -> Row:
        of_kind = [each for each in self.markets.values() if each.category == given["category"]]
        if symbol := given.get("symbol"):
            return self._page([each.row() for each in of_kind if each.symbol == symbol], given, 20)
        of_coin = [each for each in of_kind if given.get("settleCoin", each.coin) == each.coin and each.size]
        return self._page([each.row() for each in of_coin], given, 20)

    def _position_symbol_info(self, given: Row) -> Row:
        return {"list": [self.markets[given["symbol"]].row()]}

    def _position_set_leverage(self, given: Row) -> Row:
        self.markets[given["symbol"]].leverage = given["buyLeverage"]
        return {}

    def _balances(self) -> Row:
        coins = []
        for coin, balance in self.wallet.items():
            open_pnl = sum(
                (D(each.row()["unrealisedPnl"]) for each in self.markets.values() if each.coin == coin), D(0)
            )
            amounts = {"walletBalance": balance, "equity": balance + open_pnl, "unrealisedPnl": open_pnl}
            coins.append({"coin": coin, **{name: text(amount) for name, amount in amounts.items()}})
        return {"accountType": "UNIFIED", "totalEquity": "1000000", "totalAvailableBalance": "900000", "coin": coins}

    def _account_wallet_balance(self, given: Row) -> Row:
        return {"list": [self._balances()]}

    def _ticker(self, market: Market) -> Row:
        price = text(market.price)
        row = {"symbol": market.symbol, "lastPrice": price}
        return row if market.base else {**row, "markPrice": price, "indexPrice": price}

    def _market_tickers(self, given: Row) -> Row:
        of_kind = (each for each in self.markets.values() if each.category == given["category"])
        return {"list": [self._ticker(each) for each in of_kind if given.get("symbol", each.symbol) == each.symbol]}

    def _market_instruments_info(self, given: Row) -> Row:
        rows = []
        for each in self.markets.values():
            if each.base and given["category"] == "spot":
                lot = {"basePrecision": text(each.step), "quotePrecision": "0.00000001", "minOrderAmt": "5"}
                rows.append(
                    {
                        **{"symbol": each.symbol, "status": "Trading", "baseCoin": each.base, "quoteCoin": each.coin},
                        **{"priceFilter": {"tickSize": "0.1"}, "lotSizeFilter": lot},
                    }
                )
            elif each.category == given["category"] and given.get("status", "Trading") == "Trading":
                name, quote = each.category.capitalize(), {"BTC": "USD"}.get(each.coin, each.coin)
                lot = {"qtyStep": text(each.step), "minOrderQty": text(each.step), "maxOrderQty": "1000000"}
                rows.append(
                    {
                        **{"symbol": each.symbol, "contractType": f"{name}Perpetual", "status": "Trading"},
                        **{"baseCoin": "BTC", "quoteCoin": quote, "settleCoin": each.coin},
                        "priceFilter": {"tickSize": "0.1", "minPrice": "0.1", "maxPrice": "1999999.8"},
                        "lotSizeFilter": {**lot, "maxMktOrderQty": "1000000", "minNotionalValue": "5"},
                        "leverageFilter": {"minLeverage": "1", "maxLeverage": "100", "leverageStep": "0.01"},
                    }
                )
        return {"list": rows, "nextPageCursor": ""}

    def _market_time(self, given: Row) -> Row:
        return {"timeSecond": str(int(time.time())), "timeNano": str(time.time_ns())}

    def _user_query_api(self, given: Row) -> Row:
        rights = {"ContractTrade": ["Order", "Position"], "Wallet": [], "Spot": ["SpotTrade"]}
        return {"readOnly": 0, "permissions": rights, "ips": ["127.0.0.1"], "deadlineDay": -1, "expiredAt": ""}

    def _account_info(self, given: Row) -> Row:
        return {"unifiedMarginStatus": 5, "marginMode": "REGULAR_MARGIN"}

    def _account_fee_rate(self, given: Row) -> Row:
        rates = {"takerFeeRate": text(_TAKER), "makerFeeRate": text(_MAKER)}
        return {"list": [{"symbol": given["symbol"], **rates}]}

    def _system_status(self, given: Row) -> Row:
        return {"list": []}


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _rests(order: Mapping[str, Any]) -> bool:
    return bool(order["orderStatus"] == "New" and order["orderType"] == "Limit")


def _listed(row: Row) -> Row:
    """As the list has it, whose documentation does not know `execPnl`, and has `extraFees` as text."""
    shown = {name: value for name, value in row.items() if name not in ("category", "execPnl")}
    return {**shown, "extraFees": json.dumps(row["extraFees"]) if row["extraFees"] else ""}
