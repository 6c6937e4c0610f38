"""Bybit, as one account of the relay uses it: orders and positions."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from functools import partial
from typing import Any

from relay.bybit import wire_account, wire_orders
from relay.bybit.account_api import (
    EXECUTIONS,
    LINEAR_SETTLE_COINS,
    REALTIME,
    AccountApi,
    Maintenance,
    maintenance_from,
)
from relay.bybit.calls import Ask, BatchedOrder, Batches, Calls, OddRows, listed
from relay.bybit.http import SERVER_TIME, Answer, BybitSession, ExchangeClock, Transport
from relay.bybit.limiter import Address, Limiter, Priority
from relay.bybit.wire_account import (
    NOT_UNDERSTOOD,
    Candle,
    CoinBalance,
    Row,
    closed_pnl_from,
    name_of,
    problem_of,
)
from relay.bybit.wire_orders import OpenOrder, open_order_from
from relay.domain.instrument import PERPETUALS, Category, Instrument, PriceBounds
from relay.domain.order import (
    FACTS_UNREADABLE,
    Accepted,
    NotSent,
    Outcome,
    PlannedOrder,
    Reason,
    RequestSignature,
    Unknown,
)
from relay.domain.position import Fill, OrderReport, Position, StopLevels
from relay.domain.spot import OwnCoins, ReadOwnCoins
from relay.engine import lease_guard
from relay.errors import ExchangeAnswered, ExchangeUnreachable, FactsUnreadable

CREATE = "/v5/order/create"
CLOSED_PNL = "/v5/position/closed-pnl"
CANCEL = "/v5/order/cancel"
AMEND = "/v5/order/amend"
HISTORY = "/v5/order/history"
POSITIONS = "/v5/position/list"
SYMBOL_INFO = "/v5/position/symbol-info"
LEVERAGE = "/v5/position/set-leverage"
STOPS = "/v5/position/trading-stop"
KLINE = "/v5/market/kline"
PRICE_LIMIT = "/v5/market/price-limit"
USER_SETTINGS = "/v5/account/user-setting-config"
SYSTEM_STATUS = "/v5/system/status"
TICKERS = "/v5/market/tickers"
INSTRUMENTS = "/v5/market/instruments-info"
WALLET = "/v5/account/wallet-balance"

_TRADING = "Trading"
_COMING_AND_GOING = ("PreLaunch", "Delivering", "Settling")
_CLOSED = "Closed"
_ADL_NEAR = 4
_ADL = (
    "{symbol} is among the first positions that the exchange would reduce by auto-deleveraging (rank 4 or 5 of 5), at "
    "the market and whatever your stop says; a smaller position or less leverage lowers the rank"
)

SPAN_MAX_MS = 7 * 86_400_000
"""Of one question about the past. Source: docs/v5/order/execution.mdx, `startTime`."""
EVERYTHING: tuple[tuple[Category, dict[str, str]], ...] = (
    *((Category.LINEAR, {"settleCoin": coin}) for coin in LINEAR_SETTLE_COINS),
    (Category.INVERSE, {}),
)
ALL_ORDERS = (*EVERYTHING, (Category.SPOT, {}))
"""The questions that tell all orders; those of EVERYTHING tell all positions."""


def _is_of(row: Row, client_order_id: str) -> bool:
    return isinstance(row, Mapping) and row.get("orderLinkId") == client_order_id


def _of_market(what: str, category: Category) -> str:
    """Of which a row is, in words: a pair of coins may have the name of a perpetual."""
    return what if category.has_positions else f"{category.market} {what}"


def balance_in(wallet: wire_account.Wallet, coin: str) -> CoinBalance:
    """Of zeros where the exchange lists none. Raises FactsUnreadable where the coin's row cannot be read."""
    if coin in wallet.unreadable:
        raise FactsUnreadable(f"the exchange's balance of {coin} cannot be read: {wallet.unreadable[coin]}")
    return wallet.balance(coin)


