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

from relay.paper.account import Account, Credentials, Limiter, Verifier
from relay.paper.book import Book
from relay.paper.orders import SPOT
from relay.paper.state import TABLE, Instrument, Quote, State, Wallet, key_of, load
from relay.paper.store import Store

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
