"""One account whose exchange does not answer, or one guard that is odd, keeps no other from being looked after."""

from __future__ import annotations

import threading
from dataclasses import replace
from decimal import Decimal
from unittest.mock import patch

import pytest

from relay.domain.bracket import Bracket, BracketStatus, TakeProfitLeg
from relay.domain.instrument import Category
from relay.domain.order import OrderStatus, Reason, Side
from relay.domain.order_lifecycle import Bounds
from relay.domain.position import Position
from relay.domain.signal import Level, LevelKind
from relay.errors import ExchangeUnreachable
from relay.execution.follow import Follower
from relay.execution.ports import Account
from relay.execution.protection import ProtectionLanes, Protector
from relay.journal.journal import Journal
from tests.property.model_exchange import PRICE, Clock, ModelExchange
from tests.property.workshop import Lineup, Market
from tests.unit.journal_builders import NOW_MS, SIGNATURE, accepted, new_signal, order_id, plan, planned, report

FOREVER = 1_000
DEADLINE_S = 60
ETH = "ETHUSDT"


class Shop:
    """The account `dead` does not answer; `live` does."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.clock = Clock()
        self.clock.now_ms = NOW_MS
        self.exchanges = {name: ModelExchange(self.clock) for name in ("dead", "live")}
        self.exchanges["dead"].silent_asks = FOREVER
        self.accounts = {
            name: Account(name=name, exchange=each, market=Market(), bounds=Bounds())
            for name, each in self.exchanges.items()
        }
        self.engine = Lineup(self.clock)
        self.reported: list[str] = []
        self.protection = ProtectionLanes(
            journal=journal,
            engine=self.engine,
            protector=Protector(journal=journal, now=self.clock.now),
            accounts=self.accounts,
            tell=self.tell,
            now=self.clock.now,
        )
        self.follower = Follower(
            journal=journal, accounts=self.accounts, protection=self.protection, now=self.clock.now
        )

    def tell(self, signal_id: str, account: str, reason: Reason) -> None:
        self.reported.append(account)

    def resting(self, account: str) -> str:
        """An entry that rests, as far as the journal knows, and has filled at an exchange that answers."""
        client_id = self._planned(account, "BTCUSDT", bracket=None)
        order = planned()
        self.exchanges[account].place(order, client_order_id=client_id, signature=SIGNATURE, is_exit=False)
        resting = report(client_id, OrderStatus.ACCEPTED, "0", rests=True)
        self.journal.record_report(client_id, resting, (), now_ms=NOW_MS)
        return client_id

    def guarded(self, account: str, symbol: str, *, are_stops_set: bool = True) -> None:
        """An open position with a take profit that does not rest yet."""
        tp_leg = TakeProfitLeg(at=Level(kind=LevelKind.PERCENT, value=Decimal(1)), share_pct=Decimal(50))
        bracket = Bracket(side=Side.BUY, tp_legs=(tp_leg,), entry_price=PRICE, is_entry_over=True, is_seen=True)
        self._planned(account, symbol, bracket=bracket)
        record = self.journal.live_brackets()[-1]
        active = replace(record.bracket, status=BracketStatus.ACTIVE, entries=(), are_stops_set=are_stops_set)
        self.journal.save_bracket(record.seq, active, now_ms=NOW_MS)
        self.exchanges[account].sizes[symbol] = Decimal(1)

    def _planned(self, account: str, symbol: str, *, bracket: Bracket | None) -> str:
        signal_id = accepted(self.journal, new_signal(accounts=(account,), symbol=symbol))
        self.journal.write(lambda uow: uow.signals.begin(signal_id, account, now_ms=NOW_MS))
        self.journal.write(
            lambda uow: uow.plans.record(
                signal_id=signal_id,
                account=account,
                generation=0,
                plan=plan(planned(symbol=symbol), bracket=bracket),
                now_ms=NOW_MS,
            )
        )
        return order_id(signal_id, account=account)

    @property
    def protection_ended_for(self) -> set[tuple[str, str]]:
        return {(lane.account, lane.symbol) for lane in self.engine.lanes}

    def status_of(self, client_id: str) -> OrderStatus:
        order = self.journal.order(client_id)
        assert order is not None
        return order.state.status


@pytest.fixture
def shop(journal: Journal) -> Shop:
    return Shop(journal)


def test_an_account_that_does_not_answer_keeps_neither_the_orders_nor_the_brackets_of_others_waiting(
    shop: Shop,
) -> None:
    dead, also_dead, live = shop.resting("dead"), shop.resting("dead"), shop.resting("live")
    shop.guarded("dead", ETH)
    shop.guarded("live", ETH)
    assert shop.follower.round() == 1
    assert shop.status_of(live) is OrderStatus.FILLED
    assert {shop.status_of(dead), shop.status_of(also_dead)} == {OrderStatus.ACCEPTED}
    assert shop.protection_ended_for == {("live", ETH)}
    assert FOREVER - shop.exchanges["dead"].silent_asks == 2, "it was asked once for its orders, once for its guards"


def test_an_account_that_hangs_holds_up_no_round_of_another(shop: Shop) -> None:
    hanging, goes_on = threading.Event(), threading.Event()
    shop.resting("dead")
    live = shop.resting("live")
    shop.guarded("live", ETH)

    def hang(**_: object) -> None:
        hanging.set()
        goes_on.wait(DEADLINE_S)

    submitted = threading.Event()
    with (
        patch.object(shop.exchanges["dead"], "look_up", hang),
        patch.object(shop.engine, "submit", lambda lane, task: submitted.set()),
    ):
        follower = Follower(
            journal=shop.journal, accounts=shop.accounts, protection=shop.protection, every_s=0.001, now=shop.clock.now
        )
        follower.wake()
        follower.start()
        assert hanging.wait(DEADLINE_S)
        assert submitted.wait(DEADLINE_S)
        is_followed = shop.status_of(live) is OrderStatus.FILLED
        is_hanging = not goes_on.is_set()
        goes_on.set()
        follower.stop()
    assert is_followed and is_hanging


def test_more_orders_of_a_silent_account_than_a_round_asks_for_do_not_crowd_out_the_others(shop: Shop) -> None:
    for _ in range(45):
        shop.resting("dead")
    live = shop.resting("live")
    assert shop.follower.round() == 1
    assert shop.status_of(live) is OrderStatus.FILLED


def test_a_silent_accounts_levels_that_are_not_in_place_are_seen_to_by_its_lane(shop: Shop) -> None:
    shop.guarded("dead", ETH, are_stops_set=False)
    shop.guarded("live", ETH)
    shop.follower.round()
    assert shop.protection_ended_for == {("dead", ETH), ("live", ETH)}


def test_a_bracket_that_nobody_thought_of_is_that_brackets_alone(shop: Shop) -> None:
    shop.guarded("live", "BTCUSDT")
    shop.guarded("live", ETH)
    odd = shop.journal.live_brackets()[0]
    tp_leg = replace(odd.bracket.tp_legs[0], order_id="no-order-of-this-name")
    shop.journal.save_bracket(odd.seq, replace(odd.bracket, tp_legs=(tp_leg,)), now_ms=NOW_MS)
    shop.protection.round("live")
    assert shop.protection_ended_for == {("live", ETH)}


def test_an_instrument_that_is_never_answered_for_does_not_hide_the_accounts_others(shop: Shop) -> None:
    shop.exchanges["live"].silent_asks = 1
    shop.guarded("live", "BTCUSDT")
    shop.guarded("live", ETH)
    shop.protection.round("live")
    assert shop.protection_ended_for == set()
    shop.exchanges["live"].silent_asks = 0
    ask = shop.exchanges["live"].position

    def silent_for_bitcoin(*, category: Category, symbol: str) -> Position:
        if symbol == "BTCUSDT":
            raise ExchangeUnreachable("no answer")
        return ask(category=category, symbol=symbol)

    with patch.object(shop.exchanges["live"], "position", silent_for_bitcoin):
        shop.protection.round("live")
    assert shop.protection_ended_for == {("live", ETH)}
