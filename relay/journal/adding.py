"""New rows of several tables at once: one statement where the database takes that, so one round trip."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Insert, Table, bindparam, insert, select, union_all

Rows = Sequence[Mapping[str, Any]]
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
    values = {
        _name(place, number, column): value
        for place, (_, rows) in enumerate(filled)
        for number, row in enumerate(rows)
        for column, value in row.items()
    }
    connection.execute(_together(tuple((table, tuple(rows[0]), len(rows)) for table, rows in filled)), values)


@functools.lru_cache(maxsize=200)
def _together(shape: _Shape) -> Insert:
    *others, last = (_insert(place, *each) for place, each in enumerate(shape))
    return last.add_cte(*(each.cte(f"added_{place}") for place, each in enumerate(others)))


def _insert(place: int, table: Table, columns: tuple[str, ...], count: int) -> Insert:
    """Not `VALUES` with many rows: SQLAlchemy would put such a statement together anew each time."""
    rows = [
        {each: bindparam(_name(place, number, each), type_=table.c[each].type) for each in columns}
        for number in range(count)
    ]
    if count == 1:
        return insert(table).values(rows[0]).inline()
    listed = union_all(*(select(*(each.label(name) for name, each in row.items())) for row in rows)).subquery()
    return insert(table).from_select(columns, select(listed)).inline()


def _name(place: int, row: int, column: str) -> str:
    return f"{column}_{place}_{row}"
