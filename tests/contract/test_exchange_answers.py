"""What each kind of answer means for an order and for a question, over real sockets."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from unittest.mock import patch

import pytest

from relay.bybit import calls
from relay.domain.order import Accepted, ErrorKind, NotSent, OrderRejected, Unknown
from relay.domain.position import StopLevels
from relay.engine import lease_guard
from relay.engine.lease_guard import AccountLease, LeaseLost
from relay.errors import ExchangeAnswered, ExchangeUnreachable
from tests.contract.raw_server import (
    ACKNOWLEDGED,
    WHERE,
    RawServer,
    Stage,
    answer,
    place,
    refused,
    unused_port,
)


@pytest.fixture
def stage() -> Iterator[Stage]:
    made = Stage()
    yield made
    made.close()


@pytest.mark.parametrize(
    "said",
    [
        answer("<html>Bad gateway</html>", status="502 Bad Gateway"),
        answer("busy", status="503 Service Unavailable", headers=("Retry-After: 0",)),
        refused(10001, status="500 Internal Server Error"),
        answer("<html>Sign in to the hotel's network</html>"),
        answer("not found", status="404 Not Found"),
        answer("slow down", status="429 Too Many Requests", headers=("Retry-After: 0",)),
        answer("", status="307 Temporary Redirect", headers=("Location: /v5/order/create",)),
        answer([]),
        answer({"retMsg": "OK"}),
        answer({"retCode": "0", "result": {"orderId": "o-1"}}),
        answer({"retCode": True}),
        answer("[" * 100_000),
        refused(0),
        refused(10000),
        refused(10016),
        refused(429),
        refused(10429),
    ],
)
def test_an_answer_that_says_nothing_is_unknown_and_one_request(stage: Stage, said: bytes) -> None:
    server = stage.says(said, ACKNOWLEDGED)
    assert isinstance(place(stage.exchange(server.url)), Unknown)
    assert len(server.requests) == 1


@pytest.mark.parametrize("code", [110007, 10001, -1, 10002, 10006, 30034, 130150])
def test_a_refusal_is_certain_and_one_request(stage: Stage, code: int) -> None:
    server = stage.says(refused(code, "words"), ACKNOWLEDGED)
    outcome = place(stage.exchange(server.url))
    assert isinstance(outcome, OrderRejected)
    assert (outcome.code, outcome.words) == (code, "words")
    assert len(server.requests) == 1


def test_a_refusal_counts_whatever_its_status_below_500(stage: Stage) -> None:
    outcome = place(stage.exchange(stage.says(refused(10003, status="401 Unauthorized")).url))
    assert isinstance(outcome, OrderRejected)
    assert outcome.reason_code == "EXCHANGE_KEY"


def test_a_spent_limit_says_when_to_repeat_even_if_that_has_passed(stage: Stage) -> None:
    server = stage.says(refused(10006, headers=("X-Bapi-Limit-Reset-Timestamp: 1000",)))
    exchange = stage.exchange(server.url)
    outcome = place(exchange)
    assert isinstance(outcome, OrderRejected)
    assert outcome.refusal is ErrorKind.RATE
    assert outcome.retry_at_ms is not None
    assert outcome.retry_at_ms <= exchange.now_ms()


def test_past_the_limit_nothing_is_sent_and_other_calls_go_on(stage: Stage) -> None:
    spent = ("X-Bapi-Limit: 10", "X-Bapi-Limit-Status: 0", "X-Bapi-Limit-Reset-Timestamp: 99999999999999")
    server = stage.says(refused(10006, headers=spent), ACKNOWLEDGED)
    exchange = stage.exchange(server.url)
    place(exchange)
    held = place(exchange)
    assert isinstance(held, NotSent)
    assert held.retry_at_ms is not None
    assert held.retry_at_ms > exchange.now_ms()
    assert len(server.requests) == 1
    assert isinstance(exchange.cancel(**WHERE, client_order_id="id-1"), Accepted)


def test_a_ban_of_the_address_stops_everything_for_ten_minutes(stage: Stage) -> None:
    server = stage.says(answer("403, access too frequent", status="403 Forbidden"), ACKNOWLEDGED)
    exchange = stage.exchange(server.url)
    outcome = place(exchange)
    assert isinstance(outcome, OrderRejected)
    assert (outcome.code, outcome.refusal) == (403, ErrorKind.RATE)
    held = place(exchange)
    assert isinstance(held, NotSent)
    assert "ten minutes" in held.why
    assert held.retry_at_ms == pytest.approx(exchange.now_ms() + 600_000, abs=5_000)
    with pytest.raises(ExchangeUnreachable, match="ten minutes"):
        exchange.price(**WHERE)
    assert exchange.warm(2) == 0
    assert len(server.requests) == 1


def test_a_region_that_is_not_served_is_reported_and_stops_nothing(stage: Stage) -> None:
    page = "<html>The Amazon CloudFront distribution is configured to block access from your country.</html>"
    server = stage.says(answer(page, status="403 Forbidden"))
    exchange = stage.exchange(server.url)
    for _ in range(2):
        outcome = place(exchange)
        assert isinstance(outcome, OrderRejected)
        assert (outcome.code, outcome.reason_code, outcome.refusal) == (403, "EXCHANGE_REGION", ErrorKind.FINAL)
    assert len(server.requests) == 2


def test_a_403_without_words_after_good_answers_is_worth_repeating(stage: Stage) -> None:
    exchange = stage.exchange(stage.says(ACKNOWLEDGED, answer("", status="403 Forbidden"), ACKNOWLEDGED).url)
    assert isinstance(place(exchange), Accepted)
    outcome = place(exchange)
    assert isinstance(outcome, OrderRejected)
    assert outcome.refusal is ErrorKind.RATE
    assert isinstance(place(exchange), Accepted)


def test_a_question_is_asked_again_after_a_cut_connection(stage: Stage) -> None:
    found = answer({"retCode": 0, "result": {"list": [{"symbol": "BTCUSDT", "markPrice": "99000"}]}})
    server = stage.says(b"", found)
    assert stage.exchange(server.url).price(**WHERE) == Decimal(99000)
    assert len(server.requests) == 2


def test_a_question_that_nobody_answers_is_unreachable(stage: Stage) -> None:
    with pytest.raises(ExchangeUnreachable, match="502"):
        stage.exchange(stage.says(answer("", status="502 Bad Gateway")).url).price(**WHERE)
    with pytest.raises(ExchangeUnreachable, match="10016"):
        stage.exchange(stage.says(refused(10016)).url).look_up(**WHERE, client_order_id="id-1")
    with pytest.raises(ExchangeUnreachable, match="refused"):
        stage.exchange(f"http://127.0.0.1:{unused_port()}").positions()


def test_a_question_that_is_refused_says_by_what(stage: Stage) -> None:
    with pytest.raises(ExchangeAnswered) as raised:
        stage.exchange(stage.says(refused(10003, "API key is invalid.")).url).wallet()
    assert (raised.value.code, raised.value.words) == (10003, "API key is invalid.")


def test_a_question_refused_for_its_clock_is_asked_again_with_the_right_time(stage: Stage) -> None:
    def conduct(server: RawServer, request: bytes) -> bytes:
        if request.startswith(b"GET /v5/market/time"):
            return answer({"retCode": 0, "result": {"timeSecond": "2000000000", "timeNano": "2000000000000000000"}})
        stamped = next(line for line in request.split(b"\r\n") if line.startswith(b"X-BAPI-TIMESTAMP"))
        if int(stamped.partition(b":")[2]) < 1_999_999_000_000:
            return refused(10002)
        return answer({"retCode": 0, "result": {"list": []}})

    exchange = stage.exchange(stage.server(conduct).url)
    assert exchange.equity("USDT") == 0
    assert exchange.now_ms() == pytest.approx(2_000_000_000_000, abs=10_000)


def test_a_clock_that_is_refused_for_ever_ends(stage: Stage) -> None:
    with pytest.raises(ExchangeUnreachable):
        stage.exchange(stage.says(refused(10002)).url).measure_clock()


@pytest.mark.parametrize("code", [10006, 10002, -1])
def test_a_question_refused_for_the_moment_may_be_asked_later(stage: Stage, code: int) -> None:
    exchange = stage.exchange(stage.says(refused(code, "not just now")).url)
    with pytest.raises(ExchangeUnreachable, match=f"{code}: not just now"):
        exchange.position(**WHERE)


def test_a_question_refused_to_a_banned_address_may_be_asked_later(stage: Stage) -> None:
    exchange = stage.exchange(stage.says(answer("403, access too frequent", status="403 Forbidden")).url)
    with pytest.raises(ExchangeUnreachable, match="ten minutes"):
        exchange.position(**WHERE)


def test_a_question_refused_with_a_403_without_words_may_be_asked_later(stage: Stage) -> None:
    exchange = stage.exchange(stage.says(ACKNOWLEDGED, answer("", status="403 Forbidden")).url)
    assert isinstance(place(exchange), Accepted)
    with pytest.raises(ExchangeUnreachable, match="without saying why"):
        exchange.position(**WHERE)


def test_a_region_that_is_not_served_is_a_last_word_on_a_question(stage: Stage) -> None:
    page = answer("blocked access from your country", status="403 Forbidden")
    with pytest.raises(ExchangeAnswered) as raised:
        stage.exchange(stage.says(page).url).position(**WHERE)
    assert raised.value.code == 403


def test_nothing_leaves_once_the_lease_is_lost(stage: Stage) -> None:
    server = stage.says(ACKNOWLEDGED)
    exchange = stage.exchange(server.url)
    signature = exchange.signature()
    lease = AccountLease(name="main", epoch=1, deadline=lease_guard.clock() + 60)
    with lease_guard.holding(lease):
        assert isinstance(place(exchange, signature=signature), Accepted)
        lease.is_lost = True
        for leave in (
            lambda: place(exchange, signature=signature),
            lambda: exchange.cancel(**WHERE, client_order_id="id-1"),
            lambda: exchange.set_leverage(**WHERE, leverage=Decimal(3)),
            lambda: exchange.set_stops(**WHERE, levels=StopLevels(stop_loss=Decimal(1))),
            lambda: exchange.price(**WHERE),
        ):
            with pytest.raises(LeaseLost):
                leave()
    assert len(server.requests) == 1


def test_a_list_that_does_not_come_to_an_end_is_no_list(stage: Stage) -> None:
    pages = iter(range(10_000))

    row = {"orderId": "o-1", "orderLinkId": "", "side": "Buy", "qty": "1"}

    def say(server: RawServer, request: bytes) -> bytes:
        return answer({"retCode": 0, "result": {"list": [row], "nextPageCursor": f"page {next(pages)}"}})

    exchange = stage.exchange(stage.server(say).url)
    with patch.object(calls, "PAGES_MAX", 5), pytest.raises(ExchangeUnreachable, match="after 5 pages"):
        exchange.open_orders(**WHERE)
    assert next(pages) == 5
