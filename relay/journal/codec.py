"""The one codec: the relay's values as columns (TEXT and BIGINT, which SQLite and Postgres both have), rows and JSON.

Stored JSON has the names of the values' fields. A field that gets another name keeps its stored one, by
`field(metadata={"stored_as": …})`: journals stay readable."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import cache
from types import NoneType, UnionType
from typing import Any, Final, TypeVar, Union, get_args, get_origin, get_type_hints

from sqlalchemy import BigInteger, Dialect, Integer, Row, Text, TypeDecorator
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeEngine

from relay.domain.order import (
    Accepted,
    ErrorKind,
    NotSent,
    OrderRejected,
    Outcome,
    PlannedOrder,
    Reason,
    RequestSignature,
    Unknown,
)
from relay.domain.order_lifecycle import Attempt, OrderState
from relay.journal.records import AttemptOutcome, OrderRecord, SignalRecord, Switch

UnixMs = BigInteger
"""Unix milliseconds, UTC."""


_Convert = Callable[[Any], Any]


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


T = TypeVar("T")
_STORED_AS = "stored_as"
"""In a field's metadata: its name in JSON, where that is another than the field's own."""


def to_json(value: Any) -> Any:
    """A domain value as JSON: the fields that differ from their defaults, decimals and enums as strings."""
    kind: Any = type(value)
    return _form(kind).write(value)


def from_json(kind: Callable[..., T], stored: Any) -> T:
    """The value of this kind that `to_json` made `stored` of. A field that is not stored has its default."""
    read: T = _form(kind).read(stored)
    return read


@dataclass(frozen=True, slots=True)
class _Form:
    """How values of one type are stored. `is_same`: as they are."""

    write: _Convert
    read: _Convert
    is_same: bool = False


@cache
def _form(hint: Any) -> _Form:
    if get_origin(hint) in (Union, UnionType):
        (inner,) = (each for each in get_args(hint) if each is not NoneType)
        return _form(inner)
    if get_origin(hint) is tuple:
        each = _form(get_args(hint)[0])
        return _Form(lambda values: [each.write(v) for v in values], lambda stored: tuple(each.read(v) for v in stored))
    if get_origin(hint) is Mapping:
        each = _form(get_args(hint)[1])
        return _Form(
            lambda values: {key: each.write(v) for key, v in values.items()},
            lambda stored: {key: each.read(v) for key, v in stored.items()},
        )
    if is_dataclass(hint):
        return _form_of_fields(hint)
    if hint in (bool, int, str):
        return _Form(hint, hint, is_same=True)
    assert issubclass(hint, Decimal | StrEnum), f"{hint} cannot be stored as JSON"
    return _Form(str, hint)


def _form_of_fields(kind: Any) -> _Form:
    """None stays None, whatever the field's type."""
    hints = get_type_hints(kind)
    forms = {each.name: _form(hints[each.name]) for each in fields(kind)}
    names = {each.name: each.metadata.get(_STORED_AS, each.name) for each in fields(kind)}
    writes = [(each.name, names[each.name], each.default, forms[each.name]) for each in fields(kind)]
    reads = {names[name]: (name, form) for name, form in forms.items()}

    def write(value: Any) -> dict[str, Any]:
        stored = {}
        for name, stored_name, default, form in writes:
            held = getattr(value, name)
            if held != default:
                stored[stored_name] = held if form.is_same or held is None else form.write(held)
        return stored

    def read(stored: Mapping[str, Any]) -> Any:
        held = {}
        for stored_name, each in stored.items():
            name, form = reads[stored_name]
            held[name] = each if form.is_same or each is None else form.read(each)
        return kind(**held)

    return _Form(write, read)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_ms(moment: datetime) -> int:
    """Unix milliseconds."""
    return int(moment.timestamp() * 1000)


def from_ms(unix_ms: int) -> datetime:
    """Aware UTC."""
    return datetime.fromtimestamp(unix_ms / 1000, UTC)


