"""The running exchange: book, file, clock and account together, and a feed of real prices where one can be reached."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass, field, fields, replace
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_UP, Decimal, InvalidOperation
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

import requests

from relay.paper import matching, spot, stops
from relay.paper.account import Account, Credentials, Limiter, Verifier
from relay.paper.matching import bounded, price_bound, submit
from relay.paper.orders import SPOT, Ask, Exits, Order, OrderType, Refusal, Side, Status, StopKind, TimeInForce
from relay.paper.state import TABLE, Changes, Instrument, Quote, State, Wallet, key_of, load
from relay.paper.store import Store

# The exchange's trading engine: every action on the account, as a pure change of state.
#
# No clock, no I/O: `now_ms` and prices are passed in; what changed is taken from `state.take_changes()` and written
# down by the caller. `listeners` are called with each set of changes after it is durable: the streams hang on here.


GONE = Refusal(code=110001, message="order not exists or too late to cancel")
GONE_AMEND = Refusal(code=110001, message="order not exists or too late to replace")
UNCHANGED = Refusal(
    code=10001, message="The order remains unchanged as the parameters entered match the existing ones."
)


class Book:
    """All actions. Each returns what it made, or a Refusal and then has changed nothing."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.listeners: list[Callable[[Changes], None]] = []

    def publish(self, changes: Changes) -> None:
        for listener in self.listeners:
            listener(changes)

    def check(self, ask: Ask) -> Refusal | None:
        """Whether `place` would refuse, without placing."""
        instrument = matching.find_instrument(self.state, ask.category, ask.symbol)
        if isinstance(instrument, Refusal):
            return instrument
        return matching.refuse(self.state, instrument, ask)

    def place(self, ask: Ask, now_ms: int) -> Order | Refusal:
        """A new order. It may be filled, resting, waiting for its trigger or already cancelled when this returns."""
        instrument = matching.find_instrument(self.state, ask.category, ask.symbol)
        if isinstance(instrument, Refusal):
            return instrument
        placed = (spot.place if instrument.is_spot else self._place)(self.state, instrument, ask, now_ms)
        self._settle(instrument.key, now_ms)
        return placed

    def _settle(self, symbol: str, now_ms: int) -> None:
        matching.settle(self.state, symbol, now_ms, self._act(symbol))

    def _act(self, symbol: str) -> matching.Act:
        return spot.act if self.state.instruments[symbol].is_spot else matching.act

    def _place(self, state: State, instrument: Instrument, ask: Ask, now_ms: int) -> Order | Refusal:
        refusal = matching.refuse(state, instrument, ask)
        if refusal:
            return refusal
        order = self._make(ask, instrument, now_ms)
        if order.link_id:
            state.links[order.link_id] = order.id
        if ask.trigger_price is None:
            submit(state, order, now_ms)
        else:
            state.note_order(order, now_ms)
        return order

    def _make(self, ask: Ask, instrument: Instrument, now_ms: int) -> Order:
        state = self.state
        quote = state.quotes[ask.symbol]
        conditional = ask.trigger_price is not None
        market = ask.order_type is OrderType.MARKET
        qty = ask.qty
        if not qty:
            most = instrument.max_market_qty if market else instrument.max_limit_qty
            qty = min(abs(state.position(ask.symbol, ask.position_idx).size), most)
        return Order(
            id=state.new_id(),
            link_id=ask.link_id,
            category=instrument.category,
            symbol=ask.symbol,
            side=ask.side,
            order_type=ask.order_type,
            qty=qty,
            price=self._price(ask, instrument),
            time_in_force=TimeInForce.IOC if market else ask.time_in_force,
            position_idx=ask.position_idx,
            reduce_only=ask.reduce_only or self._only_reduces(ask),
            close_on_trigger=ask.close_on_trigger,
            status=Status.UNTRIGGERED if conditional else Status.NEW,
            create_type="CreateByStopOrder" if conditional else "CreateByUser",
            stop_kind=StopKind.STOP if conditional else StopKind.NONE,
            trigger_price=ask.trigger_price,
            trigger_direction=ask.trigger_direction if conditional else 0,
            trigger_by=ask.trigger_by,
            exits=ask.exits,
            last_price_on_created=quote.last,
            created_ms=now_ms,
            updated_ms=now_ms,
            seq=state.next_seq(),
        )

    def _price(self, ask: Ask, instrument: Instrument) -> Decimal | None:
        """As it is taken now; of a conditional order it is looked at again once that triggers."""
        if ask.trigger_price is not None:
            return ask.price
        if ask.order_type is OrderType.MARKET:
            return price_bound(self.state, instrument, ask.side)
        return None if ask.price is None else bounded(self.state, instrument, ask.side, ask.price)

    def _only_reduces(self, ask: Ask) -> bool:
        opening = {1: Side.BUY, 2: Side.SELL}.get(ask.position_idx)
        return opening is not None and ask.side is not opening

    def open_order(self, category: str, symbol: str, order_id: str, link_id: str) -> Order | None:
        """An order that is still open."""
        wanted = order_id or self.state.links.get(link_id, "")
        return self.state.open_orders.get(key_of(category, symbol), {}).get(wanted)

    def cancel(self, chosen: Callable[[Order], bool], now_ms: int) -> list[Order]:
        """Every open order that `chosen` picks, positions' stops included."""
        gone = [order for orders in self.state.open_orders.values() for order in orders.values() if chosen(order)]
        for order in gone:
            if not order.is_open:
                continue
            if order.category == SPOT:
                spot.cancel(self.state, order, now_ms)
            else:
                stops.cancel(self.state, order, now_ms, cancel_type="CancelByUser")
        return gone

    def amend(
        self,
        order: Order,
        *,
        qty: Decimal | None,
        price: Decimal | None,
        trigger: Decimal | None,
        exits: Exits,
        now_ms: int,
    ) -> Refusal | None:
        """New terms for an open order; None stands for "as it is". It may fill at once."""
        state = self.state
        instrument = state.instruments[order.symbol]
        new_qty = order.qty if qty is None else qty
        new_price = order.price if price is None or order.order_type is OrderType.MARKET else price
        new_trigger = order.trigger_price if trigger is None else trigger
        new_exits = _merged(order.exits, exits)
        if (new_qty, new_price, new_trigger, new_exits) == (order.qty, order.price, order.trigger_price, order.exits):
            return UNCHANGED
        if instrument.is_spot:
            refusal = spot.amend(
                state, order, qty=new_qty, price=new_price, trigger=new_trigger, exits=new_exits, now_ms=now_ms
            )
            self._settle(order.symbol, now_ms)
            return refusal
        refusal = self._refuse_amend(order, instrument, new_qty, new_price, new_trigger, new_exits)
        if refusal:
            return refusal
        if order.is_active and new_price is not None and order.order_type is not OrderType.MARKET:
            new_price = bounded(state, instrument, order.side, new_price)
        order.qty, order.price, order.trigger_price, order.exits = new_qty, new_price, new_trigger, new_exits
        if order.is_active:
            submit(state, order, now_ms)
        else:
            state.note_order(order, now_ms)
        self._settle(order.symbol, now_ms)
        return None

    def _refuse_amend(
        self,
        order: Order,
        instrument: Instrument,
        qty: Decimal,
        price: Decimal | None,
        trigger: Decimal | None,
        exits: Exits,
    ) -> Refusal | None:
        quote = self.state.quotes[order.symbol]
        market = order.order_type is OrderType.MARKET
        if qty <= order.cum_qty:
            return Refusal(
                code=110064,
                message="The modified contract quantity cannot be less than or equal to the filled quantity.",
            )
        refusal = matching.check_qty(instrument, qty, market=market, closes=order.closes)
        if not refusal and price is not None and not market:
            refusal = matching.check_price(instrument, price)
            if not refusal and order.is_active:
                refusal = matching.refuse_price(self.state, instrument, order.side, price)
        if not refusal and trigger is not None and trigger != order.trigger_price:
            current = quote.by(order.trigger_by)
            refusal = matching.check_trigger(instrument, trigger, order.trigger_direction, current)
        if not refusal and exits != order.exits:
            refusal = stops.check_levels(instrument, order.side, exits, price or trigger or quote.last)
        if not refusal and order.is_active and price is not None:
            refusal = matching.amend_balance(self.state, instrument, order, qty=qty, price=price)
        return refusal

    def move(self, symbol: str, quote: Quote, now_ms: int) -> None:
        """A new price; see triggers."""
        matching.move(self.state, symbol, quote, now_ms, self._act(symbol))

    def set_stops(self, instrument: Instrument, idx: int, exits: Exits, now_ms: int) -> Refusal | None:
        """A position's take profit, stop loss and trailing stop; see stops."""
        if idx not in self.state.indices(instrument.symbol):
            return Refusal(code=10001, message="position idx not match position mode")
        refusal = stops.set_stops(self.state, instrument, idx, exits, now_ms)
        self._settle(instrument.symbol, now_ms)
        return refusal

    def set_leverage(self, instrument: Instrument, buy: Decimal, sell: Decimal, now_ms: int) -> Refusal | None:
        """leverage.mdx; cross margin wants both alike. 110043 when nothing changes."""
        if buy != sell:
            return Refusal(code=10001, message="buy leverage must be equal to sell leverage")
        if not 1 <= buy <= instrument.max_leverage:
            return Refusal(code=110013, message="cannot set leverage gt maxLeverage by risk limit")
        held = [self.state.position(instrument.symbol, idx) for idx in self.state.indices(instrument.symbol)]
        if all(position.leverage == buy for position in held):
            return Refusal(code=110043, message="leverage not modified")
        for position in held:
            position.leverage = buy
            self.state.note_position(position, now_ms)
        return None

    def has_position(self, symbol: str) -> bool:
        return any(self.state.position(symbol, idx).size for idx in self.state.indices(symbol))

    def switch_mode(self, instrument: Instrument, *, hedge: bool) -> Refusal | None:
        """position-mode.mdx: 110029, 110024, 110028, 110025, tried in this order."""
        symbol = instrument.symbol
        if hedge and not instrument.can_hedge:
            return Refusal(code=110029, message="Hedge mode is not supported for this symbol.")
        if hedge == (symbol in self.state.hedged):
            return Refusal(code=110025, message="Position mode is not modified")
        if self.has_position(symbol):
            return Refusal(code=110024, message="Position exists, so you cannot change position mode.")
        if self.state.open_orders[symbol]:
            words = "You have existing open orders, so the position mode cannot be switched."
            return Refusal(code=110028, message=words)
        self.force_mode(symbol, hedge=hedge)
        return None

    def force_mode(self, symbol: str, *, hedge: bool) -> None:
        """Sets the mode without asking; the leverage goes along."""
        leverage = self.state.position(symbol, self.state.indices(symbol)[0]).leverage
        (self.state.hedged.add if hedge else self.state.hedged.discard)(symbol)
        self.state.changes.modes[symbol] = hedge
        for idx in self.state.indices(symbol):
            position = self.state.position(symbol, idx)
            position.leverage = leverage
            self.state.note_position(position, position.updated_ms)


