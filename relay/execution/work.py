"""One signal on one account: what its lane holds in memory while it goes on. The journal has all that matters."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, TypeVar

from relay.alerts.signal import signal_from_stored
from relay.domain.bracket import FIRST_TAKE_PROFIT_LEG
from relay.domain.instrument import Category, Instrument
from relay.domain.intent import in_mode
from relay.domain.order import OrderStatus, PlannedOrder, Purpose, Reason, client_order_id
from relay.domain.order_lifecycle import OrderState
from relay.domain.plan import Plan
from relay.domain.planning import Expected
from relay.domain.position import Position
from relay.domain.progress import Finish
from relay.domain.protection import AmendTakeProfit, RestingOrder, Snapshot
from relay.domain.rules import Rules, with_default_type
from relay.domain.signal import Signal, SignalAge, age_of
from relay.domain.spot import in_market
from relay.execution.ports import Account, from_ms
from relay.journal.journal import Journal
from relay.journal.orders import BracketRecord
from relay.journal.records import Circumstances, ExecutionRecord, OrderRecord, SignalRecord
from relay.journal.unit_of_work import UnitOfWork

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeSnapshot:
    """What the exchange showed: good until something is sent."""

    instrument: Instrument
    position: Position
    resting: Mapping[str, RestingOrder]

    def snapshot(
        self, journal: Journal, record: BracketRecord, known: Mapping[str, OrderState], *, now_ms: int
    ) -> Snapshot:
        """With the bracket's orders as they are known by now."""
        orders = _orders(journal, (*record.bracket.all_entries, *record.bracket.order_ids), known)
        cancelled = [name for name in record.bracket.order_ids if orders[name].status is OrderStatus.CANCELED]
        return Snapshot(
            instrument=self.instrument,
            now_ms=now_ms,
            position=self.position,
            orders=orders,
            resting=self.resting,
            unwanted=frozenset(name for name in cancelled if journal.is_unwanted(name)),
            spoken_for=_spoken_for(journal, record),
        )


def _spoken_for(journal: Journal, record: BracketRecord) -> Decimal:
    """What other resting orders of the relay's are to sell of coins. A position's reduce-only orders need no share."""
    if record.category.has_positions:
        return Decimal(0)
    resting = journal.resting_orders(record.account, record.category, record.symbol)
    # A bracket's own legs are told by their number: one may have ended that the journal does not say so of yet.
    others = [each.state for each in resting if each.state.planned.leg < FIRST_TAKE_PROFIT_LEG]
    exits = [each for each in others if each.planned.purpose is Purpose.EXIT]
    return sum((each.planned.qty - each.filled_qty for each in exits), Decimal(0))


def _orders(journal: Journal, names: tuple[str, ...], known: Mapping[str, OrderState]) -> dict[str, OrderState]:
    found = {}
    for name in names:
        stored = known.get(name)
        if stored is None:
            record = journal.order(name)
            assert record is not None, f"the bracket names {name}, which is no order"
            stored = record.state
        found[name] = stored
    return found


# What is known of an order of the relay's while it is being cancelled.


@dataclass(frozen=True, slots=True, kw_only=True)
class Resting:
    """A resting order that is being cancelled."""

    order: OrderState
    begun_at_ms: int | None = None
    """When it was cancelled first, by the relay's clock; None if it was not yet."""
    is_answered: bool = False
    """The exchange has answered the last cancel; else it may never have had it."""
    is_due: bool = True
    """To be cancelled (again) next; else to be looked up."""
    looks: int = 0
    """Since the last cancel."""
    answered_at_ms: int | None = None
    """When the exchange first answered a cancel or a look-up of it, by the relay's clock."""
    rests_no_more: bool = False
    """It cannot rest any more; whether it was ever there, and filled, is for the follower to find out."""

    @property
    def is_over(self) -> bool:
        return self.rests_no_more or self.order.status.is_ended


# What is known and not written down yet.


COMPANY_S: Final = 0.01
"""So long it waits for what it can share a transaction with: an acknowledgement for the fill, a fill for the end."""


