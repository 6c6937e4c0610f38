"""Orders at a paper exchange that loses, delays, refuses and limits, over HTTP."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from relay.bybit.account_api import REALTIME
from relay.bybit.client import CANCEL, CREATE, HISTORY, Exchange
from relay.domain.order import Accepted, ErrorKind, NotSent, OrderStatus, Outcome, Unknown
from relay.errors import ExchangeUnreachable
from tests.contract.exchange_orders import BTC, PRICE, clean_up, fresh_id, place, placed, planned, rejected
from tests.paper_server import KEY, SECRET, PaperServer


@pytest.fixture
def paper(server: PaperServer) -> PaperServer:
    """With a quiet market, no faults, and nothing of the tests before."""
    server.control.clear_faults()
    server.control.clock(0)
    server.control.prices(BTCUSDT=str(PRICE), BTCUSD=str(PRICE), BTCPERP=str(PRICE))
    return server


@pytest.fixture
def exchange(paper: PaperServer) -> Iterator[Exchange]:
    made = Exchange(url=paper.url, api_key=KEY, api_secret=SECRET, read_timeout_s=5.0)
    clean_up(made)
    paper.control.clear_calls()
    yield made
    paper.control.clear_faults()
    clean_up(made)
    made.close()


def test_a_lost_reply_is_unknown_and_the_order_is_found(exchange: Exchange, paper: PaperServer) -> None:
    client_order_id = fresh_id()
    paper.control.fault(CREATE, "drop_reply")
    assert isinstance(place(exchange, planned(), client_order_id), Unknown)
    report = exchange.look_up(**BTC, client_order_id=client_order_id)
    assert report is not None
    assert report.status is OrderStatus.FILLED
    assert len(paper.control.calls(CREATE)) == 1


def test_a_lost_request_is_unknown_and_the_order_is_not_found(exchange: Exchange, paper: PaperServer) -> None:
    client_order_id = fresh_id()
    paper.control.fault(CREATE, "drop_request")
    assert isinstance(place(exchange, planned(), client_order_id), Unknown)
    assert exchange.look_up(**BTC, client_order_id=client_order_id) is None
    assert [len(paper.control.calls(path)) for path in (CREATE, REALTIME, HISTORY)] == [1, 1, 1]


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "http", "status": 502},
        {"kind": "html"},
        {"kind": "code", "retCode": 10000},
        {"kind": "code", "retCode": 10016},
    ],
)
def test_what_says_nothing_is_unknown(exchange: Exchange, paper: PaperServer, fault: dict[str, Any]) -> None:
    paper.control.fault(CREATE, **fault)
    paper.control.fault(CANCEL, **fault)
    assert isinstance(place(exchange, planned()), Unknown)
    assert isinstance(exchange.cancel(**BTC, client_order_id="x"), Unknown)
    assert len(paper.control.calls(CREATE)) == 1


def test_a_failing_look_up_does_not_show_that_an_order_is_absent(exchange: Exchange, paper: PaperServer) -> None:
    report = placed(exchange)
    paper.control.fault(HISTORY, "http", status=503, times=None)
    with pytest.raises(ExchangeUnreachable):
        exchange.look_up(**BTC, client_order_id="never-was")
    assert exchange.look_up(**BTC, client_order_id=report.client_order_id) == report


def test_a_clock_that_is_off_is_refused_and_after_measuring_it_is_not(exchange: Exchange, paper: PaperServer) -> None:
    paper.control.clock(30_000)
    assert rejected(exchange).refusal is ErrorKind.CLOCK
    assert exchange.measure_clock() == pytest.approx(30_000, abs=1_000)
    assert placed(exchange).status is OrderStatus.FILLED


def test_a_burst_past_the_limit_is_spread_and_refused_by_nobody(exchange: Exchange, paper: PaperServer) -> None:
    paper.control.account(limiter={"on": True, "rate": 40})
    placed(exchange)
    outcomes: list[Outcome] = []
    threads = [
        threading.Thread(target=lambda: outcomes.append(place(exchange, planned(qty=Decimal("0.001")))))
        for _ in range(60)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    paper.control.account(limiter={"on": False})
    assert {type(outcome) for outcome in outcomes} <= {Accepted, NotSent}
    assert sum(isinstance(outcome, Accepted) for outcome in outcomes) >= 40
    assert {call["retCode"] for call in paper.control.calls(CREATE)} == {0}