class Exchange:
    """One account at one exchange host. Thread-safe.

    What changes something comes to an `Outcome` and is sent at most once; what only asks raises `ExchangeUnreachable`
    (no answer: asking again is safe) or `ExchangeAnswered` (a refusal).
    """

    def __init__(
        self,
        *,
        url: str,
        api_key: str,
        api_secret: str,
        recv_window_ms: int = 5000,
        referer: str | None = None,
        connect_timeout_s: float = 1.5,
        read_timeout_s: float = 3.0,
        clock: ExchangeClock | None = None,
        address: Address | None = None,
    ) -> None:
        """`url`: any host that speaks V5, `http` or `https`. `address`: shared by the accounts of one process.

        Raises SettingsInvalid when the secret is a PEM that cannot sign.
        """
        self._recv_window_ms = recv_window_ms
        self._clock = clock or ExchangeClock()
        self.now_ms = self._clock.now_ms
        """The exchange's clock, Unix milliseconds."""
        self._transport = Transport(url, connect_s=connect_timeout_s, read_s=read_timeout_s)
        self._session = BybitSession(
            transport=self._transport,
            endpoint=url,
            api_key=api_key,
            api_secret=api_secret,
            recv_window_ms=recv_window_ms,
            referer=referer,
            clock=self._clock,
        )
        self._address = address or Address()
        self._calls = Calls(
            clock=self._clock, limiter=Limiter(self._clock), address=self._address, measure=self.measure_clock
        )
        self._batches = Batches(self._session, self._calls, self._clock)
        self.account_api = AccountApi(self._session, self._calls)
        self.odd_rows = self._calls.odd_rows
        self._stored_warm = 0
        self.withheld: Reason | None = None
        """Why nothing may be opened with this account's key."""
        self.own_coins: ReadOwnCoins = lambda lacking_at, asks=True: {}

    def __repr__(self) -> str:
        return f"Exchange({self._session.endpoint})"

    def signature(self) -> RequestSignature:
        """What the next request is to be signed with: taken, and written down, before it is sent. Raises LeaseLost."""
        return RequestSignature(
            timestamp_ms=self._clock.now_ms(), recv_window_ms=lease_guard.remaining_validity_ms(self._recv_window_ms)
        )

    @property
    def clock_offset_ms(self) -> int:
        """By how many milliseconds the exchange's clock was ahead of the local one when it was last measured."""
        return self._clock.offset_ms

    @property
    def is_clock_measured(self) -> bool:
        """Whether `now_ms` is the exchange's clock, not this machine's."""
        return self._clock.is_measured

    def measure_clock(self) -> int:
        """Measure the exchange's clock anew; by how many milliseconds it is ahead of the local one."""
        return self._clock.measure(self._server_time_ms)

    def _server_time_ms(self) -> int:
        result = self._calls.ask(self._session.get_server_time, SERVER_TIME).result
        return int(result["timeNano"]) // 1_000_000

    def place(
        self, order: PlannedOrder, *, client_order_id: str, signature: RequestSignature, is_exit: bool
    ) -> Outcome:
        """Send the order, once, signed with `signature`. Accepted is an acknowledgement, not a fill.

        Waits for the rate limit for at most half of the signature's window, and sends nothing once that window has
        passed. One that waits may leave in a batch.
        """
        params = wire_orders.create_params(order, client_order_id)
        batched = self._batches.passenger(params, client_order_id, signature)
        return self._change(self._session.place_order, CREATE, params, signature, is_exit=is_exit, batched=batched)

    def cancel(
        self,
        *,
        category: Category,
        symbol: str,
        client_order_id: str,
        is_exit: bool = False,
        order: PlannedOrder | None = None,
    ) -> Outcome:
        """Cancel one order. A `Rejected` of `GONE` means that it has ended or never was.

        `order`: what it is, which of spot says where it is found; None: a plain one.
        """
        params = wire_orders.cancel_params(category, symbol, client_order_id, order)
        return self._change(self._session.cancel_order, CANCEL, params, self.signature(), is_exit=is_exit)

    def set_leverage(self, *, category: Category, symbol: str, leverage: Decimal) -> Outcome:
        """Set the symbol's leverage, both sides alike. A `Rejected` of `UNCHANGED` means that it was so before."""
        params = wire_orders.leverage_params(category, symbol, leverage)
        return self._change(self._session.set_leverage, LEVERAGE, params, self.signature(), is_exit=False)

    def set_stops(self, *, category: Category, symbol: str, levels: StopLevels) -> Outcome:
        """Set levels of the open position as a whole. A `Rejected` of `UNCHANGED` means that they were so before."""
        params = wire_orders.stops_params(category, symbol, levels)
        # It goes in front of entries: a position waits for its protection.
        return self._change(self._session.set_trading_stop, STOPS, params, self.signature(), is_exit=True)

    def amend(self, order: PlannedOrder, *, client_order_id: str, qty: Decimal, price: Decimal) -> Outcome:
        """Change a resting limit order. `qty`: with what is filled of it. Source: docs/v5/order/amend-order.mdx."""
        params = wire_orders.amend_params(order, client_order_id, qty, price)
        return self._change(self._session.amend_order, AMEND, params, self.signature(), is_exit=True)

    def _change(
        self,
        ask: Ask,
        endpoint: str,
        params: dict[str, object],
        signature: RequestSignature,
        *,
        is_exit: bool,
        batched: BatchedOrder | None = None,
    ) -> Outcome:
        left_ms = signature.timestamp_ms + signature.recv_window_ms - self._clock.now_ms()
        if left_ms <= 0:
            return NotSent(why="the request waited until its signature had run out", retry_at_ms=self._clock.now_ms())
        wait_s = max(0.0, left_ms - signature.recv_window_ms / 2) / 1000
        priority = Priority.EXIT if is_exit else Priority.ENTRY
        permit = self._calls.permit(endpoint, params, priority, wait_s, batched)
        if isinstance(permit, NotSent):
            return permit
        if batched is not None and (came_to_in_batch := self._batches.outcome(permit, batched)) is not None:
            return came_to_in_batch
        with self._session.stamped(signature):
            came_to = self._calls.send(ask, endpoint, params, permit)
        if not isinstance(came_to, Answer):
            return came_to
        if endpoint in (LEVERAGE, STOPS):
            return Accepted(venue_order_id="")
        order_id = came_to.result.get("orderId")
        if not isinstance(order_id, str) or not order_id:
            return Unknown(why="the exchange acknowledged without an order id")
        return Accepted(venue_order_id=order_id)

    def look_up(self, *, category: Category, symbol: str, client_order_id: str) -> OrderReport | None:
        """What became of the order: the open and lately closed ones first, then the history; None if it was not found.

        Raises FactsUnreadable where it was found and cannot be read.
        The history lags behind and keeps what was cancelled without a fill for 24 hours only.
        """
        places: tuple[tuple[Ask, str], ...] = (
            (self._session.get_open_orders, REALTIME),
            (self._session.get_order_history, HISTORY),
        )
        which = {"category": category.value, "symbol": symbol, "orderLinkId": client_order_id}
        for ask, endpoint in places:
            rows = listed(self._calls.ask(ask, endpoint, **which).result)
            own = (row for row in rows if _is_of(row, client_order_id))
            read = partial(wire_orders.report_from, category=category)
            if found := self._calls.odd_rows.all_of("order", own, read):
                return found[0]
        return None

    def fills(self, *, category: Category, symbol: str, client_order_id: str) -> tuple[Fill, ...]:
        """The order's fills, oldest first."""
        rows = self._calls.pages(
            self._session.get_executions,
            EXECUTIONS,
            category=category.value,
            symbol=symbol,
            orderLinkId=client_order_id,
            limit=100,
        )
        own = (row for row in rows if _is_of(row, client_order_id))
        fills, _ = self._calls.odd_rows.read("execution", own, partial(wire_orders.fill_from, category=category))
        return tuple(sorted((fill for fill in fills if fill), key=lambda fill: (fill.at_ms, fill.exec_id)))

    def closed_pnl(self, *, since_ms: int) -> tuple[wire_account.ClosedPnl, ...]:
        """What was realised since then, which is at most 7 days ago, in all perpetuals; newest first."""
        found: list[wire_account.ClosedPnl] = []
        for category in PERPETUALS:
            rows = self._calls.pages(
                self._session.get_closed_pnl, CLOSED_PNL, category=category.value, startTime=since_ms, limit=100
            )
            found += self._calls.odd_rows.all_of("closed profit", rows, partial(closed_pnl_from, category=category))
        return tuple(found)

    def stopped_at_ms(self, *, category: Category, symbol: str, since_ms: int) -> int | None:
        """When a stop loss of the symbol last filled; None if none has since `since_ms`."""
        until_ms = self._clock.now_ms()
        which: dict[str, object] = {"category": category.value, "symbol": symbol, "limit": 100}
        while until_ms > since_ms:
            begin_ms = max(since_ms, until_ms - SPAN_MAX_MS)
            rows = self._calls.pages(
                self._session.get_executions, EXECUTIONS, **which, startTime=begin_ms, endTime=until_ms
            )
            read, _ = self._calls.odd_rows.read("execution", rows, wire_account.stopped_at_ms_from)
            if found := [at_ms for at_ms in read if at_ms is not None]:
                return max(found)
            until_ms = begin_ms
        return None

    def position(self, *, category: Category, symbol: str) -> Position:
        """The symbol's position; of size zero where none is open. Raises FactsUnreadable as well."""
        if not category.has_positions:
            return self._held(symbol)
        return self._understood(self._position_rows(category, symbol), category, symbol)

    def holding(self, symbol: str, lacking_at: Collection[str] = ()) -> OwnCoins:
        """Of one pair. Raises ExchangeUnreachable while not every fill of the relay's own orders is listed.

        `lacking_at`: where the account has less, so that what rests to sell is looked up, too.
        """
        found = self.own_coins(lacking_at).get(symbol) or OwnCoins(symbol=symbol)
        if found.uncounted:
            raise ExchangeUnreachable(f"its list of executions of {symbol} lags behind its orders")
        return found

    def _held(self, symbol: str) -> Position:
        """What of a pair's coins is the relay's own, as a position. Raises as `own_coins` does, too."""
        holding, at_ms = self.holding(symbol), self._clock.now_ms()
        balance = balance_in(self._balances(), wire_account.coins_of(Category.SPOT, symbol)[0])
        if holding.lacks(balance.owned, at_ms=at_ms):
            holding = self.holding(symbol, (symbol,))
        price = self._prices(Category.SPOT, symbol=symbol)[0].get(symbol)
        return holding.position(balance.owned, balance.free, price, at_ms=at_ms)

    def _coins(self) -> list[Position]:
        """All holdings, in two questions however many there are."""
        own, at_ms = self.own_coins(()), self._clock.now_ms()
        if not own:
            return []
        wallet, prices = self._balances(), self.prices(Category.SPOT)

        def balance_of(symbol: str) -> CoinBalance:
            return balance_in(wallet, wire_account.coins_of(Category.SPOT, symbol)[0])

        if lacking := [symbol for symbol, each in own.items() if each.lacks(balance_of(symbol).owned, at_ms=at_ms)]:
            own = self.own_coins(lacking)
        found = []
        for symbol, holding in own.items():
            balance = balance_of(symbol)
            found.append(holding.position(balance.owned, balance.free, prices.get(symbol), at_ms=at_ms))
        return found

    def _understood(self, rows: Sequence[Row], category: Category, symbol: str) -> Position:
        """Raises FactsUnreadable."""
        try:
            found = wire_account.position_from(rows, category=category, symbol=symbol)
        except NOT_UNDERSTOOD as error:
            raise FactsUnreadable(self.odd_rows.report("position", {"symbol": symbol}, problem_of(error))) from None
        self.odd_rows.is_readable("position", symbol)
        self.note_position(found)
        return found

    def note_position(self, position: Position) -> None:
        """Tell, once, why nothing may be opened there, and that the exchange may soon reduce it by itself.

        Source: docs/v5/position/position.mdx, `adlRankIndicator`. At rank 3 nothing is told anew, in case it wavers.
        """
        symbol, why, rank = position.symbol, position.no_entry, position.adl_rank or 0
        self.odd_rows.note("entry", symbol, None if why is None else f"nothing is opened there: {why.message}")
        if rank != _ADL_NEAR - 1:
            self.odd_rows.note("adl", symbol, _ADL.format(symbol=symbol) if rank >= _ADL_NEAR else None)

    def entry_bar(self, category: Category, symbol: str) -> Reason | None:
        """Why nothing may be opened there, by what is known without asking."""
        if self.withheld is not None:
            return self.withheld
        problem = self.odd_rows.problem("position", symbol)
        if problem is None:
            return None
        message = f"the exchange's position of {symbol} cannot be read: {problem}"
        return Reason(code=FACTS_UNREADABLE, message=message)

    def _position_rows(self, category: Category, symbol: str) -> tuple[Row, ...]:
        requested = self._calls.ask(self._session.get_positions, POSITIONS, category=category.value, symbol=symbol)
        return tuple(listed(requested.result))

    def settings_of(self, category: Category, symbol: str) -> Position:
        """Mode and leverage of a symbol, by a position of no size. Raises as `position` does.

        Source: docs/v5/position/batch-lvg.mdx; in portfolio margin, and where it is not served, the position says it.
        """
        which = {"category": category.value, "symbol": symbol}
        try:
            rows = listed(self._calls.ask(self._session.get_symbol_info, SYMBOL_INFO, **which).result)
            if own := [{**row, "size": "0"} for row in rows if row.get("symbol") == symbol]:
                return wire_account.position_from(own, category=category, symbol=symbol)
        except (ExchangeAnswered, *NOT_UNDERSTOOD):
            pass
        return self.position(category=category, symbol=symbol)

    def positions(self) -> tuple[Position, ...]:
        """All open positions: linear in USDT and in USDC, and inverse; and the coins that are the relay's own.

        Raises FactsUnreadable, with those that can be read, where one cannot.
        """
        found, problems = list[Position](), dict[tuple[Category, str], str]()
        for (category, symbol), rows in self._open_position_rows().items():
            try:
                found.append(self._understood(rows, category, symbol))
            except FactsUnreadable as error:
                problems[category, symbol] = error.words
        opened = tuple(position for position in (*found, *self._coins()) if position.size != 0)
        if problems:
            raise FactsUnreadable("; ".join(problems.values()), opened, where=problems)
        return opened

    def _open_position_rows(self) -> dict[tuple[Category, str], list[Row]]:
        rows_of: dict[tuple[Category, str], list[Row]] = {}
        for category, narrowed in EVERYTHING:
            for row in self._calls.pages(
                self._session.get_positions, POSITIONS, category=category.value, limit=200, **narrowed
            ):
                rows_of.setdefault((category, name_of(row)), []).append(row)
        return rows_of

    def open_orders(self, *, category: Category, symbol: str) -> tuple[OpenOrder, ...]:
        """All orders that rest at the symbol, whoever placed them, the position's stops included.

        One that cannot be read is left out, and told.
        """
        rows = self._calls.pages(
            self._session.get_open_orders, REALTIME, category=category.value, symbol=symbol, openOnly=0, limit=50
        )
        return tuple(self.odd_rows.read("order", rows, partial(open_order_from, category=category))[0])

    def price(self, *, category: Category, symbol: str) -> Decimal:
        """The symbol's mark price. Raises ExchangeUnreachable where the exchange names none, FactsUnreadable."""
        found, problems = self._prices(category, symbol=symbol)
        if problems and symbol not in found:
            raise FactsUnreadable(problems[0])
        if symbol not in found:
            raise ExchangeUnreachable(f"the exchange names no mark price for {symbol}")
        return found[symbol]

    def klines(
        self, *, category: Category, symbol: str, interval: str, start_ms: int, end_ms: int
    ) -> tuple[Candle, ...]:
        """The symbol's candles that begin in that time, the oldest first; at most 1000, the latest ones.

        `interval`: a number of minutes, or `D`. Source: docs/v5/market/kline.mdx. Raises as every question does.
        """
        which = {"category": category.value, "symbol": symbol, "interval": interval, "limit": 1000}
        rows = listed(self._calls.ask(self._session.get_kline, KLINE, **which, start=start_ms, end=end_ms).result)
        found, _ = OddRows(quiet=True).read("candle", rows, wire_account.candle_from)
        return tuple(sorted(found, key=lambda candle: candle.at_ms))

    def price_bounds(self, category: Category, symbol: str) -> PriceBounds | None:
        """What limit prices the exchange takes now, and what it does with others; None where it does not say."""
        ask = self._calls.ask
        with suppress(ExchangeUnreachable, ExchangeAnswered, *NOT_UNDERSTOOD):
            row = ask(self._session.get_price_limit, PRICE_LIMIT, category=category.value, symbol=symbol).result
            bounds = PriceBounds(
                buy_max=wire_account.required(row, "buyLmt"), sell_min=wire_account.required(row, "sellLmt"), moves=None
            )
            with suppress(ExchangeUnreachable, ExchangeAnswered):
                said = ask(self._session.get_user_setting_config, USER_SETTINGS).result
                return replace(bounds, moves=wire_account.moves_prices(said, category))
            return bounds
        return None

    def announced(self) -> tuple[Maintenance, ...]:
        """Maintenance of futures trading, to come and under way. Raises as every question does."""
        rows = listed(self._calls.ask(self._session.get_system_status, SYSTEM_STATUS).result)
        found, _ = self.odd_rows.read("announcement", rows, maintenance_from)
        return tuple(each for each in found if each is not None)

    def prices(self, category: Category) -> dict[str, Decimal]:
        """Mark prices of all symbols of the category that have one."""
        return self._prices(category)[0]

    def _prices(self, category: Category, **which: object) -> tuple[dict[str, Decimal], list[str]]:
        rows = listed(self._calls.ask(self._session.get_tickers, TICKERS, category=category.value, **which).result)
        marks, problems = self.odd_rows.read(
            _of_market("price", category),
            rows,
            lambda row: (str(row["symbol"]), wire_account.mark_price_from(row, category)),
        )
        return {symbol: mark for symbol, mark in marks if mark is not None}, problems

    def equity(self, coin: str, category: Category = Category.LINEAR) -> Decimal:
        """The coin's equity in the unified wallet, open PnL included, in that coin; zero where it was never held.

        For coins it is what is free of it. Raises FactsUnreadable as well.
        """
        return balance_in(self._wallet(coin=coin), coin).funds(category)

    def wallet(self) -> wire_account.Wallet:
        """The unified wallet with all its coins. On unified accounts 1.0 inverse contracts have another one."""
        return self._wallet()

    def _balances(self) -> wire_account.Wallet:
        """The same, for what is held."""
        return self.wallet()

    def _wallet(self, **which: Any) -> wire_account.Wallet:
        reported = self._calls.ask(self._session.get_wallet_balance, WALLET, accountType="UNIFIED", **which)
        rows = self.odd_rows.all_of("wallet", listed(reported.result)[:1], wire_account.wallet_from)
        wallet = rows[0] if rows else wire_account.wallet_from({"coin": ()})
        for each in wallet.coins:
            self.odd_rows.is_readable("balance", each.coin)
        for coin, problem in wallet.unreadable.items():
            self.odd_rows.report("balance", {"coin": coin}, problem)
        return wallet

    def instruments(self) -> tuple[Instrument, ...]:
        """All perpetuals that the exchange lists and has not closed: those to come, and those being delivered, too."""
        return self._listed((*_COMING_AND_GOING, _TRADING))

    def pairs(self) -> list[Instrument]:
        """All spot pairs that trade; others are not listed. Source: docs/v5/market/instrument.mdx.

        None where the host has no spot markets, or does not tell them: what is known of perpetuals is not lost.
        """
        with suppress(ExchangeAnswered):
            return self._of_status(Category.SPOT, _TRADING)
        return []

    def closed_instruments(self) -> tuple[Instrument, ...]:
        """All perpetuals that are over."""
        return self._listed((_CLOSED,))

    def _listed(self, statuses: tuple[str, ...]) -> tuple[Instrument, ...]:
        return tuple(
            instrument
            for category in PERPETUALS
            for status in statuses
            for instrument in self._of_status(category, status, limit=1000)
        )

    def instrument(self, *, category: Category, symbol: str) -> Instrument | None:
        """One of them, as it is now, whatever its status; None: there is no such perpetual or pair."""
        if not category.has_positions:
            return next(iter(self._of_status(category, _TRADING, symbol=symbol)), None)
        for status in (_TRADING, *_COMING_AND_GOING, _CLOSED):
            if found := self._of_status(category, status, symbol=symbol):
                return found[0]
        return None

    def _of_status(self, category: Category, status: str, **which: object) -> list[Instrument]:
        """Without a status the exchange lists what is trading only. Source: docs/v5/market/instrument.mdx, `status`."""
        named = {"status": status, **which} if category.has_positions else which
        pages = self._calls.pages(self._session.get_instruments_info, INSTRUMENTS, category=category.value, **named)
        read = partial(wire_account.instrument_from, category=category)
        # Of what is over, or not there yet, nobody needs to be told.
        odd_rows = self.odd_rows if status == _TRADING else OddRows(quiet=True)
        try:
            found, _ = odd_rows.read(_of_market("instrument", category), pages, read)
        except ExchangeAnswered:
            if status == _TRADING:
                raise
            return []  # an environment that does not know the status has none in it
        instruments = [each for each in found if each is not None]
        for each in instruments:
            odd_rows.note(_of_market("rules", category), each.symbol, each.unreadable)
        return instruments

    @property
    def is_crowded(self) -> bool:
        """Whether from this address so much was asked of it lately that what can wait should."""
        return self._address.is_crowded

    def warm(self, connections: int) -> int:
        """Open that many connections at once, so that the first orders find them; how many the exchange answered on."""
        self._stored_warm = connections
        return self.keep_warm()

    def keep_warm(self) -> int:
        """Use each connection that `warm` opened, so that none dies unseen; to be called every 20 s."""
        if self._address.banned_for_s > 0:
            return 0
        if self._stored_warm:
            # Whoever only keeps one for questions, since another process owns the account, sends no order.
            self._batches.learn()
        return self._transport.exercise(self._session.server_time_request(), max(1, self._stored_warm))

    def close(self) -> None:
        """Close all connections. The exchange is not used afterwards."""
        self._transport.close()
