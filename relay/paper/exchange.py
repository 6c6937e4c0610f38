"""The running exchange: book, file, clock and account together. An action holds one lock and is durable at its end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from relay.paper import instruments
from relay.paper.account import Account, Limiter
from relay.paper.auth import Credentials, Verifier
from relay.paper.book import Book
from relay.paper.faults import Calls, Faults
from relay.paper.state import State
from relay.paper.store import Store

_Result = TypeVar("_Result")


class Exchange:
    """`pinned`: symbols whose price was set by hand, which the market feed leaves alone."""

    def __init__(self, path: Path | str, credentials: Credentials, table: Path = instruments.TABLE) -> None:
        """`path`: of its SQLite file. `table`: of the instruments that it lists."""
        self.credentials = credentials
        self.verifier = Verifier(credentials)
        self.store = Store(path)
        self.instruments = instruments.load(table)
        state = State(self.instruments)
        self.store.restore(state)
        self.book = Book(state)
        self.account = self._load_account()
        self.verifier.trust(self.account.public_key)
        self.limiter = Limiter()
        self.faults = Faults()
        self.calls = Calls()
        self.clock_offset_ms = 0
        self.pinned: set[str] = set()
        self.market_is_live = False
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
            self.book.publish(changes)

    def read(self, look: Callable[[State], _Result]) -> _Result:
        """Looks at a state that no action is changing."""
        with self._lock:
            return look(self.state)

    def _load_account(self) -> Account:
        kept: dict[str, Any] = self.store.setting("account") or {}
        known = {field.name for field in fields(Account)}
        return Account(**{name: value for name, value in kept.items() if name in known})

    def keep_account(self) -> None:
        self.store.set_setting("account", self.account.dump())

    def reset(self) -> None:
        """Starts over: start balances and prices, no orders, no faults, no shifted clock."""
        with self._lock:
            self.store.wipe()
            self.book.state = State(self.instruments)
            self.account = Account()
            self.verifier.trust("")
            self.limiter = Limiter()
            self.clock_offset_ms = 0
            self.pinned.clear()
            self.faults.clear()
            self.calls.clear()
            self.on_reset()

    def close(self) -> None:
        """For good: an action still on its way waits for the lock until the process ends, and is never answered."""
        self._lock.acquire()
        self.store.close()
