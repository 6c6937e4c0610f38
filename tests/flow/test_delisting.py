"""Perpetuals that begin and cease to trade: known in every status, and exited as far as the exchange takes it."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from unittest.mock import patch

import pytest

from relay.bybit.market import Market
from relay.domain.instrument import NOT_LISTED, Category, Instrument
from relay.errors import ExchangeUnreachable
from tests.builders import linear
from tests.paper_server import PaperServer
from tests.relay_server import error_of, running_relay

pytestmark = pytest.mark.slow

DELIVERY_MS = 1_900_000_000_000
BUY = {"ticker": "DOGEUSDT.P", "action": "buy", "qty": "200"}
CLOSE = {"ticker": "DOGEUSDT.P", "action": "close"}


def delist(paper: PaperServer) -> None:
    paper.control.rules("DOGEUSDT", status="Delivering", deliveryTime=str(DELIVERY_MS))


@pytest.fixture
def paper(server: PaperServer) -> PaperServer:
    server.start_over()
    return server


def test_after_a_restart_what_is_being_delivered_is_closed_and_its_entries_are_told_until_when(
    paper: PaperServer, tmp_path: Path
) -> None:
    with running_relay(tmp_path, paper.url) as relay:
        assert relay.done(BUY | {"id": "open"})["status"] == "done"
    delist(paper)
    with running_relay(tmp_path, paper.url) as relay:
        entry = relay.done(BUY | {"id": "more"})
        assert (entry["status"], entry["reason"]["code"]) == ("denied", "SYMBOL_NOT_TRADING")
        assert "Delivering" in entry["reason"]["message"] and "2030-03-17 17:46 UTC" in entry["reason"]["message"]
        assert relay.done(CLOSE | {"id": "close"})["status"] == "done"
        assert relay.api("positions")["positions"] == []


def test_after_a_restart_flatten_closes_what_is_being_delivered(paper: PaperServer, tmp_path: Path) -> None:
    with running_relay(tmp_path, paper.url) as relay:
        relay.done(BUY | {"id": "open"})
    delist(paper)
    with running_relay(tmp_path, paper.url) as relay:
        (row,) = relay.api("flatten", "POST")["accounts"]
        assert (row["symbol"], row["outcome"]) == ("DOGEUSDT", "queued")
        assert relay.wait_for(row["signal_id"])["status"] == "done"
        assert relay.api("positions")["positions"] == []


def test_an_alert_finds_at_once_that_what_was_to_come_trades_now(paper: PaperServer, tmp_path: Path) -> None:
    paper.control.rules("DOGEUSDT", status="PreLaunch")
    with running_relay(tmp_path, paper.url) as relay:
        early = relay.done(BUY | {"id": "early"})
        assert early["reason"]["code"] == "SYMBOL_NOT_TRADING" and "PreLaunch" in early["reason"]["message"]
        paper.control.rules("DOGEUSDT", status="Trading")
        assert relay.done(BUY | {"id": "now"})["status"] == "done"


def test_an_alert_finds_at_once_what_was_not_listed_at_the_start(paper: PaperServer, tmp_path: Path) -> None:
    paper.control.rules("DOGEUSDT", status="NotYet")
    with running_relay(tmp_path, paper.url) as relay:
        unknown = relay.post(BUY | {"id": "early"})
        assert "DOGEUSDT" in error_of(unknown, 422, "ALERT_INVALID")["message"]
        paper.control.rules("DOGEUSDT", status="Trading")
        for number, ticker in enumerate(("DOGEUSDT.P", "BINANCE:DOGEUSDTPERP", "DOGE-USDT-SWAP")):
            assert relay.done(BUY | {"ticker": ticker, "id": f"now {number}"})["status"] == "done"


class _Listing:
    """An exchange that lists what it is given."""

    def __init__(self) -> None:
        self.listed: tuple[Instrument, ...] = ()
        self.closed: tuple[Instrument, ...] = ()
        self.requested_for_closed = 0

    def instruments(self) -> tuple[Instrument, ...]:
        return self.listed

    def pairs(self) -> list[Instrument]:
        return []

    def closed_instruments(self) -> tuple[Instrument, ...]:
        self.requested_for_closed += 1
        return self.closed


DOGE, ETH = linear(symbol="DOGEUSDT"), linear(symbol="ETHUSDT")


def test_what_is_dropped_from_the_list_is_known_while_something_of_it_is_open() -> None:
    exchange, market = _Listing(), Market()
    exchange.listed = (DOGE, ETH)
    market.load_instruments(exchange)  # type: ignore[arg-type]
    exchange.listed = (ETH,)
    needed = [(Category.LINEAR, "DOGEUSDT"), (Category.LINEAR, "NEVERUSDT")]
    for _ in range(2):
        market.load_instruments(exchange, needed)  # type: ignore[arg-type]
        assert market.instrument(Category.LINEAR, "DOGEUSDT") == replace(DOGE, is_trading=False, status=NOT_LISTED)
    exchange.listed = (DOGE, ETH)
    market.load_instruments(exchange, needed)  # type: ignore[arg-type]
    assert market.instrument(Category.LINEAR, "DOGEUSDT") == DOGE
    exchange.listed = (ETH,)
    market.load_instruments(exchange)  # type: ignore[arg-type]
    assert market.instrument(Category.LINEAR, "DOGEUSDT") is None


def test_what_trades_again_under_the_name_of_one_that_is_over_is_the_one_that_trades() -> None:
    exchange, market = _Listing(), Market(monotonic=lambda: 0.0)
    exchange.closed = (replace(DOGE, is_trading=False, status="Closed", tick_size=Decimal(1)),)
    exchange.listed = (ETH,)
    market.load_instruments(exchange)  # type: ignore[arg-type]
    known = market.instrument(Category.LINEAR, "DOGEUSDT")
    assert known is not None and known.status == "Closed"
    exchange.listed = (DOGE, ETH)
    market.load_instruments(exchange)  # type: ignore[arg-type]
    assert market.instrument(Category.LINEAR, "DOGEUSDT") == DOGE
    assert exchange.requested_for_closed == 1, "they are many, and do not come back"


def test_an_unknown_ticker_is_refused_where_the_exchange_cannot_be_asked(paper: PaperServer, tmp_path: Path) -> None:
    with running_relay(tmp_path, paper.url) as relay:
        exchange = relay.relay.services.exchanges["default"]
        with patch.object(exchange, "instrument", side_effect=ExchangeUnreachable("no answer")):
            answer = relay.post({"ticker": "NEVERUSDT.P", "action": "buy", "qty": "1", "id": "never"})
        error_of(answer, 422, "ALERT_INVALID")


def test_a_wrong_ticker_that_is_repeated_does_not_spend_the_requests_of_orders(
    paper: PaperServer, tmp_path: Path
) -> None:
    with running_relay(tmp_path, paper.url) as relay:
        exchange = relay.relay.services.exchanges["default"]
        with patch.object(exchange, "instrument", return_value=None) as requested:
            for number in range(30):
                answer = relay.post({"ticker": "NEVERUSDT.P", "action": "buy", "qty": "1", "id": f"never {number}"})
                error_of(answer, 422, "ALERT_INVALID")
        assert requested.call_count == 20
