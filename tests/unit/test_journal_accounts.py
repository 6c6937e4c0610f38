"""The ledger: each execution counts once, days stay for good, and equity grows coarser with age."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from relay.domain.instrument import Category
from relay.domain.order import Side
from relay.domain.performance import DayTotal, Equity
from relay.domain.trades import LedgerEntry
from relay.journal.journal import Journal
from relay.journal.ledger import BOOKABLE_MS, DAY_MS, HOUR_MS, Ledger

NOW_MS = 1_767_225_600_000
"""2026-01-01 00:00 UTC."""
FIVE_MS = 300_000


@pytest.fixture
def ledger(journal: Journal) -> Ledger:
    return Ledger(journal.store)


def ledger_entry(
    exec_id: str, realised: str = "0", fee: str = "0.5", funding: str = "0", at_ms: int = NOW_MS
) -> LedgerEntry:
    return LedgerEntry(
        exec_id=exec_id,
        category=Category.LINEAR,
        symbol="BTCUSDT",
        coin="USDT",
        side=Side.BUY,
        qty=Decimal(0),
        price=Decimal(1),
        fee=Decimal(fee),
        funding=Decimal(funding),
        realised=Decimal(realised),
        at_ms=at_ms,
    )


def equity(at_ms: int, worth: int = 100) -> Equity:
    return Equity(coin="USDT", equity=Decimal(worth), unrealised=Decimal(1), usd=None, at_ms=at_ms)


def total(day: str, realised: str, fees: str, funding: str) -> DayTotal:
    return DayTotal(day=day, coin="USDT", realised=Decimal(realised), fees=Decimal(fees), funding=Decimal(funding))


def test_an_execution_counts_once_however_often_and_from_wherever_it_is_reported(ledger: Ledger) -> None:
    first = [ledger_entry("a", "3"), ledger_entry("b", "-1", at_ms=NOW_MS - 1), ledger_entry("a", "3")]
    assert ledger.book("main", first, now_ms=NOW_MS) == 2
    assert ledger.book("main", [*first, ledger_entry("c", funding="0.25", fee="0")], until_ms=7, now_ms=NOW_MS) == 1
    assert ledger.book("other", [ledger_entry("a", "9")], now_ms=NOW_MS) == 1
    assert ledger.days("main", NOW_MS - DAY_MS) == [
        total("2025-12-31", "-1", "0.5", "0"),
        total("2026-01-01", "3", "0.5", "0.25"),
    ]
    assert ledger.booked_until("main") == 7
    ledger.book("main", [], until_ms=5, now_ms=NOW_MS)
    assert ledger.booked_until("main") == 7 and ledger.booked_until("other") is None


def test_what_adds_to_an_open_trade_and_what_ends_it_are_booked_one_after_the_other(ledger: Ledger) -> None:
    for number, (side, qty, price) in enumerate([(Side.BUY, 2, 100), (Side.BUY, 1, 130), (Side.SELL, 3, 120)]):
        known: dict[str, Any] = {"side": side, "qty": Decimal(qty), "price": Decimal(price), "realised": None}
        moved = replace(ledger_entry(f"e{number}", at_ms=NOW_MS + number), **known)
        assert ledger.book("main", [moved], now_ms=NOW_MS + number) == 1
    assert ledger.open_trades("main") == []
    (trade,) = ledger.closed_trades(0, limit=5)
    assert (trade.side, trade.closed_at_ms) == (Side.BUY, NOW_MS + 2)
    assert ledger.days("main", NOW_MS) == [total("2026-01-01", "30", "1.5", "0")]


def test_what_is_older_than_what_is_remembered_is_not_booked(ledger: Ledger) -> None:
    assert ledger.book("main", [ledger_entry("old", at_ms=NOW_MS - BOOKABLE_MS)], now_ms=NOW_MS) == 0


def test_points_of_two_processes_are_kept_apart(ledger: Ledger) -> None:
    assert ledger.add_equity("main", [equity(NOW_MS)], apart_ms=FIVE_MS)
    assert not ledger.add_equity("main", [equity(NOW_MS + 1000)], apart_ms=FIVE_MS)
    assert not ledger.add_equity("main", [], apart_ms=FIVE_MS)
    assert ledger.add_equity("main", [equity(NOW_MS + FIVE_MS)], apart_ms=FIVE_MS)
    assert [each.at_ms for each in ledger.equity("main", 0)] == [NOW_MS, NOW_MS + FIVE_MS]


def test_old_points_are_thinned_and_the_totals_of_days_stay(ledger: Ledger) -> None:
    for age_ms in (100 * DAY_MS, 8 * DAY_MS, DAY_MS):
        for number in range(24):
            ledger.add_equity("main", [equity(NOW_MS - age_ms + number * FIVE_MS, number)], apart_ms=FIVE_MS)
    ledger.book("main", [ledger_entry("a", "3")], now_ms=NOW_MS)
    assert ledger.thin(NOW_MS) == 23 + 22
    left = ledger.equity("main", 0)
    assert [each.equity for each in left if each.at_ms < NOW_MS - DAY_MS] == [23, 11, 23]
    assert len(left) == 1 + 2 + 24
    assert ledger.thin(NOW_MS) == 0
    assert ledger.thin(NOW_MS + 91 * DAY_MS + HOUR_MS) > 1
    assert ledger.days("main", 0) == [total("2026-01-01", "3", "0.5", "0")]


def test_what_is_told_again_beside_something_late_counts_no_second_time(ledger: Ledger) -> None:
    closed = ledger_entry("close", "-7", at_ms=NOW_MS + 9)
    ledger.book("main", [closed], now_ms=NOW_MS)
    ledger.book("main", [closed, ledger_entry("late", "2", at_ms=NOW_MS + 1)], now_ms=NOW_MS)
    assert ledger.days("main", NOW_MS) == [total("2026-01-01", "-5", "1.0", "0")]


def test_before_the_transaction_log_was_read_for_the_first_time_nothing_is_said_of_it(ledger: Ledger) -> None:
    ledger.begin("main", [ledger_entry("a", "3")], since_ms=NOW_MS - DAY_MS, until_ms=NOW_MS)
    (found,) = ledger.account_results(NOW_MS - DAY_MS)
    assert (found.net, found.booked) == (Decimal("2.5"), None)
    ledger.take_log("main", {(NOW_MS - HOUR_MS, "USDT"): Decimal("2.5")}, {}, from_ms=0, until_ms=NOW_MS + 1)
    (found,) = ledger.account_results(NOW_MS - DAY_MS)
    assert (found.net, found.booked) == (Decimal("2.5"), Decimal("2.5"))
