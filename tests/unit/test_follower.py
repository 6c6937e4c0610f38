"""The threads beside the lanes: no one order and no one surprise keeps them from all the others."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import nullcontext
from decimal import Decimal
from typing import Any, cast
from unittest.mock import patch

import pytest

from relay.app.engines import PeriodicJobs
from relay.app.wiring import BringUps
from relay.bybit.client import Exchange
from relay.bybit.market import Market
from relay.domain.instrument import Category
from relay.domain.order import (
    Accepted,
    ErrorKind,
    OrderRejected,
    OrderStatus,
    Purpose,
    Reason,
    RequestSignature,
    Side,
    SignalStatus,
    Unknown,
)
from relay.domain.order_lifecycle import Bounds
from relay.domain.position import OrderReport
from relay.domain.progress import UNCLEARED
from relay.domain.signal import new_signal_id
from relay.errors import ExchangeAnswered, ExchangeUnreachable
from relay.execution.controls import Controls
from relay.execution.follow import Follower
from relay.execution.ports import Account
from relay.journal.opening import open_journal
from tests.property.workshop import Workshop, body_of
from tests.unit.journal_builders import NOW_MS, accepted, fill, new_signal, planned, report, sent_order

DEADLINE_S = 60
JUST_QUIET_MS = 61_000


@pytest.fixture
def shop(journal_url: str) -> Iterator[Workshop]:
    journal = open_journal(journal_url)
    yield Workshop(journal)
    journal.close()


def resting(shop: Workshop, *prices: str) -> list[str]:
    """Entry limits that rest, by client order id, in the order in which the follower asks for them."""
    shop.open()
    for price in prices:
        shop.take(body_of(action="buy", ticker="BTCUSDT.P", qty="1", type="limit", price=price))
        while ready := shop.engine.ready():
            shop.engine.step(ready[0])
    return [each.state.client_order_id for each in shop.journal.open_orders()]


def status_of(shop: Workshop, client_order_id: str) -> OrderStatus:
    order = shop.journal.order(client_order_id)
    assert order is not None
    return order.state.status


@pytest.mark.parametrize("error", [ExchangeAnswered(10001, "odd"), ValueError("odd")])
def test_an_order_that_cannot_be_requested_for_does_not_keep_the_others_from_being_followed(
    shop: Workshop, error: Exception
) -> None:
    bad, good = resting(shop, "40000", "41000")
    shop.exchange.fill(good)
    ask = shop.exchange.look_up

    def look_up(*, category: Category, symbol: str, client_order_id: str) -> OrderReport | None:
        if client_order_id == bad:
            raise error
        return ask(category=category, symbol=symbol, client_order_id=client_order_id)

    with patch.object(shop.exchange, "look_up", look_up):
        assert shop.follower.round() == 1
    assert status_of(shop, good) is OrderStatus.FILLED


def test_a_silent_exchange_is_requested_once_in_a_round_and_the_next_one_begins_with_the_others(shop: Workshop) -> None:
    first, second = resting(shop, "40000", "41000")
    requested: list[str] = []

    def silent(*, category: Category, symbol: str, client_order_id: str) -> OrderReport | None:
        requested.append(client_order_id)
        raise ExchangeUnreachable("silence")

    with patch.object(shop.exchange, "look_up", silent):
        for _ in range(2):
            assert shop.follower.round() == 0
    assert requested == [first, second]


def test_an_order_that_was_acknowledged_and_then_given_up_is_followed_once_it_is_quiet(shop: Workshop) -> None:
    shop.open()
    shop.clock.now_ms = NOW_MS
    signal_id, client_id = sent_order(shop.journal)
    signature = RequestSignature(timestamp_ms=NOW_MS, recv_window_ms=1000)
    shop.exchange.place(planned(), client_order_id=client_id, signature=signature, is_exit=False)
    shop.journal.record_outcome(client_id, 1, Accepted(venue_order_id="v-1"), now_ms=NOW_MS)
    shop.journal.finish(signal_id, "main", SignalStatus.ATTENTION, now_ms=NOW_MS)
    assert status_of(shop, client_id) is OrderStatus.ACCEPTED
    assert shop.follower.round() == 0, "its lane may still be at it"
    shop.clock.now_ms = NOW_MS + JUST_QUIET_MS
    assert shop.follower.round() == 1
    assert status_of(shop, client_id) is OrderStatus.FILLED


def signal_of(shop: Workshop, signal_id: str) -> dict[str, Any]:
    signal = shop.journal.signal(signal_id)
    assert signal is not None
    return signal


def incomplete_exit(shop: Workshop) -> str:
    """A short of two, of which a close bought back one before the exchange ended it: a person must look."""
    close = planned(
        qty=Decimal(2), exit_qty=Decimal(2), side=Side.BUY, purpose=Purpose.EXIT, reduce_only=True, replaces_leg=None
    )
    shop.exchange.sizes["BTCUSDT"] = Decimal(-1)
    signal_id, client_id = sent_order(shop.journal, close)
    cut = report(client_id, OrderStatus.CANCELED, "1")
    shop.journal.record_report(client_id, cut, (fill(client_id, qty="1"),), now_ms=NOW_MS)
    reason = Reason(code="POSITION_REMAINS", message="1 remains open")
    shop.journal.finish(signal_id, "main", SignalStatus.ATTENTION, reason, now_ms=NOW_MS)
    return signal_id


def test_an_incomplete_exit_needs_a_person_for_as_long_as_its_position_is_open(shop: Workshop) -> None:
    shop.open()
    signal_id = incomplete_exit(shop)
    shop.follower.round()
    assert signal_of(shop, signal_id)["status"] == "attention"
    shop.exchange.sizes["BTCUSDT"] = Decimal(0)
    shop.follower.round()
    signal = signal_of(shop, signal_id)
    assert (signal["status"], signal["reason"]) == ("done", None)
    assert signal["events"][-1]["name"] == "done"
    assert any(note.startswith("settled") for note in signal["notes"])


def test_what_an_order_in_doubt_came_to_is_left_to_its_look_ups(shop: Workshop) -> None:
    shop.open()
    signal_id, client_id = sent_order(shop.journal)
    shop.journal.record_outcome(client_id, 1, Unknown(why="cut"), now_ms=NOW_MS)
    shop.journal.finish(signal_id, "main", SignalStatus.ATTENTION, None, now_ms=NOW_MS)
    shop.follower.round()
    assert signal_of(shop, signal_id)["status"] == "attention"


def test_orders_that_could_not_be_cleared_need_a_person_until_they_have_ended(shop: Workshop) -> None:
    (resting_id,) = resting(shop, "40000")
    signal_id = accepted(shop.journal, new_signal(id=new_signal_id(shop.clock.now_ms + 1)))
    shop.journal.write(lambda uow: uow.signals.begin(signal_id, "main", now_ms=NOW_MS))
    reason = Reason(code=UNCLEARED, message="an order still rests")
    shop.journal.finish(signal_id, "main", SignalStatus.ATTENTION, reason, now_ms=NOW_MS)
    shop.follower.round()
    assert signal_of(shop, signal_id)["status"] == "attention"
    shop.exchange.cancel(category=Category.LINEAR, symbol="BTCUSDT", client_order_id=resting_id)
    shop.follower.round()
    shop.follower.round()
    assert signal_of(shop, signal_id)["status"] == "done"


def test_a_resting_order_that_ends_without_a_fill_says_so_of_its_signal(shop: Workshop) -> None:
    (resting_id,) = resting(shop, "40000")
    record = shop.journal.order(resting_id)
    assert record is not None and signal_of(shop, record.signal_id)["reason"] is None
    shop.exchange.cancel(category=Category.LINEAR, symbol="BTCUSDT", client_order_id=resting_id)
    shop.follower.round()
    signal = signal_of(shop, record.signal_id)
    assert (signal["status"], signal["reason"]["code"]) == ("done", "NOTHING_FILLED")
    assert "nothing was bought" in signal["reason"]["message"]
    names = [event["name"] for event in signal["events"]]
    assert names.count("done") == 1 and names[-1] == "reason_known", "it came to an end once"


class _Discrepancy:
    """Raises what nobody thought of, again and again; `again` is set once it was called after that."""

    def __init__(self) -> None:
        self.calls = 0
        self.again = threading.Event()

    def __call__(self, *given: object) -> Any:
        self.calls += 1
        if self.calls > 1:
            self.again.set()
        raise ValueError("a value that nobody thought of")


def test_the_follower_outlives_what_nobody_thought_of(shop: Workshop) -> None:
    discrepancy = _Discrepancy()
    account = Account(name="main", exchange=shop.exchange, market=shop.market, bounds=Bounds())
    with patch.object(shop.journal, "open_orders", discrepancy):
        follower = Follower(journal=shop.journal, accounts={"main": account}, every_s=0.001)
        follower.start()
        assert discrepancy.again.wait(DEADLINE_S)
        follower.stop()


def test_upkeep_outlives_what_nobody_thought_of() -> None:
    class Odd:
        keep_warm = _Discrepancy()

        def measure_clock(self) -> int:
            return 0

    odd = Odd()
    with patch("relay.app.engines.KEEP_WARM_S", 0.001):
        periodic_jobs = PeriodicJobs(markets={"main": Market()}, exchanges={"main": cast(Exchange, odd)})
    periodic_jobs.start()
    assert odd.keep_warm.again.wait(DEADLINE_S)
    periodic_jobs.stop()


def controls_of(shop: Workshop, *, is_owner: bool) -> Controls:
    unused: Any = None
    return Controls(
        journal=shop.journal,
        intake=unused,
        runner=unused,
        accounts=cast(Any, shop.follower)._accounts,
        strategies={},
        acting_for=lambda account: nullcontext() if is_owner else None,
    )


def cancel_by_hand(shop: Workshop, client_order_id: str, *, is_owner: bool) -> str | None:
    order = shop.journal.order(client_order_id)
    assert order is not None
    return controls_of(shop, is_owner=is_owner).cancel_order(order, by="a person")


def cancels_of(shop: Workshop, client_order_id: str) -> list[str]:
    """What the signal's page shows of it."""
    order = shop.journal.order(client_order_id)
    assert order is not None
    events = signal_of(shop, order.signal_id)["events"]
    return [each["name"] for each in events if each["name"].startswith("cancel")]


