"""A statement that is put into words once does what Core would have done, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, bindparam, delete, func, insert, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from relay.domain.instrument import Category
from relay.journal.opening import open_journal
from relay.journal.postgres import PostgresStore
from relay.journal.sqlite import SqliteStore
from relay.journal.statements import commit, fetch_all, fetch_first, pipelined, roll_back, run
from relay.journal.tables import beliefs, switches

ROW: dict[str, Any] = {
    "account": "main",
    "category": Category.LINEAR,
    "symbol": "BTCUSDT",
    "size": Decimal("-1E-7"),
    "at": 7,
    "fees": None,
    "avg_price": None,
    "uncounted": None,
}
ADD, FORGET = insert(beliefs), delete(beliefs).where(beliefs.c.symbol == bindparam("of_symbol"))
CHANGE = update(beliefs).where(beliefs.c.symbol == bindparam("of_symbol"))


@pytest.fixture
def connection(journal_url: str) -> Any:
    journal = open_journal(journal_url)
    engine: Engine
    if isinstance(journal.store, PostgresStore):
        engine = journal.store.engine
    else:
        assert isinstance(journal.store, SqliteStore)
        engine = journal.store.writing_engine
    with engine.connect() as made:
        yield made
        made.commit()
    journal.close()


def stored(connection: Connection) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.execute(select(beliefs).order_by(beliefs.c.symbol)).mappings()]


def test_values_come_back_as_they_were_given(connection: Connection) -> None:
    run(connection, ADD, ROW)
    other = ROW | {"symbol": "ETHUSDT", "size": Decimal("1.50")}
    run(connection, ADD, [other, other | {"symbol": "SOLUSDT"}])
    assert [each["symbol"] for each in stored(connection)] == ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
    assert stored(connection)[0] == ROW
    assert str(stored(connection)[1]["size"]) == "1.50"


def test_each_set_of_columns_is_a_statement_of_its_own(connection: Connection) -> None:
    run(connection, ADD, ROW)
    run(connection, CHANGE, {"at": 8, "of_symbol": "BTCUSDT"})
    run(connection, CHANGE, {"size": Decimal(2), "at": 9, "of_symbol": "BTCUSDT"})
    run(connection, CHANGE, {"at": 10, "of_symbol": "NOPE"})
    run(connection, CHANGE.where(beliefs.c.category == Category.LINEAR), {"at": 12, "of_symbol": "BTCUSDT"})
    run(connection, CHANGE.where(beliefs.c.category == Category.INVERSE), {"at": 11, "of_symbol": "BTCUSDT"})
    assert stored(connection) == [ROW | {"size": Decimal(2), "at": 12}]
    run(connection, FORGET, {"of_symbol": "BTCUSDT"})
    assert stored(connection) == []


def test_text_that_a_driver_could_take_for_its_own_is_only_text(connection: Connection) -> None:
    row = {"account": "%s %(a)s ? :b", "name": "n'; DROP TABLE switches; --", "value": "on", "at": 1, "by": "me"}
    run(connection, insert(switches), row)
    assert [dict(each) for each in connection.execute(select(switches)).mappings()] == [row]


def test_rows_are_read_as_core_reads_them(connection: Connection) -> None:
    requested = select(beliefs).where(beliefs.c.account == bindparam("of_account")).order_by(beliefs.c.symbol)
    assert fetch_all(connection, requested, {"of_account": "main"}) == []
    assert fetch_first(connection, requested, {"of_account": "main"}) is None
    run(connection, ADD, [ROW, ROW | {"symbol": "ETHUSDT", "size": Decimal("1.50")}])
    found = fetch_all(connection, requested, {"of_account": "main"})
    assert [each._asdict() for each in found] == stored(connection)
    first = fetch_first(connection, requested, {"of_account": "main"})
    assert (first.category, first.size, first.at) == (Category.LINEAR, Decimal("-1E-7"), 7)


def test_what_a_change_returns_is_read_likewise(connection: Connection) -> None:
    run(connection, ADD, ROW)
    changing = CHANGE.returning(beliefs.c.size, beliefs.c.category)
    changed = fetch_first(connection, changing, {"at": 8, "of_symbol": "BTCUSDT"})
    assert tuple(changed) == (ROW["size"], Category.LINEAR)
    assert fetch_first(connection, changing, {"at": 8, "of_symbol": "NOPE"}) is None


def test_a_row_that_cannot_be_read_is_the_error_that_core_would_raise(journal_url: str, connection: Connection) -> None:
    if connection.dialect.name != "sqlite":
        return  # there all rows come at once
    run(connection, ADD, [ROW, ROW | {"symbol": "ETHUSDT", "at": -(2**63)}])
    requested = select(func.abs(beliefs.c.at))
    with pytest.raises(DBAPIError):
        fetch_all(connection, requested, {})


def test_what_the_database_refuses_is_the_error_that_core_would_raise(connection: Connection) -> None:
    run(connection, ADD, ROW)
    with pytest.raises(IntegrityError):
        run(connection, ADD, ROW)


def test_a_connection_that_the_database_has_ended_is_not_used_again(postgres_url: str) -> None:
    journal = open_journal(postgres_url)
    assert isinstance(journal.store, PostgresStore)
    engine = journal.store.engine
    with engine.connect() as one, engine.connect() as other:
        pid = one.execute(select(func.pg_backend_pid())).scalar_one()
        other.execute(select(func.pg_terminate_backend(pid, 5000)))
        with pytest.raises(DBAPIError) as raised:
            fetch_all(one, select(beliefs), {})
        assert raised.value.connection_invalidated and one.invalidated
    with engine.connect() as next_one:
        assert fetch_all(next_one, select(beliefs), {}) == []
        next_one.commit()
    journal.close()


def test_a_value_that_is_missing_is_no_null(connection: Connection) -> None:
    with pytest.raises(KeyError):
        run(connection, CHANGE, {"at": 8})


@pytest.fixture
def postgres(postgres_url: str) -> Iterator[Engine]:
    journal = open_journal(postgres_url)
    assert isinstance(journal.store, PostgresStore)
    yield journal.store.engine
    journal.close()


def test_what_is_said_in_a_pipeline_is_done_in_its_order(postgres: Engine) -> None:
    with postgres.connect() as connection:
        with pipelined(connection, "BEGIN", "SELECT 5 AS five") as found:
            run(connection, ADD, ROW)
            run(connection, CHANGE, {"at": 8, "of_symbol": "BTCUSDT"})
            run(connection, ADD, [ROW | {"symbol": "ETHUSDT"}, ROW | {"symbol": "SOLUSDT"}])
            seen = fetch_all(connection, select(beliefs.c.at).order_by(beliefs.c.symbol), {})
            run(connection, FORGET, {"of_symbol": "SOLUSDT"})
            assert found() == [(5,)]
            commit(connection)
        assert [each.at for each in seen] == [8, 7, 7]
        with postgres.connect() as other:
            assert [each["symbol"] for each in stored(other)] == ["BTCUSDT", "ETHUSDT"]


def test_what_core_executes_in_a_pipeline_sees_what_was_said_before(postgres: Engine) -> None:
    with postgres.connect() as connection:
        with pipelined(connection, "BEGIN"):
            run(connection, ADD, ROW)
            assert connection.execute(update(beliefs).values(at=9)).rowcount == 1
            run(connection, CHANGE, {"size": Decimal(3), "of_symbol": "BTCUSDT"})
            commit(connection)
        assert stored(connection) == [ROW | {"at": 9, "size": Decimal(3)}]


@pytest.mark.parametrize("waits", [fetch_all, commit], ids=["a question", "the commit"])
def test_what_is_refused_in_a_pipeline_is_told_by_what_waits_next_and_nothing_is_kept(
    postgres: Engine, waits: Any
) -> None:
    with postgres.connect() as connection:
        with pytest.raises(IntegrityError), pipelined(connection, "BEGIN"):
            run(connection, ADD, ROW)
            run(connection, ADD, ROW)
            run(connection, ADD, ROW | {"symbol": "ETHUSDT"})
            waits(connection, *([select(beliefs), {}] if waits is fetch_all else []))
        roll_back(connection)
        assert stored(connection) == []


def test_core_does_not_go_on_after_what_a_pipeline_was_refused(postgres: Engine) -> None:
    with postgres.connect() as connection:
        with pytest.raises(IntegrityError), pipelined(connection, "BEGIN"):
            run(connection, ADD, [ROW, ROW])
            connection.execute(select(beliefs))
        roll_back(connection)


def test_a_connection_that_is_ended_within_a_pipeline_is_not_used_again(postgres: Engine) -> None:
    with postgres.connect() as one, postgres.connect() as other:
        with pytest.raises(DBAPIError) as raised, pipelined(one, "BEGIN"):
            pid = one.execute(select(func.pg_backend_pid())).scalar_one()
            other.execute(select(func.pg_terminate_backend(pid, 5000)))
            run(one, ADD, ROW)
            commit(one)
        assert raised.value.connection_invalidated and one.invalidated
    with postgres.connect() as next_one, pipelined(next_one, "BEGIN"):
        assert fetch_all(next_one, select(beliefs), {}) == []
        commit(next_one)