class Deferred:
    """Writes of one lane that wait a moment for company, in their order. Of the exchange's good news only.

    Should the relay be killed first, the journal has the attempt, and the order is looked up.
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[Callable[[UnitOfWork], object], Callable[[], object]]] = []
        self._since = 0.0

    def add(self, operation: Callable[[UnitOfWork], object], stored: Callable[[], object]) -> None:
        """`stored`: called once it is durable."""
        if not self._waiting:
            self._since = time.monotonic()
        self._waiting.append((operation, stored))

    def left_s(self) -> float | None:
        """How long it may still wait; None if nothing does."""
        return self._since + COMPANY_S - time.monotonic() if self._waiting else None

    def write(self, journal: Journal, operations: Callable[[UnitOfWork], T]) -> T:
        """All that waits, and then `operations`, in one transaction. JournalUnavailable: nothing was written."""
        waiting, self._waiting = self._waiting, []

        def write(uow: UnitOfWork) -> T:
            for operation, _ in waiting:
                operation(uow)
            return operations(uow)

        written = journal.write(write, may_take_long=True)
        for _, stored in waiting:
            stored()
        return written

    def flush(self, journal: Journal) -> None:
        """Before the exchange is asked for anything, which takes longer than what waits may."""
        if self._waiting:
            self.write(journal, lambda uow: None)


# One run of the protection of a position, and what it came to.


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtectionEnded:
    """The protection is in place, or a person must look: then `reason` says why, about the bracket of `signal_id`."""

    signal_id: str | None = None
    reason: Reason | None = None
    is_refused: bool = False
    """The exchange refused the levels of a signal that asked for nothing else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Amended:
    """An amendment that was sent; the exchange shows it a little later."""

    step: AmendTakeProfit
    at_ms: int
    times: int


@dataclass(slots=True, kw_only=True)
class ProtectionRun:
    """What one run of a position's protection holds in memory. The journal has all that matters."""

    account: Account
    category: Category
    symbol: str
    signal_id: str = ""
    """Which signal it is a part of, if of any."""
    levels_only: bool = False
    """Only the position's own levels are put back where a fill has moved them, once."""
    deferred: Deferred = field(default_factory=Deferred)
    begun_at_ms: int | None = None
    live: tuple[BracketRecord, ...] | None = None
    """The lane's brackets, which nobody else writes meanwhile; None: to be read."""
    legs: dict[str, int] = field(default_factory=dict)
    """By signal: the last leg that a take profit of it has."""
    orders: dict[str, OrderState] = field(default_factory=dict)
    """Entries that have ended, and take profits whose orders are on their way, or were looked at in this run."""
    looked: ExchangeSnapshot | None = None
    cancelling: dict[str, Resting] = field(default_factory=dict)
    amended: dict[str, Amended] = field(default_factory=dict)
    refusals: int = 0
    trouble: Reason | None = None
    why: str = "the exchange does not show it yet"


_CURRENT_S: Final = 0.1


def steady_s() -> float:
    """Seconds that nobody sets, and that count while the machine sleeps, where the system has such a clock."""
    return time.clock_gettime(_STEADY) if _STEADY is not None else time.monotonic()


