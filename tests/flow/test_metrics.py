"""`GET /metrics`: what was counted, what is timed, and how things stand."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from relay.app import metrics
from relay.bybit.stream import SILENT_S
from tests.paper_server import PaperServer
from tests.relay_server import ADMIN_TOKEN, RelayServer, error_of

BUY = {"action": "buy", "ticker": "BTCUSDT.P", "qty": "0.01"}
Key = tuple[str, tuple[tuple[str, str], ...]]


def _scraped(relay: RelayServer) -> dict[Key, float]:
    answer = relay.request("GET", "/metrics", headers={"Authorization": f"Bearer {ADMIN_TOKEN}"})
    assert answer.status_code == 200 and answer.headers["Content-Type"].startswith("text/plain")
    families = text_string_to_metric_families(answer.text)
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


def _value(scraped: dict[Key, float], name: str, **labels: str) -> float:
    return scraped.get((name, tuple(sorted(labels.items()))), 0)


def test_it_is_closed_without_the_token(cold: RelayServer) -> None:
    error_of(cold.request("GET", "/metrics"), 401, "AUTH_FAILED")


def test_answers_outcomes_stages_and_calls_are_counted(own: RelayServer, paper: PaperServer) -> None:
    before = _scraped(own)
    own.done(BUY | {"id": "one"})
    own.post(BUY | {"id": "one"})
    own.post(BUY | {"id": "two", "qty": "many"})
    own.done(BUY | {"id": "three", "qty": "0.0000001"})
    own.post(BUY | {"secret": "wrong"})
    after = _scraped(own)

    def more(name: str, **labels: str) -> float:
        return _value(after, name, **labels) - _value(before, name, **labels)

    answers = ("accepted", "duplicate", "ALERT_INVALID", "AUTH_FAILED")
    assert [more("relay_alerts_total", answer=each) for each in answers] == [2, 1, 1, 1]
    assert more("relay_outcomes_total", status="done", reason="") == 1
    assert more("relay_outcomes_total", status="denied", reason="QTY_BELOW_MIN") == 1
    assert more("relay_exchange_calls_total", endpoint="/v5/order/create", code="0") == 1
    assert more("relay_exchange_seconds_count", endpoint="/v5/order/create") == 1
    stages = {
        stage: more("relay_stage_seconds_count", stage=stage) for stage in ("accept", "place", "gather", "finish")
    }
    # What orders nothing at once is gathered for again in its turn.
    assert stages.pop("gather") in (2, 3)
    assert stages == {"accept": 5, "place": 1, "finish": 2}


def test_how_things_stand_is_measured_when_it_is_asked_for(own: RelayServer) -> None:
    own.done(BUY | {"type": "limit", "price": "60000"})
    scraped = _scraped(own)
    assert _value(scraped, "relay_ready") == 1
    assert _value(scraped, "relay_lane_depth") == 0
    assert _value(scraped, "relay_open_orders", account="default", status="accepted") == 1
    assert _value(scraped, "relay_signals", status="done") == 1
    assert _value(scraped, "relay_stream_live", account="default") == 1
    assert 0 <= scraped["relay_stream_silent_seconds", (("account", "default"),)] < SILENT_S
    assert ("relay_clock_offset_ms", (("account", "default"),)) in scraped


def test_a_relay_that_is_not_ready_says_so_and_counts_on(cold: RelayServer) -> None:
    cold.post(BUY)
    scraped = _scraped(cold)
    assert _value(scraped, "relay_ready") == 0
    assert _value(scraped, "relay_signals", status="accepted") == 1


def test_the_counts_of_several_processes_are_added(tmp_path: Path) -> None:
    environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "counts")}
    count = "from relay.app import metrics; metrics.alerts.labels('accepted').inc()"
    show = (
        "from prometheus_client import CollectorRegistry, generate_latest\n"
        "from prometheus_client.multiprocess import MultiProcessCollector\n"
        "registry = CollectorRegistry(); MultiProcessCollector(registry)\n"
        "print(generate_latest(registry).decode())"
    )
    for _ in range(2):
        subprocess.run([sys.executable, "-c", count], env=environment, check=True, timeout=60)
    shown = subprocess.run(
        [sys.executable, "-c", show], env=environment, check=True, timeout=60, capture_output=True, text=True
    )
    assert 'relay_alerts_total{answer="accepted"} 2.0' in shown.stdout


def test_a_start_forgets_the_counts_of_processes_that_are_gone_and_not_those_of_a_worker_that_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for pid in (gone.pid, os.getpid()):
        (tmp_path / f"counter_{pid}.db").touch()
    monkeypatch.setenv(metrics.MULTIPROCESS, str(tmp_path))
    metrics.forget_earlier_runs()
    assert [each.name for each in tmp_path.iterdir()] == [f"counter_{os.getpid()}.db"]


def test_slippage_is_told_only_of_a_strategy_whose_alerts_named_a_price(own: RelayServer, paper: PaperServer) -> None:
    paper.control.prices(BTCUSDT="100000")
    own.done({"ticker": "BTCUSDT.P", "action": "buy", "qty": "0.01", "id": "without a price"})
    scraped = _scraped(own)
    assert _value(scraped, "relay_position", account="default", symbol="BTCUSDT") == 0.01
    assert "relay_slippage_percent" not in {name for name, _ in scraped}
