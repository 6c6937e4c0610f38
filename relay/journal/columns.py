"""How the relay's values are kept in columns that SQLite and Postgres both have: TEXT and BIGINT."""

from __future__ import annotations

import json
from decimal import Decimal
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, Dialect, Integer, Text, TypeDecorator
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeEngine

UnixMs = BigInteger
"""Unix milliseconds, UTC."""


def numbered() -> TypeEngine[int]:
    """A key that counts itself: on SQLite only INTEGER does."""
    return BigInteger().with_variant(Integer(), "sqlite")


class next_place(FunctionElement[int]):  # noqa: N801 - it is written like a function of the database's
    """A number in the order of acceptance, to a signal that is accepted: that of the last event, which tells of it."""

    name = "next_place"
    type = BigInteger()
    inherit_cache = True


@compiles(next_place, "sqlite")
def _newest(element: next_place, compiler: SQLCompiler, **kw: Any) -> str:
    """One transaction at a time writes, and has added an event of the signal's before."""
    return "(SELECT max(id) FROM events)"


def storable(text: str) -> str:
    """`text` with what a database cannot hold spelled out: NUL (Postgres) and lone surrogates (no UTF-8 for them)."""
    if text.isascii() and "\x00" not in text:
        return text
    return text.replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode()


def compact_json(value: Any) -> str:
    """ASCII only, so that any text of an alert can be kept. Decimals become strings: a float would not be exact."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False, default=_as_json)


def _as_json(value: object) -> str:
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be kept as JSON")


class ExactDecimal(TypeDecorator[Decimal]):
    """Digits and exponent come back exactly as they were given."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> str | None:
        if value is None:
            return None
        assert isinstance(value, Decimal) and value.is_finite(), f"only finite decimals are kept: {value!r}"
        return str(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Decimal | None:
        return None if value is None else Decimal(value)


class Words(TypeDecorator[str]):
    """Text that came from outside."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else storable(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        return value


class Json(TypeDecorator[Any]):
    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else compact_json(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else json.loads(value)


class Enumerated(TypeDecorator[StrEnum]):
    """One of the enum's values, which a newer relay may extend without a migration."""

    impl = Text
    cache_ok = True

    def __init__(self, kind: type[StrEnum]) -> None:
        super().__init__()
        self.kind = kind

    def process_bind_param(self, value: StrEnum | None, dialect: Dialect) -> str | None:
        return None if value is None else self.kind(value).value

    def process_result_value(self, value: str | None, dialect: Dialect) -> StrEnum | None:
        return None if value is None else self.kind(value)
