"""The paper exchange's streams, asked with a plain WebSocket client as Bybit's are."""

from __future__ import annotations

import base64
import hmac
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import websocket
from Crypto.Hash import SHA256
from Crypto.PublicKey import RSA
from Crypto.Signature import pkcs1_15
from pybit.unified_trading import HTTP

from tests.paper_server import KEY, SECRET, PaperServer

DEADLINE_S = 60
BTC = {"category": "linear", "symbol": "BTCUSDT"}


class Stream:
    """One connection. Everything it hears is kept until it is asked for."""

    def __init__(self, paper: PaperServer, path: str) -> None:
        self._socket = websocket.create_connection(paper.url.replace("http", "ws") + path, timeout=DEADLINE_S)

    def ask(self, op: str, *args: object) -> dict[str, Any]:
        self._socket.send(json.dumps({"op": op, "args": args, "req_id": "7"}))
        return self.hear()

    def hear(self) -> dict[str, Any]:
        received: dict[str, Any] = json.loads(self._socket.recv())
        return received

    def hear_topic(self, topic: str) -> dict[str, Any]:
        while (received := self.hear()).get("topic") != topic:
            continue
        return received

    def authenticate(self, key: str = KEY, secret: str = SECRET, *, ahead_ms: int = 5000) -> dict[str, Any]:
        expires = int(time.time() * 1000) + ahead_ms
        return self.ask(
            "auth", key, expires, hmac.digest(secret.encode(), f"GET/realtime{expires}".encode(), "sha256").hex()
        )

    def is_cut(self) -> bool:
        try:
            return not self._socket.recv()
        except (OSError, websocket.WebSocketConnectionClosedException):
            return True

    def close(self) -> None:
        self._socket.close(timeout=0)


@pytest.fixture
def session(paper: PaperServer) -> HTTP:
    return paper.session()


@pytest.fixture
def private(paper: PaperServer) -> Iterator[Stream]:
    stream = Stream(paper, "/v5/private")
    assert stream.authenticate()["success"]
    assert stream.ask("subscribe", "order", "execution", "position", "wallet")["success"]
    yield stream
    stream.close()


def steer(paper: PaperServer, **requested: object) -> dict[str, Any]:
    answer = requests.post(f"{paper.url}/paper/streams", json=requested, timeout=DEADLINE_S)
    assert answer.status_code == 200, answer.text
    reported: dict[str, Any] = answer.json()
    return reported


def buy(session: HTTP, qty: str = "0.1", **more: object) -> str:
    fields = {**BTC, "side": "Buy", "orderType": "Market", "qty": qty, "positionIdx": 0}
    return str(session.place_order(**fields, **more)["result"]["orderId"])


def test_a_fill_is_reported_as_execution_order_position_and_wallet(private: Stream, session: HTTP) -> None:
    order_id = buy(session, orderLinkId="mine-1")
    execution, order, position, wallet = (private.hear() for _ in range(4))
    assert [each["topic"] for each in (execution, order, position, wallet)] == [
        "execution",
        "order",
        "position",
        "wallet",
    ]
    fill, row, held = execution["data"][0], order["data"][0], position["data"][0]
    assert (fill["orderId"], fill["orderLinkId"], fill["execQty"], fill["category"]) == (
        order_id,
        "mine-1",
        "0.100",
        "linear",
    )
    assert (row["orderStatus"], row["cumExecQty"]) == ("Filled", "0.100")
    assert (held["side"], held["size"], held["seq"]) == ("Buy", "0.100", fill["seq"])
    assert held["entryPrice"] == "100000" and "avgPrice" not in held
    (coin,) = wallet["data"][0]["coin"]
    assert coin["coin"] == "USDT" and wallet["data"][0]["accountType"] == "UNIFIED"


def test_an_order_that_fills_nothing_is_reported_with_its_unmoved_position_and_no_wallet(
    private: Stream, session: HTTP
) -> None:
    session.place_order(**BTC, side="Buy", orderType="Limit", qty="0.1", price="50000", positionIdx=0)
    assert [private.hear()["topic"] for _ in range(2)] == ["order", "position"]
    assert private.ask("ping")["op"] == "pong"


