"""Placing the accounts among processes that come, go, and cannot reach the database for a while."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import psycopg
import pytest
from sqlalchemy.engine import make_url

from tests import postgres
from tests.unit.placement_hosts import WAIT_S, Hall, PlacedProcess

ACCOUNTS = tuple(f"account-{number:02}" for number in range(50))
Begin = Callable[..., PlacedProcess]


@pytest.fixture
def hall() -> Hall:
    return Hall()


@pytest.fixture
def begin(postgres_url: str, hall: Hall) -> Iterator[Begin]:
    begun: list[PlacedProcess] = []

    def begin(accounts: tuple[str, ...] = ACCOUNTS, *, room: int = 50) -> PlacedProcess:
        made = PlacedProcess(postgres_url, f"process {len(begun)}", accounts, hall, room=room)
        begun.append(made)
        return made.start()

    yield begin
    for each in begun:
        each.host.busy.clear()
        each.stop()


def is_spread(*processes: PlacedProcess) -> bool:
    """Every account is served, by one of them, and by each as many as by the others."""
    counts = [len(each.serves) for each in processes]
    return (
        sum(counts) == len(set().union(*(each.serves for each in processes))) == 50 and max(counts) - min(counts) <= 1
    )


def test_one_process_serves_everything_and_what_belongs_to_no_account(begin: Begin, hall: Hall) -> None:
    only = begin()
    hall.until(lambda: len(only.serves) == 50)
    assert only.placement.owned == set(ACCOUNTS)
    hall.until(lambda: only.placement.is_first)


def test_fifty_accounts_are_spread_evenly_over_three_processes(begin: Begin, hall: Hall) -> None:
    processes = [begin() for _ in range(3)]
    hall.until(lambda: is_spread(*processes))
    assert sorted(len(each.serves) for each in processes) == [16, 17, 17]
    assert [each.host.has_lost for each in processes] == [[]] * 3


def test_a_newcomer_has_its_share_and_nothing_is_lost_on_the_way(begin: Begin, hall: Hall) -> None:
    one, two = begin(), begin()
    hall.until(lambda: is_spread(one, two))
    three = begin()
    hall.until(lambda: is_spread(one, two, three))
    assert one.host.has_lost == two.host.has_lost == []


def test_an_account_goes_to_a_newcomer_only_once_its_steps_have_ended(begin: Begin, hall: Hall) -> None:
    one = begin()
    hall.until(lambda: len(one.serves) == 50)
    with hall.changed:
        one.host.busy.update(ACCOUNTS)
    two = begin()
    hall.until(lambda: len(one.host.was_requested_for) == 25)
    assert one.placement.owned == set(ACCOUNTS)
    assert two.serves == {}
    with hall.changed:
        one.host.busy.clear()
    one.placement.wake()
    hall.until(lambda: is_spread(one, two))


def test_a_process_that_stops_hands_over_once_its_steps_have_ended(begin: Begin, hall: Hall) -> None:
    one, two = begin(), begin()
    hall.until(lambda: is_spread(one, two))
    late = next(iter(two.serves))
    with hall.changed:
        two.host.busy.add(late)
    came_to: list[bool] = []
    stopping = threading.Thread(target=lambda: came_to.append(two.stop()))
    stopping.start()
    hall.until(lambda: len(one.serves) == 49)
    assert stopping.is_alive()
    assert two.serves.keys() == {late}
    assert two.serves[late].is_valid
    with hall.changed:
        two.host.busy.clear()
    two.placement.wake()
    stopping.join(WAIT_S)
    hall.until(lambda: len(one.serves) == 50)
    assert came_to == [True]


def test_a_process_that_stops_with_steps_under_way_says_so_and_gives_the_rest_back(begin: Begin, hall: Hall) -> None:
    one, two = begin(), begin()
    hall.until(lambda: is_spread(one, two))
    late = next(iter(two.serves))
    with hall.changed:
        two.host.busy.add(late)
    assert two.stop(0.5) is False
    hall.until(lambda: len(one.serves) == 50)


def test_what_a_process_cannot_serve_another_does(begin: Begin, hall: Hall) -> None:
    one, two = begin(ACCOUNTS[:4]), begin(ACCOUNTS[:4])
    hall.until(lambda: len(one.serves) == len(two.serves) == 2)
    refused = next(iter(one.serves))
    one.placement.refuse(refused)
    hall.until(lambda: refused in two.serves)
    hall.until(lambda: len(two.serves) == 2)
    assert refused in two.serves
    assert one.host.has_lost == two.host.has_lost == []


def test_what_the_only_process_cannot_serve_it_tries_again_all_the_same(begin: Begin, hall: Hall) -> None:
    only = begin(ACCOUNTS[:2])
    hall.until(lambda: len(only.serves) == 2)
    only.placement.refuse(ACCOUNTS[0])
    only.placement.wake()
    hall.until(lambda: only.placement.owned == set(ACCOUNTS[:2]))
    assert len(only.serves) == 2


def test_accounts_beyond_everybodys_room_are_not_left_alone(begin: Begin, hall: Hall) -> None:
    one, two = begin(room=20), begin(room=20)
    hall.until(lambda: len(one.serves) + len(two.serves) == 50)
    hall.until(lambda: is_spread(one, two))
    assert one.placement.over_room == two.placement.over_room == 5


def test_processes_with_different_accounts_each_serve_their_own(begin: Begin, hall: Hall) -> None:
    one, two = begin(ACCOUNTS[:4]), begin(ACCOUNTS[2:6])
    hall.until(lambda: one.serves.keys() | two.serves.keys() == set(ACCOUNTS[:6]))
    assert one.serves.keys() >= set(ACCOUNTS[:2])
    assert two.serves.keys() >= set(ACCOUNTS[4:6])


@pytest.fixture
def gate(postgres_url: str) -> Iterator[Callable[[bool], None]]:
    """Lets processes into the database of the test, or nobody."""
    name = make_url(postgres_url).database
    with psycopg.connect(postgres.server().url_of("postgres"), autocommit=True) as connection:

        def let(in_: bool) -> None:
            connection.execute(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS {in_}".encode())
            if not in_:
                ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
                connection.execute(ended, [name])

        yield let
        let(True)


def test_after_a_database_that_was_away_each_account_is_served_by_one_process(
    begin: Begin, hall: Hall, gate: Callable[[bool], None]
) -> None:
    one, two = begin(), begin()
    hall.until(lambda: is_spread(one, two))
    gate(False)
    hall.until(lambda: not one.placement.owned and not two.placement.owned)
    assert len(one.serves) + len(two.serves) == 50
    gate(True)
    hall.until(lambda: is_spread(one, two) and len(one.placement.owned) + len(two.placement.owned) == 50)
    assert one.placement.owned.isdisjoint(two.placement.owned)


def test_a_process_can_stop_while_the_database_is_away(begin: Begin, hall: Hall, gate: Callable[[bool], None]) -> None:
    only = begin(ACCOUNTS[:2])
    hall.until(lambda: len(only.serves) == 2)
    gate(False)
    assert only.stop(WAIT_S) is True
    assert only.serves == {}
