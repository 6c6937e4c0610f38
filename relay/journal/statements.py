"""How values stand in columns, and statements that are compiled once.

A statement that runs for every alert is a constant of its module: `_BEGIN = update(…).where(… bindparam(…))`.
SQLAlchemy compiles even such a constant, and the reading of its rows, anew at each execution, which costs several times
what the database needs for it: 20 to 40 % of the processor's time for an alert. Here each statement is compiled once
for each set of parameter names and each dialect (`_compiled`), and how its rows are read is found once (`_row_reader`).
Then the driver itself is given the text and the converted values: `run`, `fetch_all`, `fetch_first`, `fetch_one` and
`fetch_value` do what `connection.execute` does, with the same errors. `insert_rows` and `insert_if_new` make one such
statement of new rows of several tables where the database takes that, so that they are one round trip."""

from __future__ import annotations

import functools
import json
from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import (
    CTE,
    BigInteger,
    ClauseElement,
    ColumnElement,
    Connection,
    Dialect,
    Engine,
    Executable,
    Insert,
    Integer,
    ScalarSelect,
    Select,
    Table,
    Text,
    TypeDecorator,
    bindparam,
    event,
    func,
    insert,
    select,
    union_all,
)
from sqlalchemy.dialects.sqlite import insert as insert_on_sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeEngine

# How values stand in columns: TEXT and BIGINT, which SQLite and Postgres both have.


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


def _as_json(value: object) -> str:
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be stored as JSON")


compact_json: Final = json.JSONEncoder(separators=(",", ":"), allow_nan=False, default=_as_json).encode
"""ASCII only, so that any text of an alert can be stored. Decimals become strings: a float would not be exact."""


class OrNull:
    """A conversion of a column that leaves NULL as it is. `convert`: of what is not NULL."""

    __slots__ = ("convert",)

    def __init__(self, convert: _Convert) -> None:
        self.convert = convert

    def __call__(self, value: Any) -> Any:
        return None if value is None else self.convert(value)


def _exact(value: Decimal) -> str:
    assert isinstance(value, Decimal) and value.is_finite(), f"only finite decimals are stored: {value!r}"
    return str(value)


class ExactDecimal(TypeDecorator[Decimal]):
    """A decimal as text, so that digits and exponent come back exactly as they were given."""

    impl = Text
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> OrNull:
        return OrNull(_exact)

    def result_processor(self, dialect: Dialect, coltype: object) -> OrNull:
        return OrNull(Decimal)


class Words(TypeDecorator[str]):
    """Text that came from outside."""

    impl = Text
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> OrNull:
        return OrNull(storable)


class Json(TypeDecorator[Any]):
    """Any value that `json` takes; a decimal in it becomes text."""

    impl = Text
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> OrNull:
        return OrNull(compact_json)

    def result_processor(self, dialect: Dialect, coltype: object) -> OrNull:
        return OrNull(json.loads)


class _Members(dict[str | None, Any]):
    """A table of an enum's members or texts. ValueError for what is none of them."""

    def __init__(self, kind: type[StrEnum], *, to_texts: bool) -> None:
        super().__init__({each: each.value if to_texts else each for each in kind})
        self[None] = None
        self._kind = kind

    def __missing__(self, key: Any) -> Any:
        return self._kind(key)


class Enumerated(TypeDecorator[StrEnum]):
    """One of the enum's values, which a newer relay may extend without a migration."""

    impl = Text
    cache_ok = True

    def __init__(self, kind: type[StrEnum]) -> None:
        super().__init__()
        self.kind = kind
        self._members = _Members(kind, to_texts=False)
        """Looking up in a dict costs a tenth of what calling the enum does."""
        self._texts = _Members(kind, to_texts=True)

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], str | None]:
        return self._texts.__getitem__

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], StrEnum | None]:
        return self._members.__getitem__


# Statements, their parameters and their rows.


Given = Mapping[str, Any]
Statement = ClauseElement
_Convert = Callable[[Any], Any]


_LANE_ROWS: Final = "assignments"
_EVENTS: Final = "events"
_Parameter = tuple[str, bool, _Convert | None, Any]
"""Its name, whether its value is given, how that is converted; else the statement's own value, converted already."""


