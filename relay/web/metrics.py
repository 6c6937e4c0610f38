"""`/metrics` for Prometheus, `/healthz` and `/readyz`."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any, Final

from flask import Response, current_app
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from relay import __version__
from relay.app.account_checks import free_disk_bytes
from relay.app.metrics import MULTIPROCESS
from relay.app.wiring import Relay
from relay.domain.performance import percentile, tallies
from relay.errors import JournalUnavailable
from relay.execution.ports import to_ms, utc_now
from relay.journal.api_queries import DashboardQueries
from relay.journal.ledger import Ledger
from relay.web.answers import answer, current_relay

_FILLS: Final = 1000
"""Slippage is told of so many of the latest."""
_TALLIED_MS: Final = 90 * 24 * 3_600_000
_CACHE_S: Final = 60.0
_EXTENSION: Final = "relay.trading"
_BUILD: Final = ("version", "environment")


def show_metrics() -> Response:
    """In Prometheus' text format."""
    text = generate_latest(_counted()) + generate_latest(_now(current_relay()))
    return Response(text, content_type=CONTENT_TYPE_LATEST)


def _counted() -> CollectorRegistry:
    """This process's counts; those of all processes of the machine where there are several."""
    if not os.environ.get(MULTIPROCESS):
        return REGISTRY
    from prometheus_client.multiprocess import MultiProcessCollector

    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return registry


def _now(relay: Relay) -> CollectorRegistry:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Moment(relay))
    return registry


class _Moment(Collector):
    """Measured when it is asked for, so that nothing has to be kept up to date in between."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay

    def collect(self) -> Iterable[Any]:
        services = self._relay.services
        missing = self._relay.missing()
        yield _gauge("relay_ready", "1: alerts are executed as soon as they are accepted.", {(): not missing})
        ready = {(name,): problem is None for name, problem in self._relay.accounts().items()}
        yield _gauge("relay_account_ready", "1: the account executes what is accepted for it.", ready, "account")
        yield _gauge("relay_lane_depth", "Signals in the lanes of this process.", {(): services.engine.depth()})
        offsets = {(name,): exchange.clock_offset_ms for name, exchange in services.exchanges.items()}
        yield _gauge("relay_clock_offset_ms", "How far the exchange's clock is ahead.", offsets, "account")
        links = services.streams.state()
        live = {(name,): state.is_live for name, state in links.items()}
        yield _gauge("relay_stream_live", "1: the account's stream tells what happens.", live, "account")
        since = {(name,): state.since_s for name, state in links.items()}
        yield _gauge("relay_stream_state_seconds", "For how long it is so.", since, "account")
        silent = {(name,): state.silent_s for name, state in links.items() if state.silent_s is not None}
        yield _gauge("relay_stream_silent_seconds", "How long ago it was last heard.", silent, "account")
        if (free := free_disk_bytes(self._relay.settings)) is not None:
            yield _gauge("relay_disk_free_bytes", "Of the disk that the journal is on.", {(): free})
        yield _gauge("relay_build_info", "Always 1.", {(__version__, self._relay.environment): 1}, *_BUILD)
        try:
            yield from self._of_journal()
            yield from current_app.extensions.setdefault(_EXTENSION, _Cached()).get(self._of_trading)
        except JournalUnavailable:
            return

    def _of_journal(self) -> Iterable[Any]:
        journal = self._relay.services.journal
        found = journal.open_orders()
        by_status = Counter((each.account, each.state.status.value) for each in found)
        about = "Orders that have not ended; `submitted`: their outcome is unknown."
        yield _gauge("relay_open_orders", about, by_status, "account", "status")
        counts = {(status.value,): count for status, count in journal.counts().items()}
        yield _gauge("relay_signals", "Signals in the journal.", counts, "status")
        refused = Counter[tuple[str, ...]]()
        for posts in journal.refused():
            refused[posts.kind,] += posts.count
        yield _gauge("relay_refused_posts", "Posts that did not prove their sender.", refused, "kind")

    def _of_trading(self) -> Iterable[Any]:
        """Of the last 90 days, from what was written down: nothing is asked of the exchange."""
        services = self._relay.services
        journal, now_ms = services.journal, to_ms(utc_now())
        results = services.streams.bookkeeper.ledger.strategy_results(now_ms - _TALLIED_MS)
        net = {(each.strategy, each.account, each.coin): float(each.net) for each in results}
        yield _gauge("relay_net", "Of trades closed in 90 days, in the coin.", net, "strategy", "account", "coin")
        made = tallies(DashboardQueries(journal.store).fill_rows(None, now_ms - _TALLIED_MS, limit=_FILLS))
        medians = {name: percentile(each.slippages_pct, 50) for name, each in made.items()}
        slips = {(name,): float(median) for name, median in medians.items() if median is not None}
        yield _gauge("relay_slippage_percent", "The median; above 0 it cost.", slips, "strategy")
        ages = {}
        for name in services.strategies:
            alert_ms, _ = journal.strategies.last_alerts(name)
            if alert_ms is not None:
                ages[name,] = max(0, now_ms - alert_ms) / 1000
        yield _gauge("relay_last_alert_age_seconds", "Since the strategy's last alert.", ages, "strategy")
        sizes, equity, drawdown = {}, {}, {}
        for account in services.accounts:
            for (_, symbol), size in journal.expected_positions(account).items():
                sizes[account, symbol] = float(size)
            peak: dict[str, Decimal] = {}
            for point in Ledger(journal.store).equity(account, now_ms - _TALLIED_MS):
                peak[point.coin] = max(point.equity, peak.get(point.coin, point.equity))
                equity[account, point.coin] = float(point.equity)
                fallen = (peak[point.coin] - point.equity) / peak[point.coin] * 100 if peak[point.coin] > 0 else 0
                drawdown[account, point.coin] = float(fallen)
        yield _gauge("relay_position", "Signed size, as the relay last knew it.", sizes, "account", "symbol")
        yield _gauge("relay_equity", "As last written down, in the coin.", equity, "account", "coin")
        yield _gauge("relay_drawdown_percent", "Below the highest equity of 90 days.", drawdown, "account", "coin")


class _Cached:
    """The families that take a while to reckon, for a minute; one request reckons."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._at_s = float("-inf")
        self._families: list[Any] = []

    def get(self, make: Callable[[], Iterable[Any]]) -> list[Any]:
        with self._lock:
            if time.monotonic() - self._at_s > _CACHE_S:
                self._families, self._at_s = list(make()), time.monotonic()
            return self._families


def _gauge(name: str, about: str, values: dict[Any, Any], *labels: str) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, about, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


# `/healthz` and `/readyz`: for whoever watches the process or sends it traffic. Both are open.


def alive() -> Response:
    """The process answers; it says nothing about the journal or the exchange."""
    return answer({"alive": True})


def ready() -> Response:
    """200 while the journal answers and one account at least executes what is accepted; else 503 with what is missing.

    A platform must not restart a relay that works for the sake of an account that does not.
    """
    relay = current_relay()
    missing = relay.missing()
    accounts = {name: {"ready": why is None, "reason": why} for name, why in relay.accounts().items()}
    body = {"ready": not missing, "accounts": accounts}
    return answer({**body, "missing": missing}, 503) if missing else answer(body)
