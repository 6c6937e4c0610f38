"""What people are shown."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, event, text

from relay.domain.instrument import Category
from relay.domain.order import OrderStatus, Reason, SignalStatus
from relay.domain.signal import new_signal_id
from relay.journal.api_queries import DashboardQueries, LevelHistory
from relay.journal.journal import Journal
from relay.journal.maintenance import ExportKind, export
from relay.journal.opening import open_journal
from relay.journal.records import CANCEL_REQUESTED
from relay.journal.sqlite import SqliteStore
from tests.unit.journal_builders import (
    NOW_MS,
    accepted,
    events_of,
    fill,
    limit,
    new_signal,
    order_id,
    plan,
    report,
    sent_order,
    url_of,
)


def _ids(page: list[dict[str, Any]]) -> list[str]:
    return [each["id"] for each in page]


def _all_pages(journal: Journal, limit: int, **options: Any) -> list[list[str]]:
    pages, cursor = [], None
    while True:
        page = journal.signals(limit=limit, cursor=cursor, **options)
        pages.append(_ids(page.signals))
        cursor = page.next_cursor
        if cursor is None:
            return pages


def test_a_signal_is_shown_as_the_contract_says(journal: Journal) -> None:
    signal_id, client_id = sent_order(journal, limit(), signal=new_signal(sent_at_ms=NOW_MS - 1500, notes=("no id",)))
    journal.record_report(client_id, report(client_id), now_ms=NOW_MS + 40)
    journal.finish(signal_id, "main", SignalStatus.DONE, notes=("well",), now_ms=NOW_MS + 41)
    shown = journal.signal(signal_id)
    assert shown is not None and (shown.pop("timing")["ms"]["acknowledged"], shown.pop("slippage")) == (None, None)
    assert shown == {
        "id": signal_id,
        "strategy": "default",
        "action": "buy",
        "symbol": "BTCUSDT",
        "status": "done",
        "reason": None,
        "notes": ["no id", "well"],
        "received_at": "2026-01-01T00:00:00.000Z",
        "sent_at": "2025-12-31T23:59:58.500Z",
        "alert": {"action": "buy", "symbol": "BTCUSDT.P", "qty": "0.01"},
        "orders": [
            {
                "client_order_id": client_id,
                "venue_order_id": "v-1",
                "account": "main",
                "category": "linear",
                "symbol": "BTCUSDT",
                "side": "buy",
                "type": "limit",
                "qty": "0.01",
                "price": "60000.5",
                "reduce_only": False,
                "status": "filled",
                "reason": None,
                "filled_qty": "0.01",
                "avg_price": "60000",
                "fee": "0.33",
                "fee_coin": None,
            }
        ],
        "events": [
            {"at": "2026-01-01T00:00:00.000Z", "name": "accepted", "detail": None},
            {"at": "2026-01-01T00:00:00.000Z", "name": "executing", "detail": {"account": "main"}},
            {
                "at": "2026-01-01T00:00:00.000Z",
                "name": "planned",
                "detail": {"account": "main", "orders": 1, "inputs": {"position": "0", "price": "60000"}},
            },
            {
                "at": "2026-01-01T00:00:00.000Z",
                "name": "order_submitted",
                "detail": {"client_order_id": client_id, "attempt": 1},
            },
            {
                "at": "2026-01-01T00:00:00.040Z",
                "name": "order_filled",
                "detail": {"client_order_id": client_id, "filled_qty": "0.01", "avg_price": "60000"},
            },
            {"at": "2026-01-01T00:00:00.041Z", "name": "done", "detail": {"account": "main"}},
        ],
    }


def test_a_fee_that_was_taken_in_several_coins_is_no_sum_of_them(journal: Journal) -> None:
    _, client_id = sent_order(journal, limit())
    for number, (fee, coin) in enumerate([("0.25", "USDT"), ("0.02", "MNT"), ("0.5", "USDT")]):
        paid = replace(fill(client_id, f"e-{number}", qty="0.002", fee=fee), fee_coin=coin, at_ms=NOW_MS + number)
        journal.record_report(client_id, None, (paid,), now_ms=NOW_MS)
    (shown,) = journal.orders()
    assert (shown["fee"], shown["fee_coin"], shown["fees_other"]) == ("0.75", "USDT", {"MNT": "0.02"})
    (row,) = export(journal.store, ExportKind.ORDERS, 0, NOW_MS * 2)
    assert (row["fee"], row["fee_coin"], row["fees_other"]) == ("0.75", "USDT", "0.02 MNT")


def test_the_notes_of_its_plan_are_among_a_signals_notes(journal: Journal) -> None:
    signal_id = accepted(journal, new_signal(notes=("no id",)))
    made = plan(notes=("rounded down", "no id"))
    journal.write(
        lambda uow: uow.plans.record(signal_id=signal_id, account="main", generation=0, plan=made, now_ms=NOW_MS)
    )
    shown = journal.signal(signal_id)
    assert shown is not None
    assert shown["notes"] == ["no id", "rounded down"]


def test_an_unknown_signal_is_none(journal: Journal) -> None:
    assert journal.signal(new_signal_id(NOW_MS)) is None
    assert journal.order("nothing") is None
    assert journal.execution("nothing", "main") is None


def test_the_latest_signals_come_first_in_pages_without_gaps(journal: Journal) -> None:
    ids = [accepted(journal) for _ in range(7)]
    pages = _all_pages(journal, 3)
    assert [len(page) for page in pages] == [3, 3, 1]
    assert [each for page in pages for each in page] == ids[::-1]
    assert [len(page) for page in _all_pages(journal, 7)] == [7]


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 20])
def test_what_needs_attention_comes_first_on_whatever_page(journal: Journal, limit: int) -> None:
    ids = [accepted(journal) for _ in range(9)]
    needing = ids[1:8:3]
    for signal_id in needing:
        journal.finish(signal_id, "main", SignalStatus.ATTENTION, now_ms=NOW_MS)
    others = [each for each in ids if each not in needing]
    pages = _all_pages(journal, limit, attention_first=True)
    assert [each for page in pages for each in page] == needing[::-1] + others[::-1]


def test_signals_are_found_by_strategy_account_symbol_and_status(journal: Journal) -> None:
    first = accepted(journal, new_signal(strategy="s", accounts=("a", "b")))
    second = accepted(journal, new_signal(symbol="ETHUSDT", accounts=("b",)))
    journal.finish(second, "b", SignalStatus.DONE, now_ms=NOW_MS)
    assert _ids(journal.signals(strategy="s").signals) == [first]
    assert _ids(journal.signals(account="a").signals) == [first]
    assert _ids(journal.signals(account="b").signals) == [second, first]
    assert _ids(journal.signals(symbol="ETHUSDT").signals) == [second]
    assert _ids(journal.signals(status=SignalStatus.DONE, attention_first=True).signals) == [second]
    assert _ids(journal.signals(strategy="s", symbol="ETHUSDT").signals) == []


def test_a_text_is_found_in_whatever_case_and_its_signs_stand_for_themselves(journal: Journal) -> None:
    first = accepted(journal, new_signal(alert={"comment": "Breakout 5%"}))
    accepted(journal, new_signal(alert={"comment": "none of it"}))
    assert _ids(journal.signals(text="bREAKout 5%").signals) == [first]
    assert [_ids(journal.signals(text=each).signals) for each in ("5%5", "brea_out")] == [[], []]


def test_what_needs_a_person_is_read_for_one_account(journal: Journal) -> None:
    signal_id = accepted(journal, new_signal(accounts=("a", "b")))
    journal.finish(signal_id, "a", SignalStatus.DONE, now_ms=NOW_MS)
    journal.finish(signal_id, "b", SignalStatus.ATTENTION, now_ms=NOW_MS)
    assert [(each.signal.id, each.account) for each in journal.in_attention("b")] == [(signal_id, "b")]
    assert journal.in_attention("a") == ()
    assert journal.accounts_in_attention() == {"b"}


@pytest.mark.parametrize("cursor", ["", "x", "-1", "1.5", "attention-", "9" * 30, "١"])
def test_a_cursor_that_is_none_is_reported(journal: Journal, cursor: str) -> None:
    with pytest.raises(ValueError, match="not a cursor"):
        journal.signals(cursor=cursor)


def test_the_coin_of_a_fee_is_its_fills_and_of_several_the_first_ones(journal: Journal) -> None:
    signal_id, client_id = sent_order(journal)
    coins = []
    for number, coin in enumerate(("MNT", "MNT", "BTC")):
        paid = replace(fill(client_id, exec_id=f"e-{number}", qty="0.002"), fee_coin=coin)
        journal.record_report(client_id, report(client_id), fills=[paid], now_ms=NOW_MS)
        (shown,), (listed,) = (journal.signal(signal_id) or {})["orders"], journal.orders()
        (paged,) = journal.signals().signals[0]["orders"]
        coins.append({each["fee_coin"] for each in (shown, listed, paged)})
    assert coins == [{"MNT"}, {"MNT"}, {"MNT"}]


def test_orders_are_listed_by_what_is_asked_for(journal: Journal) -> None:
    _, filled = sent_order(journal)
    journal.record_report(filled, report(filled), now_ms=NOW_MS)
    signal_id, resting = sent_order(journal, limit(), signal=new_signal())
    reason = Reason(code="LEG_FAILED", message="no")
    journal.settle_order(resting, OrderStatus.ACCEPTED, None, now_ms=NOW_MS)
    third, denied = sent_order(journal)
    journal.settle_order(denied, OrderStatus.DENIED, reason, now_ms=NOW_MS)

    def listed(**options: Any) -> list[str]:
        return [each["client_order_id"] for each in journal.orders(**options)]

    assert listed() == sorted([filled, resting, denied], reverse=True)
    assert listed(limit=1) == [max(filled, resting, denied)]
    assert listed(open_only=True) == listed(status=OrderStatus.ACCEPTED) == [resting] == [order_id(signal_id)]
    assert listed(status=OrderStatus.DENIED) == [denied] == [order_id(third)]
    assert listed(account="other") == listed(symbol="ETHUSDT") == []
    assert journal.orders(status=OrderStatus.DENIED)[0]["reason"] == {"code": "LEG_FAILED", "message": "no"}


def test_an_orders_terms_are_the_last_ones_and_its_owner_is_named(journal: Journal) -> None:
    signal_id, client_id = sent_order(journal)
    journal.write(lambda uow: uow.orders.amended(client_id, qty=Decimal("0.025"), price=Decimal(61_000), now_ms=NOW_MS))
    queries = DashboardQueries(journal.store)
    owner = queries.order_owners([client_id, "somebody-elses"])[client_id]
    assert (owner["qty"], owner["price"], owner["signal_id"]) == ("0.025", "61000", signal_id)
    assert (owner["strategy"], owner["purpose"], owner["trigger_price"]) == ("default", "entry", None)
    assert list(queries.order_owners([client_id, "somebody-elses"])) == [client_id]
    assert [(each["qty"], each["price"]) for each in journal.orders()] == [("0.025", "61000")]
    order = journal.order(client_id)
    assert order is not None and order.state.planned.qty == Decimal("0.010"), "the plan stays what was planned"
    assert "order_amended" in events_of(journal, signal_id)


def test_an_order_is_unwanted_once_a_person_has_asked_for_its_end(journal: Journal) -> None:
    signal_id, client_id = sent_order(journal)
    assert not journal.is_unwanted(client_id)
    journal.event(signal_id, CANCEL_REQUESTED, {"client_order_id": "another", "by": "me"}, now_ms=NOW_MS)
    assert not journal.is_unwanted(client_id)
    journal.event(signal_id, CANCEL_REQUESTED, {"client_order_id": client_id, "by": "me"}, now_ms=NOW_MS)
    assert journal.is_unwanted(client_id) and not journal.is_unwanted("another")


def test_where_the_stop_stood_is_told_by_orders_and_by_what_was_set(journal: Journal) -> None:
    signal_id, client_id = sent_order(journal, replace(limit(), stop_loss=Decimal(58_000)))
    journal.record_report(client_id, report(client_id, filled="0.010"), now_ms=NOW_MS)
    journal.event(signal_id, "stops_set", {"stop_loss": "59000", "take_profit": "70000"}, now_ms=NOW_MS + 5)
    told = DashboardQueries(journal.store).level_history("main", Category.LINEAR, "BTCUSDT", NOW_MS - 9, NOW_MS + 9)
    assert [price for _, price in told.stops] == [Decimal(58_000), Decimal(59_000)]
    assert told.profits == ((NOW_MS + 5, Decimal(70_000)),) and told.tp_legs == ()
    elsewhere = DashboardQueries(journal.store).level_history("main", Category.LINEAR, "ETHUSDT", 0, NOW_MS + 9)
    assert elsewhere == LevelHistory()


def test_counts_are_by_status(journal: Journal) -> None:
    ids = [accepted(journal) for _ in range(3)]
    journal.finish(ids[0], "main", SignalStatus.EXPIRED, now_ms=NOW_MS)
    assert journal.counts() == {SignalStatus.ACCEPTED: 2, SignalStatus.EXPIRED: 1}


def test_questions_of_the_engine_read_no_more_than_what_is_open(tmp_path: Path) -> None:
    """A million orders that have ended must not slow down what is asked all the time."""
    journal = open_journal(url_of(tmp_path))
    signal_id, client_id = sent_order(journal)
    assert isinstance(journal.store, SqliteStore)
    requested: list[tuple[str, Any]] = []

    def note(_: Connection, __: object, statement: str, parameters: Any, *___: object) -> None:
        requested.append((statement, parameters))

    event.listen(journal.store._readers, "before_cursor_execute", note)
    journal.unfinished()
    assert journal.open_orders() == journal.open_orders("main") != ()
    assert not journal.open_orders("another")
    assert not journal.live_brackets("main")
    assert not journal.cancels_wanted("main")
    assert not journal.is_unwanted(client_id)
    journal.orders(open_only=True)
    journal.order(client_id)
    journal.execution(signal_id, "main")
    with journal.store.read() as connection:
        steps = [
            str(row[3])
            for statement, parameters in list(requested)
            if statement.startswith("SELECT")
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        ]
    scans = {step for step in steps if step.startswith("SCAN")}
    assert scans <= {"SCAN assignments USING INDEX ix_assignments_unfinished", "SCAN orders USING INDEX ix_orders_open"}
    assert len(steps) > 10
    journal.close()


@pytest.mark.parametrize("closed_first", [False, True], ids=["meanwhile", "before"])
def test_what_reads_a_journal_that_is_closed_leaves_no_connection_open(journal: Journal, closed_first: bool) -> None:
    if closed_first:
        journal.close()
    with journal.store.read() as connection:
        driver: Any = connection.connection.driver_connection
        journal.close()
        assert connection.execute(text("SELECT 1")).scalar() == 1
    with pytest.raises((sqlite3.ProgrammingError, psycopg.OperationalError), match="closed"):
        driver.execute("SELECT 1")
