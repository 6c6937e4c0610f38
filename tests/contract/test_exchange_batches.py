"""Orders that leave in batches, since more of them wait than may go by themselves: each has an outcome of its own."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from relay.bybit.calls import CREATE_BATCH, judged
from relay.bybit.client import CREATE
from relay.bybit.http import Answer, when_sent
from relay.domain.instrument import Category
from relay.domain.order import (
    Accepted,
    ErrorKind,
    OrderRejected,
    OrderType,
    Outcome,
    PlannedOrder,
    RequestSignature,
    Unknown,
)
from relay.engine import lease_guard
from relay.engine.lease_guard import AccountLease, LeaseLost
from tests.contract.raw_server import ORDER, RawServer, Stage, answer, refused

EMPTY = refused(10001, "no orders")
Batch = Callable[[Sequence[str]], bytes]
"""What is answered to a batch of these ids."""


def accepted(ids: Sequence[str], codes: Mapping[str, int] | None = None) -> bytes:
    """Each is acknowledged, but for those that get a code."""
    found = [(codes or {}).get(name, 0) for name in ids]
    rows = [
        {"orderLinkId": name, "orderId": "" if code else f"o-{name}"} for name, code in zip(ids, found, strict=True)
    ]
    verdicts = [{"code": code, "msg": "said so" if code else "OK"} for code in found]
    body = {"retCode": 0, "retMsg": "OK", "result": {"list": rows}, "retExtInfo": {"list": verdicts}}
    return answer(body, headers=left_of(10, ids))


def left_of(limit: int, ids: Sequence[str]) -> tuple[str, ...]:
    """The headers of an exchange where others have spent the second's rest, just when the first two orders came."""
    left = 0 if {"first", "second"} & {*ids} else limit
    return f"X-Bapi-Limit: {limit}", f"X-Bapi-Limit-Status: {left}"


class Exchanges:
    """An exchange that takes five single orders a second, and ten in batches; `sent`: each request's path and ids."""

    def __init__(self, stage: Stage, **options: Any) -> None:
        self.batch: Batch = accepted
        self.empty = EMPTY
        self.sent: list[tuple[str, list[str]]] = []
        self.batches_sent: list[tuple[str, dict[str, Any]]] = []
        """Head and body of each."""
        self._lock = threading.Lock()
        self.server = stage.server(self._conduct)
        self.exchange = stage.exchange(self.server.url, **options)

    def _conduct(self, server: RawServer, request: bytes) -> bytes:
        head, _, text = request.partition(b"\r\n\r\n")
        path, body = head.split()[1].decode(), json.loads(text or b"{}")
        if not body.get("request", "orderLinkId" in body):
            return self.empty
        ids = [each["orderLinkId"] for each in body["request"]] if path == CREATE_BATCH else [body["orderLinkId"]]
        with self._lock:
            self.sent.append((path, ids))
            if path == CREATE_BATCH:
                self.batches_sent.append((head.decode(), body))
        if path == CREATE_BATCH:
            return self.batch(ids)
        body = {"retCode": 0, "retMsg": "OK", "result": {"orderId": f"o-{ids[0]}", "orderLinkId": ids[0]}}
        return answer(body, headers=left_of(5, ids))

    def place(self, name: str, order: PlannedOrder = ORDER, *, is_exit: bool = False) -> Outcome:
        signature = self.exchange.signature()
        return self.exchange.place(order, client_order_id=name, signature=signature, is_exit=is_exit)

    def all_wait(self) -> None:
        """From here on a second passes until anything more may leave."""
        assert self.place("first") == Accepted(venue_order_id="o-first")
        assert self.place("second") == Accepted(venue_order_id="o-second")
        assert self.sent == [(CREATE, ["first"]), (CREATE_BATCH, ["second"])]
        self.sent.clear()
        self.batches_sent.clear()

    def at_once(self, orders: Mapping[str, PlannedOrder], **more: Any) -> dict[str, Outcome]:
        with ThreadPoolExecutor(len(orders)) as threads:
            placed = {name: threads.submit(self.place, name, order, **more) for name, order in orders.items()}
            return {name: each.result() for name, each in placed.items()}

    @property
    def batches(self) -> list[list[str]]:
        return [ids for path, ids in self.sent if path == CREATE_BATCH]


@pytest.fixture
def stage() -> Iterator[Stage]:
    made = Stage()
    yield made
    made.close()


@pytest.fixture
def at(stage: Stage) -> Exchanges:
    """That batches exist is known."""
    made = Exchanges(stage)
    made.exchange.warm(1)
    return made


def many(count: int, **changes: Any) -> dict[str, PlannedOrder]:
    return {f"id-{number}": replace(ORDER, **changes) for number in range(count)}


def test_what_cannot_go_by_itself_soon_leaves_in_batches_each_order_once(at: Exchanges) -> None:
    at.all_wait()
    found = at.at_once(many(12))
    assert found == {name: Accepted(venue_order_id=f"o-{name}") for name in found}
    assert sorted(name for _, ids in at.sent for name in ids) == sorted(found)
    assert 2 < max(map(len, at.batches)) <= 10


