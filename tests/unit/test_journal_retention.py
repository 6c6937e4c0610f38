"""What is old and finished is forgotten; what is open, and what keeps an alert from being executed again, is not."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from relay.domain.bracket import Bracket, BracketStatus
from relay.domain.instrument import Category
from relay.domain.order import OrderStatus, Side, SignalStatus
from relay.domain.signal import Level, LevelKind
from relay.journal.journal import Journal
from relay.journal.maintenance import DAY_MS, Retention
from relay.journal.records import Duplicate
from tests.unit.journal_builders import (
    NOW_MS,
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
