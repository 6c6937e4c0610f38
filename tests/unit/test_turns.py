"""Turns that several processes take at the exchange, counted in Postgres: each client here is a process of its own."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator

import psycopg
import pytest

from relay.errors import JournalUnavailable
from relay.journal.turns import FAR_S, FLIGHT_S, GRACE_S, SharedTurns
from tests import postgres
from tests.unit.turns_support import CREATE, ENTRY, EXIT, WINDOW_S, Client, Database, until


@pytest.fixture
def clients(postgres_url: str) -> Iterator[tuple[Client, Client, Client]]:
    made = (Client(postgres_url), Client(postgres_url), Client(postgres_url))
    yield made
    for each in made:
        each.close()


@pytest.fixture
def database(postgres_url: str) -> Iterator[Database]:
    made = Database(postgres_url)
    yield made
    made.close()


Clients = tuple[Client, Client, Client]


def test_the_limit_holds_over_all_processes(clients: Clients) -> None:
    granted = [clients[number % 3].take(f"t{number}", limit=10) == 0 for number in range(12)]
    assert granted == [True] * 10 + [False] * 2


def test_each_account_and_each_endpoint_has_its_own_limit(clients: Clients) -> None:
    assert clients[0].take("a") == 0
    assert clients[1].take("b", endpoint="/v5/order/cancel") == 0
    other = SharedTurns(clients[2].store, "other")
    named = {"endpoint": CREATE, "waiter": "c", "priority": ENTRY, "limit": 1, "window_s": WINDOW_S, "timeout_s": 10}
    assert other.take("c", **named) == 0  # type: ignore[arg-type]
    assert clients[1].take("d") > 0


def test_a_turn_counts_for_a_window_after_its_answer(clients: Clients, database: Database) -> None:
    one, two, _ = clients
    assert one.take("a") == 0
    database.pass_time(WINDOW_S)
    assert two.take("b") > 0
    one.end("a")
    until(lambda: 0 < database.left_s("a") <= WINDOW_S)
    database.pass_time(WINDOW_S / 2)
    assert two.take("b") > 0
    database.pass_time(WINDOW_S / 2)
    assert two.take("b") == 0


def test_an_answer_that_comes_after_its_turn_was_given_up_counts_for_a_window_still(
    clients: Clients, database: Database
) -> None:
    assert clients[0].take("a") == 0
    database.pass_time(FLIGHT_S + WINDOW_S + 2)
    clients[0].end("a")
    until(lambda: database.left_s("a") > 0)
    assert clients[1].take("b") > 0


def test_a_turn_that_was_not_used_is_free_at_once(clients: Clients, database: Database) -> None:
    one, two, _ = clients
    assert one.take("a") == 0
    assert two.take("b") > 0
    one.turns.give_back("a", endpoint=CREATE)
    until(lambda: database.left_s("a") < 0)
    assert two.take("b") == 0


def test_a_process_that_dies_in_flight_takes_its_turn_with_it_for_a_little_while_only(
    clients: Clients, database: Database
) -> None:
    assert clients[0].take("a") == 0
    clients[0].close()
    database.pass_time(FLIGHT_S)
    assert clients[1].take("b") > 0
    database.pass_time(WINDOW_S)
    assert clients[1].take("b") == 0


def test_exits_go_before_entries_whichever_process_they_wait_in(clients: Clients, database: Database) -> None:
    one, two, three = clients
    assert one.take("spent") == 0
    for client, turn, priority in ((one, "entry", ENTRY), (two, "exit", EXIT), (three, "exit 2", EXIT)):
        assert client.take(turn, priority=priority) > 0
    went = []
    for _ in range(3):
        database.pass_time(FLIGHT_S + WINDOW_S)
        database.ask("UPDATE turns SET until_us = until_us + 9000000 WHERE weight = 0 RETURNING 1")
        for client, turn, priority in ((one, "entry", ENTRY), (three, "exit 2", EXIT), (two, "exit", EXIT)):
            if turn not in went and client.take(turn, priority=priority) == 0:
                went.append(turn)
                break
    assert went == ["exit", "exit 2", "entry"]


def test_equals_go_in_the_order_in_which_they_came_first(clients: Clients, database: Database) -> None:
    assert clients[0].take("spent", limit=1) == 0
    for number in range(6):
        assert clients[number % 3].take(f"t{number}", limit=1) > 0
    went: list[str] = []
    while len(went) < 6:
        database.pass_time(FLIGHT_S + WINDOW_S)
        database.ask("UPDATE turns SET until_us = until_us + 9000000 WHERE weight = 0 RETURNING 1")
        # The last comes first, and has to wait all the same.
        went += [f"t{n}" for n in reversed(range(6)) if f"t{n}" not in went and clients[n % 3].take(f"t{n}") == 0][:1]
    assert went == [f"t{number}" for number in range(6)]


def test_who_waits_is_told_when_its_own_turn_comes(clients: Clients, database: Database) -> None:
    window_s = FAR_S / 2
    for turn in ("a", "b"):
        assert clients[0].take(turn, limit=2, window_s=window_s) == 0
        clients[0].end(turn, window_s=window_s)
        until(lambda turn=turn: 0 < database.left_s(turn) <= window_s)  # type: ignore[misc]
    reported = [clients[number % 3].take(f"t{number}", limit=2, window_s=window_s) for number in range(4)]
    # Two are let go in each window, at the ends of the two turns before them.
    for number, wait_ms in enumerate(reported):
        assert number // 2 * window_s * 1000 < wait_ms <= (number // 2 + 1) * window_s * 1000 + 1


def test_nobody_is_told_to_come_later_than_a_dead_waiter_may_be_waited_for(clients: Clients) -> None:
    assert clients[0].take("a") == 0
    reported = [clients[0].take(f"t{number}") for number in range(12)]
    assert max(reported) == pytest.approx(FAR_S * 1000, abs=1)


def test_a_waiter_that_has_died_blocks_nobody_for_long(clients: Clients, database: Database) -> None:
    one, two, _ = clients
    assert one.take("spent") == 0
    assert one.take("dead", priority=EXIT) > 0
    one.close()
    database.ask("UPDATE turns SET until_us = asked_us WHERE name = 'spent' RETURNING 1")
    assert two.take("alive") > 0
    database.pass_time(WINDOW_S + GRACE_S)
    assert two.take("alive") == 0


def test_a_waiter_that_comes_a_little_late_has_kept_its_place(clients: Clients, database: Database) -> None:
    one, two, _ = clients
    assert one.take("spent") == 0
    assert one.take("late") > 0
    assert two.take("second") > 0
    database.pass_time(FLIGHT_S + WINDOW_S)
    assert database.left_s("waits late") < 0
    assert one.take("late") == 0
    assert two.take("second") > 0


def test_a_request_that_is_sent_again_waits_anew(clients: Clients) -> None:
    """Its first turn still counts when the second is asked for."""
    named = {
        "endpoint": CREATE,
        "waiter": "order",
        "priority": ENTRY,
        "limit": 2,
        "window_s": WINDOW_S,
        "timeout_s": 10,
    }
    took = [clients[0].turns.take(turn, **named) for turn in ("first", "second", "third")]  # type: ignore[arg-type]
    assert [each == 0 for each in took] == [True, True, False]


def test_what_others_spend_of_the_limit_is_left_to_them(clients: Clients, database: Database) -> None:
    one, two, _ = clients
    assert one.take("a", limit=10) == 0
    one.end("a", spent=8)
    until(lambda: database.left_s("others") > 0)
    assert [two.take(f"t{number}", limit=10) == 0 for number in range(3)] == [True, True, False]
    database.pass_time(WINDOW_S)
    assert two.take("t2", limit=10) == 0


def test_what_others_were_seen_to_spend_is_left_to_them_while_own_requests_are_on_their_way(
    clients: Clients, database: Database
) -> None:
    one, two, _ = clients
    assert one.take("a", limit=10) == 0
    one.end("a", spent=5)
    until(lambda: database.left_s("others") > 0)
    assert [two.take(f"on its way {number}", limit=10) for number in range(3)] == [0, 0, 0]
    assert one.take("b", limit=10) == 0
    one.end("b", spent=6)  # the others' four, and two: the exchange has not heard of the three yet
    until(lambda: 0 < database.left_s("b") <= WINDOW_S)
    assert [two.take(f"c{number}", limit=10) == 0 for number in range(2)] == [True, False]


def test_what_the_other_processes_spend_is_not_counted_twice(clients: Clients, database: Database) -> None:
    for number, client in enumerate(clients):
        assert client.take(f"t{number}", limit=10) == 0
    clients[0].end("t0", spent=3)
    until(lambda: 0 < database.left_s("t0") <= WINDOW_S)
    assert database.left_s("others") < 0
    assert [clients[1].take(f"u{number}", limit=10) == 0 for number in range(8)] == [True] * 7 + [False]


def test_what_this_relay_spent_some_time_ago_is_not_taken_for_what_it_spends_now(
    clients: Clients, database: Database
) -> None:
    one, two, _ = clients
    for turn in ("a", "b"):
        assert one.take(turn, limit=10) == 0
    database.pass_time(FLIGHT_S + WINDOW_S + 0.5)
    one.end("c", spent=8)
    until(lambda: database.left_s("others") > 0)
    assert [two.take(f"t{number}", limit=10) == 0 for number in range(3)] == [True, True, False]


def test_a_database_clock_that_was_set_back_holds_nobody_up(clients: Clients, database: Database) -> None:
    assert clients[0].take("a") == 0
    database.pass_time(-3600)
    assert clients[1].take("b") == 0


def test_who_waits_holds_neither_a_connection_nor_a_lock(clients: Clients, database: Database) -> None:
    assert clients[0].take("a") == 0
    assert clients[0].take("b") > 0
    until(lambda: clients[0].store.engine.pool.checkedout() == 0)  # type: ignore[attr-defined]
    # pg_stat_activity would do, too, but it also shows what the server does for itself.
    assert database.ask("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == [(0,)]


def test_a_database_that_does_not_answer_grants_nothing(clients: Clients, postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as held:
        held.execute("LOCK TABLE turns IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(JournalUnavailable, match=r"did not say within 0\.2 s"):
            clients[0].turns.take(
                "a", endpoint=CREATE, waiter="a", priority=EXIT, limit=9, window_s=WINDOW_S, timeout_s=0.2
            )


def test_connections_that_were_cut_are_replaced_unseen(clients: Clients, database: Database) -> None:
    assert clients[0].take("a", limit=2) == 0
    database.ask(postgres.END_OTHERS)
    assert clients[0].take("b", limit=2) == 0
    assert clients[0].take("c", limit=2) > 0


def test_the_end_of_a_turn_that_cannot_be_reported_stops_nobody(clients: Clients) -> None:
    assert clients[0].take("a") == 0
    clients[0].close()
    clients[0].end("a")
    clients[0].turns.give_back("a", endpoint=CREATE)


def test_turns_are_not_written_to_the_databases_log(database: Database) -> None:
    assert database.ask("SELECT relpersistence FROM pg_class WHERE relname = 'turns'") == [("u",)]


def test_at_no_moment_are_there_more_than_the_limit_within_a_window(clients: Clients) -> None:
    """Each request reaches the exchange somewhere between its leaving and its answer. Three processes, nine threads."""
    limit, window_s, each_s = 5, 0.15, 12
    chance = random.Random(6)
    flights = [(chance.uniform(0, 0.02), chance.uniform(0, 0.02)) for _ in range(each_s * 9)]
    arrived: list[float] = []

    def send(number: int) -> None:
        client, turn = clients[number % 3], f"t{number}"
        while wait_ms := client.take(turn, limit=limit, priority=number % 2, window_s=window_s):
            threading.Event().wait(wait_ms / 1000)
        there_s, back_s = flights[number]
        threading.Event().wait(there_s)
        arrived.append(time.monotonic())
        threading.Event().wait(back_s)
        client.end(turn, window_s=window_s)

    def work(first: int) -> None:
        for number in range(first, len(flights), 9):
            send(number)

    threads = [threading.Thread(target=work, args=(first,)) for first in range(9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    arrived.sort()
    assert len(arrived) == len(flights)
    assert [b - a for a, b in zip(arrived, arrived[limit:], strict=False) if b - a < window_s] == []