def test_a_batch_is_signed_with_what_ends_first_and_names_its_category_once(at: Exchanges) -> None:
    """What was written down of an attempt says when it can arrive no more: that has to hold of the batch as well."""
    at.all_wait()
    now_ms = at.exchange.now_ms()
    signatures = {
        name: RequestSignature(timestamp_ms=now_ms - number, recv_window_ms=5000 - 100 * number)
        for number, name in enumerate(many(12))
    }

    def place(name: str) -> Outcome:
        return at.exchange.place(ORDER, client_order_id=name, signature=signatures[name], is_exit=False)

    with ThreadPoolExecutor(12) as threads:
        list(threads.map(place, signatures))
    assert max(map(len, at.batches)) > 1
    for head, body in at.batches_sent:
        own = [signatures[each["orderLinkId"]] for each in body["request"]]
        first = min(own, key=lambda each: each.dead_at_ms)
        assert f"X-BAPI-TIMESTAMP: {first.timestamp_ms}" in head
        assert f"X-BAPI-RECV-WINDOW: {first.recv_window_ms}" in head
        assert body["category"] == "linear"
        assert all("category" not in each for each in body["request"])


def test_one_of_a_batch_is_refused_and_the_others_are_not(at: Exchanges) -> None:
    at.all_wait()
    at.batch = lambda ids: accepted(ids, {ids[0]: 110007, ids[-1]: 10016} if len(ids) > 2 else None)
    found = at.at_once(many(12))
    (batch,) = [ids for ids in at.batches if len(ids) > 2]
    poor, uncertain = found.pop(batch[0]), found.pop(batch[-1])
    assert isinstance(poor, OrderRejected)
    assert (poor.code, poor.reason_code) == (110007, "EXCHANGE_BALANCE")
    assert isinstance(uncertain, Unknown)
    assert found == {name: Accepted(venue_order_id=f"o-{name}") for name in found}
    assert len(found) == 10


def test_a_lost_answer_leaves_each_order_of_the_batch_unknown_and_no_other(at: Exchanges) -> None:
    at.all_wait()
    at.batch = lambda ids: b""
    found = at.at_once(many(12))
    in_batches = {name for ids in at.batches for name in ids}
    assert len(in_batches) > 1
    assert {name for name, outcome in found.items() if isinstance(outcome, Unknown)} == in_batches


@pytest.mark.parametrize("whole", [True, False])
def test_an_order_that_the_batches_limit_stops_may_go_again_at_once(at: Exchanges, whole: bool) -> None:
    at.all_wait()
    at.batch = lambda ids: refused(10006) if whole else accepted(ids, dict.fromkeys(ids, 10006))
    found = at.at_once(many(12))
    assert at.batches
    for name in [name for ids in at.batches for name in ids]:
        outcome = found[name]
        assert isinstance(outcome, OrderRejected)
        assert outcome.refusal is ErrorKind.RATE
        assert outcome.retry_at_ms is not None
        assert outcome.retry_at_ms <= at.exchange.now_ms()


def test_a_batch_that_is_refused_as_a_whole_was_the_last_and_its_orders_go_by_themselves(at: Exchanges) -> None:
    at.all_wait()
    at.batch = lambda ids: refused(10032, "not supported here")
    found = at.at_once(many(12))
    in_batches = [found[name] for ids in at.batches for name in ids]
    refusals = [(each.code, each.refusal) for each in in_batches if isinstance(each, OrderRejected)]
    assert refusals == [(10032, ErrorKind.RATE)] * len(in_batches) != []
    at.sent.clear()
    assert all(isinstance(each, Accepted) for each in at.at_once(many(8)).values())
    assert {path for path, _ in at.sent} == {CREATE}


@pytest.mark.parametrize("said", [refused(10032), refused(10005), b"", answer("<html>")])
def test_where_batches_are_not_known_to_exist_none_is_sent(stage: Stage, said: bytes) -> None:
    at = Exchanges(stage)
    at.empty = said
    at.exchange.warm(1)
    at.place("first")
    assert isinstance(at.place("second"), Accepted)
    assert [path for path, _ in at.sent] == [CREATE, CREATE]


def test_who_is_not_made_ready_for_orders_sends_no_batch_to_learn_of_them(at: Exchanges, stage: Stage) -> None:
    before = len(at.server.requests)
    other = stage.exchange(at.server.url)
    assert other.keep_warm() == 1
    asked = at.server.requests[before:]
    assert [each.split()[0] for each in asked] == [b"GET"]


@pytest.mark.parametrize(
    "changes",
    [
        {"slippage_pct": Decimal("0.5")},
        {
            "category": Category.INVERSE,
            "symbol": "BTCUSD",
            "type": OrderType.STOP_MARKET,
            "trigger_price": Decimal(90_000),
            "trigger_rises": False,
        },
    ],
    ids=["slippage", "a trigger of inverse"],
)
def test_an_order_that_has_what_a_batch_cannot_carry_goes_by_itself(at: Exchanges, changes: dict[str, Any]) -> None:
    at.place("first")
    assert isinstance(at.place("second", replace(ORDER, **changes)), Accepted)
    assert [path for path, _ in at.sent] == [CREATE, CREATE]


