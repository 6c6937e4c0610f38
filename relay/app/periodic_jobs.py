"""Periodic jobs that keep connections, clock and prices ready for the next alert, and those that one process does for
all of them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from relay.app.engines import Execution
from relay.bybit.client import Exchange
from relay.bybit.market import Market
from relay.domain.instrument import Category
from relay.errors import ExchangeAnswered, ExchangeUnreachable, JournalUnavailable
from relay.execution.heartbeat import Heartbeats
from relay.execution.ports import to_ms, utc_now
from relay.journal.journal import Journal
from relay.journal.retention import Retention

log = logging.getLogger(__name__)

KEEP_WARM_S = 20.0
CLOCK_S = 60.0
PRICES_S = 60.0
INSTRUMENTS_S = 50.0
"""So that a new listing is known within a minute."""
MORE_S = 5.0
FORGET_S: Final = 60.0


@dataclass(slots=True, kw_only=True)
class _PeriodicJob:
    name: str
    every_s: float
    do: Callable[[], object]
    due_at: float


class PeriodicJobs:
    """A thread an account, and one for all else: an exchange that is slow keeps no other account's jobs waiting.

    A job that fails is due again at its usual time, and what it would have renewed is kept.
    """

    def __init__(
        self,
        *,
        markets: Mapping[str, Market],
        exchanges: Mapping[str, Exchange],
        more: Mapping[str, Callable[[], object]] | None = None,
        needed: Callable[[], Collection[tuple[Category, str]]] = tuple,
        is_ours: Callable[[str], bool] = lambda account: True,
    ) -> None:
        """`markets`: by the account with which each is read. `more`: what else is looked after every few seconds.

        `needed`: where something is open, which must stay known even if the exchange has dropped it from its list.
        `is_ours`: whether the account is kept warm here.
        """
        self._groups: dict[str, list[_PeriodicJob]] = {"": [], **{name: [] for name in exchanges}}
        for name, market in markets.items():
            self._add(name, "prices", PRICES_S, partial(market.load_prices, exchanges[name]))
            self._add(name, "instruments", INSTRUMENTS_S, partial(_load, market, exchanges[name], needed))
        for name, exchange in exchanges.items():
            self._add(name, f"connections of {name}", KEEP_WARM_S, partial(_if_ours, is_ours, name, exchange.keep_warm))
            self._add(name, f"clock of {name}", CLOCK_S, partial(_if_ours, is_ours, name, exchange.measure_clock))
        for name, do in (more or {}).items():
            self._add("", name, MORE_S, do)
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(jobs,), name=f"upkeep {account}".strip(), daemon=True)
            for account, jobs in self._groups.items()
        ]

    def _add(self, account: str, name: str, every_s: float, do: Callable[[], object]) -> None:
        job = _PeriodicJob(name=name, every_s=every_s, do=do, due_at=time.monotonic() + every_s)
        self._groups[account].append(job)

    def add(self, name: str, every_s: float, do: Callable[[], object]) -> None:
        """A further job, due at once. Before `start`."""
        self._groups[""].append(_PeriodicJob(name=name, every_s=every_s, do=do, due_at=time.monotonic()))

    def start(self) -> None:
        for thread, jobs in zip(self._threads, self._groups.values(), strict=True):
            if jobs and not thread.is_alive():
                thread.start()

    def stop(self) -> None:
        self._stop.set()

    def _run(self, jobs: list[_PeriodicJob]) -> None:
        while True:
            periodic_job = min(jobs, key=lambda each: each.due_at)
            if self._stop.wait(max(0.0, periodic_job.due_at - time.monotonic())):
                return
            periodic_job.due_at = time.monotonic() + periodic_job.every_s
            try:
                periodic_job.do()
            except (ExchangeUnreachable, ExchangeAnswered, JournalUnavailable) as error:
                log.warning("%s could not be renewed: %s", periodic_job.name, error)
            except Exception:
                log.exception("%s could not be renewed", periodic_job.name)


def _load(market: Market, exchange: Exchange, needed: Callable[[], Collection[tuple[Category, str]]]) -> None:
    market.load_instruments(exchange, needed())


def open_instruments(journal: Journal, accounts: Iterable[str]) -> frozenset[tuple[Category, str]]:
    """Where the journal knows of a position, an order or a bracket."""
    held = {where for name in accounts for where, size in journal.expected_positions(name).items() if size}
    ordered = {(each.state.planned.category, each.state.planned.symbol) for each in journal.open_orders()}
    return frozenset(held | ordered | {(each.category, each.symbol) for each in journal.live_brackets()})


def _if_ours(is_ours: Callable[[str], bool], account: str, do: Callable[[], object]) -> None:
    if is_ours(account):
        do()


def periodic_jobs_of(
    engine: Execution, heartbeats: Heartbeats, retention: Retention
) -> dict[str, Callable[[], object]]:
    """By what it is."""
    due_at = time.monotonic()

    def forget() -> None:
        nonlocal due_at
        if engine.is_first and time.monotonic() >= due_at:
            due_at = time.monotonic() + FORGET_S
            if forgotten := retention.prune(to_ms(utc_now())):
                log.info("%d old signals forgotten", forgotten)

    return {"heartbeats": lambda: heartbeats.check() if engine.is_first else None, "what is old": forget}