@dataclass(frozen=True, slots=True)
class _Compiled:
    text: str
    parameters: tuple[_Parameter, ...]
    """In the order of the text."""
    is_positional: bool

    def values(self, given: Given) -> list[Any] | dict[str, Any]:
        """As the driver takes them. NULL needs no conversion, whatever the column's type."""
        found = []
        for name, is_given, convert, own in self.parameters:
            value = given[name] if is_given else own
            found.append(value if convert is None or value is None else convert(value))
        return found if self.is_positional else dict(zip([each[0] for each in self.parameters], found, strict=True))


@dataclass(frozen=True, slots=True)
class _RowReader:
    """How a statement's rows are read: as named tuples of the columns' own values."""

    make: Callable[..., Any]
    reads: tuple[_Convert | None, ...]


def run(connection: Connection, statement: ClauseElement, given: Given | list[Given]) -> None:
    """Like `connection.execute`, with values for all of the statement's parameters; of several rows all have the same.

    For what returns no rows. Errors are those of `connection.execute`, in a pipeline's case later; KeyError: a value is
    missing.
    """
    names = tuple(given[0] if isinstance(given, list) else given)
    compiled = _compiled(statement, names, connection.dialect)
    driver: Any = connection.connection.dbapi_connection
    try:
        if isinstance(given, list):
            driver.cursor().executemany(compiled.text, [compiled.values(each) for each in given])
        else:
            driver.execute(compiled.text, compiled.values(given))
    except connection.dialect.loaded_dbapi.Error as error:
        raise _error_of(connection, compiled.text, error) from error


def fetch_all(connection: Connection, statement: Executable, given: Given) -> list[Any]:
    """Like `connection.execute(…).all()`, with values for all of the statement's parameters.

    All is read at once: SQLite finds a row when it is fetched, and may fail at any of them.
    """
    return ask(connection, statement, given)()


def ask(connection: Connection, statement: Executable, given: Given) -> Callable[[], list[Any]]:
    """What `fetch_all` does in two steps, so that in a pipeline several questions are one round trip: the statement is
    said now, and its rows are waited for when what is returned is called, once."""
    compiled = _compiled(statement, tuple(given), connection.dialect)
    driver: Any = connection.connection.dbapi_connection
    try:
        cursor = driver.execute(compiled.text, compiled.values(given))
        found = cursor.fetchall() if connection.dialect.name == "sqlite" else None
    except connection.dialect.loaded_dbapi.Error as error:
        raise _error_of(connection, compiled.text, error) from error

    def read() -> list[Any]:
        rows = _rows_of(connection, cursor, compiled.text) if found is None else found
        reader = _row_reader(statement, connection.dialect)
        return [
            reader.make(
                *[
                    each if read is None or each is None else read(each)
                    for read, each in zip(reader.reads, row, strict=True)
                ]
            )
            for row in rows
        ]

    return read


def fetch_first(connection: Connection, statement: Executable, given: Given) -> Any:
    """The first row of `fetch_all`; None if there is none."""
    return next(iter(fetch_all(connection, statement, given)), None)


def fetch_one(connection: Connection, statement: Executable, given: Given) -> Any:
    """Like `connection.execute(…).one()`: a row that is there."""
    (found,) = fetch_all(connection, statement, given)
    return found


_AMONG_MAX: Final = 500


def fetch_among(
    connection: Connection, statement: Select[Any], column: ColumnElement[Any], values: Iterable[str], given: Given
) -> list[Any]:
    """The rows of `fetch_all` whose `column` is one of the values; compiled once for each power of two of them."""
    wanted, found = sorted(set(values)), list[Any]()
    for first in range(0, len(wanted), _AMONG_MAX):
        part = wanted[first : first + _AMONG_MAX]
        part += part[-1:] * ((1 << (len(part) - 1).bit_length()) - len(part))
        named = {f"among_{number}": value for number, value in enumerate(part)}
        found += fetch_all(connection, _among(statement, column, len(part)), {**given, **named})
    return found


@functools.lru_cache(maxsize=100)
def _among(statement: Select[Any], column: ColumnElement[Any], count: int) -> Select[Any]:
    return statement.where(column.in_([bindparam(f"among_{each}", type_=column.type) for each in range(count)]))


