"""Statements that run for each alert, put into words once.

Core puts a statement together, and its result, each time anew: that costs several times what the database needs for it.
Here Core says once what the text is and how its values are spelled; the driver is given both.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import ClauseElement, Connection, CursorResult, Dialect
from sqlalchemy.sql.compiler import SQLCompiler

_Spell = Callable[[Any], Any]
_NAMED: object = object()


@dataclass(frozen=True, slots=True)
class _Value:
    """`constant`: what the statement itself says; else the value is given by `name`."""

    name: str
    spell: _Spell | None
    constant: object = _NAMED

    def of(self, given: Mapping[str, Any]) -> Any:
        value = given[self.name] if self.constant is _NAMED else self.constant
        return value if self.spell is None else self.spell(value)


@dataclass(frozen=True, slots=True)
class _Words:
    text: str
    values: tuple[_Value, ...]
    """In the order of the text."""
    is_positional: bool

    def of(self, given: Mapping[str, Any]) -> Any:
        if self.is_positional:
            return tuple([each.of(given) for each in self.values])
        return {each.name: each.of(given) for each in self.values}


def run(
    connection: Connection, statement: ClauseElement, given: Mapping[str, Any] | list[Mapping[str, Any]]
) -> CursorResult[Any]:
    """Like `connection.execute`, with values for all of the statement's parameters; of several rows all have the same.

    The rows of a SELECT come as the driver has them. Errors are those of `connection.execute`; KeyError: a value is
    missing.
    """
    if not isinstance(given, list):
        words = _words(statement, tuple(given), connection.dialect)
        return connection.exec_driver_sql(words.text, words.of(given))
    words = _words(statement, tuple(given[0]), connection.dialect)
    return connection.exec_driver_sql(words.text, [words.of(each) for each in given])


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
