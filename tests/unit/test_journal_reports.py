"""What the exchange says of orders: facts are only ever added."""

from __future__ import annotations

from decimal import Decimal

from sqlalchemy import select

from relay.domain.instrument import Category
from relay.domain.order import OrderStatus, Reason
from relay.domain.order_lifecycle import OrderState
from relay.journal.journal import Journal
from relay.journal.tables import beliefs
from relay.journal.unit_of_work import UnitOfWork
from tests.unit.journal_builders import NOW_MS, events_of, fill, limit, planned, report, sent_order

LINEAR = Category.LINEAR
LANE = ("main", Category.LINEAR, "BTCUSDT")


def _state(journal: Journal, client_id: str) -> OrderState:
    record = journal.order(client_id)
    assert record is not None
    return record.state


def test_reports_bring_the_order_to_its_end_and_older_ones_change_nothing(journal: Journal) -> None:
    signal_id, client_id = sent_order(journal, limit())
    opened = report(client_id, OrderStatus.ACCEPTED, "0", rests=True)
    half = report(client_id, OrderStatus.PARTIALLY_FILLED, "0.004", rests=True, fee="0.13")
    ended = report(client_id, OrderStatus.CANCELED, "0.006", reason="CancelByUser", fee="0.20")
    assert [journal.record_report(client_id, each, now_ms=NOW_MS) for each in (opened, half, ended)] == [True] * 3
    assert [journal.record_report(client_id, each, now_ms=NOW_MS) for each in (ended, half, opened)] == [False] * 3
    state = _state(journal, client_id)
    assert (state.status, state.filled_qty, state.fee) == (OrderStatus.CANCELED, Decimal("0.006"), Decimal("0.20"))
    assert (state.rests, state.avg_price, state.venue_order_id) == (False, Decimal("60000"), "v-1")
    assert state.reason == Reason(code="EXCHANGE_ENDED", message="CancelByUser")
    reported = ["order_accepted", "order_partially_filled", "order_canceled"]
    assert events_of(journal, signal_id)[-3:] == reported


def test_an_order_rests_while_the_exchange_says_so(journal: Journal) -> None:
    _, client_id = sent_order(journal, limit())
    journal.record_report(client_id, report(client_id, OrderStatus.ACCEPTED, "0", rests=True), now_ms=NOW_MS)
    assert _state(journal, client_id).is_settled
    assert [each.state.client_order_id for each in journal.resting_orders(*LANE)] == [client_id]
    journal.record_report(client_id, report(client_id), now_ms=NOW_MS)
    assert journal.resting_orders(*LANE) == ()


def test_a_fill_counts_once_and_completes_fees_and_quantity(journal: Journal) -> None:
    _, client_id = sent_order(journal)
    first = fill(client_id, "e-1", "0.004", "0.10")
    second = fill(client_id, "e-2", "0.006", "0.20")
    assert journal.record_report(client_id, None, [first, first], now_ms=NOW_MS)
    state = _state(journal, client_id)
    assert (state.status, state.filled_qty) == (OrderStatus.PARTIALLY_FILLED, Decimal("0.004"))
    assert journal.record_report(client_id, report(client_id, fee="0.99"), [first, second], now_ms=NOW_MS)
    assert not journal.record_report(client_id, report(client_id, fee="0.99"), [second], now_ms=NOW_MS)
    state = _state(journal, client_id)
    assert (state.status, state.filled_qty, state.fee) == (OrderStatus.FILLED, Decimal("0.010"), Decimal("0.30"))


def test_a_fill_that_comes_after_the_end_is_still_counted(journal: Journal) -> None:
    _, client_id = sent_order(journal)
    journal.record_report(client_id, report(client_id, OrderStatus.CANCELED, "0"), now_ms=NOW_MS)
    journal.record_report(client_id, report(client_id, OrderStatus.CANCELED, "0.004"), now_ms=NOW_MS)
    journal.record_report(client_id, None, [fill(client_id, "e-1", "0.006")], now_ms=NOW_MS)
    state = _state(journal, client_id)
    assert (state.status, state.filled_qty) == (OrderStatus.CANCELED, Decimal("0.006"))


