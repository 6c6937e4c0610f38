"""A person has looked at a signal that needed one."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from relay.domain.order import Accepted, Reason, SignalStatus, Unknown
from relay.errors import SignalNotSeen
from relay.journal.engine_queries import LimitQueries
from relay.journal.opening import open_journal
from tests.property.workshop import Workshop
from tests.unit.journal_builders import NOW_MS, SIGNATURE, planned, sent_order

IN_DOUBT = Reason(code="OUTCOME_UNKNOWN", message="no answer, and no look-up tells")
LATER_MS = SIGNATURE.dead_at_ms + 60_000


@pytest.fixture
def shop(journal_url: str) -> Iterator[Workshop]:
    journal = open_journal(journal_url)
    shop = Workshop(journal)
    shop.open()
    shop.clock.now_ms = LATER_MS
    yield shop
    journal.close()


def in_doubt(shop: Workshop) -> tuple[str, str]:
    """The ids of a signal that needs a person, and of its order, of which nobody knows whether it arrived."""
    signal_id, client_id = sent_order(shop.journal)
    shop.journal.record_outcome(client_id, 1, Unknown(why="the line was cut"), now_ms=NOW_MS)
    shop.journal.finish(signal_id, "main", SignalStatus.ATTENTION, IN_DOUBT, now_ms=NOW_MS)
    return signal_id, client_id


def shown(shop: Workshop, signal_id: str) -> dict[str, Any]:
    signal = shop.journal.signal(signal_id)
    assert signal is not None
    return signal


def needing(shop: Workshop) -> list[str]:
    return [each["id"] for each in shop.journal.signals(needs_a_person=True).signals]


def test_what_was_seen_needs_nobody_until_it_calls_again(shop: Workshop) -> None:
    first, second = in_doubt(shop)[0], in_doubt(shop)[0]
    shop.controls.seen(second, note="the other side owes an answer", by="tests")
    assert needing(shop) == [first]
    signal = shown(shop, second)
    assert signal["status"] == "attention" and signal["events"][-1]["name"] == "signal_seen"
    assert (signal["seen"]["by"], signal["seen"]["note"]) == ("tests", "the other side owes an answer")
    stops = Reason(code="STOPS_INCOMPLETE", message="the stop is not in place")
    shop.journal.finish(second, "main", SignalStatus.ATTENTION, stops, now_ms=NOW_MS)
    assert needing(shop) == [second, first] and "seen" not in shown(shop, second)


def test_the_list_that_begins_with_what_needs_a_person_goes_on_with_all_others(shop: Workshop) -> None:
    ids = [in_doubt(shop)[0] for _ in range(5)]
    for each in (ids[1], ids[4]):
        shop.controls.seen(each, note="", by="tests")
    found, cursor = [], None
    for _ in range(5):
        page = shop.journal.signals(limit=1, cursor=cursor, attention_first=True)
        found += [each["id"] for each in page.signals]
        cursor = page.next_cursor
    assert found == [ids[3], ids[2], ids[0], ids[4], ids[1]] and cursor is None


def test_a_person_who_found_nothing_placed_takes_the_order_out_of_the_limits(shop: Workshop) -> None:
    signal_id, _ = in_doubt(shop)
    assert LimitQueries(shop.journal.store).working_orders("main")
    shop.controls.seen(signal_id, note="", by="tests", nothing_placed=True)
    assert not LimitQueries(shop.journal.store).working_orders("main")
    assert shown(shop, signal_id)["orders"][0]["status"] == "denied"
    shop.follower.round()
    assert shown(shop, signal_id)["status"] == "failed", "nothing is in doubt any more"


def test_a_fill_that_is_found_later_overrules_who_found_nothing_placed(shop: Workshop) -> None:
    signal_id, client_id = in_doubt(shop)
    shop.controls.seen(signal_id, note="", by="tests", nothing_placed=True)
    shop.exchange.place(planned(), client_order_id=client_id, signature=shop.exchange.signature(), is_exit=False)
    shop.follower.round()
    assert shown(shop, signal_id)["orders"][0]["status"] == "filled"
    assert shown(shop, signal_id)["status"] == "done"


def test_an_order_that_the_exchange_shows_was_placed_whoever_says_otherwise(shop: Workshop) -> None:
    signal_id, client_id = in_doubt(shop)
    sent = shop.exchange.place(planned(), client_order_id=client_id, signature=shop.exchange.signature(), is_exit=False)
    assert isinstance(sent, Accepted)
    with pytest.raises(SignalNotSeen, match="the exchange has"):
        shop.controls.seen(signal_id, note="", by="tests", nothing_placed=True)
    assert needing(shop) == [signal_id]


def test_a_position_that_moved_since_speaks_against_nothing_placed(shop: Workshop) -> None:
    signal_id, _ = in_doubt(shop)
    shop.exchange.sizes["BTCUSDT"], shop.exchange.changed_at_ms["BTCUSDT"] = Decimal("0.010"), NOW_MS + 1
    with pytest.raises(SignalNotSeen, match="position of BTCUSDT has changed"):
        shop.controls.seen(signal_id, note="", by="tests", nothing_placed=True)


def test_what_may_still_arrive_is_not_called_absent(shop: Workshop) -> None:
    signal_id, _ = in_doubt(shop)
    shop.clock.now_ms = SIGNATURE.dead_at_ms
    with pytest.raises(SignalNotSeen, match="may still arrive"):
        shop.controls.seen(signal_id, note="", by="tests", nothing_placed=True)


def test_an_exchange_that_does_not_answer_shows_nothing(shop: Workshop) -> None:
    signal_id, _ = in_doubt(shop)
    shop.exchange.silent_asks = 1
    with pytest.raises(SignalNotSeen, match="main cannot be read"):
        shop.controls.seen(signal_id, note="", by="tests", nothing_placed=True)
    assert shown(shop, signal_id)["orders"][0]["status"] == "submitted"