def _merged(old: Exits, new: Exits) -> Exits:
    """amend-order.mdx: what is not passed stays, zero takes it away."""
    return replace(
        old,
        take_profit=old.take_profit if new.take_profit is None else new.take_profit or None,
        stop_loss=old.stop_loss if new.stop_loss is None else new.stop_loss or None,
        tp_limit_price=new.tp_limit_price or old.tp_limit_price,
        sl_limit_price=new.sl_limit_price or old.sl_limit_price,
        tp_trigger_by=old.tp_trigger_by if new.take_profit is None else new.tp_trigger_by,
        sl_trigger_by=old.sl_trigger_by if new.stop_loss is None else new.sl_trigger_by,
        partial=new.partial or old.partial,
    )


# Misbehaviour on order: what the exchange is told to do wrong to the next calls, and a log of all calls.
#
# A fault is consumed by the first call that it matches; faults are tried in the order in which they were added.


MAX_CALLS = 20_000
MAX_FAULTS = 1_000
MAX_SHOWN = 64


class FaultKind(StrEnum):
    """`drop_reply`: the effect happens, the connection is cut without an answer; `drop_request`: cut before any effect.

    `delay_before` / `delay_after`: the effect comes after / before the delay, whether or not the client still waits.
    `http`: a status without JSON; `html`: HTTP 200 with a page; `code`: a refusal. These three happen instead of the
    effect, or after it with `after_effect`. `rows`: in the answer, objects that have all of `where` get the fields of
    `set`, whose names may be dotted; null takes a field away.
    """

    DROP_REPLY = "drop_reply"
    DROP_REQUEST = "drop_request"
    DELAY_BEFORE = "delay_before"
    DELAY_AFTER = "delay_after"
    HTTP = "http"
    HTML = "html"
    CODE = "code"
    ROWS = "rows"


