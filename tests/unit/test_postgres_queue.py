"""Accepting where several processes share the work: the signal and the job of its lane, and who gets what next."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from sqlalchemy import text

from relay.domain.instrument import Category
from relay.domain.order import SignalStatus
from relay.engine.lease_guard import LeaseLost
from relay.engine.postgres_jobs import prune
from relay.engine.postgres_queue import PostgresQueue
from relay.journal.accept import Admitting
from relay.journal.journal import Journal
from relay.journal.leases import LEASE_S, Leases
from relay.journal.opening import open_journal
from relay.journal.postgres import PostgresStore
from relay.journal.queued import admit, locks_of
from relay.journal.records import Duplicate
from relay.journal.store import hold
from relay.journal.waiting_lanes import LaneKey, WaitingLanes
from tests.unit.journal_builders import NOW_MS, accept, accepted, body, new_signal

DEADLINE_S = 60
LANE = LaneKey(account="main", category=Category.LINEAR, symbol="BTCUSDT")


@pytest.fixture
def journal(postgres_url: str) -> Iterator[Journal]:
    opened = open_journal(postgres_url, queue=PostgresQueue())
    yield opened
    opened.close()


@pytest.fixture
def waiting(journal: Journal) -> WaitingLanes:
    return WaitingLanes(journal.store, "this process")


def jobs(url: str) -> list[tuple[str, dict[str, str]]]:
    with psycopg.connect(url) as connection:
        return connection.execute(
            "SELECT queueing_lock, args FROM procrastinate_jobs ORDER BY queueing_lock"
        ).fetchall()


def test_an_accepted_alert_has_a_job_for_each_of_its_lanes_and_a_lane_has_one_at_a_time(
    journal: Journal, postgres_url: str
) -> None:
    accepted(journal, new_signal(accounts=("b", "a")))
    accepted(journal, new_signal(accounts=("a",)))
    accepted(journal, new_signal(accounts=(), category=None, symbol=None, ticker=None))
    accepted(journal, new_signal(accounts=("a",), category=None, symbol=None))
    assert jobs(postgres_url) == [
        ("a/?/BTCUSDT.P", {"account": "a", "category": None, "symbol": "BTCUSDT.P"}),
        ("a/linear/BTCUSDT", {"account": "a", "category": "linear", "symbol": "BTCUSDT"}),
        ("b/linear/BTCUSDT", {"account": "b", "category": "linear", "symbol": "BTCUSDT"}),
    ]


def test_a_resend_has_no_job(journal: Journal, postgres_url: str) -> None:
    first = new_signal(body("same"), digest="d")
    accepted(journal, first)
    with psycopg.connect(postgres_url) as connection:
        connection.execute("DELETE FROM procrastinate_jobs")
    assert isinstance(accept(journal, new_signal(body("same"), digest="d")), Duplicate)
    assert jobs(postgres_url) == []


def test_what_failed_without_effect_has_a_job_again_when_it_is_sent_again(journal: Journal, postgres_url: str) -> None:
    signal_id = accepted(journal, new_signal(body("same"), digest="d"))
    journal.finish(signal_id, "main", SignalStatus.DENIED, now_ms=NOW_MS)
    with psycopg.connect(postgres_url) as connection:
        connection.execute("DELETE FROM procrastinate_jobs")
    accept(journal, new_signal(body("same"), digest="d"))
    assert [lane for lane, _ in jobs(postgres_url)] == [LANE.name]


def test_who_waits_for_the_lane_has_its_place_behind_who_had_it(journal: Journal, postgres_url: str) -> None:
    """However early it came: else what was committed first would be executed first all the same, and then be late."""
    assert isinstance(journal.store, PostgresStore)
    ahead, behind = new_signal(), new_signal()
    with ThreadPoolExecutor(1) as threads, journal.store.engine.connect() as connection:
        connection.execute(text("BEGIN"))
        hold(connection, locks_of(ahead))
        waits = threads.submit(accept, journal, behind, deadline_s=DEADLINE_S)
        until_one_waits(postgres_url)
        admit(connection, Admitting(new=ahead, now_ms=NOW_MS, aged_ms=NOW_MS, dedup_window_ms=0), PostgresQueue())
        connection.commit()
        waits.result()
    assert [each.signal.id for each in journal.unfinished()] == [ahead.id, behind.id]


def until_one_waits(url: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    with psycopg.connect(url, autocommit=True) as connection:
        while not connection.execute("SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted").fetchall():
            assert time.monotonic() < deadline, "nobody waits for the lane"


def test_a_lane_gives_its_oldest_work_and_what_bears_on_it(journal: Journal, waiting: WaitingLanes) -> None:
    first, second = accepted(journal), accepted(journal)
    journal.set_switch("main", "halt", "on", by="a person", now_ms=NOW_MS)
    turn = waiting.next(LANE, None)
    assert turn is not None and turn.execution is not None
    assert turn.execution.signal.id == first
    known = turn.execution.circumstances
    assert known is not None and known.halt is not None and known.halt.by == "a person"
    assert known.residual is None
    journal.finish(first, "main", SignalStatus.DONE, now_ms=NOW_MS)
    after = waiting.next(LANE, turn.lease)
    assert after is not None and after.execution is not None
    assert after.execution.signal.id == second
    journal.finish(second, "main", SignalStatus.DONE, now_ms=NOW_MS)
    assert waiting.next(LANE, turn.lease) is None


def test_an_alert_without_a_name_comes_before_the_lane_it_may_belong_to(
    journal: Journal, waiting: WaitingLanes
) -> None:
    unresolved = accepted(journal, new_signal(category=None, symbol=None, ticker="SOMETHING"))
    named = accepted(journal)
    turn = waiting.next(LANE, None)
    assert turn is not None and turn.execution is not None
    assert (turn.execution.signal.id, turn.execution.signal.category) == (unresolved, None)
    past = waiting.next(LANE, turn.lease, unresolved_until=turn.execution.seq)
    assert past is not None and past.execution is not None
    assert past.execution.signal.id == named


def test_a_lease_is_one_processs_until_it_ends_and_each_holder_has_a_later_epoch(
    journal: Journal, waiting: WaitingLanes
) -> None:
    accepted(journal)
    turn = waiting.next(LANE, None)
    assert turn is not None
    other = Leases(journal.store, "another process")
    assert other.take(LANE.name) is None
    again = Leases(journal.store, "this process").take(LANE.name)
    assert again is not None and again.epoch == turn.lease.epoch + 1
    with pytest.raises(LeaseLost):
        waiting.next(LANE, turn.lease)
    Leases(journal.store, "this process").release_all()
    taken = other.take(LANE.name)
    assert taken is not None and taken.epoch == again.epoch + 1


def test_what_dead_workers_have_left_behind_is_forgotten_and_what_counts_is_not(
    journal: Journal, postgres_url: str
) -> None:
    accepted(journal)
    keeper = Leases(journal.store, "this process")
    keeper.register()
    keeper.take(LANE.name)
    with psycopg.connect(postgres_url) as connection:
        connection.execute(
            "INSERT INTO leases VALUES (%s, 'gone', 1, 5), ('main/linear/OLD', 'gone', 1, 5)", ["worker gone"]
        )
        connection.execute(
            "INSERT INTO procrastinate_jobs (task_name, status, queue_name) VALUES ('t', 'doing', 'lanes')"
        )
    keeper.forget_dead_workers()
    journal.store.submit(prune)
    with psycopg.connect(postgres_url) as connection:
        names = {name for (name,) in connection.execute("SELECT name FROM leases")}
    assert names == {"worker this process", LANE.name, "main/linear/OLD"}
    assert [lane for lane, _ in jobs(postgres_url)] == [LANE.name]


def test_lanes_with_work_that_nobody_attends_to_are_found_the_oldest_first(
    journal: Journal, waiting: WaitingLanes
) -> None:
    lanes = [("b", "ETHUSDT"), ("a", "BTCUSDT"), ("a", "SOLUSDT"), ("b", "ETHUSDT"), ("else", "BTCUSDT")]
    ids = [accepted(journal, new_signal(accounts=(account,), symbol=symbol)) for account, symbol in lanes]
    accepted(journal, new_signal(accounts=("a",), category=None, symbol=None, ticker="NAMELESS"))
    journal.finish(ids[2], "a", SignalStatus.DONE, now_ms=NOW_MS)
    assert waiting.unattended(("a", "b")) == (
        [
            LaneKey(account="b", category=Category.LINEAR, symbol="ETHUSDT"),
            LaneKey(account="a", category=Category.LINEAR, symbol="BTCUSDT"),
            LaneKey(account="a", category=None, symbol="NAMELESS"),
        ],
        None,
    )
    for key in waiting.unattended(("a", "b"))[0][:2]:
        assert Leases(journal.store, "another process").take(key.name) is not None
    assert waiting.next(LaneKey(account="a", category=None, symbol="NAMELESS"), None) is not None
    free, ends_in_ms = waiting.unattended(("a", "b"))
    assert free == []
    assert ends_in_ms is not None and 0 < ends_in_ms <= LEASE_S * 1000
