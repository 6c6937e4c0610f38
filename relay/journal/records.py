"""What goes into the journal and comes out of it, as values; and the one codec between values, rows and JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from sqlalchemy import Row

from relay.domain.instrument import Category
from relay.domain.order import (
    Accepted,
    ErrorKind,
    NotSent,
    OrderRejected,
    Outcome,
    PlannedOrder,
    Reason,
    RequestSignature,
    SignalStatus,
    Unknown,
)
from relay.domain.order_lifecycle import Attempt, OrderState
from relay.domain.plan import Residual
from relay.domain.signal import Action, ChainLink, Identity


class AttemptOutcome(StrEnum):
    """What became of one send. Until it is known the column is empty, which counts as unknown."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    UNKNOWN = "unknown"
    NOT_SENT = "not_sent"


class Way(StrEnum):
    """How an alert came."""

    WEBHOOK = "webhook"
    MAIL = "mail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """One of the two ways in which an alert may come, where a mailbox is read, too.

    `text`: SHA-256 of what it says, without its blanks. `at_ms`: of a webhook the receipt, of a mail the earliest
    moment at which a server took it. `message`: whatever identifies the mail. `max_age_ms`: of its entries.
    """

    way: Way
    text: str
    at_ms: int
    message: str | None = None
    max_age_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSignal:
    """A validated alert to be accepted. The secret has been taken out of `alert`; `digest` is of the body as it came.

    `accounts` empty: nothing is to be executed (a heartbeat), and the signal is `done` as soon as it is stored.
    `events`: further ones to store with it, as (name, detail).
    """

    id: str
    strategy: str
    action: Action
    alert: Mapping[str, Any]
    digest: str
    identity: Identity
    accounts: tuple[str, ...]
    ticker: str | None = None
    category: Category | None = None
    symbol: str | None = None
    sent_at_ms: int | None = None
    notes: tuple[str, ...] = ()
    events: tuple[tuple[str, Any], ...] = ()
    link: ChainLink | None = None
    """Its part of the chain of the strategy's positions."""
    only_exits: bool = False
    may_exit: bool = False
    """With an `id` that came before it is accepted all the same: for its exit, or because it orders nothing."""
    sender_id: str | None = None
    copy: Copy | None = None
    """Where alerts may come by mail, too."""

    @property
    def is_mail(self) -> bool:
        return self.copy is not None and self.copy.way is Way.MAIL


@dataclass(frozen=True, slots=True, kw_only=True)
class New:
    """Durable; to be executed. `chain_note`: how it does not fit to the strategy's last alert, for people."""

    signal_id: str
    chain_note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicate:
    """The same alert again; nothing is to be executed. `first_at_ms`: when the first one came.

    A signal that was pruned since counts as `done`: only finished ones are pruned.
    """

    signal_id: str
    status: SignalStatus
    first_at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reopened:
    """The same alert again, and nothing of it ever had an effect: to be executed, with a new plan.

    `assignments`: what is to be done, as it is in the transaction that opened it.
    """

    signal_id: str
    generation: int
    assignments: tuple[ExecutionRecord, ...] = field(default=(), compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class IdReused:
    """The id was used by another alert; nothing was stored of this one."""

    first_signal_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LateByMail:
    """The mail is old, its webhook never came, and another alert of its lane was accepted since: it orders nothing."""

    signal_id: str


Admission = New | Duplicate | Reopened | IdReused | LateByMail


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalRecord:
    """A signal as it is stored. `category` and `symbol`: the resolved instrument, None for a heartbeat."""

    id: str
    seq: int
    strategy: str | None
    action: str | None
    ticker: str | None
    category: Category | None
    symbol: str | None
    status: SignalStatus
    generation: int
    notes: tuple[str, ...]
    received_at_ms: int
    sent_at_ms: int | None
    alert: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRecord:
    """An order as it is stored. `replaces`: the client order id of the one it is the fallback or the remainder of.

    `state` has its attempts; of the look-ups it has only `absent_at_ms`, once they have proven that it never was. Its
    times are the relay's clock, Unix ms.
    """

    signal_id: str
    account: str
    generation: int
    state: OrderState
    replaces: str | None
    created_at_ms: int
    updated_at_ms: int

    @property
    def may_rest(self) -> bool:
        """Whether it may be open at the exchange for long: a limit or a conditional."""
        return self.state.rests or self.state.planned.rests


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRecord:
    """A plan as it was computed: `inputs` and `orders` as JSON, `reason` where it denies."""

    inputs: Mapping[str, Any]
    orders: tuple[PlannedOrder, ...]
    notes: tuple[str, ...]
    reason: Reason | None
    at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """A setting that survives restarts, such as `halt`. `account` empty: of every account."""

    account: str
    name: str
    value: str
    at_ms: int
    by: str


HALT = "halt"
RESTORED_CODE = "RESTORE_UNFINISHED"
"""The reason of what was unfinished in a journal that was brought back from a backup."""
REASON_KNOWN = "reason_known"
"""The event of a signal whose end stays what it was, and whose reason is known only now."""
RETRY_NOW = "retry now"
"""Why a generation was opened whose age counts from then."""
CANCEL_REQUESTED, CANCEL_ANSWERED = "cancel_asked_for", "cancel_answered"
"""Events of a signal: a person wants one of its orders cancelled, and what the exchange said to that."""
TERMS = "terms"
"""With a kind of contract: where the exchange said that its trading terms are not accepted; empty once they are."""
PRICE_MOVED = "order_price_moved"
"""The event of an order that rests at another limit price than was sent."""
LOGGED_OUT = "logged_out"
"""The name of a session that has ended; its `account` is the session's digest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What the journal knows that bears on every plan of a lane. `read_at`: the monotonic clock, before it was read."""

    halt: Switch | None
    residual: Residual | None
    """What earlier exits of the position rounded away."""
    read_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionRecord:
    """One signal to be executed on one account, with all that was done of its present generation.

    `seq`: its place in the order of execution, later for what was reopened. `opened_at_ms`: when this generation was.
    """

    signal: SignalRecord
    account: str
    seq: int
    generation: int
    status: SignalStatus
    opened_at_ms: int
    plan: PlanRecord | None
    orders: tuple[OrderRecord, ...]
    reason_code: str | None = None
    """Of what it came to, once it is finished."""
    reason_message: str | None = None
    is_fresh: bool = False
    """A person opened this generation so that its age counts from then."""
    circumstances: Circumstances | None = field(default=None, compare=False)
    """Where they were read along with it, because it is about to be planned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedPosts:
    """Posts that did not prove their sender: nothing else is stored of them."""

    kind: str
    source: str
    count: int
    last_at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalPage:
    """`signals`: dictionaries of the contract's form. `next_cursor`: None on the last page."""

    signals: list[dict[str, Any]]
    next_cursor: str | None


# The one codec between values, rows and JSON. Stored JSON has the names of the values' fields. A field that gets
# another name keeps its stored one, by `field(metadata={"stored_as": …})`: journals stay readable.


_Convert = Callable[[Any], Any]


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
