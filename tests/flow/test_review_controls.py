"""Exits that nothing may throw away: a close whose question is refused, a flatten over what it cannot see or name."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

import pytest

from relay.bybit.client import CREATE, POSITIONS, Exchange
from relay.domain.instrument import Instrument
from tests.paper_server import PaperServer
from tests.relay_server import DEADLINE_S, RelayServer, running_relay

pytestmark = pytest.mark.slow

BUY = {"action": "buy", "ticker": "BTCUSDT.P", "qty": "0.01"}


@pytest.fixture
def asking(tmp_path: Path, paper: PaperServer) -> Iterator[RelayServer]:
    """A relay of the test's own without streams: what it plans with, it asks for."""
    paper.control.clear_faults()
    paper.control.reset()
    with running_relay(tmp_path, paper.url, BYBIT_STREAM_URL="off") as server:
        yield server


@pytest.mark.parametrize(
    "refusal",
    [
        {"kind": "code", "retCode": 10006, "retMsg": "Too many visits."},
        {"kind": "code", "retCode": 10002, "retMsg": "invalid request, please check your server timestamp"},
        {"kind": "http", "status": 403, "body": ""},
    ],
)
def test_a_close_whose_position_could_not_be_read_for_a_moment_is_done_all_the_same(
    asking: RelayServer, paper: PaperServer, refusal: dict[str, Any]
) -> None:
    asking.done(BUY | {"id": "open"})
    paper.control.fault(POSITIONS, match={"symbol": "BTCUSDT"}, times=2, **refusal)
    closed = asking.done({"action": "close", "ticker": "BTCUSDT.P", "id": "close"})
    assert (closed["status"], [order["status"] for order in closed["orders"]]) == ("done", ["filled"])
    assert asking.api("positions")["positions"] == []


def test_flatten_closes_what_an_entry_opens_that_was_on_its_way_before_the_halt(
    asking: RelayServer, paper: PaperServer
) -> None:
    paper.control.clear_calls()
    paper.control.fault(CREATE, "delay_before", ms=800, match={"symbol": "BTCUSDT"})
    entry = asking.post({"action": "long", "ticker": "BTCUSDT.P", "qty": "0.01", "id": "on its way"}).json()[
        "signal_id"
    ]
    give_up_at = time.monotonic() + DEADLINE_S
    while not paper.control.calls(CREATE):
        assert time.monotonic() < give_up_at, "its order never left"
    reported = asking.api("flatten", "POST")
    assert asking.wait_for(entry)["status"] == "done", "it left before the halt"
    assert [asking.wait_for(each["signal_id"])["symbol"] for each in reported["accounts"]] == ["BTCUSDT"]
    assert asking.api("positions")["positions"] == []


def test_an_entry_that_still_reads_its_facts_when_the_halt_is_answered_does_not_leave(
    asking: RelayServer, paper: PaperServer
) -> None:
    paper.control.clear_calls()
    paper.control.fault(POSITIONS, "delay_before", ms=800, match={"symbol": "ETHUSDT"})
    alert = {"action": "long", "ticker": "ETHUSDT.P", "qty": "0.1", "id": "still reading"}
    entry = asking.post(alert).json()["signal_id"]
    give_up_at = time.monotonic() + DEADLINE_S
    while not paper.control.calls(POSITIONS):
        assert time.monotonic() < give_up_at, "its position was never asked for"
    asking.api("halt", "POST")
    assert asking.wait_for(entry)["reason"]["code"] == "HALTED"
    assert paper.control.calls(CREATE) == []


class _Fewer:
    """The exchange, whose list of perpetuals lacks one: its position is then like a dated future's."""

    def __init__(self, exchange: Exchange, lacking: str) -> None:
        self._exchange = exchange
        self._lacking = lacking

    def instruments(self) -> tuple[Instrument, ...]:
        return tuple(each for each in self._exchange.instruments() if each.symbol != self._lacking)

    def closed_instruments(self) -> tuple[Instrument, ...]:
        return ()

    def pairs(self) -> list[Instrument]:
        return self._exchange.pairs()


def test_flatten_of_everything_closes_the_rest_where_it_cannot_close_one(
    own: RelayServer, paper: PaperServer, caplog: pytest.LogCaptureFixture
) -> None:
    for symbol in ("ETHUSDT", "SOLUSDT", "XRPUSDT"):
        paper.session().place_order(category="linear", symbol=symbol, side="Buy", orderType="Market", qty="10")
    services = own.relay.services
    services.markets["default"].load_instruments(
        cast(Exchange, _Fewer(next(iter(services.exchanges.values())), "SOLUSDT"))
    )
    with patch.object(services.exchanges["default"], "instrument", return_value=None):
        reported = own.api("flatten", "POST", json={"everything": True})
    ended = [own.wait_for(each["signal_id"]) for each in reported["accounts"]]
    assert [each["status"] for each in ended] == ["done", "rejected", "done"]
    assert "SOLUSDT" in ended[1]["reason"]["message"]
    assert [each["outcome"] for each in reported["accounts"]] == ["queued", "unreadable", "queued"]
    assert "SOLUSDT" in reported["accounts"][1]["message"]
    assert [position["symbol"] for position in own.api("positions")["positions"]] == ["SOLUSDT"]
    assert any("SOLUSDT" in record.getMessage() for record in caplog.records if record.levelname == "ERROR")


def test_a_plan_leaves_the_paper_market_where_it_is(own: RelayServer, paper: PaperServer) -> None:
    before = paper.control.prices()
    alert = BUY | {"signal_price": "54321"}
    own.api("plan", "POST", json=alert)
    assert paper.control.prices() == before
    own.done({**alert, "id": "executed"})
    assert paper.control.prices() != before
