"""`/metrics` for Prometheus, `/healthz` and `/readyz`."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from typing import Any

from flask import Response
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from relay.app.metrics import MULTIPROCESS
from relay.app.wiring import Relay
from relay.errors import JournalUnavailable
from relay.web.answers import answer, current_relay


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
        try:
            yield from self._of_journal()
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
