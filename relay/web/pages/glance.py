"""What the exchange says of each account, a few seconds old at most: pages must not ask it once for each reader."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from flask import Flask, current_app

from relay.domain.rounding import plain
from relay.errors import ExchangeAnswered, ExchangeUnreachable
from relay.exchange.client import Exchange
from relay.web.forms import position_form
from relay.web.runtime import current_parts

T = TypeVar("T")
_POSITIONS_S: Final = 2.0
_WALLET_S: Final = 10.0
_EXTENSION: Final = "relay.glance"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen(Generic[T]):
    """`value` None: never read. `problem`: why it could not be read just now."""

    value: T | None = None
    problem: str | None = None
    at_s: float = float("-inf")
    """On the monotonic clock."""


class _Remembered(Generic[T]):
    """One question whose answer is kept for a while; while one thread asks, the others take the last answer."""

    def __init__(self, ask: Callable[[], T], keep_s: float) -> None:
        self._ask = ask
        self._keep_s = keep_s
        self._asking = threading.Lock()
        self._seen: Seen[T] = Seen()

    def get(self, *, fresh: bool = False) -> Seen[T]:
        """`fresh`: read now, whoever else does."""
        if fresh:
            with self._asking:
                self._seen = self._look()
                return self._seen
        if time.monotonic() - self._seen.at_s < self._keep_s:
            return self._seen
        if not self._asking.acquire(blocking=self._seen.value is None and self._seen.problem is None):
            return self._seen
        try:
            if time.monotonic() - self._seen.at_s >= self._keep_s:
                self._seen = self._look()
            return self._seen
        finally:
            self._asking.release()

    def _look(self) -> Seen[T]:
        try:
            value = self._ask()
        except (ExchangeUnreachable, ExchangeAnswered) as error:
            return Seen(value=self._seen.value, problem=str(error), at_s=time.monotonic())
        return Seen(value=value, at_s=time.monotonic())


class Glance:
    """Thread-safe; one for each application."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._positions: dict[str, _Remembered[list[dict[str, Any]]]] = {}
        self._wallets: dict[str, _Remembered[dict[str, str]]] = {}

    def positions(self, account: str, exchange: Exchange, *, fresh: bool) -> Seen[list[dict[str, Any]]]:
        """The open ones, in the API's form."""
        with self._lock:
            kept = self._positions.setdefault(account, _Remembered(lambda: _positions(account, exchange), _POSITIONS_S))
        return kept.get(fresh=fresh)

    def equity(self, account: str, exchange: Exchange) -> Seen[dict[str, str]]:
        """Of each coin that the wallet holds, in that coin."""
        with self._lock:
            kept = self._wallets.setdefault(account, _Remembered(lambda: _wallet(exchange), _WALLET_S))
        return kept.get()


def _positions(account: str, exchange: Exchange) -> list[dict[str, Any]]:
    found = sorted(exchange.positions(), key=lambda each: (each.category, each.symbol))
    return [position_form(account, position) for position in found]


def _wallet(exchange: Exchange) -> dict[str, str]:
    return {each.coin: plain(each.equity) for each in exchange.wallet().coins if each.equity}


def init_app(app: Flask) -> None:
    app.extensions[_EXTENSION] = Glance()


def all_positions(*, fresh: bool = False) -> tuple[list[dict[str, Any]], list[str]]:
    """Every account's open positions, and what could not be read, a sentence each. `fresh`: read just now."""
    glance: Glance = current_app.extensions[_EXTENSION]
    shown: list[dict[str, Any]] = []
    problems = []
    for name, exchange in current_parts().exchanges.items():
        seen = glance.positions(name, exchange, fresh=fresh)
        shown += seen.value or []
        if seen.problem:
            problems.append(f"{name}: {seen.problem}")
    return shown, problems


def equities() -> dict[str, Seen[dict[str, str]]]:
    glance: Glance = current_app.extensions[_EXTENSION]
    return {name: glance.equity(name, exchange) for name, exchange in current_parts().exchanges.items()}