def test_spot_tells_of_both_coins_and_of_no_position(private: Stream, paper: PaperServer, session: HTTP) -> None:
    narrow = Stream(paper, "/v5/private")
    narrow.authenticate()
    assert narrow.ask("subscribe", "order.spot", "execution.spot", "wallet")["success"]
    buy(session)
    session.place_order(
        category="spot", symbol="BTCUSDT", side="Buy", orderType="Market", qty="500", marketUnit="quoteCoin"
    )
    assert [private.hear()["topic"] for _ in range(7)][4:] == ["execution", "order", "wallet"]
    assert narrow.hear()["topic"] == "wallet"
    execution, order, wallet = (narrow.hear() for _ in range(3))
    fill, row = execution["data"][0], order["data"][0]
    assert (execution["topic"], fill["category"], fill["execFee"]) == ("execution.spot", "spot", "0.000005")
    assert (row["symbol"], row["orderStatus"], row["feeCurrency"]) == ("BTCUSDT", "Filled", "BTC")
    assert not {"createType", "tpslMode", "parentOrderLinkId"} & set(row)
    assert {each["coin"]: each["walletBalance"] for each in wallet["data"][0]["coin"]} == {
        "BTC": "2.004995",
        "USDT": "99494.5",
    }
    narrow.close()


def test_a_spot_order_that_rests_moves_what_is_locked(private: Stream, session: HTTP) -> None:
    session.place_order(category="spot", symbol="BTCUSDT", side="Sell", orderType="Limit", qty="0.5", price="120000")
    assert private.hear()["topic"] == "order"
    (coin,) = private.hear()["data"][0]["coin"]
    assert (coin["coin"], coin["locked"], coin["walletBalance"]) == ("BTC", "0.5", "2")


def test_a_topic_of_all_categories_and_one_of_spot_cannot_be_asked_for_together(private: Stream) -> None:
    assert private.ask("subscribe", "order", "order.spot")["success"] is False
    assert private.ask("subscribe", "order.spot", "execution.linear", "wallet")["success"]


def test_the_tickers_of_spot_are_whole_and_its_best_prices_are_in_the_book(paper: PaperServer) -> None:
    stream = Stream(paper, "/v5/public/spot")
    assert stream.ask("subscribe", "tickers.BTCUSDT", "orderbook.1.BTCUSDT")["success"]
    first, best = stream.hear(), stream.hear()
    assert (first["type"], first["data"]["lastPrice"]) == ("snapshot", "100000.0")
    assert not {"bid1Price", "markPrice", "fundingRate"} & set(first["data"])
    assert (best["topic"], best["data"]["s"]) == ("orderbook.1.BTCUSDT", "BTCUSDT")
    paper.control.prices(BTCUSDT="98000")
    paper.control.spot_prices(BTCUSDT={"price": "99000", "bid": "98999", "ask": "99001"})
    ticker, best = stream.hear(), stream.hear()
    assert (ticker["type"], ticker["data"]["lastPrice"]) == ("snapshot", "99000.0")
    assert (best["data"]["b"][0][0], best["data"]["a"][0][0]) == ("98999.0", "99001.0")
    assert stream.ask("subscribe", "tickers.BTCUSD")["success"] is False
    stream.close()


def test_the_wallet_is_silent_while_only_unrealised_profit_moves(
    private: Stream, session: HTTP, paper: PaperServer
) -> None:
    buy(session)
    private.hear_topic("wallet")
    paper.control.prices(BTCUSDT="101000")
    assert private.ask("ping")["op"] == "pong"


def test_a_private_topic_needs_a_key(paper: PaperServer) -> None:
    stream = Stream(paper, "/v5/private")
    assert stream.ask("subscribe", "order")["success"] is False
    assert stream.authenticate(secret="another")["success"] is False
    assert stream.is_cut()
    stream.close()


def test_a_signature_of_the_past_is_refused(paper: PaperServer) -> None:
    stream = Stream(paper, "/v5/private")
    assert stream.authenticate(ahead_ms=-1)["success"] is False
    stream.close()


def test_an_unknown_topic_is_refused_and_the_stream_goes_on(paper: PaperServer) -> None:
    stream = Stream(paper, "/v5/public/linear")
    assert stream.ask("subscribe", "tickers.BTCUSD")["success"] is False
    pong = stream.ask("ping")
    assert (pong["ret_msg"], pong["op"], pong["req_id"]) == ("pong", "ping", "7")
    stream.close()