def rfc3339(unix_ms: int) -> str:
    """UTC, with milliseconds."""
    moment = _EPOCH + timedelta(milliseconds=unix_ms)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def reason_of(row: Row[Any]) -> Reason | None:
    return Reason(code=row.reason_code, message=row.reason_message) if row.reason_code is not None else None


def reason_columns(reason: Reason | None) -> dict[str, str | None]:
    return {
        "reason_code": reason.code if reason else None,
        "reason_message": reason.message if reason else None,
    }


def outcome_columns(outcome: Outcome) -> dict[str, Any]:
    """The columns of an attempt that tell what became of it."""
    said: dict[str, Any] = {"code": None, "words": None, "refusal": None, "reason_code": None, "retry_at_ms": None}
    match outcome:
        case Accepted():
            return said | {"outcome": AttemptOutcome.ACCEPTED}
        case OrderRejected():
            return {
                "outcome": AttemptOutcome.REJECTED,
                "code": outcome.code,
                "words": outcome.words,
                "refusal": outcome.refusal,
                "reason_code": outcome.reason_code,
                "retry_at_ms": outcome.retry_at_ms,
            }
        case Unknown():
            return said | {"outcome": AttemptOutcome.UNKNOWN, "words": outcome.why}
        case NotSent():
            return said | {
                "outcome": AttemptOutcome.NOT_SENT,
                "words": outcome.why,
                "retry_at_ms": outcome.retry_at_ms,
            }


def _outcome_of(row: Row[Any]) -> Outcome | None:
    match row.attempt_outcome:
        case AttemptOutcome.ACCEPTED:
            return Accepted(venue_order_id=row.venue_order_id or "")
        case AttemptOutcome.REJECTED:
            return OrderRejected(
                code=row.attempt_code,
                words=row.attempt_words,
                refusal=row.attempt_refusal or ErrorKind.FINAL,
                reason_code=row.attempt_reason_code,
                retry_at_ms=row.attempt_retry_at_ms,
            )
        case AttemptOutcome.UNKNOWN:
            return Unknown(why=row.attempt_words)
        case AttemptOutcome.NOT_SENT:
            return NotSent(why=row.attempt_words, retry_at_ms=row.attempt_retry_at_ms)
    return None


def state_of(rows: Sequence[Row[Any]]) -> OrderState:
    """`rows`: the order's own of `WITH_ATTEMPTS`, by the attempts' numbers."""
    row = rows[0]
    return OrderState(
        client_order_id=row.client_order_id,
        planned=from_json(PlannedOrder, row.planned),
        status=row.status,
        attempts=tuple(
            Attempt(
                number=each.attempt_number,
                signature=RequestSignature(
                    timestamp_ms=each.attempt_timestamp_ms, recv_window_ms=each.attempt_recv_window_ms
                ),
                outcome=_outcome_of(each),
            )
            for each in rows
            if each.attempt_number is not None
        ),
        reason=reason_of(row),
        venue_order_id=row.venue_order_id,
        filled_qty=row.filled_qty,
        avg_price=row.avg_price,
        fee=row.fee,
        rests=row.rests,
        absent_at_ms=rows[-1].attempt_absent_at_ms,
    )


def order_of(rows: Sequence[Row[Any]]) -> OrderRecord:
    """`rows`: as `state_of` takes them."""
    row = rows[0]
    return OrderRecord(
        signal_id=row.signal_id,
        account=row.account,
        generation=row.generation,
        state=state_of(rows),
        replaces=row.replaces,
        created_at_ms=row.created_at,
        updated_at_ms=row.updated_at,
    )


def signal_of(row: Row[Any]) -> SignalRecord:
    return SignalRecord(
        id=row.id,
        seq=row.seq,
        strategy=row.strategy,
        action=row.action,
        ticker=row.ticker,
        category=row.category,
        symbol=row.symbol,
        status=row.status,
        generation=row.generation,
        notes=tuple(row.notes),
        received_at_ms=row.received_at,
        sent_at_ms=row.sent_at,
        alert=row.alert,
    )


def switch_of(row: Row[Any]) -> Switch:
    return Switch(account=row.account, name=row.name, value=row.value, at_ms=row.at, by=row.by)
