"""Who owns which account, in rows of the journal: taken by one, renewed beside writers, no write by an old right."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError

from relay.engine import lease_guard
from relay.engine.lease_guard import AccountLease, LeaseLost
from relay.journal.journal import Journal
from relay.journal.opening import open_journal
from relay.journal.ownership import FIRST, PLACED, AccountOwners, is_flushing, owned_by_owner_of, owning
from relay.journal.postgres import PostgresStore
from relay.journal.statements import commit, fetch_all, pipelined, roll_back, run_text
from relay.journal.wake_up import CHANNEL
from tests.unit.journal_builders import NOW_MS

ACCOUNTS = ("east", "north", "south", "west")
WAIT_S = 30


@pytest.fixture
def journal(postgres_url: str) -> Iterator[Journal]:
    opened = open_journal(postgres_url)
    yield opened
    opened.close()


@pytest.fixture
def database(postgres_url: str) -> Iterator[psycopg.Connection[Any]]:
    """Another session, in which a test does what a process would at an unlucky moment."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        yield connection


def begun(journal: Journal, name: str, accounts: tuple[str, ...] = ACCOUNTS) -> AccountOwners:
    owners = AccountOwners(journal.store, name, accounts)
    owners.register()
    return owners


def owning_all(journal: Journal, name: str = "first of them") -> AccountOwners:
    owners = begun(journal, name)
    owners.take(ACCOUNTS, at_most=len(ACCOUNTS))
    assert owners.held.keys() == set(ACCOUNTS)
    return owners


def expire(database: psycopg.Connection[Any], owners: AccountOwners) -> None:
    database.execute("UPDATE process SET expires_at = 1 WHERE name = %s", [owners.name])


def switched(journal: Journal, lease: AccountLease) -> None:
    """A write by the right of the lease."""
    with lease_guard.holding(lease):
        journal.set_switch(lease.name, "tested", "on", by="a test", now_ms=NOW_MS)


def test_an_account_has_one_owner_and_what_is_requested_for_first_is_taken_first(journal: Journal) -> None:
    one, two = begun(journal, "one"), begun(journal, "two")
    one.take(("west", "east", "north"), at_most=2)
    two.take(ACCOUNTS, at_most=4)
    assert one.held.keys() == {"west", "east"}
    assert two.held.keys() == {"north", "south"}
    seen = two.renew(())
    assert seen is not None
    assert seen.owners == {"west": one.name, "east": one.name, "north": two.name, "south": two.name}


def test_what_belongs_to_no_account_is_one_more_row_that_one_process_has(journal: Journal) -> None:
    one, two = begun(journal, "one"), begun(journal, "two")
    one.take((FIRST,), at_most=1)
    two.take((FIRST,), at_most=1)
    assert FIRST in one.held
    assert FIRST not in two.held


def test_of_a_process_that_did_not_renew_in_time_everything_may_be_taken_with_a_greater_epoch(
    journal: Journal, database: psycopg.Connection[Any]
) -> None:
    old, new = owning_all(journal, "old"), begun(journal, "new")
    before = dict(old.held)
    new.take(ACCOUNTS, at_most=4)
    assert new.held == {}
    expire(database, old)
    new.take(ACCOUNTS, at_most=4)
    assert {each: new.held[each].epoch - before[each].epoch for each in ACCOUNTS} == dict.fromkeys(ACCOUNTS, 1)
    assert old.renew(()) is not None
    assert old.held == {}
    assert all(lease.is_lost for lease in before.values())


def test_who_comes_back_late_and_finds_that_nobody_took_anything_goes_on_by_the_same_right(
    journal: Journal, database: psycopg.Connection[Any]
) -> None:
    owners = owning_all(journal)
    before = dict(owners.held)
    for lease in before.values():
        lease.deadline = lease_guard.clock()
    expire(database, owners)
    owners.renew(())
    assert owners.held == before
    assert all(lease.is_valid for lease in before.values())


def test_a_process_that_is_about_to_renew_at_the_last_moment_keeps_what_it_has(
    journal: Journal, database: psycopg.Connection[Any]
) -> None:
    old, new = owning_all(journal, "old"), begun(journal, "new")
    expire(database, old)
    with database.transaction():
        database.execute("UPDATE process SET expires_at = 9999999999999 WHERE name = %s", [old.name])
        new.take(ACCOUNTS, at_most=4)
    new.take(ACCOUNTS, at_most=4)
    assert new.held == {}


