"""What is old and finished is forgotten; what is open, and what keeps an alert from being executed again, is not."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select

from relay.domain.bracket import Bracket, BracketStatus
from relay.domain.instrument import Category
from relay.domain.order import OrderStatus, Side, SignalStatus
from relay.domain.signal import Level, LevelKind
from relay.journal import maintenance, tables
from relay.journal.journal import Journal
from relay.journal.maintenance import DAY_MS, Retention
from relay.journal.records import Duplicate
from tests.unit.journal_builders import (
    NOW_MS,
    SIGNATURE,
    accept,
    accepted,
    by_id_and_time,
    fill,
    new_signal,
    order_id,
    plan,
    planned,
    report,
    sent_order,
)

LATER_MS = NOW_MS + 91 * DAY_MS


def finished(journal: Journal, *, status: OrderStatus = OrderStatus.FILLED) -> str:
    signal_id, client_id = sent_order(journal)
    journal.record_report(client_id, report(client_id, status), [fill(client_id, exec_id=client_id)], now_ms=NOW_MS)
    journal.finish(signal_id, "main", SignalStatus.DONE, now_ms=NOW_MS)
    return signal_id


def flat(journal: Journal) -> None:
    journal.write(lambda uow: uow.positions.check("main", Category.LINEAR, "BTCUSDT", Decimal(0), at_ms=NOW_MS + 1))


def test_an_old_finished_signal_goes_with_all_that_belongs_to_it(journal: Journal) -> None:
    ids = [finished(journal) for _ in range(250)]
    flat(journal)
    retention = Retention(journal.store, keep_days=90)
    assert retention.prune(NOW_MS + 89 * DAY_MS) == 0
    assert retention.prune(LATER_MS) == 250
    assert retention.prune(LATER_MS) == 0
    assert journal.signal(ids[0]) is None
    assert journal.signals().signals == []
    assert journal.orders() == []


def test_what_is_unfinished_is_kept_however_old(journal: Journal) -> None:
    signal_id, _ = sent_order(journal)
    assert Retention(journal.store, keep_days=1).prune(LATER_MS) == 0
    assert journal.signal(signal_id) is not None


def test_a_signal_whose_order_still_rests_is_stored(journal: Journal) -> None:
    signal_id, client_id = sent_order(journal)
    journal.record_report(client_id, report(client_id, OrderStatus.ACCEPTED, "0", rests=True), now_ms=NOW_MS)
    journal.finish(signal_id, "main", SignalStatus.DONE, now_ms=NOW_MS)
    assert Retention(journal.store, keep_days=1).prune(LATER_MS) == 0


def test_where_a_position_is_open_the_signals_that_say_whose_it_is_are_kept(journal: Journal) -> None:
    finished(journal)
    assert Retention(journal.store, keep_days=1).prune(LATER_MS) == 0
    lanes = [(Category.LINEAR, "BTCUSDT"), (Category.LINEAR, "ETHUSDT"), (Category.INVERSE, "BTCUSDT")]
    assert journal.ordered_among("main", lanes) == {lanes[0]}
    assert journal.ordered_among("other", lanes) == frozenset()
    flat(journal)
    assert Retention(journal.store, keep_days=1).prune(LATER_MS) == 1


def test_a_signal_whose_bracket_still_protects_a_position_is_stored(journal: Journal) -> None:
    signal_id = accepted(journal)
    bracket = Bracket(side=Side.BUY, stop_loss=Level(kind=LevelKind.PERCENT, value=Decimal(3)))
    journal.write(lambda uow: uow.signals.begin(signal_id, "main", now_ms=NOW_MS))
    journal.write(
        lambda uow: uow.plans.record(
            signal_id=signal_id, account="main", generation=0, plan=plan(planned(), bracket=bracket), now_ms=NOW_MS
        )
    )
    client_id = order_id(signal_id)
    journal.record_report(client_id, report(client_id), [fill(client_id)], now_ms=NOW_MS)
    journal.finish(signal_id, "main", SignalStatus.DONE, now_ms=NOW_MS)
    flat(journal)
    assert Retention(journal.store, keep_days=1).prune(LATER_MS) == 0
    (record,) = journal.live_brackets()
    over = replace(record.bracket, status=BracketStatus.OVER)
    journal.save_bracket(record.seq, over, now_ms=NOW_MS)
    assert Retention(journal.store, keep_days=1).prune(LATER_MS) == 1


def test_an_alert_that_was_forgotten_is_still_known_as_the_same(journal: Journal) -> None:
    same = new_signal(by_id_and_time("x"))
    signal_id = accepted(journal, same)
    journal.finish(signal_id, "main", SignalStatus.FAILED, now_ms=NOW_MS)
    assert Retention(journal.store, keep_days=1).prune(LATER_MS) == 1
    assert isinstance(accept(journal, new_signal(by_id_and_time("x"), digest=same.digest), at_ms=LATER_MS), Duplicate)


_DAY = 86_400_000
_KEPT_DAYS = 30
_OLDEST = NOW_MS + 5 * _DAY
"""What was received or has finished from then on is not old."""
_NOW = _OLDEST + _KEPT_DAYS * _DAY


def _signal(
    journal: Journal,
    *,
    received: int,
    finished: int | None,
    symbol: str = "BTCUSDT",
    account: str = "main",
    **more: Any,
) -> str:
    """With an order and what belongs to it. `more`: its `order`'s status, and its `bracket`'s."""
    signal = new_signal(symbol=symbol, accounts=(account,))
    signal_id = accepted(journal, signal, at_ms=received)
    bracket = Bracket(side=Side.BUY, stop_loss=Level(kind=LevelKind.PERCENT, value=Decimal(3)))
    made = plan(planned(symbol=symbol), bracket=bracket)
    client_id = order_id(signal_id, account=account)
    journal.write(lambda uow: uow.signals.begin(signal_id, account, now_ms=received))
    journal.write(
        lambda uow: uow.plans.record(
            signal_id=signal_id,
            account=account,
            generation=0,
            plan=made,
            first_attempt=(client_id, SIGNATURE),
            now_ms=received,
        )
    )
    status: OrderStatus = more.get("order", OrderStatus.FILLED)
    shown = report(client_id, status, "0.004" if status is OrderStatus.PARTIALLY_FILLED else "0.010")
    journal.record_report(client_id, shown, [fill(client_id, exec_id=client_id)], now_ms=received)
    (record,) = (each for each in journal.live_brackets() if each.signal_id == signal_id)
    over = replace(record.bracket, status=more.get("bracket", BracketStatus.OVER))
    journal.save_bracket(record.seq, over, now_ms=received)
    if finished is not None:
        journal.finish(signal_id, account, SignalStatus.DONE, now_ms=finished)
    return signal_id


def test_exactly_what_is_old_finished_and_of_no_more_use_goes_and_nothing_of_it_stays(journal: Journal) -> None:
    old: dict[str, Any] = {"received": _OLDEST - 2, "finished": _OLDEST - 1}
    kept = [
        _signal(journal, received=_OLDEST - 2, finished=None),
        _signal(journal, received=_OLDEST - 2, finished=_OLDEST),
        _signal(journal, **old, order=OrderStatus.SUBMITTED),
        _signal(journal, **old, order=OrderStatus.ACCEPTED),
        _signal(journal, **old, order=OrderStatus.PARTIALLY_FILLED),
        _signal(journal, **old, bracket=BracketStatus.ACTIVE),
        _signal(journal, **old, bracket=BracketStatus.WAITING),
        _signal(journal, **old, symbol="ETHUSDT"),
    ]
    gone = [
        _signal(journal, **old),
        _signal(journal, **old, order=OrderStatus.CANCELED),
        _signal(journal, **old, order=OrderStatus.REJECTED),
        _signal(journal, **old, symbol="SOLUSDT"),
        _signal(journal, **old, symbol="ETHUSDT", account="other"),
    ]
    kept.append(_signal(journal, received=_OLDEST, finished=_OLDEST))
    positions = (("main", "BTCUSDT", 0), ("main", "ETHUSDT", -1), ("main", "SOLUSDT", 0), ("other", "ETHUSDT", 0))
    for account, symbol, size in positions:
        journal.write(
            lambda uow, a=account, s=symbol, n=size: uow.positions.check(  # type: ignore[misc]
                a, Category.LINEAR, s, Decimal(n), at_ms=_NOW
            )
        )
    assert Retention(journal.store, keep_days=_KEPT_DAYS).prune(_NOW) == len(gone)
    orders = {order_id(each) for each in kept}
    with journal.store.read() as connection:
        assert sorted(connection.scalars(select(tables.signals.c.id))) == sorted(kept)
        for table in (tables.orders, tables.plans, tables.guards, tables.assignments, tables.events):
            assert {*connection.scalars(select(table.c.signal_id))} == set(kept), table.name
        for table in (tables.fills, tables.attempts):
            assert {*connection.scalars(select(table.c.client_order_id))} == orders, table.name
        assert len([*connection.scalars(select(tables.identities.c.signal_id))]) == len(kept) + len(gone)


def test_it_goes_through_the_journal_in_small_steps_and_begins_anew_at_its_end(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance, "_BATCH", 3)
    monkeypatch.setattr(maintenance, "_BATCHES", 2)
    waiting = [accepted(journal) for _ in range(4)]
    for signal_id in (accepted(journal) for _ in range(7)):
        journal.finish(signal_id, "main", SignalStatus.FAILED, now_ms=NOW_MS)
    retention = Retention(journal.store, keep_days=1)
    late = NOW_MS + 3 * _DAY
    assert [retention.prune(late) for _ in range(3)] == [2, 5, 0]
    for signal_id in waiting[:2]:
        journal.finish(signal_id, "main", SignalStatus.FAILED, now_ms=NOW_MS)
    assert retention.prune(late) == 2, "what was passed by is looked at again"
    assert accepted(journal, at_ms=late)
    assert [retention.prune(late) for _ in range(3)] == [0, 0, 0]
