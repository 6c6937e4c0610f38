"""Orders, attempts and signals between their values and their rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import fields
from decimal import Decimal
from enum import StrEnum
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from sqlalchemy import Row

from relay.domain.order import PlannedOrder, Reason
from relay.domain.outcome import Accepted, NotSent, Outcome, Refusal, Rejected, Stamp, Unknown
from relay.domain.reconciliation import Attempt, OrderState
from relay.journal.records import AttemptOutcome, OrderRecord, SignalRecord


def _plain_type(hint: Any) -> type:
    """The one type a field has beside None."""
    if get_origin(hint) in (Union, UnionType):
        (hint,) = [each for each in get_args(hint) if each is not NoneType]
    assert isinstance(hint, type), f"a planned order's fields have one plain type each, not {hint}"
    return hint


def _reader(kind: type) -> Callable[[Any], Any]:
    if kind in (bool, int, str):
        return kind
    assert issubclass(kind, Decimal | StrEnum), f"a planned order cannot be kept with a {kind}"
    return kind


_HINTS = get_type_hints(PlannedOrder)
_READERS = {field.name: _reader(_plain_type(_HINTS[field.name])) for field in fields(PlannedOrder)}


def planned_to_json(order: PlannedOrder) -> dict[str, Any]:
    """All that differs from the defaults, decimals and enums as strings."""
    said: dict[str, Any] = {}
    for field in fields(PlannedOrder):
        value = getattr(order, field.name)
        if value != field.default:
            said[field.name] = str(value) if isinstance(value, Decimal) else value
    return said


def planned_from_json(said: dict[str, Any]) -> PlannedOrder:
    fields_read: dict[str, Any] = {n: None if v is None else _READERS[n](v) for n, v in said.items()}
    return PlannedOrder(**fields_read)


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
        case Rejected():
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


def _outcome_of(row: Row[Any], venue_order_id: str | None) -> Outcome | None:
    match row.outcome:
        case AttemptOutcome.ACCEPTED:
            return Accepted(venue_order_id=venue_order_id or "")
        case AttemptOutcome.REJECTED:
            return Rejected(
                code=row.code,
                words=row.words,
                refusal=row.refusal or Refusal.FINAL,
                reason_code=row.reason_code,
                retry_at_ms=row.retry_at_ms,
            )
        case AttemptOutcome.UNKNOWN:
            return Unknown(why=row.words)
        case AttemptOutcome.NOT_SENT:
            return NotSent(why=row.words, retry_at_ms=row.retry_at_ms)
    return None


def state_of(row: Row[Any], attempts: Iterable[Row[Any]]) -> OrderState:
    """`attempts`: the order's own, by number."""
    rows = list(attempts)
    return OrderState(
        client_order_id=row.client_order_id,
        planned=planned_from_json(row.planned),
        status=row.status,
        attempts=tuple(
            Attempt(
                number=each.number,
                stamp=Stamp(timestamp_ms=each.timestamp_ms, recv_window_ms=each.recv_window_ms),
                outcome=_outcome_of(each, row.venue_order_id),
            )
            for each in rows
        ),
        reason=reason_of(row),
        venue_order_id=row.venue_order_id,
        filled_qty=row.filled_qty,
        avg_price=row.avg_price,
        fee=row.fee,
        rests=row.rests,
        absent_at_ms=rows[-1].absent_at_ms if rows else None,
    )


def order_of(row: Row[Any], attempts: Iterable[Row[Any]]) -> OrderRecord:
    return OrderRecord(
        signal_id=row.signal_id,
        account=row.account,
        generation=row.generation,
        state=state_of(row, attempts),
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