def test_exits_stand_before_entries_and_categories_apart(at: Exchanges) -> None:
    at.all_wait()
    inverse = replace(ORDER, category=Category.INVERSE, symbol="BTCUSD")
    with ThreadPoolExecutor(10) as threads:
        for number in range(4):
            threads.submit(at.place, f"entry-{number}")
            threads.submit(at.place, f"coin-{number}", inverse)
        for number in range(2):
            threads.submit(at.place, f"exit-{number}", replace(ORDER, reduce_only=True), is_exit=True)
    for ids in at.batches:
        kinds = [name.partition("-")[0] for name in ids]
        assert {"coin"} == set(kinds) or "coin" not in kinds
        assert kinds == sorted(kinds, key=lambda kind: kind != "exit")
    assert len({name for _, ids in at.sent for name in ids}) == 10


def test_who_places_an_order_that_has_to_wait_hears_so_at_once(at: Exchanges) -> None:
    """The sender of an alert is answered then: a second may pass until the order leaves."""
    at.all_wait()
    heard: list[int] = []

    def place(name: str) -> Outcome:
        with when_sent(lambda: heard.append(len(at.sent))):
            return at.place(name)

    with ThreadPoolExecutor(3) as threads:
        assert all(isinstance(each, Accepted) for each in threads.map(place, many(3)))
    assert heard == [0, 0, 0]


def test_orders_that_leave_by_different_leases_leave_apart(at: Exchanges) -> None:
    at.all_wait()
    leases = [AccountLease(name="main", epoch=number, deadline=lease_guard.clock() + 60) for number in (1, 2)]
    leases[0].is_lost = True
    lost, kept = many(4), {f"kept-{number}": ORDER for number in range(4)}

    def place(name: str, lease: AccountLease) -> Outcome | None:
        signature = at.exchange.signature()
        try:
            with lease_guard.holding(lease):
                return at.exchange.place(ORDER, client_order_id=name, signature=signature, is_exit=False)
        except LeaseLost:
            return None

    with ThreadPoolExecutor(8) as threads:
        without = [threads.submit(place, name, leases[0]) for name in lost]
        found = [threads.submit(place, name, leases[1]) for name in kept]
    assert [each.result() for each in without] == [None] * 4
    assert all(isinstance(each.result(), Accepted) for each in found)
    assert {name for _, ids in at.sent for name in ids} == kept.keys()


def said(rows: object, verdicts: object) -> Answer:
    return Answer(code=0, words="OK", result={"list": rows}, headers={}, extra={"list": verdicts})


FINE = {"code": 0, "msg": "OK"}


@pytest.mark.parametrize(
    ("rows", "verdicts"),
    [
        (None, None),
        ("rows", [FINE, FINE]),
        ([{"orderLinkId": "a", "orderId": "1"}], [FINE]),
        ([{"orderLinkId": "a", "orderId": "1"}, {"orderLinkId": "b", "orderId": "2"}], [FINE]),
        ([{"orderLinkId": "a", "orderId": "1"}, {"orderLinkId": "b", "orderId": "2"}], [FINE, "OK"]),
        ([{"orderLinkId": "b", "orderId": "2"}, {"orderLinkId": "a", "orderId": "1"}], [FINE, FINE]),
        ([{"orderLinkId": "a", "orderId": ""}, {"orderId": "2"}], [FINE, FINE]),
        ([None, 7], [FINE, FINE]),
        ([{"orderLinkId": "a", "orderId": "1"}] * 2, [{"code": "0"}, {"msg": "OK"}]),
        (
            [{"orderLinkId": "a", "orderId": "1"}, {"orderLinkId": "b", "orderId": "2"}],
            [{"code": False}, {"code": None}],
        ),
    ],
)
def test_an_answer_that_does_not_say_whose_is_what_says_nothing(rows: object, verdicts: object) -> None:
    assert all(isinstance(each, Unknown) for each in judged(["a", "b"], said(rows, verdicts)))


def test_of_an_answer_each_order_is_told_its_own() -> None:
    rows = [
        {"orderLinkId": "a", "orderId": "1"},
        {"orderLinkId": "", "orderId": ""},
        {"orderLinkId": "c", "orderId": ""},
    ]
    verdicts = [FINE, {"code": 10001, "msg": "Qty invalid"}, {"code": 110072, "msg": "known"}]
    first, second, third = judged(["a", "b", "c"], said(rows, verdicts))
    assert first == Accepted(venue_order_id="1")
    assert isinstance(second, OrderRejected)
    assert (second.code, second.refusal, second.words) == (10001, ErrorKind.RULES, "Qty invalid")
    assert isinstance(third, OrderRejected)
    assert third.refusal is ErrorKind.ALREADY_THERE