def fetch_value(connection: Connection, statement: ClauseElement, given: Given) -> Any:
    """The first value of the first row, as the driver has it; None if there is no row."""
    compiled = _compiled(statement, tuple(given), connection.dialect)
    driver: Any = connection.connection.dbapi_connection
    try:
        row = driver.execute(compiled.text, compiled.values(given)).fetchone()
    except connection.dialect.loaded_dbapi.Error as error:
        raise _error_of(connection, compiled.text, error) from error
    return None if row is None else row[0]


def run_text(connection: Connection, text: str) -> Any:
    """Statements without values, as they stand; in a pipeline it is one. Returns the driver's cursor. For Postgres."""
    return _by_driver(connection, text, lambda driver: driver.execute(text, prepare=False))


_PIPELINE: Final = "pipeline"
"""Where a connection's own is kept, in its `info`."""


@contextmanager
def pipelined(connection: Connection, *texts: str) -> Iterator[Callable[[], list[Any]]]:
    """A transaction on Postgres that begins with these statements; what is yielded tells the rows of the last of them.

    What is said in it leaves together with the next question, so that not each statement is a round trip of its own;
    the error of one is raised by what waits next. From what SQLAlchemy executes by itself on, each is waited for again.
    """
    context = _by_driver(connection, "", lambda driver: driver.pipeline())
    connection.info[_PIPELINE] = context, _by_driver(connection, "", lambda driver: context.__enter__())
    try:
        cursors = [run_text(connection, text) for text in texts]
        yield lambda: _rows_of(connection, cursors[-1], texts[-1])
    except BaseException:
        # What failed first is what is told.
        with suppress(DBAPIError):
            _leave_pipeline(connection)
        raise
    _leave_pipeline(connection)


def _leave_pipeline(connection: Connection, *_: object) -> None:
    """All that was said has been done by then."""
    if connection.invalidated or (found := connection.info.pop(_PIPELINE, None)) is None:
        return
    _by_driver(connection, "", lambda driver: found[0].__exit__(None, None, None))


def _rows_of(connection: Connection, cursor: Any, text: str) -> list[Any]:
    """In a pipeline all that was said so far is waited for, and the server told so: else it would not count the time
    that this process may stand still within its transaction (findings/psycopg-pipeline-is-never-idle-in-transaction).
    """
    pipeline = connection.info.get(_PIPELINE)
    if pipeline is not None and cursor.pgresult is None:
        _by_driver(connection, text, lambda _: pipeline[1].sync())
    return list(_by_driver(connection, text, lambda _: cursor.fetchall()))


def wait_for_each(engine: Engine) -> None:
    """Of what SQLAlchemy executes by itself, which cannot read what comes later: it leaves a `pipelined` transaction's
    pipeline."""
    event.listen(engine, "before_cursor_execute", _leave_pipeline)


def commit(connection: Connection) -> None:
    """The transaction that was begun; nothing, if there is none any more."""
    if connection.info.get(_PIPELINE) is None:
        _by_driver(connection, "COMMIT", lambda driver: driver.commit())
        return
    run_text(connection, "COMMIT")
    _leave_pipeline(connection)


def roll_back(connection: Connection) -> None:
    """Likewise."""
    _by_driver(connection, "ROLLBACK", lambda driver: driver.rollback())


def _by_driver(connection: Connection, text: str, execute: Callable[[Any], Any]) -> Any:
    """What `execute` returns, given the driver's own connection. Errors are SQLAlchemy's."""
    try:
        return execute(connection.connection.dbapi_connection)
    except connection.dialect.loaded_dbapi.Error as error:
        raise _error_of(connection, text, error) from error


def _error_of(connection: Connection, text: str, error: Any) -> Exception:
    """What SQLAlchemy raises for the driver's error. A connection that died is dropped."""
    driver = connection.connection.dbapi_connection
    kind = connection.dialect.loaded_dbapi.Error
    is_gone = connection.dialect.is_disconnect(error, driver, None)
    if is_gone:
        connection.invalidate(error)
    raised: Exception = DBAPIError.instance(text, None, error, kind, connection_invalidated=is_gone)
    return raised


