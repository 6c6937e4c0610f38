"""Account, instruments, prices and keys, against the paper exchange over HTTP."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from Crypto.PublicKey import RSA

from relay.bybit.client import CREATE, TICKERS, Exchange
from relay.bybit.market import Catalog, Prices
from relay.bybit.streamed import StreamedExchange
from relay.domain.instrument import Category
from relay.domain.order import (
    Accepted,
    ErrorKind,
    NotSent,
    OrderRejected,
    OrderType,
    Outcome,
    PlannedOrder,
    Purpose,
    Side,
)
from relay.domain.spot import OwnCoins
from relay.errors import ExchangeAnswered, ExchangeUnreachable
from tests.paper_server import KEY, SECRET, PaperServer

BTC: dict[str, Any] = {"category": Category.LINEAR, "symbol": "BTCUSDT"}


@pytest.fixture
def exchange(paper: PaperServer) -> Iterator[Exchange]:
    made = Exchange(url=paper.url, api_key=KEY, api_secret=SECRET, read_timeout_s=5.0)
    yield made
    made.close()
    paper.control.clear_faults()


_numbers = iter(range(1_000_000))


def buy(exchange: Exchange, symbol: str = "BTCUSDT", qty: str = "0.01", **changes: Any) -> Outcome:
    fields: dict[str, Any] = {
        "leg": 0,
        "category": Category.LINEAR,
        "symbol": symbol,
        "side": Side.BUY,
        "type": OrderType.MARKET,
        "qty": Decimal(qty),
        "purpose": Purpose.ENTRY,
    }
    order = PlannedOrder(**{**fields, **changes})
    return exchange.place(order, client_order_id=f"id-{next(_numbers)}", signature=exchange.signature(), is_exit=False)


def test_where_coins_lack_what_rests_to_sell_them_is_looked_up_before_the_owners_count_as_the_relays(
    exchange: Exchange, paper: PaperServer
) -> None:
    paper.control.account(balances={"BTC": "0.7"})
    asked: list[tuple[str, ...]] = []

    def own_coins(lacking_at: Collection[str], *, asks: bool = True) -> dict[str, OwnCoins]:
        asked.append(tuple(lacking_at))
        return {"BTCUSDT": OwnCoins(symbol="BTCUSDT", size=Decimal("0.1") if lacking_at else Decimal(2))}

    exchange.own_coins = own_coins
    assert exchange.position(category=Category.SPOT, symbol="BTCUSDT").size == Decimal("0.1")
    assert [each.size for each in exchange.positions() if not each.category.has_positions] == [Decimal("0.1")]
    assert asked == [(), ("BTCUSDT",)] * 2


def test_the_exchange_lists_perpetuals_of_all_three_kinds(exchange: Exchange) -> None:
    catalog = Catalog()
    assert catalog.load(exchange.instruments) >= 30
    settled = {
        symbol: found.settle_coin
        for category, symbol in (
            (Category.LINEAR, "BTCUSDT"),
            (Category.LINEAR, "BTCPERP"),
            (Category.INVERSE, "BTCUSD"),
        )
        if (found := catalog.get(category, symbol)) is not None
    }
    assert settled == {"BTCUSDT": "USDT", "BTCPERP": "USDC", "BTCUSD": "BTC"}
    assert all(found.tick_size > 0 and found.qty_step > 0 for found in catalog)
    assert all(found.is_trading == (found.status == "Trading") for found in catalog)


def test_prices_are_mark_prices(exchange: Exchange, paper: PaperServer) -> None:
    paper.control.prices(BTCUSDT={"price": "99000", "mark": "99001.5"}, BTCUSD="98000")
    assert exchange.price(**BTC) == Decimal("99001.5")
    linear = exchange.prices(Category.LINEAR)
    assert linear["BTCUSDT"] == Decimal("99001.5")
    assert "BTCUSD" not in linear
    assert exchange.prices(Category.INVERSE)["BTCUSD"] == Decimal(98000)


def test_candles_tell_where_the_price_has_been_a_restart_before_among_it(tmp_path: Path) -> None:
    paper = PaperServer(tmp_path)
    exchange = Exchange(url=paper.url, api_key=KEY, api_secret=SECRET, read_timeout_s=5.0)
    try:
        minute = 60_000
        now_ms = exchange.now_ms() // minute * minute
        for offset, prices in ((-10, ("99000", "101000")), (-4, ("102000", "98000")), (0, ("100500",))):
            paper.control.clock(offset * minute)
            for price in prices:
                paper.control.prices(BTCUSDT=price)
        paper.kill()
        paper.restart()
        found = exchange.klines(**BTC, interval="1", start_ms=now_ms - 12 * minute, end_ms=now_ms + minute)
        closes = [str(close) for close, _ in groupby(each.close for each in found)]
        assert closes == ["100000.00", "101000.00", "98000.00", "100500.00"]
        (moved,) = [each for each in found if each.low == 98_000 and each.high == 102_000]
        assert (moved.open, moved.close) == (Decimal(101_000), Decimal(98_000))
        assert [each.at_ms for each in found] == sorted(each.at_ms for each in found)
        hour = exchange.klines(**BTC, interval="60", start_ms=0, end_ms=now_ms)
        assert len(hour) == 1000 and hour[-1].at_ms % (60 * minute) == 0
    finally:
        exchange.close()
        paper.close()


def test_the_price_of_what_is_not_listed_is_an_answer(exchange: Exchange) -> None:
    with pytest.raises(ExchangeAnswered) as raised:
        exchange.price(category=Category.LINEAR, symbol="NOSUCHUSDT")
    assert raised.value.code == 10001


def test_equity_counts_the_open_profit(exchange: Exchange, paper: PaperServer) -> None:
    paper.control.prices(SOLUSDT="100")
    assert isinstance(buy(exchange, "SOLUSDT", "10"), Accepted)
    before = exchange.equity("USDT")
    paper.control.prices(SOLUSDT="101")
    assert exchange.equity("USDT") - before == Decimal(10)
    assert exchange.wallet().equity("USDT") == exchange.equity("USDT")
    assert exchange.equity("NOSUCHCOIN") == 0


def test_leverage_is_set_once_and_then_unchanged(exchange: Exchange) -> None:
    where: dict[str, Any] = {"category": Category.LINEAR, "symbol": "XRPUSDT"}
    assert isinstance(exchange.set_leverage(**where, leverage=Decimal("7.00")), Accepted)
    assert exchange.position(**where).leverage == Decimal(7)
    again = exchange.set_leverage(**where, leverage=Decimal(7))
    assert isinstance(again, OrderRejected)
    assert again.refusal is ErrorKind.UNCHANGED
    too_much = exchange.set_leverage(**where, leverage=Decimal(100_000))
    assert isinstance(too_much, OrderRejected)
    assert too_much.refusal is ErrorKind.FINAL


def test_open_positions_of_all_settle_coins_are_listed(exchange: Exchange) -> None:
    assert isinstance(buy(exchange, "ETHUSDT", "1"), Accepted)
    assert isinstance(buy(exchange, "ETHPERP", "1", side=Side.SELL), Accepted)
    assert isinstance(buy(exchange, "ETHUSD", "100", category=Category.INVERSE), Accepted)
    sizes = {(found.category, found.symbol): found.size for found in exchange.positions()}
    assert sizes[Category.LINEAR, "ETHUSDT"] == Decimal(1)
    assert sizes[Category.LINEAR, "ETHPERP"] == Decimal(-1)
    assert sizes[Category.INVERSE, "ETHUSD"] == Decimal(100)
    assert all(sizes.values())


def test_open_orders_are_read_to_the_last_page(exchange: Exchange) -> None:
    for step in range(55):
        outcome = buy(exchange, "LTCUSDT", "1", type=OrderType.LIMIT, price=Decimal(10) + Decimal(step) / 10)
        assert isinstance(outcome, Accepted), outcome
    found = exchange.open_orders(category=Category.LINEAR, symbol="LTCUSDT")
    assert len({order.client_order_id for order in found}) == len(found) == 55


def test_a_position_that_is_not_open_is_zero(exchange: Exchange) -> None:
    position = exchange.position(category=Category.LINEAR, symbol="DOTUSDT")
    assert (position.size, position.is_hedge) == (Decimal(0), False)


@pytest.mark.parametrize(("key", "secret", "code"), [("wrong", SECRET, 10003), (KEY, "wrong", 10004)])
def test_a_wrong_key_is_told_from_a_wrong_signature(paper: PaperServer, key: str, secret: str, code: int) -> None:
    exchange = Exchange(url=paper.url, api_key=key, api_secret=secret)
    outcome = buy(exchange)
    with pytest.raises(ExchangeAnswered) as raised:
        exchange.positions()
    exchange.close()
    assert isinstance(outcome, OrderRejected)
    assert (outcome.code, outcome.reason_code, raised.value.code) == (code, "EXCHANGE_KEY", code)


@pytest.mark.parametrize("escaped", [False, True])
def test_a_pem_as_the_secret_signs_with_rsa(tmp_path: Path, escaped: bool) -> None:
    pem = RSA.generate(2048).export_key().decode()
    paper = PaperServer(tmp_path, environment={"BYBIT_API_KEY": "rsa-key", "BYBIT_API_SECRET": pem})
    secret = pem.replace("\n", "\\n") if escaped else pem
    exchange = Exchange(url=paper.url, api_key="rsa-key", api_secret=secret)
    try:
        assert isinstance(buy(exchange), Accepted)
        assert exchange.position(**BTC).size == Decimal("0.01")
        assert "PRIVATE KEY" not in repr(exchange.__dict__)
    finally:
        exchange.close()
        paper.close()


def test_a_ban_of_the_address_holds_back_reads_and_orders(exchange: Exchange, paper: PaperServer) -> None:
    paper.control.fault(TICKERS, "http", status=403, body="403, access too frequent")
    with pytest.raises(ExchangeUnreachable):
        exchange.price(**BTC)
    paper.control.clear_calls()
    assert isinstance(buy(exchange), NotSent)
    with pytest.raises(ExchangeUnreachable):
        exchange.positions()
    assert paper.control.calls() == []


def test_a_blocked_region_names_the_remedy(exchange: Exchange, paper: PaperServer) -> None:
    body = "<html>configured to block access from your country</html>"
    paper.control.fault(CREATE, "http", status=403, body=body)
    outcome = buy(exchange)
    assert isinstance(outcome, OrderRejected)
    assert outcome.reason_code == "EXCHANGE_REGION"
    assert "region" in outcome.words
    assert isinstance(buy(exchange), Accepted)


def test_warm_connections_are_open_at_once(exchange: Exchange) -> None:
    assert exchange.warm(8) == 8
    assert exchange.keep_warm() == 8


def test_orders_go_through_after_the_exchange_was_restarted(tmp_path: Path) -> None:
    paper = PaperServer(tmp_path)
    exchange = Exchange(url=paper.url, api_key=KEY, api_secret=SECRET, read_timeout_s=5.0)
    try:
        exchange.warm(3)
        assert isinstance(buy(exchange), Accepted)
        paper.kill()
        assert isinstance(buy(exchange), NotSent)
        paper.restart()
        assert exchange.warm(3) == 3
        assert isinstance(buy(exchange), Accepted)
        assert exchange.position(**BTC).size == Decimal("0.02")
    finally:
        exchange.close()
        paper.close()


def test_what_was_read_before_the_stream_was_there_is_not_acted_upon_once_it_is(
    exchange: Exchange, paper: PaperServer
) -> None:
    """As in a process that checks an account which another one trades, and takes it over later."""
    watching = StreamedExchange(
        name="main",
        stream_url=paper.url.replace("http", "ws", 1),
        prices=Prices("ws://127.0.0.1:1"),
        url=paper.url,
        api_key=KEY,
        api_secret=SECRET,
    )
    try:
        assert isinstance(buy(exchange, "DOGEUSDT", "100"), Accepted)
        assert watching.position(category=Category.LINEAR, symbol="DOGEUSDT").size == 100
        sold = buy(exchange, "DOGEUSDT", "100", side=Side.SELL, purpose=Purpose.EXIT, reduce_only=True)
        assert isinstance(sold, Accepted)
        watching.listen(on_wake=lambda category, symbol: None, on_unmatched=lambda received: None)
        assert watching.link.wait_live(10)
        known = watching.position_now(Category.LINEAR, "DOGEUSDT")
        assert known is not None and known.position.size == 0
        assert watching.equity_now("USDT") == watching.equity("USDT"), "it is read with the rest, not a round later"
    finally:
        watching.close()
        watching.marks.stop()