def test_an_account_in_which_its_dead_owner_still_writes_is_left_until_that_has_ended(
    journal: Journal, database: psycopg.Connection[Any]
) -> None:
    """So of two epochs the later one begins when nothing of the earlier can be committed any more."""
    old, new = owning_all(journal, "old"), begun(journal, "new")
    expire(database, old)
    with database.transaction():
        assert database.execute(owning(old.held["east"]).encode()).rowcount == 1
        new.take(ACCOUNTS, at_most=4)
        assert new.held.keys() == {"north", "south", "west"}
    new.take(ACCOUNTS, at_most=4)
    assert new.held.keys() == set(ACCOUNTS)


def test_nothing_is_written_by_a_right_that_another_has_taken_since(
    journal: Journal, database: psycopg.Connection[Any]
) -> None:
    old, new = owning_all(journal, "old"), begun(journal, "new")
    lease = old.held["east"]
    switched(journal, lease)
    expire(database, old)
    new.take(("east",), at_most=1)
    with lease_guard.holding(lease), pytest.raises(LeaseLost):
        journal.set_switch("east", "tested", "off", by="a ghost", now_ms=NOW_MS)
    stored = journal.switch("east", "tested")
    assert stored is not None
    assert stored.value == "on"
    switched(journal, new.held["east"])


def test_who_writes_while_the_account_is_being_taken_waits_for_that_and_writes_nothing(
    journal: Journal, database: psycopg.Connection[Any]
) -> None:
    lease = owning_all(journal).held["east"]
    came_to: list[BaseException] = []

    def write() -> None:
        try:
            switched(journal, lease)
        except LeaseLost as error:
            came_to.append(error)

    writer = threading.Thread(target=write)
    with database.transaction():
        database.execute("UPDATE account_owner SET owner = 'new', epoch = epoch + 1 WHERE account = 'east'")
        writer.start()
        is_waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        while writer.is_alive() and database.execute(is_waiting).fetchone() == (0,):
            pass
        assert writer.is_alive()
    writer.join(WAIT_S)
    assert len(came_to) == 1
    assert journal.switch("east", "tested") is None


def test_renewing_waits_for_nobody_who_writes(journal: Journal, database: psycopg.Connection[Any]) -> None:
    owners = owning_all(journal)
    with database.transaction():
        for lease in owners.held.values():
            database.execute(owning(lease).encode())
        assert owners.renew(()) is not None
    assert owners.held.keys() == set(ACCOUNTS)


def test_what_is_given_back_is_anybodys_at_once_and_no_more_its_old_owners(journal: Journal) -> None:
    one, two = owning_all(journal, "one"), begun(journal, "two")
    lease = one.held["east"]
    one.give_back(("east",))
    with pytest.raises(LeaseLost):
        switched(journal, lease)
    two.take(ACCOUNTS, at_most=4)
    assert two.held.keys() == {"east"}
    assert one.held.keys() == {"north", "south", "west"}


def test_a_process_that_ends_leaves_everything_and_tells_the_others_so(
    journal: Journal, database: psycopg.Connection[Any]
) -> None:
    one, two = owning_all(journal, "one"), begun(journal, "two")
    database.execute(f"LISTEN {CHANNEL}".encode())
    one.end()
    assert [reported.payload for reported in database.notifies(timeout=WAIT_S, stop_after=1)] == [PLACED]
    two.take(ACCOUNTS, at_most=4)
    assert two.held.keys() == set(ACCOUNTS)
    seen = two.renew(())
    assert seen is not None
    assert seen.refusals == {}


def test_what_was_taken_without_hearing_so_is_found_at_the_next_look(
    journal: Journal, database: psycopg.Connection[Any]
) -> None:
    """Or nobody would serve it: the answer to a commit may be lost."""
    owners = begun(journal, "one")
    database.execute("UPDATE account_owner SET owner = %s, epoch = 7 WHERE account = 'east'", [owners.name])
    owners.renew(())
    assert {each: lease.epoch for each, lease in owners.held.items()} == {"east": 7}
    assert owners.held["east"].is_valid


