"""New rows of several tables at once: one statement where the database takes that, so one round trip."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    CTE,
    Connection,
    Executable,
    Insert,
    Table,
    TextClause,
    bindparam,
    func,
    insert,
    select,
    union_all,
)
from sqlalchemy.dialects.postgresql import insert as insert_on_postgres
from sqlalchemy.dialects.sqlite import insert as insert_on_sqlite

Row = Mapping[str, Any]
Rows = Sequence[Row]
Along = tuple[TextClause, Mapping[str, Any]]
_Shape = tuple[tuple[Table, tuple[str, ...], int], ...]


def add(connection: Connection, *wanted: tuple[Table, Rows]) -> None:
    """The rows of each table in their order; they have the same columns. A table without any may be named all the same.

    SQLite adds to the tables in this order. Postgres adds to all of them at once, and then looks whether what one row
    says of another is true.
    """
    filled = [(table, rows) for table, rows in wanted if rows]
    if connection.dialect.name == "sqlite":
        for table, rows in filled:
            connection.execute(insert(table), list(rows))
        return
    connection.execute(_all(_shape_of(filled)), _values_of(filled))


def add_if_new(
    connection: Connection, first: tuple[Table, Row], *wanted: tuple[Table, Rows], along: Along | None = None
) -> bool:
    """Like `add`, but nothing of it where the key of `first` is there already, committed or about to be: then False.

    `along`: what Postgres does in the same statement, and its values. Only if `first` is new there is a row in `added`.
    """
    filled = [(first[0], [first[1]]), *((table, rows) for table, rows in wanted if rows)]
    if connection.dialect.name == "sqlite":
        if not connection.execute(insert_on_sqlite(first[0]).on_conflict_do_nothing(), [first[1]]).rowcount:
            return False
        add(connection, *wanted)
        return True
    done, values = along or (None, {})
    asked = _all_if_new(_shape_of(filled), done)
    return bool(connection.execute(asked, {**_values_of(filled), **values}).one().count)


def _shape_of(filled: Sequence[tuple[Table, Rows]]) -> _Shape:
    return tuple((table, tuple(rows[0]), len(rows)) for table, rows in filled)


def _values_of(filled: Sequence[tuple[Table, Rows]]) -> dict[str, Any]:
    return {
        _name(place, number, column): value
        for place, (_, rows) in enumerate(filled)
        for number, row in enumerate(rows)
        for column, value in row.items()
    }


@functools.lru_cache(maxsize=200)
def _all(shape: _Shape) -> Executable:
    *others, last = (_insert(place, *each) for place, each in enumerate(shape))
    return last.add_cte(*(each.cte(f"added_{place}") for place, each in enumerate(others)))


@functools.lru_cache(maxsize=200)
def _all_if_new(shape: _Shape, along: TextClause | None) -> Executable:
    (table, columns, _), *others = shape
    values: dict[str, Any] = {each: bindparam(_name(0, 0, each)) for each in columns}
    added = insert_on_postgres(table).values(values).on_conflict_do_nothing().returning(*table.primary_key)
    first = added.cte("added")
    with_it = (_insert(place, *each, beside=first).cte(f"added_{place}") for place, each in enumerate(others, 1))
    counted = select(func.count().label("count"), *(() if along is None else (along,)))
    return counted.select_from(first).add_cte(*with_it)


def _insert(place: int, table: Table, columns: tuple[str, ...], count: int, *, beside: CTE | None = None) -> Insert:
    """`beside`: only if that has a row. Not `VALUES` with many rows: SQLAlchemy would put such a statement together
    anew each time."""
    rows = [
        {each: bindparam(_name(place, number, each), type_=table.c[each].type) for each in columns}
        for number in range(count)
    ]
    if count == 1 and beside is None:
        return insert(table).values(rows[0]).inline()
    asked = [select(*(each.label(name) for name, each in row.items())) for row in rows]
    listed = union_all(*(each if beside is None else each.select_from(beside) for each in asked)).subquery()
    return insert(table).from_select(columns, select(listed)).inline()


def _name(place: int, row: int, column: str) -> str:
    return f"{column}_{place}_{row}"