AFTER = frozenset({FaultKind.DROP_REPLY, FaultKind.DELAY_AFTER, FaultKind.ROWS})


class FaultInvalid(Exception):
    """The fault cannot be read."""


@dataclass(slots=True, kw_only=True)
class Fault:
    """`times` None: for ever. `match`: fields of the request that must have these values."""

    path: str
    kind: FaultKind
    times: int | None = 1
    probability: float = 1.0
    match: Mapping[str, Any] = field(default_factory=dict)
    ms: int = 0
    status: int = 502
    body: str = ""
    ret_code: int = 10016
    ret_msg: str = "Server error."
    headers: Mapping[str, str] = field(default_factory=dict)
    after_effect: bool = False
    where: Mapping[str, Any] = field(default_factory=dict)
    changes: Mapping[str, Any] = field(default_factory=dict)
    dice: random.Random = field(default_factory=random.Random)

    @property
    def is_after(self) -> bool:
        return self.kind in AFTER or self.after_effect

    def meets(self, path: str, params: Mapping[str, Any]) -> bool:
        if self.path not in (path, "*"):
            return False
        return all(str(params.get(name)) == str(value) for name, value in self.match.items())


def read_fault(body: Mapping[str, Any]) -> Fault:
    """A fault from its JSON form. Raises FaultInvalid."""
    try:
        kind = FaultKind(str(body["kind"]))
        times = body.get("times", 1)
        fault = Fault(
            path=str(body["path"]),
            kind=kind,
            times=None if times is None else int(times),
            probability=float(body.get("probability", 1)),
            match=dict(body.get("match") or {}),
            ms=int(body.get("ms", 0)),
            status=int(body.get("status", 502)),
            body=str(body.get("body", "")),
            ret_code=int(body.get("retCode", 10016)),
            ret_msg=str(body.get("retMsg", "Server error.")),
            headers={str(name): str(value) for name, value in (body.get("headers") or {}).items()},
            after_effect=bool(body.get("after_effect", False)),
            where=dict(body.get("where") or {}),
            changes=dict(body.get("set") or {}),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FaultInvalid(f"{type(error).__name__}: {error}") from error
    if "seed" in body:
        fault.dice.seed(int(body["seed"]))
    return fault


def spoil(found: Any, where: Mapping[str, Any], changes: Mapping[str, Any]) -> None:
    """Changes every object inside `found` that has all of `where`."""
    inner = list(found.values()) if isinstance(found, dict) else found if isinstance(found, list) else []
    for each in inner:
        spoil(each, where, changes)
    if not isinstance(found, dict) or any(found.get(name) != value for name, value in where.items()):
        return
    for name, value in changes.items():
        *outer, last = name.split(".")
        holder = found
        for step in outer:
            holder = holder.get(step, {})
        if value is None:
            holder.pop(last, None)
        elif isinstance(holder, dict):
            holder[last] = value


class Faults:
    """The faults waiting for their call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[Fault] = []

    def add(self, faults: list[Fault]) -> None:
        with self._lock:
            self._waiting = [*self._waiting, *faults][:MAX_FAULTS]

    def clear(self) -> None:
        with self._lock:
            self._waiting = []

    def count(self) -> int:
        return len(self._waiting)

    def take(self, path: str, params: Mapping[str, Any]) -> Fault | None:
        """The first fault that meets the call and whose dice say so; used up when it has happened `times` times."""
        if not self._waiting:
            return None
        with self._lock:
            for fault in self._waiting:
                if not fault.meets(path, params) or fault.dice.random() >= fault.probability:
                    continue
                if fault.times is not None:
                    fault.times -= 1
                    if fault.times <= 0:
                        self._waiting.remove(fault)
                return fault
        return None


def _short(value: object) -> str | None:
    return None if value is None else str(value)[:MAX_SHOWN]


class Calls:
    """The newest calls, each noted at its arrival and completed when answered."""

    def __init__(self) -> None:
        self._calls: deque[dict[str, Any]] = deque(maxlen=MAX_CALLS)

    def arrived(self, at_ns: int, method: str, path: str, params: Mapping[str, Any]) -> dict[str, Any]:
        call = {
            "at_ns": at_ns,
            "method": method,
            "path": path,
            "category": _short(params.get("category")),
            "symbol": _short(params.get("symbol")),
            "orderLinkId": _short(params.get("orderLinkId")),
            "retCode": None,
        }
        if isinstance(entries := params.get("request"), list):
            named = (each.get("orderLinkId") if isinstance(each, Mapping) else None for each in entries)
            call["batch"] = [_short(each) for each in named]
        self._calls.append(call)
        return call

    def all(self) -> list[dict[str, Any]]:
        return list(self._calls)

    def clear(self) -> None:
        self._calls.clear()


_Result = TypeVar("_Result")


class Exchange:
    """`pinned`: symbols whose price was set by hand, which the market feed leaves alone."""

    def __init__(self, path: Path | str, credentials: Credentials, table: Path = TABLE) -> None:
        """`path`: of its SQLite file. `table`: of the instruments that it lists."""
        self.credentials = credentials
        self.verifier = Verifier(credentials)
        self.store = Store(path)
        self.instruments = load(table)
        self._listed = dict(self.instruments)
        state = State(self.instruments)
        self.store.restore(state)
        self.book = Book(state)
        self.account = self._load_account()
        self._told_wallets: deque[tuple[int, dict[str, Wallet]]] = deque()
        """The wallets since when, as far back as they are told late."""
        self.apply_account(state)
        self.verifier.trust(self.account.public_key)
        self.limiter = Limiter()
        self.faults = Faults()
        self.calls = Calls()
        self.clock_offset_ms = 0
        self.pinned: set[str] = set()
        self.market_is_live = False
        self.announced: list[dict[str, Any]] = []
        """Rows of `/v5/system/status`."""
        self.on_reset: Callable[[], object] = lambda: None
        self._lock = threading.RLock()

    @property
    def state(self) -> State:
        return self.book.state

    def now_ns(self) -> int:
        """The exchange's clock, which `/paper/clock` can shift."""
        return time.time_ns() + self.clock_offset_ms * 1_000_000

    def now_ms(self) -> int:
        return self.now_ns() // 1_000_000

    def act(self, action: Callable[[Book, int], _Result]) -> _Result:
        """Runs an action on the book at the exchange's present time; its changes are durable on return."""
        with self._lock:
            try:
                return action(self.book, self.now_ms())
            finally:
                self._keep()

    def _keep(self) -> None:
        changes = self.state.changes
        if changes:
            # What could not be written stays noted and goes with the next action, so that file and memory meet again.
            self.store.write(changes, self.instruments)
            self.state.take_changes()
            if changes.wallets and self.account.wallet_lag_ms:
                self._note_wallets(self.state, self.now_ms())
            self.book.publish(changes)

    def read(self, look: Callable[[State], _Result]) -> _Result:
        """Looks at a state that no action is changing."""
        with self._lock:
            return look(self.state)

    def _load_account(self) -> Account:
        kept: dict[str, Any] = self.store.setting("account") or {}
        known = {field.name for field in fields(Account)}
        return Account(**{name: value for name, value in kept.items() if name in known})

    def apply_account(self, state: State) -> None:
        """The book follows what the account says of prices beyond the bound."""
        state.refuses_prices = self.account.refuses_prices
        state.moves_spot_prices = self.account.moves_spot_prices
        self._told_wallets.clear()
        if self.account.wallet_lag_ms:
            self._note_wallets(state, 0)

    def _note_wallets(self, state: State, at_ms: int) -> None:
        self._told_wallets.append((at_ms, {coin: replace(each) for coin, each in state.wallets.items()}))

    def shown_state(self) -> State:
        """The state with its wallets as they are told now; for a reader that holds the lock."""
        due_ms = self.now_ms() - self.account.wallet_lag_ms
        while len(self._told_wallets) > 1 and self._told_wallets[1][0] <= due_ms:
            self._told_wallets.popleft()
        if not self._told_wallets:
            return self.state
        late = copy(self.state)
        late.wallets = self._told_wallets[0][1]
        return late

    def keep_account(self) -> None:
        self.store.set_setting("account", self.account.dump())

    def reset(self) -> None:
        """Starts over: start balances, prices and rules, no orders, no faults, no shifted clock."""
        with self._lock:
            self.store.wipe()
            self.instruments.update(self._listed)
            self.book.state = State(self.instruments)
            self.account = Account()
            self.apply_account(self.book.state)
            self.verifier.trust("")
            self.limiter = Limiter()
            self.clock_offset_ms = 0
            self.announced = []
            self.pinned.clear()
            self.faults.clear()
            self.calls.clear()
            self.on_reset()

    def close(self) -> None:
        """For good: an action still on its way waits for the lock until the process ends, and is never answered."""
        self._lock.acquire()
        self.store.close()


# Follows a real host's public tickers, where one can be reached. It is quiet, and tries seldom where it cannot.


log = logging.getLogger(__name__)
POLL_S = 1.0
RETRY_S = 60.0
TIMEOUT_S = (3.0, 5.0)


class Feed:
    """Polls `url` from a background thread. Symbols whose price was set by hand are left alone."""

    def __init__(self, exchange: Exchange, url: str) -> None:
        self._exchange = exchange
        self._url = url.rstrip("/")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="paper-feed", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread; a call that is under way is not waited for."""
        self._stop.set()

    def _run(self) -> None:
        with requests.Session() as session:
            while not self._stop.is_set():
                live = self.poll(session)
                self._stop.wait(POLL_S if live else RETRY_S)

    def poll(self, session: requests.Session) -> bool:
        """One round over all categories; false if the host could not be understood."""
        live = all(self._follow(session, category) for category in ("linear", "inverse", SPOT))
        if live != self._exchange.market_is_live:
            log.info("paper prices %s %s", "follow" if live else "no longer follow", self._url)
        self._exchange.market_is_live = live
        return live

    def _follow(self, session: requests.Session, category: str) -> bool:
        try:
            answer = session.get(
                f"{self._url}/v5/market/tickers", params={"category": category}, timeout=TIMEOUT_S
            ).json(parse_float=Decimal)
            rows = answer["result"]["list"]
        except (requests.RequestException, ValueError, KeyError, TypeError):
            return False
        self._exchange.act(lambda book, now_ms: self._apply(book, category, rows, now_ms))
        return True

    def _apply(self, book: Book, category: str, rows: list[Mapping[str, Any]], now_ms: int) -> None:
        for row in rows:
            symbol = key_of(category, str(row.get("symbol")))
            instrument = self._exchange.instruments.get(symbol)
            if instrument is None or instrument.category != category or symbol in self._exchange.pinned:
                continue
            quote = read_ticker(row, instrument)
            if quote is not None and quote != book.state.quotes[symbol]:
                book.move(symbol, quote, now_ms)


def read_ticker(row: Mapping[str, Any], instrument: Instrument) -> Quote | None:
    """A row of `/v5/market/tickers`; None if it lacks a usable price. An empty side of the book is the last price.

    Spot has no mark, and an index in dollars at most: else they are the last price, too.

    What can be traded at is put on our table's grid, should the real one have become finer.
    """
    tick = instrument.tick_size
    try:
        last = _on_grid(Decimal(row["lastPrice"]), tick, ROUND_HALF_EVEN)
        quote = Quote(
            last=last,
            mark=last if instrument.is_spot else Decimal(row["markPrice"]),
            index=Decimal(row.get("usdIndexPrice") or last) if instrument.is_spot else Decimal(row["indexPrice"]),
            bid=_on_grid(Decimal(row.get("bid1Price") or last), tick, ROUND_DOWN) or last,
            ask=_on_grid(Decimal(row.get("ask1Price") or last), tick, ROUND_UP) or last,
            funding_rate=Decimal(row.get("fundingRate") or 0),
        )
    except (KeyError, TypeError, InvalidOperation):
        return None
    prices = (quote.last, quote.mark, quote.index, quote.bid, quote.ask)
    return quote if all(price.is_finite() and price > 0 for price in prices) else None


def _on_grid(price: Decimal, tick: Decimal, rounding: str) -> Decimal:
    return (price / tick).to_integral_value(rounding) * tick