def test_an_order_that_was_reported_cancelled_and_filled_after_all_is_filled(journal: Journal) -> None:
    _, client_id = sent_order(journal)
    journal.record_report(client_id, report(client_id, OrderStatus.CANCELED, "0"), now_ms=NOW_MS)
    assert journal.record_report(client_id, report(client_id, OrderStatus.FILLED, "0.010"), now_ms=NOW_MS)
    assert not journal.record_report(client_id, report(client_id, OrderStatus.CANCELED, "0.010"), now_ms=NOW_MS)
    state = _state(journal, client_id)
    assert (state.status, state.filled_qty) == (OrderStatus.FILLED, Decimal("0.010"))


def test_a_report_of_an_order_that_is_not_ours_is_no_news(journal: Journal) -> None:
    assert not journal.record_report("somebody-elses", report("somebody-elses"), now_ms=NOW_MS)


def test_one_look_at_all_positions_tells_those_that_are_not_as_expected_and_leaves_busy_ones(journal: Journal) -> None:
    expected = {"BTCUSDT": "0.5", "ETHUSDT": "0", "SOLUSDT": "1", "XRPUSDT": "-2"}

    def check(uow: UnitOfWork) -> None:
        for symbol, size in expected.items():
            uow.positions.check("main", LINEAR, symbol, Decimal(size), at_ms=NOW_MS)
        uow.positions.check("other", LINEAR, "BTCUSDT", Decimal("7"), at_ms=NOW_MS)

    journal.write(check)
    held = {(LINEAR, "BTCUSDT"): Decimal("0.3"), (LINEAR, "XRPUSDT"): Decimal("-2"), (LINEAR, "NEWUSDT"): Decimal(4)}
    busy = {(LINEAR, "SOLUSDT")}
    before = journal.write(lambda uow: uow.positions.check_all("main", held, busy=busy, at_ms=NOW_MS + 5))
    assert before == {(LINEAR, "BTCUSDT"): Decimal("0.5")}
    after = {"BTCUSDT": "0.3", "ETHUSDT": "0", "NEWUSDT": "4", "SOLUSDT": "1", "XRPUSDT": "-2"}
    assert journal.expected_positions("main") == {(LINEAR, symbol): Decimal(size) for symbol, size in after.items()}
    with journal.store.read() as connection:
        looked = {row.symbol: row.at for row in connection.execute(select(beliefs).where(beliefs.c.account == "main"))}
    assert looked == {symbol: NOW_MS if symbol == "SOLUSDT" else NOW_MS + 5 for symbol in after}
    assert journal.expected_positions("other") == {(LINEAR, "BTCUSDT"): Decimal("7")}


def test_why_the_relay_gave_an_order_up_is_still_told_once_it_is_seen_to_have_filled(journal: Journal) -> None:
    _, client_id = sent_order(journal, limit())
    withdrawn = Reason(code="VALID_FOR_OVER", message="its time is over")
    journal.record_report(client_id, report(client_id, OrderStatus.ACCEPTED, "0", rests=True), now_ms=NOW_MS)
    journal.write(lambda uow: uow.orders.settle(client_id, OrderStatus.CANCELED, withdrawn, now_ms=NOW_MS))
    state = _state(journal, client_id)
    assert (state.status, state.rests, state.reason) == (OrderStatus.CANCELED, False, withdrawn)
    journal.record_report(client_id, report(client_id), now_ms=NOW_MS)
    state = _state(journal, client_id)
    assert (state.status, state.filled_qty, state.reason) == (OrderStatus.FILLED, Decimal("0.010"), withdrawn)


def test_coins_that_an_order_is_told_to_have_bought_are_uncounted_until_its_fills_are_known(journal: Journal) -> None:
    _, client_id = sent_order(journal, planned(category=Category.SPOT))
    for told, fills, size, uncounted in (
        (report(client_id, OrderStatus.PARTIALLY_FILLED, "0.004"), [], "0", "0.004"),
        (report(client_id, OrderStatus.PARTIALLY_FILLED, "0.007"), [fill(client_id, "e-1", "0.005")], "0.005", "0.002"),
        (report(client_id), [fill(client_id, "e-2", "0.005")], "0.010", "0"),
    ):
        journal.record_report(client_id, told, fills, now_ms=NOW_MS)
        held = journal.holdings("main")["BTCUSDT"]
        assert (held.size, held.uncounted) == (Decimal(size), Decimal(uncounted))
