"""What one process writes on the board, another reads there; on a real Postgres."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import psycopg
import pytest

from relay.domain.shared_stream import Fact, StreamStanding
from relay.journal.opening import open_journal
from relay.journal.postgres import PostgresStore
from relay.journal.stream_board import CHANNEL, StreamBoard

LIVE = StreamStanding(generation=3, is_live=True, problem="")
CUT = StreamStanding(generation=3, is_live=False, problem='it\'s "cut" \\ at 100 %')
FACTS = [
    Fact(seq=1, message={"topic": "order", "data": [{"qty": "0.1", "words": 'it\'s "ok" \\ {1,2} 100 % ü'}]}),
    Fact(seq=2, message={"topic": "position", "data": []}),
]


@pytest.fixture
def store(postgres_url: str) -> Iterator[PostgresStore]:
    journal = open_journal(postgres_url)
    assert isinstance(journal.store, PostgresStore)
    yield journal.store
    journal.close()


def board(store: PostgresStore, owner: str) -> StreamBoard:
    return StreamBoard(store, "main", owner, threading.Event())


@pytest.fixture
def keeper(store: PostgresStore) -> StreamBoard:
    return board(store, "one")


@pytest.fixture
def epoch(keeper: StreamBoard) -> int:
    epoch = keeper.take()
    assert epoch is not None
    return epoch


def test_what_the_keeper_writes_the_others_read_as_it_was(
    keeper: StreamBoard, epoch: int, store: PostgresStore
) -> None:
    assert keeper.write(epoch, LIVE, FACTS, 2)
    other = board(store, "two")
    snapshot = other.look()
    assert (snapshot.epoch, snapshot.seq, snapshot.standing, snapshot.is_keepers) == (epoch, 2, LIVE, True)
    assert other.after(epoch, 0) == FACTS
    assert other.after(epoch, 1) == FACTS[1:]


def test_how_the_stream_stands_is_reported_without_a_fact(keeper: StreamBoard, epoch: int) -> None:
    assert keeper.write(epoch, LIVE, FACTS, 2)
    assert keeper.write(epoch, CUT, [], 2)
    assert keeper.look().standing == CUT
    assert keeper.after(epoch, 0) == FACTS


def test_what_is_written_again_since_its_answer_was_lost_is_there_once(keeper: StreamBoard, epoch: int) -> None:
    for _ in range(2):
        assert keeper.write(epoch, LIVE, FACTS, 2)
    assert keeper.after(epoch, 0) == FACTS


def test_who_has_lost_the_right_writes_nothing(keeper: StreamBoard, epoch: int, store: PostgresStore) -> None:
    assert keeper.write(epoch, LIVE, FACTS[:1], 1)
    keeper.give_up(epoch)
    new = board(store, "two").take()
    assert new == epoch + 1
    assert not keeper.write(epoch, CUT, FACTS[1:], 2)
    assert keeper.look().standing == LIVE
    assert keeper.after(epoch, 0) == FACTS[:1]


def test_each_write_renews_the_right(keeper: StreamBoard, epoch: int, postgres_url: str) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("UPDATE leases SET until = until - 2000")
    before = keeper.look().left_ms
    assert keeper.write(epoch, LIVE, [], 0)
    assert keeper.look().left_ms > before + 1000


def test_all_are_reported_that_there_is_news_but_not_by_who_has_lost_the_right(
    keeper: StreamBoard, epoch: int, postgres_url: str
) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"LISTEN {CHANNEL}".encode())
        keeper.write(epoch, LIVE, [], 0)
        keeper.write(epoch - 1, LIVE, [], 0)
        assert keeper.write(epoch, LIVE, FACTS, 2)
        reported = [each.payload for each in connection.notifies(timeout=60, stop_after=2)]
        assert reported == ["main", "main"]
        assert not list(connection.notifies(timeout=0))