def test_what_a_person_cancels_in_a_process_that_does_not_own_the_account_is_cancelled_by_the_owner(
    shop: Workshop,
) -> None:
    cancelled, stays = resting(shop, "40000", "41000")
    with patch.object(shop.exchange, "cancel", side_effect=AssertionError("the account is another process's")):
        assert "owns the account" in str(cancel_by_hand(shop, cancelled, is_owner=False))
    assert cancels_of(shop, cancelled) == ["cancel_asked_for"]
    shop.follower.round()
    assert (status_of(shop, cancelled), status_of(shop, stays)) == (OrderStatus.CANCELED, OrderStatus.ACCEPTED)
    assert cancels_of(shop, cancelled) == ["cancel_asked_for", "cancel_answered"]


def test_a_cancel_by_hand_is_sent_again_until_the_exchange_has_answered_it(shop: Workshop) -> None:
    (order,) = resting(shop, "40000")
    with patch.object(shop.exchange, "cancel", return_value=Unknown(why="silence")) as sent:
        assert "not known yet" in str(cancel_by_hand(shop, order, is_owner=True))
        shop.follower.round()
        assert sent.call_count == 2
    refused = OrderRejected(code=1, words="not now", refusal=ErrorKind.FINAL)
    with patch.object(shop.exchange, "cancel", return_value=refused) as sent:
        for _ in range(2):
            shop.follower.round()
        assert sent.call_count == 1, "what it has refused is not asked for again by itself"
    assert cancel_by_hand(shop, order, is_owner=True) is None
    shop.follower.round()
    assert status_of(shop, order) is OrderStatus.CANCELED


