"""A statement that is put into words once does what Core would have done, on both databases."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, bindparam, delete, func, insert, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from relay.domain.instrument import Category
from relay.journal.opening import open_journal
from relay.journal.postgres import PostgresStore
from relay.journal.sqlite import SqliteStore
from relay.journal.statements import fetch_all, fetch_first, run
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


def test_each_set_of_columns_is_a_statement_of_its_own_and_tells_how_many_rows_it_changed(
    connection: Connection,
) -> None:
    run(connection, ADD, ROW)
    assert run(connection, CHANGE, {"at": 8, "of_symbol": "BTCUSDT"}).rowcount == 1
    assert run(connection, CHANGE, {"size": Decimal(2), "at": 9, "of_symbol": "BTCUSDT"}).rowcount == 1
    assert run(connection, CHANGE, {"at": 10, "of_symbol": "NOPE"}).rowcount == 0
    linear = CHANGE.where(beliefs.c.category == Category.LINEAR)
    assert run(connection, linear, {"at": 9, "of_symbol": "BTCUSDT"}).rowcount == 1
    inverse = CHANGE.where(beliefs.c.category == Category.INVERSE)
    assert run(connection, inverse, {"at": 11, "of_symbol": "BTCUSDT"}).rowcount == 0
    assert stored(connection) == [ROW | {"size": Decimal(2), "at": 9}]
    assert run(connection, FORGET, {"of_symbol": "BTCUSDT"}).rowcount == 1
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