@functools.lru_cache(maxsize=500)
def _compiled(statement: Any, names: tuple[str, ...], dialect: Dialect) -> _Compiled:
    compiled: SQLCompiler = statement.compile(dialect=dialect, column_keys=names)
    parameters: list[_Parameter] = []
    for name in compiled.positiontup or compiled.binds:
        bind = compiled.binds[name]
        convert = _of_value(bind.type.dialect_impl(dialect).bind_processor(dialect))
        if name in names or bind.required:
            parameters.append((name, True, convert, None))
        else:
            value = bind.effective_value
            parameters.append((name, False, None, value if convert is None or value is None else convert(value)))
    return _Compiled(str(compiled), tuple(parameters), compiled.positional)


def _of_value(convert: _Convert | None) -> _Convert | None:
    """NULL is left out here, where all conversions are made, and not once more in each."""
    return convert.convert if isinstance(convert, OrNull) else convert


@functools.lru_cache(maxsize=500)
def _row_reader(statement: Any, dialect: Dialect) -> _RowReader:
    columns = statement.exported_columns
    kinds: list[TypeEngine[Any]] = [each.type for each in columns]
    reads = tuple(_of_value(each.dialect_impl(dialect).result_processor(dialect, None)) for each in kinds)
    return _RowReader(namedtuple("Row", columns.keys()), reads)


Row = Mapping[str, Any]
Rows = Sequence[Row]
_OfTable = tuple[Table, tuple[str, ...], int]
_Shape = tuple[_OfTable, ...]


def insert_rows(connection: Connection, *wanted: tuple[Table, Rows]) -> None:
    """The rows of each table in their order; they have the same columns. A table without any may be named all the same.

    SQLite adds to the tables in this order. Postgres adds to all of them at once, and then checks whether what one row
    says of another is true.
    """
    filled = [(table, rows) for table, rows in wanted if rows]
    if connection.dialect.name == "sqlite":
        for table, rows in filled:
            _insert_into_one(connection, table, rows)
    elif filled:
        run(connection, _insert_all(_shape_of(filled)), _values_of(filled))


def insert_if_new(connection: Connection, first: tuple[Table, Row], *wanted: tuple[Table, Rows]) -> bool:
    """Like `insert_rows`; nothing where the key of `first` is there already, committed or about to be: then False."""
    filled = [(first[0], [first[1]]), *((table, rows) for table, rows in wanted if rows)]
    if connection.dialect.name == "sqlite":
        if not fetch_all(connection, _insert_once(first[0]), first[1]):
            return False
        insert_rows(connection, *wanted)
        return True
    return bool(fetch_value(connection, _insert_all_if_new(_shape_of(filled)), _values_of(filled)))


_ROWS_AT_ONCE: Final = 8


def _insert_into_one(connection: Connection, table: Table, rows: Rows) -> None:
    """On SQLite a few rows are one statement: each of its steps lets another thread take Python's lock."""
    if len(rows) == 1:
        run(connection, _insert_into(table), rows[0])
    elif len(rows) > _ROWS_AT_ONCE or _has_default(table):
        run(connection, _insert_into(table), list(rows))
    else:
        run(connection, _insert_few(table, tuple(rows[0]), len(rows)), _values_of([(table, rows)]))


@functools.cache
def _has_default(table: Table) -> bool:
    return any(column.default is not None for column in table.c)


@functools.cache
def _insert_into(table: Table) -> Insert:
    return insert(table)


@functools.lru_cache(maxsize=100)
def _insert_few(table: Table, columns: tuple[str, ...], count: int) -> Insert:
    rows = [
        {each: bindparam(_parameter_name(0, number, each), type_=table.c[each].type) for each in columns}
        for number in range(count)
    ]
    return insert(table).values(rows)


@functools.cache
def _insert_once(table: Table) -> Executable:
    return insert_on_sqlite(table).on_conflict_do_nothing().returning(*table.primary_key)


def _shape_of(filled: Sequence[tuple[Table, Rows]]) -> _Shape:
    return tuple((table, tuple(rows[0]), len(rows)) for table, rows in filled)


def _values_of(filled: Sequence[tuple[Table, Rows]]) -> dict[str, Any]:
    """Named as by `_parameter_name`, which is not called for each of the many."""
    return {
        f"{column}_{place}_{number}": value
        for place, (_, rows) in enumerate(filled)
        for number, row in enumerate(rows)
        for column, value in row.items()
    }


