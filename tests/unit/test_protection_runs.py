"""A bracket's run in its lane: what is told of it, and what the relay's own cancels count as."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from unittest.mock import patch

import pytest

from relay.domain.instrument import Category
from relay.domain.order import Accepted, OrderRejected, OrderStatus, Outcome, Purpose
from relay.domain.position import Position, StopLevels
from relay.engine.lanes import Lane
from relay.errors import JournalUnavailable
from relay.execution.orders import Clearing
from relay.execution.work import Work
from relay.journal.journal import Journal
from tests.builders import rules, signal
from tests.property.model_exchange import PRICE
from tests.unit.journal_builders import NOW_MS, fill, limit, new_signal, report, sent_order
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


class AtTheExchange:
    """The position of ETH as the exchange has it; its take profit has filled, which moves the stop to the entry."""

    def __init__(self, shop: Shop, *, mark: str, **bracket: object) -> None:
        self.shop, self.mark, self.stop_loss = shop, Decimal(mark), PRICE * Decimal("0.9")
        self.refuses = False
        self.asked: list[Decimal | None] = []
        shop.guarded("live", ETH)
        (record,) = shop.journal.live_brackets()
        tp_leg = replace(record.bracket.tp_legs[0], is_done=True, moves_stop_to_entry=True, share_pct=Decimal(100))
        changed = replace(record.bracket, tp_legs=(tp_leg,), **bracket)  # type: ignore[arg-type]
        shop.journal.save_bracket(record.seq, changed, now_ms=NOW_MS)

    def position(self, *, category: Category, symbol: str) -> Position:
        return Position(
            category=category,
            symbol=symbol,
            size=Decimal(1),
            avg_price=PRICE,
            mark_price=self.mark,
            stop_loss=self.stop_loss,
        )

    def set_stops(self, *, category: Category, symbol: str, levels: StopLevels) -> Outcome:
        self.asked.append(levels.stop_loss)
        if self.refuses:
            return OrderRejected(code=10001, words="the stop is beyond the price")
        assert levels.stop_loss is not None
        self.stop_loss = levels.stop_loss
        return Accepted(venue_order_id="")

    def run(self) -> None:
        exchange = self.shop.exchanges["live"]
        with patch.object(exchange, "position", self.position), patch.object(exchange, "set_stops", self.set_stops):
            run(self.shop, ETH)


def test_a_stop_that_cannot_go_to_the_entry_is_told_once_and_set_as_soon_as_the_market_allows_it(shop: Shop) -> None:
    at_exchange = AtTheExchange(shop, mark="49000")
    for _ in range(3):
        at_exchange.run()
    assert shop.reported == ["live"] and at_exchange.asked == []
    (record,) = shop.journal.live_brackets()
    assert record.bracket.trouble is not None and "price has passed it" in record.bracket.trouble
    at_exchange.mark = Decimal(51_000)
    at_exchange.run()
    (record,) = shop.journal.live_brackets()
    assert (at_exchange.stop_loss, record.bracket.trouble, record.bracket.is_at_breakeven) == (PRICE, None, True)


def test_a_stop_that_the_exchange_refuses_at_the_entry_is_asked_for_again_at_every_look(shop: Shop) -> None:
    at_exchange = AtTheExchange(shop, mark="51000")
    at_exchange.refuses = True
    at_exchange.run()
    at_exchange.run()
    assert shop.reported == ["live"] and len(at_exchange.asked) >= 4
    at_exchange.refuses = False
    at_exchange.run()
    assert at_exchange.stop_loss == PRICE


def test_a_strategy_may_want_the_position_closed_where_the_stop_cannot_go_to_the_entry(shop: Shop) -> None:
    closed: list[str] = []
    shop.protection.protector.close = lambda account, category, symbol: closed.append(symbol)
    at_exchange = AtTheExchange(shop, mark="49000", closes_if_passed=True)
    for _ in range(3):
        at_exchange.run()
    assert closed == [ETH] and shop.reported == []


def test_a_close_that_could_not_be_written_down_is_tried_again(shop: Shop) -> None:
    tries = iter([JournalUnavailable("full"), None])

    def close(account: str, category: Category, symbol: str) -> None:
        if (error := next(tries)) is not None:
            raise error

    shop.protection.protector.close = close
    at_exchange = AtTheExchange(shop, mark="49000", closes_if_passed=True)
    at_exchange.run()
    assert next(tries, "none is left") == "none is left"


def test_a_bracket_whose_orders_fill_is_looked_at_again_at_once(shop: Shop) -> None:
    order = replace(limit(), purpose=Purpose.EXIT, reduce_only=True)
    _, client_id = sent_order(shop.journal, order, signal=new_signal(accounts=("live",)), account="live")
    shop.journal.record_report(client_id, report(client_id, OrderStatus.ACCEPTED, "0", rests=True), now_ms=NOW_MS)
    shop.guarded("live", ETH)
    record = shop.journal.live_brackets()[-1]
    shop.journal.save_bracket(record.seq, replace(record.bracket, older_entries=(client_id,)), now_ms=NOW_MS)
    assert [looked_at(shop) for _ in range(4)] == [True, False, True, False]
    part = report(client_id, OrderStatus.PARTIALLY_FILLED, "0.004", rests=True)
    shop.journal.record_report(client_id, part, (fill(client_id, qty="0.004"),), now_ms=NOW_MS)
    assert looked_at(shop)
