"""Statements that run for each alert, put into words once.

Core puts a statement together, and its result, each time anew: that costs several times what the database needs for it.
Here Core says once what the text is and how its values are spelled; the driver is given both.
"""

from __future__ import annotations

import functools
from collections import namedtuple
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

from sqlalchemy import ClauseElement, Connection, Dialect, Executable
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import TypeEngine

Given = Mapping[str, Any]
Statement = ClauseElement
_Spell = Callable[[Any], Any]
_NAMED: object = object()


class Ran(Protocol):
    """What a statement did."""

    @property
    def rowcount(self) -> int: ...


@dataclass(frozen=True, slots=True)
class _Value:
    """`constant`: what the statement itself says; else the value is given by `name`."""

    name: str
    spell: _Spell | None
    constant: object = _NAMED

    def of(self, given: Given) -> Any:
        value = given[self.name] if self.constant is _NAMED else self.constant
        return value if self.spell is None else self.spell(value)


@dataclass(frozen=True, slots=True)
class _Words:
    text: str
    values: tuple[_Value, ...]
    """In the order of the text."""
    is_positional: bool

    def of(self, given: Given) -> Any:
        if self.is_positional:
            return tuple([each.of(given) for each in self.values])
        return {each.name: each.of(given) for each in self.values}


@dataclass(frozen=True, slots=True)
class _Shape:
    """How a statement's rows are read: as named tuples of the columns' own values."""

    make: Callable[..., Any]
    reads: tuple[_Spell | None, ...]

    def read(self, row: tuple[Any, ...]) -> Any:
        return self.make(*[each if read is None else read(each) for read, each in zip(self.reads, row, strict=True)])


def run(connection: Connection, statement: ClauseElement, given: Given | list[Given]) -> Ran:
    """Like `connection.execute`, with values for all of the statement's parameters; of several rows all have the same.

    For what returns no rows. Errors are those of `connection.execute`; KeyError: a value is missing.
    """
    first = given[0] if isinstance(given, list) else given
    words = _words(statement, tuple(first), connection.dialect)
    if not isinstance(given, list):
        values = words.of(given)
        return cast(Ran, _by_driver(connection, words.text, lambda driver: driver.execute(words.text, values)))
    rows = [words.of(each) for each in given]
    return cast(Ran, _by_driver(connection, words.text, lambda driver: _executed_many(driver, words.text, rows)))


def all_of(connection: Connection, statement: Executable, given: Given) -> list[Any]:
    """Like `connection.execute(…).all()`, with values for all of the statement's parameters.

    All is read at once: SQLite looks for a row when it is asked for, and may fail at any of them.
    """
    words = _words(cast(ClauseElement, statement), tuple(given), connection.dialect)
    shape = _shape(statement, connection.dialect)
    values = words.of(given)
    found = _by_driver(connection, words.text, lambda driver: driver.execute(words.text, values).fetchall())
    return [shape.read(row) for row in found]


def first_of(connection: Connection, statement: Executable, given: Given) -> Any:
    """The first of `all_of`; None: there is none."""
    return next(iter(all_of(connection, statement, given)), None)


def sole_of(connection: Connection, statement: Executable, given: Given) -> Any:
    """Like `connection.execute(…).one()`: a row that is there."""
    (found,) = all_of(connection, statement, given)
    return found


def value_of(connection: Connection, statement: ClauseElement, given: Given) -> Any:
    """The first value of the first row, as the driver has it; None: there is no row."""
    words = _words(statement, tuple(given), connection.dialect)
    values = words.of(given)
    row = _by_driver(connection, words.text, lambda driver: driver.execute(words.text, values).fetchone())
    return None if row is None else row[0]


def say(connection: Connection, text: str) -> int:
    """Statements without values, as they stand; how many rows the last of them found. For Postgres."""
    found: int = _by_driver(connection, text, lambda driver: driver.execute(text).set_result(-1).rowcount)
    return found


def commit(connection: Connection) -> None:
    """The transaction that was begun by `say`; nothing, if there is none any more."""
    _by_driver(connection, "COMMIT", lambda driver: driver.commit())


def roll_back(connection: Connection) -> None:
    """Likewise."""
    _by_driver(connection, "ROLLBACK", lambda driver: driver.rollback())


def _executed_many(driver: Any, text: str, rows: list[Any]) -> Any:
    cursor = driver.cursor()
    cursor.executemany(text, rows)
    return cursor


def _by_driver(connection: Connection, text: str, ask: Callable[[Any], Any]) -> Any:
    """What `ask` gets from the driver's own connection. Its errors are SQLAlchemy's, which drops a dead connection."""
    driver = connection.connection.driver_connection
    kind = _error_of(connection.dialect)
    try:
        return ask(driver)
    except kind as error:
        is_gone = connection.dialect.is_disconnect(error, driver, None)
        if is_gone:
            connection.invalidate(error)
        raise DBAPIError.instance(text, None, error, kind, connection_invalidated=is_gone) from error


def _error_of(dialect: Dialect) -> Any:
    assert dialect.dbapi is not None, "a dialect that has connected has its driver"
    return dialect.dbapi.Error


@functools.lru_cache(maxsize=500)
def _words(statement: ClauseElement, names: tuple[str, ...], dialect: Dialect) -> _Words:
    compiled = cast(SQLCompiler, statement.compile(dialect=dialect, column_keys=names))
    values = []
    for name in compiled.positiontup or compiled.binds:
        bind = compiled.binds[name]
        spell = bind.type.dialect_impl(dialect).bind_processor(dialect)
        is_constant = name not in names and not bind.required
        values.append(_Value(name, spell, bind.effective_value if is_constant else _NAMED))
    return _Words(str(compiled), tuple(values), compiled.positional)


@functools.lru_cache(maxsize=500)
def _shape(statement: Any, dialect: Dialect) -> _Shape:
    columns = statement.exported_columns
    kinds: list[TypeEngine[Any]] = [each.type for each in columns]
    reads = tuple(each.dialect_impl(dialect).result_processor(dialect, None) for each in kinds)
    return _Shape(namedtuple("Row", columns.keys()), reads)