def test_accounts_are_brought_up_a_few_at_a_time() -> None:
    turns, log, both, leave = BringUps(at_once=2, slow_s=3600), list[str](), threading.Barrier(3), threading.Event()

    def first(name: str) -> None:
        with turns.taken_by(name):
            both.wait(DEADLINE_S)
            leave.wait(DEADLINE_S)
            log.append(f"{name} ends")

    def late() -> None:
        with turns.taken_by("late"):
            log.append("late begins")

    threads = [threading.Thread(target=first, args=(name,)) for name in ("one", "two")]
    threads.append(threading.Thread(target=late))
    for each in threads[:2]:
        each.start()
    both.wait(DEADLINE_S)
    threads[2].start()
    leave.set()
    for each in threads:
        each.join(DEADLINE_S)
    assert log.index("late begins") > 0


def test_an_account_whose_exchange_is_slow_keeps_no_other_from_being_brought_up() -> None:
    turns = BringUps(at_once=1, slow_s=0.0)
    with turns.taken_by("slow"), turns.taken_by("quick"):
        pass


def test_where_much_was_sent_already_accounts_are_brought_up_one_after_the_other() -> None:
    asked = list[bool]()

    def is_busy() -> bool:
        asked.append(True)
        return len(asked) < 3

    turns = BringUps(slow_s=3600)
    with turns.taken_by("one", is_busy):
        assert asked == [], "one is brought up in any case"
        with turns.taken_by("two", is_busy):
            assert len(asked) == 3
