"""Orders, from placing to their end, against the paper exchange over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest

from relay.bybit.client import Exchange
from relay.domain.instrument import Category
from relay.domain.order import Accepted, ErrorKind, OrderRejected, OrderStatus, OrderType, Side, TimeInForce, TriggerBy
from tests.contract.exchange_orders import BTC, INVERSE, PRICE, clean_up, fresh_id, place, placed, planned, rejected
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


def test_a_market_order_is_filled_with_price_fee_and_fills(exchange: Exchange) -> None:
    report = placed(exchange)
    assert (report.status, report.filled_qty, report.avg_price) == (OrderStatus.FILLED, Decimal("0.01"), PRICE)
    assert (report.fee, report.rests, report.reason) == (Decimal("0.55"), False, None)
    (fill,) = exchange.fills(**BTC, client_order_id=report.client_order_id)
    assert (fill.qty, fill.price, fill.fee, fill.fee_coin) == (Decimal("0.01"), PRICE, Decimal("0.55"), "USDT")
    assert (fill.is_maker, fill.client_order_id) == (False, report.client_order_id)
    assert abs(fill.at_ms - exchange.now_ms()) < 10_000


def test_an_inverse_order_is_counted_in_contracts_and_its_fee_in_the_coin(exchange: Exchange) -> None:
    report = placed(exchange, **INVERSE, side=Side.SELL, qty=Decimal(1000))
    assert (report.status, report.filled_qty) == (OrderStatus.FILLED, Decimal(1000))
    assert report.fee == Decimal("0.0000055")
    (fill,) = exchange.fills(**INVERSE, client_order_id=report.client_order_id)
    assert (fill.fee, fill.fee_coin) == (report.fee, "BTC")
    assert exchange.position(**INVERSE).size == Decimal(-1000)


def test_a_usdc_perpetual_is_traded_like_the_others(exchange: Exchange) -> None:
    report = placed(exchange, symbol="BTCPERP")
    assert report.status is OrderStatus.FILLED
    (fill,) = exchange.fills(category=Category.LINEAR, symbol="BTCPERP", client_order_id=report.client_order_id)
    assert fill.fee_coin == "USDC"


def test_a_limit_order_rests_until_it_is_cancelled(exchange: Exchange) -> None:
    report = placed(exchange, type=OrderType.LIMIT, price=Decimal(90_000))
    assert (report.status, report.rests, report.filled_qty) == (OrderStatus.ACCEPTED, True, Decimal(0))
    (resting,) = exchange.open_orders(**BTC)
    assert (resting.client_order_id, resting.venue_order_id) == (report.client_order_id, report.venue_order_id)
    assert (resting.side, resting.qty, resting.price) == (Side.BUY, Decimal("0.01"), Decimal(90_000))
    assert (resting.reduce_only, resting.is_stop) == (False, False)
    cancelled = exchange.cancel(**BTC, client_order_id=report.client_order_id)
    assert cancelled == Accepted(venue_order_id=report.venue_order_id)
    ended = exchange.look_up(**BTC, client_order_id=report.client_order_id)
    assert ended is not None
    assert (ended.status, ended.rests) == (OrderStatus.CANCELED, False)
    assert exchange.open_orders(**BTC) == ()


def test_cancelling_what_is_gone_says_so(exchange: Exchange) -> None:
    outcome = exchange.cancel(**BTC, client_order_id="never-was")
    assert isinstance(outcome, OrderRejected)
    assert outcome.refusal is ErrorKind.GONE


def test_an_order_that_is_cancelled_with_fills_keeps_them(exchange: Exchange, paper: PaperServer) -> None:
    paper.control.prices(BTCUSDT={"price": str(PRICE), "depth": "0.004"})
    report = placed(exchange, type=OrderType.LIMIT, price=PRICE)
    assert (report.status, report.rests) == (OrderStatus.PARTIALLY_FILLED, True)
    exchange.cancel(**BTC, client_order_id=report.client_order_id)
    ended = exchange.look_up(**BTC, client_order_id=report.client_order_id)
    assert ended is not None
    assert (ended.status, ended.filled_qty, ended.avg_price) == (OrderStatus.CANCELED, Decimal("0.004"), PRICE)


def test_a_market_order_without_enough_depth_expires_with_what_it_got(exchange: Exchange, paper: PaperServer) -> None:
    paper.control.prices(BTCUSDT={"price": str(PRICE), "depth": "0.004"})
    report = placed(exchange)
    assert (report.status, report.filled_qty) == (OrderStatus.EXPIRED, Decimal("0.004"))


@pytest.mark.parametrize(
    ("in_force", "price"),
    [(TimeInForce.IOC, 90_000), (TimeInForce.FOK, 90_000), (TimeInForce.POST_ONLY, 101_000)],
)
def test_an_order_that_its_time_in_force_ends_has_expired(
    exchange: Exchange, in_force: TimeInForce, price: int
) -> None:
    report = placed(exchange, type=OrderType.LIMIT, price=Decimal(price), time_in_force=in_force)
    assert (report.status, report.filled_qty, report.rests) == (OrderStatus.EXPIRED, Decimal(0), False)
    assert report.reason is not None


@pytest.mark.parametrize(
    ("kind", "trigger", "rises"),
    [(OrderType.STOP_MARKET, 110_000, True), (OrderType.STOP_LIMIT, 90_000, False)],
)
def test_a_conditional_order_rests_for_its_trigger(
    exchange: Exchange, kind: OrderType, trigger: int, rises: bool
) -> None:
    price = Decimal(89_000) if kind.has_limit else None
    report = placed(
        exchange,
        type=kind,
        price=price,
        trigger_price=Decimal(trigger),
        trigger_rises=rises,
        trigger_by=TriggerBy.MARK,
    )
    assert (report.status, report.rests) == (OrderStatus.ACCEPTED, True)
    (resting,) = exchange.open_orders(**BTC)
    assert (resting.trigger_price, resting.price, resting.is_stop) == (Decimal(trigger), price, False)


def test_stops_ride_on_the_order_and_show_on_the_position(exchange: Exchange) -> None:
    placed(exchange, take_profit=Decimal(110_000), stop_loss=Decimal(90_000))
    position = exchange.position(**BTC)
    assert (position.take_profit, position.stop_loss) == (Decimal(110_000), Decimal(90_000))
    stops = exchange.open_orders(**BTC)
    assert [(stop.is_stop, stop.reduce_only, stop.client_order_id) for stop in stops] == [(True, True, "")] * 2


def test_closing_everything_leaves_nothing_whatever_the_quantity(exchange: Exchange) -> None:
    placed(exchange, qty=Decimal("0.037"))
    placed(exchange, side=Side.SELL, closes_all=True, reduce_only=True, qty=Decimal("0.001"))
    assert exchange.position(**BTC).size == 0


def test_there_is_nothing_to_reduce_without_a_position(exchange: Exchange) -> None:
    assert rejected(exchange, side=Side.SELL, reduce_only=True).refusal is ErrorKind.NOTHING_TO_REDUCE


def test_the_same_client_order_id_again_is_already_there_and_no_second_order(exchange: Exchange) -> None:
    client_order_id = fresh_id()
    assert isinstance(place(exchange, planned(), client_order_id), Accepted)
    again = place(exchange, planned(), client_order_id)
    assert isinstance(again, OrderRejected)
    assert (again.code, again.refusal) == (110072, ErrorKind.ALREADY_THERE)
    assert exchange.position(**BTC).size == Decimal("0.01")


def test_refusals_carry_the_reason_that_people_need(exchange: Exchange) -> None:
    low = rejected(exchange, type=OrderType.LIMIT, price=Decimal(500), qty=Decimal("0.001"))
    assert low.reason_code in ("NOTIONAL_BELOW_MIN", "EXCHANGE_REFUSED")
    assert rejected(exchange, qty=Decimal(100)).reason_code == "EXCHANGE_BALANCE"
    assert rejected(exchange, symbol="NOSUCHUSDT").reason_code == "EXCHANGE_REFUSED"


def test_hedge_mode_is_told_from_other_bad_parameters(exchange: Exchange, paper: PaperServer) -> None:
    paper.control.account(positionMode={"ETHUSDT": 3})
    assert exchange.position(category=Category.LINEAR, symbol="ETHUSDT").is_hedge
    assert rejected(exchange, symbol="ETHUSDT", qty=Decimal(1)).reason_code == "POSITION_MODE_HEDGE"
    paper.control.account(positionMode={"ETHUSDT": 0})
    assert not exchange.position(category=Category.LINEAR, symbol="ETHUSDT").is_hedge
