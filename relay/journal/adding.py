"""New rows of several tables at once: one statement where the database takes that, so one round trip."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    CTE,
    ColumnElement,
    Connection,
    Insert,
    ScalarSelect,
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

from relay.journal.prepared import Statement, run, value_of
from relay.journal.tables import assignments, events

Row = Mapping[str, Any]
Rows = Sequence[Row]
Along = tuple[TextClause, Mapping[str, Any]]
_OfTable = tuple[Table, tuple[str, ...], int]
_Shape = tuple[_OfTable, ...]


def add(connection: Connection, *wanted: tuple[Table, Rows]) -> None:
    """The rows of each table in their order; they have the same columns. A table without any may be named all the same.

    SQLite adds to the tables in this order. Postgres adds to all of them at once, and then looks whether what one row
    says of another is true.
    """
    filled = [(table, rows) for table, rows in wanted if rows]
    if connection.dialect.name == "sqlite":
        for table, rows in filled:
            run(connection, _adding(table), rows[0] if len(rows) == 1 else list(rows))
        return
    run(connection, _all(_shape_of(filled)), _values_of(filled))


def add_if_new(
    connection: Connection, first: tuple[Table, Row], *wanted: tuple[Table, Rows], along: Along | None = None
) -> bool:
    """Like `add`, but nothing of it where the key of `first` is there already, committed or about to be: then False.

    `along`: what Postgres does in the same statement, and its values. Only if `first` is new there is a row in `added`.
    """
    filled = [(first[0], [first[1]]), *((table, rows) for table, rows in wanted if rows)]
    if connection.dialect.name == "sqlite":
        if not run(connection, _adding_once(first[0]), first[1]).rowcount:
            return False
        add(connection, *wanted)
        return True
    done, values = along or (None, {})
    asked = _all_if_new(_shape_of(filled), done)
    return bool(value_of(connection, asked, {**_values_of(filled), **values}))


@functools.cache
def _adding(table: Table) -> Insert:
    return insert(table)


@functools.cache
def _adding_once(table: Table) -> Insert:
    return insert_on_sqlite(table).on_conflict_do_nothing()


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
def _all(shape: _Shape) -> Insert:
    made = _inserts(shape)
    return made[-1][0].add_cte(*(cte for _, cte in made[:-1]))


@functools.lru_cache(maxsize=200)
def _all_if_new(shape: _Shape, along: TextClause | None) -> Statement:
    (table, columns, _), *others = shape
    values: dict[str, Any] = {each: bindparam(_name(0, 0, each)) for each in columns}
    added = insert_on_postgres(table).values(values).on_conflict_do_nothing().returning(*table.primary_key)
    first = added.cte("added")
    counted = select(func.count().label("count"), *(() if along is None else (along,)))
    return counted.select_from(first).add_cte(*(cte for _, cte in _inserts(others, 1, beside=first)))


def _inserts(shape: Sequence[_OfTable], first: int = 0, *, beside: CTE | None = None) -> list[tuple[Insert, CTE]]:
    """One for each table, the first of which stands at `first`, alone and as a part. `beside`: only if that has a row.

    An assignment has its place from the event that tells of it: a number drawn for it alone would be missing among the
    events, and whoever reads those waits for it.
    """
    made: list[tuple[Insert, CTE]] = []
    told: CTE | None = None
    for place, (table, columns, count) in enumerate(shape, first):
        more = {"seq": _least(told)} if table is assignments and told is not None else {}
        wanted = _insert(place, table, columns, count, beside=beside, **more)
        if table is events:
            wanted = wanted.returning(events.c.id)
        made.append((wanted, wanted.cte(f"added_{place}")))
        if table is events:
            told = made[-1][1]
    return made


def _least(told: CTE) -> ScalarSelect[Any]:
    return select(func.min(told.c.id)).scalar_subquery()


def _insert(
    place: int,
    table: Table,
    columns: tuple[str, ...],
    count: int,
    *,
    beside: CTE | None,
    **more: ScalarSelect[Any],
) -> Insert:
    """`more`: further columns. Not `VALUES` with many rows: SQLAlchemy would put such a statement together anew each
    time."""
    rows: list[dict[str, ColumnElement[Any]]] = [
        {**{each: bindparam(_name(place, number, each), type_=table.c[each].type) for each in columns}, **more}
        for number in range(count)
    ]
    if count == 1 and beside is None:
        return insert(table).values(rows[0]).inline()
    asked = [select(*(each.label(name) for name, each in row.items())) for row in rows]
    listed = union_all(*(each if beside is None else each.select_from(beside) for each in asked)).subquery()
    return insert(table).from_select((*columns, *more), select(listed)).inline()


def _name(place: int, row: int, column: str) -> str:
    return f"{column}_{place}_{row}"
