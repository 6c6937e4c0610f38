"""The alerts of README and docs/alerts.md are taken, planned and done as the pages say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from textwrap import dedent
from typing import Final

import pytest

from relay.alerts.formats import FORMATS
from relay.alerts.signal import read, signal_from_stored
from relay.domain.signal import NATIVE_ACTIONS, Signal
from tests.flow.docs_pages import FENCED, blocks_of, pages
from tests.paper_server import PaperServer
from tests.relay_server import WEBHOOK_SECRET, RelayServer


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """An alert of a page, as TradingView would send it, and the orders that the page says it places.

    `block`: which of the page's alerts. `filled`: the placeholders. `orders`: side, quantity, whether it only reduces.
    """

    block: int
    orders: list[tuple[str, str, bool]]
    filled: dict[str, str] | None = None


def _bar(side: str, size: str, before: tuple[str, str], action: str = "", qty: str = "") -> dict[str, str]:
    """A strategy's placeholders."""
    return {
        "strategy.order.action": action,
        "strategy.order.contracts": qty,
        "strategy.order.id": "any",
        "strategy.market_position": side,
        "strategy.market_position_size": size,
        "strategy.prev_market_position": before[0],
        "strategy.prev_market_position_size": before[1],
    }


README_STEPS: Final = [
    Step(block=1, filled=_bar("long", "0.004", ("flat", "0"), "buy", "0.004"), orders=[("buy", "0.004", False)]),
    Step(block=1, filled=_bar("long", "0.001", ("long", "0.004"), "sell", "0.003"), orders=[("sell", "0.003", True)]),
    Step(block=1, filled=_bar("short", "0.002", ("long", "0.001"), "sell", "0.003"), orders=[("sell", "0.003", False)]),
    Step(block=0, filled=_bar("long", "0.003", ("flat", "0")), orders=[("buy", "0.005", False)]),
    Step(block=0, filled=_bar("flat", "0", ("long", "0.003")), orders=[("sell", "0.003", True)]),
    Step(block=2, filled=_bar("short", "7", ("flat", "0")), orders=[("sell", "0.001", False)]),
    Step(block=2, filled=_bar("short", "9", ("short", "7")), orders=[]),
    Step(block=3, orders=[("buy", "0.01", False)]),
    Step(block=3, orders=[]),
    Step(block=4, orders=[("sell", "0.009", True)]),
    Step(block=4, orders=[]),
    Step(block=5, orders=[("buy", "0.01", False)]),
]
SPOT_ORDERS: Final[list[tuple[str, str, bool] | None]] = [  # fees are taken of the coins, and nothing is short
    *(("buy", "0.004", False), ("sell", "0.003", True), ("sell", "0.000996", True), ("buy", "0.003", False)),
    *(("sell", "0.002997", True), None, None, ("buy", "0.009999", False), None, ("sell", "0.009989", True), None),
    ("buy", "0.01", False),
]
SPOT_STEPS: Final = [
    replace(each, orders=[order] if order else []) for each, order in zip(README_STEPS, SPOT_ORDERS, strict=True)
]
ALERTS_STEPS: Final = [
    Step(block=0, orders=[("buy", "50", False)]),
    Step(block=1, orders=[("sell", "25", True)]),
    Step(block=2, orders=[]),
    Step(block=3, orders=[]),
]


@pytest.fixture
def emptied(paper: PaperServer) -> Iterator[None]:
    """Nothing is open at the exchange afterwards."""
    yield
    paper.control.reset()


@pytest.mark.parametrize(("steps", "market"), [(README_STEPS, ""), (SPOT_STEPS, "spot"), (ALERTS_STEPS, "")])
def test_each_alert_is_planned_as_its_page_says_and_done(
    steps: list[Step], market: str, own: RelayServer, paper: PaperServer, emptied: None
) -> None:
    """On an account of 100,000 USDT, with BTC at 100,000 and ETH at 1,000."""
    paper.control.prices(BTCUSDT="100000", ETHUSDT="1000", **{"spot:BTCUSDT": "100000"})
    alerts = [block.text for block in blocks_of("json", "docs/alerts.md" if steps is ALERTS_STEPS else "README.md")]
    ticker = f'BTCUSDT", "market": "{market}' if market else "BTCUSDT.P"
    assert {step.block for step in steps} == set(range(len(alerts))), "each alert has a step here"
    for number, step in enumerate(steps):
        text = alerts[step.block].replace("SECRET", WEBHOOK_SECRET)
        values = {"ticker": ticker, "close": "99000", "strategy.order.price": "100000", **(step.filled or {})}
        for placeholder, value in values.items():
            text = text.replace(f"{{{{{placeholder}}}}}", value)
        text = re.sub(r', "time": "\{\{timenow\}\}"', f', "id": "{number}"', text)
        planned = [
            (each["side"], each["qty"], each["reduce_only"])
            for each in own.api("plan", "POST", data=text.encode())["orders"]
        ]
        assert planned == step.orders, number
        answer = own.post(text.encode(), wait_s=10)
        assert answer.status_code == 200, answer.text
        assert answer.json()["status"] == "done", answer.text


FILL: Final = {
    **{
        "ticker": "BTCUSDT.P",
        "exchange": "BYBIT",
        "timenow": "2025-01-31T12:00:00Z",
        "open": "99000",
        "close": "100000",
        "plot_0": "105000",
    },
    **{"strategy.order.action": "buy", "strategy.order.contracts": "0.01", "strategy.order.price": "100000"},
    **{"strategy.order.id": "L", "strategy.position_size": "0.01", "strategy.market_position": "long"},
    **{"strategy.market_position_size": "0.01", "strategy.prev_market_position": "flat"},
    "strategy.prev_market_position_size": "0",
}
"""A strategy that was flat has bought."""


def _to_copy(title: str) -> Iterator[tuple[str, Signal]]:
    """The format and the signal of each message below `title`."""
    for fenced in FENCED.finditer(pages()["docs/alerts.md"].section(title)):
        text = dedent(fenced["body"])
        for placeholder, value in FILL.items():
            text = text.replace(f"{{{{{placeholder}}}}}", value)
        assert "{{" not in text
        alert = read(text.encode())
        received_at = datetime(2025, 1, 31, 12, 0, 1, tzinfo=UTC)
        yield alert.format, signal_from_stored(alert.fields, id="s" * 26, strategy="default", received_at=received_at)


def test_each_services_message_to_copy_is_read_as_that_services() -> None:
    found = list(_to_copy("Messages to copy"))
    assert {(signal.ticker or "").removesuffix(".P") for _, signal in found} == {"BTCUSDT"}
    assert sorted(set(FORMATS) - {alert_format for alert_format, _ in found}) == []


def test_each_native_message_to_copy_is_taken_whole() -> None:
    found = list(_to_copy("Native messages to copy"))
    assert {alert_format for alert_format, _ in found} == {"native"}
    assert [signal.notes for _, signal in found] == [()] * len(found)
    unusual = {"close_long", "close_short", "flat", "exit", "sell"}
    assert {signal.action.value for _, signal in found} == set(map(str, NATIVE_ACTIONS)) - unusual
