"""What goes into the journal and comes out of it, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from relay.domain.instrument import Category
from relay.domain.order import PlannedOrder, Reason, SignalStatus
from relay.domain.order_lifecycle import OrderState
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