@functools.lru_cache(maxsize=200)
def _insert_all(shape: _Shape) -> Insert:
    made = _inserts(shape)
    return made[-1][0].add_cte(*(cte for _, cte in made[:-1]))


@functools.lru_cache(maxsize=200)
def _insert_all_if_new(shape: _Shape) -> Statement:
    # The dialect's own import takes a tenth of a second, and no relay on SQLite needs it.
    from sqlalchemy.dialects.postgresql import insert as insert_on_postgres

    (table, columns, _), *others = shape
    values: dict[str, Any] = {each: bindparam(_parameter_name(0, 0, each)) for each in columns}
    added = insert_on_postgres(table).values(values).on_conflict_do_nothing().returning(*table.primary_key)
    first = added.cte("added")
    counted = select(func.count().label("count"))
    return counted.select_from(first).add_cte(*(cte for _, cte in _inserts(others, 1, beside=first)))


def _inserts(shape: Sequence[_OfTable], first: int = 0, *, beside: CTE | None = None) -> list[tuple[Insert, CTE]]:
    """One for each table, the first of which stands at `first`, alone and as a part. `beside`: only if that has a row.

    An assignment has its place from the event that reports it: a number drawn for it alone would be missing among the
    events, and whoever reads those waits for it.
    """
    made: list[tuple[Insert, CTE]] = []
    events_added: CTE | None = None
    for place, (table, columns, count) in enumerate(shape, first):
        more = {"seq": _least(events_added)} if table.name == _LANE_ROWS and events_added is not None else {}
        wanted = _insert(place, table, columns, count, beside=beside, **more)
        if table.name == _EVENTS:
            wanted = wanted.returning(table.c.id)
        made.append((wanted, wanted.cte(f"added_{place}")))
        if table.name == _EVENTS:
            events_added = made[-1][1]
    return made


def _least(events_added: CTE) -> ScalarSelect[Any]:
    return select(func.min(events_added.c.id)).scalar_subquery()


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
        {
            **{each: bindparam(_parameter_name(place, number, each), type_=table.c[each].type) for each in columns},
            **more,
        }
        for number in range(count)
    ]
    if count == 1 and beside is None:
        return insert(table).values(rows[0]).inline()
    selects = [select(*(each.label(name) for name, each in row.items())) for row in rows]
    listed = union_all(*(each if beside is None else each.select_from(beside) for each in selects)).subquery()
    return insert(table).from_select((*columns, *more), select(listed)).inline()


def _parameter_name(place: int, row: int, column: str) -> str:
    return f"{column}_{place}_{row}"


NewRows = tuple[Table, list[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Arriving:
    """The rows of a new signal that are not written yet: what begins with it changes them, and is written with them."""

    signals: NewRows
    events: NewRows
    executions: NewRows


@dataclass(slots=True, eq=False)
class EventLog:
    """The events of one transaction. They are written in their order: with the next rows, or when it is flushed."""

    _connection: Connection
    _events: Table
    arriving: Arriving | None = None
    _pending: list[dict[str, Any]] = field(default_factory=list)

    def add(self, signal_id: str, name: str, detail: object, *, now_ms: int) -> None:
        """`now_ms`: the relay's clock, Unix milliseconds."""
        self._pending.append(event_row(signal_id, name, detail, now_ms))

    def insert(self, *wanted: tuple[Table, Rows]) -> None:
        """New rows of these tables, and the events so far, in one statement where the database takes that."""
        pending, self._pending = self._pending, []
        arriving, self.arriving = self.arriving, None
        if arriving is None:
            insert_rows(self._connection, *wanted, (self._events, pending))
            return
        arrived = (self._events, [*arriving.events[1], *pending])
        insert_rows(self._connection, arriving.signals, arrived, arriving.executions, *wanted)

    def flush(self) -> None:
        """Write the events that are left, at the end of the transaction."""
        if self._pending or self.arriving is not None:
            self.insert()


def event_row(signal_id: str, name: str, detail: object, now_ms: int) -> dict[str, Any]:
    return {"signal_id": signal_id, "at": now_ms, "name": name, "detail": detail}
