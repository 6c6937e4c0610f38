"""What is signed, sent and kept secret, over real sockets."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import re
import threading
from collections.abc import Iterator
from decimal import Decimal

import pytest

from relay.bybit.client import CREATE
from relay.bybit.http import signer
from relay.domain.instrument import Category
from relay.domain.order import NotSent, OrderRejected, RequestSignature
from relay.engine import lease_guard
from relay.engine.lease_guard import AccountLease, LeaseLost, holding
from relay.errors import ExchangeAnswered, SettingsInvalid
from tests.contract.raw_server import (
    ACKNOWLEDGED,
    KEY,
    ORDER,
    SECRET,
    RawServer,
    Stage,
    answer,
    place,
    refused,
)


@pytest.fixture
def stage() -> Iterator[Stage]:
    made = Stage()
    yield made
    made.close()


def test_the_signature_is_what_is_signed(stage: Stage) -> None:
    server = stage.says(ACKNOWLEDGED)
    exchange = stage.exchange(server.url)
    signature = RequestSignature(timestamp_ms=exchange.now_ms() - 300, recv_window_ms=4321)
    place(exchange, signature=signature)
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    sent = {
        name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head.decode().split("\r\n"))
    }
    assert head.startswith(b"POST /v5/order/create HTTP/1.1\r\n")
    assert (sent["x-bapi-timestamp"], sent["x-bapi-recv-window"]) == (str(signature.timestamp_ms), "4321")
    signed = f"{signature.timestamp_ms}{KEY}4321".encode() + body
    assert sent["x-bapi-sign"] == hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
    assert json.loads(body)["orderLinkId"] == "id-1"
    assert "referer" not in sent


def test_what_leaves_by_a_lease_is_worthless_once_that_has_ended_however_late_it_arrives(stage: Stage) -> None:
    server = stage.says(ACKNOWLEDGED)
    exchange = stage.exchange(server.url)
    lease = AccountLease(name="main", epoch=1, deadline=lease_guard.clock() + 3)
    with holding(lease):
        exchange.cancel(category=Category.LINEAR, symbol="BTCUSDT", client_order_id="id-1")
        assert exchange.signature().recv_window_ms <= 3000
        lease.deadline = lease_guard.clock()
        with pytest.raises(LeaseLost):
            exchange.signature()
    window = re.search(rb"X-BAPI-RECV-WINDOW: (\d+)", server.requests[0], re.IGNORECASE)
    assert window is not None
    assert 0 < int(window[1]) <= 3000
    assert exchange.signature().recv_window_ms == 5000


def test_a_signature_is_used_for_its_own_request_only(stage: Stage) -> None:
    server = stage.says(ACKNOWLEDGED)
    exchange = stage.exchange(server.url)
    place(exchange, signature=RequestSignature(timestamp_ms=exchange.now_ms() - 2000, recv_window_ms=5000))
    before = exchange.now_ms()
    exchange.wallet()
    stamped = next(line for line in server.requests[1].decode().split("\r\n") if line.startswith("X-BAPI-TIMESTAMP"))
    assert int(stamped.partition(":")[2]) >= before


def test_a_request_whose_signature_is_worthless_is_not_sent(stage: Stage) -> None:
    server = stage.says(ACKNOWLEDGED)
    exchange = stage.exchange(server.url)
    assert isinstance(
        place(exchange, signature=RequestSignature(timestamp_ms=exchange.now_ms() - 5000, recv_window_ms=5000)), NotSent
    )
    assert server.requests == []


def test_the_referer_goes_with_each_order(stage: Stage) -> None:
    server = stage.says(ACKNOWLEDGED)
    place(stage.exchange(server.url, referer="broker-1"))
    assert b"\r\nReferer: broker-1\r\n" in server.requests[0]


def test_all_pages_are_read_and_cursors_go_back_as_they_came(stage: Stage) -> None:
    def row(symbol: str, **more: str) -> dict[str, object]:
        return {"symbol": symbol, "positionIdx": 0, "side": "Buy", "size": "1", **more}

    def page(rows: list[dict[str, object]], cursor: str) -> bytes:
        return answer({"retCode": 0, "result": {"list": rows, "nextPageCursor": cursor}})

    def conduct(server: RawServer, request: bytes) -> bytes:
        target = request.split(b" ")[1].decode()
        if "settleCoin=USDC" in target or "category=inverse" in target:
            return page([], "left%3Dover")
        if "cursor=page%3D2%26" in target:
            return page([row("ETHUSDT", side="Sell"), row("SOLUSDT", size="0")], "")
        assert "cursor" not in target
        return page([row("BTCUSDT")], "page%3D2%26")

    found = stage.exchange(stage.server(conduct).url).positions()
    assert [(position.symbol, position.size) for position in found] == [
        ("BTCUSDT", Decimal(1)),
        ("ETHUSDT", Decimal(-1)),
    ]


def test_no_secret_is_in_a_log_or_a_repr(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    handlers = list(logging.getLogger("pybit._http_manager").handlers)
    server = stage.says(refused(10004, "error sign!"), answer("<html/>", status="502 Bad Gateway"), b"")
    with caplog.at_level(logging.DEBUG):
        exchange = stage.exchange(server.url)
        said = [place(exchange) for _ in range(3)]
    assert logging.getLogger("pybit._http_manager").handlers == handlers
    shown = caplog.text + repr(exchange) + repr(exchange.__dict__) + repr(said)
    assert SECRET not in shown
    assert "orderLinkId" not in shown


def test_the_key_in_the_exchanges_words_is_shortened_to_its_end(stage: Stage) -> None:
    words = f"Error sign, please check. origin_string[1700000000000{KEY}5000{{}}], secret {SECRET}"
    exchange = stage.exchange(stage.says(refused(10004, words)).url)
    shown = "Error sign, please check. origin_string[1700000000000…test5000{}], secret …test"
    outcome = place(exchange)
    assert isinstance(outcome, OrderRejected)
    assert outcome.words == shown
    with pytest.raises(ExchangeAnswered) as raised:
        exchange.wallet()
    assert raised.value.words == shown


def test_a_key_at_the_end_of_long_words_is_not_left_in_half(stage: Stage) -> None:
    outcome = place(stage.exchange(stage.says(refused(10004, "x" * 490 + KEY)).url))
    assert isinstance(outcome, OrderRejected)
    assert outcome.words == "x" * 490 + "…test"


@pytest.mark.parametrize("pem", ["-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----", "-----BEGIN"])
def test_a_broken_pem_is_a_problem_of_the_settings(pem: str) -> None:
    with pytest.raises(SettingsInvalid, match="BYBIT_API_SECRET") as raised:
        signer(pem)
    assert "AAAA" not in str(raised.value)


def test_orders_of_many_threads_do_not_mix_their_stamps(stage: Stage) -> None:
    server = stage.says(ACKNOWLEDGED)
    exchange = stage.exchange(server.url)
    base = exchange.now_ms()

    def send(number: int) -> None:
        signature = RequestSignature(timestamp_ms=base - number, recv_window_ms=60_000 + number)
        exchange.place(ORDER, client_order_id=f"id-{number}", signature=signature, is_exit=False)

    threads = [threading.Thread(target=send, args=(number,)) for number in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(server.requests) == 40
    for request in server.requests:
        head, _, body = request.decode().partition("\r\n\r\n")
        number = int(json.loads(body)["orderLinkId"].removeprefix("id-"))
        assert f"X-BAPI-TIMESTAMP: {base - number}\r\n" in head
        assert f"X-BAPI-RECV-WINDOW: {60_000 + number}" in head.split("\r\n")
    assert CREATE in server.requests[0].decode()