@pytest.mark.parametrize(("kind", "symbol"), [("linear", "BTCUSDT"), ("inverse", "BTCUSD")])
def test_tickers_begin_with_a_snapshot_and_go_on_with_what_changed(paper: PaperServer, kind: str, symbol: str) -> None:
    stream = Stream(paper, f"/v5/public/{kind}")
    assert stream.ask("subscribe", f"tickers.{symbol}")["success"]
    first = stream.hear()
    assert (first["type"], first["data"]["markPrice"][:6]) == ("snapshot", "100000")
    paper.control.prices(**{symbol: "101000"})
    second = stream.hear()
    assert second["type"] == "delta" and second["data"]["symbol"] == symbol
    assert second["data"]["markPrice"].startswith("101000") and "fundingRate" not in second["data"]
    assert stream.ask("unsubscribe", f"tickers.{symbol}")["success"]
    paper.control.prices(**{symbol: "102000"})
    assert stream.ask("ping")["op"] == "ping"
    stream.close()


def test_a_category_of_a_topic_brings_its_own_only(paper: PaperServer, session: HTTP) -> None:
    stream = Stream(paper, "/v5/private")
    stream.authenticate()
    stream.ask("subscribe", "execution.inverse")
    buy(session)
    session.place_order(category="inverse", symbol="BTCUSD", side="Sell", orderType="Market", qty="100", positionIdx=0)
    received = stream.hear()
    assert (received["topic"], received["data"][0]["symbol"]) == ("execution.inverse", "BTCUSD")
    stream.close()


def test_streams_can_be_cut(private: Stream, paper: PaperServer) -> None:
    steer(paper, cut="private")
    assert private.is_cut()


def test_a_mute_stream_stays_open_and_answers_nothing(private: Stream, paper: PaperServer) -> None:
    assert steer(paper, mute=True)["connections"][0]["mute"] is True
    private._socket.settimeout(0.3)
    with pytest.raises(websocket.WebSocketTimeoutException):
        private.ask("ping")


def test_events_can_be_lost_and_reported_twice(private: Stream, paper: PaperServer, session: HTTP) -> None:
    steer(paper, manners={"drop": 1, "topics": ["wallet", "position"]})
    buy(session)
    assert [private.hear()["topic"] for _ in range(2)] == ["execution", "order"]
    steer(paper, manners={"duplicate": 1, "topics": ["execution"]})
    buy(session)
    assert [private.hear()["topic"] for _ in range(5)] == ["execution", "execution", "order", "position", "wallet"]


def test_events_can_be_late(private: Stream, paper: PaperServer, session: HTTP) -> None:
    steer(paper, manners={"delay_ms": 300, "topics": ["execution"]})
    buy(session)
    assert [private.hear()["topic"] for _ in range(4)] == ["order", "position", "wallet", "execution"]


def test_authentication_and_opening_can_be_refused(paper: PaperServer) -> None:
    steer(paper, manners={"refuse_auth": True})
    stream = Stream(paper, "/v5/private")
    assert stream.authenticate()["success"] is False
    stream.close()
    steer(paper, manners={"refuse": True})
    with pytest.raises(websocket.WebSocketBadStatusException):
        Stream(paper, "/v5/private")


@pytest.mark.parametrize(
    "requested", [{}, {"cut": "sideways"}, {"manners": {"drop": "often"}}, {"manners": {"speed": 1}}]
)
def test_what_cannot_be_read_changes_nothing(paper: PaperServer, requested: dict[str, Any]) -> None:
    assert requests.post(f"{paper.url}/paper/streams", json=requested, timeout=DEADLINE_S).status_code == 400


def test_starting_over_ends_all_streams(private: Stream, paper: PaperServer) -> None:
    paper.control.reset()
    assert private.is_cut()


def test_an_rsa_key_signs_streams_too(tmp_path: Path) -> None:
    pair = RSA.generate(2048)
    environment = {"BYBIT_API_KEY": "rsa", "BYBIT_API_SECRET": pair.export_key().decode()}
    paper = PaperServer(tmp_path, environment=environment)
    try:
        stream = Stream(paper, "/v5/private")
        expires = int(time.time() * 1000) + 5000
        signed = pkcs1_15.new(pair).sign(SHA256.new(f"GET/realtime{expires}".encode()))
        assert stream.ask("auth", "rsa", expires, base64.b64encode(signed).decode())["success"]
        stream.close()
    finally:
        paper.close()
