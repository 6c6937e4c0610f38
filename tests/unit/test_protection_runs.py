"""A bracket's run in its lane: what is told of it, and what the relay's own cancels count as."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from relay.domain.instrument import Category
from relay.domain.order import OrderStatus, Purpose
from relay.engine.lanes import Lane
from relay.execution.orders import Clearing
from relay.execution.work import Work
from relay.journal.journal import Journal
from tests.builders import rules, signal
from tests.unit.journal_builders import NOW_MS, limit, new_signal, report, sent_order
from tests.unit.test_silent_account import ETH, Shop


@pytest.fixture
def shop(journal: Journal) -> Shop:
    return Shop(journal)


def run(shop: Shop, symbol: str) -> None:
    lane = Lane(account="live", category=Category.LINEAR, symbol=symbol)
    shop.protection.submit(lane)
    while lane in shop.engine.lanes:
        shop.clock.now_ms = max(shop.clock.now_ms, shop.engine.due_ms.get(lane, 0))
        shop.engine.step(lane)


def test_what_cannot_be_put_in_place_is_told_once_however_often_it_is_looked_at(shop: Shop) -> None:
    shop.guarded("live", ETH)
    shop.exchanges["live"].sizes[ETH] = Decimal("0.001")
    for _ in range(3):
        run(shop, ETH)
    assert shop.reported == ["live"]
    (record,) = shop.journal.live_brackets()
    assert record.bracket.trouble == "the position is too small for any of its take profits"


@pytest.mark.parametrize(("action", "is_taken_back"), [("long", True), ("close", True), ("cancel", False)])
def test_a_take_profit_that_the_relay_cancels_for_an_alert_is_not_one_that_the_exchange_refused(
    shop: Shop, action: str, is_taken_back: bool
) -> None:
    order = replace(limit(), purpose=Purpose.EXIT, reduce_only=True)
    _, client_id = sent_order(shop.journal, order, signal=new_signal(accounts=("live",)), account="live")
    shop.journal.record_report(client_id, report(client_id, OrderStatus.ACCEPTED, "0", rests=True), now_ms=NOW_MS)
    shop.guarded("live", "BTCUSDT")
    (record,) = shop.journal.live_brackets()
    tp_leg = replace(record.bracket.tp_legs[0], order_id=client_id)
    shop.journal.save_bracket(record.seq, replace(record.bracket, tp_legs=(tp_leg,)), now_ms=NOW_MS)
    work = Work(signal=signal(action), account=shop.accounts["live"], rules=rules(), generation=0)
    assert Clearing(journal=shop.journal).is_clear(work) is not is_taken_back
    (record,) = shop.journal.live_brackets()
    assert record.bracket.tp_legs[0].is_taken_back is is_taken_back


def looked_at(shop: Shop) -> bool:
    """Whether this round of the follower put the bracket into its lane."""
    shop.protection.round("live")
    lane = Lane(account="live", category=Category.LINEAR, symbol=ETH)
    is_submitted = shop.engine.lanes.pop(lane, None) is not None
    shop.protection.done(lane)
    return is_submitted


def test_a_ladder_that_the_relay_took_back_is_put_back_at_the_next_look_however_often_that_was(shop: Shop) -> None:
    shop.guarded("live", ETH)
    assert [looked_at(shop) for _ in range(5)] == [True, False, True, False, False]
    (record,) = shop.journal.live_brackets()
    tp_leg = replace(record.bracket.tp_legs[0], is_taken_back=True)
    shop.journal.save_bracket(record.seq, replace(record.bracket, tp_legs=(tp_leg,)), now_ms=NOW_MS)
    assert [looked_at(shop) for _ in range(5)] == [True] * 5