def test_a_process_whose_row_is_gone_has_lost_everything_and_begins_under_another_name(
    journal: Journal, database: psycopg.Connection[Any]
) -> None:
    owners = owning_all(journal)
    name, leases = owners.name, list(owners.held.values())
    database.execute("DELETE FROM process")
    assert owners.renew(()) is None
    assert owners.held == {}
    assert all(lease.is_lost for lease in leases)
    owners.register()
    assert owners.name != name
    owners.take(ACCOUNTS, at_most=4)
    assert owners.held.keys() == set(ACCOUNTS)


def test_nothing_is_taken_while_a_relay_lives_that_knows_no_owners(
    journal: Journal, database: psycopg.Connection[Any]
) -> None:
    database.execute("INSERT INTO leases VALUES ('worker old', 'old', 1, extract(epoch FROM now()) * 1000 + 600000)")
    owners = begun(journal, "new")
    owners.take((*ACCOUNTS, FIRST), at_most=5)
    assert owners.held == {}
    database.execute("UPDATE leases SET until = 0")
    owners.take((*ACCOUNTS, FIRST), at_most=5)
    assert owners.held.keys() == {*ACCOUNTS, FIRST}


def test_each_process_tells_the_others_what_it_would_not_take(journal: Journal) -> None:
    """What it was told to refuse, and what it does not know: its settings may be others."""
    one = begun(journal, "one")
    two = begun(journal, "two", ("east", "up"))
    seen = one.renew(("south",))
    assert seen is not None
    assert seen.refusals == {two.name: {"north", "south", "west"}}
    seen = two.renew(())
    assert seen is not None
    assert seen.refusals == {one.name: {"south"}}
    one.renew(())
    seen = two.renew(())
    assert seen is not None
    assert seen.refusals == {one.name: {"up"}}


def test_how_many_accounts_the_owner_of_one_has_is_told_while_it_lives(
    journal: Journal, database: psycopg.Connection[Any]
) -> None:
    assert owned_by_owner_of(journal.store, "east") is None
    owners = begun(journal, "one")
    owners.take((FIRST, "east", "west"), at_most=3)
    assert [owned_by_owner_of(journal.store, each) for each in ("east", "west", "north")] == [2, 2, None]
    expire(database, owners)
    assert owned_by_owner_of(journal.store, "east") is None


def test_whether_the_database_writes_through_is_told(journal: Journal, database: psycopg.Connection[Any]) -> None:
    ((fsync,),) = database.execute("SHOW fsync").fetchall()
    assert is_flushing(journal.store) == (fsync == "on")


def test_whoever_stands_still_between_two_statements_keeps_its_locks_for_seconds_only(
    journal: Journal, database: psycopg.Connection[Any]
) -> None:
    one, two = owning_all(journal), begun(journal, "two")
    assert isinstance(journal.store, PostgresStore)
    with (
        pytest.raises(DBAPIError),
        journal.store.engine.connect() as frozen,
        pipelined(frozen, "BEGIN", owning(one.held["north"])),
    ):
        run_text(frozen, "SELECT 1")
        expire(database, one)
        deadline = time.monotonic() + WAIT_S
        while "north" not in two.held and time.monotonic() < deadline:
            two.renew(())
            two.take(ACCOUNTS, at_most=len(ACCOUNTS))
        assert two.held.keys() == set(ACCOUNTS)
        commit(frozen)


def test_whoever_stands_still_after_an_answer_is_idle_by_the_databases_own_time(
    journal: Journal, database: psycopg.Connection[Any]
) -> None:
    assert isinstance(journal.store, PostgresStore)
    with journal.store.engine.connect() as connection, pipelined(connection, "BEGIN"):
        (me,) = fetch_all(connection, select(func.pg_backend_pid().label("pid")), {})
        found = database.execute("SELECT state FROM pg_stat_activity WHERE pid = %s", [me.pid]).fetchone()
        assert found == ("idle in transaction",)
        roll_back(connection)


def test_giving_back_what_one_does_not_have_changes_nothing(journal: Journal) -> None:
    one, two = owning_all(journal), begun(journal, "two")
    two.give_back(("east", "nobody's"))
    one.give_back(("west",))
    one.give_back(("west",))
    two.take(ACCOUNTS, at_most=4)
    assert (set(one.held), set(two.held)) == ({"east", "north", "south"}, {"west"})
    assert not any(each.is_lost for each in one.held.values())
