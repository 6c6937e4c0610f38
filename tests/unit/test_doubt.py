"""Orders of which nobody can tell at once whether they are at the exchange: what is done about them, and when."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from relay.domain.instrument import Category
from relay.domain.order import OrderStatus, Unknown
from relay.journal.opening import open_journal
from tests.property.model_exchange import Fault
from tests.property.workshop import MAX_AGE_S, Workshop, body_of

LOST = Fault("request_lost", wait_ms=3000)
NO_REPLY = Fault("reply_lost", wait_ms=3000)


@pytest.fixture
def shop(journal_url: str) -> Iterator[Workshop]:
    journal = open_journal(journal_url)
    shop = Workshop(journal)
    shop.open()
    yield shop
    journal.close()


def take(shop: Workshop, **alert: str) -> str:
    return shop.take(body_of(ticker="BTCUSDT.P", **alert)).signal_id


def work(shop: Workshop, *, until_ms: int | None = None) -> None:
    """Until nothing is left to do, or until then."""
    while until_ms is None or shop.clock.now_ms < until_ms:
        if ready := shop.engine.ready():
            shop.engine.step(ready[0])
        elif not shop.wait_for_a_lane():
            return


def send(shop: Workshop, **alert: str) -> str:
    """Take it, and let its first order leave."""
    signal_id, before = take(shop, **alert), len(shop.exchange.sends)
    while len(shop.exchange.sends) == before:
        shop.engine.step(shop.engine.ready()[0])
    return signal_id


def give_up(shop: Workshop) -> None:
    """No question is answered until the outcome counts as unknown; most of that time nobody is there to ask."""
    shop.exchange.silent_asks = 10_000
    shop.clock.pass_ms(15 * 60_000 - 30_000)
    work(shop)


def signal(shop: Workshop, signal_id: str) -> dict[str, Any]:
    found = shop.journal.signal(signal_id)
    assert found is not None
    return found


def hide_what_comes(shop: Workshop) -> None:
    """No question by its id finds an order that the exchange takes from now on."""
    take_order = shop.exchange._take

    def hidden(client_order_id: str, *rest: Any) -> Any:
        shop.exchange.hidden.add(client_order_id)
        return take_order(client_order_id, *rest)

    shop.exchange._take = hidden  # type: ignore[assignment, method-assign]


def follow(shop: Workshop, seconds: int, *, every_s: int = 2) -> int:
    """Rounds of the follower; after how many seconds something was new."""
    for passed_s in range(0, seconds, every_s):
        if shop.follower.round():
            return passed_s
        shop.clock.pass_ms(every_s * 1000)
    raise AssertionError(f"nothing new in {seconds} s")


def test_an_old_entry_that_filled_unseen_is_not_called_expired_while_look_ups_lag(shop: Workshop) -> None:
    hide_what_comes(shop)
    shop.exchange.faults.append(NO_REPLY)
    begun_ms = shop.clock.now_ms
    signal_id = send(shop, action="buy", qty="0.01")
    shop.controls.halt(by="a test")
    work(shop, until_ms=begun_ms + 40_000)
    assert signal(shop, signal_id)["status"] == "executing"
    shop.exchange.hidden.clear()
    work(shop)
    assert signal(shop, signal_id)["status"] == "done"


def test_a_resting_entry_that_no_look_up_shows_for_a_minute_is_not_opened_a_second_time(shop: Workshop) -> None:
    """It moves no position, so only the look-ups tell of it."""
    shop.exchange.lag_ms = 60_000
    shop.exchange.faults.append(NO_REPLY)
    signal_id = send(shop, action="buy", qty="0.01", type="limit", price="40000")
    shop.controls.halt(by="a test")
    work(shop)
    assert signal(shop, signal_id)["status"] == "done"
    assert signal(shop, signal_id)["orders"][0]["status"] == OrderStatus.ACCEPTED


@pytest.mark.parametrize("is_there", [True, False], ids=["filled unseen", "never arrived"])
def test_an_unknown_limit_entry_that_an_exit_cancels_is_not_taken_for_cancelled_without_a_fill(
    shop: Workshop, is_there: bool
) -> None:
    """The exchange answers the cancel with "not there" in either case, and its look-ups lag."""
    shop.exchange.lag_ms = 60_000
    shop.exchange.faults.append(NO_REPLY if is_there else LOST)
    entry = send(shop, action="buy", qty="0.01", type="limit", price="60000")
    for name in tuple(shop.exchange.orders):
        shop.exchange.fill(name)
    shop.controls.halt(by="a test")
    close = take(shop, action="close")
    work(shop)
    assert (signal(shop, close)["status"], shop.exchange.sizes["BTCUSDT"]) == ("done", Decimal(0))
    follow(shop, 200)
    found = signal(shop, entry)
    if is_there:
        assert (found["status"], found["orders"][0]["status"], found["orders"][0]["filled_qty"]) == (
            "done",
            "filled",
            "0.01",
        )
    else:
        assert (found["status"], found["orders"][0]["status"]) == ("failed", "denied")


def test_an_order_whose_end_was_found_behind_its_lanes_back_is_not_sent_again(shop: Workshop) -> None:
    """The lane's look-up found nothing, and before it sends again the follower's finds the fill."""
    hide_what_comes(shop)
    shop.exchange.faults.append(NO_REPLY)
    entry = send(shop, action="buy", qty="0.01")
    (name,) = shop.exchange.orders
    begun_ms, before = shop.clock.now_ms, len(shop.exchange.sends)
    while shop.clock.now_ms < begun_ms + 70_000 and len(shop.exchange.sends) == before:
        shop.exchange.hidden.discard(name)
        found = shop.exchange.look_up(category=Category.LINEAR, symbol="BTCUSDT", client_order_id=name)
        shop.exchange.hidden.add(name)
        assert found is not None
        shop.journal.record_report(name, found, (), now_ms=shop.clock.now_ms)
        if ready := shop.engine.ready():
            shop.engine.step(ready[0])
        elif not shop.wait_for_a_lane():
            break
    assert len(shop.exchange.sends) == before
    assert signal(shop, entry)["status"] == "done"


def test_the_resend_of_an_entry_that_certainly_never_arrived_is_executed(shop: Workshop) -> None:
    shop = Workshop(shop.journal, max_age_s=3600)
    shop.open()
    alert = {"action": "long", "qty": "0.01", "id": "7", "time": shop.clock.now().isoformat()}
    shop.exchange.faults.append(LOST)
    signal_id = send(shop, **alert)
    shop.controls.halt(by="a test")
    work(shop)
    assert signal(shop, signal_id)["status"] == "denied"
    shop.controls.resume(by="a test")
    assert take(shop, **alert) == signal_id
    work(shop)
    assert (signal(shop, signal_id)["status"], shop.exchange.sizes["BTCUSDT"]) == ("done", Decimal("0.01"))
    assert [each["status"] for each in signal(shop, signal_id)["orders"]] == ["denied", "filled"]


def test_what_is_found_after_it_was_held_to_be_absent_overrules_that(shop: Workshop) -> None:
    hide_what_comes(shop)
    shop.exchange.faults.append(NO_REPLY)
    signal_id = send(shop, action="long", qty="0.01")
    shop.controls.halt(by="a test")
    while signal(shop, signal_id)["status"] == "executing":
        shop.exchange.changed_at_ms.clear()
        work(shop, until_ms=shop.clock.now_ms + 1000)
    assert signal(shop, signal_id)["status"] == "denied"
    shop.exchange.hidden.clear()
    assert follow(shop, 60) == 0
    found = signal(shop, signal_id)
    assert found["status"] == "done" and found["orders"][0]["status"] == OrderStatus.FILLED
    assert found["orders"][0]["filled_qty"] == "0.01"
    assert any("0.01 of it filled" in note for note in found["notes"])


def test_an_entry_whose_fallback_waits_is_not_doubled_by_it(shop: Workshop) -> None:
    take(shop, action="sell", qty="1")
    work(shop)
    hide_what_comes(shop)
    shop.exchange.faults.append(NO_REPLY)
    begun_ms = shop.clock.now_ms
    send(shop, action="buy", qty="0.4")
    shop.controls.halt(by="a test")
    work(shop, until_ms=begun_ms + 60_000)
    assert shop.exchange.sizes["BTCUSDT"] == Decimal("-0.6")
    shop.exchange.hidden.clear()
    work(shop)
    assert shop.exchange.sizes["BTCUSDT"] == Decimal("-0.6")


def test_an_order_that_never_arrived_is_settled_soon_after_the_exchange_is_back(shop: Workshop) -> None:
    shop.exchange.faults += [LOST] * 20
    signal_id = send(shop, action="long", qty="0.01")
    give_up(shop)
    assert signal(shop, signal_id)["reason"]["code"] == "OUTCOME_UNKNOWN"
    shop.clock.pass_ms(MAX_AGE_S * 1000)
    shop.exchange.silent_asks = 0
    assert follow(shop, 120) <= 75
    found = signal(shop, signal_id)
    assert found["orders"][0]["status"] == OrderStatus.DENIED
    assert (found["status"], found["reason"]["code"]) == ("failed", "EXCHANGE_UNREACHABLE")
    assert not shop.journal.open_orders()


def test_a_funding_or_a_changed_stop_does_not_hold_up_the_settling_of_what_never_arrived(shop: Workshop) -> None:
    take(shop, action="buy", qty="1")
    work(shop)
    shop.exchange.faults += [LOST] * 20
    signal_id = send(shop, action="long", qty="2")
    give_up(shop)
    shop.clock.pass_ms(MAX_AGE_S * 1000)
    shop.exchange.silent_asks = 0
    shop.exchange.changed_at_ms["BTCUSDT"] = shop.clock.now_ms
    assert follow(shop, 120) <= 75
    assert signal(shop, signal_id)["status"] == "failed"


@pytest.mark.parametrize("is_stopped", [True, False], ids=["and stopped out again", "in part by hand"])
def test_a_position_that_has_moved_holds_up_what_would_settle_an_order_as_absent(
    shop: Workshop, is_stopped: bool
) -> None:
    take(shop, action="buy", qty="1")
    work(shop)
    shop.exchange.faults += [LOST] * 20
    signal_id = send(shop, action="long", qty="2")
    give_up(shop)
    shop.clock.pass_ms(MAX_AGE_S * 1000)
    shop.exchange.silent_asks = 0
    shop.exchange.changed_at_ms["BTCUSDT"] = shop.clock.now_ms
    if is_stopped:
        shop.exchange.stopped_at["BTCUSDT"] = shop.clock.now_ms
    else:
        shop.exchange.sizes["BTCUSDT"] -= Decimal("0.5")
    assert follow(shop, 900, every_s=15) > 500
    assert signal(shop, signal_id)["status"] == "failed"


def test_an_order_whose_id_the_exchange_knows_is_never_settled_as_absent(shop: Workshop) -> None:
    hide_what_comes(shop)
    shop.exchange.faults.append(NO_REPLY)
    signal_id = take(shop, action="buy", qty="0.01")
    work(shop)
    assert signal(shop, signal_id)["reason"]["code"] == "OUTCOME_UNKNOWN"
    shop.exchange.changed_at_ms.clear()
    for _ in range(40):
        shop.clock.pass_ms(50_000)
        assert shop.follower.round() == 0
    shop.exchange.hidden.clear()
    assert shop.follower.round() == 1
    assert signal(shop, signal_id)["status"] == "done"


def test_an_exit_passes_an_entry_whose_outcome_is_unknown_once_that_can_no_longer_arrive(shop: Workshop) -> None:
    take(shop, action="buy", qty="1")
    work(shop)
    shop.exchange.faults.append(LOST)
    entry_id = send(shop, action="buy", qty="0.5")
    shop.exchange.silent_lookups = True
    begun_ms = shop.clock.now_ms
    close_id = take(shop, action="close")
    work(shop, until_ms=begun_ms + 10_000)
    assert shop.exchange.sizes["BTCUSDT"] == 0
    assert signal(shop, entry_id)["reason"]["code"] == "OUTCOME_UNKNOWN"
    assert len(signal(shop, entry_id)["orders"]) == 1
    assert [each["name"] for each in signal(shop, entry_id)["events"]].count("order_submitted") == 1
    shop.exchange.silent_lookups = False
    work(shop)
    assert signal(shop, close_id)["status"] == "done"
    follow(shop, 120)
    found = signal(shop, entry_id)
    assert (found["status"], found["reason"]["code"]) == ("failed", "EXCHANGE_UNREACHABLE")
    for words in ("never arrived at the exchange", "nothing of it is there", "not sent again because an exit was wait"):
        assert words in found["reason"]["message"]
    assert [each["name"] for each in found["events"] if each["name"] in ("attention", "failed")] == [
        "attention",
        "failed",
    ]


def test_an_exit_passes_an_acknowledged_market_order_whose_end_nobody_tells(shop: Workshop) -> None:
    entry_id = send(shop, action="buy", qty="1")
    shop.exchange.silent_lookups = True
    begun_ms = shop.clock.now_ms
    close_id = take(shop, action="close")
    work(shop, until_ms=begun_ms + 10_000)
    assert shop.exchange.sizes["BTCUSDT"] == 0
    shop.exchange.silent_lookups = False
    work(shop)
    shop.clock.pass_ms(61_000)
    shop.follower.round()
    for signal_id in (entry_id, close_id):
        assert signal(shop, signal_id)["status"] == "done"


def held_with_resting_entries(shop: Workshop) -> None:
    take(shop, action="buy", qty="1")
    for price in ("40000", "41000"):
        work(shop)
        take(shop, action="buy", qty="1", type="limit", price=price)
    work(shop)


def test_an_exit_goes_soon_after_its_cancels_were_answered_though_no_look_up_tells_what_they_came_to(
    shop: Workshop,
) -> None:
    held_with_resting_entries(shop)
    shop.exchange.silent_lookups = True
    begun_ms = shop.clock.now_ms
    take(shop, action="close")
    work(shop, until_ms=begun_ms + 9_000)
    assert shop.exchange.sizes["BTCUSDT"] == 0
    assert not any(each.rests for each in shop.exchange.orders.values())


def test_an_exit_goes_soon_though_what_rests_is_seen_to_rest_on_and_no_cancel_is_answered(shop: Workshop) -> None:
    held_with_resting_entries(shop)
    shop.exchange.cancel = lambda **which: Unknown(why="no answer")  # type: ignore[method-assign]
    begun_ms = shop.clock.now_ms
    close_id = take(shop, action="close")
    work(shop, until_ms=begun_ms + 9_000)
    assert shop.exchange.sizes["BTCUSDT"] == 0
    work(shop)
    found = signal(shop, close_id)
    assert (found["status"], found["reason"]["code"]) == ("attention", "CANCEL_INCOMPLETE")


def test_an_exit_waits_for_its_cancels_while_the_exchange_answers_nothing_at_all(shop: Workshop) -> None:
    held_with_resting_entries(shop)
    begun_ms = shop.clock.now_ms
    shop.exchange.cancel, cancel = (lambda **which: Unknown(why="no answer")), shop.exchange.cancel  # type: ignore[method-assign]
    shop.exchange.silent_lookups = True
    close_id = take(shop, action="close")
    work(shop, until_ms=begun_ms + 60_000)
    shop.exchange.cancel = cancel  # type: ignore[method-assign]
    shop.exchange.silent_lookups = False
    work(shop)
    assert signal(shop, close_id)["status"] == "done"
    assert shop.exchange.sizes["BTCUSDT"] == 0


def test_an_entry_waits_behind_one_that_is_unknown(shop: Workshop) -> None:
    shop.exchange.faults.append(LOST)
    send(shop, action="buy", qty="0.5")
    shop.exchange.silent_lookups = True
    begun_ms = shop.clock.now_ms
    second_id = take(shop, action="buy", qty="0.25")
    work(shop, until_ms=begun_ms + 60_000)
    assert signal(shop, second_id)["status"] == "accepted"


def test_an_entry_whose_facts_were_being_read_when_a_halt_was_answered_does_not_leave(shop: Workshop) -> None:
    read = shop.exchange.position

    def halted_meanwhile(**which: Any) -> Any:
        found = read(**which)
        shop.controls.halt(by="a test")
        return found

    shop.exchange.position = halted_meanwhile  # type: ignore[method-assign]
    signal_id = take(shop, action="long", qty="1")
    work(shop)
    assert shop.exchange.sends == []
    assert (signal(shop, signal_id)["status"], signal(shop, signal_id)["reason"]["code"]) == ("denied", "HALTED")


def test_an_entry_that_was_to_be_sent_again_when_a_halt_was_answered_does_not_leave(shop: Workshop) -> None:
    shop.exchange.faults.append(Fault("connection_refused"))
    signal_id = send(shop, action="long", qty="1")
    signature = shop.exchange.signature

    def halted_meanwhile() -> Any:
        shop.controls.halt(by="a test")
        return signature()

    shop.exchange.signature = halted_meanwhile  # type: ignore[method-assign]
    work(shop)
    assert len(shop.exchange.sends) == 1
    assert signal(shop, signal_id)["reason"]["code"] == "HALTED"
