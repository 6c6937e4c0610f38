"""Waking other processes: after the commit, all that came together at once, and nobody is held up by it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine
from sqlalchemy.engine import make_url

from relay.journal.postgres import postgres_engine
from relay.journal.wake_up import CHANNEL, WakeListener, WakeUps
from tests import postgres

WAIT_S = 30


@pytest.fixture
def engine(postgres_url: str) -> Iterator[Engine]:
    made = postgres_engine(make_url(postgres_url), connections=1, begins=False)
    yield made
    made.dispose()


@pytest.fixture
def hearing(postgres_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"LISTEN {CHANNEL}".encode())
        yield connection


def received(connection: psycopg.Connection[Any], count: int) -> list[tuple[int, str]]:
    """Each with the process of the database that said it."""
    return [(reported.pid, reported.payload) for reported in connection.notifies(timeout=WAIT_S, stop_after=count)]


def test_whoever_listens_is_woken(engine: Engine, hearing: psycopg.Connection[Any]) -> None:
    wake_ups = WakeUps(engine)
    wake_ups.tell(["east"])
    assert [word for _, word in received(hearing, 1)] == ["east"]
    wake_ups.close()


def test_a_word_waits_for_no_flush_and_is_told_as_it_stands(
    engine: Engine, hearing: psycopg.Connection[Any], caplog: pytest.LogCaptureFixture
) -> None:
    words, said = ["it's % :a \\ b", "\u00e9/?/x"], []

    wake_ups = WakeUps(engine)
    with engine.connect() as connection:
        own: Any = connection.connection.driver_connection
        own.add_notice_handler(lambda notice: said.append(notice.message_primary))
    wake_ups.tell(words)
    assert sorted(word for _, word in received(hearing, 2)) == sorted(words)
    wake_ups.close()
    assert said == [], "as it would warn of a SET LOCAL outside of a transaction"


def test_what_comes_while_one_is_reported_is_reported_together_and_each_word_once(
    engine: Engine, hearing: psycopg.Connection[Any]
) -> None:
    wake_ups = WakeUps(engine)
    with engine.connect():  # the only connection: nothing can be told meanwhile
        wake_ups.tell(["east"])
        while wake_ups._words:  # until its thread has taken it, and waits for the connection
            time.sleep(0.001)
        for _ in range(100):
            wake_ups.tell(["west", "north"])
    wake_ups.close()
    wake_ups.tell(["too late"])
    hearing.execute(f"NOTIFY {CHANNEL}, 'the end'".encode())
    words = [word for _, word in received(hearing, 4)]
    assert sorted(words[:3]) == ["east", "north", "west"]
    assert words[3] == "the end"


def test_who_tells_does_not_wait_for_a_database_that_is_away(
    engine: Engine, postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    wake_ups = WakeUps(engine)
    with psycopg.connect(postgres.server().url_of("postgres"), autocommit=True) as connection:
        name = make_url(postgres_url).database
        connection.execute(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false".encode())
        wake_ups.tell(["east"])
        with caplog.at_level("INFO"):
            wake_ups.close()
        connection.execute(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true".encode())
    assert "nobody could be woken" in caplog.text


def test_a_listener_whose_connection_was_cut_listens_again_and_says_that_it_may_have_missed_something(
    engine: Engine, postgres_url: str
) -> None:
    words: list[str | None] = []
    changed = threading.Condition()

    def hear(word: str | None) -> None:
        with changed:
            words.append(word)
            changed.notify_all()

    def until(expected: list[str | None]) -> None:
        with changed:
            assert changed.wait_for(lambda: words == expected, WAIT_S), words

    listener, wake_ups = WakeListener(postgres_url, hear), WakeUps(engine)
    listener.start()
    until([None])
    wake_ups.tell(["east"])
    until([None, "east"])
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(postgres.END_OTHERS)
    until([None, "east", None])
    listener.stop()
    wake_ups.close()
