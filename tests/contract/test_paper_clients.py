"""Other people's clients against the paper exchange: ccxt over REST, and pybit's own WebSocket."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from unittest.mock import patch

import ccxt  # type: ignore[import-untyped]
import pybit.unified_trading
import pytest
from pybit.unified_trading import WebSocket

from tests.contract.engines import until
from tests.paper_server import KEY, SECRET, PaperServer

BTC, INVERSE, COINS = "BTC/USDT:USDT", "BTC/USD:BTC", "BTC/USDT"


@pytest.fixture
def paper(server: PaperServer) -> PaperServer:
    server.start_over()
    return server


@pytest.fixture
def client(paper: PaperServer) -> Iterator[Any]:
    found: Any = ccxt.bybit({"apiKey": KEY, "secret": SECRET, "enableRateLimit": False})
    found.urls["api"] = dict.fromkeys(found.urls["api"], paper.url)
    yield found
    found.close()


def test_ccxt_knows_the_markets_and_what_they_cost(client: Any) -> None:
    markets = client.load_markets()
    assert markets[BTC]["linear"] and markets[BTC]["precision"]["amount"] == 0.001
    assert markets[INVERSE]["inverse"] and markets["BTC/USDC:USDC"]["id"] == "BTCPERP"
    assert client.fetch_ticker(BTC)["last"] == 100_000
    assert {BTC, INVERSE} <= set(client.fetch_tickers([BTC])) | set(client.fetch_tickers([INVERSE]))
    book = client.fetch_order_book(BTC, 5)
    assert book["bids"][0][0] <= book["asks"][0][0]
    candles = client.fetch_ohlcv(BTC, "5m", limit=3)
    assert [each[4] for each in candles] == [100_000] * 3
    assert candles[1][0] - candles[0][0] == 300_000
    assert client.fetch_time() > 1_600_000_000_000
    assert client.fetch_trading_fee(BTC)["taker"] == 0.00055


def test_ccxt_reads_the_balance(client: Any) -> None:
    balance = client.fetch_balance()
    assert balance["USDT"]["total"] == 100_000 and balance["BTC"]["total"] == 2


def test_ccxt_opens_and_closes_at_the_market(client: Any) -> None:
    client.load_markets()
    bought = client.create_order(BTC, "market", "buy", 0.02)
    assert client.fetch_order(bought["id"], BTC, {"acknowledged": True})["filled"] == 0.02
    (held,) = client.fetch_positions([BTC])
    assert (held["side"], held["contracts"], held["entryPrice"]) == ("long", 0.02, 100_000)
    client.create_order(BTC, "market", "sell", 0.02, None, {"reduceOnly": True})
    assert [each for each in client.fetch_positions([BTC]) if each["contracts"]] == []
    fills = client.fetch_my_trades(BTC)
    assert [(each["side"], each["amount"]) for each in fills] == [("buy", 0.02), ("sell", 0.02)]


def test_ccxt_places_changes_and_cancels_what_rests(client: Any) -> None:
    client.load_markets()
    resting = client.create_order(BTC, "limit", "buy", 0.01, 90_000, {"postOnly": True})
    assert [each["id"] for each in client.fetch_open_orders(BTC)] == [resting["id"]]
    client.edit_order(resting["id"], BTC, "limit", "buy", 0.02, 91_000)
    changed = client.fetch_open_order(resting["id"], BTC)
    assert (changed["price"], changed["amount"]) == (91_000, 0.02)
    client.cancel_order(resting["id"], BTC)
    assert client.fetch_open_orders(BTC) == []
    assert [each["id"] for each in client.fetch_canceled_orders(BTC)] == [resting["id"]]


def test_ccxt_places_conditional_orders_and_levels(client: Any) -> None:
    client.load_markets()
    waits = client.create_order(
        BTC, "market", "buy", 0.01, None, {"triggerPrice": 110_000, "triggerDirection": "ascending"}
    )
    assert client.fetch_open_orders(BTC, params={"trigger": True})[0]["id"] == waits["id"]
    client.cancel_all_orders(BTC, {"trigger": True})
    levels = {"stopLoss": {"triggerPrice": 95_000}, "takeProfit": {"triggerPrice": 120_000}}
    client.create_order(BTC, "market", "buy", 0.01, None, levels)
    (held,) = client.fetch_positions([BTC])
    assert (held["stopLossPrice"], held["takeProfitPrice"]) == (95_000, 120_000)


def test_ccxt_orders_several_at_once_and_each_is_answered_for_itself(client: Any) -> None:
    client.load_markets()
    orders = [
        {"symbol": BTC, "type": "limit", "side": "buy", "amount": 0.01, "price": price} for price in (80_000, 81_000)
    ]
    placed = client.create_orders(orders)
    assert len(client.fetch_open_orders(BTC)) == 2
    client.cancel_orders([each["id"] for each in placed], BTC)
    assert client.fetch_open_orders(BTC) == []


def test_ccxt_sets_leverage_and_mode_and_reads_them(client: Any) -> None:
    client.load_markets()
    client.set_leverage(7, BTC)
    assert client.fetch_leverage(BTC)["longLeverage"] == 7
    client.set_position_mode(True, BTC)
    with pytest.raises(ccxt.ExchangeError):
        client.create_order(BTC, "market", "buy", 0.01, None, {"positionIdx": 0})
    client.set_position_mode(False, BTC)


def test_ccxt_understands_refusals(client: Any) -> None:
    client.load_markets()
    with pytest.raises(ccxt.InsufficientFunds):
        client.create_order(BTC, "limit", "buy", 500, 90_000)
    with pytest.raises(ccxt.OrderNotFound):
        client.cancel_order("never", BTC)


def test_ccxt_knows_the_spot_markets_and_what_they_cost(client: Any) -> None:
    market = client.load_markets()[COINS]
    assert market["spot"] and (market["base"], market["quote"], market["settle"]) == ("BTC", "USDT", None)
    assert (market["precision"]["amount"], market["precision"]["price"]) == (0.000001, 0.1)
    assert market["limits"]["cost"]["min"] == 5 and client.fetch_trading_fee(COINS)["taker"] == 0.001
    assert client.fetch_ticker(COINS)["last"] == 100_000 and COINS in client.fetch_tickers([COINS])
    assert client.fetch_order_book(COINS, 5)["asks"][0][0] == 100_000
    assert [each[4] for each in client.fetch_ohlcv(COINS, "5m", limit=2)] == [100_000] * 2


def test_ccxt_buys_coins_by_cost_and_sells_them(client: Any) -> None:
    client.load_markets()
    bought = client.create_market_buy_order_with_cost(COINS, 500)
    found = client.fetch_order(bought["id"], COINS, {"acknowledged": True})
    assert (found["status"], found["filled"], found["cost"]) == ("closed", 0.005, 500)
    assert [(fee["currency"], fee["cost"]) for fee in found["fees"]] == [("BTC", 0.000005)]
    client.create_order(COINS, "market", "sell", 0.004995)
    fills = client.fetch_my_trades(COINS)
    assert [(each["side"], each["amount"], each["fee"]["currency"]) for each in fills] == [
        ("buy", 0.005, "BTC"),
        ("sell", 0.004995, "USDT"),
    ]
    assert client.fetch_balance()["BTC"]["total"] == 2


def test_ccxt_sees_what_spot_orders_lock_until_they_are_cancelled(client: Any) -> None:
    client.load_markets()
    resting = client.create_order(COINS, "limit", "buy", 0.1, 90_000, {"postOnly": True})
    assert [each["id"] for each in client.fetch_open_orders(COINS)] == [resting["id"]]
    held = client.fetch_balance()["USDT"]
    assert (held["total"], held["used"], held["free"]) == (100_000, 9_000, 91_000)
    client.edit_order(resting["id"], COINS, "limit", "buy", 0.2, 91_000)
    assert client.fetch_open_order(resting["id"], COINS)["amount"] == 0.2
    client.cancel_order(resting["id"], COINS)
    assert client.fetch_balance()["USDT"]["free"] == 100_000
    assert [each["id"] for each in client.fetch_canceled_orders(COINS)] == [resting["id"]]


def test_ccxt_places_spot_stops_and_levels(client: Any) -> None:
    client.load_markets()
    waits = client.create_order(COINS, "market", "sell", 0.1, None, {"triggerPrice": 95_000})
    keeps = client.create_order(COINS, "limit", "sell", 0.1, 94_900, {"stopLossPrice": 95_000})
    stops = {each["id"]: each["info"]["stopOrderType"] for each in client.fetch_open_orders(COINS)}
    assert stops == {waits["id"]: "Stop", keeps["id"]: "tpslOrder"}
    client.cancel_order(waits["id"], COINS, {"trigger": True})
    client.cancel_all_orders(COINS, {"orderFilter": "tpslOrder"})
    client.create_order(COINS, "limit", "buy", 0.1, 100_000, {"stopLoss": {"triggerPrice": 95_000}})
    (stop,) = client.fetch_open_orders(COINS)
    assert (stop["side"], stop["amount"], stop["triggerPrice"]) == ("sell", 0.0999, 95_000)


def test_ccxt_understands_refusals_of_spot(client: Any) -> None:
    client.load_markets()
    with pytest.raises(ccxt.InsufficientFunds):
        client.create_order(COINS, "limit", "buy", 2, 90_000)
    with pytest.raises(ccxt.InvalidOrder):
        client.create_order(COINS, "limit", "buy", 0.00001, 90_000)
    with pytest.raises(ccxt.OrderNotFound):
        client.cancel_order("never", COINS)


def test_a_batch_is_counted_by_its_orders_and_judged_one_by_one(paper: PaperServer) -> None:
    session = paper.session()
    good = {"symbol": "BTCUSDT", "side": "Buy", "orderType": "Limit", "qty": "0.01", "price": "90000", "positionIdx": 0}
    answer = session.place_batch_order(category="linear", request=[good, {**good, "qty": "0.0001"}, good])
    assert [bool(each["orderId"]) for each in answer["result"]["list"]] == [True, False, True]
    assert [each["code"] for each in answer["retExtInfo"]["list"]] == [0, 10001, 0]
    paper.control.account(limiter={"on": True, "rate": 5})
    answer = session.place_batch_order(category="linear", request=[good] * 8)
    assert [each["code"] for each in answer["retExtInfo"]["list"]] == [0] * 5 + [10006] * 3
    assert session.place_order(category="linear", **good)["retCode"] == 0, "single orders have a limit of their own"


def topics(paper: PaperServer) -> set[str]:
    """What is subscribed to: pybit does not wait for it."""
    return {topic for each in paper.control.connections() for topic in each["topics"]}


def subscribed(paper: PaperServer, told: queue.Queue[dict[str, Any]]) -> WebSocket:
    """pybit waits for ever for a connection that ended while it subscribed: then once more, with a new one."""
    url = paper.url.replace("http://", "ws://")
    for _ in range(3):
        streams: list[WebSocket] = []

        def subscribe(made: list[WebSocket] = streams) -> None:
            with patch.object(pybit.unified_trading, "PRIVATE_WSS", f"{url}/v5/private"):
                stream = WebSocket(testnet=False, channel_type="private", api_key=KEY, api_secret=SECRET)
            for topic in (stream.order_stream, stream.execution_stream, stream.position_stream, stream.wallet_stream):
                topic(callback=told.put)
            made.append(stream)

        thread = threading.Thread(target=subscribe, daemon=True)
        thread.start()
        thread.join(20)
        if streams:
            return streams[0]
    raise AssertionError("pybit never subscribed")


def test_pybits_own_stream_is_told_of_an_order_to_its_end(paper: PaperServer) -> None:
    told: queue.Queue[dict[str, Any]] = queue.Queue()
    stream = subscribed(paper, told)
    try:
        until(lambda: topics(paper) >= {"order", "execution", "position", "wallet"})
        paper.session().place_order(
            category="linear", symbol="BTCUSDT", side="Buy", orderType="Market", qty="0.01", positionIdx=0
        )
        rows: dict[str, dict[str, Any]] = {}
        while set(rows) != {"order", "execution", "position", "wallet"}:
            message = told.get(timeout=60)
            rows[message["topic"]] = message["data"][-1]
        assert rows["order"]["orderStatus"] == "Filled" and rows["execution"]["execQty"] == "0.010"
        assert (rows["position"]["size"], rows["position"]["side"]) == ("0.010", "Buy")
        assert Decimal(rows["wallet"]["coin"][0]["equity"]) > 0
    finally:
        stream.exit()