_STEADY: Final[int | None] = getattr(time, "CLOCK_BOOTTIME", None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptTime:
    """When this process received a signal."""

    at_s: float
    steady: Callable[[], float] = steady_s

    def since(self) -> timedelta:
        return timedelta(seconds=self.steady() - self.at_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionSnapshot:
    """The position as it was read for the plan. `requested_at_ms`: the exchange's clock when that began."""

    position: Position
    requested_at_ms: int
    has_resting: bool


@dataclass(slots=True, kw_only=True)
class Work:
    """What a lane knows of its signal. Only the lane's thread touches it."""

    signal: Signal
    account: Account
    rules: Rules
    generation: int
    is_planned: bool = False
    plan_reason: Reason | None = None
    """Why not all that was asked for was planned."""
    orders: dict[str, OrderState] = field(default_factory=dict)
    """The plan's orders by client order id, in the order in which they were planned."""
    clearing: dict[str, Resting] | None = None
    """The relay's own resting orders that are being cancelled first; None if they were not looked for yet."""
    uncleared: Finish | None = None
    """How the signal ends because one of those could not be cancelled; an exit goes out all the same."""
    seen: PositionSnapshot | None = None
    size: Decimal | None = None
    """The position as it was read once the exits were over; None where it did not matter."""
    mark: Decimal | None = None
    """Its mark price of then."""
    expected: Expected | None = None
    """Where the account should stand once the signal is done, as far as the strategy says."""
    circumstances: Circumstances | None = None
    """As they were when it was taken up."""
    protection_run: ProtectionRun | None = None
    """The protection of what is open, once the orders are done."""
    levels_seen_at_ms: int | None = None
    """When the position's own levels were looked after while it waited, or it began to wait."""
    deferred: Deferred = field(default_factory=Deferred)
    troubles: int = 0
    """How often in a row the exchange did not answer while the facts were gathered."""
    troubled_since_ms: int = 0
    fresh_since: datetime | None = None
    """A person opened it then, to be no older than that."""
    received: ReceiptTime | None = None
    """On a clock that does not jump; None: it was received by another process."""

    def __post_init__(self) -> None:
        self.signal = with_default_type(in_mode(in_market(self.signal, self.rules), self.rules), self.rules)

    def age(self, now: datetime) -> SignalAge:
        """Of its signal, by the exchange's clock. `now`: this machine's clock, for what another process received."""
        exchange = self.account.exchange
        if self.fresh_since is not None:
            return SignalAge(age=now - self.fresh_since, is_measured=exchange.is_clock_measured)
        return age_of(
            self.signal,
            since_receipt=self.received.since() if self.received else now - self.signal.received_at,
            exchange_now=from_ms(exchange.now_ms()),
            is_measured=exchange.is_clock_measured,
        )

    def keep(self, order: OrderState) -> None:
        self.orders[order.client_order_id] = order

    def take_circumstances(self) -> Circumstances | None:
        """Once, and only while they are as good as read just now."""
        known, self.circumstances = self.circumstances, None
        return known if known is not None and time.monotonic() - known.read_at < _CURRENT_S else None

    def states_of(self, planned: tuple[PlannedOrder, ...]) -> tuple[OrderState, ...]:
        """The plan's orders with their identities, which are a pure function of what they are for."""
        return tuple(OrderState(client_order_id=self.id_of(each.leg), planned=each) for each in planned)

    def id_of(self, leg: int) -> str:
        return client_order_id(signal_id=self.signal.id, account=self.account.name, leg=leg, generation=self.generation)

    def plan_made(self, plan: Plan) -> None:
        self.is_planned, self.plan_reason = True, plan.reason
        self.orders = {each.client_order_id: each for each in self.states_of(plan.orders)}

    def plan_withdrawn(self) -> None:
        """Forget the plan, of which nothing was written down."""
        self.is_planned, self.plan_reason, self.orders = False, None, {}


def resumed(signal: Signal, account: Account, rules: Rules, execution: ExecutionRecord) -> Work:
    """The work as the journal has it, after a restart or a step that failed."""
    now_ms = account.exchange.now_ms()
    # The take profits that rest belong to the bracket, which cancels them itself.
    own = [record.state for record in execution.orders if record.state.planned.leg < FIRST_TAKE_PROFIT_LEG]
    states = [replace(state, taken_up_at_ms=now_ms) for state in own]
    return Work(
        signal=signal,
        account=account,
        rules=rules,
        generation=execution.generation,
        is_planned=execution.plan is not None,
        plan_reason=execution.plan.reason if execution.plan else None,
        fresh_since=from_ms(execution.opened_at_ms) if execution.is_fresh else None,
        orders={state.client_order_id: state for state in states},
        circumstances=execution.circumstances,
    )


def is_overdue(record: OrderRecord, now_ms: int) -> bool:
    """An entry that rests longer than its alert's `valid_for`, counted from its plan."""
    seconds = record.state.planned.valid_for_s
    if seconds is None or not record.state.rests:
        return False
    return now_ms >= record.created_at_ms + seconds * 1000


def stored_signal(record: SignalRecord) -> Signal:
    """The signal as it was accepted, rebuilt from what was kept of its alert."""
    received_at = from_ms(record.received_at_ms)
    signal = signal_from_stored(record.alert, id=record.id, strategy=record.strategy or "", received_at=received_at)
    return replace(signal, category=record.category, symbol=record.symbol)


def is_waited_for(
    journal: Journal, account: str, category: Category, symbol: str, *, beside: str, only_exits: bool
) -> bool:
    """Whether an alert waits in the lane, or one that can only exit, other than the signal `beside`."""
    waiting = [each.signal for each in journal.unfinished_of(account, category, symbol) if each.signal.id != beside]
    return any(not only_exits or stored_signal(each).only_exits for each in waiting)


# A strategy: who may send alerts in its name, to which accounts they go, by which rules, and how repeats are told.


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """`rules`: by account, in the order in which alerts go there.

    `dedup_window_ms`: how long the same body without an `id` is the same alert; 0: never. `format`: in whose words its
    alerts are where they do not say so. `heartbeat_s`: how long they may be silent; None means as long as they like.
    """

    name: str
    rules: Mapping[str, Rules]
    secrets: tuple[str, ...] = field(repr=False)
    dedup_window_ms: int = 30_000
    format: str | None = None
    heartbeat_s: int | None = None
    heartbeat_any: bool = False

    @property
    def accounts(self) -> tuple[str, ...]:
        return tuple(self.rules)

    def rules_for(self, account: str) -> Rules:
        """The stricter of the strategy's and the account's in every limit. No entries where it does not trade."""
        found = self.rules.get(account)
        if found is not None:
            return found
        return Rules(no_entries=f"the account {account} is none of strategy {self.name}'s any more")


def rules_of(strategies: Mapping[str, Strategy], strategy: str, account: str) -> Rules:
    """By what a signal is planned whose strategy, after a restart, may not be configured any more."""
    found = strategies.get(strategy)
    if found is not None:
        return found.rules_for(account)
    return Rules(no_entries=f"the strategy {strategy} is not configured any more")
