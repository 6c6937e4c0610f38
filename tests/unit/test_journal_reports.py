"""What the exchange says of orders: facts are only ever added."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from sqlalchemy import select

from relay.domain.instrument import Category
from relay.domain.order import OrderStatus, Reason, Side
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


@pytest.mark.parametrize(
    ("late", "status"),
    [(OrderStatus.PARTIALLY_FILLED, OrderStatus.CANCELED), (OrderStatus.FILLED, OrderStatus.FILLED)],
)
def test_of_an_order_that_has_ended_only_another_end_with_more_filled_is_its_end(
    journal: Journal, late: OrderStatus, status: OrderStatus
) -> None:
    _, client_id = sent_order(journal, limit())
    journal.record_report(client_id, report(client_id, OrderStatus.CANCELED, "0.004"), now_ms=NOW_MS)
    journal.record_report(client_id, report(client_id, late, "0.010"), now_ms=NOW_MS)
    assert (_state(journal, client_id).status, _state(journal, client_id).filled_qty) == (status, Decimal("0.010"))


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


def _expected(journal: Journal, category: Category = Category.LINEAR) -> Decimal | None:
    return journal.expected_positions("main").get((category, "BTCUSDT"))


def _look(journal: Journal, size: str, at_ms: int, category: Category = Category.LINEAR) -> Decimal | None:
    return journal.write(lambda uow: uow.positions.check("main", category, "BTCUSDT", Decimal(size), at_ms=at_ms))


def test_a_fill_moves_the_expected_position_unless_the_last_look_was_as_late(journal: Journal) -> None:
    for side, at_ms, expected in (
        (Side.BUY, NOW_MS - 1, "3.010"),
        (Side.BUY, NOW_MS, "3"),
        (Side.SELL, NOW_MS - 1, "2.990"),
    ):
        _look(journal, "3", at_ms)
        _, client_id = sent_order(journal, planned(side=side))
        journal.record_report(client_id, report(client_id), [fill(client_id, exec_id=client_id)], now_ms=NOW_MS)
        assert _expected(journal) == Decimal(expected)


def test_a_position_that_was_never_looked_at_is_what_the_fills_come_to(journal: Journal) -> None:
    for side, expected in ((Side.SELL, "-0.010"), (Side.SELL, "-0.020"), (Side.BUY, "-0.010")):
        _, client_id = sent_order(journal, planned(side=side))
        journal.record_report(client_id, report(client_id), [fill(client_id, exec_id=client_id)], now_ms=NOW_MS)
        assert _expected(journal) == Decimal(expected)
    assert _look(journal, "-0.010", NOW_MS) is None, "as expected"
    assert _look(journal, "5", NOW_MS) == Decimal("-0.010")
    assert _expected(journal) == 5


@pytest.mark.parametrize(
    ("told", "after_ms", "is_taken"),
    [("0.009", 10_001, True), ("0.009", 10_000, False), ("0.010", 10_001, False), ("0.011", 10_001, False)],
)
def test_of_coins_a_look_only_takes_away_what_is_certainly_gone(
    journal: Journal, told: str, after_ms: int, is_taken: bool
) -> None:
    assert _look(journal, "1", NOW_MS, Category.SPOT) is None and _expected(journal, Category.SPOT) is None
    _, client_id = sent_order(journal, planned(category=Category.SPOT))
    journal.record_report(client_id, report(client_id), [fill(client_id)], now_ms=NOW_MS)
    assert _look(journal, told, NOW_MS + after_ms, Category.SPOT) == (Decimal("0.010") if is_taken else None)
    assert _expected(journal, Category.SPOT) == Decimal(told if is_taken else "0.010")
    held = journal.holdings("main")["BTCUSDT"]
    assert (held.avg_price, held.moved_at_ms) == (Decimal(60000), NOW_MS)


def test_fees_that_were_taken_of_the_coins_are_known_and_not_held(journal: Journal) -> None:
    _, client_id = sent_order(journal, planned(category=Category.SPOT))
    taken = replace(fill(client_id, fee="0.00001"), fee_coin="BTC", base_fee=Decimal("0.00001"))
    journal.record_report(client_id, report(client_id), [taken], now_ms=NOW_MS)
    held = journal.holdings("main")["BTCUSDT"]
    assert (held.size, held.fees) == (Decimal("0.00999"), Decimal("0.00001"))


def test_of_coins_of_which_more_was_told_than_is_known_nothing_is_taken_away(journal: Journal) -> None:
    _, client_id = sent_order(journal, planned(category=Category.SPOT))
    journal.record_report(client_id, report(client_id), [fill(client_id, qty="0.004")], now_ms=NOW_MS)
    assert journal.holdings("main")["BTCUSDT"].uncounted == Decimal("0.006")
    assert _look(journal, "0", NOW_MS + 60_000, Category.SPOT) is None
    journal.record_report(client_id, None, [fill(client_id, "e-2", qty="0.006")], now_ms=NOW_MS)
    assert journal.holdings("main")["BTCUSDT"].uncounted == 0
    assert _look(journal, "0", NOW_MS + 60_000, Category.SPOT) == Decimal("0.010")
    assert journal.holdings("main") == {}


@pytest.mark.parametrize(
    ("price", "rests", "is_told"),
    [("60000.5", True, False), ("60001", True, True), ("60001", False, False), (None, True, False)],
)
def test_a_limit_price_that_the_exchange_has_moved_is_told(
    journal: Journal, price: str | None, rests: bool, is_told: bool
) -> None:
    signal_id, client_id = sent_order(journal, limit())
    told = replace(report(client_id, OrderStatus.ACCEPTED, "0", rests=rests), price=Decimal(price) if price else None)
    for _ in range(2):
        journal.record_report(client_id, told, now_ms=NOW_MS)
    assert events_of(journal, signal_id).count("order_price_moved") == int(is_told)


@pytest.mark.parametrize(
    ("reported", "fills", "status", "filled", "fee", "avg"),
    [
        (("partially_filled", "0.004", "0.5"), ["0.004"], "partially_filled", "0.004", "0.1", "60000"),
        (("partially_filled", "0.006", "0.5"), ["0.004"], "partially_filled", "0.006", "0.5", "60000"),
        (("accepted", "0", "0"), ["0.004"], "partially_filled", "0.004", "0.1", None),
        (("filled", "0.010", "0.5"), ["0.004", "0.006"], "filled", "0.010", "0.2", "60000"),
        (("canceled", "0.004", "0.5"), ["0.004", "0.006"], "canceled", "0.010", "0.2", None),
        (None, ["0.004"], "partially_filled", "0.004", "0.1", None),
    ],
)
def test_executions_decide_as_soon_as_they_are_complete(
    journal: Journal,
    reported: tuple[str, str, str] | None,
    fills: list[str],
    status: str,
    filled: str,
    fee: str,
    avg: str | None,
) -> None:
    _, client_id = sent_order(journal)
    told = report(client_id, OrderStatus(reported[0]), reported[1], fee=reported[2]) if reported else None
    executed = [fill(client_id, f"e-{n}", qty=qty, fee="0.1") for n, qty in enumerate(fills)]
    assert journal.record_report(client_id, told, executed, now_ms=NOW_MS)
    assert not journal.record_report(client_id, told, executed, now_ms=NOW_MS), "nothing is new"
    record = journal.order(client_id)
    assert record is not None
    state = record.state
    assert (state.status, state.filled_qty, state.fee) == (status, Decimal(filled), Decimal(fee))
    assert state.avg_price == (None if avg is None else Decimal(avg))


@pytest.mark.parametrize(
    ("status", "word", "code", "message"),
    [
        (OrderStatus.REJECTED, "EC_X", "EXCHANGE_REFUSED", "EC_X"),
        (OrderStatus.REJECTED, None, "EXCHANGE_REFUSED", "the exchange gave no reason"),
        (OrderStatus.CANCELED, "CancelByUser", "EXCHANGE_ENDED", "CancelByUser"),
        (OrderStatus.EXPIRED, "EC_Y", "EXCHANGE_ENDED", "EC_Y"),
        (OrderStatus.CANCELED, None, None, None),
        (OrderStatus.FILLED, "odd", None, None),
    ],
)
def test_why_an_order_ended_is_the_exchange_s_word(
    journal: Journal, status: OrderStatus, word: str | None, code: str | None, message: str | None
) -> None:
    _, client_id = sent_order(journal)
    filled = "0.010" if status is OrderStatus.FILLED else "0"
    journal.record_report(client_id, report(client_id, status, filled, reason=word), now_ms=NOW_MS)
    record = journal.order(client_id)
    assert record is not None
    reason = record.state.reason
    assert (reason.code if reason else None, reason.message if reason else None) == (code, message)


def test_other_terms_of_an_order_are_shown_and_noted(journal: Journal) -> None:
    signal_id, client_id = sent_order(journal, limit())
    journal.write(
        lambda uow: uow.orders.amended(client_id, qty=Decimal("0.020"), price=Decimal("59000.0"), now_ms=NOW_MS + 5)
    )
    (shown,) = journal.orders()
    assert (shown["qty"], shown["price"]) == ("0.02", "59000")
    found = journal.signal(signal_id)
    assert found is not None
    assert found["events"][-1]["detail"] == {"client_order_id": client_id, "qty": "0.02", "price": "59000"}


def test_a_look_at_all_of_one_account_s_positions_changes_no_other_account_s(journal: Journal) -> None:
    lane = (LINEAR, "BTCUSDT")
    for account, size in (("main", "1"), ("other", "7")):
        journal.write(
            lambda uow, a=account, s=size: uow.positions.check(a, *lane, Decimal(s), at_ms=NOW_MS)  # type: ignore[misc]
        )
    found = journal.write(lambda uow: uow.positions.check_all("main", {}, busy=(), at_ms=NOW_MS + 1))
    assert found == {lane: Decimal(1)}
    assert journal.expected_positions("main") == {lane: Decimal(0)}
    assert journal.expected_positions("other") == {lane: Decimal(7)}
    assert journal.write(lambda uow: uow.positions.check_all("other", {lane: Decimal(7)}, busy=(), at_ms=5)) == {}
