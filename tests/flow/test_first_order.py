"""The line that `serve` prints works with whatever is configured; where none could, it says why."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.relay_process import RelayProcess

pytestmark = pytest.mark.slow

TREND = "a-secret-of-the-trend-0123"
DEADLINE_S = 60
CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    "nothing": ("", {"symbol": "BTCUSDT", "side": "buy", "qty": "0.001"}),
    "another symbol, small orders, shorts only": (
        """
        [accounts.one]
        [strategies.trend]
        secret_env = "TREND_SECRET"
        accounts = "one"
        symbols = ["SOLUSDT", "ETHUSDT"]
        direction = "short_only"
        limits = { max_order_notional = 50 }
        """,
        {"symbol": "SOLUSDT", "side": "sell"},
    ),
    "the strategy's position, another service's words, limit orders": (
        """
        [strategies.default]
        secret_env = "TREND_SECRET"
        mode = "position"
        format = "3commas"
        order_type = "limit"
        """,
        {"symbol": "BTCUSDT", "side": "buy", "type": "market", "qty": "0.001"},
    ),
    "inverse": ("[strategies.default]\nsymbols = 'BTCUSD'", {"symbol": "BTCUSD", "side": "buy"}),
}


def printed(folder: Path, config: str) -> tuple[RelayProcess, str]:
    """A relay, and the last line that it prints at its start."""
    environment = {"RELAY_CONFIG": config or "", "TREND_SECRET": TREND}
    relay = RelayProcess(folder, None, environment=environment)
    try:
        relay.start()
        until = time.monotonic() + DEADLINE_S
        while "paper order" not in relay.tail() or not relay.tail().endswith("\n"):
            assert time.monotonic() < until, relay.tail()
            time.sleep(0.01)
    except BaseException:
        relay.stop()
        raise
    lines = [line for line in relay.tail().splitlines() if "paper order" in line or line.startswith("  curl ")]
    return relay, lines[-1]


@pytest.mark.parametrize(("config", "ordered"), CONFIGS.values(), ids=list(CONFIGS))
def test_the_printed_line_places_an_order(tmp_path: Path, config: str, ordered: dict[str, Any]) -> None:
    relay, line = printed(tmp_path, config)
    try:
        accepted = json.loads(subprocess.run(["sh", "-c", line], capture_output=True, check=True, timeout=60).stdout)
        signal = relay.wait_for(accepted["signal_id"])
        assert signal["status"] == "done", signal
        (order,) = signal["orders"]
        assert order["status"] == "filled"
        assert {name: order[name] for name in ordered} == ordered
    finally:
        relay.stop()


def test_where_no_order_would_be_placed_it_says_why_and_prints_none(tmp_path: Path) -> None:
    relay, line = printed(tmp_path, "[limits]\nmax_order_notional = 1")
    try:
        assert line.startswith("no paper order to try is printed, because it would not be placed: LIMIT_ORDER_NOTIONAL")
        assert "curl" not in relay.tail()
    finally:
        relay.stop()
